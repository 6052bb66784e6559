package mysql

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// shape is a table as the log describes it at some place: how to read its rows,
// and the Table that its changes carry. A nil table is one we do not capture.
type shape struct {
	table *schemas.Table
	// fields are the columns of a row in the log, in its order.
	fields []field
	// visible counts the columns that the Table has; the others are hidden ones,
	// read over.
	visible int
	// system versioning: indexes into fields of row_end, -1 without.
	rowEnd int
	// progress is set for strait.progress: the columns of the mark.
	progress *progressColumns
	name     schemas.TableName
}

type progressColumns struct{ pipeline, batch int }

func (s *shape) captured() bool { return s.table != nil }

// shapes makes and keeps the shapes. They are kept by the content of the
// TABLE_MAP event: the ids that the server gives to tables change whenever it
// opens them anew, the content only when the table changes.
type shapes struct {
	db querier
	cs *charsets
	// wants says whether a table is captured.
	wants func(schemas.TableName) bool
	kept  map[string]*shape
	byID  map[uint64]*shape
	// newest is the last Table made for each name.
	newest map[schemas.TableName]*schemas.Table
}

func newShapes(db querier, cs *charsets, wants func(schemas.TableName) bool) *shapes {
	return &shapes{db: db, cs: cs, wants: wants, kept: map[string]*shape{}, byID: map[uint64]*shape{}, newest: map[schemas.TableName]*schemas.Table{}}
}

// one is the Table to use for t: an equal one made before, or t itself.
func (s *shapes) one(t *schemas.Table) *schemas.Table {
	if old := s.newest[t.Name]; old != nil && reflect.DeepEqual(old, t) {
		return old
	}
	s.newest[t.Name] = t
	return t
}

// last is the newest Table of a name; nil for a table that is gone.
func (s *shapes) last(ctx context.Context, name schemas.TableName) (*schemas.Table, error) {
	if t := s.newest[name]; t != nil {
		return t, nil
	}
	lt, err := lookUp(ctx, s.db, s.cs, name)
	if errors.Is(err, errNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := lt.table()
	if err != nil {
		return nil, err
	}
	return s.one(t), nil
}

// maxKept bounds the shapes kept; a server with more tables than that written to
// between two statements of DDL makes us forget and ask again.
const maxKept = 10000

// forget drops all shapes after a statement that may have changed a table: what
// the log does not carry (defaults, unique keys) has to be looked up again.
func (s *shapes) forget() { s.kept = map[string]*shape{} }

// forgetIDs drops the ids, which a restarted server gives out anew.
func (s *shapes) forgetIDs() { s.byID = map[uint64]*shape{} }

// learn takes in a TABLE_MAP event.
func (s *shapes) learn(ctx context.Context, body []byte) error {
	id, content, err := tableMapID(body)
	if err != nil {
		return err
	}
	if sh := s.kept[string(content)]; sh != nil {
		s.byID[id] = sh
		return nil
	}
	sh, err := s.make(ctx, content)
	if err != nil {
		return err
	}
	if len(s.kept) >= maxKept {
		s.forget()
	}
	s.kept[string(content)] = sh
	s.byID[id] = sh
	return nil
}

func (s *shapes) make(ctx context.Context, content []byte) (*shape, error) {
	schema, table, _, err := tableMapName(content)
	if err != nil {
		return nil, err
	}
	name := schemas.TableName{Schema: schema, Name: table}
	if !s.wants(name) {
		return &shape{name: name}, nil
	}
	m, err := parseTableMap(content)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", name, err)
	}
	if !m.full {
		return nil, unsupported("table %s: the log does not name its columns: set global binlog_row_metadata = FULL, have all sessions reconnect, take a new snapshot", name)
	}
	for _, c := range m.columns {
		if err := s.cs.byCollation[c.collation].prepare(ctx, s.db); err != nil {
			return nil, fmt.Errorf("table %s: column %s: %w", name, c.name, err)
		}
	}
	lt, err := lookUp(ctx, s.db, s.cs, name)
	if errors.Is(err, errNoTable) {
		lt, err = &listedTable{name: name}, nil // dropped since: the log alone has to do
	}
	if err != nil {
		return nil, err
	}
	sh, err := s.assemble(m, lt)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", name, err)
	}
	return sh, nil
}

// assemble joins what the log says with what information_schema says now.
func (s *shapes) assemble(m *tableMap, lt *listedTable) (*shape, error) {
	sh := &shape{name: lt.name, table: &schemas.Table{Name: lt.name}, rowEnd: -1}
	index := make([]int, len(m.columns)) // of a wire column in the Table
	history, rowEnd := keepsHistory(m, lt)
	for i := range m.columns {
		wc := &m.columns[i]
		f, column, err := s.column(wc, lt)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", wc.name, err)
		}
		if history && strings.EqualFold(wc.name, rowEnd) {
			sh.rowEnd = i
		}
		index[i] = -1
		if hidden(wc.name, history, lt) {
			f.hidden = true
		} else {
			index[i] = len(sh.table.Columns)
			sh.table.Columns = append(sh.table.Columns, column)
		}
		sh.fields = append(sh.fields, f)
	}
	sh.visible = len(sh.table.Columns)
	sh.table.Key = tableKey(sh.table, lt)
	if len(sh.table.Key) == 0 {
		for _, k := range m.key {
			if index[k] >= 0 && k != sh.rowEnd {
				sh.table.Key = append(sh.table.Key, index[k])
			}
		}
	}
	if len(sh.table.Key) == 0 {
		return nil, noKey(lt.name)
	}
	sh.table = s.one(sh.table)
	if lt.name == schemas.ProgressTable {
		sh.progress = &progressColumns{pipeline: sh.table.Column(schemas.ProgressPipeline), batch: sh.table.Column(schemas.ProgressBatch)}
		if sh.progress.pipeline < 0 || sh.progress.batch < 0 {
			return nil, unsupported("it lacks the columns %s and %s", schemas.ProgressPipeline, schemas.ProgressBatch)
		}
	}
	return sh, nil
}

func columnFold(t *schemas.Table, name string) int {
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, name) {
			return i
		}
	}
	return -1
}

// tableKey is the listed key, if it is a unique key that stands in for a primary
// key. The log tells of such a key too, but which one of several depends on the
// server; the snapshot and the log must agree. A primary key is the log's to tell.
func tableKey(t *schemas.Table, lt *listedTable) []int {
	if lt.primary {
		return nil
	}
	var key []int
	for _, name := range lt.key {
		i := columnFold(t, name)
		if i < 0 {
			return nil
		}
		key = append(key, i)
	}
	return key
}

// keepsHistory says that the rows of the log are those of a system-versioned
// table, and which column tells when a row has ended.
func keepsHistory(m *tableMap, lt *listedTable) (bool, string) {
	if lt.rowEnd != "" {
		return lt.versioned(), lt.rowEnd
	}
	if lt.versioned() {
		return true, "row_end"
	}
	// A table that is gone: these two are what the server calls its own columns.
	n := len(m.columns)
	return lt.kind == "" && n > 2 && m.columns[n-2].name == "row_start" && m.columns[n-1].name == "row_end", "row_end"
}

// hidden says that a column of the log is none that a user knows: those of system
// versioning without a declared period, and MySQL's own for functional indexes.
func hidden(name string, history bool, lt *listedTable) bool {
	if strings.HasPrefix(name, "!hidden!") {
		return true
	}
	return history && (name == "row_start" || name == "row_end") && lt.column(name) == nil
}

// column is a column of the log: how it is read, and what it is called. What
// information_schema says is taken only where the type is still the same.
func (s *shapes) column(wc *wireColumn, lt *listedTable) (field, schemas.Column, error) {
	d, err := declaredOnWire(wc, s.cs)
	if err != nil {
		return field{}, schemas.Column{}, err
	}
	if lc := lt.column(wc.name); lc != nil {
		if f, ok := specialField(wc, lc); ok {
			column, err := lc.column()
			column.Nullable = wc.nullable
			return f, column, err
		}
		listed, err := lc.column()
		if err == nil && sameType(listed.Type, d) {
			if wc.oldTemporal() && lc.declared.precision > 0 {
				return field{}, listed, unsupported("stored in the format from before MySQL 5.6; cure: set global mysql56_temporal_format = on; alter table … force")
			}
			listed.Nullable = wc.nullable || mayBeZero(listed.Type.Kind)
			f, err := newField(wc, d)
			return f, listed, err
		}
	}
	t, err := d.schemaType()
	if err != nil {
		return field{}, schemas.Column{}, err
	}
	f, err := newField(wc, d)
	return f, schemas.Column{Name: wc.name, Type: t, Nullable: wc.nullable || mayBeZero(t.Kind)}, err
}

func (c *wireColumn) oldTemporal() bool {
	return c.kind == wireTime || c.kind == wireDatetime || c.kind == wireTimestamp
}

// sameType says that a listed type is the one that the log shows.
func sameType(listed schemas.Type, d declared) bool {
	t, err := d.schemaType()
	if err != nil || t.Kind != listed.Kind || t.Scale != listed.Scale || len(t.Labels) != len(listed.Labels) {
		return false
	}
	for i := range t.Labels {
		if t.Labels[i] != listed.Labels[i] {
			return false
		}
	}
	return t.Length == listed.Length && (t.Kind != schemas.KindDecimal || t.Precision == listed.Precision)
}

// specialField knows MariaDB's types that the log shows as binary strings.
func specialField(wc *wireColumn, lc *listedColumn) (field, bool) {
	if wc.kind != wireString {
		return field{}, false
	}
	switch {
	case lc.declared.base == "uuid" && wc.meta == 16:
		return field{op: opUUID, size: 16}, true
	case lc.declared.base == "inet6" && wc.meta == 16:
		return field{op: opINET6, size: 16}, true
	case lc.declared.base == "inet4" && wc.meta == 4:
		return field{op: opINET4, size: 4}, true
	}
	return field{}, false
}
