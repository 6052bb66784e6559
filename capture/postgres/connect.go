package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// session is what both connections ask for, so that the snapshot and the log
// print every value the same way.
var session = map[string]string{
	"client_encoding":                     "UTF8",
	"datestyle":                           "ISO, YMD",
	"intervalstyle":                       "iso_8601",
	"timezone":                            "UTC",
	"extra_float_digits":                  "1",
	"bytea_output":                        "hex",
	"search_path":                         "pg_catalog",
	"statement_timeout":                   "0",
	"idle_in_transaction_session_timeout": "0",
	"idle_session_timeout":                "0",
	// With row level security a snapshot that lacks rows would look whole: an error
	// is better.
	"row_security": "off",
}

const connectTimeout = 15 * time.Second

func (c Config) parse() (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("url of %s: %w", c.System, err)
	}
	for k, v := range session {
		cfg.RuntimeParams[k] = v
	}
	cfg.RuntimeParams["application_name"] = "strait capture " + c.System
	cfg.ConnectTimeout = connectTimeout
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	return cfg, nil
}

// connectSQL opens the connection for catalog and snapshot.
func (c Config) connectSQL(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := c.parse()
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.System, err)
	}
	var v int
	if err := conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&v); err != nil {
		closeSQL(conn)
		return nil, fmt.Errorf("version of %s: %w", c.System, err)
	}
	if v < 140000 {
		closeSQL(conn)
		return nil, fmt.Errorf("%s is PostgreSQL %d: %w: 14 is the oldest", c.System, v/10000, capture.ErrUnsupported)
	}
	if v >= 170000 {
		_, err = conn.Exec(ctx, "set transaction_timeout = 0")
	}
	if err != nil {
		closeSQL(conn)
		return nil, fmt.Errorf("connect to %s: %w", c.System, err)
	}
	return conn, nil
}

// connectReplication opens the connection that the log is read from.
func (c Config) connectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	cfg, err := c.parse()
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["replication"] = "database"
	// Fewer and larger reads than those of 8 KiB that the library makes.
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(newGather(r), 256<<10), w)
	}
	conn, err := pgconn.ConnectConfig(ctx, &cfg.Config)
	if err != nil {
		if code(err) == "42501" {
			err = fmt.Errorf("%w: %w; run: alter role %s replication", capture.ErrUnsupported, err, quote(cfg.User))
		}
		return nil, fmt.Errorf("connect to %s for replication: %w", c.System, err)
	}
	// The currency's format would depend on the server; the catalog has asked before
	// how many digits it has.
	if _, err := conn.Exec(ctx, "set lc_monetary = 'C'").ReadAll(); err != nil {
		closeReplication(conn)
		return nil, fmt.Errorf("connect to %s for replication: %w", c.System, err)
	}
	return conn, nil
}

func closeSQL(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx)
}

func closeReplication(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx)
}

// code is the SQLSTATE of an error of the server, or empty.
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// quote makes an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal makes a text constant; standard_conforming_strings is on.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func quoteTable(n schemas.TableName) string { return quote(n.Schema) + "." + quote(n.Name) }

func quoteTables(names []schemas.TableName) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quoteTable(n)
	}
	return strings.Join(out, ", ")
}
