package ops

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/strait-cdc/strait/schemas"
)

// pendingCap bounds the commits remembered per system. Beyond it the oldest are
// kept, which is what lag is about; a minute of the fastest source fits.
const pendingCap = 16384

var (
	lagDesc = prometheus.NewDesc("strait_lag_seconds",
		"Age of the oldest commit in Kafka that the reconciler has not taken yet, by the clock of the source; 0 when it has all of them.", []string{"system"}, nil)
	delayDesc = prometheus.NewDesc("strait_capture_delay_seconds",
		"From the source's commit to Kafka's, of the last commit.", []string{"system"}, nil)
)

// lagBook knows what is published and not folded. It is a Collector because lag
// grows while nothing happens.
type lagBook struct {
	// mu guards everything below.
	mu      sync.Mutex
	systems map[string]*systemLag
}

type systemLag struct {
	pending  []commitTime // published and not folded, oldest first
	last     commitTime   // last published
	done     commitTime   // last folded
	delay    time.Duration
	measured bool
}

type commitTime struct {
	number int64
	time   time.Time
}

func newLagBook() *lagBook { return &lagBook{systems: map[string]*systemLag{}} }

func (b *lagBook) system(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of(name)
}

// of is called with mu held.
func (b *lagBook) of(name string) *systemLag {
	s := b.systems[name]
	if s == nil {
		s = &systemLag{}
		b.systems[name] = s
	}
	return s
}

func (b *lagBook) published(c *schemas.Commit, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.of(c.System)
	s.last = commitTime{c.Number, c.Time}
	if !c.Time.IsZero() && !c.Phase.IsSnapshot() {
		s.delay, s.measured = max(0, now.Sub(c.Time)), true
	}
	if c.Number > s.done.number && len(s.pending) < pendingCap {
		s.pending = append(s.pending, s.last)
	}
}

func (b *lagBook) folded(c *schemas.Commit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.of(c.System)
	s.done = commitTime{c.Number, c.Time}
	n := 0
	for n < len(s.pending) && s.pending[n].number <= c.Number {
		n++
	}
	s.pending = append(s.pending[:0], s.pending[n:]...)
}

// lag is called with mu held.
func (s *systemLag) lag(now time.Time) time.Duration {
	switch {
	case s.done.number >= s.last.number:
		return 0
	case len(s.pending) > 0 && s.pending[0].number == s.done.number+1:
		return max(0, now.Sub(s.pending[0].time))
	case !s.done.time.IsZero():
		return max(0, now.Sub(s.done.time)) // the backlog was published by an earlier process
	case len(s.pending) > 0:
		return max(0, now.Sub(s.pending[0].time))
	}
	return 0
}

// Describe is part of prometheus.Collector.
func (b *lagBook) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagDesc
	ch <- delayDesc
}

// Collect is part of prometheus.Collector.
func (b *lagBook) Collect(ch chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for name, s := range b.systems {
		ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, s.lag(now).Seconds(), name)
		if s.measured {
			ch <- prometheus.MustNewConstMetric(delayDesc, prometheus.GaugeValue, s.delay.Seconds(), name)
		}
	}
}
