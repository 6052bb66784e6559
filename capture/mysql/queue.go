package mysql

import (
	"context"
	"sync"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// The bounds of a batch, and so of what is decoded ahead of Read: one batch
// waits here while another is with the caller.
const (
	batchChanges = 5000
	batchBytes   = 4 << 20
)

// idleReport is how long the log may move on without a change for us before Read
// says so, so that the resume point does not stay behind and its files are not
// purged.
const idleReport = 10 * time.Second

// queue is between the goroutine that decodes and Read. Whole transactions are
// collected into one batch until Read takes it; a large one passes in pieces.
type queue struct {
	source string

	// mu guards the fields below.
	mu      sync.Mutex
	pending schemas.Batch
	bytes   int
	// at is the end of the last transaction put; set are the transactions up to
	// there; made and xa are those of native.
	at   place
	set  gtidSet
	made uint32
	xa   *place
	// moved says that at is not yet known to the caller, since the moment reported.
	moved    bool
	reported time.Time
	// ending is a transaction that went out in pieces: its position is set by take,
	// because the pieces are already with the caller.
	ending    *schemas.Txn
	endingPos schemas.Position
	err       error

	ready, space chan struct{} // each holds one signal
}

func newQueue(source string, at place, set gtidSet) *queue {
	return &queue{source: source, at: at, set: set, reported: time.Now(), ready: make(chan struct{}, 1), space: make(chan struct{}, 1)}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put adds a whole transaction, or the last piece of one; it waits while the
// batch is full.
func (q *queue) put(ctx context.Context, t *transaction, n native) error {
	at := n.at
	pos := schemas.Position{Source: q.source, End: at.end()}
	ours := len(t.changes) > 0 || t.inPieces
	if ours {
		pos.Native = at.String()
	}
	if err := q.wait(ctx, len(t.changes), t.bytes, t.inPieces); err != nil {
		return err
	}
	defer q.mu.Unlock()
	q.append(t)
	if t.inPieces {
		q.ending, q.endingPos = t.txn, pos
	} else if t.txn != nil {
		t.txn.Pos = pos
	}
	if ours {
		q.pending.Txns++
		wake(q.ready)
	}
	q.pending.Open = false
	q.at, q.made, q.xa, q.moved = at, n.made, n.xa, true
	for _, g := range t.earlier {
		q.set.add(g)
	}
	q.set.add(t.gtid)
	if q.idle() {
		wake(q.ready)
	}
	return nil
}

// putPiece adds a piece of a transaction that goes on.
func (q *queue) putPiece(ctx context.Context, t *transaction) error {
	if err := q.wait(ctx, len(t.changes), t.bytes, true); err != nil {
		return err
	}
	defer q.mu.Unlock()
	q.append(t)
	q.pending.Open = true
	wake(q.ready)
	return nil
}

// wait locks mu when there is room. Pieces of a transaction are not mixed with
// other transactions: those before it need not wait for its end.
func (q *queue) wait(ctx context.Context, changes, bytes int, alone bool) error {
	for {
		q.mu.Lock()
		n := len(q.pending.Changes)
		if n == 0 && q.pending.Txns == 0 || !alone && !q.pending.Open && q.ending == nil && n+changes <= batchChanges && q.bytes+bytes <= batchBytes {
			return nil
		}
		q.mu.Unlock()
		select {
		case <-q.space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *queue) append(t *transaction) {
	if q.pending.Changes == nil {
		q.pending.Changes = t.changes
		t.changes = make([]schemas.Change, 0, len(t.changes)) // the next one is likely to be as large
	} else {
		q.pending.Changes = append(q.pending.Changes, t.changes...)
		t.changes = t.changes[:0]
	}
	q.bytes += t.bytes
	t.bytes = 0
}

// tick is called when the log is at rest.
func (q *queue) tick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.idle() {
		wake(q.ready)
	}
}

// idle says that only the position has moved, and long enough ago.
func (q *queue) idle() bool {
	return q.moved && len(q.pending.Changes) == 0 && !q.pending.Open && time.Since(q.reported) >= idleReport
}

func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	wake(q.ready)
}

// take waits for a batch. What was decoded before the failure of the connection
// is still handed out.
func (q *queue) take(ctx context.Context) (*schemas.Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if b, err := q.takeReady(); b != nil || err != nil {
			return b, err
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *queue) takeReady() (*schemas.Batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending.Changes) == 0 && q.pending.Txns == 0 && !q.idle() {
		return nil, q.err
	}
	b := q.pending
	if !b.Open {
		b.Resume = q.reached().position(q.source)
		q.moved, q.reported = false, time.Now()
	}
	if q.ending != nil {
		q.ending.Pos = q.endingPos
		q.ending = nil
	}
	q.pending, q.bytes = schemas.Batch{}, 0
	wake(q.space)
	return &b, nil
}

// reached is the end of the last transaction put; mu is held.
func (q *queue) reached() native {
	return native{at: q.at, gtid: q.set.String(), made: q.made, xa: q.xa}
}
