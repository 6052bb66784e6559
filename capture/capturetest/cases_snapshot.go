package capturetest

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/strait-cdc/strait/schemas"
)

func emptySnapshot(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	b := f.read()
	if b.Phase != schemas.PhaseSnapshotFirst|schemas.PhaseSnapshotLast || len(b.Changes) != 0 || b.Resume.IsZero() {
		t.Fatalf("first batch of an empty database: phase %d, %d changes, resume %s", b.Phase, len(b.Changes), b.Resume)
	}
	f.do(Insert("a", 1))
	f.fence()
	f.same("a")
}

func snapshotMarks(t *testing.T, h Harness) {
	db := h.New(t)
	for _, table := range []string{"a", "b", "c", "d"} {
		do(t, db, Create(table))
	}
	do(t, db, Many("a", 0, 12_345))
	do(t, db, Insert("c", 1))
	do(t, db, Many("d", 1, 3))
	f := follow(t, db, "a", "b", "c", "d")
	f.open("")
	batches := 1
	for f.read().Phase&schemas.PhaseSnapshotLast == 0 {
		batches++
	}
	f.same("a", "b", "c", "d")
	if batches < 2 {
		t.Errorf("the snapshot came as one batch, want batches of some thousand rows")
	}

	rows := f.log.Changes
	if len(rows) != 12_349 {
		t.Fatalf("%d rows, want 12349", len(rows))
	}
	for i := range rows {
		first := i == 0 || rows[i-1].Table.Name != rows[i].Table.Name
		last := i == len(rows)-1 || rows[i+1].Table.Name != rows[i].Table.Name
		if want := snapshotMark(i, len(rows), first, last); rows[i].SnapshotMark != want {
			t.Errorf("row %d (%s) is marked %q, want %q", i, ChangeText(&rows[i]), rows[i].SnapshotMark, want)
		}
	}
}

// snapshotMark is what a row is marked with: the rules in the order in which
// they win.
func snapshotMark(i, n int, firstOfTable, lastOfTable bool) string {
	switch {
	case i == n-1:
		return "last"
	case i == 0:
		return "first"
	case lastOfTable:
		return "last_in_data_collection"
	case firstOfTable:
		return "first_in_data_collection"
	}
	return "true"
}

// withoutGap takes the snapshot while a writer is at work. The model is strict,
// so a change that is in the snapshot and in the log, or in neither, shows.
func withoutGap(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	do(t, db, Create("b"))
	do(t, db, Many("a", 0, 3000))
	do(t, db, Many("b", 0, 3000))
	f := follow(t, db, "a", "b")

	ctx, stop := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	started := make(chan struct{}, 2)
	for w := range 2 {
		writers.Go(func() {
			// Each writer has rows of its own, so that they never wait for each other.
			writeRandomly(ctx, t, db, rand.New(rand.NewPCG(uint64(w), 7)), int64(w*1500), started)
		})
	}
	<-started
	<-started
	f.open("")
	f.snapshot()
	inSnapshot := len(f.log.Changes)
	for len(f.log.Changes) < inSnapshot+500 {
		f.read()
		f.ack()
	}
	stop()
	writers.Wait()
	f.fence()
	f.same("a", "b")
}

func writeRandomly(ctx context.Context, t *testing.T, db Database, r *rand.Rand, first int64, started chan<- struct{}) {
	have := map[int64]bool{}
	for id := range int64(1500) {
		have[first+id] = true
	}
	next := first + 100_000
	for i := 0; ctx.Err() == nil; i++ {
		var stmts []Stmt
		for range 1 + r.IntN(4) {
			id := first + r.Int64N(1500)
			switch {
			case r.IntN(5) == 0:
				next++
				stmts = append(stmts, Insert("a", next, "name", "new", "n", 1), Insert("b", next))
			case !have[id]:
				stmts = append(stmts, Insert("a", id, "name", "again"), Insert("b", id, "n", 4))
				have[id] = true
			case r.IntN(3) == 0:
				stmts = append(stmts, Delete("b", id), Delete("a", id))
				have[id] = false
			default:
				stmts = append(stmts, Update("a", id, "n", r.IntN(1000)), Update("b", id, "n", r.IntN(1000)))
			}
		}
		// The statement that is running when the test ends its context may or may not
		// happen; run it to its end.
		if err := db.Do(context.WithoutCancel(ctx), stmts...); err != nil {
			t.Errorf("write: %v", err)
			return
		}
		if i == 3 {
			started <- struct{}{}
		}
	}
}
