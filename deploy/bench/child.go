package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/strait-cdc/strait/capture"
	capturemysql "github.com/strait-cdc/strait/capture/mysql"
	capturepg "github.com/strait-cdc/strait/capture/postgres"
	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/avro"
	"github.com/strait-cdc/strait/schemas/registry"
)

// childVariable says to this program that it is the child.
const childVariable = "STRAIT_BENCH_CHILD"

// task is what the child does: capture rows into an embedded broker of its own,
// as strait run does.
type task struct {
	// Kind is postgres or mysql.
	Kind   string `json:"kind"`
	URL    string `json:"url"`
	System string `json:"system"`
	// Table is the only one that is read.
	Table schemas.TableName `json:"table"`
	// Slot and Publication are PostgreSQL's.
	Slot        string `json:"slot"`
	Publication string `json:"publication"`
	// From is where to begin; zero for a snapshot.
	From schemas.Position `json:"from"`
	// Rows is how many changes there are.
	Rows int `json:"rows"`
	// Dir is for the broker's log.
	Dir string `json:"dir"`
	// Profile, if not empty, is the file for a CPU profile.
	Profile string `json:"profile,omitempty"`
}

// answer is what the child says.
type answer struct {
	// Took is from opening the source until the last row is durable in the broker.
	Took time.Duration `json:"took"`
	// Peak is the most memory it had, in bytes.
	Peak int64 `json:"peak"`
}

func isChild() bool { return os.Getenv(childVariable) != "" }

func childMain() int {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err := child(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func child(in io.Reader, out io.Writer) error {
	var t task
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return err
	}
	stop, err := profile(t.Profile)
	if err != nil {
		return err
	}
	took, err := t.run(context.Background())
	stop()
	if err != nil {
		return err
	}
	peak, err := peakMemory()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(answer{took, peak})
}

func (t *task) run(ctx context.Context) (took time.Duration, err error) {
	broker, err := stream.StartBroker(stream.BrokerConfig{Dir: t.Dir, Budget: 1 << 40})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	log, err := stream.OpenLog(ctx, broker.Config(), "_schemas")
	if err != nil {
		return 0, err
	}
	defer log.Close()
	reg, err := registry.NewBuiltin(ctx, log)
	if err != nil {
		return 0, err
	}
	connector := avro.PostgreSQL
	if t.Kind != "postgres" {
		connector = avro.MySQL
	}
	enc := avro.NewEncoder(reg, avro.Source{System: t.System, Connector: connector, Database: t.Table.Schema, Version: "bench"}, avro.Options{})
	w, err := stream.OpenWriter(ctx, broker.Config(), t.System, enc)
	if err != nil {
		return 0, err
	}
	defer w.Close()
	return t.capture(ctx, w)
}

func (t *task) capture(ctx context.Context, w *stream.Writer) (took time.Duration, err error) {
	began := time.Now()
	src, err := t.open(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	counted := &counter{Writer: w, left: t.Rows, done: cancel}
	err = capture.Run(ctx, src, counted, capture.Observer{})
	if counted.left > 0 {
		return 0, fmt.Errorf("%d rows are missing: %w", counted.left, err)
	}
	return counted.at.Sub(began), nil
}

func (t *task) open(ctx context.Context) (capture.Source, error) {
	if t.Kind == "postgres" {
		return capturepg.Open(ctx, t.postgres(), t.From)
	}
	return capturemysql.Open(ctx, t.mysql(), t.From)
}

func (t *task) postgres() capturepg.Config {
	return capturepg.Config{URL: t.URL, System: t.System, Slot: t.Slot, Publication: t.Publication, Tables: []schemas.TableName{t.Table}}
}

func (t *task) mysql() capturemysql.Config {
	return capturemysql.Config{URL: t.URL, System: t.System, Tables: []schemas.TableName{t.Table}}
}

// counter ends the run when all rows are durable.
type counter struct {
	*stream.Writer
	left, open int
	at         time.Time
	done       func()
}

// Write is capture.Writer's.
func (c *counter) Write(ctx context.Context, bs ...*schemas.Batch) (schemas.Commit, error) {
	commit, err := c.Writer.Write(ctx, bs...)
	for _, b := range bs {
		c.open += len(b.Changes)
	}
	if err != nil || commit.Number == 0 {
		return commit, err
	}
	if c.left, c.open = c.left-c.open, 0; c.left <= 0 && c.at.IsZero() {
		c.at = time.Now()
		c.done()
	}
	return commit, nil
}

var peakPattern = regexp.MustCompile(`(?m)^VmHWM:\s*(\d+) kB$`)

// peakMemory is the most memory this process had. It is not that of getrusage,
// which would count what the parent had when it made us.
func peakMemory() (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", "self", "status"))
	if err != nil {
		return 0, err
	}
	m := peakPattern.FindSubmatch(status)
	if m == nil {
		return 0, errors.New("/proc/self/status has no VmHWM")
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	return kb << 10, err
}
