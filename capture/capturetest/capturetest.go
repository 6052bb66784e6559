// Package capturetest is what every capture.Source must do, as a suite that its
// package calls:
//
//	func TestSource(t *testing.T) {
//		capturetest.Run(t, capturetest.Harness{New: newDatabase, Proxy: newProxy, Types: "testdata/types.txt"})
//	}
//
// It also has Memory, a database in memory whose log is a slice, and its Source
// (Slice), which pass the same suite and serve the tests of other packages.
package capturetest

import (
	"context"
	"testing"
	"time"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// Harness is how the suite gets at one kind of database.
type Harness struct {
	// New makes a fresh, empty database for one test and removes it afterwards.
	New func(t *testing.T) Database
	// Proxy makes a proxy before the address; nil leaves out the tests that cut
	// connections.
	Proxy func(t *testing.T, target string) Proxy
	// Types is the path of the story of types (see types.go); empty leaves it out.
	Types string
	// Large is the number of rows of the large transaction; 0 means 100 000.
	Large int64
	// NoDDL leaves out the tests that change the shape of a table.
	NoDDL bool
}

// Database is a fresh database under test. SQL gives Do, Exec and Rows.
type Database interface {
	// Open opens the source under test for tables of the default schema. If addr is
	// not empty the source connects to that host:port instead of the server's own.
	Open(ctx context.Context, from schemas.Position, addr string, tables ...string) (capture.Source, error)
	// Addr is the server's host:port.
	Addr() string
	// Schema is the schema (database on MySQL) that unqualified tables are in.
	Schema() string
	// Do runs the statements in one transaction.
	Do(ctx context.Context, stmts ...Stmt) error
	// Exec runs one statement of SQL.
	Exec(ctx context.Context, query string) error
	// Rows is what a table holds now, by key, as RowText shows it.
	Rows(ctx context.Context, table string) (map[int64]string, error)
	// Confirmed is Position.End up to which the server knows that it may forget its
	// log; ok is false if this kind of server keeps no such thing.
	Confirmed(ctx context.Context) (end uint64, ok bool, err error)
}

// Proxy is a proxy that can drop its connections.
type Proxy interface {
	Addr() string
	Cut()
}

// patience bounds every wait of the suite.
const patience = 60 * time.Second

// Run runs the whole suite as subtests.
func Run(t *testing.T, h Harness) {
	if h.Large == 0 {
		h.Large = 100_000
	}
	for _, c := range []struct {
		name string
		run  func(*testing.T, Harness)
		skip string
	}{
		{"empty snapshot", emptySnapshot, ""},
		{"snapshot", snapshotMarks, ""},
		{"snapshot and log without a gap", withoutGap, ""},
		{"insert update delete", rowChanges, ""},
		{"change of key", keyChange, ""},
		{"truncate", truncate, ""},
		{"transactions", transactions, ""},
		{"large transaction", largeTransaction, ""},
		{"rollback and savepoint", rollbacks, ""},
		{"columns change", columnsChange, because(h.NoDDL, "the database cannot change its tables")},
		{"resume anywhere", resumeAnywhere, ""},
		{"another server's position", foreignPosition, ""},
		{"ack", ackConfirms, ""},
		{"origin", origins, ""},
		{"other tables stay out", otherTables, ""},
		{"cancel read", cancelRead, ""},
		{"close during read", closeDuringRead, ""},
		{"cut in a large transaction", cutConnection, because(h.Proxy == nil, "the harness has no proxy")},
		{"types", typesStory, because(h.Types == "", "the harness has no types")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.skip != "" {
				t.Logf("left out: %s", c.skip)
				return
			}
			c.run(t, h)
		})
	}
}

func because(left bool, why string) string {
	if left {
		return why
	}
	return ""
}
