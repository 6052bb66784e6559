package avro

import (
	"testing"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// benchTable has 15 columns of the usual kinds, 9 of them nullable.
func benchTable() *schemas.Table {
	col := func(name string, k schemas.Kind, null bool) schemas.Column {
		return schemas.Column{Name: name, Nullable: null, Type: schemas.Type{Kind: k, Precision: 6}}
	}
	t := &schemas.Table{Name: schemas.TableName{Schema: "public", Name: "orders"}, Key: []int{0}, Columns: []schemas.Column{
		col("id", schemas.KindInt64, false), col("customer_id", schemas.KindInt64, false), col("status", schemas.KindText, false),
		col("total", schemas.KindDecimal, false), col("discount", schemas.KindDecimal, true), col("note", schemas.KindText, true),
		col("placed_at", schemas.KindTimestamp, false), col("shipped_at", schemas.KindTimestamp, true), col("due", schemas.KindDate, true),
		col("priority", schemas.KindInt16, true), col("paid", schemas.KindBool, false), col("weight", schemas.KindFloat64, true),
		col("country", schemas.KindText, true), col("ref", schemas.KindText, true), col("version", schemas.KindInt32, true)}}
	for _, i := range []int{3, 4} {
		t.Columns[i].Type.Precision, t.Columns[i].Type.Scale = 12, 2
	}
	return t
}

func benchChange() *schemas.Change {
	row := schemas.Row{schemas.Int(123456), schemas.Int(998877), schemas.Text("processing"), schemas.Text("1234.50"), schemas.Null,
		schemas.Text("please leave at the door"), schemas.Int(1_700_000_000_123_456), schemas.Null, schemas.Int(19782), schemas.Int(3),
		schemas.Int(1), schemas.Float(2.75), schemas.Text("PL"), schemas.Text("A-2024-000123"), schemas.Int(7)}
	return &schemas.Change{Op: schemas.Insert, Table: benchTable(), After: row, LSN: 5304488896,
		Txn: &schemas.Txn{ID: "571", CommitLSN: 5304488999, Time: time.Unix(1_700_000_000, 123456000)}}
}

func benchEncoder(verify int) (*Encoder, *memory) {
	reg := newMemory()
	return NewEncoder(reg, Source{System: "erp", Connector: PostgreSQL, Database: "shop", Version: "0.1.0"}, Options{VerifyEvery: verify}), reg
}

func BenchmarkEncodeInsert(b *testing.B) { benchEncode(b, benchChange(), -1) }

func BenchmarkEncodeInsertVerified(b *testing.B) { benchEncode(b, benchChange(), 0) }

func BenchmarkEncodeUpdate(b *testing.B) {
	c := benchChange()
	c.Op, c.Before = schemas.Update, c.After
	benchEncode(b, c, -1)
}

func benchEncode(b *testing.B, c *schemas.Change, verify int) {
	enc, _ := benchEncoder(verify)
	var dst []schemas.Record
	var err error
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%1024 == 0 {
			enc.Reset()
			dst = dst[:0]
		}
		if dst, err = enc.Encode(c, dst); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeUpdate(b *testing.B) {
	c := benchChange()
	c.Op, c.Before = schemas.Update, c.After
	enc, reg := benchEncoder(-1)
	records, err := enc.Encode(c, nil)
	if err != nil {
		b.Fatal(err)
	}
	dec := NewDecoder(reg)
	var got schemas.Change
	b.ReportAllocs()
	b.SetBytes(int64(len(records[0].Value)))
	for b.Loop() {
		if _, err := dec.Decode(&records[0], &got); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGoavro is the same record through goavro, to compare with.
func BenchmarkGoavro(b *testing.B) {
	c := benchChange()
	enc, _ := benchEncoder(-1)
	records, err := enc.Encode(c, nil)
	if err != nil {
		b.Fatal(err)
	}
	codec := enc.last.valueCodec
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := codec.NativeFromBinary(records[0].Value[5:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	native, _, err := codec.NativeFromBinary(records[0].Value[5:])
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 1024)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := codec.BinaryFromNative(buf[:0], native); err != nil {
				b.Fatal(err)
			}
		}
	})
}
