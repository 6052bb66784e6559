package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// Source reads one server. It is a capture.Source.
type Source struct {
	cfg      Config
	log      *slog.Logger
	db       *sql.DB
	target   target
	server   *server
	source   string
	serverID uint32
	shapes   *shapes
	tables   []schemas.TableName // those captured when it was opened

	// ctx ends with Close.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// snapshot is nil when there is none or no more; owned by Read.
	snapshot *snapshot
	// start is where the log is read from; owned by Read until queue is set.
	start native

	// mu guards the fields below.
	mu    sync.Mutex
	queue *queue
	dump  *dump
	acked schemas.Position
}

var _ capture.Source = (*Source)(nil)

var errClosed = errors.New("the source is closed")

// Open prepares the server for reading and begins at from, or with a snapshot if
// from is zero. It fails with ErrUnsupported for what only an administrator can
// cure, and with ErrPositionLost for what only a new snapshot cures.
func Open(ctx context.Context, cfg Config, from schemas.Position) (*Source, error) {
	db, t, err := connect(ctx, cfg.URL)
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, log: cfg.log(), db: db, target: t}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx, from); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) open(ctx context.Context, from schemas.Position) error {
	var err error
	if s.server, err = identify(ctx, s.db); err != nil {
		return err
	}
	if err := s.server.fit(); err != nil {
		return err
	}
	// First of all, so that a wrong server is not written to. The right to list the
	// files is needed to resume: without it even the first start is refused.
	if !from.IsZero() {
		s.start, err = verify(ctx, s.db, s.server, from)
	} else {
		_, err = binlogFiles(ctx, s.db)
	}
	if err != nil {
		return err
	}
	if err := makeControlTables(ctx, s.db); err != nil {
		return err
	}
	if s.source, err = s.server.source(ctx, s.db, true); err != nil {
		return err
	}
	if s.serverID, err = s.server.replicaID(ctx, s.db, s.cfg); err != nil {
		return err
	}
	cs, err := loadCharsets(ctx, s.db, s.server.mariadb)
	if err != nil {
		return err
	}
	s.shapes = newShapes(s.db, cs, s.wants())
	if s.tables, err = s.resolve(ctx); err != nil {
		return err
	}
	if from.IsZero() {
		return s.startSnapshot(ctx)
	}
	for _, name := range s.tables {
		if _, err := s.shapes.last(ctx, name); err != nil {
			return err
		}
	}
	return s.startLog(ctx)
}

// resolve is the tables to read: those configured, or all of the database, and
// the control tables.
func (s *Source) resolve(ctx context.Context) ([]schemas.TableName, error) {
	tables := s.cfg.Tables
	if len(tables) == 0 {
		var err error
		if tables, err = baseTables(ctx, s.db, s.target.database); err != nil {
			return nil, err
		}
	}
	out := make([]schemas.TableName, 0, len(tables)+2)
	for _, t := range tables {
		if t != schemas.ProgressTable && t != schemas.LinkTable {
			out = append(out, t)
		}
	}
	return append(out, schemas.ProgressTable, schemas.LinkTable), nil
}

// wants says whether a table is captured.
func (s *Source) wants() func(schemas.TableName) bool {
	named := map[schemas.TableName]bool{schemas.ProgressTable: true, schemas.LinkTable: true}
	for _, t := range s.cfg.Tables {
		named[t] = true
	}
	database := ""
	if len(s.cfg.Tables) == 0 {
		database = s.target.database
	}
	return func(n schemas.TableName) bool { return named[n] || database != "" && n.Schema == database }
}

// startLog connects to the log at s.start and begins to decode.
func (s *Source) startLog(ctx context.Context) error {
	set, err := parseSet(s.server.mariadb, s.start.gtid)
	if err != nil {
		return lost("%v", err)
	}
	d, err := startDump(ctx, s.target, s.server.mariadb, s.serverID, replicaUUID(s.serverID), s.start.startsAt())
	if err != nil {
		return err
	}
	q := newQueue(s.source, s.start.at, set)
	r := &reader{
		dump: d, queue: q, shapes: s.shapes, prepared: prepared{},
		databases: map[string]bool{}, tables: map[string]bool{},
		from: s.start.position(s.source), resume: s.start, at: s.start.startsAt(), made: s.start.made,
	}
	for _, t := range s.tables {
		r.databases[strings.ToLower(t.Schema)] = true
		r.tables[strings.ToLower(t.Name)] = true
	}
	if err := r.greet(ctx); err != nil {
		d.abort()
		return fmt.Errorf("binlog from %s: %w", s.start.startsAt(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		d.abort()
		return errClosed
	}
	s.dump, s.queue = d, q
	s.wg.Go(func() { r.run(s.ctx) })
	return nil
}

// Read returns the next batch. See capture.Source.
func (s *Source) Read(ctx context.Context) (*schemas.Batch, error) {
	if s.ctx.Err() != nil {
		return nil, errClosed
	}
	if s.snapshot != nil {
		b, err := s.snapshot.next(ctx)
		if err != nil || b.Phase&schemas.PhaseSnapshotLast == 0 {
			return b, s.orClosed(err)
		}
		s.snapshot = nil
		return b, nil
	}
	if s.queue == nil {
		if err := s.startLog(ctx); err != nil {
			return nil, err
		}
	}
	b, err := s.queue.take(ctx)
	return b, s.orClosed(err)
}

// orClosed gives the plain reason for an error that Close caused.
func (s *Source) orClosed(err error) error {
	if err != nil && s.ctx.Err() != nil {
		return errClosed
	}
	return err
}

// Ack notes how far everything is durable. The server is not told: it keeps its
// log for a time of its own (binlog_expire_logs_seconds), and Status shows how
// much of that is left.
func (s *Source) Ack(_ context.Context, pos schemas.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pos.End > s.acked.End {
		s.acked = pos
	}
	return nil
}

// Connector is Debezium's name for the kind of server: mysql or mariadb.
func (s *Source) Connector() string { return s.server.connector() }

// Close ends the connections and waits for what was started. A Read that waits
// returns with an error.
func (s *Source) Close() error {
	s.cancel()
	s.mu.Lock()
	d := s.dump
	s.mu.Unlock()
	if d != nil {
		d.abort()
	}
	s.wg.Wait()
	// What the pool reports here is that connections which are broken are broken.
	s.db.Close()
	return nil
}
