// Package postgres applies intents to PostgreSQL, 13 and newer.
//
// Each Sink has one connection and one lane. All values travel as text and are
// cast to the base type of their column without its length, so that it is the
// assignment that checks the length and an explicit cast never cuts a value.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
	"github.com/strait-cdc/strait/sinks/internal/apply"
)

// applyTimeout bounds a whole Apply, so that a dead network is found out.
const applyTimeout = 3 * time.Minute

// Sink writes to one PostgreSQL database. It is used by one goroutine.
type Sink struct {
	config Config
	conn   *pgx.Conn
	s      *session
	epoch  int64
	// broken is set by an error after which the outcome is unknown.
	broken error
}

var _ sinks.Sink = (*Sink)(nil)

// Open connects. Nothing is written before Start.
func Open(ctx context.Context, c Config) (*Sink, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	pc, err := c.connConfig()
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	k := &Sink{config: c, conn: conn}
	k.s = &session{conn: conn, pipeline: c.Pipeline, lane: c.Lane, catalog: newCatalog(conn)}
	if err := k.examine(ctx); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return k, nil
}

// examine refuses a server that cannot keep what it is given.
func (k *Sink) examine(ctx context.Context) error {
	var fsync, encoding string
	var standby bool
	err := k.conn.QueryRow(ctx, `select current_setting('fsync'), current_setting('server_encoding'), pg_is_in_recovery()`).Scan(&fsync, &encoding, &standby)
	switch {
	case err != nil:
		return fmt.Errorf("settings: %w", err)
	case standby:
		return errors.New("the server is a standby and cannot be written to: give the address of the primary")
	case encoding != "UTF8":
		return fmt.Errorf("the database has encoding %s: only UTF8 is supported", encoding)
	case fsync != "on":
		k.config.Log.Warn("fsync is off: a crash of the server can lose writes that were acknowledged; set fsync = on")
	}
	return nil
}

// Start is sinks.Sink's.
func (k *Sink) Start(ctx context.Context, accept func(schemas.Progress) error) (schemas.Progress, error) {
	if err := k.makeTables(ctx); err != nil {
		return schemas.Progress{}, fmt.Errorf("control tables: %w", advise(err))
	}
	tx, err := k.conn.Begin(ctx)
	if err != nil {
		return schemas.Progress{}, fmt.Errorf("start: %w", err)
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, durable); err != nil {
		return schemas.Progress{}, fmt.Errorf("start: %w", err)
	}
	var p schemas.Progress
	err = tx.QueryRow(ctx, `insert into strait.progress as p (pipeline, lane, epoch, batch, answers, at)
values ($1, $2, 1, 0, '', clock_timestamp())
on conflict (pipeline, lane) do update set epoch = p.epoch + 1, at = excluded.at
returning epoch, batch, at`, k.config.Pipeline, k.config.Lane).Scan(&p.Epoch, &p.Batch, &p.At)
	if err != nil {
		return schemas.Progress{}, fmt.Errorf("claim lane %d of %s: %w", k.config.Lane, k.config.Pipeline, advise(err))
	}
	if err := accept(p); err != nil {
		return p, err
	}
	if err := tx.Commit(ctx); err != nil {
		return schemas.Progress{}, fmt.Errorf("start: %w", err)
	}
	k.epoch = p.Epoch
	return p, nil
}

// makeTables makes the control tables unless they are there. Others may be
// making them at this moment, which the server answers with an error that is
// gone a moment later.
func (k *Sink) makeTables(ctx context.Context) error {
	var last error
	for range 5 {
		var there bool
		err := k.conn.QueryRow(ctx, `select to_regclass('strait.progress') is not null and to_regclass('strait.link') is not null`).Scan(&there)
		if err != nil || there {
			return err
		}
		last = nil
		for _, sql := range schemas.PostgresControlTables {
			if _, err := k.conn.Exec(ctx, sql); err != nil {
				last = err
				break
			}
		}
		if last == nil {
			return nil
		}
		if code := sqlState(last); code != "23505" && code != "42P07" && code != "42P06" {
			return last
		}
	}
	return last
}

// Apply is sinks.Sink's.
func (k *Sink) Apply(ctx context.Context, batch int64, intents []schemas.Intent) ([]schemas.Answer, error) {
	if k.broken != nil {
		return nil, fmt.Errorf("the sink must be opened again after: %w", k.broken)
	}
	if k.epoch == 0 {
		return nil, errors.New("apply before start")
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	answers, err := apply.Run(ctx, k.s, k.epoch, batch, intents)
	if err != nil {
		k.broken = fmt.Errorf("apply batch %d: %w", batch, advise(err))
		return nil, k.broken
	}
	return answers, nil
}

// Links reads strait.link, for a verify or a rebuild of the state store. status
// is live or dead.
func (k *Sink) Links(ctx context.Context, each func(link schemas.Link, status string) error) error {
	rows, err := k.conn.Query(ctx, `select entity, hub, native_key, status from strait.link order by entity, native_key`)
	if err != nil {
		return fmt.Errorf("links: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var l schemas.Link
		var status string
		if err := rows.Scan(&l.Entity, &l.Hub, &l.NativeKey, &status); err != nil {
			return fmt.Errorf("links: %w", err)
		}
		if err := each(l, status); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("links: %w", err)
	}
	return nil
}

// Close ends the connection; an open transaction is rolled back by the server.
func (k *Sink) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return k.conn.Close(ctx)
}
