package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/sinks/internal/apply"
)

// session is apply.Session on one connection.
type session struct {
	conn     *pgx.Conn
	pipeline string
	lane     int
	catalog  *catalog
}

func (s *session) exec(ctx context.Context, sql string, args ...any) error {
	_, err := s.conn.Exec(ctx, sql, args...)
	return classify(err, -1)
}

// durable makes the commit of a transaction wait for the disk, whatever the
// role or the database was told to do; remote_apply waits for more and stays.
const durable = `select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') <> 'remote_apply'`

func (s *session) Begin(ctx context.Context) error {
	return s.exec(ctx, `begin isolation level read committed; `+durable)
}

func (s *session) Mark(ctx context.Context, epoch, batch int64) (bool, error) {
	tag, err := s.conn.Exec(ctx, `update strait.progress set batch = $4, answers = '', at = clock_timestamp()
where pipeline = $1 and lane = $2 and epoch = $3 and batch = $4 - 1`, s.pipeline, s.lane, epoch, batch)
	if err != nil {
		return false, unlessRetry(err)
	}
	return tag.RowsAffected() == 1, nil
}

// unlessRetry is for our own tables: whatever is wrong with them is no answer
// to an intent.
func unlessRetry(err error) error {
	var c *apply.Retry
	if errors.As(classify(err, -1), &c) {
		return c
	}
	return err
}

func (s *session) State(ctx context.Context) (apply.State, error) {
	st := apply.State{Found: true}
	err := s.conn.QueryRow(ctx, `select epoch, batch, coalesce(answers, '') from strait.progress where pipeline = $1 and lane = $2`,
		s.pipeline, s.lane).Scan(&st.Epoch, &st.Batch, &st.Answers)
	if errors.Is(err, pgx.ErrNoRows) {
		return apply.State{}, nil
	}
	return st, err
}

func (s *session) SaveAnswers(ctx context.Context, text string) error {
	_, err := s.conn.Exec(ctx, `update strait.progress set answers = $3 where pipeline = $1 and lane = $2`, s.pipeline, s.lane, text)
	return unlessRetry(err)
}

func (s *session) Commit(ctx context.Context) error {
	tag, err := s.conn.Exec(ctx, `commit`)
	if err == nil && tag.String() != "COMMIT" {
		return fmt.Errorf("the server answered %s: the transaction had failed before", tag)
	}
	return unlessRetry(err)
}

func (s *session) Rollback(ctx context.Context) error { return s.exec(ctx, `rollback`) }

// Savepoint also puts off the constraints that can be: inside a group the order
// of writes is ours. Check examines them, so that a violation is the answer of
// an intent and never an error of the commit.
func (s *session) Savepoint(ctx context.Context) error {
	return s.exec(ctx, `savepoint strait; set constraints all deferred`)
}

func (s *session) Undo(ctx context.Context) error {
	return s.exec(ctx, `rollback to savepoint strait; release savepoint strait`)
}

func (s *session) Check(ctx context.Context) error {
	return s.exec(ctx, `set constraints all immediate`)
}

func (s *session) Release(ctx context.Context) error {
	return s.exec(ctx, `release savepoint strait`)
}

func (s *session) Forget() { s.catalog.forget() }

func (s *session) ReadLinks(ctx context.Context, entity string, natives, hubs []string) ([]apply.LinkRow, error) {
	rows, err := s.conn.Query(ctx, `select native_key, hub, status = 'dead', batch from strait.link where entity = $1 and native_key = any($2::text[])
union select native_key, hub, status = 'dead', batch from strait.link where entity = $1 and hub = any($3::text[])`, entity, natives, hubs)
	if err != nil {
		return nil, unlessRetry(err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (apply.LinkRow, error) {
		r := apply.LinkRow{}
		r.Entity = entity
		err := row.Scan(&r.NativeKey, &r.Hub, &r.Dead, &r.Batch)
		return r, err
	})
	return out, unlessRetry(err)
}

func (s *session) WriteLinks(ctx context.Context, remove, add, status []apply.LinkRow) error {
	for _, step := range []struct {
		rows []apply.LinkRow
		sql  string
	}{
		{remove, `delete from strait.link l using unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) v(entity, native_key, hub, status, batch)
where l.entity = v.entity and l.native_key = v.native_key`},
		{add, `insert into strait.link (entity, native_key, hub, status, batch)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])`},
		{status, `update strait.link l set status = v.status, batch = v.batch
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) v(entity, native_key, hub, status, batch)
where l.entity = v.entity and l.native_key = v.native_key`},
	} {
		if len(step.rows) == 0 {
			continue
		}
		if err := s.exec(ctx, step.sql, linkColumns(step.rows)...); err != nil {
			return err
		}
	}
	return nil
}

func linkColumns(rows []apply.LinkRow) []any {
	n := len(rows)
	entity, native, hub, status, batch := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]int64, n)
	for i, r := range rows {
		entity[i], native[i], hub[i], status[i], batch[i] = r.Entity, r.NativeKey, r.Hub, "live", r.Batch
		if r.Dead {
			status[i] = "dead"
		}
	}
	return []any{entity, native, hub, status, batch}
}
