package sinktest

import (
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks/internal/apply"
)

// Map is a database in memory for simulations: tables, users that write to
// them, sinks, and a log of everything that was committed, ours with its mark.
// It may be used by several goroutines.
//
//	db := sinktest.NewMap()
//	db.Create(table, sinktest.Rules{})
//	sink := db.Sink("crm-erp", 0)
//	db.User(func(tx *sinktest.MapTx) error { return tx.Insert(name, row) })
//	for _, c := range db.Log() { … }
type Map struct {
	// Fault is asked at each named point of a sink's way: "start", "begin", "apply"
	// (before the commit of a batch) and "links". It is set before use. nil: no faults.
	Fault func(point string) Fault

	// mu guards the fields below. A transaction holds it from begin to end.
	mu       sync.Mutex
	tables   map[schemas.TableName]*mapTable
	order    []schemas.TableName
	progress map[mapLane]apply.State
	links    map[schemas.Link]apply.LinkRow // by entity and native key
	log      []MapCommit
	clock    func() time.Time
}

// Fault says what becomes of a call across the seam.
type Fault uint8

// The faults. Both give an error to the caller, who cannot tell them apart.
const (
	// NoFault lets the call succeed.
	NoFault Fault = iota
	// NotDone fails the call: it did not happen.
	NotDone
	// Done fails the call, but it did happen.
	Done
)

// MapCommit is one committed transaction of a Map.
type MapCommit struct {
	// Origin is zero for a user.
	Origin schemas.Origin
	Time   time.Time
	// Changes are those of the tables made with Create, in order.
	Changes []schemas.Change
}

// Rules are what a table of a Map demands beyond its columns' types and
// nullability.
type Rules struct {
	// Unique holds sets of columns that no two rows share; a NULL is like nothing.
	Unique [][]string
	// References maps a column to the table whose first key column it must hold.
	References map[string]schemas.TableName
	// Before is a trigger: it sees the row before (nil on insert) and after (nil on
	// delete) and gives the row to be stored.
	Before func(before, after schemas.Row) schemas.Row
}

type mapLane struct {
	pipeline string
	lane     int
}

type mapTable struct {
	*schemas.Table
	rules Rules
	rows  map[string]schemas.Row
	last  int64
}

// NewMap makes an empty database.
func NewMap() *Map {
	return &Map{tables: map[schemas.TableName]*mapTable{}, progress: map[mapLane]apply.State{}, links: map[schemas.Link]apply.LinkRow{}, clock: time.Now}
}

// Clock replaces the clock of commit times.
func (m *Map) Clock(now func() time.Time) { m.clock = now }

// Create makes a table. Its key must not be empty; a key column with Auto is
// numbered from 1.
func (m *Map) Create(t *schemas.Table, r Rules) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tables[t.Name] = &mapTable{Table: t, rules: r, rows: map[string]schemas.Row{}}
	m.order = append(m.order, t.Name)
}

// Rows gives the rows of a table by FormatKey of their keys.
func (m *Map) Rows(name schemas.TableName) map[string]schemas.Row {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]schemas.Row{}
	for k, r := range m.tables[name].rows {
		out[k] = append(schemas.Row(nil), r...)
	}
	return out
}

// Log gives all commits so far. The slice is not changed any more.
func (m *Map) Log() []MapCommit {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log[:len(m.log):len(m.log)]
}

// User runs a transaction of a user: all of it, or nothing when f returns an
// error.
func (m *Map) User(f func(tx *MapTx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	tx := &MapTx{m: m}
	if err := f(tx); err != nil {
		tx.undo(0)
		return err
	}
	tx.commit(schemas.Origin{})
	return nil
}

// MapTx is a transaction on a Map.
type MapTx struct {
	m       *Map
	changes []schemas.Change
	undos   []func()
}

// Insert adds a row in the order of the table's columns and gives its key; an
// Auto key column that is NULL is numbered.
func (tx *MapTx) Insert(name schemas.TableName, row schemas.Row) ([]schemas.Value, error) {
	t := tx.m.tables[name]
	if t == nil {
		return nil, fmt.Errorf("no table %s", name)
	}
	row = append(schemas.Row(nil), row...)
	for _, k := range t.Key {
		if row[k].IsNull() && t.Columns[k].Auto {
			t.last++
			row[k] = schemas.Int(t.last)
		} else if t.Columns[k].Auto {
			t.last = max(t.last, row[k].Int())
		}
	}
	return t.KeyOf(row), tx.put(t, schemas.Insert, nil, row)
}

// Update replaces the row of a key with what change makes of it.
func (tx *MapTx) Update(name schemas.TableName, key []schemas.Value, change func(row schemas.Row)) error {
	t := tx.m.tables[name]
	before := t.rows[schemas.FormatKey(key)]
	if before == nil {
		return fmt.Errorf("%s has no row %s", name, schemas.FormatKey(key))
	}
	after := append(schemas.Row(nil), before...)
	change(after)
	return tx.put(t, schemas.Update, before, after)
}

// Delete removes the row of a key.
func (tx *MapTx) Delete(name schemas.TableName, key []schemas.Value) error {
	t := tx.m.tables[name]
	before := t.rows[schemas.FormatKey(key)]
	if before == nil {
		return fmt.Errorf("%s has no row %s", name, schemas.FormatKey(key))
	}
	return tx.put(t, schemas.Delete, before, nil)
}

// put stores a change, unless a rule is against it.
func (tx *MapTx) put(t *mapTable, op schemas.Op, before, after schemas.Row) error {
	if t.rules.Before != nil {
		after = t.rules.Before(before, after)
	}
	if err := tx.m.check(t, before, after); err != nil {
		return err
	}
	if before != nil {
		k := schemas.FormatKey(t.KeyOf(before))
		delete(t.rows, k)
		tx.undos = append(tx.undos, func() { t.rows[k] = before })
	}
	if after != nil {
		k := schemas.FormatKey(t.KeyOf(after))
		t.rows[k] = after
		tx.undos = append(tx.undos, func() { delete(t.rows, k) })
	}
	tx.changes = append(tx.changes, schemas.Change{Op: op, Table: t.Table, Before: before, After: after})
	n := len(tx.changes) - 1
	tx.undos = append(tx.undos, func() { tx.changes = tx.changes[:n] })
	return nil
}

func (tx *MapTx) undo(to int) {
	for len(tx.undos) > to {
		f := tx.undos[len(tx.undos)-1]
		tx.undos = tx.undos[:len(tx.undos)-1]
		f()
	}
}

func (tx *MapTx) commit(origin schemas.Origin) {
	at := tx.m.clock()
	txn := &schemas.Txn{ID: fmt.Sprint(len(tx.m.log) + 1), Time: at, Origin: origin}
	for i := range tx.changes {
		tx.changes[i].Txn, tx.changes[i].Ordinal = txn, int64(i)
	}
	if len(tx.changes) > 0 || !origin.IsZero() {
		tx.m.log = append(tx.m.log, MapCommit{Origin: origin, Time: at, Changes: tx.changes})
	}
}

// check is the constraints.
func (m *Map) check(t *mapTable, before, after schemas.Row) error {
	if after == nil {
		return m.referenced(t, before)
	}
	key := schemas.FormatKey(t.KeyOf(after))
	if old := t.rows[key]; old != nil && (before == nil || schemas.FormatKey(t.KeyOf(before)) != key) {
		return duplicate(t, "primary key "+key)
	}
	for i, c := range t.Columns {
		v := after[i]
		if v.IsNull() && !c.Nullable {
			return apply.Refuse(-1, "column %q of %s may not be null", c.Name, t.Name)
		}
		if c.Type.Length > 0 && v.Storage() == schemas.StoreText && utf8.RuneCountInString(v.Text()) > c.Type.Length {
			return apply.Refuse(-1, "value too long for column %q of %s (%d)", c.Name, t.Name, c.Type.Length)
		}
		if other := m.tables[t.rules.References[c.Name]]; other != nil && !v.IsNull() && other.rows[schemas.FormatKey([]schemas.Value{v})] == nil {
			return apply.Refuse(-1, "%s of %s: %s has no row %s", c.Name, t.Name, other.Name, v)
		}
	}
	return m.unique(t, before, after)
}

func (m *Map) unique(t *mapTable, before, after schemas.Row) error {
	for _, columns := range t.rules.Unique {
		for k, row := range t.rows {
			if before != nil && k == schemas.FormatKey(t.KeyOf(before)) {
				continue
			}
			same := true
			for _, name := range columns {
				c := t.Column(name)
				same = same && !after[c].IsNull() && row[c] == after[c]
			}
			if same {
				return duplicate(t, fmt.Sprint("unique ", columns))
			}
		}
	}
	return nil
}

func duplicate(t *mapTable, what string) error {
	return &apply.Fault{Index: -1, Table: t.Name, Duplicate: true, Reason: fmt.Sprintf("%s: %s is there already", t.Name, what)}
}

func (m *Map) referenced(t *mapTable, row schemas.Row) error {
	for _, name := range m.order {
		other := m.tables[name]
		for column, target := range other.rules.References {
			for _, r := range other.rows {
				if target == t.Name && r[other.Column(column)] == t.KeyOf(row)[0] {
					return apply.Refuse(-1, "row %s of %s is referenced by %s", schemas.FormatKey(t.KeyOf(row)), t.Name, other.Name)
				}
			}
		}
	}
	return nil
}
