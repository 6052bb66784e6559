package capturetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// Memory is a database in memory whose log is a slice of transactions. It
// understands the statements of Stmt, but no change of columns and no SQL.
type Memory struct {
	mu     sync.Mutex
	grown  *sync.Cond
	tables map[string]*memoryTable
	// log is every committed transaction; transaction i ends at position i+1+base.
	log       [][]schemas.Change
	confirmed uint64
	// undo takes back what the transaction under way has done.
	undo []func()
}

type memoryTable struct {
	shape *schemas.Table
	rows  map[int64]schemas.Row
}

// memorySource is the identity of every Memory.
const memorySource = "memory:1"

// memoryBase is where the log begins, so that no position has the end zero.
const memoryBase = 100

// NewMemory makes an empty database with the table strait.progress.
func NewMemory() *Memory {
	m := &Memory{tables: map[string]*memoryTable{}}
	m.grown = sync.NewCond(&m.mu)
	text, number := schemas.Type{Kind: schemas.KindText}, schemas.Type{Kind: schemas.KindInt64}
	m.tables["strait.progress"] = &memoryTable{rows: map[int64]schemas.Row{}, shape: &schemas.Table{
		Name: schemas.ProgressTable, Key: []int{0, 1},
		Columns: []schemas.Column{{Name: "pipeline", Type: text}, {Name: "lane", Type: number},
			{Name: "epoch", Type: number}, {Name: "batch", Type: number}},
	}}
	return m
}

// Addr is empty: there is no server.
func (m *Memory) Addr() string { return "" }

// Schema is the schema of all tables.
func (m *Memory) Schema() string { return "memory" }

// Exec is refused: there is no SQL here.
func (m *Memory) Exec(ctx context.Context, query string) error {
	return fmt.Errorf("memory: no SQL: %s", query)
}

// End is Position.End of the last committed transaction.
func (m *Memory) End() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return memoryPosition(len(m.log)).End
}

// Confirmed is the last position that was acknowledged.
func (m *Memory) Confirmed(ctx context.Context) (uint64, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.confirmed, true, nil
}

// Rows is what a table holds, by key.
func (m *Memory) Rows(ctx context.Context, table string) (map[int64]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tables[table]
	if t == nil {
		return nil, fmt.Errorf("memory: no table %s", table)
	}
	return Model{table: t.rows}.Text(table), nil
}

// Do runs the statements as one transaction: all of them or none.
func (m *Memory) Do(ctx context.Context, stmts ...Stmt) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.undo = nil
	var changes []schemas.Change
	savedUndo, savedChanges := 0, 0
	for _, s := range stmts {
		switch s.kind {
		case stmtSavepoint:
			savedUndo, savedChanges = len(m.undo), len(changes)
		case stmtRollbackTo:
			m.rollback(savedUndo)
			changes = changes[:savedChanges]
		case stmtRollback:
			m.rollback(0)
			return nil
		default:
			made, err := m.run(s)
			if err != nil {
				m.rollback(0)
				return err
			}
			changes = append(changes, made...)
		}
	}
	if len(changes) > 0 {
		m.commit(changes)
	}
	return nil
}

// rollback takes back what was done since there were n steps to take back.
func (m *Memory) rollback(n int) {
	for i := len(m.undo) - 1; i >= n; i-- {
		m.undo[i]()
	}
	m.undo = m.undo[:n]
}

// put sets or, with nil, removes a row, and remembers how to take that back.
func (m *Memory) put(t *memoryTable, id int64, row schemas.Row) {
	old := t.rows[id]
	set(t.rows, id, row)
	m.undo = append(m.undo, func() { set(t.rows, id, old) })
}

func set(rows map[int64]schemas.Row, id int64, row schemas.Row) {
	if row == nil {
		delete(rows, id)
		return
	}
	rows[id] = row
}

func (m *Memory) commit(changes []schemas.Change) {
	m.log = append(m.log, changes)
	txn := &schemas.Txn{ID: fmt.Sprint("m", len(m.log)), Pos: memoryPosition(len(m.log)), Time: time.Now(), Origin: memoryOrigin(&changes[0])}
	for i := range changes {
		changes[i].Txn, changes[i].Ordinal = txn, int64(i)
	}
	m.grown.Broadcast()
}

// memoryOrigin is the mark, if the first change of a transaction is one.
func memoryOrigin(c *schemas.Change) schemas.Origin {
	if c.Table.Name != schemas.ProgressTable || c.After == nil {
		return schemas.Origin{}
	}
	return schemas.Origin{Pipeline: c.After[0].Text(), Batch: c.After[3].Int()}
}

func memoryPosition(txns int) schemas.Position {
	end := uint64(memoryBase + txns)
	return schemas.Position{Source: memorySource, End: end, Native: fmt.Sprint("memory@", end)}
}

func (m *Memory) run(s Stmt) ([]schemas.Change, error) {
	if s.kind == stmtCreate {
		m.tables[s.table] = &memoryTable{rows: map[int64]schemas.Row{}, shape: &schemas.Table{
			Name: schemas.TableName{Schema: m.Schema(), Name: s.table}, Key: []int{0},
			Columns: []schemas.Column{{Name: "id", Type: schemas.Type{Kind: schemas.KindInt64}},
				{Name: "name", Type: schemas.Type{Kind: schemas.KindText, Length: 100}, Nullable: true},
				{Name: "n", Type: schemas.Type{Kind: schemas.KindInt32}, Nullable: true}},
		}}
		return nil, nil
	}
	t := m.tables[s.table]
	if t == nil {
		return nil, fmt.Errorf("memory: no table %s", s.table)
	}
	switch s.kind {
	case stmtInsert:
		return m.insert(t, s.id, s.cells)
	case stmtUpdate:
		return m.update(t, s.id, s.id, s.cells)
	case stmtRekey:
		return m.update(t, s.id, s.to, nil)
	case stmtDelete:
		return m.delete(t, s.id)
	case stmtTruncate:
		old := t.rows
		t.rows = map[int64]schemas.Row{}
		m.undo = append(m.undo, func() { t.rows = old })
		return []schemas.Change{{Op: schemas.Truncate, Table: t.shape}}, nil
	case stmtMany:
		var out []schemas.Change
		for id := s.id; id < s.to; id++ {
			made, err := m.insert(t, id, []cell{{"name", fmt.Sprint("row ", id)}, {"n", id}})
			if err != nil {
				return nil, err
			}
			out = append(out, made...)
		}
		return out, nil
	}
	return nil, fmt.Errorf("memory: columns cannot be changed")
}

func (m *Memory) insert(t *memoryTable, id int64, cells []cell) ([]schemas.Change, error) {
	if _, ok := t.rows[id]; ok {
		return nil, fmt.Errorf("memory: %s has a row %d", t.shape.Name, id)
	}
	row := make(schemas.Row, len(t.shape.Columns))
	if i := t.shape.Column("id"); i >= 0 {
		row[i] = schemas.Int(id)
	}
	if err := t.set(row, cells); err != nil {
		return nil, err
	}
	m.put(t, id, row)
	return []schemas.Change{{Op: schemas.Insert, Table: t.shape, After: row}}, nil
}

// update changes nothing where there is no such row, as in SQL.
func (m *Memory) update(t *memoryTable, id, to int64, cells []cell) ([]schemas.Change, error) {
	before, ok := t.rows[id]
	if !ok {
		return nil, nil
	}
	after := slices.Clone(before)
	if id != to {
		after[0] = schemas.Int(to)
	}
	if err := t.set(after, cells); err != nil {
		return nil, err
	}
	m.put(t, id, nil)
	m.put(t, to, after)
	return []schemas.Change{{Op: schemas.Update, Table: t.shape, Before: before, After: after}}, nil
}

func (m *Memory) delete(t *memoryTable, id int64) ([]schemas.Change, error) {
	before, ok := t.rows[id]
	if !ok {
		return nil, nil
	}
	m.put(t, id, nil)
	return []schemas.Change{{Op: schemas.Delete, Table: t.shape, Before: before}}, nil
}

func (t *memoryTable) set(row schemas.Row, cells []cell) error {
	for _, c := range cells {
		i := t.shape.Column(c.column)
		if i < 0 {
			return fmt.Errorf("memory: %s has no column %s", t.shape.Name, c.column)
		}
		switch v := c.value.(type) {
		case nil:
			row[i] = schemas.Null
		case int64:
			row[i] = schemas.Int(v)
		default:
			row[i] = schemas.Text(fmt.Sprint(v))
		}
	}
	return nil
}

// Open opens a Slice over the log, after a snapshot if from is zero.
func (m *Memory) Open(ctx context.Context, from schemas.Position, addr string, tables ...string) (capture.Source, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &Slice{from: m, tables: append(slices.Clone(tables), "strait.progress")}
	if from.IsZero() {
		s.snapshot = m.snapshot(s.tables)
		s.next = len(m.log)
		return s, nil
	}
	if from.Source != memorySource || from.End < max(m.confirmed, memoryBase) || from.End > uint64(memoryBase+len(m.log)) {
		return nil, fmt.Errorf("memory: open at %+v: %w", from, capture.ErrPositionLost)
	}
	s.next = int(from.End - memoryBase)
	return s, nil
}

// Slice is a Source made from a slice of transactions, those of a Memory.
type Slice struct {
	from     *Memory
	tables   []string
	snapshot []*schemas.Batch
	// The fields below are guarded by from.mu.
	next   int // index of the transaction to read next
	rest   []schemas.Change
	closed bool
}

// Bounds of a batch of a Slice, and of a batch of its snapshot.
const (
	slicePiece = 5000
	sliceRows  = 1000
)

var errClosed = errors.New("the source is closed")

func (m *Memory) snapshot(tables []string) []*schemas.Batch {
	var rows []schemas.Change
	txn := &schemas.Txn{ID: "snapshot", Time: time.Now(), Pos: memoryPosition(len(m.log))}
	for _, name := range tables {
		t := m.tables[name]
		ids := slices.Sorted(maps.Keys(t.rows))
		for i, id := range ids {
			mark := "true"
			if i == 0 {
				mark = "first_in_data_collection"
			}
			if i == len(ids)-1 {
				mark = "last_in_data_collection"
			}
			rows = append(rows, schemas.Change{Op: schemas.Snapshot, Table: t.shape, After: t.rows[id], Txn: txn, Ordinal: int64(len(rows)), SnapshotMark: mark})
		}
	}
	if len(rows) > 0 {
		rows[0].SnapshotMark = "first"
		rows[len(rows)-1].SnapshotMark = "last"
	}
	var out []*schemas.Batch
	for len(out) == 0 || len(rows) > 0 {
		n := min(len(rows), sliceRows)
		out = append(out, &schemas.Batch{Changes: rows[:n:n], Phase: schemas.PhaseSnapshot})
		rows = rows[n:]
	}
	last := out[len(out)-1]
	out[0].Phase = schemas.PhaseSnapshotFirst
	last.Phase = last.Phase&^schemas.PhaseSnapshot | schemas.PhaseSnapshotLast
	last.Txns, last.Resume = 1, memoryPosition(len(m.log))
	return out
}

// Read returns what has been committed since, up to a bound.
func (s *Slice) Read(ctx context.Context) (*schemas.Batch, error) {
	stop := context.AfterFunc(ctx, func() {
		s.from.mu.Lock()
		defer s.from.mu.Unlock()
		s.from.grown.Broadcast()
	})
	defer stop()
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	for {
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case s.closed:
			return nil, errClosed
		case len(s.snapshot) > 0:
			b := s.snapshot[0]
			s.snapshot = s.snapshot[1:]
			return b, nil
		}
		if b := s.batch(); b != nil {
			return b, nil
		}
		s.from.grown.Wait()
	}
}

// batch takes whole transactions, or a piece of one that is too large.
func (s *Slice) batch() *schemas.Batch {
	b := &schemas.Batch{}
	for len(b.Changes) < slicePiece {
		if s.rest == nil {
			if s.next == len(s.from.log) {
				break
			}
			s.rest = s.wanted(s.from.log[s.next])
			s.next++
		}
		if len(s.rest) > slicePiece {
			if len(b.Changes) == 0 {
				b.Changes, s.rest, b.Open = s.rest[:slicePiece:slicePiece], s.rest[slicePiece:], true
			}
			return b
		}
		if len(s.rest) > 0 {
			b.Txns++
		}
		b.Changes = append(b.Changes, s.rest...)
		s.rest = nil
		b.Resume = memoryPosition(s.next)
	}
	if b.Resume.IsZero() {
		return nil
	}
	return b
}

// wanted is the changes of the source's tables, numbered anew.
func (s *Slice) wanted(all []schemas.Change) []schemas.Change {
	out := []schemas.Change{}
	for _, c := range all {
		if slices.Contains(s.tables, c.Table.Name.Name) || slices.Contains(s.tables, c.Table.Name.String()) {
			c.Ordinal = int64(len(out))
			out = append(out, c)
		}
	}
	return out
}

// Ack lets the database forget its log up to pos.
func (s *Slice) Ack(ctx context.Context, pos schemas.Position) error {
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	s.from.confirmed = max(s.from.confirmed, pos.End)
	return nil
}

// Close ends the source and whoever waits in Read.
func (s *Slice) Close() error {
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	s.closed = true
	s.from.grown.Broadcast()
	return nil
}
