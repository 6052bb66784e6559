package transform

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

// Plan is what Reconcile decided for one entity.
type Plan struct {
	// Writes are those for each side, in order; none: nothing to do there.
	Writes [2][]schemas.Write
	// Effects are what becomes true when the write of that side was applied.
	Effects [2][]effect
	// Guards identify the writes with all they assume.
	Guards [2]uint64
	// Conflicts are already decided and need no write.
	Conflicts []*Conflict
	// Parks say why the entity, or a part of it, waits.
	Parks []Parked
	// Waits are the rows it waits for.
	Waits []wait
	// Withheld says that there is something to write to that side once its fence is
	// passed.
	Withheld [2]bool
}

// effect is what the answer to a write changes in the record.
type effect struct {
	Kind effectKind `json:"k"`
	// Child is the name of the part, empty for the root; Item the item's id.
	Child string `json:"ch,omitempty"`
	Item  string `json:"item"`
	// Of an agreement: the field, the value, the edits it was planned with, the side
	// it came from, and the conflict it settles.
	Field    string        `json:"f,omitempty"`
	V        schemas.Value `json:"v"`
	Edit     [2]uint64     `json:"e"`
	By       int           `json:"by,omitempty"`
	Conflict *Conflict     `json:"c,omitempty"`
	// Of a death: where the record was left in place, and what was overwritten.
	AtDeath [2]bool        `json:"ad"`
	Removed bool           `json:"rm,omitempty"`
	Undo    []schemas.Cell `json:"u,omitempty"`
}

type effectKind uint8

const (
	effectAgree  effectKind = iota + 1
	effectCreate            // the item has a row on this side, with the key of the answer
	effectLink              // strait.link of this side holds the item
	effectUnlink
	effectDie
	effectRevive
	effectConflict // only record it
)

// planner builds a Plan. It has no clock and does no I/O.
type planner struct {
	s    *subject
	plan *Plan
	// rootInsert is, while a record is created on a side, the index of the root's
	// insert; -1 otherwise.
	rootInsert [2]int
	// checked says that the plan checks that the root row is there.
	checked [2]bool
}

// Reconcile decides what each side of an entity should hold. It is pure: the
// same subject always gives the same plan; the record in it is brought up to date
// with what needs no write.
func Reconcile(s *subject) *Plan {
	p := &planner{s: s, plan: &Plan{}, rootInsert: [2]int{-1, -1}}
	alive := p.root()
	if alive {
		for i, part := range s.entity.Children {
			for _, m := range s.children[i] {
				p.member(part, m)
			}
		}
	}
	for side := range p.plan.Writes {
		if p.rootInsert[side] >= 0 && p.blocked() {
			// Never half a business object: it is created with all its children or not yet.
			p.plan.Writes[side], p.plan.Effects[side] = nil, nil
		}
		if len(p.plan.Writes[side]) == 0 {
			continue
		}
		if s.fenced[side] {
			p.plan.Writes[side], p.plan.Effects[side] = nil, nil
			p.plan.Withheld[side] = true
			continue
		}
		p.plan.Guards[side] = p.fingerprint(side)
	}
	return p.plan
}

// fingerprint is equal for two plans exactly when they would write the same with
// the same assumptions about the same row images.
func (p *planner) fingerprint(side int) uint64 {
	h := fnv.New64a()
	if err := json.NewEncoder(h).Encode(p.plan.Writes[side]); err != nil {
		panic("writes cannot be encoded: " + err.Error())
	}
	fmt.Fprint(h, p.s.root.img[side].seq)
	for _, ms := range p.s.children {
		for _, m := range ms {
			fmt.Fprintf(h, "|%d", m.img[side].seq)
		}
	}
	return h.Sum64()
}

// root decides over the entity's own record; it reports whether its children are
// to be looked at.
func (p *planner) root() bool {
	m := p.s.root
	before := len(p.plan.Parks)
	p.member(p.s.entity.Root, m)
	if m.it.Dead {
		p.orphans()
		p.hidden()
		p.unlinkChildren()
		return false
	}
	if len(p.plan.Parks) > before && p.blocked() {
		return false
	}
	for side := range m.img {
		if !m.img[side].present && p.rootInsert[side] < 0 {
			return false
		}
	}
	return true
}

// blocked says that what was parked concerns the whole entity.
func (p *planner) blocked() bool {
	for _, k := range p.plan.Parks {
		if k.Kind != "held" && k.Kind != "review" {
			return true
		}
	}
	return false
}

// member decides over one record: life first, then fields.
func (p *planner) member(part *mapping.Part, m *member) {
	it := m.it
	a, b := m.img[0].present, m.img[1].present
	if it.Dead {
		p.revival(part, m)
		return
	}
	switch h := it.half(); {
	case h >= 0 && !m.img[1-h].present:
		p.die(part, m, [2]bool{})
	case h >= 0:
		p.create(part, m, h)
	case a && b:
		p.link(part, m)
		p.fields(part, m)
	case !a && !b:
		p.die(part, m, [2]bool{})
	case a:
		p.gone(part, m, 1)
	default:
		p.gone(part, m, 0)
	}
}

// link has both databases hold the pairing.
func (p *planner) link(part *mapping.Part, m *member) {
	for side := range m.img {
		if m.it.Linked[side] || m.it.Keys[side] == "" {
			continue
		}
		p.write(side, schemas.Write{Kind: schemas.WriteLink, Table: part.Sides[side].Table.Name, Link: p.linkOf(part, m, side)})
		p.effect(side, effect{Kind: effectLink, Child: part.Name, Item: m.it.ID})
	}
}

func (p *planner) linkOf(part *mapping.Part, m *member, side int) *schemas.Link {
	return &schemas.Link{Entity: p.s.entity.LinkName(part), Hub: m.it.ID, NativeKey: m.it.Keys[side]}
}

func (p *planner) write(side int, w schemas.Write) int {
	p.plan.Writes[side] = append(p.plan.Writes[side], w)
	return len(p.plan.Writes[side]) - 1
}

func (p *planner) effect(side int, e effect) {
	p.plan.Effects[side] = append(p.plan.Effects[side], e)
}

func (p *planner) park(kind, format string, args ...any) {
	p.plan.Parks = append(p.plan.Parks, Parked{Entity: p.s.rec.Entity, Hub: p.s.rec.Hub, Keys: p.s.rec.Keys, Kind: kind, Reason: fmt.Sprintf(format, args...)})
}

// die ends a record that is gone on both sides. The links in the databases are
// marked dead with the next write there; nothing waits for it.
func (p *planner) die(part *mapping.Part, m *member, left [2]bool) {
	m.it.Dead, m.it.AtDeath = true, left
	p.unlink(part, m)
}

// unlink has both databases mark the pairing dead.
func (p *planner) unlink(part *mapping.Part, m *member) {
	for side := range m.img {
		if m.it.Linked[side] {
			p.write(side, schemas.Write{Kind: schemas.WriteUnlink, Table: part.Sides[side].Table.Name, Link: p.linkOf(part, m, side)})
			p.effect(side, effect{Kind: effectUnlink, Child: part.Name, Item: m.it.ID})
		}
	}
}

// unlinkChildren ends the pairings of a record's children with its own.
func (p *planner) unlinkChildren() {
	for i, part := range p.s.entity.Children {
		for _, m := range p.s.children[i] {
			p.unlink(part, m)
		}
	}
}

// gone decides what the disappearance of a record on one side means for the
// other.
func (p *planner) gone(part *mapping.Part, m *member, side int) {
	other := 1 - side
	rule := mapping.DeleteRule{}
	if ps := part.Sides[other]; ps != nil {
		rule = ps.OtherDeleted
		if ps.ReadOnly && rule.Action != mapping.DeleteRestore {
			rule.Action = mapping.DeleteKeep
		}
	}
	left := [2]bool{}
	left[other] = true
	switch rule.Action {
	case mapping.DeleteKeep:
		p.die(part, m, left)
	case mapping.DeleteReview:
		p.park("review", "%s was deleted in %s; decide what becomes of %s", p.name(part, m), p.s.entity.Systems[side], p.key(m, other))
	case mapping.DeleteRestore:
		p.restore(part, m, side)
	case mapping.DeleteSet:
		p.deleteSet(part, m, other, rule)
	case mapping.DeleteRemove:
		p.deleteRow(part, m, other)
	}
}

// restore puts a record back where it was deleted: it becomes half and is created
// anew.
func (p *planner) restore(part *mapping.Part, m *member, side int) {
	if m.img[side].exists {
		// The row is still there, only not counted: what a person hid is not made twice.
		p.park("review", "%s was withdrawn in %s and its rule says restore; show it again there, or delete it on the other side", p.name(part, m), p.s.entity.Systems[side])
		return
	}
	m.it.vacate(side)
	if part == p.s.entity.Root {
		p.vacateChildren(side)
	}
	p.create(part, m, side)
}

// vacateChildren makes children half again whose rows went with the root's.
func (p *planner) vacateChildren(side int) {
	for _, ms := range p.s.children {
		for _, m := range ms {
			if !m.img[side].exists && m.it.Keys[side] != "" {
				m.it.vacate(side)
				m.it.Dead, m.it.AtDeath = false, [2]bool{}
			}
		}
	}
}

// overruled records, when a record is deleted, the edits its author had not seen.
func (p *planner) overruled(part *mapping.Part, m *member, side int) {
	for _, c := range p.unseen(part, m, side) {
		p.effect(side, effect{Kind: effectConflict, Child: part.Name, Item: m.it.ID, Conflict: c})
	}
}

// unseen are the values of a record that its author on the other side, who deleted
// it, did not know.
func (p *planner) unseen(part *mapping.Part, m *member, side int) (out []*Conflict) {
	for i, f := range part.Fields {
		base := schemas.Null
		if fs := m.it.Fields[f.Name]; fs != nil && fs.Agreed {
			base = fs.V
		}
		img := m.img[side]
		if !img.present || !img.known[i] || img.values[i] == base {
			continue
		}
		c := p.conflict(part, m, f, base, "deleted", 1-side)
		c.Values[side], c.When[side] = m.img[side].values[i], m.img[side].when[i]
		out = append(out, c)
	}
	return out
}

// deleteRow removes the row, guarded by all mapped values, its children first.
func (p *planner) deleteRow(part *mapping.Part, m *member, side int) {
	if part.Name == "" {
		for i, child := range p.s.entity.Children {
			for _, cm := range p.s.children[i] {
				if cm.img[side].exists && !cm.it.Dead {
					p.deleteRow(child, cm, side)
				}
			}
		}
	}
	p.overruled(part, m, side)
	ps := part.Sides[side]
	w := schemas.Write{Kind: schemas.WriteDelete, Table: ps.Table.Name, Key: keyCells(ps, m.img[side].env.Row)}
	for _, c := range mappedColumns(part, side) {
		w.Guard = append(w.Guard, cell(ps, c, m.img[side].env.Row))
	}
	p.write(side, w)
	p.effect(side, effect{Kind: effectDie, Child: part.Name, Item: m.it.ID, Removed: true})
}

// orphans removes children that were added to a record while we deleted it.
func (p *planner) orphans() {
	for side, removed := range p.s.rec.Removed {
		if !removed || p.s.root.img[side].exists {
			continue
		}
		for i, part := range p.s.entity.Children {
			for _, m := range p.s.children[i] {
				if m.img[side].exists && !part.Sides[side].ReadOnly {
					p.deleteRow(part, m, side)
				}
			}
		}
	}
}

// deleteSet writes the cells that stand for a deletion on this side.
func (p *planner) deleteSet(part *mapping.Part, m *member, side int, rule mapping.DeleteRule) {
	p.overruled(part, m, side)
	if part == p.s.entity.Root {
		p.hideChildren(side)
	}
	ps, row := part.Sides[side], m.img[side].env.Row
	w := schemas.Write{Kind: schemas.WriteUpdate, Table: ps.Table.Name, Key: keyCells(ps, row)}
	after := append(schemas.Row(nil), row...)
	var undo []schemas.Cell
	for _, d := range rule.Set {
		v, err := d.Value(m.img[side].env)
		if err != nil {
			p.park("value", "%s: the value for column %s on deletion: %v", p.name(part, m), ps.Table.Columns[d.Column].Name, err)
			return
		}
		undo = append(undo, cell(ps, d.Column, row))
		after[d.Column] = v
		w.Set = append(w.Set, cell(ps, d.Column, after))
	}
	columns := mappedColumns(part, side)
	for _, d := range rule.Set {
		if !slices.Contains(columns, d.Column) {
			columns = append(columns, d.Column)
		}
	}
	for _, c := range columns {
		w.Guard = append(w.Guard, cell(ps, c, row))
	}
	left := [2]bool{}
	left[side] = present(ps, after)
	p.write(side, w)
	p.effect(side, effect{Kind: effectDie, Child: part.Name, Item: m.it.ID, AtDeath: left, Undo: undo})
}

// hideChildren has the children that disappear with their root stay as we know
// them, and records what was entered there unseen.
func (p *planner) hideChildren(side int) {
	for i, part := range p.s.entity.Children {
		for _, m := range p.s.children[i] {
			if !m.img[side].exists || m.it.Dead {
				continue
			}
			p.overruled(part, m, side)
			w := schemas.Write{Kind: schemas.WriteCheck, Table: part.Sides[side].Table.Name, Key: keyCells(part.Sides[side], m.img[side].env.Row)}
			for _, c := range mappedColumns(part, side) {
				w.Guard = append(w.Guard, cell(part.Sides[side], c, m.img[side].env.Row))
			}
			p.write(side, w)
		}
	}
}

// hidden records what was added to a record on a side while we withdrew it there.
func (p *planner) hidden() {
	for side, img := range p.s.root.img {
		if !img.exists || img.present || len(p.s.rec.Undo[side]) == 0 {
			continue
		}
		for i, part := range p.s.entity.Children {
			for _, m := range p.s.children[i] {
				if m.img[side].exists && m.it.half() == 1-side && !m.it.Dead {
					p.plan.Conflicts = append(p.plan.Conflicts, p.unseen(part, m, side)...)
					p.noted(part, m, side)
				}
			}
		}
	}
}

// noted remembers the values of a record on one side, so that only later edits are
// unseen again.
func (p *planner) noted(part *mapping.Part, m *member, side int) {
	for i, f := range part.Fields {
		if m.img[side].known[i] {
			fs := m.it.field(f.Name)
			fs.Agreed, fs.V = true, m.img[side].values[i]
		}
	}
}

// revival looks whether a dead record has come back on a side where it was gone.
func (p *planner) revival(part *mapping.Part, m *member) {
	it := m.it
	for side := range m.img {
		if !m.img[side].present || it.AtDeath[side] || it.Keys[side] == "" {
			continue
		}
		other := 1 - side
		switch {
		case m.img[other].present:
			it.Dead, it.AtDeath, it.Removed = false, [2]bool{}, [2]bool{}
			p.undo(part, m, other)
			p.member(part, m)
		case m.img[other].exists && len(it.Undo[other]) > 0:
			p.undo(part, m, other)
		case m.img[other].exists:
			p.park("review", "%s came back in %s; its other record %s is there but does not count; decide what becomes of it", p.name(part, m), p.s.entity.Systems[side], p.key(m, other))
		default:
			it.Dead, it.AtDeath, it.Removed = false, [2]bool{}, [2]bool{}
			it.vacate(other)
			p.create(part, m, other)
		}
		return
	}
	p.unlink(part, m)
}

// undo takes a deletion back: with the cells that the rule names for it, else with
// what the deletion overwrote.
func (p *planner) undo(part *mapping.Part, m *member, side int) {
	if len(m.it.Undo[side]) == 0 {
		return
	}
	ps, row := part.Sides[side], m.img[side].env.Row
	cells := m.it.Undo[side]
	if rule := ps.OtherDeleted.Undo; len(rule) > 0 {
		cells = nil
		for _, d := range rule {
			v, err := d.Value(m.img[side].env)
			if err != nil {
				p.park("value", "%s: the value for column %s on revival: %v", p.name(part, m), ps.Table.Columns[d.Column].Name, err)
				return
			}
			cells = append(cells, schemas.Cell{Column: ps.Table.Columns[d.Column].Name, Value: v})
		}
	}
	w := schemas.Write{Kind: schemas.WriteUpdate, Table: ps.Table.Name, Key: keyCells(ps, row)}
	for _, c := range cells {
		if i := ps.Table.Column(c.Column); i >= 0 && row[i] != c.Value {
			w.Set = append(w.Set, c)
			w.Guard = append(w.Guard, cell(ps, i, row))
		}
	}
	if len(w.Set) == 0 {
		m.it.Undo[side] = nil
		return
	}
	p.write(side, w)
	p.effect(side, effect{Kind: effectRevive, Child: part.Name, Item: m.it.ID})
}

func (p *planner) name(part *mapping.Part, m *member) string {
	n := p.s.entity.Name
	if part.Name != "" {
		n += "." + part.Name
	}
	return n
}

func (p *planner) key(m *member, side int) string {
	return p.s.entity.Systems[side] + ":" + m.it.Keys[side]
}

func (p *planner) conflict(part *mapping.Part, m *member, f *mapping.Field, base schemas.Value, rule string, winner int) *Conflict {
	return &Conflict{Entity: p.s.rec.Entity, Hub: p.s.rec.Hub, Child: part.Name, Item: m.it.ID, Keys: m.it.Keys, Field: f.Name, Base: base, Winner: winner, Rule: rule}
}

func keyCells(ps *mapping.PartSide, row schemas.Row) []schemas.Cell {
	out := make([]schemas.Cell, len(ps.Table.Key))
	for i, k := range ps.Table.Key {
		out[i] = cell(ps, k, row)
	}
	return out
}

func cell(ps *mapping.PartSide, col int, row schemas.Row) schemas.Cell {
	return schemas.Cell{Column: ps.Table.Columns[col].Name, Value: row[col]}
}

// mappedColumns are the columns that fields of a part read or write on a side.
func mappedColumns(part *mapping.Part, side int) []int {
	have := map[int]bool{}
	var out []int
	add := func(cols []int) {
		for _, c := range cols {
			if !have[c] {
				have[c] = true
				out = append(out, c)
			}
		}
	}
	add(part.Sides[side].WhereColumns)
	for _, f := range part.Fields {
		if fs := f.Sides[side]; fs != nil {
			add(fs.Reads)
			add(fs.Writes)
		}
	}
	return out
}
