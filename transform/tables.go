package transform

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

// use says what a table is to an entity.
type use struct {
	entity *mapping.Entity
	side   int
	part   *mapping.Part
	// join is the index of the part's join that reads this table, -1 where it is the
	// part's own table.
	join int
}

// table is what the reconciler knows of a source table.
type table struct {
	system string
	name   string
	shape  *schemas.Table
	uses   []use
	// indexes are lists of columns by which rows are looked up, besides the key.
	indexes [][]int
	// matters marks the columns whose change makes an entity dirty.
	matters []bool
	// layout names the columns, so that a stored row is understood after the table
	// has changed.
	layout uint64
	names  []string
}

// catalog is all tables of all systems that a mapping reads, by system and name.
type catalog map[string]map[string]*table

func newCatalog(set *mapping.Set) (catalog, error) {
	c := catalog{}
	for _, e := range set.Entities {
		for side, sys := range e.Systems {
			for _, p := range e.Parts() {
				if err := c.addPart(e, side, sys, p); err != nil {
					return nil, err
				}
			}
		}
	}
	return c, nil
}

func (c catalog) addPart(e *mapping.Entity, side int, sys string, p *mapping.Part) error {
	ps := p.Sides[side]
	if ps == nil {
		return nil
	}
	if len(ps.Table.Key) == 0 {
		return fmt.Errorf("entity %s: table %s of %s has no key", e.Name, ps.Table.Name, sys)
	}
	t := c.table(sys, ps.Table)
	t.uses = append(t.uses, use{e, side, p, -1})
	if len(ps.Parent) > 0 {
		t.index(ps.Parent)
		t.matter(ps.Parent)
	}
	t.matter(ps.WhereColumns)
	if other := p.Sides[1-side]; other != nil {
		t.matter(other.CreateColumns)
	}
	t.matter(ps.Table.Key)
	for _, f := range p.Fields {
		if fs := f.Sides[side]; fs != nil {
			t.matter(fs.Reads)
			t.matter(fs.Writes)
		}
	}
	for j, join := range ps.Joins {
		jt := c.table(sys, join.Table)
		jt.uses = append(jt.uses, use{e, side, p, j})
		jt.index(join.Columns)
		for i := range jt.matters {
			jt.matters[i] = true
		}
		t.index(join.Own)
		t.matter(join.Own)
	}
	return nil
}

func (c catalog) table(sys string, shape *schemas.Table) *table {
	if c[sys] == nil {
		c[sys] = map[string]*table{}
	}
	name := shape.Name.String()
	t := c[sys][name]
	if t == nil {
		t = &table{system: sys, name: name, shape: shape, matters: make([]bool, len(shape.Columns))}
		for _, col := range shape.Columns {
			t.names = append(t.names, col.Name)
		}
		t.layout = hash64(strings.Join(t.names, "\x00"))
		c[sys][name] = t
	}
	return t
}

// index asks for a look-up by columns, unless it is by the key itself.
func (t *table) index(cols []int) {
	if sameInts(cols, t.shape.Key) {
		return
	}
	for _, have := range t.indexes {
		if sameInts(have, cols) {
			return
		}
	}
	t.indexes = append(t.indexes, cols)
}

func (t *table) matter(cols []int) {
	for _, c := range cols {
		t.matters[c] = true
	}
}

// indexName names a list of columns in the keys of the store.
func (t *table) indexName(cols []int) string {
	var b strings.Builder
	for i, c := range cols {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(t.shape.Columns[c].Name)
	}
	return b.String()
}

// valuesOf is the text of some columns of a row, and whether none is NULL.
func valuesOf(r schemas.Row, cols []int) (string, bool) {
	vals := make([]schemas.Value, len(cols))
	for i, c := range cols {
		if r[c].IsNull() {
			return "", false
		}
		vals[i] = r[c]
	}
	return schemas.FormatKey(vals), true
}

func (t *table) keyOf(r schemas.Row) string { return schemas.FormatKey(t.shape.KeyOf(r)) }

// align puts the values of a change into the order of the table's columns, as the
// mapping knows them; a column the mapping does not know is left out, one that
// the source no longer has is NULL.
func (t *table) align(from *schemas.Table, r schemas.Row) schemas.Row {
	out := make(schemas.Row, len(t.shape.Columns))
	for i := range t.shape.Columns {
		if i < len(from.Columns) && from.Columns[i].Name == t.shape.Columns[i].Name {
			out[i] = r[i]
			continue
		}
		if j := from.Column(t.shape.Columns[i].Name); j >= 0 {
			out[i] = r[j]
		}
	}
	return out
}

func sameInts(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// hash64 is FNV-1a.
func hash64(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func sideName(side int) string { return strconv.Itoa(side) }
