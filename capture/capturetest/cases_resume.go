package capturetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// resumeAnywhere closes and opens the source over and over while rows change, at
// the end of the log or at an earlier place that was not acknowledged yet.
func resumeAnywhere(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	const seed = 11
	r := rand.New(rand.NewPCG(seed, seed))
	f.open("")
	f.snapshot()
	f.ack()
	var unacked []LogMark
	id := int64(0)
	for round := range 12 {
		for range 1 + r.IntN(4) {
			id += 10
			f.do(Insert("a", id, "n", round), Insert("a", id+1), Update("a", id, "name", "x"))
			f.do(Delete("a", id+1))
			if r.IntN(2) == 0 {
				f.read()
				unacked = append(unacked, f.log.Mark())
			}
		}
		if r.IntN(2) == 0 {
			f.fence()
		}
		if r.IntN(3) == 0 {
			f.ack()
			unacked = nil
		}
		f.close()
		if len(unacked) > 0 && r.IntN(2) == 0 {
			i := r.IntN(len(unacked))
			f.log.Back(unacked[i])
			unacked = unacked[:i+1]
		}
		f.open("")
	}
	f.fence()
	f.same("a")
}

func foreignPosition(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	f.ack()
	f.close()
	from := f.log.Resume
	from.Source += "x"
	src, err := db.Open(context.Background(), from, "", "a", "fence")
	if err == nil {
		src.Close()
	}
	if !errors.Is(err, capture.ErrPositionLost) {
		t.Fatalf("opened at a position of %s: %v, want ErrPositionLost", from.Source, err)
	}
	// The refusal has not broken anything.
	f.open("")
	f.fence()
}

func ackConfirms(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	f.ack()
	start := f.log.Resume.End
	f.do(Insert("a", 1))
	f.fence()
	read := f.log.Resume
	if read.End <= start {
		t.Fatalf("position stays at %d", start)
	}
	if end, ok, err := db.Confirmed(context.Background()); err != nil {
		t.Fatal(err)
	} else if ok && end >= read.End {
		t.Errorf("the server may forget up to %d, but %d is not acknowledged", end, read.End)
	}
	f.ack()
	eventually(t, func() error {
		end, ok, err := db.Confirmed(context.Background())
		if err != nil || !ok || end >= read.End {
			return err
		}
		return fmt.Errorf("confirmed %d, acknowledged %d", end, read.End)
	})
	// An older acknowledgement takes nothing back.
	if err := f.src.Ack(context.Background(), schemas.Position{Source: read.Source, End: start}); err != nil {
		t.Errorf("ack again: %v", err)
	}
	f.do(Insert("a", 2))
	f.fence()
	f.same("a")
}

func cancelRead(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := f.src.Read(ctx); err != nil {
				done <- err
				return
			}
		}
	}()
	cancel()
	waitFor(t, done, func(err error) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("read: %v, want context canceled", err)
		}
	})
}

func closeDuringRead(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	done := make(chan error, 1)
	src := f.src
	go func() {
		for {
			if _, err := src.Read(context.Background()); err != nil {
				done <- err
				return
			}
		}
	}()
	f.close()
	waitFor(t, done, func(err error) {})
	// The place is free again.
	f.open("")
	f.do(Insert("a", 1))
	f.fence()
	f.same("a")
}

func waitFor(t *testing.T, done <-chan error, then func(error)) {
	t.Helper()
	select {
	case err := <-done:
		then(err)
	case <-time.After(patience):
		t.Fatalf("not within %s", patience)
	}
}

// cutConnection loses the connection when a part of a large transaction has been
// read; the part must not count, and the whole must come after opening again.
func cutConnection(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	f.ack()
	f.close()
	for cut := range int64(2) {
		p := h.Proxy(t, db.Addr())
		f.open(p.Addr())
		f.do(Insert("a", cut))
		f.do(Many("a", 1000+cut*100_000, 30_000))
		for !f.read().Open {
		}
		p.Cut()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for {
			b, err := f.src.Read(ctx)
			if err != nil {
				if ctx.Err() != nil {
					t.Fatalf("the source did not notice the cut within %s", patience)
				}
				break
			}
			if err := f.log.Add(b); err != nil {
				t.Fatal(err)
			}
		}
		f.close()
	}
	f.open("")
	f.fence()
	f.same("a")
}
