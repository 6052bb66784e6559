package stream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// From says where Tail begins in each partition: Earliest, Latest, or an offset.
type From int64

// The ends of a topic.
const (
	Latest   = From(latest)
	Earliest = From(earliest)
)

// Each is called with a record; its bytes are valid only during the call. An
// error ends the reading and is returned.
type Each func(partition int, offset int64, r *schemas.Record) error

// Tail reads the committed records of a topic as they come, until ctx ends or
// each returns an error. Partitions are read side by side, each in its order.
func Tail(ctx context.Context, cfg Config, topic string, from From, each Each) error {
	t, err := openTopic(ctx, cfg, topic)
	if err != nil {
		return err
	}
	defer t.c.close()
	if err := t.seek(ctx, from); err != nil {
		return err
	}
	for {
		if err := t.read(ctx, t.parts, pollWait, each); err != nil {
			return err
		}
	}
}

// ReadTopic reads the committed records of a topic from its beginning to where
// it ends at the time of the call; while a transaction is open in it, it waits a
// few seconds for its end. A topic that does not exist is empty.
func ReadTopic(ctx context.Context, cfg Config, topic string, each Each) error {
	t, err := openTopic(ctx, cfg, topic)
	if err != nil {
		return err
	}
	defer t.c.close()
	return t.readAll(ctx, each)
}

// topicReader reads all partitions of a topic.
type topicReader struct {
	c     *client
	parts []tp
	next  map[tp]int64
	rec   schemas.Record
}

func openTopic(ctx context.Context, cfg Config, topic string) (*topicReader, error) {
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	t := &topicReader{c: c, next: map[tp]int64{}}
	if err := t.find(ctx, topic); err != nil {
		c.close()
		return nil, err
	}
	return t, nil
}

// find lists the partitions; none if there is no such topic.
func (t *topicReader) find(ctx context.Context, topic string) error {
	return t.c.retry(ctx, "topic "+topic, func() error {
		res, err := t.c.describe(ctx, nil)
		if err != nil {
			return err
		}
		t.parts = t.parts[:0]
		for _, m := range res.Topics {
			if m.Name != topic {
				continue
			}
			if err := errCode(m.ErrorCode); err != nil {
				return err
			}
			for _, p := range m.Partitions {
				t.parts = append(t.parts, tp{topic, p.PartitionIndex})
			}
		}
		slices.SortFunc(t.parts, func(a, b tp) int { return int(a.part - b.part) })
		return nil
	})
}

func (t *topicReader) seek(ctx context.Context, from From) error {
	if len(t.parts) == 0 {
		return permanent{fmt.Errorf("there is no such topic; strait topics lists them")}
	}
	if from >= 0 {
		for _, p := range t.parts {
			t.next[p] = int64(from)
		}
		return nil
	}
	var err error
	t.next, err = t.c.offsets(ctx, t.parts, int64(from), readCommitted)
	return err
}

func (t *topicReader) readAll(ctx context.Context, each Each) error {
	if len(t.parts) == 0 {
		return nil
	}
	ends, err := t.settledEnds(ctx)
	if err != nil {
		return err
	}
	if t.next, err = t.c.offsets(ctx, t.parts, earliest, readCommitted); err != nil {
		return err
	}
	for {
		left := slices.DeleteFunc(slices.Clone(t.parts), func(p tp) bool { return t.next[p] >= ends[p] })
		if len(left) == 0 {
			return nil
		}
		err := t.read(ctx, left, 100*time.Millisecond, func(partition int, offset int64, r *schemas.Record) error {
			if offset >= ends[tp{r.Topic, int32(partition)}] {
				return nil
			}
			return each(partition, offset, r)
		})
		if err != nil {
			return err
		}
	}
}

// settledEnds is where what is committed ends. Brokers write the markers of a
// transaction behind the answer to its commit, so an end that is not settled
// gets a moment; a transaction that is still open then is not committed.
func (t *topicReader) settledEnds(ctx context.Context) (map[tp]int64, error) {
	all, err := t.c.offsets(ctx, t.parts, latest, readUncommitted)
	for deadline := time.Now().Add(t.c.cfg.settle); err == nil; {
		var ends map[tp]int64
		if ends, err = t.c.offsets(ctx, t.parts, latest, readCommitted); err != nil {
			break
		}
		settled := true
		for p, end := range all {
			settled = settled && ends[p] >= end
		}
		if settled || time.Now().After(deadline) {
			return ends, nil
		}
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil, err
}

// read is one fetch of some partitions.
func (t *topicReader) read(ctx context.Context, ps []tp, wait time.Duration, each Each) error {
	wants := make([]want, len(ps))
	for i, p := range ps {
		wants[i] = want{p, t.next[p], partitionFetch}
	}
	var parts []fetched
	err := t.c.retry(ctx, "fetch", func() (err error) {
		parts, err = t.c.fetch(ctx, wants, fetchLimits{readCommitted, wait, answerFetch})
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(parts, func(a, b fetched) int { return strings.Compare(a.tp.String(), b.tp.String()) })
	for i := range parts {
		p := parts[i].tp
		next, err := parts[i].eachCommitted(func(s *stored) error {
			s.into(p.topic, &t.rec)
			return each(int(p.part), s.offset, &t.rec)
		})
		if err != nil {
			return err
		}
		t.next[p] = next
	}
	// The partition that was first may have been all there was room for.
	if len(t.parts) == len(ps) && len(ps) > 1 {
		t.parts = append(t.parts[1:], t.parts[0])
	}
	return nil
}
