package sinktest

import (
	"testing"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
)

// MapTarget is a Map with the tables of the suite.
type MapTarget struct{ m *Map }

// Reset is Target's.
func (x *MapTarget) Reset(testing.TB) {
	if x.m != nil {
		for _, t := range x.m.tables {
			clear(t.rows)
		}
		return
	}
	m := NewMap()
	all := tables(x.Name)
	m.Create(all[0], Rules{Unique: [][]string{{"email"}}, Before: func(before, after schemas.Row) schemas.Row {
		if before != nil && after != nil && before[1] != after[1] {
			after[5] = schemas.Int(before[5].Int() + 1)
		}
		return after
	}})
	m.Create(all[1], Rules{References: map[string]schemas.TableName{"customer_id": x.Name(customer)}})
	m.Create(all[2], Rules{})
	x.m = m
}

// Open is Target's.
func (x *MapTarget) Open(_ testing.TB, pipeline string, lane int) (sinks.Sink, func(Fault)) {
	return x.m.Sink(pipeline, lane), func(f Fault) {
		x.m.Fault = func(point string) Fault {
			if point != "apply" {
				return NoFault
			}
			x.m.Fault = nil
			return f
		}
	}
}

// Name is Target's.
func (x *MapTarget) Name(table string) schemas.TableName {
	return schemas.TableName{Schema: "map", Name: table}
}

// Insert is Target's.
func (x *MapTarget) Insert(t testing.TB, table string, row map[string]schemas.Value) {
	t.Helper()
	shape := x.m.tables[x.Name(table)]
	r := make(schemas.Row, len(shape.Columns))
	for i, c := range shape.Columns {
		if c.HasDefault && !c.Auto {
			r[i] = schemas.Int(0)
		}
		if v, ok := row[c.Name]; ok {
			r[i] = v
		}
	}
	x.user(t, func(tx *MapTx) error { _, err := tx.Insert(shape.Name, r); return err })
}

// Set is Target's.
func (x *MapTarget) Set(t testing.TB, table string, key schemas.Value, column string, v schemas.Value) {
	t.Helper()
	shape := x.m.tables[x.Name(table)]
	x.user(t, func(tx *MapTx) error {
		return tx.Update(shape.Name, []schemas.Value{key}, func(row schemas.Row) { row[shape.Column(column)] = v })
	})
}

// Delete is Target's.
func (x *MapTarget) Delete(t testing.TB, table string, key schemas.Value) {
	t.Helper()
	x.user(t, func(tx *MapTx) error { return tx.Delete(x.Name(table), []schemas.Value{key}) })
}

func (x *MapTarget) user(t testing.TB, f func(tx *MapTx) error) {
	t.Helper()
	if err := x.m.User(f); err != nil {
		t.Fatal(err)
	}
}

// Read is Target's.
func (x *MapTarget) Read(_ testing.TB, table string) map[string]map[string]string {
	shape := x.m.tables[x.Name(table)]
	out := map[string]map[string]string{}
	for _, row := range x.m.Rows(shape.Name) {
		r := map[string]string{}
		for i, c := range shape.Columns {
			r[c.Name] = row[i].String()
		}
		out[row[0].String()] = r
	}
	return out
}
