package stream

import (
	"github.com/strait-cdc/strait/schemas"
)

// source is one topic-partition of a Reader: what has been fetched of it and
// not read, and where the current commit is in it.
type source struct {
	tp      tp
	buf     []stored
	first   int // index of the head in buf
	bytes   int // of the records in buf
	fetched int64
	end     int64 // behind the last record that a known commit names

	ranges []schemas.Range // of the current commit, the first one being read
	at     int64           // offset of the next record of the current commit
	ready  bool            // the head is the record at at
}

// expect notes a range that a commit names.
func (s *source) expect(g schemas.Range) {
	if s.fetched >= s.end && s.fetched < g.From {
		s.fetched = g.From // nothing that is wanted lies between
	}
	s.end = max(s.end, g.To)
}

func (s *source) wanted() want {
	return want{s.tp, s.fetched, partitionFetch}
}

// accept takes what was fetched and returns how many bytes that is.
func (s *source) accept(f *fetched) (int, error) {
	if f.offset != s.fetched {
		return 0, nil
	}
	before := s.bytes
	next, err := eachBatch(f.set, f.offset, func(h *head) error {
		if h.control() || h.next <= f.offset {
			return nil
		}
		return h.each(func(rec *stored) error {
			if rec.offset >= f.offset {
				s.buf = append(s.buf, *rec)
				s.bytes += recordBytes(rec)
			}
			return nil
		})
	})
	s.fetched = max(next, f.offset)
	return s.bytes - before, err
}

func recordBytes(r *stored) int { return len(r.key) + len(r.value) + len(r.headers) + 64 }

func (s *source) empty() bool   { return s.first == len(s.buf) }
func (s *source) head() *stored { return &s.buf[s.first] }

// drop removes what lies before the current range: aborted records. It returns
// their bytes.
func (s *source) drop() (bytes int) {
	for !s.empty() && s.head().offset < s.at {
		bytes += s.shift()
	}
	return bytes
}

// pop removes the head and goes on to the next record of the commit.
func (s *source) pop() int {
	s.at = s.head().offset + 1
	n := s.shift()
	if s.at >= s.ranges[0].To {
		s.ranges = s.ranges[1:]
		if len(s.ranges) > 0 {
			s.at = s.ranges[0].From
		}
	}
	return n
}

func (s *source) shift() int {
	n := recordBytes(s.head())
	s.buf[s.first] = stored{}
	s.first++
	if s.first == len(s.buf) {
		s.buf, s.first = s.buf[:0], 0
	}
	s.bytes -= n
	return n
}

// done says that the current commit has nothing more here.
func (s *source) done() bool { return len(s.ranges) == 0 }

// merge is a heap of the sources of a commit by the seq of their heads.
type merge []*source

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return m[i].head().seq < m[j].head().seq }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }

// Push is part of heap.Interface and not used: sources only leave.
func (m *merge) Push(x any) { *m = append(*m, x.(*source)) }

// Pop is part of heap.Interface.
func (m *merge) Pop() any {
	old := *m
	last := old[len(old)-1]
	*m = old[:len(old)-1]
	return last
}
