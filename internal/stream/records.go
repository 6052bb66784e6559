package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"github.com/strait-cdc/strait/schemas"
)

var errShort = errors.New("record batch ends too early")

// maxBatchBytes bounds what a compressed batch may grow to.
const maxBatchBytes = 1 << 30

// stored is a record as it lies in a batch. Its bytes are those of the batch and
// are never changed.
type stored struct {
	offset     int64
	ts         int64
	seq        uint64 // 0 without header
	key, value []byte
	headers    []byte
	nheaders   int
}

// head is the header of a batch.
type head struct {
	base    int64
	next    int64 // offset behind the batch
	attrs   int16
	firstTS int64
	pid     int64
	epoch   int16
	leader  int32 // leader epoch
	maxTS   int64
	count   int32
	size    int // of the whole batch in bytes
	records []byte
}

func (h *head) control() bool       { return h.attrs&attrControl != 0 }
func (h *head) transactional() bool { return h.attrs&attrTransactional != 0 }

// readHead reads the batch that set begins with. ok is false if set holds only
// the beginning of one, as brokers cut answers where their size ends.
func readHead(set []byte) (h head, ok bool, err error) {
	if len(set) < batchHeader {
		return h, false, nil
	}
	length := int64(int32(binary.BigEndian.Uint32(set[8:])))
	if length < batchHeader-12 {
		return h, false, fmt.Errorf("record batch of length %d", length)
	}
	if int64(len(set)) < 12+length {
		return h, false, nil
	}
	set = set[:12+length]
	if set[16] != 2 {
		return h, false, fmt.Errorf("record batch of version %d, not 2", set[16])
	}
	if got, want := crc32.Checksum(set[crcFrom:], castagnoli), binary.BigEndian.Uint32(set[17:]); got != want {
		return h, false, fmt.Errorf("record batch with checksum %08x, not %08x", got, want)
	}
	h.base = int64(binary.BigEndian.Uint64(set))
	h.leader = int32(binary.BigEndian.Uint32(set[12:]))
	h.attrs = int16(binary.BigEndian.Uint16(set[21:]))
	h.next = h.base + int64(int32(binary.BigEndian.Uint32(set[23:]))) + 1
	h.firstTS = int64(binary.BigEndian.Uint64(set[27:]))
	h.maxTS = int64(binary.BigEndian.Uint64(set[35:]))
	h.pid = int64(binary.BigEndian.Uint64(set[43:]))
	h.epoch = int16(binary.BigEndian.Uint16(set[51:]))
	h.count = int32(binary.BigEndian.Uint32(set[57:]))
	h.size = len(set)
	h.records = set[batchHeader:]
	return h, true, nil
}

// each calls fn with the records of the batch.
func (h *head) each(fn func(*stored) error) error {
	body := h.records
	if codec := compress.Compression(h.attrs & attrCompression); codec != compress.None {
		c := codec.Codec()
		if c == nil {
			return fmt.Errorf("record batch with unknown compression %d", codec)
		}
		r := c.NewReader(bytes.NewReader(body))
		var buf bytes.Buffer
		buf.Grow(4 * len(body))
		_, err := io.Copy(&buf, io.LimitReader(r, maxBatchBytes))
		r.Close()
		if err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
		body = buf.Bytes()
	}
	var s stored
	for range h.count {
		length, n := binary.Varint(body)
		if n <= 0 || length < 0 || length > int64(len(body)-n) {
			return errShort
		}
		if err := h.record(body[n:n+int(length)], &s); err != nil {
			return err
		}
		if err := fn(&s); err != nil {
			return err
		}
		body = body[n+int(length):]
	}
	return nil
}

func (h *head) record(b []byte, s *stored) error {
	if len(b) < 1 {
		return errShort
	}
	c := cursor{b: b[1:]} // no attributes are in use
	s.ts = h.firstTS + c.varint()
	s.offset = h.base + c.varint()
	s.key = c.bytes()
	s.value = c.bytes()
	s.nheaders = int(c.varint())
	s.headers = c.b
	s.seq = 0
	for range s.nheaders {
		k, v := c.bytes(), c.bytes()
		if c.bad {
			break
		}
		if len(v) == 8 && string(k) == schemas.HeaderSeq {
			s.seq = binary.BigEndian.Uint64(v)
		}
	}
	if c.bad {
		return errShort
	}
	return nil
}

// into fills r; the headers are r's own slice, used again.
func (s *stored) into(topic string, r *schemas.Record) {
	r.Topic, r.Key, r.Value, r.Time = topic, s.key, s.value, time.UnixMilli(s.ts).UTC()
	r.Headers = r.Headers[:0]
	c := cursor{b: s.headers}
	for range s.nheaders {
		k := headerName(c.bytes())
		r.Headers = append(r.Headers, schemas.Header{Key: k, Value: c.bytes()})
	}
}

// headerName makes no new string for the names there are.
func headerName(k []byte) string {
	switch string(k) {
	case schemas.HeaderSeq:
		return schemas.HeaderSeq
	case schemas.HeaderOrigin:
		return schemas.HeaderOrigin
	case schemas.HeaderNewKey:
		return schemas.HeaderNewKey
	case schemas.HeaderOldKey:
		return schemas.HeaderOldKey
	}
	return string(k)
}

// cursor reads the fields of a record; bad stays true once something is missing.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes() []byte {
	n := c.varint()
	if n < 0 || c.bad {
		return nil
	}
	if n > int64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

// eachBatch calls fn with the whole batches of a record set and returns the
// offset behind the last one, or from if there is none.
func eachBatch(set []byte, from int64, fn func(*head) error) (next int64, err error) {
	next = from
	for len(set) > 0 {
		h, ok, err := readHead(set)
		if err != nil {
			return next, err
		}
		if !ok {
			break
		}
		if err := fn(&h); err != nil {
			return next, fmt.Errorf("batch at offset %d: %w", h.base, err)
		}
		next = h.next
		set = set[h.size:]
	}
	return next, nil
}

// eachCommitted calls fn with the records from an offset on that belong to no
// aborted transaction: brokers send them all, with a list of what was aborted.
// It returns the offset to go on from.
func (f *fetched) eachCommitted(fn func(*stored) error) (int64, error) {
	sort.Slice(f.aborted, func(i, j int) bool { return f.aborted[i].first < f.aborted[j].first })
	waiting, aborted := f.aborted, map[int64]bool{}
	return eachBatch(f.set, f.offset, func(h *head) error {
		for len(waiting) > 0 && waiting[0].first < h.next {
			aborted[waiting[0].pid] = true
			waiting = waiting[1:]
		}
		if h.control() {
			delete(aborted, h.pid) // the marker ends it, whatever it was
			return nil
		}
		if h.transactional() && aborted[h.pid] {
			return nil
		}
		return h.each(func(s *stored) error {
			if s.offset < f.offset {
				return nil
			}
			return fn(s)
		})
	})
}
