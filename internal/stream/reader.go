package stream

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

const (
	// partChanges bounds a Part: what a reader of the stream has to hold at once.
	partChanges = 5000
	// pollWait is how long the broker may hold the question for the next commit.
	pollWait = 500 * time.Millisecond
	// What is fetched ahead: per answer and partition, and in all.
	partitionFetch = 1 << 20
	answerFetch    = 16 << 20
	aheadBytes     = 64 << 20
)

// Reader reads whole commits of one system in their order. Next is for one
// goroutine, Committed for any.
type Reader struct {
	c      *client
	system string
	dec    Decoder
	want   func(string) bool

	queue   []*schemas.Commit // read from the commits topic and not begun
	next    int64             // offset of the commits topic to read on from
	sources map[tp]*source
	ahead   int // bytes fetched and not read, over all sources
	skip    uint64

	cur   *schemas.Commit
	merge merge // what is left of cur
	rec   schemas.Record

	// lag has a client of its own, since that of Next may be waiting.
	lagMu sync.Mutex
	lag   *client
}

// OpenReader reads the topics that want names (nil: all) from a commit on.
func OpenReader(ctx context.Context, cfg Config, system string, dec Decoder, wanted func(topic string) bool, from Start) (*Reader, error) {
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	lag, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	if wanted == nil {
		wanted = func(string) bool { return true }
	}
	if _, err := c.ensureTopic(ctx, schemas.CommitsTopic(system), commitsTopic, 1); err != nil {
		c.close()
		return nil, fmt.Errorf("open reader of %s: %w", system, err)
	}
	return &Reader{c: c, lag: lag, system: system, dec: dec, want: wanted, next: from.Offset, skip: from.AfterSeq, sources: map[tp]*source{}}, nil
}

// Close ends the connections. Nobody may be in Next any more.
func (r *Reader) Close() error {
	r.c.close()
	r.lagMu.Lock()
	defer r.lagMu.Unlock()
	r.lag.close()
	return nil
}

// Committed is the last commit there is, for the lag of a reader; its Offset is
// -1 if there is none.
func (r *Reader) Committed(ctx context.Context) (schemas.Commit, error) {
	r.lagMu.Lock()
	defer r.lagMu.Unlock()
	last, ok, _, err := r.lag.lastCommit(ctx, r.system)
	if !ok {
		last.Offset = -1
	}
	return last, err
}

// Next waits for the next commit and returns it, in parts if it is large. After
// an error the Reader is of no use any more.
func (r *Reader) Next(ctx context.Context) (*Part, error) {
	for r.cur == nil {
		if len(r.queue) == 0 {
			if err := r.poll(ctx); err != nil {
				return nil, err
			}
			continue
		}
		r.cur, r.queue = r.queue[0], r.queue[1:]
		r.startMerge()
	}
	part, err := r.part(ctx)
	if err != nil {
		return nil, fmt.Errorf("read commit %d of %s: %w", r.cur.Number, r.system, err)
	}
	if part.Last {
		r.cur = nil
	}
	return part, nil
}

// poll reads commits and tells the sources what to fetch.
func (r *Reader) poll(ctx context.Context) error {
	commits, next, err := r.c.readCommits(ctx, r.system, r.next, pollWait)
	if err != nil {
		return err
	}
	r.next, r.queue = next, commits
	for _, c := range commits {
		for _, g := range c.Ranges {
			if r.want(g.Topic) {
				r.source(g).expect(g)
			}
		}
	}
	return nil
}

func (r *Reader) source(g schemas.Range) *source {
	p := tp{g.Topic, int32(g.Partition)}
	s := r.sources[p]
	if s == nil {
		s = &source{tp: p}
		r.sources[p] = s
	}
	return s
}

// startMerge sets up the ranges of the current commit, one chain per partition.
func (r *Reader) startMerge() {
	r.merge = r.merge[:0] // and no source has ranges left: the last commit was read to its end
	for _, g := range r.cur.Ranges {
		if !r.want(g.Topic) || g.From >= g.To {
			continue
		}
		s := r.source(g)
		s.ranges = append(s.ranges, g)
		if len(s.ranges) == 1 {
			s.at, s.ready = g.From, false
			r.merge = append(r.merge, s)
		}
	}
}

// part takes the next changes of the current commit in the order of strait.seq.
func (r *Reader) part(ctx context.Context) (*Part, error) {
	part := &Part{Commit: r.cur}
	if err := r.prime(ctx); err != nil {
		return nil, err
	}
	for len(r.merge) > 0 && len(part.Changes) < partChanges {
		s := r.merge[0]
		if err := r.take(s.head(), s.tp.topic, part); err != nil {
			return nil, fmt.Errorf("%s offset %d: %w", s.tp, s.at, err)
		}
		r.ahead -= s.pop()
		if s.done() {
			heap.Pop(&r.merge)
			continue
		}
		if err := r.fill(ctx, s); err != nil {
			return nil, err
		}
		heap.Fix(&r.merge, 0)
	}
	part.Last = len(r.merge) == 0
	if part.Last {
		part.Seq = max(part.Seq, r.cur.LastSeq)
		r.skip = 0
	}
	return part, nil
}

// prime makes the first record of every partition of a new commit available.
func (r *Reader) prime(ctx context.Context) error {
	fresh := false
	for _, s := range r.merge {
		if s.ready {
			continue
		}
		if err := r.fill(ctx, s); err != nil {
			return err
		}
		s.ready, fresh = true, true
	}
	if fresh {
		heap.Init(&r.merge)
	}
	return nil
}

// take decodes one record into the part.
func (r *Reader) take(s *stored, topic string, part *Part) error {
	part.Seq = max(part.Seq, s.seq)
	if r.skip > 0 && s.seq <= r.skip {
		return nil
	}
	s.into(topic, &r.rec)
	var c schemas.Change
	ok, err := r.dec.Decode(&r.rec, &c)
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if ok {
		c.Seq = s.seq
		part.Changes = append(part.Changes, c)
	}
	return nil
}

// fill makes the head of s the record at s.at, fetching if need be.
func (r *Reader) fill(ctx context.Context, s *source) error {
	r.ahead -= s.drop()
	waited := time.Now()
	for s.empty() {
		if err := r.fetch(ctx, s); err != nil {
			return err
		}
		r.ahead -= s.drop()
		if s.empty() && time.Since(waited) > r.c.cfg.RetryFor {
			return fmt.Errorf("%s: offset %d does not arrive although a commit names it: the broker has lost acknowledged records: %w", s.tp, s.at, ErrOffsetLost)
		}
	}
	if got := s.head().offset; got != s.at {
		return fmt.Errorf("%s: records [%d, %d) are missing: %w; they were deleted by retention or compaction. Take a new snapshot of the system", s.tp, s.at, got, ErrOffsetLost)
	}
	return nil
}

// fetch reads for s, and in the same request ahead for all other partitions
// whose records the queued commits name.
func (r *Reader) fetch(ctx context.Context, s *source) error {
	wants := []want{s.wanted()}
	if r.ahead < aheadBytes {
		for _, o := range r.sources {
			if o != s && o.fetched < o.end && o.bytes < partitionFetch {
				wants = append(wants, o.wanted())
			}
		}
		// One topic's partitions stand together; s stays first.
		slices.SortStableFunc(wants[1:], func(a, b want) int {
			return cmp.Or(cmp.Compare(a.tp.topic, b.tp.topic), cmp.Compare(a.tp.part, b.tp.part))
		})
	}
	return r.c.retry(ctx, "fetch", func() error {
		// A commit that we have read is decided, so its ranges need no filter by
		// transaction; asking for all is faster, as each partition gets its own
		// marker later.
		parts, err := r.c.fetch(ctx, wants, fetchLimits{readUncommitted, 100 * time.Millisecond, answerFetch})
		if err != nil {
			return err
		}
		for i := range parts {
			o := r.sources[parts[i].tp]
			n, err := o.accept(&parts[i])
			r.ahead += n
			if err != nil {
				return permanent{fmt.Errorf("%s: %w", o.tp, err)}
			}
		}
		return nil
	})
}
