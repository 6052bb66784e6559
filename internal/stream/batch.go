package stream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"github.com/strait-cdc/strait/schemas"
)

// The record batch, version 2: https://kafka.apache.org/documentation/#recordbatch
const (
	batchHeader = 61
	// crcFrom is where the checksummed part begins, behind the checksum.
	crcFrom = 21

	attrCompression   = 0x07
	attrTransactional = 0x10
	attrControl       = 0x20

	// maxSequence is where the sequence of a producer wraps to 0.
	maxSequence = 1<<31 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// producer is who writes: the numbers a broker recognises a repetition by.
type producer struct {
	id    int64
	epoch int16
	// transactional marks batches as part of the open transaction.
	transactional bool
}

// batch collects the records of one produce request for one topic-partition.
type batch struct {
	tp      tp
	records []byte // uncompressed
	count   int32
	firstTS int64
	maxTS   int64
	wire    []byte // made by seal; the same bytes however often they are sent
	base    int64  // offset of the first record, from the answer
}

// add appends a record. seq and origin become headers unless they are zero or
// empty.
func (b *batch) add(r *schemas.Record, ts int64, seq uint64, origin string) {
	if b.count == 0 {
		b.firstTS, b.maxTS = ts, ts
	}
	b.maxTS = max(b.maxTS, ts)
	headers := len(r.Headers)
	size := 1 + varintLen(ts-b.firstTS) + varintLen(int64(b.count)) + bytesLen(r.Key) + bytesLen(r.Value)
	for _, h := range r.Headers {
		size += varintLen(int64(len(h.Key))) + len(h.Key) + bytesLen(h.Value)
	}
	if seq != 0 {
		headers++
		size += 1 + len(schemas.HeaderSeq) + 1 + 8
	}
	if origin != "" {
		headers++
		size += 1 + len(schemas.HeaderOrigin) + varintLen(int64(len(origin))) + len(origin)
	}
	size += varintLen(int64(headers))

	out := binary.AppendVarint(b.records, int64(size))
	out = append(out, 0)
	out = binary.AppendVarint(out, ts-b.firstTS)
	out = binary.AppendVarint(out, int64(b.count))
	out = appendBytes(out, r.Key)
	out = appendBytes(out, r.Value)
	out = binary.AppendVarint(out, int64(headers))
	for _, h := range r.Headers {
		out = appendBytes(out, []byte(h.Key))
		out = appendBytes(out, h.Value)
	}
	if seq != 0 {
		out = append(binary.AppendVarint(out, int64(len(schemas.HeaderSeq))), schemas.HeaderSeq...)
		out = binary.BigEndian.AppendUint64(binary.AppendVarint(out, 8), seq)
	}
	if origin != "" {
		out = append(binary.AppendVarint(out, int64(len(schemas.HeaderOrigin))), schemas.HeaderOrigin...)
		out = append(binary.AppendVarint(out, int64(len(origin))), origin...)
	}
	b.records = out
	b.count++
}

// seal makes the bytes to send. They begin with their own length, as the record
// set of a produce request does.
func (b *batch) seal(p producer, sequence int32, codec compress.Compression) error {
	attrs := int16(0)
	if p.transactional {
		attrs |= attrTransactional
	}
	var buf bytes.Buffer
	buf.Grow(4 + batchHeader + len(b.records))
	buf.Write(make([]byte, 4+batchHeader))
	if codec == compress.None {
		buf.Write(b.records)
	} else {
		attrs |= int16(codec)
		z := codec.Codec().NewWriter(&buf)
		if _, err := z.Write(b.records); err != nil {
			return fmt.Errorf("compress: %w", err)
		}
		if err := z.Close(); err != nil {
			return fmt.Errorf("compress: %w", err)
		}
	}
	b.wire = buf.Bytes()
	binary.BigEndian.PutUint32(b.wire, uint32(len(b.wire)-4))
	h := b.wire[4:]
	binary.BigEndian.PutUint32(h[8:], uint32(len(h)-12))
	binary.BigEndian.PutUint32(h[12:], 0xffffffff) // leader epoch: the broker's business
	h[16] = 2
	binary.BigEndian.PutUint16(h[21:], uint16(attrs))
	binary.BigEndian.PutUint32(h[23:], uint32(b.count-1))
	binary.BigEndian.PutUint64(h[27:], uint64(b.firstTS))
	binary.BigEndian.PutUint64(h[35:], uint64(b.maxTS))
	binary.BigEndian.PutUint64(h[43:], uint64(p.id))
	binary.BigEndian.PutUint16(h[51:], uint16(p.epoch))
	binary.BigEndian.PutUint32(h[53:], uint32(sequence))
	binary.BigEndian.PutUint32(h[57:], uint32(b.count))
	binary.BigEndian.PutUint32(h[17:], crc32.Checksum(h[crcFrom:], castagnoli))
	return nil
}

// nextSequence is the sequence behind count records.
func nextSequence(seq, count int32) int32 {
	return int32((int64(seq) + int64(count)) & maxSequence)
}

// timestamp is a record's time in Kafka's milliseconds.
func timestamp(t time.Time) int64 {
	if t.IsZero() {
		return time.Now().UnixMilli()
	}
	return t.UnixMilli()
}

func varintLen(v int64) int {
	n := 1
	for u := uint64(v<<1) ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

func bytesLen(b []byte) int {
	if b == nil {
		return 1
	}
	return varintLen(int64(len(b))) + len(b)
}

func appendBytes(out, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(out, -1)
	}
	return append(binary.AppendVarint(out, int64(len(b))), b...)
}
