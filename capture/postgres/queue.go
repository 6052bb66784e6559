package postgres

import (
	"context"
	"sync"

	"github.com/strait-cdc/strait/schemas"
)

// queue holds the one batch that is ready to be read. Small transactions are
// added to it until it is read, so that a reader that is slow gets large batches
// and one that waits gets each transaction at once.
type queue struct {
	// mu guards the fields below.
	mu    sync.Mutex
	ready *schemas.Batch
	bytes int
	err   error

	filled, drained chan struct{} // each holds one signal
}

func newQueue() *queue {
	return &queue{filled: make(chan struct{}, 1), drained: make(chan struct{}, 1)}
}

// offer adds a batch if there is room. It copies the changes, unless the batch is
// Open or of a snapshot: then it keeps them.
func (q *queue) offer(b *schemas.Batch, bytes int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ready == nil && (b.Open || b.Phase.IsSnapshot()):
		q.ready, q.bytes = b, bytes
	case q.ready == nil:
		copied := *b
		copied.Changes = append([]schemas.Change(nil), b.Changes...)
		q.ready, q.bytes = &copied, bytes
	case b.Open || b.Phase.IsSnapshot() || q.ready.Open || q.ready.Phase.IsSnapshot():
		return false
	case len(q.ready.Changes)+len(b.Changes) > maxChanges || q.bytes+bytes > maxBytes:
		return false
	default:
		q.ready.Changes = append(q.ready.Changes, b.Changes...)
		q.ready.Txns += b.Txns
		q.ready.Resume = b.Resume
		q.bytes += bytes
	}
	notify(q.filled)
	return true
}

// fail ends the queue: the error is what Read says when all is read.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	notify(q.filled)
}

// take waits for a batch.
func (q *queue) take(ctx context.Context) (*schemas.Batch, error) {
	for {
		b, err := q.poll()
		if b != nil || err != nil {
			return b, err
		}
		select {
		case <-q.filled:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *queue) poll() (*schemas.Batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b := q.ready; b != nil {
		q.ready, q.bytes = nil, 0
		notify(q.drained)
		return b, nil
	}
	if q.err != nil {
		notify(q.filled) // whoever comes next hears it, too
	}
	return nil, q.err
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
