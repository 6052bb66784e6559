//go:build !noservers

package mysql_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/capture/capturetest"
	"github.com/strait-cdc/strait/capture/mysql"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

// tail follows one database and keeps what it reads, by the rules of the suite.
type tail struct {
	t   *testing.T
	s   *testenv.Server
	cfg mysql.Config
	src *mysql.Source
	log capturetest.Log
	n   int
}

// newTail follows the tables of a fresh database that the statements make; the
// control tables are fresh too.
func newTail(t *testing.T, s *testenv.Server, tables []string, statements ...string) *tail {
	t.Helper()
	s.Exec(t, "drop database if exists strait", "create table fence (id int primary key)")
	s.Exec(t, statements...)
	tl := &tail{t: t, s: s, cfg: mysql.Config{URL: s.URL(), System: "test"}}
	for _, name := range append(tables, "fence") {
		tl.cfg.Tables = append(tl.cfg.Tables, schemas.TableName{Schema: s.Database, Name: name})
	}
	t.Cleanup(tl.close)
	return tl
}

// open goes on where the log ends; at first it reads the snapshot.
func (tl *tail) open() {
	tl.t.Helper()
	if err := tl.tryOpen(); err != nil {
		tl.t.Fatal(err)
	}
	for tl.log.Resume.IsZero() {
		if err := tl.read(); err != nil {
			tl.t.Fatal(err)
		}
	}
}

func (tl *tail) tryOpen() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	src, err := mysql.Open(ctx, tl.cfg, tl.log.Resume)
	if err == nil {
		tl.src = src
	}
	return err
}

func (tl *tail) close() {
	if tl.src != nil {
		tl.src.Close()
		tl.src = nil
		tl.log.Crash()
	}
}

func (tl *tail) read() error {
	tl.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	b, err := tl.src.Read(ctx)
	if err != nil {
		return err
	}
	if err := tl.log.Add(b); err != nil {
		tl.t.Fatal(err)
	}
	return nil
}

// fence reads everything done so far.
func (tl *tail) fence() {
	tl.t.Helper()
	if err := tl.tryFence(); err != nil {
		tl.t.Fatal(err)
	}
}

func (tl *tail) tryFence() error {
	tl.t.Helper()
	tl.n++
	tl.s.Exec(tl.t, fmt.Sprintf("insert into fence values (%d)", tl.n))
	for {
		if n := len(tl.log.Changes); n > 0 {
			c := tl.log.Changes[n-1]
			if c.Table.Name.Name == "fence" && c.After[0].Int() == int64(tl.n) {
				return nil
			}
		}
		if err := tl.read(); err != nil {
			return err
		}
	}
}

// failure reads until the source fails.
func (tl *tail) failure(want error, about string) {
	tl.t.Helper()
	var err error
	for err == nil {
		err = tl.read()
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), about) {
		tl.t.Fatalf("got %v, want %v about %q", err, want, about)
	}
}

// lines shows the changes of a table in the log, without the snapshot.
func (tl *tail) lines(table string) []string {
	var out []string
	for _, c := range tl.log.Changes {
		if c.Table.Name.Name == table && c.Op != schemas.Snapshot {
			out = append(out, line(c))
		}
	}
	return out
}

func line(c schemas.Change) string {
	row := c.After
	if c.Op == schemas.Delete {
		row = c.Before
	}
	s := string(c.Op)
	for _, v := range row {
		s += " " + v.String()
	}
	return s
}

func (tl *tail) want(table string, want ...string) {
	tl.t.Helper()
	if got := tl.lines(table); strings.Join(got, "; ") != strings.Join(want, "; ") {
		tl.t.Errorf("%s:\ngot  %q\nwant %q", table, got, want)
	}
}

// session runs statements on one connection.
func session(t *testing.T, s *testenv.Server, statements ...string) {
	t.Helper()
	ctx := context.Background()
	conn, err := s.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, q := range statements {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			t.Fatalf("%.200s: %v", q, err)
		}
	}
	// What was set must not stay with the pool.
	conn.Raw(func(any) error { return driver.ErrBadConn })
}

// onBoth runs a test on MariaDB and on MySQL.
func onBoth(t *testing.T, f func(t *testing.T, s *testenv.Server)) {
	t.Run("MariaDB", func(t *testing.T) { f(t, testenv.MariaDB(t)) })
	t.Run("MySQL", func(t *testing.T) { f(t, testenv.MySQL(t)) })
}
