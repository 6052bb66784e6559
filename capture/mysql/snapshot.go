package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// snapshot reads all tables as of one place in the log. One goroutine reads, a
// batch ahead of the caller.
type snapshot struct {
	batches chan *schemas.Batch
	// err is set before batches is closed.
	err error
}

// next waits for a batch.
func (s *snapshot) next(ctx context.Context) (*schemas.Batch, error) {
	select {
	case b, ok := <-s.batches:
		if !ok {
			return nil, s.err
		}
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// startSnapshot takes the snapshot and begins to read it. Everything that can go
// wrong with the tables goes wrong here.
func (s *Source) startSnapshot(ctx context.Context) error {
	// A consumer that cannot keep up must not end the connection.
	pool, err := s.target.open(map[string]string{"character_set_results": "NULL", "net_write_timeout": "86400", "wait_timeout": "86400"})
	if err != nil {
		return err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		pool.Close()
		return fmt.Errorf("snapshot: %w", err)
	}
	closeAll := func() { conn.Close(); pool.Close() }
	if s.start, err = s.takeSnapshot(ctx, conn); err != nil {
		closeAll()
		return fmt.Errorf("snapshot: %w", err)
	}
	tables, err := s.listSnapshot(ctx, conn)
	if err != nil {
		closeAll()
		return err
	}
	s.log.Info("snapshot begins", "system", s.cfg.System, "tables", len(tables), "position", s.start.String())
	s.snapshot = &snapshot{batches: make(chan *schemas.Batch, 1)}
	w := &snapshotWriter{
		out: s.snapshot.batches,
		pos: s.start.position(s.source),
		txn: &schemas.Txn{ID: "snapshot", Time: time.Now().UTC(), File: s.start.at.file, ServerID: uint32(s.server.serverID)},
		at:  s.start.at,
	}
	w.txn.Pos = w.pos
	snap := s.snapshot
	s.wg.Go(func() {
		defer closeAll()
		defer close(snap.batches)
		if snap.err = w.run(s.ctx, conn, tables); snap.err != nil {
			snap.err = fmt.Errorf("snapshot: %w", snap.err)
		}
	})
	return nil
}

// snapshotTable is a table with what is needed to read its rows.
type snapshotTable struct {
	table  *schemas.Table
	listed *listedTable
}

// listSnapshot looks the tables up inside the snapshot: a table that changed
// before it is seen as it is, and one that changes later cannot be read any more.
func (s *Source) listSnapshot(ctx context.Context, conn *sql.Conn) ([]snapshotTable, error) {
	out := make([]snapshotTable, 0, len(s.tables))
	for _, name := range s.tables {
		lt, err := lookUp(ctx, conn, s.shapes.cs, name)
		if err != nil {
			return nil, err
		}
		t, err := lt.table()
		if err != nil {
			return nil, err
		}
		out = append(out, snapshotTable{s.shapes.one(t), lt})
	}
	return out, nil
}

// takeSnapshot opens the snapshot on conn and finds the place in the log that
// belongs to it.
func (s *Source) takeSnapshot(ctx context.Context, conn *sql.Conn) (native, error) {
	if _, err := conn.ExecContext(ctx, "set session transaction isolation level repeatable read"); err != nil {
		return native{}, err
	}
	var n native
	var err error
	if s.server.mariadb {
		n, err = s.snapshotMariadb(ctx, conn)
	} else {
		n, err = s.snapshotMySQL(ctx, conn)
	}
	if err != nil {
		return n, err
	}
	return n, s.refusePreparedXA(ctx)
}

const consistentSnapshot = "start transaction with consistent snapshot, read only"

// snapshotMariadb needs no lock: the server notes the place in the log when it
// makes the snapshot.
// https://mariadb.com/kb/en/enhancements-for-start-transaction-with-consistent-snapshot/
func (s *Source) snapshotMariadb(ctx context.Context, conn *sql.Conn) (native, error) {
	if _, err := conn.ExecContext(ctx, "start transaction with consistent snapshot"); err != nil {
		return native{}, err
	}
	rows, err := conn.QueryContext(ctx, "show status where variable_name in ('binlog_snapshot_file', 'binlog_snapshot_position')")
	if err != nil {
		return native{}, err
	}
	got := map[string]string{}
	if err := eachRow(rows, func(v map[string]string) error {
		got[strings.ToLower(v["variable_name"])] = v["value"]
		return nil
	}); err != nil {
		return native{}, err
	}
	at, err := parsePlace(got["binlog_snapshot_file"] + ":" + got["binlog_snapshot_position"])
	if err != nil {
		return native{}, fmt.Errorf("the server tells no binlog position for its snapshot: %w", err)
	}
	var set sql.NullString
	if err := s.db.QueryRowContext(ctx, "select binlog_gtid_pos(?, ?)", at.file, at.offset).Scan(&set); err != nil {
		return native{}, fmt.Errorf("gtid at %s: %w", at, err)
	}
	parsed, err := parseMariadbSet(set.String)
	if err != nil {
		return native{}, err
	}
	return native{at: at, gtid: parsed.String()}, nil
}

// lockTries bounds how often the short lock is tried; each try waits for at most
// Config.LockWait, so that a long query of somebody else is not made to block all
// others behind us.
const lockTries = 20

// snapshotMySQL stops all writes for the moment in which the snapshot is made and
// the end of the log is read.
func (s *Source) snapshotMySQL(ctx context.Context, conn *sql.Conn) (native, error) {
	lock, err := s.db.Conn(ctx)
	if err != nil {
		return native{}, err
	}
	defer lock.Close()
	wait := s.cfg.LockWait
	if wait == 0 {
		wait = 3 * time.Second
	}
	if _, err := lock.ExecContext(ctx, fmt.Sprintf("set session lock_wait_timeout = %d", max(1, int(wait.Seconds())))); err != nil {
		return native{}, err
	}
	// Whatever happens, the lock goes with its connection or by this.
	defer func() { _, _ = lock.ExecContext(context.WithoutCancel(ctx), "unlock tables") }()
	how, err := s.lockMySQL(ctx, lock)
	if err != nil {
		return native{}, err
	}
	began := time.Now()
	if _, err := conn.ExecContext(ctx, consistentSnapshot); err != nil {
		return native{}, err
	}
	at, set, err := endOfLog(ctx, lock, s.server)
	if err != nil {
		return native{}, err
	}
	if _, err := lock.ExecContext(ctx, "unlock tables"); err != nil {
		return native{}, err
	}
	s.log.Info("snapshot taken under a lock", "system", s.cfg.System, "lock", how, "held", time.Since(began))
	n := native{at: at}
	if s.server.hasGTIDs() {
		parsed, err := parseMySQLSet(set)
		if err != nil {
			return native{}, err
		}
		n.gtid = parsed.String()
	}
	return n, nil
}

// lockMySQL takes the global read lock, or read locks on the captured tables
// where the user may not take that one.
func (s *Source) lockMySQL(ctx context.Context, lock *sql.Conn) (how string, err error) {
	err = retryLock(ctx, lock, "flush tables with read lock")
	if err == nil {
		return "flush tables with read lock", nil
	}
	if !isError(err, errSpecificDenied, errDBAccessDenied) {
		return "", fmt.Errorf("flush tables with read lock: %w", err)
	}
	names := make([]string, len(s.tables))
	for i, t := range s.tables {
		names[i] = quoteName(t) + " read"
	}
	if err := retryLock(ctx, lock, "lock tables "+strings.Join(names, ", ")); err != nil {
		return "", fmt.Errorf("lock tables: %w; grant reload on *.* (a moment's lock on everything) or lock tables and select on the captured tables and strait.* to the user of the capture", err)
	}
	return "lock tables … read", nil
}

func retryLock(ctx context.Context, lock *sql.Conn, statement string) error {
	var err error
	for range lockTries {
		if _, err = lock.ExecContext(ctx, statement); !isError(err, errLockWaitTimeout) {
			return err
		}
		// Others wait for the same tables: let them pass before the next try.
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// refusePreparedXA fails while XA transactions are prepared: their rows are in
// the log before the snapshot's place and become visible after it.
func (s *Source) refusePreparedXA(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, "xa recover")
	if isError(err, errXARecoverDenied, errSpecificDenied) {
		s.log.Warn("may not look for prepared XA transactions; if there is one now, reading will stop when it is committed", "cure", "grant xa_recover_admin on *.* to the user of the capture")
		return nil
	}
	if err != nil {
		return fmt.Errorf("xa recover: %w", err)
	}
	var xids []string
	if err := eachRow(rows, func(v map[string]string) error {
		xids = append(xids, v["data"])
		return nil
	}); err != nil {
		return fmt.Errorf("xa recover: %w", err)
	}
	if len(xids) > 0 {
		return fmt.Errorf("%d XA transactions are prepared (the first is %q); commit or roll them back (xa recover lists them), then start again", len(xids), xids[0])
	}
	return nil
}

// snapshotWriter turns rows into batches. A row waits until it is known whether
// another one follows, because the last one is marked.
type snapshotWriter struct {
	out   chan<- *schemas.Batch
	pos   schemas.Position
	txn   *schemas.Txn
	at    place
	batch schemas.Batch
	bytes int
	sent  int // batches
	rows  int64
	arena rowArena
}

func (w *snapshotWriter) run(ctx context.Context, conn *sql.Conn, tables []snapshotTable) error {
	for _, t := range tables {
		if err := w.table(ctx, conn, t); err != nil {
			return fmt.Errorf("table %s: %w", t.table.Name, err)
		}
	}
	if n := len(w.batch.Changes); n > 0 {
		w.batch.Changes[n-1].SnapshotMark = "last"
	}
	w.batch.Phase |= schemas.PhaseSnapshotLast
	w.batch.Resume = w.pos
	w.batch.Txns = 1
	return w.send(ctx)
}

func (w *snapshotWriter) table(ctx context.Context, conn *sql.Conn, t snapshotTable) error {
	cols := make([]textColumn, len(t.table.Columns))
	exprs := make([]string, len(cols))
	for i := range cols {
		cols[i] = newTextColumn(t.table.Columns[i].Type, &t.listed.columns[i])
		exprs[i] = cols[i].expression(t.table.Columns[i].Name)
	}
	rows, err := conn.QueryContext(ctx, "select "+strings.Join(exprs, ", ")+" from "+quoteName(t.table.Name))
	if err != nil {
		return err
	}
	defer rows.Close()
	raw := make([]sql.RawBytes, len(cols))
	into := make([]any, len(cols))
	for i := range raw {
		into[i] = &raw[i]
	}
	first := true
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := w.room(ctx); err != nil {
			return err
		}
		if err := w.add(t.table, cols, raw, first); err != nil {
			return err
		}
		first = false
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n := len(w.batch.Changes); !first && n > 0 {
		w.batch.Changes[n-1].SnapshotMark = lastMark(w.batch.Changes[n-1].SnapshotMark)
	}
	return nil
}

// lastMark is the mark of a table's last row: it wins over that of its first, but
// the first of all keeps its own.
func lastMark(mark string) string {
	if mark == "first" {
		return mark
	}
	return "last_in_data_collection"
}

func (w *snapshotWriter) add(t *schemas.Table, cols []textColumn, raw []sql.RawBytes, first bool) error {
	row := w.arena.row(len(cols))
	for i := range cols {
		if raw[i] == nil {
			continue
		}
		v, err := cols[i].value(raw[i])
		if err != nil {
			return fmt.Errorf("column %s: %w", t.Columns[i].Name, err)
		}
		row[i] = v
		w.bytes += len(raw[i]) + 16
	}
	mark := "true"
	switch {
	case w.rows == 0:
		mark = "first"
	case first:
		mark = "first_in_data_collection"
	}
	w.batch.Changes = append(w.batch.Changes, schemas.Change{
		Op: schemas.Snapshot, Table: t, After: row, Txn: w.txn, Ordinal: w.rows, Offset: w.at.offset, SnapshotMark: mark,
	})
	w.rows++
	return nil
}

// room sends the batch when it is full. One row more is then known to follow.
func (w *snapshotWriter) room(ctx context.Context) error {
	if len(w.batch.Changes) < batchChanges && w.bytes < batchBytes {
		return nil
	}
	return w.send(ctx)
}

func (w *snapshotWriter) send(ctx context.Context) error {
	b := w.batch
	if w.sent == 0 {
		b.Phase |= schemas.PhaseSnapshotFirst
	}
	if b.Phase == schemas.PhaseLog {
		b.Phase = schemas.PhaseSnapshot
	}
	w.sent++
	w.batch = schemas.Batch{Changes: make([]schemas.Change, 0, len(b.Changes))}
	w.bytes = 0
	select {
	case w.out <- &b:
		return nil
	case <-ctx.Done():
		return errors.Join(errClosed, ctx.Err())
	}
}
