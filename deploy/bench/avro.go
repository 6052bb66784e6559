package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/linkedin/goavro/v2"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/avro"
	"github.com/strait-cdc/strait/schemas/registry"
)

// orders has 15 columns of the usual kinds, 9 of them nullable.
func orders() *schemas.Table {
	col := func(name string, k schemas.Kind, null bool) schemas.Column {
		return schemas.Column{Name: name, Nullable: null, Type: schemas.Type{Kind: k, Precision: 6}}
	}
	money := func(name string, null bool) schemas.Column {
		return schemas.Column{Name: name, Nullable: null, Type: schemas.Type{Kind: schemas.KindDecimal, Precision: 12, Scale: 2}}
	}
	return &schemas.Table{Name: schemas.TableName{Schema: "public", Name: "orders"}, Key: []int{0}, Columns: []schemas.Column{
		col("id", schemas.KindInt64, false), col("customer_id", schemas.KindInt64, false), col("status", schemas.KindText, false),
		money("total", false), money("discount", true), col("note", schemas.KindText, true),
		col("placed_at", schemas.KindTimestamp, false), col("shipped_at", schemas.KindTimestamp, true), col("due", schemas.KindDate, true),
		col("priority", schemas.KindInt16, true), col("paid", schemas.KindBool, false), col("weight", schemas.KindFloat64, true),
		col("country", schemas.KindText, true), col("ref", schemas.KindText, true), col("version", schemas.KindInt32, true),
	}}
}

// orderUpdate has the whole row before and after.
func orderUpdate() *schemas.Change {
	row := schemas.Row{
		schemas.Int(123456), schemas.Int(998877), schemas.Text("processing"), schemas.Text("1234.50"), schemas.Null,
		schemas.Text("please leave at the door"), schemas.Int(1_700_000_000_123_456), schemas.Null, schemas.Int(19782), schemas.Int(3),
		schemas.Int(1), schemas.Float(2.75), schemas.Text("PL"), schemas.Text("A-2024-000123"), schemas.Int(7),
	}
	return &schemas.Change{
		Op: schemas.Update, Table: orders(), Before: row, After: row, LSN: 5304488896,
		Txn: &schemas.Txn{ID: "571", CommitLSN: 5304488999, Time: time.Unix(1_700_000_000, 123456000)},
	}
}

// subjects is a registry in memory.
type subjects struct {
	// mu guards texts; the id of a schema is its place.
	mu    sync.Mutex
	texts []string
}

var _ registry.Registry = (*subjects)(nil)

// Register is registry.Registry's.
func (s *subjects) Register(_ context.Context, _, schema string) (int32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, text := range s.texts {
		if text == schema {
			return int32(i), nil
		}
	}
	s.texts = append(s.texts, schema)
	return int32(len(s.texts) - 1), nil
}

// Schema is registry.Registry's.
func (s *subjects) Schema(_ context.Context, id int32) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < 0 || int(id) >= len(s.texts) {
		return "", registry.ErrNotFound
	}
	return s.texts[id], nil
}

func avroRows(ctx context.Context, b *bench) error {
	reg := &subjects{}
	c := orderUpdate()
	// As strait run has it: one of 1000 records is decoded with goavro and compared.
	enc := avro.NewEncoder(reg, avro.Source{System: "erp", Connector: avro.PostgreSQL, Database: "shop", Version: "bench"}, avro.Options{})
	records, err := enc.Encode(c, nil)
	if err != nil {
		return err
	}
	value := append([]byte(nil), records[0].Value...)
	record := records[0]
	record.Key, record.Value = append([]byte(nil), record.Key...), value
	// The frame is a zero byte and the id of the schema in four.
	text, err := reg.Schema(ctx, int32(value[1])<<24|int32(value[2])<<16|int32(value[3])<<8|int32(value[4]))
	if err != nil {
		return err
	}
	codec, err := goavro.NewCodec(text)
	if err != nil {
		return err
	}
	native, _, err := codec.NativeFromBinary(value[5:])
	if err != nil {
		return err
	}
	dec := avro.NewDecoder(reg)
	var dst []schemas.Record
	var got schemas.Change
	var buf []byte
	encode, err := inTurns(ctx, b.reps,
		loop(b.size(200_000, 2000), func(i int) (err error) {
			if i%1024 == 0 {
				enc.Reset()
			}
			dst, err = enc.Encode(c, dst[:0])
			return err
		}),
		loop(b.size(20_000, 200), func(int) (err error) {
			buf, err = codec.BinaryFromNative(buf[:0], native)
			return err
		}))
	if err != nil {
		return err
	}
	decode, err := inTurns(ctx, b.reps,
		loop(b.size(200_000, 2000), func(int) error {
			_, err := dec.Decode(&record, &got)
			return err
		}),
		loop(b.size(20_000, 200), func(int) error {
			_, _, err := codec.NativeFromBinary(value[5:])
			return err
		}))
	if err != nil {
		return err
	}
	b.add(pair("encode an update, with its key", encode[0], encode[1], "rows/s", "goavro", goal{}))
	b.add(pair("decode an update", decode[0], decode[1], "rows/s", "goavro", goal{}))
	b.fact("An update holds the row twice and is %d bytes long. goavro's figures are without the key, and without turning its maps into rows.", len(value))
	return nil
}

// loop measures n calls of f.
func loop(n int, f func(i int) error) func(context.Context) (sample, error) {
	return func(context.Context) (sample, error) {
		began := time.Now()
		for i := range n {
			if err := f(i); err != nil {
				return sample{}, fmt.Errorf("call %d: %w", i, err)
			}
		}
		return newSample(n, time.Since(began), 0, 0), nil
	}
}
