package capture

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strait-cdc/strait/schemas"
)

// Writer makes batches durable; the stream's Writer is one.
type Writer interface {
	// Write publishes the batches as one commit. A commit with Number 0 says that
	// nothing is committed yet: the last batch is Open. After an error nobody knows
	// whether it happened; only a new start finds out.
	Write(ctx context.Context, bs ...*schemas.Batch) (schemas.Commit, error)
}

// Observer is told what Run does, for metrics. Either function may be nil; they
// are called by two different goroutines and must not block.
type Observer struct {
	// Read is called with each batch as it arrives, before it is written.
	Read func(b *schemas.Batch)
	// Commit is called with each commit and how long the write took. Number is 0
	// for a piece of a transaction that goes on.
	Commit func(c schemas.Commit, took time.Duration)
}

// Bounds of what is read ahead while a write runs. A batch is at most a few
// thousand changes, so a group holds several; the bytes are those of the values
// in memory. One batch is taken whatever its size.
const (
	groupChanges = 20_000
	groupBytes   = 16 << 20
)

// Run reads the source and publishes what it reads, until the context ends or one
// of the two fails; then it waits for both and returns the first error.
//
// While a write runs the next group fills, and is passed on as soon as the write
// returns: under load groups grow by themselves, at rest nothing waits. The
// source is told only what a commit made durable.
//
// After an error do not go on with the same source or writer: close them, open
// them where the last commit ended, and run again.
func Run(ctx context.Context, src Source, out Writer, obs Observer) error {
	g, ctx := errgroup.WithContext(ctx)
	q := &group{filled: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
	g.Go(func() error { return readAll(ctx, src, q, obs) })
	g.Go(func() error { return writeAll(ctx, src, out, q, obs) })
	return g.Wait()
}

func readAll(ctx context.Context, src Source, q *group, obs Observer) error {
	for {
		b, err := src.Read(ctx)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if obs.Read != nil {
			obs.Read(b)
		}
		if err := q.put(ctx, b); err != nil {
			return err
		}
	}
}

func writeAll(ctx context.Context, src Source, out Writer, q *group, obs Observer) error {
	for {
		bs, err := q.take(ctx)
		if err != nil {
			return err
		}
		start := time.Now()
		commit, err := out.Write(ctx, bs...)
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		if obs.Commit != nil {
			obs.Commit(commit, time.Since(start))
		}
		if commit.Number == 0 || commit.Resume.IsZero() {
			continue
		}
		if err := src.Ack(ctx, commit.Resume); err != nil {
			return fmt.Errorf("ack %s: %w", commit.Resume, err)
		}
	}
}

// group is the batches that wait for the write that is running.
type group struct {
	// mu guards the fields below.
	mu      sync.Mutex
	batches []*schemas.Batch
	changes int
	bytes   int

	filled, taken chan struct{} // each holds one signal
}

// put adds a batch; it waits while the group is full.
func (q *group) put(ctx context.Context, b *schemas.Batch) error {
	size := batchBytes(b)
	for !q.add(b, size) {
		select {
		case <-q.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	signal(q.filled)
	return nil
}

func (q *group) add(b *schemas.Batch, size int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) > 0 && (q.changes+len(b.Changes) > groupChanges || q.bytes+size > groupBytes) {
		return false
	}
	q.batches = append(q.batches, b)
	q.changes += len(b.Changes)
	q.bytes += size
	return true
}

// take waits for a batch and takes as many as may be written at once.
func (q *group) take(ctx context.Context) ([]*schemas.Batch, error) {
	for {
		if bs := q.takeReady(); bs != nil {
			signal(q.taken)
			return bs, nil
		}
		select {
		case <-q.filled:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *group) takeReady() []*schemas.Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := together(q.batches)
	if n == 0 {
		return nil
	}
	bs := q.batches[:n:n]
	q.batches, q.changes, q.bytes = q.batches[n:], 0, 0
	for _, b := range q.batches {
		q.changes += len(b.Changes)
		q.bytes += batchBytes(b)
	}
	return bs
}

// together is how many of the batches make one write. Whole transactions are not
// held up by the beginning of one that goes on, and a commit is of the snapshot
// or of the log.
func together(bs []*schemas.Batch) int {
	for i := 1; i < len(bs); i++ {
		if bs[i].Open && !bs[i-1].Open || bs[i].Phase.IsSnapshot() != bs[i-1].Phase.IsSnapshot() {
			return i
		}
	}
	return len(bs)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// batchBytes is about what a batch takes in memory.
func batchBytes(b *schemas.Batch) int {
	const change, value = 176, 32
	n := len(b.Changes) * change
	for i := range b.Changes {
		c := &b.Changes[i]
		n += (len(c.Before) + len(c.After)) * value
		for _, v := range c.Before {
			n += len(v.Text())
		}
		for _, v := range c.After {
			n += len(v.Text())
		}
	}
	return n
}
