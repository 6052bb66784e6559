package transform

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
	"github.com/strait-cdc/strait/transform/state"
)

func unmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }

// settle takes the answers to a batch: only now are the new values agreed, the
// conflicts recorded, the keys known.
func (e *engine) settle(tx state.Txn, sys string, n int64, answers []schemas.Answer) error {
	if n != e.answered[sys]+1 {
		return fmt.Errorf("settle %s: batch %d answered after batch %d", sys, n, e.answered[sys])
	}
	batch, err := e.batch(tx, sys, n)
	if err != nil {
		return err
	}
	byID := make(map[string]*schemas.Answer, len(answers))
	for i := range answers {
		byID[answers[i].ID] = &answers[i]
	}
	for i := range batch {
		p := &batch[i]
		a := byID[p.Intent.ID]
		if a == nil {
			return fmt.Errorf("settle %s: batch %d: no answer to %s", sys, n, p.Intent.ID)
		}
		if err := e.settleOne(tx, sys, n, p, a); err != nil {
			return fmt.Errorf("settle %s: batch %d: %s: %w", sys, n, p.Intent.ID, err)
		}
		if err := tx.Delete(append(batchKey("i", sys, n), []byte(fmt.Sprintf("\x00%06d", i+1))...)); err != nil {
			return err
		}
	}
	e.answered[sys] = n
	if err := e.adopt(tx, sys, n); err != nil {
		return err
	}
	for _, it := range e.blocked {
		e.queue.back(it)
	}
	e.blocked = nil
	return setInt(tx, state.Key("m", "answered", sys), n)
}

func (e *engine) settleOne(tx state.Txn, sys string, n int64, p *planned, a *schemas.Answer) error {
	rec, err := e.getRecord(tx, p.Entity, p.Hub)
	if err != nil || rec == nil {
		return err
	}
	u := unit{p.Entity, p.Hub}
	rec.Pending[p.Side] = 0
	outcome := a.Outcome
	if outcome == schemas.Missed && e.broken.missedForgotten {
		outcome = schemas.Applied
	}
	switch outcome {
	case schemas.Applied:
		e.obs.Applied(sys, p.Entity, businessFields(p))
		rec.Miss[p.Side] = nil
		if err := e.applied(tx, sys, n, rec, p, a); err != nil {
			return err
		}
	case schemas.Missed:
		e.obs.Missed(sys, p.Entity)
		tries := 1
		if m := rec.Miss[p.Side]; m != nil && m.Guard == p.Guard {
			tries = m.Tries + 1
		}
		rec.Miss[p.Side] = &miss{Batch: n, Guard: p.Guard, Tries: tries, Why: describe(p, a)}
	case schemas.Refused:
		e.obs.Refused(sys, p.Entity, strings.Join(rec.Keys[:], "="), a.Reason)
		rec.Miss[p.Side] = &miss{Batch: n, Refused: true, Guard: p.Guard, Why: describe(p, a)}
	default:
		return fmt.Errorf("outcome %d is not known", a.Outcome)
	}
	if err := e.putRecord(tx, rec); err != nil {
		return err
	}
	if e.seen[sys] < n {
		if err := tx.Set(append(batchKey("b", sys, n), []byte("\x00"+u.entity+"\x00"+u.hub)...), nil); err != nil {
			return err
		}
		if outcome == schemas.Missed {
			return nil
		}
	}
	return e.dirty(tx, u, false)
}

// businessFields counts the columns of business tables that an intent set.
func businessFields(p *planned) int {
	n := 0
	for _, w := range p.Intent.Writes {
		n += len(w.Set)
	}
	return n
}

// describe names the write that was not made, for the operator.
func describe(p *planned, a *schemas.Answer) string {
	if a.Write < 0 || a.Write >= len(p.Intent.Writes) {
		return a.Reason
	}
	w := p.Intent.Writes[a.Write]
	var cols []string
	for _, c := range w.Set {
		cols = append(cols, c.Column)
	}
	if len(cols) > 8 {
		cols = append(cols[:8], "...")
	}
	out := fmt.Sprintf("table %s, columns %s", w.Table, strings.Join(cols, ", "))
	if a.Reason != "" {
		out = a.Reason + " (" + out + ")"
	}
	return out
}

// applied brings the record up to date with a write that was made.
func (e *engine) applied(tx state.Txn, sys string, n int64, rec *record, p *planned, a *schemas.Answer) error {
	ent := e.entities[p.Entity]
	linked := rec.half() < 0
	keys := make([][]schemas.Cell, len(p.Intent.Writes))
	for i := range p.Intent.Writes {
		w := &p.Intent.Writes[i]
		if !w.Kind.Business() {
			continue
		}
		key, err := e.keyCells(sys, w, a)
		if err != nil {
			return err
		}
		keys[i] = key
		for col, from := range w.From {
			w.Set = append(w.Set, schemas.Cell{Column: col, Value: keys[from][0].Value})
		}
		if err := e.addOverlay(tx, sys, n, w, key); err != nil {
			return err
		}
	}
	for i := range p.Effects {
		if err := e.effect(tx, ent, sys, rec, p, &p.Effects[i], a); err != nil {
			return err
		}
	}
	if !linked && rec.half() < 0 {
		e.obs.Linked(ent.Name, true)
		return e.wakeAll(tx, ent, rec)
	}
	if rec.Dead {
		return e.wakeAll(tx, ent, rec)
	}
	return nil
}

// keyCells is the key of the written row; of an insert it comes with the answer.
func (e *engine) keyCells(sys string, w *schemas.Write, a *schemas.Answer) ([]schemas.Cell, error) {
	if w.Kind != schemas.WriteInsert {
		return w.Key, nil
	}
	text := a.Keys[w.Link.Hub]
	if text == "" {
		text = w.Link.NativeKey
	}
	t := e.tables[sys][w.Table.String()]
	types := make([]schemas.Type, len(t.shape.Key))
	for i, k := range t.shape.Key {
		types[i] = t.shape.Columns[k].Type
	}
	vals, ok := schemas.ParseKey(text, types)
	if !ok {
		return nil, fmt.Errorf("the key %q of the new row in %s cannot be read", text, w.Table)
	}
	out := make([]schemas.Cell, len(vals))
	for i, k := range t.shape.Key {
		out[i] = schemas.Cell{Column: t.shape.Columns[k].Name, Value: vals[i]}
	}
	return out, nil
}

// find is the item of an effect.
func (r *record) find(child, id string) *item {
	if child == "" {
		return &r.item
	}
	for _, it := range r.Children[child] {
		if it.ID == id {
			return it
		}
	}
	return nil
}

func (e *engine) effect(tx state.Txn, ent *mapping.Entity, sys string, rec *record, p *planned, ef *effect, a *schemas.Answer) error {
	it := rec.find(ef.Child, ef.Item)
	if it == nil {
		return nil
	}
	side := p.Side
	switch ef.Kind {
	case effectAgree:
		if !e.broken.agreedAtPlan {
			fs := it.field(ef.Field)
			*fs = fieldState{Agreed: true, V: ef.V, Edit: ef.Edit, By: ef.By, Bounce: fs.Bounce, Back: fs.Back}
			fs.Wrote[side] = true
		}
	case effectCreate:
		key := a.Keys[ef.Item]
		if key == "" {
			key = createdKey(p, ef.Item)
		}
		it.Keys[side], it.Linked[side], it.Former[side] = key, true, false
		part := ent.Root
		for _, c := range ent.Children {
			if c.Name == ef.Child {
				part = c
			}
		}
		if err := tx.Set(linkKey(ent.LinkName(part), sys, key), []byte(it.ID)); err != nil {
			return err
		}
	case effectLink:
		it.Linked[side] = true
	case effectUnlink:
		it.Linked[side] = false
	case effectDie:
		it.Dead, it.AtDeath = true, ef.AtDeath
		it.Removed[side] = it.Removed[side] || ef.Removed
		if len(ef.Undo) > 0 {
			it.Undo[side] = ef.Undo
		}
	case effectRevive:
		it.Undo[side] = nil
	}
	if ef.Conflict != nil && !e.broken.conflictAtPlan {
		return e.recordConflict(tx, ef.Conflict)
	}
	return nil
}

// createdKey is the key of an insert that we made up ourselves.
func createdKey(p *planned, hub string) string {
	for _, w := range p.Intent.Writes {
		if w.Kind == schemas.WriteInsert && w.Link != nil && w.Link.Hub == hub {
			return w.Link.NativeKey
		}
	}
	return ""
}
