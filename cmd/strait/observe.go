package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/internal/ops"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform"
)

// observer carries what the loops tell into metrics, health and the log.
type observer struct {
	transform.NoObserver
	metrics *ops.Metrics
	log     *slog.Logger

	// mu guards the fields below.
	mu sync.Mutex
	// parked are the hub ids that wait, by entity.
	parked map[string]map[string]bool
	// behind are the systems whose backlog has not been folded yet since the
	// reconciler started; caughtUp is called when none is left.
	behind   map[string]int64
	caughtUp func()
}

func newObserver(m *ops.Metrics, log *slog.Logger) *observer {
	return &observer{metrics: m, log: log, parked: map[string]map[string]bool{}}
}

// expect says up to which offset of its commits topic each system has to be
// folded before the reconciler counts as ready; a negative one: up to the end of
// the first snapshot.
func (o *observer) expect(behind map[string]int64, caughtUp func()) {
	o.mu.Lock()
	o.behind, o.caughtUp = behind, caughtUp
	o.parked = map[string]map[string]bool{}
	o.mu.Unlock()
	if len(behind) == 0 {
		caughtUp()
	}
}

// Folded is part of transform.Observer.
func (o *observer) Folded(system string, c *schemas.Commit) {
	o.metrics.Folded(c)
	o.mu.Lock()
	defer o.mu.Unlock()
	until, waiting := o.behind[system]
	if !waiting || c.Resume.IsZero() || c.Offset < until {
		return
	}
	delete(o.behind, system)
	if len(o.behind) == 0 {
		o.caughtUp()
	}
}

// Planned is part of transform.Observer.
func (o *observer) Planned(system string, intents int) { o.metrics.Planned(system, intents) }

// Applied is part of transform.Observer.
func (o *observer) Applied(system, entity string, fields int) {
	o.metrics.Applied(system, entity, fields)
}

// Missed is part of transform.Observer.
func (o *observer) Missed(system, entity string) { o.metrics.Missed(system, entity) }

// Refused is part of transform.Observer.
func (o *observer) Refused(system, entity, key, reason string) {
	o.metrics.Refused(system, entity)
	o.log.Warn("refused", "system", system, "entity", entity, "key", key, "reason", reason)
}

// Conflict is part of transform.Observer.
func (o *observer) Conflict(c *transform.Conflict) {
	o.metrics.Conflict(c.Entity)
	o.log.Info("conflict", "entity", c.Entity, "child", c.Child, "keys", c.Keys, "field", c.Field, "base", c.Base.String(),
		"values", []string{c.Values[0].String(), c.Values[1].String()}, "winner", c.Winner, "rule", c.Rule)
}

// Parked is part of transform.Observer.
func (o *observer) Parked(p *transform.Parked) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.parked[p.Entity] == nil {
		o.parked[p.Entity] = map[string]bool{}
	}
	if !o.parked[p.Entity][p.Hub] {
		o.log.Log(context.Background(), parkedLevel(p), "parked", "entity", p.Entity, "keys", p.Keys, "kind", p.Kind, "reason", p.Reason)
	}
	o.parked[p.Entity][p.Hub] = true
	o.metrics.Parked(p.Entity, len(o.parked[p.Entity]))
}

// parkedLevel: what waits for another record is in order, the rest needs a person.
func parkedLevel(p *transform.Parked) slog.Level {
	if p.Kind == "waiting" {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// Unparked is part of transform.Observer.
func (o *observer) Unparked(entity, hub string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.parked[entity], hub)
	o.metrics.Parked(entity, len(o.parked[entity]))
}

// Linked is part of transform.Observer.
func (o *observer) Linked(entity string, created bool) { o.metrics.Linked(entity, created) }

// Dirty is part of transform.Observer.
func (o *observer) Dirty(n int) { o.metrics.Dirty(n) }

// capturing is the observer of a capture loop, whose component runs from its
// first commit behind the snapshot on.
func (o *observer) capturing(system string, c *ops.Component) capture.Observer {
	return capture.Observer{
		Read: func(b *schemas.Batch) { o.metrics.Read(system, len(b.Changes)) },
		Commit: func(commit schemas.Commit, took time.Duration) {
			if commit.Number == 0 {
				return
			}
			o.metrics.Published(&commit, took)
			if !commit.Resume.IsZero() && c.State() != ops.Running {
				c.Set(ops.Running, "")
			}
		},
	}
}

// timedTarget notes the time of each apply transaction.
type timedTarget struct {
	transform.Target
	system  string
	metrics *ops.Metrics
}

// Apply is part of transform.Target.
func (t timedTarget) Apply(ctx context.Context, batch int64, intents []schemas.Intent) ([]schemas.Answer, error) {
	began := time.Now()
	answers, err := t.Target.Apply(ctx, batch, intents)
	if err == nil {
		t.metrics.Batch(t.system, time.Since(began))
	}
	return answers, err
}
