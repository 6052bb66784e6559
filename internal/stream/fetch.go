package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

const (
	fetchVersion = 11
	// maxAnswer bounds the answer that is read into memory.
	maxAnswer = 256 << 20

	readUncommitted int8 = 0
	readCommitted   int8 = 1
)

// want is what to fetch of one topic-partition.
type want struct {
	tp       tp
	offset   int64
	maxBytes int32
}

// fetched is what came: a record set that begins at or before offset.
type fetched struct {
	tp       tp
	offset   int64 // that was asked for
	code     kafka.Error
	hwm, lso int64
	logStart int64
	aborted  []abortedTxn
	set      []byte
}

type abortedTxn struct{ pid, first int64 }

// fetchLimits bound one fetch.
type fetchLimits struct {
	isolation int8
	maxWait   time.Duration // how long the broker may wait for the first byte
	maxBytes  int32
}

// fetch asks all leaders concerned at once and returns what came. A partition
// whose records were deleted is ErrOffsetLost; other refusals are the error of
// the first partition refused, for retry to sort.
func (c *client) fetch(ctx context.Context, wants []want, lim fetchLimits) ([]fetched, error) {
	byLeader := map[string][]want{}
	for _, w := range wants {
		addr, err := c.leader(ctx, w.tp)
		if err != nil {
			return nil, err
		}
		byLeader[addr] = append(byLeader[addr], w)
	}
	var out []fetched
	var mu sync.Mutex
	err := eachBroker(byLeader, func(addr string, ws []want) error {
		m, err := c.call(ctx, addr, &fetchRequest{wants: ws, fetchLimits: lim})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		out = append(out, m.(*fetchResponse).parts...)
		return m.(*fetchResponse).err
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		if f := &out[i]; f.code == kafka.OffsetOutOfRange {
			return nil, c.offsetLost(ctx, f.tp, f.offset)
		} else if f.code != 0 {
			return nil, fmt.Errorf("fetch %s: %w", f.tp, f.code)
		}
	}
	return out, nil
}

// eachBroker runs fn for each broker at the same time and joins the errors.
func eachBroker[T any](by map[string][]T, fn func(addr string, of []T) error) error {
	if len(by) == 1 {
		for addr, of := range by {
			return fn(addr, of)
		}
	}
	errs := make(chan error, len(by))
	for addr, of := range by {
		go func() { errs <- fn(addr, of) }()
	}
	var all []error
	for range by {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// offsetLost says what the broker has instead.
func (c *client) offsetLost(ctx context.Context, p tp, offset int64) error {
	have := "the broker does not say what it has"
	first, err1 := c.offsets(ctx, []tp{p}, earliest, readUncommitted)
	last, err2 := c.offsets(ctx, []tp{p}, latest, readUncommitted)
	if err1 == nil && err2 == nil {
		have = fmt.Sprintf("the broker has [%d, %d)", first[p], last[p])
	}
	return fmt.Errorf("%s: offset %d: %w; %s. Records were deleted by retention, or the broker has lost its log; take a new snapshot of the system", p, offset, ErrOffsetLost, have)
}

const (
	earliest int64 = -2
	latest   int64 = -1
)

// offsets asks for the first or last offset of partitions; the last one under
// readCommitted is the end of what is decided.
func (c *client) offsets(ctx context.Context, ps []tp, when int64, isolation int8) (map[tp]int64, error) {
	out := map[tp]int64{}
	err := c.retry(ctx, "list offsets", func() error {
		byLeader := map[string][]tp{}
		for _, p := range ps {
			addr, err := c.leader(ctx, p)
			if err != nil {
				return err
			}
			byLeader[addr] = append(byLeader[addr], p)
		}
		for addr, of := range byLeader {
			req := &listoffsets.Request{ReplicaID: -1, IsolationLevel: isolation}
			for _, p := range of {
				rp := listoffsets.RequestPartition{Partition: p.part, CurrentLeaderEpoch: -1, Timestamp: when}
				if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == p.topic {
					req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, rp)
					continue
				}
				req.Topics = append(req.Topics, listoffsets.RequestTopic{Topic: p.topic, Partitions: []listoffsets.RequestPartition{rp}})
			}
			m, err := c.call(ctx, addr, req)
			if err != nil {
				return err
			}
			for _, t := range m.(*listoffsets.Response).Topics {
				for _, rp := range t.Partitions {
					if err := errCode(rp.ErrorCode); err != nil {
						return fmt.Errorf("%s: %w", tp{t.Topic, rp.Partition}, err)
					}
					out[tp{t.Topic, rp.Partition}] = rp.Offset
				}
			}
		}
		return nil
	})
	return out, err
}

// fetchRequest writes and reads its own bytes: the client library would decode
// each record into a chain of small buffers, and hides the offsets of the
// batches that were aborted.
type fetchRequest struct {
	wants []want
	fetchLimits
}

func (*fetchRequest) ApiKey() protocol.ApiKey                 { return protocol.Fetch }
func (*fetchRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// fetchResponse is the answer; err is that of the whole request.
type fetchResponse struct {
	parts []fetched
	err   error
}

func (*fetchResponse) ApiKey() protocol.ApiKey { return protocol.Fetch }

// RawExchange sends a fetch request of version 11 and reads its answer:
// https://kafka.apache.org/protocol.html#The_Messages_Fetch
func (r *fetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	const correlation = 0x57a17 // one request at a time: it need not change
	if _, err := rw.Write(r.encode(correlation)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(rw, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > maxAnswer {
		return nil, fmt.Errorf("fetch answer of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(rw, b); err != nil {
		return nil, err
	}
	if got := binary.BigEndian.Uint32(b); got != correlation {
		return nil, fmt.Errorf("fetch answer to another request (%x)", got)
	}
	return r.decode(b[4:])
}

func (r *fetchRequest) encode(correlation uint32) []byte {
	b := make([]byte, 4, 128+48*len(r.wants))
	b = binary.BigEndian.AppendUint16(b, uint16(protocol.Fetch))
	b = binary.BigEndian.AppendUint16(b, fetchVersion)
	b = binary.BigEndian.AppendUint32(b, correlation)
	b = appendString(b, clientID)
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // replica: none
	b = binary.BigEndian.AppendUint32(b, uint32(r.maxWait.Milliseconds()))
	b = binary.BigEndian.AppendUint32(b, 1) // min bytes
	b = binary.BigEndian.AppendUint32(b, uint32(r.maxBytes))
	b = append(b, byte(r.isolation))
	b = binary.BigEndian.AppendUint32(b, 0)          // session: none
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // its epoch
	// Wants of one topic stand together where they are neighbours: the first want
	// stays first, and is the one that a broker answers whatever its size.
	topics := 0
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, 0)
	for i := 0; i < len(r.wants); {
		j := i
		for j < len(r.wants) && r.wants[j].tp.topic == r.wants[i].tp.topic {
			j++
		}
		b = appendString(b, r.wants[i].tp.topic)
		b = binary.BigEndian.AppendUint32(b, uint32(j-i))
		for ; i < j; i++ {
			b = binary.BigEndian.AppendUint32(b, uint32(r.wants[i].tp.part))
			b = binary.BigEndian.AppendUint32(b, 0xffffffff) // leader epoch: unknown
			b = binary.BigEndian.AppendUint64(b, uint64(r.wants[i].offset))
			b = binary.BigEndian.AppendUint64(b, ^uint64(0)) // log start: for replicas
			b = binary.BigEndian.AppendUint32(b, uint32(r.wants[i].maxBytes))
		}
		topics++
	}
	binary.BigEndian.PutUint32(b[at:], uint32(topics))
	b = binary.BigEndian.AppendUint32(b, 0) // forgotten topics
	b = appendString(b, "")                 // rack
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func (r *fetchRequest) decode(b []byte) (*fetchResponse, error) {
	c := wire{b: b}
	c.int32() // throttled for
	res := &fetchResponse{err: errCode(c.int16())}
	c.int32() // session
	asked := map[tp]int64{}
	for _, w := range r.wants {
		asked[w.tp] = w.offset
	}
	for range c.count() {
		topic := c.string()
		for range c.count() {
			f := fetched{tp: tp{topic, c.int32()}}
			f.code = kafka.Error(c.int16())
			f.hwm, f.lso, f.logStart = c.int64(), c.int64(), c.int64()
			for range c.count() {
				f.aborted = append(f.aborted, abortedTxn{pid: c.int64(), first: c.int64()})
			}
			c.int32() // preferred replica
			f.set = c.bytes()
			if c.bad {
				return nil, errors.New("fetch answer ends too early")
			}
			f.offset = asked[f.tp]
			res.parts = append(res.parts, f)
		}
	}
	return res, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// wire reads the fields of an answer; bad stays true once something is missing.
type wire struct {
	b   []byte
	bad bool
}

func (c *wire) take(n int) []byte {
	if n < 0 || n > len(c.b) || c.bad {
		c.bad = true
		return make([]byte, 8)
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *wire) int16() int16 { return int16(binary.BigEndian.Uint16(c.take(2))) }
func (c *wire) int32() int32 { return int32(binary.BigEndian.Uint32(c.take(4))) }
func (c *wire) int64() int64 { return int64(binary.BigEndian.Uint64(c.take(8))) }

func (c *wire) string() string { return string(c.take(int(c.int16()))) }

// count is the length of an array: none for null, none once something is bad.
func (c *wire) count() int {
	n := c.int32()
	if c.bad || n < 0 {
		return 0
	}
	if int(n) > len(c.b) {
		c.bad = true
		return 0
	}
	return int(n)
}

func (c *wire) bytes() []byte {
	n := c.int32()
	if n < 0 {
		return nil
	}
	return c.take(int(n))
}
