package postgres

import (
	"io"
	"time"
)

// gather reads from a connection that sends many small pieces, and in a backlog
// lets a few of them come together before it reads.
//
// The server's walsender sends each message by itself and pays for each time that
// it wakes us up; on a busy machine, where each wake-up is a turn in the
// scheduler's queue, reader and server crawl along in step. A short pause costs
// less than a millisecond, and only where a backlog is being read.
type gather struct {
	r io.Reader
	// now and sleep are the clock's; tests have their own.
	now   func() time.Time
	sleep func(time.Duration)

	// quick counts reads that followed each other at once.
	quick int
	last  time.Time
	busy  bool
}

const (
	// backlogReads in a row, each within backlogGap of the one before, are a backlog.
	backlogReads = 16
	backlogGap   = 250 * time.Microsecond
	// gatherPause is how long a pause is, calmBytes how little has to have come in it
	// for the backlog to be over.
	gatherPause = 300 * time.Microsecond
	calmBytes   = 512
	// plenty is a read that did not wait for anything.
	plenty = 16 << 10
)

func newGather(r io.Reader) *gather {
	return &gather{r: r, now: time.Now, sleep: time.Sleep}
}

// Read reads, perhaps after a pause.
func (g *gather) Read(p []byte) (int, error) {
	if g.busy {
		g.sleep(gatherPause)
	}
	n, err := g.r.Read(p)
	switch {
	case n >= plenty:
		// The pieces are large already.
		g.busy, g.quick = false, backlogReads/2
	case g.busy:
		if n < calmBytes {
			g.busy, g.quick = false, 0
		}
		return n, err
	}
	now := g.now()
	if now.Sub(g.last) > backlogGap {
		g.quick = 0
	}
	g.last = now
	if g.quick++; g.quick >= backlogReads {
		g.busy = true
	}
	return n, err
}
