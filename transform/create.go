package transform

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

// create plans a record on a side that has none.
func (p *planner) create(part *mapping.Part, m *member, side int) {
	ps, from := part.Sides[side], m.img[1-side]
	root := part == p.s.entity.Root
	if ps == nil || ps.ReadOnly || ps.Create == nil || root && p.s.noCreate || !root && !p.rootThere(side) {
		return
	}
	ok, err := ps.Create(from.env)
	if err != nil {
		p.park("value", "%s: whether to create it in %s: %v", p.name(part, m), p.s.entity.Systems[side], err)
		return
	}
	if !ok {
		return
	}
	b := &insertion{planner: p, part: part, m: m, side: side, row: make(schemas.Row, len(ps.Table.Columns)), set: map[int]bool{}}
	if !b.fields() || !b.defaults() {
		return
	}
	w := b.write()
	if !root {
		p.checkRoot(side)
	}
	b.parent(&w)
	b.absent(&w)
	if m.it.Former[side] {
		p.write(side, schemas.Write{Kind: schemas.WriteUnlink, Table: ps.Table.Name, Link: &schemas.Link{Entity: w.Link.Entity, Hub: w.Link.Hub}})
	}
	i := p.write(side, w)
	if root {
		p.rootInsert[side] = i
	}
	p.plan.Effects[side] = append(p.plan.Effects[side], b.effects...)
	p.effect(side, effect{Kind: effectCreate, Child: part.Name, Item: m.it.ID})
}

// checkRoot has a child written only while its root row is there and counts.
func (p *planner) checkRoot(side int) {
	if p.rootInsert[side] >= 0 || p.checked[side] {
		return
	}
	p.checked[side] = true
	ps := p.s.entity.Root.Sides[side]
	row := p.s.root.img[side].env.Row
	p.write(side, schemas.Write{Kind: schemas.WriteCheck, Table: ps.Table.Name, Key: keyCells(ps, row), Guard: whereCells(ps, row)})
}

// whereCells are the columns that say whether a row counts: what is written to a
// record that a user has withdrawn meanwhile would be lost with it.
func whereCells(ps *mapping.PartSide, row schemas.Row) []schemas.Cell {
	var out []schemas.Cell
	for _, c := range ps.WhereColumns {
		out = append(out, cell(ps, c, row))
	}
	return out
}

// rootThere says that the root has a row on a side, or gets one in this plan.
func (p *planner) rootThere(side int) bool {
	return p.s.root.img[side].present || p.rootInsert[side] >= 0
}

// insertion is a row being made.
type insertion struct {
	*planner
	part    *mapping.Part
	m       *member
	side    int
	row     schemas.Row
	set     map[int]bool
	order   []int
	effects []effect
}

func (b *insertion) put(col int, v schemas.Value) {
	b.row[col] = v
	if !b.set[col] {
		b.set[col] = true
		b.order = append(b.order, col)
	}
}

// fields fills what the fields say; false: it cannot be created now, and why is
// parked.
func (b *insertion) fields() bool {
	ok := true
	from, other := b.m.img[1-b.side], 1-b.side
	for i, f := range b.part.Fields {
		fs := f.Sides[b.side]
		if fs == nil || f.Sides[other] == nil || len(fs.Writes) == 0 {
			continue
		}
		switch {
		case from.problems[i] != nil:
			b.park("value", "%s.%s: the value in %s cannot be understood: %v", b.name(b.part, b.m), f.Name, b.s.entity.Systems[other], from.problems[i])
			ok = false
		case !from.known[i]:
			b.plan.Waits = append(b.plan.Waits, from.waits...)
			b.park("waiting", "%s.%s refers to a record that is not linked yet: %s", b.name(b.part, b.m), f.Name, showWaits(from.waits))
			ok = false
		case f.Ref != "" && !from.values[i].IsNull() && from.refs[i] == [2]string{}:
			b.refersToDead(b.part, b.m, f, from)
			ok = false
		case from.values[i].IsNull() && f.Required:
			b.park("value", "%s.%s is required in %s and empty in %s", b.name(b.part, b.m), f.Name, b.s.entity.Systems[b.side], b.s.entity.Systems[other])
			ok = false
		default:
			ok = b.field(i, f, fs) && ok
		}
	}
	return ok
}

func (b *insertion) field(i int, f *mapping.Field, fs *mapping.FieldSide) bool {
	from, ps := b.m.img[1-b.side], b.part.Sides[b.side]
	v := from.values[i]
	// What is empty, and what the new side owns and has a default for, is left to it.
	if v.IsNull() && optional(ps, fs) || ownerOf(f) == b.side && hasDefault(ps, fs) {
		return true
	}
	cells, err := b.out(f, b.side, v, from.refs[i], mapping.Env{Row: b.row, Joined: make([][]schemas.Row, len(ps.Joins))})
	if err != nil {
		b.park("value", "%s.%s: %s does not fit into %s: %v", b.name(b.part, b.m), f.Name, show(f, v), b.s.entity.Systems[b.side], err)
		return false
	}
	for k, c := range fs.Writes {
		b.put(c, cells[k])
	}
	e := effect{Kind: effectAgree, Child: b.part.Name, Item: b.m.it.ID, Field: f.Name, V: v, By: 1 - b.side}
	e.Edit[1-b.side] = from.edit[i]
	b.effects = append(b.effects, e)
	return true
}

// optional says that an insert may leave a field's columns out.
func optional(ps *mapping.PartSide, fs *mapping.FieldSide) bool {
	for _, c := range fs.Writes {
		if col := ps.Table.Columns[c]; !col.Nullable && !col.HasDefault {
			return false
		}
	}
	return true
}

// hasDefault says that the server fills a field's columns by itself.
func hasDefault(ps *mapping.PartSide, fs *mapping.FieldSide) bool {
	for _, c := range fs.Writes {
		if !ps.Table.Columns[c].HasDefault {
			return false
		}
	}
	return true
}

func (b *insertion) defaults() bool {
	ps := b.part.Sides[b.side]
	for _, d := range ps.Defaults {
		if b.set[d.Column] {
			continue
		}
		v, err := d.Value(b.m.img[1-b.side].env)
		if err != nil {
			b.park("value", "%s: the default of column %s in %s: %v", b.name(b.part, b.m), ps.Table.Columns[d.Column].Name, b.s.entity.Systems[b.side], err)
			return false
		}
		b.put(d.Column, v)
	}
	return true
}

// write is the insert with its key and link.
func (b *insertion) write() schemas.Write {
	ps := b.part.Sides[b.side]
	switch ps.Key {
	case mapping.KeyUUID:
		b.row[ps.Table.Key[0]] = schemas.Text(uuidOf(b.m.it.ID))
	case mapping.KeyHex17:
		b.row[ps.Table.Key[0]] = schemas.Text(uuidHex(b.m.it.ID)[:17])
	}
	w := schemas.Write{Kind: schemas.WriteInsert, Table: ps.Table.Name, Key: keyCells(ps, b.row)}
	w.Link = &schemas.Link{Entity: b.s.entity.LinkName(b.part), Hub: b.m.it.ID}
	if ps.Key != mapping.KeyByDatabase {
		w.Link.NativeKey = schemas.FormatKey(ps.Table.KeyOf(b.row))
	}
	isKey := map[int]bool{}
	for _, k := range ps.Table.Key {
		isKey[k] = true
	}
	for _, c := range b.order {
		if !isKey[c] {
			w.Set = append(w.Set, cell(ps, c, b.row))
		}
	}
	return w
}

// parent puts the key of the root row into a child.
func (b *insertion) parent(w *schemas.Write) {
	ps, root := b.part.Sides[b.side], b.s.entity.Root.Sides[b.side]
	for i, c := range ps.Parent {
		if b.set[c] {
			continue
		}
		key := root.Table.Key[i]
		cl := schemas.Cell{Column: ps.Table.Columns[c].Name}
		if ri := b.rootInsert[b.side]; ri >= 0 {
			cl.Value = b.plan.Writes[b.side][ri].Key[i].Value
			if cl.Value.IsNull() {
				if w.From == nil {
					w.From = map[string]int{}
				}
				w.From[cl.Column] = ri
				continue
			}
		} else {
			cl.Value = b.s.root.img[b.side].env.Row[key]
		}
		b.row[c] = cl.Value
		w.Set = append(w.Set, cl)
	}
}

// absent guards an insert by its match rules: each that the new row would
// satisfy must find nothing.
func (b *insertion) absent(w *schemas.Write) {
	ps := b.part.Sides[b.side]
	for _, rule := range b.part.Match {
		text, ok := matchText(rule, b.m.img[1-b.side])
		if !ok || b.shared(rule, text) {
			continue
		}
		var cells []schemas.Cell
		if b.part == b.s.entity.Root && slices.Contains(b.s.hidden, rule.ID) {
			if cells = b.counted(); cells == nil {
				continue
			}
		}
		complete := len(w.From) == 0 || len(ps.Parent) == 0
		for _, f := range rule.Fields {
			fs := b.part.Fields[f].Sides[b.side]
			if fs == nil || len(fs.Writes) == 0 {
				complete = false
				break
			}
			for _, c := range fs.Writes {
				complete = complete && (b.set[c] || isKeyColumn(ps, c)) && !b.row[c].IsNull()
				cells = append(cells, cell(ps, c, b.row))
			}
		}
		for _, c := range ps.Parent {
			cells = append(cells, cell(ps, c, b.row))
		}
		if complete {
			w.Absent = append(w.Absent, cells)
		}
	}
}

// counted narrows a search to rows that count, where some that do not are known to
// satisfy the rule: to those that hold the same as the new row in the columns that
// say so. nil: what the new row will hold there is left to the server.
func (b *insertion) counted() (cells []schemas.Cell) {
	ps := b.part.Sides[b.side]
	for _, c := range ps.WhereColumns {
		if !b.set[c] {
			return nil
		}
		cells = append(cells, cell(ps, c, b.row))
	}
	return cells
}

// shared says that a rule does not tell a child from its siblings: two billing
// addresses, where the rule is the kind. Such a rule guards nothing.
func (b *insertion) shared(rule mapping.MatchRule, text string) bool {
	for i, part := range b.s.entity.Children {
		if part != b.part {
			continue
		}
		for _, m := range b.s.children[i] {
			leaving := m.it.half() < 0 && m.img[0].present != m.img[1].present
			if m == b.m || leaving {
				continue
			}
			for _, img := range m.img {
				if t, ok := matchText(rule, img); ok && t == text {
					return true
				}
			}
		}
	}
	return false
}

func isKeyColumn(ps *mapping.PartSide, c int) bool {
	for _, k := range ps.Table.Key {
		if k == c {
			return true
		}
	}
	return false
}

// uuidHex derives 32 hex digits from an item's id: a plan stays a function of what
// it sees, and sending it again makes the same key.
func uuidHex(id string) string {
	sum := sha256.Sum256([]byte("strait:" + id))
	sum[6] = sum[6]&0x0f | 0x80 // version 8: of our own making (RFC 9562)
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x", sum[:16])
}

func uuidOf(id string) string {
	h := uuidHex(id)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
