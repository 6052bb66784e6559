package stream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"github.com/segmentio/kafka-go"

	"github.com/strait-cdc/strait/schemas"
)

// requestBytes is how many bytes of records, over all partitions, are collected
// for one produce request.
const requestBytes = 4 << 20

// Writer publishes the changes of one system. It is used by one goroutine.
//
// Any error ends it: what failed may have happened. Open another Writer, which
// finds out what is durable, and go on behind Last.
type Writer struct {
	c      *client
	system string
	enc    Encoder
	codec  compress.Compression
	txn    txn
	seqs   map[tp]int32   // next sequence of the producer
	parts  map[string]int // partitions of the topics that were written to

	last     schemas.Commit
	haveLast bool

	// The commit that is being written; it spans calls of Write while a source
	// transaction is open.
	next    uint64 // strait.seq of the next record
	first   uint64 // of the first record of this commit
	ranges  map[tp][]schemas.Range
	txns    int
	phase   schemas.Phase
	resume  schemas.Position
	time    time.Time
	pending map[tp]*batch
	bytes   int // of pending
	recs    []schemas.Record

	broken error
}

// OpenWriter takes over the system: an older Writer is refused from now on, its
// open transaction is aborted, and the last commit that is durable is read back.
func OpenWriter(ctx context.Context, cfg Config, system string, enc Encoder) (*Writer, error) {
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	codec, _ := c.cfg.codec()
	w := &Writer{c: c, system: system, enc: enc, codec: codec, seqs: map[tp]int32{}, parts: map[string]int{}, pending: map[tp]*batch{}, ranges: map[tp][]schemas.Range{}}
	if err := w.start(ctx); err != nil {
		c.close()
		return nil, fmt.Errorf("open writer of %s: %w", system, err)
	}
	return w, nil
}

func (w *Writer) start(ctx context.Context) error {
	// The order matters: what is read after the fence cannot change any more.
	id := "strait-" + w.system
	p, err := w.c.initProducer(ctx, id)
	if err != nil {
		return err
	}
	w.txn = txn{c: w.c, id: id, p: p, added: map[tp]bool{}}
	if _, err := w.c.ensureTopic(ctx, schemas.CommitsTopic(w.system), commitsTopic, 1); err != nil {
		return err
	}
	w.last, w.haveLast, _, err = w.c.lastCommit(ctx, w.system)
	w.next = w.last.LastSeq + 1
	w.first = w.next
	return err
}

// Last is the last durable commit; false if there is none yet.
func (w *Writer) Last() (schemas.Commit, bool) { return w.last, w.haveLast }

// Write publishes batches as one commit and returns it once it is durable. While
// the last batch is Open its records are sent but not visible, and the zero
// Commit is returned. A batch of the log without changes is a commit only if it
// moves the position: so the log of a database in which nothing of ours happens
// can be given back.
func (w *Writer) Write(ctx context.Context, bs ...*schemas.Batch) (schemas.Commit, error) {
	if w.broken != nil {
		return schemas.Commit{}, fmt.Errorf("writer of %s has ended: %w", w.system, w.broken)
	}
	commit, err := w.write(ctx, bs)
	if err != nil {
		w.broken = fenced(err)
		if errors.Is(err, kafka.InvalidTransactionState) {
			// The embedded broker says no more than this to a writer whose open transaction
			// a newer one has aborted; the coordinator knows.
			w.broken = errors.Join(w.broken, w.txn.probe(ctx))
		}
		return schemas.Commit{}, fmt.Errorf("write %s: %w", w.system, w.broken)
	}
	return commit, nil
}

func (w *Writer) write(ctx context.Context, bs []*schemas.Batch) (schemas.Commit, error) {
	for _, b := range bs {
		if err := w.encode(ctx, b); err != nil {
			return schemas.Commit{}, err
		}
	}
	if len(bs) == 0 || bs[len(bs)-1].Open {
		// What is there is sent, so that an open transaction takes no memory.
		return schemas.Commit{}, w.flush(ctx)
	}
	if w.next == w.first && !w.phase.IsSnapshot() && w.resume.End <= w.last.Resume.End {
		w.begin()
		return schemas.Commit{}, nil
	}
	return w.commit(ctx)
}

// begin starts the next commit.
func (w *Writer) begin() {
	clear(w.ranges)
	w.first, w.txns, w.phase, w.resume, w.time = w.next, 0, schemas.PhaseLog, schemas.Position{}, time.Time{}
}

func (w *Writer) encode(ctx context.Context, b *schemas.Batch) error {
	defer w.enc.Reset()
	w.txns += b.Txns
	w.phase |= b.Phase
	w.resume = b.Resume
	for i := range b.Changes {
		c := &b.Changes[i]
		recs, err := w.enc.Encode(c, w.recs[:0])
		if err != nil {
			return fmt.Errorf("encode a change of %s: %w", tableName(c), err)
		}
		w.recs = recs
		var origin string
		if c.Txn != nil {
			origin, w.time = c.Txn.Origin.String(), c.Txn.Time
		}
		for j := range recs {
			if err := w.record(ctx, &recs[j], origin); err != nil {
				return err
			}
		}
	}
	return nil
}

func tableName(c *schemas.Change) string {
	if c.Table == nil {
		return "an unknown table"
	}
	return c.Table.Name.String()
}

// record copies one record into the batch of its partition and sends what is
// there when it is enough. Its time is the encoder's or now, never that of the
// source: retention goes by it, and would delete an old change at once.
func (w *Writer) record(ctx context.Context, r *schemas.Record, origin string) error {
	size := len(r.Key) + len(r.Value)
	if size > w.c.cfg.MaxMessage {
		return fmt.Errorf("topic %s: a record of %d bytes is larger than kafka.max_message, %d bytes; raise it, and max.message.bytes of the topic", r.Topic, size, w.c.cfg.MaxMessage)
	}
	n, ok := w.parts[r.Topic]
	if !ok {
		var err error
		if n, err = w.c.ensureTopic(ctx, r.Topic, dataTopic, 0); err != nil {
			return err
		}
		w.parts[r.Topic] = n
	}
	p := tp{r.Topic, partitionFor(r.Key, n)}
	if b := w.pending[p]; w.bytes+size > requestBytes || b != nil && len(b.records)+size > batchBytes {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	b := w.pending[p]
	if b == nil {
		b = &batch{tp: p}
		w.pending[p] = b
	}
	before := len(b.records)
	b.add(r, timestamp(r.Time), w.next, origin)
	w.bytes += len(b.records) - before
	w.next++
	return nil
}

// flush sends what is pending as part of the open transaction.
func (w *Writer) flush(ctx context.Context) error {
	if err := w.txn.overdue(); err != nil {
		return err
	}
	if len(w.pending) == 0 {
		return nil
	}
	batches := make([]*batch, 0, len(w.pending))
	for _, b := range w.pending {
		batches = append(batches, b)
	}
	slices.SortFunc(batches, func(a, b *batch) int {
		return cmp.Or(cmp.Compare(a.tp.topic, b.tp.topic), cmp.Compare(a.tp.part, b.tp.part))
	})
	if err := w.send(ctx, batches); err != nil {
		return err
	}
	for _, b := range batches {
		w.ranges[b.tp] = addRange(w.ranges[b.tp], b)
	}
	clear(w.pending)
	w.bytes = 0
	return nil
}

// addRange adds the offsets of a batch; they join the last range if nothing lies
// between.
func addRange(rs []schemas.Range, b *batch) []schemas.Range {
	to := b.base + int64(b.count)
	if n := len(rs); n > 0 && rs[n-1].To == b.base {
		rs[n-1].To = to
		return rs
	}
	return append(rs, schemas.Range{Topic: b.tp.topic, Partition: int(b.tp.part), From: b.base, To: to})
}

// send seals batches and stores them. The commits topic joins the transaction
// with the first partitions, to save a request of its own.
func (w *Writer) send(ctx context.Context, batches []*batch) error {
	ps := []tp{{schemas.CommitsTopic(w.system), 0}}
	for _, b := range batches {
		if b.tp != ps[0] {
			ps = append(ps, b.tp)
		}
		if err := b.seal(w.txn.p, w.seqs[b.tp], w.codec); err != nil {
			return err
		}
	}
	if err := w.txn.add(ctx, ps); err != nil {
		return err
	}
	if err := w.c.produce(ctx, w.txn.id, batches); err != nil {
		return err
	}
	for _, b := range batches {
		w.seqs[b.tp] = nextSequence(w.seqs[b.tp], b.count)
	}
	return nil
}

// commit sends the rest, then the Commit record, which needs the offsets of all
// the others, and ends the transaction.
func (w *Writer) commit(ctx context.Context) (schemas.Commit, error) {
	if err := w.flush(ctx); err != nil {
		return schemas.Commit{}, err
	}
	commit := schemas.Commit{
		System: w.system, Number: w.last.Number + 1, Resume: w.resume, FirstSeq: w.first, LastSeq: w.next - 1,
		Txns: w.txns, Phase: w.phase, Ranges: w.allRanges(), Time: w.time, At: time.Now().UTC(),
	}
	if commit.Time.IsZero() {
		commit.Time = commit.At // nothing happened at the source up to now
	}
	value, err := json.Marshal(commit)
	if err != nil {
		return schemas.Commit{}, fmt.Errorf("commit record: %w", err)
	}
	b := &batch{tp: tp{schemas.CommitsTopic(w.system), 0}}
	b.add(&schemas.Record{Key: []byte(w.system), Value: value}, commit.At.UnixMilli(), 0, "")
	if err := w.send(ctx, []*batch{b}); err != nil {
		return schemas.Commit{}, err
	}
	if err := w.txn.end(ctx, true); err != nil {
		return schemas.Commit{}, err
	}
	commit.Offset = b.base
	w.last, w.haveLast = commit, true
	w.begin()
	return commit, nil
}

func (w *Writer) allRanges() []schemas.Range {
	out := []schemas.Range{}
	for _, rs := range w.ranges {
		out = append(out, rs...)
	}
	slices.SortFunc(out, func(a, b schemas.Range) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.From, b.From))
	})
	return out
}

// Close ends the Writer. An open transaction is aborted, so that nobody who
// reads only what is committed has to wait for its timeout.
func (w *Writer) Close() error {
	defer w.c.close()
	if w.txn.open() && !w.txn.ending && !errors.Is(w.broken, ErrFenced) {
		// Once a commit has been asked for, its answer may be lost: no abort then.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := w.txn.end(ctx, false); err != nil {
			w.c.cfg.Log.Warn("open transaction left to its timeout or the next start", "system", w.system, "err", err)
		}
	}
	if w.broken == nil {
		w.broken = errors.New("closed")
	}
	return nil
}
