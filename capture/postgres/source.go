package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// Source reads one database; see Open.
type Source struct {
	cfg      Config
	identity string
	queue    *queue
	// acked is the LSN up to which all is durable; it never goes back.
	acked atomic.Uint64

	// The connections are used by run alone, which closes them.
	repl    *pgconn.PgConn
	sql     *pgx.Conn
	catalog *catalog

	stop context.CancelFunc
	done chan struct{}
}

var _ capture.Source = (*Source)(nil)

var errClosed = errors.New("the source is closed")

// Read returns what has arrived; see capture.Source. After an error of the
// connection it returns that error for ever: close the source and open another.
func (s *Source) Read(ctx context.Context) (*schemas.Batch, error) {
	b, err := s.queue.take(ctx)
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%s: %w", s.cfg.System, err)
	}
	return b, err
}

// Ack lets the server forget its log up to pos. It is told within a second.
func (s *Source) Ack(ctx context.Context, pos schemas.Position) error {
	if pos.Source != s.identity {
		return fmt.Errorf("acknowledge %s of %q: this is %q", pos, pos.Source, s.identity)
	}
	for {
		have := s.acked.Load()
		if pos.End <= have || s.acked.CompareAndSwap(have, pos.End) {
			return nil
		}
	}
}

// Close tells the server what was acknowledged, and ends.
func (s *Source) Close() error {
	s.stop()
	// Wakes a read that waits for the server.
	s.repl.Conn().SetReadDeadline(time.Now())
	<-s.done
	return nil
}

// start runs the goroutine that owns the connections.
func (s *Source) start(snap *snapshot, from uint64) {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.done = cancel, make(chan struct{})
	go func() {
		defer close(s.done)
		err := s.run(ctx, snap, from)
		if ctx.Err() != nil {
			err = errClosed
		}
		s.queue.fail(err)
		closeReplication(s.repl)
		closeSQL(s.sql)
	}()
}

func (s *Source) run(ctx context.Context, snap *snapshot, from uint64) error {
	if snap != nil {
		if err := snap.read(ctx); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	return s.stream(ctx, snap, from)
}
