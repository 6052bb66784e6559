package mapping

import (
	"regexp"
	"time"
)

// The quiet period of an entity that gives none.
const (
	defaultQuiet    = 300 * time.Millisecond
	defaultMaxQuiet = 5 * time.Second
)

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// named reads the name of something that expressions and topics may spell.
func (r *reader) named(t text, what string) text {
	if t.set() && !nameForm.MatchString(t.s) {
		r.add(t.pos, "", "%s name %q: use lower-case letters, digits and underscores, a letter first", what, t.s)
	}
	return t
}

func (r *reader) entity(o *object) *entityDoc {
	o.only("kind", "name", "quiet", "max_quiet", "sides", "match", "create", "deleted_in", "fields", "children")
	e := &entityDoc{
		name:     r.named(o.require("name"), "entity"),
		quiet:    o.duration("quiet", defaultQuiet),
		maxQuiet: o.duration("max_quiet", 0),
	}
	if e.maxQuiet == 0 {
		e.maxQuiet = max(defaultMaxQuiet, 4*e.quiet)
	}
	if e.maxQuiet < e.quiet {
		r.add(o.values["max_quiet"].pos, "", "max_quiet is shorter than quiet")
	}
	systems := r.systems(o)
	if systems == nil {
		return nil
	}
	e.root = r.part(o, systems, false)
	if v, ok := o.values["children"]; ok {
		if c := v.object(); c != nil {
			for _, k := range c.keys {
				co := c.values[k.s].object()
				if co == nil {
					continue
				}
				co.only("sides", "match", "create", "deleted_in", "fields")
				p := r.part(co, systems, true)
				p.name = r.named(k, "child")
				e.children = append(e.children, p)
			}
		}
	}
	return e
}

// systems are the names of the two sides of an entity; nil and a problem if
// there are not two.
func (r *reader) systems(o *object) []string {
	v, ok := o.values["sides"]
	if !ok {
		r.add(o.pos, "", "%q is missing", "sides")
		return nil
	}
	s := v.object()
	if s == nil {
		return nil
	}
	if len(s.keys) != 2 {
		r.add(v.pos, "", "an entity has two sides, found %d", len(s.keys))
		return nil
	}
	for _, k := range s.keys {
		if !nameForm.MatchString(k.s) || contains(fieldKeys, k.s) {
			r.add(k.pos, "", "a system cannot be called %q in a mapping", k.s)
			return nil
		}
	}
	return []string{s.keys[0].s, s.keys[1].s}
}

func (r *reader) part(o *object, systems []string, child bool) *partDoc {
	p := &partDoc{pos: o.pos, create: map[string]text{}, deletedIn: map[string]*deletedDoc{}}
	r.sides(o, p, systems, child)
	for _, v := range o.list("match") {
		if m := v.object(); m != nil {
			m.only("name", "fields", "unless")
			p.match = append(p.match, &matchDoc{name: m.require("name"), fields: m.texts("fields"), unless: m.text("unless")})
		}
	}
	r.bySystem(o, "create", systems, func(system string, v value) { p.create[system] = v.text() })
	r.bySystem(o, "deleted_in", systems, func(system string, v value) {
		if d := v.object(); d != nil {
			d.only("do", "set", "undo")
			p.deletedIn[system] = &deletedDoc{do: d.require("do"), set: r.cells(d, "set"), undo: r.cells(d, "undo")}
		}
	})
	for _, v := range o.list("fields") {
		if f := v.object(); f != nil {
			p.fields = append(p.fields, r.field(f, systems))
		}
	}
	if len(p.fields) == 0 {
		r.add(o.pos, "", "no fields")
	}
	return p
}

// bySystem reads a mapping whose keys are the systems.
func (r *reader) bySystem(o *object, key string, systems []string, f func(system string, v value)) {
	v, ok := o.values[key]
	if !ok {
		return
	}
	m := v.object()
	if m == nil {
		return
	}
	m.only(systems...)
	for _, k := range m.keys {
		if contains(systems, k.s) {
			f(k.s, m.values[k.s])
		}
	}
}

func (r *reader) sides(o *object, p *partDoc, systems []string, child bool) {
	if _, ok := o.values["sides"]; !ok {
		r.add(o.pos, "", "%q is missing", "sides")
	}
	r.bySystem(o, "sides", systems, func(system string, v value) {
		s := v.object()
		if s == nil {
			return
		}
		allowed := []string{"table", "key", "new_key", "where", "defaults", "join", "read_only"}
		if child {
			allowed = append(allowed, "parent")
		}
		s.only(allowed...)
		d := &sideDoc{system: text{s: system, pos: v.pos}, table: s.require("table"), key: s.texts("key"), newKey: s.text("new_key"),
			where: s.text("where"), parent: s.texts("parent"), readOnly: s.bool("read_only"), defaults: r.cells(s, "defaults")}
		if child && len(d.parent) == 0 {
			r.add(s.pos, "name the column that holds the key of the entity's own row", "%q is missing", "parent")
		}
		d.joins = r.joins(s)
		p.sides = append(p.sides, d)
	})
	for _, system := range systems {
		if _, ok := o.values["sides"]; ok && p.side(system) == nil {
			r.add(o.values["sides"].pos, "", "side %q is missing", system)
		}
	}
}

func (r *reader) joins(s *object) []*joinDoc {
	v, ok := s.values["join"]
	if !ok {
		return nil
	}
	m := v.object()
	if m == nil {
		return nil
	}
	var out []*joinDoc
	for _, k := range m.keys {
		j := m.values[k.s].object()
		if j == nil {
			continue
		}
		j.only("table", "on")
		d := &joinDoc{name: r.named(k, "join"), table: j.require("table")}
		if on, ok := j.values["on"]; !ok {
			r.add(j.pos, "write on: {column of the joined table: column of this table}", "%q is missing", "on")
		} else if pairs := on.object(); pairs != nil {
			for _, c := range pairs.keys {
				d.on = append(d.on, [2]text{c, pairs.text(c.s)})
			}
		}
		out = append(out, d)
	}
	return out
}

// cells reads columns with constants, or {expr: …}.
func (r *reader) cells(o *object, key string) []*cellDoc {
	v, ok := o.values[key]
	if !ok {
		return nil
	}
	m := v.object()
	if m == nil {
		return nil
	}
	var out []*cellDoc
	for _, k := range m.keys {
		c := &cellDoc{column: k, constant: text{null: true}, expr: text{null: true}}
		if val := m.values[k.s]; isMapping(val) {
			e := val.object()
			e.only("expr")
			c.expr = e.require("expr")
		} else {
			c.constant = val.text()
		}
		out = append(out, c)
	}
	return out
}

// fieldKeys are the keys of a field beside the names of the systems.
var fieldKeys = []string{"name", "type", "ref", "required", "owner", "resolve", "tie", "codes", "via"}

func (r *reader) field(o *object, systems []string) *fieldDoc {
	o.only(append(append([]string(nil), fieldKeys...), systems...)...)
	f := &fieldDoc{pos: o.pos, name: r.named(o.require("name"), "field"), typ: o.text("type"), ref: o.text("ref"), codes: o.text("codes"),
		owner: o.text("owner"), resolve: o.text("resolve"), tie: o.text("tie"), required: o.bool("required"), via: o.texts("via"),
		sides: map[string]*fieldSideDoc{}}
	if f.name.set() {
		f.pos = f.name.pos
	}
	for _, system := range systems {
		v, ok := o.values[system]
		if !ok {
			continue
		}
		if !isMapping(v) {
			f.sides[system] = &fieldSideDoc{pos: v.pos, columns: v.texts(), expr: text{null: true}}
			continue
		}
		if s := v.object(); s != nil {
			f.sides[system] = r.fieldSide(s)
		}
	}
	if len(f.sides) == 0 {
		r.add(f.pos, "", "field %q names no column on either side", f.name.s)
	}
	return f
}

func (r *reader) fieldSide(s *object) *fieldSideDoc {
	s.only("column", "columns", "expr", "via", "read_only")
	d := &fieldSideDoc{pos: s.pos, expr: s.text("expr"), via: s.texts("via"), readOnly: s.bool("read_only")}
	given := 0
	for _, k := range []string{"column", "columns", "expr"} {
		if _, ok := s.values[k]; ok {
			given++
		}
	}
	if given != 1 {
		r.add(s.pos, "", "give one of column, columns and expr")
	}
	if c := s.text("column"); c.set() {
		d.columns = []text{c}
	} else {
		d.columns = s.texts("columns")
	}
	return d
}

func (r *reader) codeMap(o *object) *codeMapDoc {
	o.only("kind", "name", "unknown", "values")
	c := &codeMapDoc{name: r.named(o.require("name"), "code map"), unknown: o.text("unknown")}
	for _, v := range o.list("values") {
		m := v.object()
		if m == nil {
			continue
		}
		row := &codeRowDoc{pos: m.pos, is: m.text("is"), on: map[string][]text{}}
		for _, k := range m.keys {
			if k.s == "is" {
				continue
			}
			row.keys = append(row.keys, k)
			row.on[k.s] = m.values[k.s].texts()
		}
		c.rows = append(c.rows, row)
	}
	if len(c.rows) == 0 {
		r.add(o.pos, "", "code map %q has no values", c.name.s)
	}
	return c
}
