package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/schemas"
)

// snapshot reads the tables as they were at the very place where the slot starts.
type snapshot struct {
	*Source
	name   string // of the exported snapshot
	at     uint64 // where the slot starts
	tables []*tableInfo
	// shapes are left for the log, which goes on with the same tables.
	shapes map[uint32]*shape

	arena
	txn     *schemas.Txn
	batch   []schemas.Change
	bytes   int
	rows    int64
	batches int
}

// snapshotTries is how often the snapshot starts again because a table was
// rewritten just when it was taken.
const snapshotTries = 5

// newSnapshot makes the slot, with it the snapshot, and begins the transaction
// that sees it.
func (s *Source) newSnapshot(ctx context.Context) (*snapshot, error) {
	for range snapshotTries {
		if err := s.cfg.dropSlot(ctx, s.sql); err != nil {
			return nil, err
		}
		before, err := fileNodes(ctx, s.sql, s.cfg.Tables)
		if err != nil {
			return nil, err
		}
		made, err := s.createSlot(ctx)
		if err != nil {
			return nil, err
		}
		at, err := pglogrepl.ParseLSN(made.ConsistentPoint)
		if err != nil {
			return nil, fmt.Errorf("create slot %s: starts at %q: %w", s.cfg.Slot, made.ConsistentPoint, err)
		}
		snap := &snapshot{Source: s, name: made.SnapshotName, at: uint64(at), shapes: map[uint32]*shape{}}
		if err := snap.begin(ctx); err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
		after, err := fileNodes(ctx, s.sql, s.cfg.Tables)
		if err != nil {
			return nil, err
		}
		if before == after {
			return snap, snap.describe(ctx)
		}
		// A table that was rewritten looks empty to an older snapshot.
		s.cfg.Log.Info("a table was rewritten while the snapshot began; it begins again")
		if _, err := s.sql.Exec(ctx, "rollback"); err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
	}
	return nil, fmt.Errorf("snapshot: tables are being rewritten all the time; try again when that is over")
}

func (s *Source) createSlot(ctx context.Context) (pglogrepl.CreateReplicationSlotResult, error) {
	note := time.AfterFunc(10*time.Second, func() {
		s.cfg.Log.Info("the slot waits for transactions that were open before it; see pg_stat_activity for the oldest backend_xid")
	})
	defer note.Stop()
	made, err := pglogrepl.CreateReplicationSlot(ctx, s.repl, quote(s.cfg.Slot), "pgoutput",
		pglogrepl.CreateReplicationSlotOptions{Mode: pglogrepl.LogicalReplication, SnapshotAction: "EXPORT_SNAPSHOT"})
	if code(err) == "53400" {
		err = fmt.Errorf("%w; drop a slot that is not used (select slot_name from pg_replication_slots where not active), or raise max_replication_slots", err)
	}
	if err != nil {
		err = fmt.Errorf("create slot %s: %w", s.cfg.Slot, err)
	}
	return made, err
}

// begin opens the transaction and keeps the tables from being altered or
// rewritten until it ends; rows may be written as ever.
func (s *snapshot) begin(ctx context.Context) error {
	for _, q := range []string{
		"begin isolation level repeatable read read only",
		"set transaction snapshot " + literal(s.name),
		"set local lock_timeout = '10s'",
		"lock table " + quoteTables(s.cfg.Tables) + " in access share mode",
	} {
		if _, err := s.sql.Exec(ctx, q); err != nil {
			return fmt.Errorf("%.60s: %w", q, err)
		}
	}
	return nil
}

// fileNodes tells the files that hold the tables; they change when a table is
// rewritten.
func fileNodes(ctx context.Context, conn *pgx.Conn, tables []schemas.TableName) (string, error) {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = literal(quoteTable(t))
	}
	var out string
	err := conn.QueryRow(ctx, `select coalesce(string_agg(p.relid::oid || ':' || coalesce(pg_relation_filenode(p.relid), 0), ' ' order by p.relid::oid), '')
from unnest(array[`+strings.Join(names, ", ")+`]) t (name), lateral (
	select relid from pg_partition_tree(to_regclass(t.name)) union select to_regclass(t.name)) p (relid)`).Scan(&out)
	if err != nil {
		return "", fmt.Errorf("read catalog: files of the tables: %w", err)
	}
	return out, nil
}

// describe reads the catalog as the snapshot sees it.
func (s *snapshot) describe(ctx context.Context) error {
	var err error
	if s.tables, err = s.catalog.named(ctx, s.cfg.Tables); err != nil {
		return err
	}
	for _, t := range s.tables {
		if s.shapes[t.oid], err = s.catalog.shape(ctx, t.relation(), t, nil); err != nil {
			return err
		}
	}
	now := time.Time{}
	if err := s.sql.QueryRow(ctx, "select clock_timestamp()").Scan(&now); err != nil {
		return err
	}
	s.txn = &schemas.Txn{ID: "snapshot", Pos: position(s.identity, s.at), CommitLSN: s.at, Time: now.UTC()}
	return nil
}

// read hands over all rows. A batch goes out only when a row comes behind it, so
// that the last row is known to be the last.
func (s *snapshot) read(ctx context.Context) error {
	start := time.Now()
	for _, t := range s.tables {
		if err := s.table(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	if n := len(s.batch); n > 0 {
		s.batch[n-1].SnapshotMark = "last"
	}
	if _, err := s.sql.Exec(ctx, "commit"); err != nil {
		return err
	}
	s.cfg.Log.Info("snapshot read", "tables", len(s.tables), "rows", s.rows, "seconds", int(time.Since(start).Seconds()), "lsn", pglogrepl.LSN(s.at).String())
	return s.flush(ctx, true)
}

func (s *snapshot) table(ctx context.Context, t *tableInfo) error {
	shape := s.shapes[t.oid]
	w := &copyRows{ctx: ctx, snapshot: s, shape: shape}
	if _, err := s.sql.PgConn().CopyTo(ctx, w, copyQuery(t, shape)); err != nil {
		return err
	}
	if n := len(s.batch); w.rows > 0 && s.batch[n-1].SnapshotMark != "first" {
		s.batch[n-1].SnapshotMark = "last_in_data_collection"
	}
	return nil
}

// copyQuery reads the columns of the shape; of a table with heirs only its own
// rows, since theirs are in the log under their own names.
func copyQuery(t *tableInfo, shape *shape) string {
	cols := make([]string, len(shape.table.Columns))
	for i, c := range shape.table.Columns {
		cols[i] = quote(c.Name)
	}
	only := "only "
	if t.kind == 'p' {
		only = ""
	}
	return "copy (select " + strings.Join(cols, ", ") + " from " + only + quoteTable(t.name) + ") to stdout"
}

// copyRows takes the rows of COPY, one with each call of Write.
type copyRows struct {
	ctx      context.Context
	snapshot *snapshot
	shape    *shape
	rows     int64
}

func (w *copyRows) Write(line []byte) (int, error) {
	s := w.snapshot
	row, err := w.row(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil {
		return 0, err
	}
	if len(s.batch) >= s.cfg.SnapshotRows || s.bytes >= maxBytes {
		if err := s.flush(w.ctx, false); err != nil {
			return 0, err
		}
	}
	mark := "true"
	switch {
	case s.rows == 0:
		mark = "first"
	case w.rows == 0:
		mark = "first_in_data_collection"
	}
	s.batch = append(s.batch, schemas.Change{Op: schemas.Snapshot, Table: w.shape.table, After: row, Txn: s.txn, Ordinal: s.rows, LSN: s.at, SnapshotMark: mark})
	s.bytes += len(line)
	s.rows++
	w.rows++
	return len(line), nil
}

// row reads a line in COPY's text format: values between tabs, \N for NULL.
func (w *copyRows) row(line []byte) (schemas.Row, error) {
	row := w.snapshot.arena.row(len(w.shape.cols))
	for i := range row {
		field, rest, more := bytes.Cut(line, []byte{'\t'})
		if last := i == len(row)-1; last == more {
			return nil, fmt.Errorf("a line of COPY that has not %d values", len(row))
		}
		line = rest
		if string(field) == `\N` {
			continue
		}
		if bytes.IndexByte(field, '\\') >= 0 {
			field = unescape(field)
		}
		v, err := w.shape.cols[i].parse(&w.snapshot.arena, field)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", w.shape.table.Columns[i].Name, err)
		}
		row[i] = v
	}
	return row, nil
}

var escapes = [256]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// unescape undoes COPY's backslashes in place.
func unescape(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			i++
			c = b[i]
			if e := escapes[c]; e != 0 {
				c = e
			}
		}
		out = append(out, c)
	}
	return out
}

// flush hands over the batch.
func (s *snapshot) flush(ctx context.Context, last bool) error {
	b := &schemas.Batch{Changes: s.batch, Phase: schemas.PhaseSnapshot}
	if s.batches == 0 {
		b.Phase = schemas.PhaseSnapshotFirst
	}
	if last {
		b.Phase = b.Phase&^schemas.PhaseSnapshot | schemas.PhaseSnapshotLast
		b.Txns, b.Resume = 1, s.txn.Pos
	}
	size := s.bytes
	s.batch, s.bytes = make([]schemas.Change, 0, min(s.cfg.SnapshotRows, 5000)), 0
	s.batches++
	for !s.queue.offer(b, size) {
		select {
		case <-s.queue.drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// dropSlot drops the slot if there is one. It may still be held by a connection
// that the server has not given up yet.
func (c Config) dropSlot(ctx context.Context, conn *pgx.Conn) error {
	deadline := time.Now().Add(c.busyWait)
	for {
		var pid int
		err := conn.QueryRow(ctx, "select coalesce(active_pid, 0) from pg_replication_slots where slot_name = $1", c.Slot).Scan(&pid)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil && pid == 0 {
			_, err = conn.Exec(ctx, "select pg_drop_replication_slot($1)", c.Slot)
		}
		switch {
		case err != nil && code(err) != "55006" && code(err) != "42704":
			return fmt.Errorf("drop slot %s: %w", c.Slot, err)
		case err == nil && pid == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("drop slot %s: it is read by process %s: another instance is running; stop it, or: select pg_terminate_backend(%d)", c.Slot, strconv.Itoa(pid), pid)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
