package transform

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
	"github.com/strait-cdc/strait/transform/state"
)

// Config is what a Reconciler needs.
type Config struct {
	// Dir is the folder of the state store.
	Dir string
	// Pipeline names this installation in strait.progress.
	Pipeline string
	Set      *mapping.Set
	Bounds   Bounds
	Log      *slog.Logger
	Observer Observer
}

// Source gives the commits of one system, whole and in order.
type Source interface {
	Next(ctx context.Context) (*stream.Part, error)
}

// Target is where intents are sent; see sinks.Sink for the contract.
type Target interface {
	Start(ctx context.Context, accept func(schemas.Progress) error) (schemas.Progress, error)
	Apply(ctx context.Context, batch int64, intents []schemas.Intent) ([]schemas.Answer, error)
}

// End is both directions of one system.
type End struct {
	Source Source
	Target Target
}

// Reconciler keeps two systems in agreement. Open it, ask Start where each
// system's reader goes on, Run it; after an error of Run close it and begin
// again: recovery is the start path.
type Reconciler struct {
	cfg    Config
	store  state.Store
	engine *engine
}

// Open opens the state store.
func Open(cfg Config) (*Reconciler, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	store, err := state.Open(cfg.Dir)
	if err != nil {
		return nil, err
	}
	r := &Reconciler{cfg: cfg, store: store}
	err = r.reload()
	if err == nil {
		err = r.engine.tellParked()
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return r, nil
}

// reload makes the engine anew from the store.
func (r *Reconciler) reload() (err error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return err
	}
	r.engine, err = newEngine(r.store, r.cfg.Set, r.cfg.Pipeline, hex.EncodeToString(b[:])+"-", time.Now, r.cfg.Observer, r.cfg.Bounds)
	return err
}

// Start says where the reader of a system goes on.
func (r *Reconciler) Start(system string) stream.Start { return r.engine.start(system) }

// Close closes the state store. Run must have returned.
func (r *Reconciler) Close() error { return r.store.Close() }

// part is a piece of a commit on its way to the engine.
type part struct {
	system string
	p      *stream.Part
}

// answer is what a target said to a batch.
type answer struct {
	system  string
	batch   int64
	answers []schemas.Answer
}

// job is a batch on its way to a target.
type job struct {
	batch   int64
	intents []schemas.Intent
}

// loop is a Run under way.
type loop struct {
	*Reconciler
	parts   chan part
	answers chan answer
	jobs    map[string]chan job
	// sent is the last batch handed to each target.
	sent map[string]int64
}

// Run folds, plans and applies until the context ends (nil) or something fails.
func (r *Reconciler) Run(ctx context.Context, ends map[string]End) error {
	l := &loop{Reconciler: r, parts: make(chan part, 8), answers: make(chan answer, 8), jobs: map[string]chan job{}, sent: map[string]int64{}}
	for _, sys := range r.engine.systems() {
		end, ok := ends[sys]
		if !ok {
			return fmt.Errorf("no connection for system %s, which the mapping names", sys)
		}
		accept := func(p schemas.Progress) error { return r.engine.checkProgress(sys, p) }
		if _, err := end.Target.Start(ctx, accept); err != nil {
			return fmt.Errorf("start %s: %w", sys, err)
		}
		l.sent[sys] = r.engine.answered[sys]
		l.jobs[sys] = make(chan job, 1)
	}
	g, gctx := errgroup.WithContext(ctx)
	for sys, end := range ends {
		if l.jobs[sys] == nil {
			continue
		}
		g.Go(func() error { return l.read(gctx, sys, end.Source) })
		g.Go(func() error { return l.apply(gctx, sys, end.Target) })
	}
	g.Go(func() error { return l.drive(gctx) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// checkProgress sees that state and database belong together.
func (e *engine) checkProgress(sys string, p schemas.Progress) error {
	switch {
	case p.Batch >= e.next[sys]:
		return fmt.Errorf("%w: %s carries batch %d of pipeline %q, the state store has only written down %d: the state folder is new or from an older backup. Restore the newest state folder; or, to begin anew, give the pipeline another name and an empty state folder", ErrState, sys, p.Batch, e.pipeline, e.next[sys]-1)
	case p.Batch < e.answered[sys]:
		return fmt.Errorf("%w: %s carries batch %d of pipeline %q, but batch %d was applied there: the database was restored from a backup, or is another one. Begin anew with another pipeline name and an empty state folder", ErrState, sys, p.Batch, e.pipeline, e.answered[sys])
	}
	return nil
}

func (l *loop) read(ctx context.Context, sys string, src Source) error {
	for {
		p, err := src.Next(ctx)
		if err != nil {
			return fmt.Errorf("read %s: %w", sys, err)
		}
		select {
		case l.parts <- part{sys, p}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *loop) apply(ctx context.Context, sys string, target Target) error {
	for {
		var j job
		select {
		case j = <-l.jobs[sys]:
		case <-ctx.Done():
			return ctx.Err()
		}
		as, err := target.Apply(ctx, j.batch, j.intents)
		if err != nil {
			return fmt.Errorf("apply %s: batch %d: %w", sys, j.batch, err)
		}
		select {
		case l.answers <- answer{sys, j.batch, as}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drive owns the engine: whatever has arrived is folded and settled, what is due
// is planned, all in one transaction, and only then is anything sent.
func (l *loop) drive(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := l.send(); err != nil {
			return err
		}
		var work stepInput
		if l.engine.idle() {
			var ok bool
			if work, ok = l.wait(ctx, timer); !ok {
				return ctx.Err()
			}
		}
		l.gather(&work)
		if err := l.step(work); err != nil {
			return err
		}
	}
}

// idle says that the next step has nothing to do before something arrives.
func (e *engine) idle() bool {
	for _, sys := range e.systems() {
		if e.offsets[sys].Sweep {
			return false
		}
	}
	d, ok := e.queue.wait(e.now())
	return !ok || d > 0 || !e.canPlan()
}

// canPlan says that planning could do something if a unit is due.
func (e *engine) canPlan() bool { return e.ready() && !e.allFull(building{}) && !e.jammed() }

// wait blocks until something arrives or becomes due.
func (l *loop) wait(ctx context.Context, timer *time.Timer) (stepInput, bool) {
	var due <-chan time.Time
	if d, ok := l.engine.queue.wait(time.Now()); ok && l.engine.canPlan() {
		timer.Reset(d)
		due = timer.C
	}
	var w stepInput
	select {
	case p := <-l.parts:
		w.parts = append(w.parts, p)
	case a := <-l.answers:
		w.answers = append(w.answers, a)
	case <-due:
	case <-ctx.Done():
		return w, false
	}
	return w, true
}

// stepInput is what one step takes in.
type stepInput struct {
	parts   []part
	answers []answer
}

// gather takes what else has already arrived, up to a bound.
func (l *loop) gather(w *stepInput) {
	n := 0
	for _, p := range w.parts {
		n += len(p.p.Changes)
	}
	for n < 1000 {
		select {
		case p := <-l.parts:
			w.parts = append(w.parts, p)
			n += len(p.p.Changes) + 1
		case a := <-l.answers:
			w.answers = append(w.answers, a)
		default:
			return
		}
	}
}

// step makes one transaction of everything at hand, or, where that is too big,
// several smaller ones.
func (l *loop) step(w stepInput) error {
	err := l.engine.step(w, true)
	if !errors.Is(err, state.ErrTooBig) {
		return err
	}
	return l.small(w)
}

// small does the same work in pieces; the engine is loaded anew since the failed
// transaction has changed what it mirrors.
func (l *loop) small(w stepInput) error {
	if err := l.reload(); err != nil {
		return err
	}
	for _, a := range w.answers {
		if err := l.engine.step(stepInput{answers: []answer{a}}, false); err != nil {
			return err
		}
	}
	for _, p := range w.parts {
		for _, piece := range split(p) {
			if err := l.engine.step(stepInput{parts: []part{piece}}, false); err != nil {
				return fmt.Errorf("a piece of a commit of %s does not fit into one transaction of the state store: %w", p.system, err)
			}
		}
	}
	return l.engine.step(stepInput{}, true)
}

// split cuts a part into pieces of a few changes.
func split(p part) []part {
	const size = 50
	var out []part
	for from := 0; ; from += size {
		q := *p.p
		if from+size >= len(q.Changes) {
			q.Changes = q.Changes[from:]
			return append(out, part{p.system, &q})
		}
		q.Changes, q.Last = q.Changes[from:from+size], false
		q.Seq = q.Changes[size-1].Seq
		out = append(out, part{p.system, &q})
	}
}

// step is one transaction of the store: answers, commits, sweeping, planning.
func (e *engine) step(w stepInput, plan bool) error {
	return e.store.Update(func(tx state.Txn) error {
		for _, a := range w.answers {
			if err := e.settle(tx, a.system, a.batch, a.answers); err != nil {
				return err
			}
		}
		for _, p := range w.parts {
			if err := e.fold(tx, p.system, p.p); err != nil {
				return err
			}
		}
		for _, sys := range e.systems() {
			if e.offsets[sys].Sweep {
				if _, err := e.sweep(tx, sys); err != nil {
					return err
				}
			}
		}
		if !plan {
			return nil
		}
		return e.plan(tx)
	})
}

// send hands each target the next written-down batch, once the answer to the one
// before is in the store: strait.progress keeps the answers of one batch only, so
// after a crash the target may be one batch ahead of the store but never two.
func (l *loop) send() error {
	for sys := range l.jobs {
		if l.sent[sys] > l.engine.answered[sys] || l.sent[sys]+1 >= l.engine.next[sys] {
			continue
		}
		if err := l.sendNext(sys); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) sendNext(sys string) error {
	j := job{batch: l.sent[sys] + 1}
	err := l.store.View(func(tx state.Txn) error {
		batch, err := l.engine.batch(tx, sys, j.batch)
		for i := range batch {
			j.intents = append(j.intents, batch[i].Intent)
		}
		return err
	})
	if err != nil {
		return err
	}
	l.jobs[sys] <- j // has room: the batch before it was taken, since it was answered
	l.sent[sys] = j.batch
	return nil
}
