package transform

import (
	"fmt"

	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
	"github.com/strait-cdc/strait/transform/state"
)

// fold brings a part of a commit into the rows and marks the entities it
// touches. Records folded before are left out by their number, so a part may
// come again.
func (e *engine) fold(tx state.Txn, sys string, p *stream.Part) error {
	off := e.offsets[sys]
	c := p.Commit
	if c.Number != off.Number {
		if c.Number != off.Number+1 && off.Number != 0 {
			return fmt.Errorf("fold %s: commit %d follows commit %d: records of the topic %s are missing", sys, c.Number, off.Number, schemas.CommitsTopic(sys))
		}
		off.Number, off.Mid = c.Number, true
		if c.Phase&schemas.PhaseSnapshotFirst != 0 {
			off.Gen++
			off.Ready = false
		}
	}
	for i := range p.Changes {
		ch := &p.Changes[i]
		if ch.Seq <= off.Seq {
			continue
		}
		if err := e.foldChange(tx, sys, ch, off.Gen); err != nil {
			return fmt.Errorf("fold %s, commit %d, record %d: %w", sys, c.Number, ch.Seq, err)
		}
		off.Seq = ch.Seq
	}
	off.Seq = max(off.Seq, p.Seq)
	if p.Last {
		off.Mid, off.Commit, off.Seq = false, c.Offset+1, max(off.Seq, c.LastSeq)
		off.Resume, off.Time = c.Resume, c.Time.UnixMicro()
		if c.Phase&schemas.PhaseSnapshotLast != 0 {
			off.Ready, off.Sweep = true, off.Gen > 1
		}
		e.obs.Folded(sys, c)
	}
	e.offsets[sys] = off
	return setJSON(tx, state.Key("m", "offset", sys), off)
}

func (e *engine) foldChange(tx state.Txn, sys string, ch *schemas.Change, gen int64) error {
	if ch.Table.Name == schemas.ProgressTable {
		return e.foldMark(tx, sys, ch)
	}
	t := e.tables[sys][ch.Table.Name.String()]
	if t == nil {
		return nil
	}
	e.edited = ch.Txn.Origin.Pipeline != e.pipeline
	defer func() { e.edited = false }()
	switch ch.Op {
	case schemas.Truncate:
		return nil
	case schemas.Delete:
		pk := t.keyOf(t.align(ch.Table, ch.Before))
		if len(ch.MovedTo) > 0 {
			return e.foldRekey(tx, t, pk, schemas.FormatKey(ch.MovedTo), ch)
		}
		return e.foldDelete(tx, t, pk)
	}
	return e.foldRow(tx, t, ch, gen)
}

// foldMark notes that a batch of ours has come back through the log.
func (e *engine) foldMark(tx state.Txn, sys string, ch *schemas.Change) error {
	if ch.After == nil {
		return nil
	}
	pipe, batch := ch.Table.Column("pipeline"), ch.Table.Column("batch")
	if pipe < 0 || batch < 0 || ch.After[pipe].Text() != e.pipeline {
		return nil
	}
	n := ch.After[batch].Int()
	if n <= e.seen[sys] {
		return nil
	}
	e.seen[sys] = n
	if err := setInt(tx, state.Key("m", "seen", sys), n); err != nil {
		return err
	}
	return e.release(tx, sys, n)
}

// release makes dirty what was written in the batches up to n: their overlays no
// longer count, and what missed may be planned again.
func (e *engine) release(tx state.Txn, sys string, n int64) error {
	p := state.Prefix("b", sys)
	var done [][]byte
	err := tx.Scan(p, func(k, _ []byte) (bool, error) {
		if string(k) > string(append(batchKey("b", sys, n), 0xff)) {
			return false, nil
		}
		done = append(done, k)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, k := range done {
		parts := state.Rest(k, p)
		if err := tx.Delete(k); err != nil {
			return err
		}
		if err := e.dirty(tx, unit{parts[1], parts[2]}, false); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) foldRow(tx state.Txn, t *table, ch *schemas.Change, gen int64) error {
	vals := t.align(ch.Table, ch.After)
	pk := t.keyOf(vals)
	old, err := e.getRow(tx, t, pk)
	if err != nil {
		return err
	}
	r := &row{Seq: ch.Seq, Gen: gen}
	t.blank(r)
	r.Values = vals
	changed := make([]bool, len(vals))
	relevant := old == nil
	for c := range vals {
		if vals[c].IsUnchanged() {
			vals[c] = schemas.Null
			if old != nil {
				vals[c] = old.Values[c]
			}
		}
		if old != nil {
			r.When[c], r.Edit[c] = old.When[c], old.Edit[c]
		}
		if old == nil || old.Values[c] != vals[c] {
			changed[c] = true
			relevant = relevant || t.matters[c]
			// A change of ours does not age a field: its time is that of the user's edit,
			// on whichever side it was made. When a row was written before the snapshot
			// is not known.
			if ch.Txn.Origin.Pipeline != e.pipeline && (ch.Op != schemas.Snapshot || old != nil) {
				r.When[c], r.Edit[c] = ch.Txn.Time.UnixMicro(), ch.Seq
			}
		}
	}
	if err := e.putRow(tx, t, pk, old, r); err != nil {
		return err
	}
	if err := e.clearOverlay(tx, t, pk); err != nil {
		return err
	}
	if !relevant {
		return nil
	}
	if o := ch.Txn.Origin; o.Pipeline == e.pipeline && o.Batch > e.answered[t.system] {
		// The log is faster than the reply: the answer will say whose row this is.
		if err := e.postpone(tx, t, pk, o.Batch); err != nil {
			return err
		}
	}
	return e.touchUses(tx, t, pk, old, r, changed)
}

func postponedKey(t *table, pk string, batch int64) []byte {
	return append(batchKey("a", t.system, batch), []byte("\x00"+t.name+"\x00"+pk)...)
}

// postpone remembers a row of a batch of ours that has not been answered yet: the
// rows that no intent of the batch claims, a trigger's, become records then.
func (e *engine) postpone(tx state.Txn, t *table, pk string, batch int64) error {
	return tx.Set(postponedKey(t, pk, batch), nil)
}

// isPostponed says that a row waits for the answer to the batch that wrote it.
func (e *engine) isPostponed(tx state.Txn, t *table, pk string) (bool, error) {
	for _, n := range e.outstanding(t.system) {
		b, err := tx.Get(postponedKey(t, pk, n))
		if err != nil || b != nil {
			return b != nil, err
		}
	}
	return false, nil
}

// adopt makes records of what was postponed for a batch and not claimed.
func (e *engine) adopt(tx state.Txn, sys string, batch int64) error {
	p := append(batchKey("a", sys, batch), 0)
	var rows [][]string
	err := tx.Scan(p, func(k, _ []byte) (bool, error) {
		rows = append(rows, state.Rest(k, p))
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, r := range rows {
		t := e.tables[sys][r[0]]
		if t == nil {
			continue
		}
		if err := tx.Delete(postponedKey(t, r[1], batch)); err != nil {
			return err
		}
		is, err := e.getRow(tx, t, r[1])
		if err != nil || is == nil {
			if err != nil {
				return err
			}
			continue
		}
		if err := e.touchUses(tx, t, r[1], is, is, nil); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) foldDelete(tx state.Txn, t *table, pk string) error {
	old, err := e.getRow(tx, t, pk)
	if err != nil {
		return err
	}
	if err := e.clearOverlay(tx, t, pk); err != nil {
		return err
	}
	if old == nil {
		return nil
	}
	if err := e.putRow(tx, t, pk, old, nil); err != nil {
		return err
	}
	return e.touchUses(tx, t, pk, old, nil, nil)
}

// foldRekey moves a row to its new key, and its links with it: a record whose key
// changes is still the same record.
func (e *engine) foldRekey(tx state.Txn, t *table, from, to string, ch *schemas.Change) error {
	old, err := e.getRow(tx, t, from)
	if err != nil || old == nil || from == to {
		return err
	}
	if err := e.putRow(tx, t, from, old, nil); err != nil {
		return err
	}
	moved := &row{Seq: ch.Seq, Gen: old.Gen, Values: append(schemas.Row(nil), old.Values...), When: old.When, Edit: old.Edit}
	for i, k := range t.shape.Key {
		moved.Values[k] = ch.MovedTo[i]
	}
	if err := e.putRow(tx, t, to, nil, moved); err != nil {
		return err
	}
	for _, u := range t.uses {
		if u.join >= 0 {
			continue
		}
		if err := e.rekey(tx, u, t, from, to, old, moved); err != nil {
			return err
		}
	}
	return e.touchUses(tx, t, to, old, moved, nil)
}

func (e *engine) rekey(tx state.Txn, u use, t *table, from, to string, old, moved *row) error {
	if err := e.matchIndex(tx, u, from, old, nil); err != nil {
		return err
	}
	if err := e.matchIndex(tx, u, to, nil, moved); err != nil {
		return err
	}
	name := u.entity.LinkName(u.part)
	hub, err := e.hubOf(tx, name, t.system, from)
	if err != nil || hub == "" {
		return err
	}
	if err := tx.Delete(linkKey(name, t.system, from)); err != nil {
		return err
	}
	if err := tx.Set(linkKey(name, t.system, to), []byte(hub)); err != nil {
		return err
	}
	owner := hub
	if u.part != u.entity.Root {
		if owner, err = e.hubOf(tx, u.entity.Name, t.system, e.parentOf(u, old)); err != nil || owner == "" {
			return err
		}
	}
	r, err := e.getRecord(tx, u.entity.Name, owner)
	if err != nil || r == nil {
		return err
	}
	if u.part == u.entity.Root {
		r.Keys[u.side], r.Linked[u.side] = to, false
	} else {
		for _, it := range r.Children[u.part.Name] {
			if it.Keys[u.side] == from {
				it.Keys[u.side], it.Linked[u.side] = to, false
			}
		}
	}
	return e.putRecord(tx, r)
}

// parentOf is the key of the root row that a child row belongs to.
func (e *engine) parentOf(u use, r *row) string {
	s, _ := valuesOf(r.Values, u.part.Sides[u.side].Parent)
	return s
}

// touchUses marks the entities that a changed row belongs to. changed is nil when
// the row came or went.
func (e *engine) touchUses(tx state.Txn, t *table, pk string, old, new *row, changed []bool) error {
	for _, u := range t.uses {
		var err error
		switch {
		case u.join >= 0:
			err = e.touchJoin(tx, u, t, old, new)
		case u.part == u.entity.Root:
			err = e.touchRoot(tx, u, pk, old, new, changed)
		default:
			err = e.touchParents(tx, u, old, new)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) touchRoot(tx state.Txn, u use, pk string, old, new *row, changed []bool) error {
	if err := e.matchIndex(tx, u, pk, old, new); err != nil {
		return err
	}
	sys := u.entity.Systems[u.side]
	hub, err := e.hubOf(tx, u.entity.Name, sys, pk)
	if err != nil {
		return err
	}
	if hub == "" {
		if new == nil || !present(u.part.Sides[u.side], new.Values) {
			return nil
		}
		wait, err := e.isPostponed(tx, e.tables[sys][u.part.Sides[u.side].Table.Name.String()], pk)
		if err != nil || wait {
			return err
		}
		if hub, err = e.newRecord(tx, u.entity, u.side, pk); err != nil {
			return err
		}
	}
	return e.dirty(tx, unit{u.entity.Name, hub}, true)
}

// newRecord begins the record of a row that is not linked yet.
func (e *engine) newRecord(tx state.Txn, ent *mapping.Entity, side int, pk string) (string, error) {
	hub, err := e.newHub(tx)
	if err != nil {
		return "", err
	}
	r := &record{Entity: ent.Name, Hub: hub, item: item{ID: hub}}
	r.Keys[side] = pk
	if err := tx.Set(linkKey(ent.Name, ent.Systems[side], pk), []byte(hub)); err != nil {
		return "", err
	}
	return hub, e.putRecord(tx, r)
}

func (e *engine) touchParents(tx state.Txn, u use, old, new *row) error {
	var last string
	for _, r := range []*row{old, new} {
		if r == nil {
			continue
		}
		parent, ok := valuesOf(r.Values, u.part.Sides[u.side].Parent)
		if !ok || parent == last {
			continue
		}
		last = parent
		if err := e.touchKey(tx, u, parent); err != nil {
			return err
		}
	}
	return nil
}

// touchKey marks the entity whose root row has the key.
func (e *engine) touchKey(tx state.Txn, u use, pk string) error {
	hub, err := e.hubOf(tx, u.entity.Name, u.entity.Systems[u.side], pk)
	if err != nil || hub == "" {
		return err
	}
	return e.dirty(tx, unit{u.entity.Name, hub}, true)
}

// touchJoin marks the entities whose part reads a joined row.
func (e *engine) touchJoin(tx state.Txn, u use, t *table, old, new *row) error {
	ps := u.part.Sides[u.side]
	join := ps.Joins[u.join]
	own := e.tables[t.system][ps.Table.Name.String()]
	var last string
	for _, r := range []*row{old, new} {
		if r == nil {
			continue
		}
		vals, ok := valuesOf(r.Values, join.Columns)
		if !ok || vals == last {
			continue
		}
		last = vals
		keys, err := e.keysBy(tx, own, join.Own, vals)
		if err != nil {
			return err
		}
		for _, pk := range keys {
			if u.part != u.entity.Root {
				r, err := e.getRow(tx, own, pk)
				if err != nil {
					return err
				}
				pk = e.parentOf(u, r)
			}
			if err := e.touchKey(tx, u, pk); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweep removes rows that a new snapshot did not bring, a bounded number at a
// time; it reports whether it is done.
func (e *engine) sweep(tx state.Txn, sys string) (bool, error) {
	off := e.offsets[sys]
	for _, t := range e.tables[sys] {
		var gone []string
		p := state.Prefix("r", sys, t.name)
		err := tx.Scan(p, func(k, v []byte) (bool, error) {
			r, err := e.decodeRow(tx, t, v)
			if err != nil {
				return false, err
			}
			if r.Gen < off.Gen {
				gone = append(gone, string(k[len(p):]))
			}
			return len(gone) < 1000, nil
		})
		if err != nil {
			return false, err
		}
		for _, pk := range gone {
			if err := e.foldDelete(tx, t, pk); err != nil {
				return false, err
			}
		}
		if len(gone) > 0 {
			return false, nil
		}
	}
	off.Sweep = false
	e.offsets[sys] = off
	return true, setJSON(tx, state.Key("m", "offset", sys), off)
}

// present says whether the row counts as a record. One that we have just inserted
// does, as long as what tells is a default that has not been read back.
func (r *row) present(ps *mapping.PartSide) bool {
	if r.Unknown != nil {
		for _, c := range ps.WhereColumns {
			if r.Unknown[c] {
				return true
			}
		}
	}
	return present(ps, r.Values)
}

// present says whether a row counts as a record.
func present(ps *mapping.PartSide, r schemas.Row) bool {
	if ps.Where == nil {
		return true
	}
	ok, err := ps.Where(r)
	return ok && err == nil
}
