package capture_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/capture/capturetest"
	"github.com/strait-cdc/strait/schemas"
)

var errFault = errors.New("injected")

// fault says what becomes of the next call: whether it happens, and its error.
type fault func(point string) (apply bool, err error)

// memoryWriter stands for the stream's Writer and survives its crashes.
type memoryWriter struct {
	log    capturetest.Log
	number int64
	fault  fault
	stop   func() bool
	end    context.CancelFunc
}

func (w *memoryWriter) Write(ctx context.Context, bs ...*schemas.Batch) (schemas.Commit, error) {
	apply, err := w.fault("write")
	if !apply {
		return schemas.Commit{}, err
	}
	commit := schemas.Commit{}
	for i, b := range bs {
		if b.Open && i > 0 && !bs[i-1].Open {
			return commit, fmt.Errorf("whole transactions wait for an open one")
		}
		if b.Phase.IsSnapshot() != bs[0].Phase.IsSnapshot() {
			return commit, fmt.Errorf("snapshot and log in one write")
		}
		if err := w.log.Add(b); err != nil {
			return commit, err
		}
		commit.Resume = b.Resume
	}
	if !bs[len(bs)-1].Open {
		w.number++
		commit.Number = w.number
	}
	if w.stop() {
		w.end()
	}
	return commit, err
}

// checkedSource fails at random, and when something is acknowledged that is not
// durable.
type checkedSource struct {
	capture.Source
	w     *memoryWriter
	fault fault
}

func (s *checkedSource) Read(ctx context.Context) (*schemas.Batch, error) {
	apply, err := s.fault("read")
	if !apply {
		return nil, err
	}
	b, readErr := s.Source.Read(ctx)
	if err != nil {
		return nil, err // it was read, and is lost
	}
	return b, readErr
}

func (s *checkedSource) Ack(ctx context.Context, pos schemas.Position) error {
	if pos.IsZero() || pos.End > s.w.log.Resume.End {
		return fmt.Errorf("acknowledged %s, durable is %s", pos, s.w.log.Resume)
	}
	apply, err := s.fault("ack")
	if apply {
		if e := s.Source.Ack(ctx, pos); e != nil {
			return e
		}
	}
	return err
}

// Whatever fails, and whether or not the call that failed happened: what Run has
// published in the end is every transaction, once.
func TestRunFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db := capturetest.NewMemory()
		mustDo(t, db, capturetest.Create("a"))
		mustDo(t, db, capturetest.Many("a", 0, rapid.Int64Range(0, 1500).Draw(t, "rows before")))
		rounds := rapid.IntRange(1, 4).Draw(t, "rounds")
		w := &memoryWriter{}
		starts, faults := 0, 0
		for round := range rounds {
			writeSome(t, db, int64(round))
			want := db.End()
			for w.log.Resume.End < want {
				if starts++; starts > 500 {
					t.Fatalf("no end after %d starts at %s", starts, w.log.Resume)
				}
				err := runOnce(t, db, w, want)
				if errors.Is(err, errFault) {
					faults++
				} else if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				w.log.Crash()
			}
		}
		m, err := capturetest.Replay(w.log.Changes)
		if err != nil {
			t.Fatal(err)
		}
		got := m.Text("a")
		rows, _ := db.Rows(context.Background(), "a")
		if fmt.Sprint(got) != fmt.Sprint(rows) {
			t.Fatalf("%d rows, want %d (%d faults)", len(got), len(rows), faults)
		}
	})
}

func writeSome(t *rapid.T, db *capturetest.Memory, round int64) {
	base := 100_000 * (round + 1)
	for i := range rapid.Int64Range(1, 20).Draw(t, "transactions") {
		id := base + i*10
		mustDo(t, db, capturetest.Insert("a", id, "name", "x"), capturetest.Insert("a", id+1), capturetest.Update("a", id, "n", 3))
		mustDo(t, db, capturetest.Rekey("a", id, id+2), capturetest.Delete("a", id+1))
	}
	if rapid.IntRange(0, 3).Draw(t, "large") == 0 {
		mustDo(t, db, capturetest.Many("a", base+50_000, 6_000))
		mustDo(t, db, capturetest.Insert("a", base+99_999))
	}
}

func mustDo(t *rapid.T, db *capturetest.Memory, stmts ...capturetest.Stmt) {
	if err := db.Do(context.Background(), stmts...); err != nil {
		t.Fatal(err)
	}
}

// runOnce runs until a fault or until all up to want is published.
func runOnce(t *rapid.T, db *capturetest.Memory, w *memoryWriter, want uint64) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	src, err := db.Open(ctx, w.log.Resume, "", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	// The calls are made by two goroutines: what happens to the n-th call of each
	// kind is drawn before.
	plan := map[string][]int{}
	for _, point := range []string{"read", "write", "ack"} {
		plan[point] = rapid.SliceOfN(rapid.IntRange(0, 12), 0, 12).Draw(t, point)
	}
	at := func(point string) fault {
		calls := 0
		return func(string) (bool, error) {
			calls++
			if calls > len(plan[point]) {
				return true, nil
			}
			switch plan[point][calls-1] {
			case 0:
				return false, errFault
			case 1:
				return true, errFault
			}
			return true, nil
		}
	}
	acks, reads := at("ack"), at("read")
	w.fault, w.end = at("write"), cancel
	w.stop = func() bool { return w.log.Resume.End >= want }
	s := &checkedSource{Source: src, w: w, fault: func(p string) (bool, error) {
		if p == "ack" {
			return acks(p)
		}
		return reads(p)
	}}
	return capture.Run(ctx, s, w, capture.Observer{})
}

// slowWriter lets the reader run ahead while a write is under way.
type slowWriter struct {
	begun   chan struct{}
	release chan struct{}
	sizes   []int
}

func (w *slowWriter) Write(ctx context.Context, bs ...*schemas.Batch) (schemas.Commit, error) {
	n := 0
	for _, b := range bs {
		n += len(b.Changes)
	}
	w.sizes = append(w.sizes, n)
	w.begun <- struct{}{}
	select {
	case <-w.release:
	case <-ctx.Done():
		return schemas.Commit{}, ctx.Err()
	}
	return schemas.Commit{Number: 1, Resume: bs[len(bs)-1].Resume}, nil
}

// What arrives during a write is written at once when it returns, as one group
// that has a bound.
func TestRunGroups(t *testing.T) {
	db := capturetest.NewMemory()
	if err := db.Do(t.Context(), capturetest.Create("a")); err != nil {
		t.Fatal(err)
	}
	src, err := db.Open(t.Context(), schemas.Position{}, "", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ctx, cancel := context.WithCancel(t.Context())
	w := &slowWriter{begun: make(chan struct{}), release: make(chan struct{})}
	read := make(chan int, 1000)
	done := make(chan error, 1)
	obs := capture.Observer{Read: func(b *schemas.Batch) { read <- len(b.Changes) }}
	go func() { done <- capture.Run(ctx, src, w, obs) }()
	<-w.begun // the snapshot, which is empty
	<-read
	for i := range int64(40) {
		if err := db.Do(ctx, capturetest.Many("a", i*1000, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < 20_000; {
		n += <-read
	}
	w.release <- struct{}{}
	<-w.begun
	if got := w.sizes[1]; got < 10_000 || got > 20_000 {
		t.Errorf("the second write has %d changes, want a group of at most 20000", got)
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("run does not end with its context")
	}
}

type brokenSource struct{ capture.Source }

func (brokenSource) Read(ctx context.Context) (*schemas.Batch, error) {
	return nil, capture.ErrPositionLost
}

func TestRunSaysWhatFailed(t *testing.T) {
	err := capture.Run(t.Context(), brokenSource{}, &slowWriter{}, capture.Observer{})
	if !errors.Is(err, capture.ErrPositionLost) || !strings.HasPrefix(err.Error(), "read: ") {
		t.Errorf("run: %v", err)
	}
}
