package main

import (
	"context"
	"fmt"
	"strings"

	capturepg "github.com/strait-cdc/strait/capture/postgres"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

// backlog is a workload that lies in a log.
type backlog struct {
	what string
	// rows in all, in transactions of per.
	rows, per int
	// wide rows have a text of 4 kB.
	wide bool
	goal goal
}

func (b *bench) backlogs(g goal) []backlog {
	n := func(rows int) int { return b.size(rows, 3000) }
	return []backlog{
		{"transactions of 1 row", n(100_000), 1, false, g},
		{"transactions of 10 rows", n(300_000), 10, false, g},
		{"transactions of 1000 rows", n(400_000), 1000, false, g},
		{"4 kB rows, 10 each", n(30_000), 10, true, goal{}},
	}
}

const postgresTable = `create table public.a (id bigint primary key, c1 int, c2 int, c3 bigint, c4 text, c5 text, c6 text, c7 varchar(40),
	c8 timestamptz, c9 timestamp, c10 numeric(12,2), c11 numeric(12,2), c12 bool, c13 uuid, c14 date)`

// postgresRows are the rows from (excluded) to to, as a query.
func postgresRows(from, to string, wide bool) string {
	text := "'more text ' || g"
	if wide {
		// Not compressible to nothing, not from TOAST, which the log would leave out.
		text = "repeat(md5(g::text), 128)"
	}
	return `insert into public.a select g, g % 100, g % 7, g * 1000, 'some text', ` + text + `, null, 'name', now(), now(), 12.5, g % 1000, true,
		'6f1c9d1e-2b3a-4c5d-8e9f-0123456789ab', current_date from generate_series(` + from + ` + 1, ` + to + `) g`
}

func capturePostgres(ctx context.Context, b *bench) error {
	program, err := postgresProgram("pg_recvlogical")
	if err != nil {
		return err
	}
	for _, l := range b.backlogs(goal{min: 0.7}) {
		s, err := b.postgresDB(ctx)
		if err != nil {
			return err
		}
		if err := b.postgresBacklog(ctx, s, program, l); err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}
	}
	return nil
}

// slots are copies of one slot: each reader needs its own to read the same again.
type slots struct {
	s      *testenv.Server
	origin string
	made   int
}

func (c *slots) next(ctx context.Context) (string, error) {
	c.made++
	name := fmt.Sprintf("%s_%d", c.origin, c.made)
	_, err := c.s.DB().ExecContext(ctx, "select pg_copy_logical_replication_slot($1, $2)", c.origin, name)
	return name, err
}

func (c *slots) drop(ctx context.Context) error {
	_, err := c.s.DB().ExecContext(ctx, `select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1 and not active`, c.s.Database)
	return err
}

func (b *bench) postgresBacklog(ctx context.Context, s *testenv.Server, program string, l backlog) error {
	defer s.DB().Close()
	t := task{Kind: "postgres", URL: s.URL(), System: s.Database, Table: schemas.TableName{Schema: "public", Name: "a"}, Rows: l.rows, Publication: "bench", Slot: s.Database}
	if err := runAll(ctx, s, postgresTable, "alter table public.a alter column c5 set storage plain"); err != nil {
		return err
	}
	src, err := capturepg.Open(ctx, t.postgres(), schemas.Position{})
	if err != nil {
		return err
	}
	first, err := src.Read(ctx)
	if err != nil {
		return err
	}
	if err := src.Close(); err != nil {
		return err
	}
	t.From = first.Resume
	fill := fmt.Sprintf(`do $$ begin for i in 0..%d loop %s; commit; end loop; end $$`, l.rows/l.per-1, postgresRows(fmt.Sprintf("i * %d", l.per), fmt.Sprintf("(i + 1) * %d", l.per), l.wide))
	if err := runAll(ctx, s, "set synchronous_commit = off", fill, "set synchronous_commit = on", "create table public.flushed ()", "checkpoint"); err != nil {
		return err
	}
	var end string
	if err := s.DB().QueryRowContext(ctx, "select pg_current_wal_flush_lsn()").Scan(&end); err != nil {
		return err
	}
	copies := &slots{s: s, origin: t.Slot}
	medians, err := inTurns(ctx, b.reps, func(ctx context.Context) (sample, error) {
		t := t
		if t.Slot, err = copies.next(ctx); err != nil {
			return sample{}, err
		}
		return b.strait(ctx, t)
	}, func(ctx context.Context) (sample, error) {
		slot, err := copies.next(ctx)
		if err != nil {
			return sample{}, err
		}
		return peer(ctx, l.rows, "PGPASSWORD="+s.Password, program, "-d", postgresDSN(s), "-S", slot, "--start", "-E", end, "-F", "0",
			"-o", "proto_version=1", "-o", "publication_names="+t.Publication, "-f", "/dev/null")
	})
	if err != nil {
		return err
	}
	b.add(pair(l.what, medians[0], medians[1], "rows/s", "pg_recvlogical", l.goal))
	return copies.drop(ctx)
}

// postgresDSN is without the password, which goes by the environment.
func postgresDSN(s *testenv.Server) string {
	return strings.Join([]string{"host=" + s.Host, fmt.Sprintf("port=%d", s.Port), "user=" + s.User, "dbname=" + s.Database, "sslmode=disable"}, " ")
}
