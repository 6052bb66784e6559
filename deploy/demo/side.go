package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strait-cdc/strait/deploy/examples"
	"github.com/strait-cdc/strait/internal/testenv"
)

// editPatience bounds one transaction of an office.
const editPatience = 20 * time.Second

// side is one of the two databases, as its office sees it.
type side struct {
	name string // crm or erp
	// server is the whole server, database the one in it that the office uses.
	server, database *testenv.Server
	db               *sql.DB
}

// openSide starts a server and makes the tables of a side on it.
func openSide(ctx context.Context, name, kind string) (*side, error) {
	server, err := startServer(ctx, name, kind)
	if err != nil {
		return nil, err
	}
	s := &side{name: name, server: server}
	if _, err := server.DB().ExecContext(ctx, "create database "+name); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: create database: %w", name, err), server.Stop())
	}
	s.database = &testenv.Server{
		Kind: server.Kind, Version: server.Version, Host: server.Host, Port: server.Port,
		User: server.User, Password: server.Password, Database: name,
	}
	s.db = s.database.DB()
	s.db.SetMaxIdleConns(16)
	for _, statement := range examples.Schema(name, kind) {
		if _, err := s.db.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w\n%s", name, err, statement), s.close())
		}
	}
	return s, nil
}

// startServer gives the CRM the newest PostgreSQL that is there, the ERP the older.
func startServer(ctx context.Context, name, kind string) (*testenv.Server, error) {
	switch kind {
	case "mariadb":
		return testenv.StartMariaDB(ctx, "")
	case "mysql":
		return testenv.StartMySQL(ctx, "")
	}
	version := "15"
	if cache, err := testenv.CacheDir(); name == "crm" && err == nil {
		if _, err := os.Stat(filepath.Join(cache, "postgresql-18")); err == nil {
			version = "18"
		}
	}
	return testenv.StartPostgres(ctx, version, "")
}

func (s *side) label() string {
	names := map[string]string{"mariadb": "MariaDB", "mysql": "MySQL", "postgres": "PostgreSQL"}
	return names[s.server.Kind] + " " + s.server.Version
}

// upper is the name as the stories have it.
func (s *side) upper() string { return strings.ToUpper(s.name) }

func (s *side) close() error {
	if s.db != nil {
		_ = s.db.Close() // the server goes anyway
	}
	return s.server.Stop()
}

// bind turns the placeholders ? and the quotes ` into the dialect's.
func (s *side) bind(query string) string {
	if s.server.Kind != "postgres" {
		return query
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		switch r {
		case '?':
			n++
			b.WriteString("$" + strconv.Itoa(n))
		case '`':
			b.WriteByte('"')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// tx is a transaction of an office.
type tx struct {
	*sql.Tx
	ctx  context.Context
	side *side
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.ExecContext(t.ctx, t.side.bind(query), args...)
	if err != nil {
		return fmt.Errorf("%s: %w", query[:min(len(query), 60)], err)
	}
	return nil
}

// in runs a transaction. One that the server ended for the sake of another, or that
// waited too long for a lock, is tried again, as an application would.
func (s *side) in(do func(*tx) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), editPatience)
	defer cancel()
	for {
		err := s.once(ctx, do)
		if err == nil || !again(err) || ctx.Err() != nil {
			return err
		}
	}
}

func (s *side) once(ctx context.Context, do func(*tx) error) error {
	t, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(&tx{t, ctx, s}); err != nil {
		return errors.Join(err, t.Rollback())
	}
	return t.Commit()
}

// exec is a transaction of one statement.
func (s *side) exec(query string, args ...any) error {
	return s.in(func(t *tx) error { return t.exec(query, args...) })
}

// again says that the server asks to try a transaction again: a deadlock, a lock
// not given in time, or MariaDB's "record has changed since last read".
func again(err error) bool {
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		return my.Number == 1213 || my.Number == 1205 || my.Number == 1020
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001" || pg.Code == "55P03")
}

// texts reads rows of text; NULL is "".
func (s *side) texts(ctx context.Context, query string, args ...any) ([][]string, error) {
	rows, err := s.db.QueryContext(ctx, s.bind(query), args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", s.name, query[:min(len(query), 60)], err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	cells, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = c.String
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// insertRows is how many rows one statement of a bulk insert holds.
const insertRows = 500

// insert adds rows in their order.
func (s *side) insert(ctx context.Context, table, columns string, rows [][]any) error {
	width := strings.Count(columns, ",") + 1
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", width), ", ") + ")"
	return s.in(func(t *tx) error {
		for from := 0; from < len(rows); from += insertRows {
			part := rows[from:min(from+insertRows, len(rows))]
			var args []any
			for _, r := range part {
				args = append(args, r...)
			}
			values := strings.TrimSuffix(strings.Repeat(one+", ", len(part)), ", ")
			if err := t.exec("insert into "+table+" ("+columns+") values "+values, args...); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}
