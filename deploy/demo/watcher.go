package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/strait-cdc/strait/internal/ops"
)

const (
	// pollEvery is how often the status is asked for.
	pollEvery = 250 * time.Millisecond
	// restFor is how long nothing may move for it to be rest.
	restFor = 1500 * time.Millisecond
	// rateOver is the time that a rate is taken over.
	rateOver = 3 * time.Second
)

// watcher asks strait for its status all the time. Counters start at zero with each
// life of the process; the watcher adds the lives up, each as it was last seen.
type watcher struct {
	strait *strait
	quit   chan struct{}
	done   chan struct{}

	mu    sync.Mutex
	pid   int
	now   ops.Status // of this life
	past  ops.Status // the sum of the lives before it
	moved time.Time
	seen  []sample
}

// sample is what a rate is computed from.
type sample struct {
	at     time.Time
	fields []int64 // by flow
}

func newWatcher(s *strait) *watcher {
	return &watcher{strait: s, quit: make(chan struct{}), done: make(chan struct{}), moved: time.Now()}
}

func (w *watcher) run() {
	defer close(w.done)
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		select {
		case <-w.quit:
			return
		case <-t.C:
			if pid, st, err := w.strait.status(); err == nil {
				w.see(pid, st)
			}
		}
	}
}

func (w *watcher) stop() {
	close(w.quit)
	<-w.done
}

func (w *watcher) see(pid int, st ops.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if pid != w.pid {
		w.past, w.now, w.pid, w.moved = add(w.past, w.now), ops.Status{}, pid, time.Now()
	}
	if moving(w.now, st) {
		w.moved = time.Now()
	}
	w.now = st
	all := add(w.past, st)
	s := sample{at: time.Now()}
	for _, f := range all.Flows {
		s.fields = append(s.fields, f.Fields)
	}
	w.seen = append(w.seen, s)
	for len(w.seen) > 2 && time.Since(w.seen[0].at) > rateOver {
		w.seen = w.seen[1:]
	}
}

// moving says that something happened between two answers, or is under way.
func moving(a, b ops.Status) bool {
	if b.Dirty > 0 || !b.Ready || len(a.Flows) != len(b.Flows) {
		return true
	}
	for i := range b.Systems {
		if b.Systems[i].LagSeconds > 0 {
			return true
		}
		if a.Systems[i].Commits != b.Systems[i].Commits || a.Systems[i].Changes != b.Systems[i].Changes {
			return true
		}
	}
	for i := range b.Flows {
		if a.Flows[i].Applied != b.Flows[i].Applied || a.Flows[i].Missed != b.Flows[i].Missed {
			return true
		}
	}
	return false
}

// add sums the counters of two statuses; gauges are those of b.
func add(a, b ops.Status) ops.Status {
	if len(a.Flows) == 0 {
		return b
	}
	if len(b.Flows) == 0 {
		return a
	}
	sum := b
	sum.Systems, sum.Flows, sum.Entities = nil, nil, nil
	for i, s := range b.Systems {
		s.Commits += a.Systems[i].Commits
		s.Changes += a.Systems[i].Changes
		sum.Systems = append(sum.Systems, s)
	}
	for i, f := range b.Flows {
		f.Applied += a.Flows[i].Applied
		f.Fields += a.Flows[i].Fields
		f.Missed += a.Flows[i].Missed
		f.Refused += a.Flows[i].Refused
		sum.Flows = append(sum.Flows, f)
	}
	for i, e := range b.Entities {
		e.Conflicts += a.Entities[i].Conflicts
		e.Matched += a.Entities[i].Matched
		e.Created += a.Entities[i].Created
		sum.Entities = append(sum.Entities, e)
	}
	return sum
}

// totals are the sums over all lives.
func (w *watcher) totals() ops.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return add(w.past, w.now)
}

// rate is the fields per second of a flow.
func (w *watcher) rate(flow int) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) < 2 {
		return 0
	}
	a, b := w.seen[0], w.seen[len(w.seen)-1]
	if flow >= len(a.fields) {
		return 0
	}
	return float64(b.fields[flow]-a.fields[flow]) / b.at.Sub(a.at).Seconds()
}

// rest waits until nothing moves any more.
func (w *watcher) rest(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w.mu.Lock()
	w.moved = time.Now()
	w.mu.Unlock()
	for {
		w.mu.Lock()
		rested, st := time.Since(w.moved) > restFor && len(w.now.Flows) > 0, w.now
		w.mu.Unlock()
		if rested {
			return nil
		}
		select {
		case <-w.strait.current().ended:
			return fmt.Errorf("strait run ended: %w", w.strait.current().err)
		case <-ctx.Done():
			return fmt.Errorf("still moving after %s: %d entities wait", patience, st.Dirty)
		case <-time.After(pollEvery):
		}
	}
}
