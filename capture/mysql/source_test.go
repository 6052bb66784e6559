//go:build !noservers

package mysql_test

import (
	"context"
	"database/sql"
	"net/url"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/capture/capturetest"
	"github.com/strait-cdc/strait/capture/mysql"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

// database is a testenv server as the suite wants it.
type database struct {
	capturetest.SQL
	server *testenv.Server
}

func newDatabase(server func(testing.TB) *testenv.Server) func(t *testing.T) capturetest.Database {
	return func(t *testing.T) capturetest.Database {
		s := server(t)
		// The control tables are the server's, not the database's: each test has its own.
		s.Exec(t, "drop database if exists strait")
		return &database{SQL: capturetest.SQL{DB: plainSQL(t, s)}, server: s}
	}
}

// plainSQL is a pool whose sessions take literals as the standard has them and
// accept what a strict server would not, such as zero dates.
func plainSQL(t *testing.T, s *testenv.Server) *sql.DB {
	cfg := driver.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", s.Addr(), s.User, s.Password, s.Database
	cfg.Params = map[string]string{"sql_mode": "'NO_BACKSLASH_ESCAPES'"}
	conn, err := driver.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(conn)
	t.Cleanup(func() { db.Close() })
	return db
}

func (d *database) Open(ctx context.Context, from schemas.Position, addr string, tables ...string) (capture.Source, error) {
	cfg := mysql.Config{URL: d.server.URL(), System: "test"}
	if addr != "" {
		u, err := url.Parse(cfg.URL)
		if err != nil {
			return nil, err
		}
		u.Host = addr
		cfg.URL = u.String()
	}
	for _, t := range tables {
		cfg.Tables = append(cfg.Tables, schemas.TableName{Schema: d.server.Database, Name: t})
	}
	src, err := mysql.Open(ctx, cfg, from)
	if err != nil {
		return nil, err
	}
	return src, nil
}

func (d *database) Addr() string   { return d.server.Addr() }
func (d *database) Schema() string { return d.server.Database }

// Confirmed: the server keeps its log whatever is acknowledged.
func (d *database) Confirmed(context.Context) (uint64, bool, error) { return 0, false, nil }

func newProxy(t *testing.T, target string) capturetest.Proxy { return testenv.Proxy(t, target) }

func TestSourceMariaDB(t *testing.T) {
	t.Parallel()
	capturetest.Run(t, capturetest.Harness{New: newDatabase(testenv.MariaDB), Proxy: newProxy, Types: "testdata/types_mariadb.txt"})
}

func TestSourceMySQL(t *testing.T) {
	t.Parallel()
	capturetest.Run(t, capturetest.Harness{New: newDatabase(testenv.MySQL), Proxy: newProxy, Types: "testdata/types_mysql.txt"})
}
