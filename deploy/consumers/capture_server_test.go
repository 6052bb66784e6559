//go:build !noservers

package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/capture/mysql"
	"github.com/strait-cdc/strait/capture/postgres"
	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/avro"
	"github.com/strait-cdc/strait/schemas/registry"
)

var quiet = slog.New(slog.DiscardHandler)

// cluster is a Kafka with our registry, as strait run sets it up.
type cluster struct {
	stream.Config
	registry registry.Registry
	url      string

	mu    sync.Mutex
	calls map[string]int // "200 GET /path"
}

func newCluster(t *testing.T, cfg stream.Config) *cluster {
	t.Helper()
	cfg.Log = quiet
	log, err := stream.OpenLog(t.Context(), cfg, "_schemas")
	if err != nil {
		t.Fatal(err)
	}
	builtin, err := registry.NewBuiltin(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Config: cfg, registry: builtin, calls: map[string]int{}}
	server := httptest.NewServer(c.noting(builtin.Handler()))
	t.Cleanup(func() {
		server.Close()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	c.url = server.URL
	return c
}

// noting counts the calls of the registry by what was answered.
func (c *cluster) noting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &status{w, http.StatusOK}
		h.ServeHTTP(seen, r)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.calls[fmt.Sprintf("%d %s %s", seen.code, r.Method, r.URL.Path)]++
	})
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// pipe is capture of a side into a cluster.
type pipe struct {
	*side
	*cluster
	// mu guards what was published last.
	mu      sync.Mutex
	reached string
	sample  schemas.Change
}

func (p *pipe) source(last schemas.Position) (capture.Source, error) {
	var names []schemas.TableName
	for _, t := range p.tables {
		names = append(names, schemas.TableName{Schema: p.schema, Name: t.name})
	}
	if p.Kind == "postgres" {
		return postgres.Open(p.t.Context(), p.slot(names), last)
	}
	return mysql.Open(p.t.Context(), mysql.Config{URL: p.URL(), System: p.system, Tables: names, Log: quiet}, last)
}

func (p *pipe) slot(tables []schemas.TableName) postgres.Config {
	return postgres.Config{URL: p.URL(), System: p.system, Tables: tables, Log: quiet}
}

func (p *pipe) writer() *stream.Writer {
	p.t.Helper()
	connector := avro.MariaDB
	if p.Kind == "postgres" {
		connector = avro.PostgreSQL
	}
	enc := avro.NewEncoder(p.registry, avro.Source{System: p.system, Connector: connector, Database: p.Database, Version: "test"}, avro.Options{VerifyEvery: 1})
	w, err := stream.OpenWriter(p.t.Context(), p.Config, p.system, enc)
	if err != nil {
		p.t.Fatal(err)
	}
	return w
}

// follow captures from the last commit on while tell tells the story: it ends when
// the row of fence is published.
func (p *pipe) follow(tell func(wait func(fence string))) {
	t := p.t
	t.Helper()
	w := p.writer()
	last, _ := w.Last()
	src, err := p.source(last.Resume)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- capture.Run(ctx, src, &published{w, p}, capture.Observer{}) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: capture: %v", p.system, err)
		}
		if err := errors.Join(src.Close(), w.Close()); err != nil {
			t.Error(err)
		}
	}()
	tell(func(fence string) {
		t.Helper()
		testenv.Eventually(t, 30*time.Second, func() error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.reached != fence {
				return fmt.Errorf("%s: capture is at fence %q and not at %q", p.system, p.reached, fence)
			}
			return nil
		})
	})
}

// published is a writer that notes what it has made durable.
type published struct {
	*stream.Writer
	p *pipe
}

func (w *published) Write(ctx context.Context, bs ...*schemas.Batch) (schemas.Commit, error) {
	c, err := w.Writer.Write(ctx, bs...)
	if err != nil {
		return c, err
	}
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	for _, b := range bs {
		for _, change := range b.Changes {
			switch {
			case change.Table.Name.Name == "fence":
				w.p.reached = change.After[0].String()
			case change.Op == schemas.Insert && change.Table.Name.Name == "everything":
				w.p.sample = change
			}
		}
	}
	return c, nil
}

// ghosts is how many records the aborted transaction holds.
const ghosts = 25

// abort leaves records in the topics that nobody may see: a writer in the middle of
// a transaction is fenced by another one.
func (p *pipe) abort() {
	t := p.t
	t.Helper()
	open := &schemas.Batch{Open: true}
	for i := range ghosts {
		c := p.sample
		c.After = append(schemas.Row(nil), c.After...)
		c.After[0] = schemas.Int(int64(9000 + i))
		c.Ordinal = int64(i)
		open.Changes = append(open.Changes, c)
	}
	old := p.writer()
	if _, err := old.Write(t.Context(), open); err != nil {
		t.Fatal(err)
	}
	fencing := p.writer()
	if _, err := old.Write(t.Context(), &schemas.Batch{Changes: open.Changes[:1], Txns: 1, Resume: schemas.Position{End: 1}}); err == nil {
		t.Fatalf("%s: the writer that was fenced goes on", p.system)
	}
	if err := errors.Join(old.Close(), fencing.Close()); err != nil {
		t.Error(err)
	}
}

// capture tells the whole story.
func (p *pipe) capture() {
	p.begin()
	p.follow(func(wait func(string)) {
		wait("0")
		p.goOn()
		wait("1")
	})
	p.abort()
	p.follow(func(wait func(string)) {
		p.end()
		wait("2")
	})
	if p.Kind == "postgres" {
		if err := postgres.Drop(p.t.Context(), p.slot(nil)); err != nil {
			p.t.Error(err)
		}
	}
}
