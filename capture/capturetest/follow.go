package capturetest

import (
	"context"
	"testing"
	"time"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// follower reads a source into a Log, the way capture.Run and the stream do.
type follower struct {
	t      *testing.T
	db     Database
	tables []string
	log    Log
	src    capture.Source
	fences int64
}

// follow opens the source for the tables and a table of its own, fence, which it
// makes.
func follow(t *testing.T, db Database, tables ...string) *follower {
	t.Helper()
	f := &follower{t: t, db: db, tables: append(tables, "fence")}
	f.do(Create("fence"))
	t.Cleanup(func() { f.close() })
	return f
}

// open opens the source where the log ends; addr is that of a proxy, or empty.
func (f *follower) open(addr string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	src, err := f.db.Open(ctx, f.log.Resume, addr, f.tables...)
	if err != nil {
		f.t.Fatalf("open at %s: %v", f.log.Resume, err)
	}
	f.src = src
}

// close ends the source as a crash does: what is unfinished is forgotten.
func (f *follower) close() {
	if f.src == nil {
		return
	}
	if err := f.src.Close(); err != nil {
		f.t.Errorf("close: %v", err)
	}
	f.src = nil
	f.log.Crash()
}

// read takes one batch into the log.
func (f *follower) read() *schemas.Batch {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := f.src.Read(ctx)
	if err != nil {
		f.t.Fatalf("read after %s: %v", f.log.Resume, err)
	}
	if err := f.log.Add(b); err != nil {
		f.t.Fatalf("after %s: %v", f.log.Resume, err)
	}
	return b
}

func (f *follower) ack() {
	f.t.Helper()
	if f.log.Resume.IsZero() {
		return
	}
	if err := f.src.Ack(context.Background(), f.log.Resume); err != nil {
		f.t.Fatalf("ack %s: %v", f.log.Resume, err)
	}
}

// snapshot reads until the snapshot is whole.
func (f *follower) snapshot() {
	f.t.Helper()
	for {
		if b := f.read(); b.Phase&schemas.PhaseSnapshotLast != 0 {
			return
		}
	}
}

// fence writes a row behind everything done so far, and reads until the log has
// it.
func (f *follower) fence() {
	f.t.Helper()
	f.fences++
	f.do(Insert("fence", f.fences))
	seen := 0
	for {
		for ; seen < len(f.log.Changes); seen++ {
			c := &f.log.Changes[seen]
			if c.Table.Name.Name == "fence" && c.After[0].Int() == f.fences {
				return
			}
		}
		f.read()
	}
}

func (f *follower) do(stmts ...Stmt) {
	f.t.Helper()
	do(f.t, f.db, stmts...)
}

func do(t *testing.T, db Database, stmts ...Stmt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := db.Do(ctx, stmts...); err != nil {
		t.Fatal(err)
	}
}

// same compares what the log adds up to with what the tables hold.
func (f *follower) same(tables ...string) {
	f.t.Helper()
	m, err := Replay(f.log.Changes)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, table := range tables {
		want, err := f.db.Rows(context.Background(), table)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, d := range differences(m.Text(table), want) {
			f.t.Errorf("%s: %s", table, d)
		}
	}
}

// of is the changes of a table in the log, without those of the snapshot.
func (f *follower) of(table string) []schemas.Change {
	var out []schemas.Change
	for _, c := range f.log.Changes {
		if c.Table.Name.Name == table && c.Op != schemas.Snapshot {
			out = append(out, c)
		}
	}
	return out
}

// eventually asks until there is no error.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", patience, err)
		}
		<-tick.C
	}
}
