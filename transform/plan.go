package transform

import (
	"fmt"
	"strings"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
	"github.com/strait-cdc/strait/transform/state"
)

// planned is an intent as it is written down before it is sent, with what its
// answer will change.
type planned struct {
	Entity  string         `json:"entity"`
	Hub     string         `json:"hub"`
	Side    int            `json:"side"`
	Intent  schemas.Intent `json:"intent"`
	Effects []effect       `json:"effects"`
	Guard   uint64         `json:"guard"`
}

// building is the batches that a planning step fills.
type building map[string]int

// plan takes the entities that are due and writes down what is to be done. Nothing
// is sent from here.
func (e *engine) plan(tx state.Txn) error {
	if !e.ready() {
		return nil
	}
	b := building{}
	now := e.now()
	for tx.Size() < e.bounds.Bytes {
		if e.allFull(b) || e.jammed() {
			break
		}
		it := e.queue.pop(now)
		if it == nil {
			break
		}
		done, err := e.planUnit(tx, it.unit, b)
		if err != nil {
			return fmt.Errorf("plan %s %s: %w", it.unit.entity, it.unit.hub, err)
		}
		if !done {
			// An answer makes room.
			e.blocked = append(e.blocked, it)
		}
	}
	for sys, n := range b {
		if n == 0 {
			continue
		}
		e.obs.Planned(sys, n)
		e.next[sys]++
		if err := setInt(tx, state.Key("m", "next", sys), e.next[sys]); err != nil {
			return err
		}
	}
	e.obs.Dirty(len(e.queue.items) + len(e.blocked))
	return nil
}

// jammed says that so much waits for a system that takes no more that looking
// further would only be work to be done again.
func (e *engine) jammed() bool { return len(e.blocked) >= e.bounds.Intents }

// full says that nothing more can be planned for a system now.
func (e *engine) full(b building, sys string) bool {
	return e.next[sys]-1-e.answered[sys] >= int64(e.bounds.Batches) || b[sys] >= e.bounds.Intents
}

func (e *engine) allFull(b building) bool {
	for _, sys := range e.systems() {
		if !e.full(b, sys) {
			return false
		}
	}
	return true
}

// planUnit plans one entity; false: a system it must write to takes no more now.
func (e *engine) planUnit(tx state.Txn, u unit, b building) (bool, error) {
	ent := e.entities[u.entity]
	rec, err := e.getRecord(tx, u.entity, u.hub)
	if err != nil {
		return false, err
	}
	if rec == nil || (rec.Pending[0] > 0 || rec.Pending[1] > 0) && !e.broken.noBlock {
		// The answer makes it dirty again.
		return true, e.clean(tx, u)
	}
	linked, dead := rec.half() < 0, rec.Dead
	edited, err := e.wasEdited(tx, u)
	if err != nil {
		return false, err
	}
	s, f, err := e.subject(tx, ent, rec)
	if err != nil {
		return false, err
	}
	before := keysOfAll(s)
	p := Reconcile(s)
	if err := e.dropLinks(tx, s, before); err != nil {
		return false, err
	}
	for _, c := range p.Conflicts {
		if err := e.recordConflict(tx, c); err != nil {
			return false, err
		}
	}
	if !linked && rec.half() < 0 || dead != rec.Dead {
		if err := e.wakeAll(tx, ent, rec); err != nil {
			return false, err
		}
	}
	e.stubborn(s, p, edited)
	for side, sys := range ent.Systems {
		if len(p.Writes[side]) > 0 && e.full(b, sys) {
			// What is agreed and linked already is kept; the writes are planned again.
			if err := e.relink(tx, s); err != nil {
				return false, err
			}
			return false, e.putRecord(tx, s.rec)
		}
	}
	if f.kind != "" {
		p.Parks = append(p.Parks, Parked{Kind: f.kind, Reason: f.reason})
		p.Waits = append(p.Waits, f.waits...)
	}
	for side, sys := range ent.Systems {
		if err := e.intend(tx, s, p, side, sys, b); err != nil {
			return false, err
		}
	}
	return true, e.remember(tx, u, s, p)
}

// subject assembles a record and, where it is half, looks for its other half.
func (e *engine) subject(tx state.Txn, ent *mapping.Entity, rec *record) (*subject, found, error) {
	s, err := e.assemble(tx, ent, rec)
	if err != nil {
		return nil, found{}, err
	}
	if err := e.reopen(tx, s); err != nil {
		return nil, found{}, err
	}
	h := rec.half()
	if h < 0 || rec.Dead || !s.root.img[1-h].present {
		return s, found{}, nil
	}
	f, err := e.findPartner(tx, s)
	if err != nil {
		return nil, f, err
	}
	s.noCreate = f.kind != ""
	if f.partner == nil {
		return s, f, nil
	}
	if err := e.join(tx, s, f.partner); err != nil {
		return nil, f, err
	}
	s, err = e.assemble(tx, ent, rec)
	return s, f, err
}

// reopen takes a dead record up again whose row has come back on one side while
// there is none on the other: it is half, and its partner is looked for like that
// of a new one.
func (e *engine) reopen(tx state.Txn, s *subject) error {
	rec := s.rec
	if !rec.Dead {
		return nil
	}
	for side, img := range s.root.img {
		other := 1 - side
		if !img.present || rec.AtDeath[side] || s.root.img[other].exists {
			continue
		}
		if rec.Keys[other] != "" {
			if err := tx.Delete(linkKey(rec.Entity, s.entity.Systems[other], rec.Keys[other])); err != nil {
				return err
			}
		}
		rec.Dead, rec.AtDeath, rec.Removed = false, [2]bool{}, [2]bool{}
		rec.vacate(other)
		return e.reopenChildren(tx, s, other)
	}
	return nil
}

// reopenChildren takes up the children whose rows on a side went with the root's.
func (e *engine) reopenChildren(tx state.Txn, s *subject, side int) error {
	before := keysOfAll(s)
	p := &planner{s: s, plan: &Plan{}}
	p.vacateChildren(side)
	return e.dropLinks(tx, s, before)
}

// keysOfAll are the keys of all items, to see which are given up.
func keysOfAll(s *subject) map[*item][2]string {
	out := map[*item][2]string{s.root.it: s.root.it.Keys}
	for _, ms := range s.children {
		for _, m := range ms {
			out[m.it] = m.it.Keys
		}
	}
	return out
}

// dropLinks forgets the links of rows that an item has given up.
func (e *engine) dropLinks(tx state.Txn, s *subject, before map[*item][2]string) error {
	drop := func(part *mapping.Part, m *member) error {
		for side, was := range before[m.it] {
			if was == "" || m.it.Keys[side] != "" {
				continue
			}
			if err := tx.Delete(linkKey(s.entity.LinkName(part), s.entity.Systems[side], was)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := drop(s.entity.Root, s.root); err != nil {
		return err
	}
	for i, part := range s.entity.Children {
		for _, m := range s.children[i] {
			if err := drop(part, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// stubborn parks what would be sent again although nothing has changed since it
// was not taken: our equality and the server's differ, or it was refused. What was
// refused is tried again after a user's change of the entity.
func (e *engine) stubborn(s *subject, p *Plan, edited bool) {
	for side := range p.Writes {
		m := s.rec.Miss[side]
		if m == nil || s.fenced[side] {
			continue
		}
		if len(p.Writes[side]) == 0 || m.Guard != p.Guards[side] || m.Refused && edited {
			s.rec.Miss[side] = nil
			continue
		}
		create := inserts(p.Writes[side])
		if !m.Refused && create && m.Tries < 5 {
			continue
		}
		kind, reason := "guard", fmt.Sprintf("%s compares a value differently than we do, so that a guarded write never matches (type, collation, padding): %s", s.entity.Systems[side], m.Why)
		if m.Refused {
			kind, reason = "refused", fmt.Sprintf("%s refuses the write: %s", s.entity.Systems[side], m.Why)
		}
		p.Parks = append(p.Parks, Parked{Kind: kind, Reason: reason})
		p.Writes[side], p.Effects[side] = nil, nil
	}
}

func inserts(ws []schemas.Write) bool {
	for _, w := range ws {
		if w.Kind == schemas.WriteInsert {
			return true
		}
	}
	return false
}

// intend writes an intent down under the number of the batch being built.
func (e *engine) intend(tx state.Txn, s *subject, p *Plan, side int, sys string, b building) error {
	if len(p.Writes[side]) == 0 {
		return nil
	}
	batch := e.next[sys]
	pl := planned{Entity: s.rec.Entity, Hub: s.rec.Hub, Side: side, Effects: p.Effects[side], Guard: p.Guards[side],
		Intent: schemas.Intent{ID: s.rec.Entity + "/" + s.rec.Hub, Writes: p.Writes[side]}}
	b[sys]++
	s.rec.Pending[side] = batch
	if e.broken.agreedAtPlan || e.broken.conflictAtPlan {
		if err := e.breakPlan(tx, s, &pl); err != nil {
			return err
		}
	}
	return setJSON(tx, append(batchKey("i", sys, batch), []byte(fmt.Sprintf("\x00%06d", b[sys]))...), pl)
}

// remember stores what was decided: the record, who it waits for, why it is parked.
func (e *engine) remember(tx state.Txn, u unit, s *subject, p *Plan) error {
	if err := e.relink(tx, s); err != nil {
		return err
	}
	if err := e.putRecord(tx, s.rec); err != nil {
		return err
	}
	for _, w := range p.Waits {
		if err := e.waitFor(tx, u, w.entity, w.side, w.pk); err != nil {
			return err
		}
	}
	if len(p.Parks) == 0 {
		if err := e.unpark(tx, u.entity, u.hub); err != nil {
			return err
		}
	} else {
		var reasons []string
		for _, k := range p.Parks {
			reasons = append(reasons, k.Reason)
		}
		if err := e.park(tx, s.rec, p.Parks[0].Kind, strings.Join(reasons, "; ")); err != nil {
			return err
		}
	}
	return e.clean(tx, u)
}

// relink points the links of items that took over another item's row to them.
func (e *engine) relink(tx state.Txn, s *subject) error {
	for i, part := range s.entity.Children {
		for _, m := range s.children[i] {
			if !m.it.paired {
				continue
			}
			for side, sys := range s.entity.Systems {
				if err := tx.Set(linkKey(s.entity.LinkName(part), sys, m.it.Keys[side]), []byte(m.it.ID)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// wakeAll marks those who wait for either row of a record.
func (e *engine) wakeAll(tx state.Txn, ent *mapping.Entity, rec *record) error {
	for side := range ent.Systems {
		if rec.Keys[side] == "" {
			continue
		}
		if err := e.wake(tx, ent.Name, side, rec.Keys[side]); err != nil {
			return err
		}
	}
	return nil
}

// outstanding are the batches of a system that have been written down and not
// answered, oldest first.
func (e *engine) outstanding(sys string) []int64 {
	var out []int64
	for n := e.answered[sys] + 1; n < e.next[sys]; n++ {
		out = append(out, n)
	}
	return out
}

// batch reads a batch as it was written down.
func (e *engine) batch(tx state.Txn, sys string, n int64) ([]planned, error) {
	var out []planned
	err := tx.Scan(append(batchKey("i", sys, n), 0), func(_, v []byte) (bool, error) {
		var p planned
		if err := unmarshal(v, &p); err != nil {
			return false, fmt.Errorf("stored intent of batch %d for %s: %w", n, sys, err)
		}
		out = append(out, p)
		return true, nil
	})
	return out, err
}
