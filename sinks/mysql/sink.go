// Package mysql applies intents to MySQL (8.0 and newer) and MariaDB (10.6 and
// newer).
//
// Each Sink has one connection and one lane. Statements carry their values as
// literals, written by the type of the column, because one packet then holds
// many statements and the server answers each of them.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
	"github.com/strait-cdc/strait/sinks/internal/apply"
)

// applyTimeout bounds a whole Apply, so that a dead network is found out.
const applyTimeout = 3 * time.Minute

// Sink writes to one server. It is used by one goroutine.
type Sink struct {
	config Config
	db     *sql.DB
	conn   *sql.Conn
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
	d, err := c.driverConfig()
	if err != nil {
		return nil, err
	}
	connector, err := driver.NewConnector(d)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	k := &Sink{config: c, db: sql.OpenDB(connector)}
	if k.conn, err = k.db.Conn(ctx); err != nil {
		_ = k.db.Close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	k.s = &session{conn: k.conn, pipeline: c.Pipeline, lane: c.Lane}
	if err := k.prepare(ctx); err != nil {
		_ = k.Close()
		return nil, err
	}
	return k, nil
}

// prepare sets up the session and looks at the server's settings.
func (k *Sink) prepare(ctx context.Context) error {
	var version, mode, format string
	var flush, sync, logs int
	err := k.conn.QueryRowContext(ctx, `select version(), @@global.sql_mode, @@innodb_flush_log_at_trx_commit, @@sync_binlog, @@log_bin, @@binlog_format`).
		Scan(&version, &mode, &flush, &sync, &logs, &format)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	for _, statement := range k.config.settings(mode) {
		if _, err := k.conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("session settings: %w", advise(err))
		}
	}
	if flush != 1 {
		k.config.Log.Warn("a crash of the server can lose writes that were acknowledged; set global innodb_flush_log_at_trx_commit = 1", "innodb_flush_log_at_trx_commit", flush)
	}
	if logs == 1 && sync != 1 {
		k.config.Log.Warn("after a crash the binlog can lack writes that the tables hold; set global sync_binlog = 1", "sync_binlog", sync)
	}
	if logs == 1 && format != "ROW" {
		return fmt.Errorf("binlog_format is %s: writes would be logged as statements, without rows; set global binlog_format = ROW", format)
	}
	k.s.catalog = newCatalog(k.conn, strings.Contains(version, "MariaDB"))
	return nil
}

// Start is sinks.Sink's.
func (k *Sink) Start(ctx context.Context, accept func(schemas.Progress) error) (schemas.Progress, error) {
	if err := k.makeTables(ctx); err != nil {
		return schemas.Progress{}, fmt.Errorf("control tables: %w", advise(err))
	}
	tx, err := k.conn.BeginTx(ctx, nil)
	if err != nil {
		return schemas.Progress{}, fmt.Errorf("start: %w", err)
	}
	defer tx.Rollback()
	var p schemas.Progress
	_, err = tx.ExecContext(ctx, `insert into strait.progress (pipeline, lane, epoch, batch, answers, at) values (?, ?, 1, 0, '', utc_timestamp(6))
on duplicate key update epoch = epoch + 1, at = utc_timestamp(6)`, k.config.Pipeline, k.config.Lane)
	if err == nil {
		err = tx.QueryRowContext(ctx, `select epoch, batch, at from strait.progress where pipeline = ? and lane = ?`, k.config.Pipeline, k.config.Lane).
			Scan(&p.Epoch, &p.Batch, &p.At)
	}
	if err != nil {
		return schemas.Progress{}, fmt.Errorf("claim lane %d of %s: %w", k.config.Lane, k.config.Pipeline, advise(err))
	}
	if err := accept(p); err != nil {
		return p, err
	}
	if err := tx.Commit(); err != nil {
		return schemas.Progress{}, fmt.Errorf("start: %w", err)
	}
	k.epoch = p.Epoch
	return p, nil
}

// makeTables makes the control tables unless they are there, so that a user
// without the right to create can work once an administrator has made them.
func (k *Sink) makeTables(ctx context.Context) error {
	var n int
	err := k.conn.QueryRowContext(ctx, `select count(*) from information_schema.tables where table_schema = 'strait' and table_name in ('progress', 'link')`).Scan(&n)
	if err != nil || n == 2 {
		return err
	}
	for _, statement := range schemas.MySQLControlTables {
		if _, err := k.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
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
	rows, err := k.conn.QueryContext(ctx, `select entity, hub, native_key, status from strait.link order by entity, native_key`)
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
	_ = k.conn.Close()
	return k.db.Close()
}
