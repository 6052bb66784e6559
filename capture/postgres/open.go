package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// Open connects and begins to read: a snapshot and then the log if from is zero,
// else the log behind from. A snapshot drops an earlier slot of the same name.
//
// capture.ErrPositionLost says that the log behind from is gone, or that this is
// another server; capture.ErrUnsupported that tables or settings have to be
// changed first, and how.
func Open(ctx context.Context, cfg Config, from schemas.Position) (*Source, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, queue: newQueue()}
	if err := s.open(ctx, from); err != nil {
		if s.repl != nil {
			closeReplication(s.repl)
		}
		if s.sql != nil {
			closeSQL(s.sql)
		}
		return nil, fmt.Errorf("open %s: %w", cfg.System, err)
	}
	return s, nil
}

func (s *Source) open(ctx context.Context, from schemas.Position) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.identify(ctx, from); err != nil {
		return err
	}
	if err := makeControlTables(ctx, s.sql); err != nil {
		return err
	}
	if err := s.catalog.checkTables(ctx, s.cfg.Tables); err != nil {
		return err
	}
	if err := s.publication(ctx, from.IsZero()); err != nil {
		return err
	}
	if from.IsZero() {
		snap, err := s.newSnapshot(ctx)
		if err != nil {
			return err
		}
		s.acked.Store(snap.at)
		s.start(snap, snap.at)
		return nil
	}
	if err := s.checkSlot(ctx, from); err != nil {
		return err
	}
	s.acked.Store(from.End)
	s.start(nil, from.End)
	return nil
}

func (s *Source) connect(ctx context.Context) error {
	var err error
	if s.sql, err = s.cfg.connectSQL(ctx); err != nil {
		return err
	}
	if s.catalog, err = newCatalog(ctx, s.sql); err != nil {
		return err
	}
	var level string
	if err := s.sql.QueryRow(ctx, "select current_setting('wal_level')").Scan(&level); err != nil {
		return err
	}
	if level != "logical" {
		return fmt.Errorf("wal_level is %s: %w; run: alter system set wal_level = 'logical', and restart the server", level, capture.ErrUnsupported)
	}
	s.repl, err = s.cfg.connectReplication(ctx)
	return err
}

// identify asks the server who it is. A position counts only within one life of
// one server, and only if the server has got that far.
func (s *Source) identify(ctx context.Context, from schemas.Position) error {
	id, err := pglogrepl.IdentifySystem(ctx, s.repl)
	if err != nil {
		return fmt.Errorf("identify: %w", err)
	}
	s.identity = fmt.Sprintf("pg:%s:%d", id.SystemID, id.Timeline)
	switch {
	case from.IsZero():
		return nil
	case from.Source != s.identity:
		return fmt.Errorf("%w: the position %s is of %s, this is %s: another server, or one that was promoted or restored; take a new snapshot with: strait run --snapshot <system>",
			capture.ErrPositionLost, from, from.Source, s.identity)
	case from.End > uint64(id.XLogPos):
		return fmt.Errorf("%w: the position %s is beyond the server's log, which ends at %s: it was restored to an earlier state; take a new snapshot with: strait run --snapshot <system>",
			capture.ErrPositionLost, from, id.XLogPos)
	}
	return nil
}

// makeControlTables makes what is missing. A sink may be doing the same.
func makeControlTables(ctx context.Context, conn *pgx.Conn) error {
	for try := 0; ; try++ {
		var have bool
		if err := conn.QueryRow(ctx, "select to_regclass('strait.progress') is not null and to_regclass('strait.link') is not null").Scan(&have); err != nil {
			return fmt.Errorf("look for strait.progress: %w", err)
		}
		if have {
			return nil
		}
		var err error
		for _, q := range schemas.PostgresControlTables {
			if _, err = conn.Exec(ctx, q); err != nil {
				break
			}
		}
		if c := code(err); err != nil && (try == 5 || c != "23505" && c != "42P07" && c != "42P06") {
			return fmt.Errorf("make schema strait: %w; let an owner of the database run it: %s", err, strings.Join(schemas.PostgresControlTables, "; "))
		}
	}
}

// checkTables says everything that keeps the tables from being read.
func (c *catalog) checkTables(ctx context.Context, names []schemas.TableName) error {
	findings, err := c.findings(ctx, names)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range findings {
		errs = append(errs, fmt.Errorf("%s: %w: %s; %s", f.What, capture.ErrUnsupported, f.Why, f.Cure))
	}
	return errors.Join(errs...)
}

// publication makes the publication match the list of tables. When a slot goes
// on, a table that is not in the publication has never been read: only a
// snapshot can bring it in.
func (s *Source) publication(ctx context.Context, fresh bool) error {
	p, err := readPublication(ctx, s.sql, s.cfg.Publication)
	if err != nil {
		return err
	}
	if p == nil {
		if !fresh {
			return fmt.Errorf("%w: there is no publication %s any more; take a new snapshot with: strait run --snapshot <system>", capture.ErrPositionLost, s.cfg.Publication)
		}
		return s.run1(ctx, "create publication "+quote(s.cfg.Publication)+" for table "+quoteTables(s.cfg.Tables)+" with ("+publicationOptions+")")
	}
	if p.allTables {
		return fmt.Errorf("publication %s is for all tables: %w; drop it, or set publication to another name", s.cfg.Publication, capture.ErrUnsupported)
	}
	if !fresh {
		if err := s.checkPublication(ctx); err != nil {
			return err
		}
	}
	if p.narrow || len(p.tables) != len(s.cfg.Tables) || !containsAll(p.tables, s.cfg.Tables) {
		if err := s.run1(ctx, "alter publication "+quote(s.cfg.Publication)+" set table "+quoteTables(s.cfg.Tables)); err != nil {
			return err
		}
	}
	if !p.options {
		return s.run1(ctx, "alter publication "+quote(s.cfg.Publication)+" set ("+publicationOptions+")")
	}
	return nil
}

// checkPublication makes sure that each table that exists is published. One that
// is dropped is published no more, also when it is made again.
func (s *Source) checkPublication(ctx context.Context) error {
	names := make([]string, len(s.cfg.Tables))
	for i, t := range s.cfg.Tables {
		names[i] = literal(quoteTable(t))
	}
	var missing string
	err := s.sql.QueryRow(ctx, `select coalesce(min(t.name), '') from unnest(array[`+strings.Join(names, ", ")+`]) t (name)
where to_regclass(t.name) is not null and not exists (
	select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid where p.pubname = $1 and r.prrelid = to_regclass(t.name))`,
		s.cfg.Publication).Scan(&missing)
	if err != nil {
		return fmt.Errorf("read publication %s: %w", s.cfg.Publication, err)
	}
	if missing != "" {
		return fmt.Errorf("%w: %s is not in publication %s, so its rows were not read: it is new in the list, or was dropped and made again; take a new snapshot with: strait run --snapshot <system>",
			capture.ErrPositionLost, missing, s.cfg.Publication)
	}
	return nil
}

const publicationOptions = "publish = 'insert, update, delete, truncate', publish_via_partition_root = true"

func (s *Source) run1(ctx context.Context, query string) error {
	_, err := s.sql.Exec(ctx, query)
	if code(err) == "42501" {
		return fmt.Errorf("%w: %w; let the owner of the tables run it: %s", capture.ErrUnsupported, err, query)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}

func containsAll(all, some []schemas.TableName) bool {
	for _, t := range some {
		if !slices.Contains(all, t) {
			return false
		}
	}
	return true
}

type publicationInfo struct {
	allTables bool
	options   bool // are as we want them
	narrow    bool // rows or columns are filtered, or whole schemas added
	tables    []schemas.TableName
}

// readPublication is nil if there is none.
func readPublication(ctx context.Context, conn *pgx.Conn, name string) (*publicationInfo, error) {
	p := &publicationInfo{}
	err := conn.QueryRow(ctx, "select puballtables, pubinsert and pubupdate and pubdelete and pubtruncate and pubviaroot from pg_publication where pubname = $1", name).Scan(&p.allTables, &p.options)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read publication %s: %w", name, err)
	}
	// Filters and schemas came with version 15; through JSON the query is good for 14, too.
	rows, err := conn.Query(ctx, `select n.nspname::text, c.relname::text, to_jsonb(r) ->> 'prqual' is not null or to_jsonb(r) ->> 'prattrs' is not null
from pg_publication p join pg_publication_rel r on r.prpubid = p.oid join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
where p.pubname = $1`, name)
	if err != nil {
		return nil, fmt.Errorf("read publication %s: %w", name, err)
	}
	var t schemas.TableName
	var narrow bool
	if _, err := pgx.ForEachRow(rows, []any{&t.Schema, &t.Name, &narrow}, func() error {
		p.tables = append(p.tables, t)
		p.narrow = p.narrow || narrow
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read publication %s: %w", name, err)
	}
	return p, nil
}

// checkSlot makes sure that the slot can go on behind from.
func (s *Source) checkSlot(ctx context.Context, from schemas.Position) error {
	st, err := s.cfg.status(ctx, s.sql)
	if err != nil {
		return err
	}
	again := func(why string) error {
		return fmt.Errorf("%w: slot %s %s; take a new snapshot with: strait run --snapshot <system>", capture.ErrPositionLost, s.cfg.Slot, why)
	}
	switch {
	case !st.Exists:
		return again("does not exist any more")
	case !st.Usable:
		return again("is not a logical slot of this database with the plugin pgoutput")
	case st.WALStatus == "lost":
		return again("was invalidated by the server (" + st.Reason() + ")")
	case st.Confirmed > from.End:
		return again(fmt.Sprintf("is at %s, beyond the last commit at %s: something else has read it, or commits were lost in Kafka", pglogrepl.LSN(st.Confirmed), from))
	case st.WALStatus == "unreserved":
		s.cfg.Log.Warn("the server will soon remove log that is still needed: raise max_slot_wal_keep_size", "retained", st.Retained)
	}
	return nil
}
