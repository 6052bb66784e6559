package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strait-cdc/strait/internal/testenv"
)

const (
	// readyPatience bounds the snapshots and the linking.
	readyPatience = 3 * time.Minute
	// restPatience bounds the wait for what is on its way when the offices stop.
	restPatience = 60 * time.Second
)

// demo is one showing, from the empty folder to the verdict.
type demo struct {
	options
	view *view

	dir      string
	crmSide  *side
	erpSide  *side
	kafkaEnd *testenv.KafkaServer // nil unless the demo runs its own
	brokers  []string             // empty: the embedded broker
	world    *world
	strait   *strait
	watch    *watcher
	counts   *counts
	story    *story
	failures []string
}

// fail notes what is wrong; the demo goes on to its end and then reports it.
func (d *demo) fail(format string, args ...any) {
	d.failures = append(d.failures, fmt.Sprintf(format, args...))
}

// run is the whole showing. stop ends when the user has seen enough.
func (d *demo) run(stop context.Context) (err error) {
	defer func() { err = errors.Join(err, d.close()) }()
	steps := []func(context.Context) error{d.prepare, d.startServers, d.fill, d.startStrait, d.linkUp, d.work}
	for _, step := range steps {
		if err := step(stop); err != nil {
			return err
		}
		if stop.Err() != nil && d.counts == nil {
			return errors.New("stopped before the offices opened")
		}
	}
	// From here on a signal no longer matters: the end is the point.
	ctx := context.Background()
	if err := d.settle(ctx); err != nil {
		return err
	}
	return d.verdict()
}

func (d *demo) prepare(context.Context) (err error) {
	d.dir, err = os.MkdirTemp("", "strait-demo-")
	return err
}

func (d *demo) startServers(ctx context.Context) error {
	began := time.Now()
	d.view.say("Starting the servers: CRM on %s, ERP on %s", d.crm, d.erp)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { d.crmSide, err = openSide(ctx, "crm", d.crm); return err })
	g.Go(func() (err error) { d.erpSide, err = openSide(ctx, "erp", d.erp); return err })
	g.Go(func() error { return d.startKafka(ctx) })
	if err := g.Wait(); err != nil {
		return err
	}
	d.view.title = fmt.Sprintf("CRM %s  <->  ERP %s, %s", d.crmSide.label(), d.erpSide.label(), d.kafkaLabel())
	d.view.say("  %s (%s)", d.view.title, since(began))
	return nil
}

func (d *demo) startKafka(ctx context.Context) (err error) {
	switch d.kafka {
	case "":
	case "real":
		if d.kafkaEnd, err = testenv.StartKafka(ctx, ""); err != nil {
			return err
		}
		d.brokers = d.kafkaEnd.Brokers
	default:
		d.brokers = strings.Split(d.kafka, ",")
		return unusedBroker(ctx, d.brokers)
	}
	return nil
}

func (d *demo) kafkaLabel() string {
	switch {
	case d.kafkaEnd != nil:
		return "Apache Kafka " + d.kafkaEnd.Version
	case len(d.brokers) > 0:
		return "Kafka at " + d.brokers[0]
	}
	return "embedded broker"
}

func (d *demo) fill(ctx context.Context) (err error) {
	began := time.Now()
	d.world, err = seed(ctx, d.seed, d.crmSide, d.erpSide)
	if err != nil {
		return fmt.Errorf("fill the databases: %w", err)
	}
	w := d.world
	d.view.say("Filled them: %d customers known on both sides under different keys, %d only in the CRM, %d only in the ERP,", w.known, w.onlyCRM, w.onlyERP)
	d.view.say("  %d products, %d orders won before the start (%s)", len(w.products), w.wonOrders(), since(began))
	return nil
}

func (d *demo) startStrait(ctx context.Context) error {
	began := time.Now()
	var err error
	if d.strait, err = buildStrait(ctx, d.dir); err != nil {
		return err
	}
	if err := d.strait.configure(d.crmSide, d.erpSide, d.brokers); err != nil {
		return err
	}
	d.view.say("Built strait (%s), wrote %s", since(began), filepath.Join(d.dir, "strait.yaml"))
	out, err := d.strait.command(ctx, "check")
	d.view.block("strait check", out)
	if err != nil {
		return fmt.Errorf("strait check: %w", err)
	}
	return d.strait.start()
}

// linkUp waits for the snapshots and until the records that belong together are linked.
func (d *demo) linkUp(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	d.watch = newWatcher(d.strait)
	go d.watch.run()
	d.view.say("strait run: taking the snapshots, linking what belongs together")
	if err := d.strait.waitReady(ctx); err != nil {
		return err
	}
	ready := time.Since(began)
	if err := d.watch.rest(ctx, readyPatience); err != nil {
		return fmt.Errorf("linking: %w\n%s", err, d.strait.logTail())
	}
	st := d.watch.totals()
	for _, s := range st.Systems {
		d.view.say("  %s: %d rows read", s.Name, s.Changes)
	}
	for _, e := range st.Entities {
		d.view.say("  %-8s  %5d linked  %5d created  %4d conflicts  %3d parked", e.Entity, e.Matched, e.Created, e.Conflicts, e.Parked)
	}
	d.view.say("  ready after %.1f s, all linked and settled after %s", ready.Seconds(), since(began))
	return nil
}

// work lets the offices work until the time is over or stop ends.
func (d *demo) work(stop context.Context) error {
	ctx, cancel := context.WithCancel(stop)
	defer cancel()
	if d.length > 0 {
		ctx, cancel = context.WithTimeout(ctx, d.length)
		defer cancel()
	}
	d.counts = newCounts()
	d.story = newStory(d.world, d.crmSide, d.erpSide, d.counts, d.view)
	d.view.say("The offices open: about %g edits per second. Following %s.", d.rate, d.story.who())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return newOffices(d.world, d.crmSide, d.erpSide, d.counts, d.seed).work(ctx, d.rate) })
	g.Go(func() error { return d.story.run(ctx) })
	g.Go(func() error { return d.strait.guard(ctx) })
	if d.kills > 0 {
		g.Go(func() error { return d.killer(ctx) })
	}
	g.Go(func() error { d.view.live(ctx, d); return nil })
	err := g.Wait()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, d.strait.logTail())
	}
	return nil
}

// settle waits for rest and checks everything that must be true then.
func (d *demo) settle(ctx context.Context) error {
	d.view.say("The offices close. Waiting for what is on its way.")
	began := time.Now()
	if err := d.watch.rest(ctx, restPatience); err != nil {
		d.fail("strait did not come to rest: %v", err)
	}
	d.view.say("  at rest after %s", since(began))
	out, err := d.strait.command(ctx, "verify", "--wait", "60s")
	d.view.block("strait verify", out)
	if err != nil {
		d.fail("strait verify: %v", err)
	}
	if err := d.checkBusiness(ctx); err != nil {
		return err
	}
	if d.kills > 0 {
		if err := d.checkTopics(ctx); err != nil {
			return err
		}
	}
	d.report()
	if err := d.strait.stop(); err != nil {
		d.fail("strait did not stop as it should: %v", err)
	}
	return nil
}

func (d *demo) verdict() error {
	if len(d.failures) == 0 {
		d.view.say("All is well: both sides agree.")
		return nil
	}
	return fmt.Errorf("this is wrong:\n  %s\nthe end of strait's log:\n%s", strings.Join(d.failures, "\n  "), d.strait.logTail())
}

// close stops everything and removes the folder.
func (d *demo) close() error {
	var errs []error
	if d.strait != nil {
		d.strait.kill()
	}
	if d.watch != nil {
		d.watch.stop()
	}
	for _, s := range []*side{d.crmSide, d.erpSide} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	if d.kafkaEnd != nil {
		errs = append(errs, d.kafkaEnd.Stop())
	}
	if d.dir != "" && d.keep {
		d.view.say("kept: %s", d.dir)
	} else if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

func since(t time.Time) string { return fmt.Sprintf("%.1f s", time.Since(t).Seconds()) }
