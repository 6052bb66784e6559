package mapping

import (
	"fmt"
	"sort"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// System is what is known of a database: its tables, and the schema that names
// without one belong to (the database itself on MySQL and MariaDB).
type System struct {
	DefaultSchema string
	Tables        map[schemas.TableName]*schemas.Table
}

// compiler checks documents against catalogs.
type compiler struct {
	*problems
	docs    *Docs
	systems map[string]System
	maps    map[string]*codeMap
	// works are the entities, by name and in the order of the documents.
	works  []*entityWork
	byName map[string]*entityWork
}

// entityWork is an entity while it is compiled.
type entityWork struct {
	doc   *entityDoc
	out   *Entity
	parts []*partWork
}

// partWork is a part while it is compiled. sides[i] is nil where something about
// the side is wrong, so that nothing more can be said about it.
type partWork struct {
	doc     *partDoc
	out     *Part
	systems [2]string
	docs    [2]*sideDoc
	sides   [2]*PartSide
	// never says that nothing is created on a side.
	never [2]bool
	root  *partWork // nil for the root itself
	// writers are, by column, the field that writes it.
	writers [2]map[int]*fieldDoc
}

// Compile checks the documents against the catalogs of the two systems and
// compiles them. The error is an Errors with everything that is wrong. The
// result may be used by many goroutines.
func Compile(docs *Docs, systems map[string]System) (*Set, error) {
	c := &compiler{problems: &problems{}, docs: docs, systems: systems, maps: map[string]*codeMap{}, byName: map[string]*entityWork{}}
	for _, d := range docs.codeMaps {
		c.maps[d.name.s] = c.compileCodeMap(d)
	}
	for _, e := range docs.entities {
		if w := c.entity(e); w != nil {
			c.works = append(c.works, w)
			c.byName[e.name.s] = w
		}
	}
	for _, w := range c.works {
		for _, p := range w.parts {
			c.part(p)
		}
	}
	c.refs()
	if len(docs.entities) == 0 {
		c.add(pos{}, "", "the documents hold no entity")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	return &Set{Entities: c.ordered()}, nil
}

// entity finds the tables of an entity.
func (c *compiler) entity(d *entityDoc) *entityWork {
	names := [2]string{d.root.sides[0].system.s, ""}
	for _, s := range d.root.sides {
		if s.system.s != names[0] {
			names[1] = s.system.s
		}
	}
	if c.rank(names[1]) < c.rank(names[0]) {
		names[0], names[1] = names[1], names[0]
	}
	for _, s := range d.root.sides {
		if _, ok := c.systems[s.system.s]; !ok {
			known := make([]string, 0, len(c.systems))
			for n := range c.systems {
				known = append(known, n)
			}
			c.add(s.system.pos, didYouMean(s.system.s, known), "unknown system %q", s.system.s)
			return nil
		}
	}
	w := &entityWork{doc: d, out: &Entity{Name: d.name.s, Systems: names, Quiet: d.quiet, MaxQuiet: d.maxQuiet}}
	root := c.newPart(d.root, names, nil)
	w.out.Root, w.parts = root.out, append(w.parts, root)
	seen := map[string]bool{}
	for _, cd := range d.children {
		if seen[cd.name.s] {
			c.add(cd.name.pos, "", "two children are called %q", cd.name.s)
		}
		seen[cd.name.s] = true
		p := c.newPart(cd, names, root)
		p.out.Name = cd.name.s
		w.parts = append(w.parts, p)
		w.out.Children = append(w.out.Children, p.out)
	}
	return w
}

func (c *compiler) rank(system string) int {
	for i, s := range c.docs.systems {
		if s == system {
			return i
		}
	}
	return len(c.docs.systems)
}

func (c *compiler) newPart(d *partDoc, names [2]string, root *partWork) *partWork {
	p := &partWork{doc: d, out: &Part{}, systems: names, root: root}
	for i, n := range names {
		p.writers[i] = map[int]*fieldDoc{}
		p.docs[i] = d.side(n)
		if p.docs[i] != nil {
			p.sides[i] = c.side(p, i)
		}
		p.out.Sides[i] = p.sides[i]
	}
	return p
}

// table finds a table of a system.
func (c *compiler) table(system string, t text) *schemas.Table {
	s := c.systems[system]
	name := schemas.ParseTableName(t.s, s.DefaultSchema)
	if found := s.Tables[name]; found != nil {
		return found
	}
	var known []string
	for n := range s.Tables {
		if n.Schema == s.DefaultSchema && !strings.Contains(t.s, ".") {
			known = append(known, n.Name)
		} else {
			known = append(known, n.String())
		}
	}
	c.add(t.pos, didYouMean(t.s, known), "there is no table %q in %s", t.s, system)
	return nil
}

// column finds a column of a table; -1 and a problem if there is none.
func (c *compiler) column(t *schemas.Table, name text) int {
	i := t.Column(name.s)
	if i < 0 {
		c.add(name.pos, didYouMean(name.s, columnNames(t)), "table %s has no column %q", t.Name.Name, name.s)
	}
	return i
}

func (c *compiler) columns(t *schemas.Table, names []text) []int {
	out := make([]int, 0, len(names))
	for _, n := range names {
		if i := c.column(t, n); i >= 0 {
			out = append(out, i)
		}
	}
	return out
}

// expr compiles an expression; nil and a problem at its place if it is wrong.
func (c *compiler) expr(t text, s *scope) *program {
	p, err := compileExpr(t.s, s, nil)
	if err == nil {
		return p
	}
	c.add(exprPos(t, err.line, err.col), err.hint, "%s", err.msg)
	return nil
}

// exprPos finds a place of an expression in the file it was written in.
func exprPos(t text, line, col int) pos {
	at := t.pos
	switch {
	case t.block:
		at.line += line
		if at.line >= 1 && at.line <= len(at.src.lines) {
			l := at.src.lines[at.line-1]
			at.col = len(l) - len(strings.TrimLeft(l, " ")) + 1 + col
		}
	case t.quoted:
		at.col += 1 + col
	default:
		at.col += col
	}
	return at
}

// condition compiles an expression that decides.
func (c *compiler) condition(t text, s *scope) *program {
	p := c.expr(t, s)
	if p == nil {
		return nil
	}
	if p.result != nil && !isCondition(p) {
		c.add(exprPos(t, 1, 0), "", "the expression gives %s, a condition is needed", className(p.result))
		return nil
	}
	return p
}

func isCondition(p *program) bool {
	cl := classOf(p.run.Node())
	return cl == clAny || cl == clNumber || cl == clNil || p.result.Kind().String() == "bool"
}

// truthy runs a condition: NULL and 0 are no.
func truthy(x any) (bool, error) {
	switch v := x.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	case int:
		return v != 0, nil
	}
	return false, fmt.Errorf("%v is neither true nor false", x)
}

func (p *partWork) scope(c *compiler, i int) *scope {
	return &scope{table: p.sides[i].Table, joins: p.sides[i].Joins, system: p.systems[i], maps: c.maps}
}

// refs checks what fields say about other entities, once all are known.
func (c *compiler) refs() {
	for _, w := range c.works {
		for _, p := range w.parts {
			for k, f := range p.out.Fields {
				if f.Ref != "" {
					c.ref(w, p, f, p.doc.fields[k])
				}
			}
		}
	}
	c.cycles()
}

func (c *compiler) ref(w *entityWork, p *partWork, f *Field, d *fieldDoc) {
	to := c.byName[f.Ref]
	if to == nil {
		c.add(d.ref.pos, didYouMean(f.Ref, c.docs.EntityNames()), "there is no entity %q", f.Ref)
		return
	}
	if to.out.Systems != w.out.Systems {
		c.add(d.ref.pos, "", "entity %q lives in other systems (%s and %s)", f.Ref, to.out.Systems[0], to.out.Systems[1])
		return
	}
	for i, side := range f.Sides {
		if side == nil || to.parts[0].sides[i] == nil || p.sides[i] == nil {
			continue
		}
		target, own := to.parts[0].sides[i].Table, p.sides[i].Table
		at := d.sides[p.systems[i]].pos
		if len(side.Reads) != len(target.Key) {
			c.add(at, "", "the key of %s has %d columns, the field %d", target.Name.Name, len(target.Key), len(side.Reads))
			continue
		}
		for j, col := range side.Reads {
			kt, ct := target.Columns[target.Key[j]], own.Columns[col]
			if familyOf(kt.Type.Kind) != familyOf(ct.Type.Kind) {
				c.add(at, "", "column %s (%s) cannot hold the key %s (%s) of %s", ct.Name, nativeName(ct.Type), kt.Name, nativeName(kt.Type), target.Name.Name)
			}
		}
	}
}

// cycles refuses entities that need one another before either can be created.
func (c *compiler) cycles() {
	state := map[string]int{} // 1: on the way, 2: done
	var path []string
	var visit func(name string) bool
	visit = func(name string) bool {
		state[name] = 1
		path = append(path, name)
		for _, p := range c.byName[name].parts {
			for k, f := range p.out.Fields {
				if f.Ref == "" || !f.Required || c.byName[f.Ref] == nil || state[f.Ref] == 2 {
					continue
				}
				if state[f.Ref] == 1 {
					c.add(p.doc.fields[k].ref.pos, "take required away from one of the fields", "records could never be created: %s needs %s first", strings.Join(path, " needs "), f.Ref)
					return false
				}
				if !visit(f.Ref) {
					return false
				}
			}
		}
		path = path[:len(path)-1]
		state[name] = 2
		return true
	}
	for _, w := range c.works {
		if state[w.doc.name.s] == 0 && !visit(w.doc.name.s) {
			return
		}
	}
}

// ordered is the entities with those that others need first.
func (c *compiler) ordered() []*Entity {
	depth := map[string]int{}
	var measure func(w *entityWork) int
	measure = func(w *entityWork) int {
		if d, ok := depth[w.doc.name.s]; ok {
			return d
		}
		depth[w.doc.name.s] = 0
		d := 0
		for _, p := range w.out.Parts() {
			for _, f := range p.Fields {
				if f.Ref != "" && f.Required && f.Ref != w.doc.name.s {
					d = max(d, 1+measure(c.byName[f.Ref]))
				}
			}
		}
		depth[w.doc.name.s] = d
		return d
	}
	out := make([]*Entity, len(c.works))
	for i, w := range c.works {
		measure(w)
		out[i] = w.out
	}
	sort.SliceStable(out, func(i, j int) bool { return depth[out[i].Name] < depth[out[j].Name] })
	return out
}
