package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/internal/ops"
	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/avro"
	"github.com/strait-cdc/strait/sinks"
	"github.com/strait-cdc/strait/transform"
	"github.com/strait-cdc/strait/transform/mapping"
)

// grace is how long the first signal leaves for finishing what is held.
const grace = 30 * time.Second

func runCommand(load loader) *cobra.Command {
	var again []string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Keep the two databases in agreement until told to stop",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load()
			if err != nil {
				return err
			}
			log := cfg.logger(cmd.ErrOrStderr())
			ctx, release := ops.Signals(cmd.Context(), log, grace, func() { os.Exit(1) })
			defer release()
			for _, name := range again {
				s := cfg.Systems[name]
				if s == nil {
					return fmt.Errorf("--snapshot %s: there is no such system in %s", name, cfg.file)
				}
				s.again = true
			}
			return cfg.run(ctx, log)
		},
	}
	cmd.Flags().StringSliceVar(&again, "snapshot", nil, "take a new snapshot of these systems first; rows that are gone since are removed on the other side by its rules")
	return cmd
}

// runner is what the loops of strait run share.
type runner struct {
	*Config
	log     *slog.Logger
	docs    *mapping.Docs
	cluster *cluster
	metrics *ops.Metrics
	health  *ops.Health
	obs     *observer
	flows   []ops.FlowName
	started time.Time
}

// run does everything from taking the state folder to giving it back.
func (c *Config) run(ctx context.Context, log *slog.Logger) (err error) {
	lock, err := lockState(c.State)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	r, err := c.newRunner(ctx, log)
	if err != nil {
		return err
	}
	server := &ops.Server{Health: r.health, Metrics: r.metrics, Status: r.status}
	http, err := ops.Listen(c.HTTP, server.Handler())
	if err != nil {
		return err
	}
	defer closing(http.Close, &err)
	r.cluster, err = c.start(ctx, log)
	defer closing(r.cluster.Close, &err)
	if err != nil {
		return err
	}
	info := runInfo{PID: os.Getpid(), Started: r.started, Brokers: r.cluster.stream.Brokers, Registry: r.cluster.registryURL, HTTP: "http://" + http.Addr()}
	if err := lock.publish(info); err != nil {
		return err
	}
	log.Info("running", "version", versionText(), "pipeline", c.Pipeline, "http", info.HTTP, "brokers", info.Brokers, "registry", redacted(info.Registry))
	err = r.supervise(ctx)
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// redacted is a url without its password.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(not a url)"
	}
	return u.Redacted()
}

// closing closes with a bound of its own, since the context of the run is over by then.
func closing(shut func(context.Context) error, err *error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	*err = errors.Join(*err, shut(ctx))
}

// newRunner reads the mapping and, if the databases answer, checks it against
// them: a mistake in it should end the start, not show up in a loop.
func (c *Config) newRunner(ctx context.Context, log *slog.Logger) (*runner, error) {
	docs, err := c.loadMapping()
	if err != nil {
		return nil, err
	}
	r := &runner{Config: c, log: log, docs: docs, metrics: ops.NewMetrics(versionText()), health: ops.NewHealth(), started: time.Now().UTC()}
	r.obs = newObserver(r.metrics, log)
	var wrong mapping.Errors
	if _, err := c.compile(ctx, docs); errors.As(err, &wrong) {
		return nil, err
	} else if err != nil {
		log.Warn("the mapping cannot be checked yet", "reason", err)
	}
	systems := docs.Systems()
	for _, s := range systems {
		r.metrics.System(s)
	}
	for _, e := range docs.EntityNames() {
		r.metrics.Flow(e, systems...)
		r.flows = append(r.flows, ops.FlowName{Entity: e, Systems: [2]string{systems[0], systems[1]}})
	}
	return r, nil
}

func (r *runner) status() (ops.Status, error) {
	st, err := r.metrics.Status(r.docs.Systems(), r.flows)
	st.Version, st.Pipeline, st.Started = versionText(), r.Pipeline, r.started
	return st, err
}

func (r *runner) supervise(ctx context.Context) error {
	sup := &ops.Supervisor{Log: r.log, Health: r.health, Metrics: r.metrics, Judge: judge}
	var loops []ops.Loop
	for _, s := range r.systems() {
		r.health.Component(captureLoop(s.name))
		loops = append(loops, ops.Loop{Name: captureLoop(s.name), Run: func(ctx context.Context) error { return r.capture(ctx, s) }})
	}
	loops = append(loops, ops.Loop{Name: reconcileLoop, Run: r.reconcile})
	return sup.Run(ctx, loops...)
}

const reconcileLoop = "reconcile"

func captureLoop(system string) string { return "capture " + system }

// judge says which errors starting again cannot cure.
func judge(err error) ops.Verdict {
	var wrong mapping.Errors
	switch {
	case errors.Is(err, sinks.ErrFenced), errors.Is(err, stream.ErrFenced):
		return ops.Leave
	case errors.Is(err, capture.ErrPositionLost), errors.Is(err, stream.ErrOffsetLost), errors.Is(err, capture.ErrUnsupported), errors.Is(err, transform.ErrState), errors.As(err, &wrong):
		return ops.Stop
	}
	return ops.Again
}

// capture reads one system into the stream, from where its last commit ended.
func (r *runner) capture(ctx context.Context, s *SystemConfig) (err error) {
	db := s.driver()
	enc := avro.NewEncoder(r.cluster.registry, avro.Source{System: s.name, Connector: db.Connector(), Database: s.database(), Version: versionText()}, avro.Options{})
	w, err := stream.OpenWriter(ctx, r.cluster.stream, s.name, enc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	last, _ := w.Last()
	if s.again {
		r.log.Info("taking a new snapshot, as asked for", "system", s.name, "before", last.Resume.String())
		last.Resume = schemas.Position{}
	}
	src, err := db.Source(ctx, r.docs.TablesOf(s.name, s.Schema), last.Resume, r.log)
	if err != nil {
		return err
	}
	before := last.Number
	defer func() {
		// Once is enough: while the snapshot is under way its commits carry no position.
		if now, _ := w.Last(); now.Number > before {
			s.again = false
		}
	}()
	defer func() { err = errors.Join(err, src.Close()) }()
	c := r.health.Component(captureLoop(s.name))
	if last.Resume.IsZero() {
		c.Set(ops.Starting, "taking the first snapshot")
	} else {
		c.Set(ops.Running, "")
	}
	r.log.Info("capturing", "system", s.name, "from", last.Resume.String())
	stop := r.watch(ctx, s, src)
	defer stop()
	return capture.Run(ctx, src, w, r.obs.capturing(s.name, c))
}

// reconcile runs the middle: both readers, both sinks, one store.
func (r *runner) reconcile(ctx context.Context) (err error) {
	set, err := r.compile(ctx, r.docs)
	if err != nil {
		return err
	}
	rec, err := transform.Open(transform.Config{Dir: filepath.Join(r.State, "store"), Pipeline: r.Pipeline, Set: set, Log: r.log, Observer: r.obs})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rec.Close()) }()
	e := &ends{runner: r, sides: map[string]transform.End{}, behind: map[string]int64{}}
	defer func() { err = errors.Join(err, e.close()) }()
	tables := transform.VerifyTables(set)
	for _, s := range r.systems() {
		if err := e.open(ctx, s, tables[s.name], rec.Start(s.name)); err != nil {
			return err
		}
	}
	c := r.health.Component(reconcileLoop)
	c.Set(ops.Starting, "catching up with what has been captured")
	r.obs.expect(e.behind, func() { c.Set(ops.Running, "") })
	return rec.Run(ctx, e.sides)
}

// ends are the readers and sinks of a reconciler.
type ends struct {
	*runner
	sides map[string]transform.End
	// behind says which commit each reader has to reach to have caught up: its
	// offset, or -1 for the first one behind the snapshot; a reader that starts
	// behind all there is is not in it.
	behind map[string]int64
	opened []io.Closer
}

func (e *ends) open(ctx context.Context, s *SystemConfig, tables []*schemas.Table, from stream.Start) error {
	reader, err := stream.OpenReader(ctx, e.cluster.stream, s.name, avro.NewDecoder(e.cluster.registry), wanted(s.name, tables), from)
	if err != nil {
		return err
	}
	e.opened = append(e.opened, reader)
	last, err := reader.Committed(ctx)
	if err != nil {
		return err
	}
	if last.Resume.IsZero() {
		e.behind[s.name] = -1
	} else if from.Offset <= last.Offset {
		e.behind[s.name] = last.Offset
	}
	sink, err := s.driver().Sink(ctx, e.Pipeline, e.log.With("system", s.name))
	if err != nil {
		return fmt.Errorf("open %s for writing: %w", s.name, err)
	}
	e.opened = append(e.opened, sink)
	e.sides[s.name] = transform.End{Source: reader, Target: timedTarget{sink, s.name, e.metrics}}
	return nil
}

func (e *ends) close() error {
	var errs []error
	for _, c := range slices.Backward(e.opened) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// wanted picks the topics of the mapped tables and of the marks.
func wanted(system string, tables []*schemas.Table) func(topic string) bool {
	topics := map[string]bool{schemas.TopicName(system, schemas.ProgressTable): true}
	for _, t := range tables {
		topics[schemas.TopicName(system, t.Name)] = true
	}
	return func(topic string) bool { return topics[topic] }
}
