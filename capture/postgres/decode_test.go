package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/strait-cdc/strait/schemas"
)

// Messages of pgoutput, made by hand.

func msgBegin(final uint64, xid uint32) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'B'}, final)
	b = binary.BigEndian.AppendUint64(b, 1_000_000)
	return binary.BigEndian.AppendUint32(b, xid)
}

func msgCommit(lsn, end uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'C', 0}, lsn)
	b = binary.BigEndian.AppendUint64(b, end)
	return binary.BigEndian.AppendUint64(b, 1_000_000)
}

func msgRelation(oid uint32, cols int) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'R'}, oid)
	b = append(b, "public\x00t\x00d"...)
	b = binary.BigEndian.AppendUint16(b, uint16(cols))
	for i := range cols {
		flag := byte(0)
		if i == 0 {
			flag = 1
		}
		b = append(b, flag)
		b = append(b, fmt.Sprintf("c%d\x00", i)...)
		b = binary.BigEndian.AppendUint32(b, 20)
		b = binary.BigEndian.AppendUint32(b, 0xffffffff)
	}
	return b
}

func msgInsert(oid uint32, values ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'I'}, oid)
	b = append(b, 'N')
	b = binary.BigEndian.AppendUint16(b, uint16(len(values)))
	for _, v := range values {
		b = append(b, 't')
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return b
}

// testDecoder decodes relations whose columns alternate between bigint and text.
func testDecoder(from uint64, put func(*schemas.Batch)) *decoder {
	return &decoder{identity: "pg:1:1", from: from, shapes: map[uint32]*shape{},
		relation: func(r relation, old *shape) (*shape, error) {
			s := &shape{table: &schemas.Table{Name: r.name, Key: []int{0}}, relation: r}
			for i, c := range r.cols {
				t := resolved{typ: schemas.Type{Kind: schemas.KindInt64}, parse: parseInt}
				if i%2 == 1 {
					t = resolved{typ: schemas.Type{Kind: schemas.KindText}, parse: parseText}
				}
				s.cols = append(s.cols, t)
				s.table.Columns = append(s.table.Columns, schemas.Column{Name: c.name, Type: t.typ})
			}
			return s, nil
		},
		put: func(b *schemas.Batch, bytes int) error { put(b); return nil },
	}
}

// A transaction that ended at the place we resume from, or before, is left out
// although the server sends it again; the next one, whose commit record begins
// exactly there, is not.
func TestResumeFilter(t *testing.T) {
	var got []string
	d := testDecoder(200, func(b *schemas.Batch) {
		for _, c := range b.Changes {
			got = append(got, fmt.Sprint(c.Txn.ID, " ", c.After[0], " ", b.Resume.End))
		}
	})
	for _, m := range [][]byte{
		msgBegin(100, 1), msgRelation(5, 2), msgInsert(5, "1", "a"), msgCommit(100, 150),
		msgBegin(150, 2), msgInsert(5, "2", "a"), msgCommit(150, 200),
		msgBegin(200, 3), msgInsert(5, "3", "a"), msgCommit(200, 250),
		msgBegin(250, 4), msgInsert(5, "4", "a"), msgInsert(5, "5", "a"), msgCommit(250, 300),
	} {
		if err := d.message(90, m); err != nil {
			t.Fatal(err)
		}
	}
	if want := "[3 3 250 4 4 300 4 5 300]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// A transaction that goes on in the next batch never changes what was handed
// over: the reader of the first piece has its own Txn.
func TestPiecesShareNoTxn(t *testing.T) {
	var batches []*schemas.Batch
	d := testDecoder(0, func(b *schemas.Batch) { c := *b; batches = append(batches, &c) })
	d.message(1, msgBegin(100, 1))
	d.message(1, msgRelation(5, 2))
	for i := range maxChanges + 3 {
		if err := d.message(1, msgInsert(5, fmt.Sprint(i), "a")); err != nil {
			t.Fatal(err)
		}
	}
	d.message(1, msgCommit(100, 150))
	if len(batches) != 2 || !batches[0].Open || batches[1].Open {
		t.Fatalf("%d batches", len(batches))
	}
	first, last := batches[0].Changes[0].Txn, batches[1].Changes[0].Txn
	if first == last || !first.Pos.IsZero() || last.Pos.End != 150 || first.ID != last.ID || batches[0].Txns+batches[1].Txns != 1 {
		t.Errorf("first %+v, last %+v", first, last)
	}
}

// Whatever comes, the decoder answers with an error and not with a panic.
func FuzzDecoder(f *testing.F) {
	for _, m := range [][]byte{msgBegin(1, 1), msgRelation(5, 3), msgInsert(5, "1", "x", "2"), msgCommit(1, 2), {'T', 0, 0, 0, 1, 0, 0, 0, 0, 5}, {'U', 0, 0, 0, 5, 'K'}} {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, m []byte) {
		d := testDecoder(0, func(*schemas.Batch) {})
		d.message(1, msgBegin(100, 1))
		d.message(1, msgRelation(5, 3))
		d.message(1, m)
		d.message(1, m[:len(m)/2])
	})
}

func TestMalformed(t *testing.T) {
	whole := [][]byte{msgBegin(100, 1), msgRelation(5, 2), msgInsert(5, "1", "x"), msgCommit(100, 150)}
	for i, m := range whole {
		for n := range len(m) {
			d := testDecoder(0, func(*schemas.Batch) {})
			for _, before := range whole[:i] {
				if err := d.message(1, before); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.message(1, m[:n]); err == nil && n != 0 {
				t.Errorf("%q cut to %d bytes is taken", m, n)
			}
		}
	}
	d := testDecoder(0, func(*schemas.Batch) {})
	for _, m := range [][]byte{nil, {'?'}, msgInsert(5, "1", "x"), msgCommit(1, 2)} {
		if err := d.message(1, m); err == nil {
			t.Errorf("%q is taken", m)
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	d := testDecoder(0, func(*schemas.Batch) {})
	values := []string{"123456", "a name of some length", "42", "another text", "9999", "short", "7", "x", "1", "y", "2", "z", "3", "w", "4"}
	d.message(1, msgRelation(5, len(values)))
	begin, insert, commit := msgBegin(1, 1), msgInsert(5, values...), msgCommit(1, 2)
	b.ReportAllocs()
	b.SetBytes(int64(len(insert)))
	d.message(1, begin)
	for i := 0; b.Loop(); i++ {
		if i%1000 == 999 {
			d.message(1, commit)
			d.message(1, begin)
		}
		if err := d.message(1, insert); err != nil {
			b.Fatal(err)
		}
	}
}

// The queue adds small transactions up, within bounds, and keeps pieces, whole
// transactions and snapshots apart.
func TestQueue(t *testing.T) {
	q := newQueue()
	batch := func(n int, end uint64) *schemas.Batch {
		return &schemas.Batch{Changes: make([]schemas.Change, n), Txns: 1, Resume: position("x", end)}
	}
	open := &schemas.Batch{Changes: make([]schemas.Change, 3), Open: true}
	snap := &schemas.Batch{Phase: schemas.PhaseSnapshot}
	if !q.offer(batch(10, 1), 10) || !q.offer(batch(20, 2), 10) || q.offer(open, 1) || q.offer(snap, 1) || q.offer(batch(maxChanges, 3), 1) || q.offer(batch(1, 3), maxBytes) {
		t.Error("bounds")
	}
	b, err := q.take(t.Context())
	if err != nil || len(b.Changes) != 30 || b.Txns != 2 || b.Resume.End != 2 {
		t.Errorf("took %+v, %v", b, err)
	}
	if !q.offer(open, 1) || q.offer(batch(1, 4), 1) {
		t.Error("open")
	}
	q.fail(errors.New("end"))
	q.fail(errors.New("later"))
	if b, err := q.take(t.Context()); err != nil || !b.Open {
		t.Errorf("took %+v, %v", b, err)
	}
	for range 2 {
		if _, err := q.take(t.Context()); err == nil || err.Error() != "end" {
			t.Error(err)
		}
	}
}
