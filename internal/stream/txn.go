package stream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/protocol/addpartitionstotxn"
	"github.com/segmentio/kafka-go/protocol/endtxn"

	"github.com/strait-cdc/strait/schemas"
)

// txn is the Kafka transaction that a Writer has open.
type txn struct {
	c       *client
	id      string // transactional id
	p       producer
	added   map[tp]bool
	started time.Time
	// ending is true from asking for a commit until it is answered.
	ending bool
}

func (t *txn) open() bool { return len(t.added) > 0 }

// add makes partitions part of the transaction; the first call begins it. The
// broker refuses for a moment while the markers of the last one are written.
func (t *txn) add(ctx context.Context, ps []tp) error {
	fresh := slices.DeleteFunc(slices.Clone(ps), func(p tp) bool { return t.added[p] })
	if len(fresh) == 0 {
		return nil
	}
	if !t.open() {
		t.started = time.Now()
	}
	req := &addpartitionstotxn.Request{TransactionalID: t.id, ProducerID: t.p.id, ProducerEpoch: t.p.epoch}
	at := map[string]int{}
	for _, p := range fresh {
		i, ok := at[p.topic]
		if !ok {
			i = len(req.Topics)
			at[p.topic] = i
			req.Topics = append(req.Topics, addpartitionstotxn.RequestTopic{Name: p.topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p.part)
	}
	// From here on the broker may have begun it, whatever it answers.
	for _, p := range fresh {
		t.added[p] = true
	}
	return t.c.retry(ctx, "add partitions to the transaction", func() error {
		m, err := t.c.callCoordinator(ctx, t.id, req)
		if err != nil {
			return err
		}
		return addError(m.(*addpartitionstotxn.Response))
	})
}

// probe asks the coordinator whether the producer is still the one of its id: an
// error that is ErrFenced says that it is not.
func (t *txn) probe(ctx context.Context) error {
	clear(t.added)
	return t.add(ctx, []tp{{commitsOf(t.id), 0}})
}

// commitsOf is the topic that every transaction of a transactional id ends in.
func commitsOf(id string) string { return schemas.CommitsTopic(strings.TrimPrefix(id, "strait-")) }

// addError is the error that matters: not that of the partitions which were left
// out because of another.
func addError(res *addpartitionstotxn.Response) error {
	var out error
	for _, t := range res.Results {
		for _, p := range t.Results {
			if err := errCode(p.ErrorCode); err != nil && (out == nil || p.ErrorCode != int16(operationNotAttempted)) {
				out = fmt.Errorf("%s: %w", tp{t.Name, p.PartitionIndex}, err)
			}
		}
	}
	return fenced(out)
}

// end commits or aborts. Sent again after a lost answer it gets the same answer,
// as long as no other transaction has begun.
func (t *txn) end(ctx context.Context, commit bool) error {
	req := &endtxn.Request{TransactionalID: t.id, ProducerID: t.p.id, ProducerEpoch: t.p.epoch, Committed: commit}
	t.ending = commit
	err := t.c.retry(ctx, "end the transaction", func() error {
		m, err := t.c.callCoordinator(ctx, t.id, req)
		if err != nil {
			return err
		}
		return fenced(errCode(m.(*endtxn.Response).ErrorCode))
	})
	if err == nil {
		clear(t.added)
		t.ending = false
	}
	return err
}

// overdue says that the broker is about to end the transaction by itself.
func (t *txn) overdue() error {
	if limit := t.c.cfg.TxnTimeout; t.open() && time.Since(t.started) > limit-limit/10 {
		return fmt.Errorf("the source transaction has been on its way for %s and Kafka ends transactions after %s; raise kafka.txn_timeout, and the broker's transaction.max.timeout.ms with it",
			time.Since(t.started).Round(time.Second), limit)
	}
	return nil
}
