package postgres

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/strait-cdc/strait/schemas"
)

// relation is a table as the log describes it: the columns that its rows have,
// and which of them identify a row.
type relation struct {
	oid   uint32
	name  schemas.TableName
	ident byte // d(efault), i(ndex), f(ull), n(othing)
	cols  []relationColumn
}

type relationColumn struct {
	name string
	oid  uint32
	mod  int32
	key  bool
}

// relation is what the log would say of the table now.
func (t *tableInfo) relation() relation {
	key := t.primary
	if t.ident == 'i' {
		key = t.identity
	}
	r := relation{oid: t.oid, name: t.name, ident: t.ident}
	for _, c := range t.columns {
		if !c.generated {
			r.cols = append(r.cols, relationColumn{c.name, c.oid, c.mod, t.ident == 'f' || t.ident != 'n' && slices.Contains(key, c.name)})
		}
	}
	return r
}

// shape is a table with what is needed to read its rows. It does not change.
type shape struct {
	table    *schemas.Table
	cols     []resolved
	relation relation
}

// shape makes the shape of a relation of the log. info is what the catalog says
// now, which may be later than the log, and nil if the table is gone; old is the
// shape that the table had before, or nil.
func (c *catalog) shape(ctx context.Context, r relation, info *tableInfo, old *shape) (*shape, error) {
	want := make([]uint32, len(r.cols))
	for i, col := range r.cols {
		want[i] = col.oid
	}
	if err := c.load(ctx, want); err != nil {
		return nil, err
	}
	native, err := c.spell(ctx, r.cols)
	if err != nil {
		return nil, err
	}
	s := &shape{table: &schemas.Table{Name: r.name}, relation: r}
	for i, col := range r.cols {
		t, err := c.resolve(col.oid, col.mod)
		if err != nil {
			return nil, fmt.Errorf("column %s.%s: %w; %s", r.name, col.name, err, cureType)
		}
		t.typ.Native = native[i]
		s.cols = append(s.cols, t)
		s.table.Columns = append(s.table.Columns, describe(col.name, t.typ, info, old))
	}
	s.table.Key = key(r, s.table, info, old)
	for _, k := range s.table.Key {
		s.table.Columns[k].Nullable = false
	}
	if old != nil && reflect.DeepEqual(old.table, s.table) {
		s.table = old.table
	}
	return s, nil
}

// describe takes what the log does not tell of a column from the catalog, or
// from the shape before if the column is no longer there.
func describe(name string, typ schemas.Type, info *tableInfo, old *shape) schemas.Column {
	if info != nil {
		if c := info.column(name); c != nil {
			return schemas.Column{Name: name, Type: typ, Nullable: !c.notNull, HasDefault: c.hasDef, Auto: c.auto}
		}
	}
	if old != nil {
		if i := old.table.Column(name); i >= 0 {
			c := old.table.Columns[i]
			c.Type = typ
			return c
		}
	}
	return schemas.Column{Name: name, Type: typ, Nullable: true}
}

// key is the key of a table: by the log's flags, in the order that the key has in
// the catalog or had when we last saw it, else in that of the columns. Under REPLICA IDENTITY FULL every column is flagged, and the
// catalog has to say it.
func key(r relation, t *schemas.Table, info *tableInfo, old *shape) []int {
	var orders [][]string
	if info != nil {
		orders = append(orders, info.identity, info.primary)
		orders = append(orders, info.unique...)
	}
	if old != nil {
		names := make([]string, len(old.table.Key))
		for i, k := range old.table.Key {
			names[i] = old.table.Columns[k].Name
		}
		orders = append(orders, names)
	}
	if r.ident == 'f' {
		if info != nil {
			orders = orders[1:] // no index of a replica identity
		}
		return firstKey(t, orders)
	}
	var flagged []int
	for i, col := range r.cols {
		if col.key {
			flagged = append(flagged, i)
		}
	}
	for _, names := range orders {
		k := indexes(t, names)
		if k != nil && sameSet(k, flagged) {
			return k
		}
	}
	return flagged
}

func firstKey(t *schemas.Table, orders [][]string) []int {
	for _, names := range orders {
		if k := indexes(t, names); k != nil {
			return k
		}
	}
	return nil
}

// indexes is nil unless the table has all the columns.
func indexes(t *schemas.Table, names []string) []int {
	var out []int
	for _, n := range names {
		i := t.Column(n)
		if i < 0 {
			return nil
		}
		out = append(out, i)
	}
	return out
}

func sameSet(a, b []int) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
