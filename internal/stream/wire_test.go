package stream

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"github.com/strait-cdc/strait/schemas"
)

// TestMurmur2 uses the vectors of Kafka's own test.
func TestMurmur2(t *testing.T) {
	for in, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := int32(murmur2([]byte(in))); got != want {
			t.Errorf("murmur2(%q) = %d, not %d", in, got, want)
		}
	}
	if partitionFor(nil, 7) != 0 {
		t.Error("a record without key does not go to partition 0")
	}
}

// TestBatchBytes pins the wire format.
func TestBatchBytes(t *testing.T) {
	b := &batch{}
	b.add(&schemas.Record{Key: []byte("k"), Value: []byte("v"), Headers: []schemas.Header{{Key: "h", Value: nil}}}, 1700000000000, 7, "p:9")
	b.add(&schemas.Record{Key: []byte("k")}, 1700000000005, 8, "")
	if err := b.seal(producer{id: 4711, epoch: 3, transactional: true}, 42, compress.None); err != nil {
		t.Fatal(err)
	}
	const want = "0000008b" + // length of the set
		"0000000000000000" + "0000007f" + "ffffffff" + "02" + "baf9307a" + "0010" + "00000001" +
		"0000018bcfe56800" + "0000018bcfe56805" + "0000000000001267" + "0003" + "0000002a" + "00000002" +
		"62" + "000000" + "026b" + "0276" + "06" + "0268" + "01" +
		"147374726169742e736571" + "10" + "0000000000000007" + "1a7374726169742e6f726967696e" + "06703a39" +
		"36" + "00" + "0a" + "02" + "026b" + "01" + "02" + "147374726169742e736571" + "10" + "0000000000000008"
	if got := hex.EncodeToString(b.wire); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestBatchRoundTrip(t *testing.T) {
	for _, codec := range []compress.Compression{compress.None, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		b := &batch{}
		in := []schemas.Record{
			{Key: []byte("a"), Value: bytes.Repeat([]byte("x"), 100_000), Time: time.UnixMilli(5)},
			{Key: nil, Value: []byte{}, Time: time.UnixMilli(1)},
			{Key: []byte{}, Value: nil, Time: time.UnixMilli(9), Headers: []schemas.Header{{Key: schemas.HeaderNewKey, Value: []byte("n")}}},
		}
		for i := range in {
			b.add(&in[i], timestamp(in[i].Time), uint64(i+1), "p:1")
		}
		if err := b.seal(producer{id: 1}, 0, codec); err != nil {
			t.Fatal(err)
		}
		i := 0
		next, err := eachBatch(b.wire[4:], 0, func(h *head) error {
			return h.each(func(s *stored) error {
				var r schemas.Record
				s.into("t", &r)
				if !bytes.Equal(r.Key, in[i].Key) || (r.Key == nil) != (in[i].Key == nil) || !bytes.Equal(r.Value, in[i].Value) || (r.Value == nil) != (in[i].Value == nil) {
					t.Errorf("%v: record %d differs", codec, i)
				}
				if !r.Time.Equal(in[i].Time) || s.seq != uint64(i+1) || s.offset != int64(i) || len(r.Headers) != len(in[i].Headers)+2 {
					t.Errorf("%v: record %d: time %s, seq %d, offset %d, headers %v", codec, i, r.Time, s.seq, s.offset, r.Headers)
				}
				i++
				return nil
			})
		})
		if err != nil || next != 3 || i != 3 {
			t.Fatalf("%v: %d records, next %d, %v", codec, i, next, err)
		}
		// A set that was cut, anywhere, holds fewer batches and no surprise.
		for n := range len(b.wire[4:]) {
			if next, err := eachBatch(b.wire[4:4+n], 0, func(*head) error { return nil }); err != nil || next != 0 {
				t.Fatalf("%v: cut at %d: next %d, %v", codec, n, next, err)
			}
		}
	}
}

// FuzzFetchAnswer: no answer makes the parser panic or run away.
func FuzzFetchAnswer(f *testing.F) {
	b := &batch{tp: tp{"t", 0}}
	b.add(&schemas.Record{Key: []byte("k"), Value: []byte("v")}, 1, 1, "p:1")
	if err := b.seal(producer{id: 1, transactional: true}, 0, compress.None); err != nil {
		f.Fatal(err)
	}
	answer := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	answer = append(answer, make([]byte, 24)...)
	answer = append(answer, 0, 0, 0, 0, 255, 255, 255, 255)
	f.Add(append(answer, b.wire...))
	f.Add(answer)
	f.Fuzz(func(t *testing.T, in []byte) {
		req := &fetchRequest{wants: []want{{tp: tp{"t", 0}}}}
		res, err := req.decode(in)
		if err != nil {
			return
		}
		for i := range res.parts {
			res.parts[i].eachCommitted(func(s *stored) error {
				var r schemas.Record
				s.into("t", &r)
				return nil
			})
		}
	})
}

// FuzzRecords parses the records of a batch whose checksum is right.
func FuzzRecords(f *testing.F) {
	b := &batch{}
	b.add(&schemas.Record{Key: []byte("k"), Value: []byte("v")}, 1, 1, "p:1")
	f.Add(b.records, int32(1))
	f.Fuzz(func(t *testing.T, in []byte, count int32) {
		h := head{records: in, count: min(count, 1000)}
		h.each(func(s *stored) error {
			var r schemas.Record
			s.into("t", &r)
			return nil
		})
	})
}

func TestSequenceWraps(t *testing.T) {
	if got := nextSequence(maxSequence-1, 3); got != 1 {
		t.Errorf("got %d", got)
	}
	if got := nextSequence(5, 3); got != 8 {
		t.Errorf("got %d", got)
	}
}

func TestConfig(t *testing.T) {
	for _, bad := range []Config{
		{}, {Brokers: []string{"x:1"}, Compression: "rar"}, {Brokers: []string{"x:1"}, SASL: SASL{Mechanism: "kerberos"}}, {Brokers: []string{"x:1"}, Partitions: -1},
	} {
		if _, err := bad.withDefaults(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
