package avro

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"

	"github.com/strait-cdc/strait/schemas"
)

// TestForeign reads an envelope of another shape: fields in another order, union
// with null at the end, a map and a geometry that we never write.
func TestForeign(t *testing.T) {
	const text = `{"type":"record","name":"Envelope","namespace":"x.y.z","fields":[
	 {"name":"op","type":"string"},
	 {"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"table","type":["null","string"]},{"name":"db","type":"string"},{"name":"ts_ms","type":"long"},{"name":"extra","type":{"type":"map","values":"int"}}]}},
	 {"name":"after","type":["null",{"type":"record","name":"Value","fields":[
	   {"name":"id","type":"int"},{"name":"d","type":[{"type":"string","connect.default":"dd"},"null"],"default":"dd"},
	   {"name":"h","type":["null",{"type":"map","values":"string"}]},
	   {"name":"p","type":["null",{"type":"record","name":"Point","namespace":"io.debezium.data.geometry","fields":[{"name":"x","type":"double"},{"name":"wkb","type":["null","bytes"]}]}]},
	   {"name":"q","type":["null","io.debezium.data.geometry.Point"]}]}]},
	 {"name":"before","type":["null","Value"]}]}`
	codec, err := goavro.NewCodec(text)
	if err != nil {
		t.Fatal(err)
	}
	point := func(x float64) any {
		return goavro.Union("io.debezium.data.geometry.Point", map[string]any{"x": x, "wkb": nil})
	}
	body, err := codec.BinaryFromNative([]byte{0, 0, 0, 0, 9}, map[string]any{"op": "u", "before": nil,
		"source": map[string]any{"table": goavro.Union("string", "orders"), "db": "shop", "ts_ms": int64(1700000000000), "extra": map[string]any{"n": int32(1)}},
		"after":  goavro.Union("x.y.z.Value", map[string]any{"id": int32(5), "d": nil, "h": goavro.Union("map", map[string]any{"k": "v"}), "p": point(1.5), "q": point(2)})})
	if err != nil {
		t.Fatal(err)
	}
	reg := newMemory()
	reg.texts[9] = text
	var c schemas.Change
	decodeInto(t, NewDecoder(reg), schemas.Record{Value: body}, &c)
	want := schemas.Row{schemas.Int(5), schemas.Null, schemas.Text(`{"map":{"k":"v"}}`), schemas.Text(`{"io.debezium.data.geometry.Point":{"wkb":null,"x":1.5}}`), schemas.Text(`{"io.debezium.data.geometry.Point":{"wkb":null,"x":2}}`)}
	for i := range want {
		if c.After[i] != want[i] {
			t.Errorf("column %d is %s, want %s", i, c.After[i], want[i])
		}
	}
	if c.Table.Name.String() != "shop.orders" || c.Op != schemas.Update || c.Txn.Time.UnixMilli() != 1700000000000 {
		t.Errorf("got %+v of %s", c, c.Table.Name)
	}
}

func TestDecodeRefused(t *testing.T) {
	reg := newMemory()
	enc, dec := fixedEncoder(reg, PostgreSQL), NewDecoder(reg)
	records, err := enc.Encode(&schemas.Change{Op: schemas.Insert, Table: orders(), Txn: pgTxn(),
		After: schemas.Row{schemas.Int(1), schemas.Null, schemas.Text("1.00"), schemas.Null}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	good := records[0]
	reg.texts[77] = `"string"`
	for name, c := range map[string]struct {
		value []byte
		want  string
	}{
		"short":     {good.Value[:20], "ends in the middle"},
		"long":      {append(append([]byte(nil), good.Value...), 0), "left over"},
		"unframed":  {[]byte("{}"), "Confluent framing"},
		"unknown":   {[]byte{0, 0, 0, 0, 5, 0}, "schema 5"},
		"no record": {[]byte{0, 0, 0, 0, 77, 0}, "want Debezium's envelope"},
	} {
		var got schemas.Change
		r := schemas.Record{Topic: "erp.public.orders", Key: good.Key, Value: c.value}
		_, err := dec.Decode(&r, &got)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), r.Topic) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestSharedTxn: changes of one transaction share their Txn.
func TestSharedTxn(t *testing.T) {
	reg := newMemory()
	enc, dec := fixedEncoder(reg, PostgreSQL), NewDecoder(reg)
	var got [3]schemas.Change
	for i, id := range []string{"571", "571", "572"} {
		txn := pgTxn()
		txn.ID = id
		records, err := enc.Encode(&schemas.Change{Op: schemas.Insert, Table: orders(), Txn: txn,
			After: schemas.Row{schemas.Int(1), schemas.Null, schemas.Text("1.00"), schemas.Null}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		decodeInto(t, dec, records[0], &got[i])
	}
	if got[0].Txn != got[1].Txn || got[1].Txn == got[2].Txn || got[2].Txn.ID != "572" || got[0].Table != got[2].Table {
		t.Error("transactions or tables are not shared as they should be")
	}
}

// FuzzDecode: no bytes make the decoder panic or loop.
func FuzzDecode(f *testing.F) {
	reg := newMemory()
	enc := fixedEncoder(reg, PostgreSQL)
	tab, row := wideTable()
	records, err := enc.Encode(&schemas.Change{Op: schemas.Update, Table: tab, Txn: pgTxn(), Before: row, After: row}, nil)
	if err != nil {
		f.Fatal(err)
	}
	schema, err := reg.Schema(context.Background(), int32(binary.BigEndian.Uint32(records[0].Value[1:])))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(schema, enc.last.key, records[0].Key[5:], records[0].Value[5:], []byte(`{"after":{"x":"t:1"}}`))
	f.Add(`{"type":"record","name":"a","fields":[{"name":"before","type":["null",{"type":"array","items":"a"}]}]}`, "", []byte{}, []byte{2, 2, 2}, []byte{})
	f.Fuzz(func(t *testing.T, value, key string, k, v, header []byte) {
		reg := newMemory()
		reg.texts[1], reg.texts[2] = value, key
		d := NewDecoder(reg)
		r := schemas.Record{Topic: "t", Value: append([]byte{0, 0, 0, 0, 1}, v...), Headers: []schemas.Header{{Key: HeaderExact, Value: header}, {Key: schemas.HeaderNewKey, Value: header}}}
		if key != "" {
			r.Key = append([]byte{0, 0, 0, 0, 2}, k...)
		}
		var c schemas.Change
		if ok, err := d.Decode(&r, &c); ok && err == nil && c.Table == nil {
			t.Fatal("a change without a table")
		}
		d.JSON(&r) // must not panic; errors are fine
	})
}
