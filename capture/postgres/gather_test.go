package postgres

import (
	"testing"
	"time"
)

// arrivals gives one piece a read, at its own pace.
type arrivals struct {
	now  time.Time
	gap  time.Duration
	size int
}

func (a *arrivals) Read(p []byte) (int, error) {
	a.now = a.now.Add(a.gap)
	return a.size, nil
}

func TestGather(t *testing.T) {
	for _, c := range []struct {
		name   string
		gap    time.Duration
		size   int
		gather bool
	}{
		{"a backlog in small pieces", 10 * time.Microsecond, 600, true},
		{"a backlog in large pieces", 10 * time.Microsecond, 32 << 10, false},
		{"a thousand transactions a second", time.Millisecond, 600, false},
		{"at rest", time.Second, 100, false},
	} {
		a := &arrivals{gap: c.gap, size: c.size}
		pauses := 0
		g := &gather{r: a, now: func() time.Time { return a.now }, sleep: func(time.Duration) { pauses++ }}
		for range 1000 {
			g.Read(nil)
		}
		if (pauses > 500) != c.gather || !c.gather && pauses > 0 {
			t.Errorf("%s: %d pauses in 1000 reads", c.name, pauses)
		}
		a.size = 10
		pauses = 0
		a.gap = time.Millisecond
		for range 100 {
			g.Read(nil)
		}
		if pauses > 1 {
			t.Errorf("%s: %d pauses after it", c.name, pauses)
		}
	}
}
