package stream

import (
	"context"
	"fmt"
	"sync"

	"github.com/segmentio/kafka-go/compress"

	"github.com/strait-cdc/strait/schemas"
)

// Appender writes to a compacted topic beside the stream: each record durable
// and once, without a transaction. It may be used by several goroutines.
type Appender struct {
	c          *client
	topic      string
	partitions int
	codec      compress.Compression

	// mu is held while records are sent, which is what keeps their order, and
	// guards the fields below.
	mu   sync.Mutex
	p    producer
	live bool // p is known to the broker and seqs agree with it
	seqs map[tp]int32
}

// OpenAppender opens a topic to append to and creates it, compacted, if it is
// missing; partitions 0 means the configured number.
func OpenAppender(ctx context.Context, cfg Config, topic string, partitions int) (*Appender, error) {
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	codec, _ := c.cfg.codec()
	a := &Appender{c: c, topic: topic, codec: codec}
	if a.partitions, err = c.ensureTopic(ctx, topic, compactTopic, partitions); err != nil {
		c.close()
		return nil, err
	}
	return a, nil
}

// Append writes records in their order; Topic is not looked at. After an error
// some of them may be in the topic: append them again, a compacted topic does
// not mind.
func (a *Appender) Append(ctx context.Context, recs ...schemas.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.live {
		p, err := a.c.initProducer(ctx, "")
		if err != nil {
			return fmt.Errorf("append to %s: %w", a.topic, err)
		}
		a.p, a.seqs, a.live = p, map[tp]int32{}, true
	}
	for len(recs) > 0 {
		batches, n := a.batches(recs)
		if err := a.send(ctx, batches); err != nil {
			a.live = false
			return fmt.Errorf("append to %s: %w", a.topic, err)
		}
		recs = recs[n:]
	}
	return nil
}

// batches collects as many records as go into one request.
func (a *Appender) batches(recs []schemas.Record) (out []*batch, n int) {
	by := map[int32]*batch{}
	total := 0
	for n = range recs {
		r := &recs[n]
		total += len(r.Key) + len(r.Value)
		if n > 0 && total > batchBytes {
			return out, n
		}
		part := partitionFor(r.Key, a.partitions)
		b := by[part]
		if b == nil {
			b = &batch{tp: tp{a.topic, part}}
			by[part] = b
			out = append(out, b)
		}
		b.add(r, timestamp(r.Time), 0, "")
	}
	return out, len(recs)
}

func (a *Appender) send(ctx context.Context, batches []*batch) error {
	for _, b := range batches {
		if err := b.seal(a.p, a.seqs[b.tp], a.codec); err != nil {
			return err
		}
	}
	if err := a.c.produce(ctx, "", batches); err != nil {
		return err
	}
	for _, b := range batches {
		a.seqs[b.tp] = nextSequence(a.seqs[b.tp], b.count)
	}
	return nil
}

// Close ends the connections.
func (a *Appender) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.c.close()
	return nil
}

// Log is a compacted topic of one partition: a small table that is read as a
// whole, with one order for all who write it.
type Log struct {
	*Appender
	cfg Config
}

// OpenLog opens a log and creates its topic if it is missing.
func OpenLog(ctx context.Context, cfg Config, topic string) (*Log, error) {
	a, err := OpenAppender(ctx, cfg, topic, 1)
	if err != nil {
		return nil, err
	}
	if a.partitions != 1 {
		a.Close()
		return nil, fmt.Errorf("topic %s has %d partitions; a log has one", topic, a.partitions)
	}
	return &Log{Appender: a, cfg: cfg}, nil
}

// Append writes one record; a nil value deletes the key. After an error the
// record may be in the log nevertheless.
func (l *Log) Append(ctx context.Context, key, value []byte) error {
	return l.Appender.Append(ctx, schemas.Record{Key: key, Value: value})
}

// Read calls each with all that is in the log at the time of the call, oldest
// first. The bytes are valid only during the call.
func (l *Log) Read(ctx context.Context, each func(key, value []byte) error) error {
	return ReadTopic(ctx, l.cfg, l.topic, func(_ int, _ int64, r *schemas.Record) error { return each(r.Key, r.Value) })
}

// Follow is Read, and then goes on with what is appended by anyone, until ctx
// ends.
func (l *Log) Follow(ctx context.Context, each func(offset int64, key, value []byte) error) error {
	return Tail(ctx, l.cfg, l.topic, Earliest, func(_ int, offset int64, r *schemas.Record) error { return each(offset, r.Key, r.Value) })
}
