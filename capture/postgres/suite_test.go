//go:build !noservers

package postgres

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pglogrepl"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/capture/capturetest"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

// versions are the servers that the tests run against.
var versions = []string{"15", "18"}

// each runs a test on every version, on a fresh database.
func each(t *testing.T, test func(t *testing.T, db *database)) {
	for _, v := range versions {
		t.Run("postgres "+v, func(t *testing.T) {
			t.Parallel()
			test(t, newDatabase(t, v))
		})
	}
}

// database is a fresh database, for the suite and for the tests here.
type database struct {
	capturetest.SQL
	server *testenv.Server
	cfg    Config
}

func newDatabase(t *testing.T, version string) *database {
	s := testenv.Postgres(t, version)
	return &database{capturetest.SQL{DB: s.DB()}, s, Config{URL: s.URL(), System: s.Database}}
}

func (d *database) Schema() string { return "public" }

func (d *database) Addr() string { return d.server.Addr() }

func (d *database) exec(t *testing.T, queries ...string) {
	t.Helper()
	for _, q := range queries {
		if err := d.SQL.Exec(context.Background(), q); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *database) config(addr string, tables ...string) Config {
	cfg := d.cfg
	for _, t := range tables {
		cfg.Tables = append(cfg.Tables, schemas.TableName{Schema: "public", Name: t})
	}
	if addr != "" {
		u, err := url.Parse(cfg.URL)
		if err != nil {
			panic(err)
		}
		u.Host = addr
		cfg.URL = u.String()
	}
	return cfg
}

func (d *database) Open(ctx context.Context, from schemas.Position, addr string, tables ...string) (capture.Source, error) {
	s, err := Open(ctx, d.config(addr, tables...), from)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (d *database) Confirmed(ctx context.Context) (uint64, bool, error) {
	var text string
	cfg, _ := d.cfg.withDefaults()
	err := d.DB.QueryRowContext(ctx, "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1", cfg.Slot).Scan(&text)
	if err != nil {
		return 0, true, err
	}
	lsn, err := pglogrepl.ParseLSN(text)
	return uint64(lsn), true, err
}

func TestSuite(t *testing.T) {
	for _, v := range versions {
		t.Run("postgres "+v, func(t *testing.T) {
			t.Parallel()
			capturetest.Run(t, capturetest.Harness{
				New:   func(t *testing.T) capturetest.Database { return newDatabase(t, v) },
				Proxy: func(t *testing.T, target string) capturetest.Proxy { return testenv.Proxy(t, target) },
				Types: "testdata/types.txt",
			})
		})
	}
}
