package avro

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// wideTable has a column of every kind.
func wideTable() (*schemas.Table, schemas.Row) {
	types := []schemas.Type{
		{Kind: schemas.KindInt64}, {Kind: schemas.KindBool}, {Kind: schemas.KindInt16}, {Kind: schemas.KindInt32}, {Kind: schemas.KindUint64},
		{Kind: schemas.KindFloat32}, {Kind: schemas.KindFloat64}, {Kind: schemas.KindDecimal, Precision: 12, Scale: 2}, {Kind: schemas.KindNumeric},
		{Kind: schemas.KindText}, {Kind: schemas.KindBytes}, {Kind: schemas.KindDate}, {Kind: schemas.KindTime, Precision: 3},
		{Kind: schemas.KindTimestamp, Precision: 6}, {Kind: schemas.KindTimestampTZ, Precision: 3}, {Kind: schemas.KindTimeTZ, Precision: 6},
		{Kind: schemas.KindInterval, Precision: 6}, {Kind: schemas.KindYear}, {Kind: schemas.KindBits, Length: 10},
		{Kind: schemas.KindEnum, Labels: []string{"sad", "ok, then"}}, {Kind: schemas.KindSet, Labels: []string{"a", "b"}}, {Kind: schemas.KindJSON},
		{Kind: schemas.KindUUID}, {Kind: schemas.KindArray, Elem: &schemas.Type{Kind: schemas.KindInt32}}, {Kind: schemas.KindNumeric},
	}
	row := schemas.Row{schemas.Int(7), schemas.Int(1), schemas.Int(-3), schemas.Int(1 << 30), schemas.Uint(1<<64 - 1), schemas.Float(1.5),
		schemas.Float(-2.25), schemas.Text("1234.50"), schemas.Text("1.10"), schemas.Text("żółć"), schemas.Bytes("\x00\xff"), schemas.Int(19782),
		schemas.Int(45296789000), schemas.Int(1709210096789012), schemas.Int(1709210096120000), schemas.Text("12:34:56.5+02"),
		schemas.Text("P1Y2M3DT4H5M6.5S"), schemas.Int(2024), schemas.Bytes("\x03\x00"), schemas.Text("ok, then"), schemas.Text("a,b"),
		schemas.Text(`{"a": 1}`), schemas.Text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), schemas.Text("{1,NULL,3}"), schemas.Text("-0.5")}
	t := &schemas.Table{Name: schemas.TableName{Schema: "public", Name: "wide"}, Key: []int{0}}
	for i, typ := range types {
		t.Columns = append(t.Columns, schemas.Column{Name: fmt.Sprintf("c%02d_%s", i, typ.Kind), Type: typ, Nullable: i > 0})
	}
	return t, row
}

var fixedTime = time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC)

func fixedEncoder(reg *memory, connector string) *Encoder {
	return NewEncoder(reg, Source{System: "erp", Connector: connector, Database: "shop", Version: "test"},
		Options{VerifyEvery: 1, Now: func() time.Time { return fixedTime }})
}

func pgTxn() *schemas.Txn {
	return &schemas.Txn{ID: "571", CommitLSN: 53195832, Time: fixedTime}
}

// TestGolden keeps our own bytes: a change of them is a change of the wire.
func TestGolden(t *testing.T) {
	tab, row := wideTable()
	var out strings.Builder
	for _, connector := range []string{PostgreSQL, MySQL} {
		reg := newMemory()
		enc := fixedEncoder(reg, connector)
		c := &schemas.Change{Op: schemas.Insert, Table: tab, After: row, Txn: pgTxn(), LSN: 53195829, Offset: 4711, RowNo: 2}
		if connector == MySQL {
			c.Txn = &schemas.Txn{ID: "3e11fa47-71ca-11e1-9e33-c80aa9429562:23", File: "binlog.000001", ServerID: 7, Thread: 11, Time: fixedTime}
		}
		records, err := enc.Encode(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := enc.last
		fmt.Fprintf(&out, "%s key schema\n%s\n%s value schema\n%s\n", connector, p.key, connector, p.value)
		for _, r := range records {
			fmt.Fprintf(&out, "key %s\nvalue %s\n", hex.EncodeToString(r.Key), hex.EncodeToString(r.Value))
		}
	}
	const name = "testdata/wide.golden"
	if *update {
		if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the bytes have changed; run with -update if that is meant:\n%s", out.String())
	}
}

// TestTypes is the Avro type of each column, as Debezium's Connect types map to
// Avro, with our additions.
func TestTypes(t *testing.T) {
	for _, c := range []struct {
		connector, want string
		typ             schemas.Type
	}{
		{PostgreSQL, `{"type":"int","connect.version":1,"connect.name":"io.debezium.time.Date"}`, schemas.Type{Kind: schemas.KindDate}},
		{PostgreSQL, `{"type":"int","connect.version":1,"connect.name":"io.debezium.time.Time","strait.precision":0}`, schemas.Type{Kind: schemas.KindTime}},
		{MySQL, `{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTime","strait.precision":0}`, schemas.Type{Kind: schemas.KindTime}},
		{PostgreSQL, `{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}`, schemas.Type{Kind: schemas.KindTimestamp, Precision: 6}},
		{MariaDB, `{"type":"long","connect.version":1,"connect.name":"io.debezium.time.Timestamp"}`, schemas.Type{Kind: schemas.KindTimestamp, Precision: 3}},
		{MySQL, `{"type":"bytes","connect.version":1,"connect.parameters":{"length":"10"},"connect.name":"io.debezium.data.Bits"}`, schemas.Type{Kind: schemas.KindBits, Length: 10}},
		{MySQL, `{"type":"string","connect.version":1,"connect.parameters":{"allowed":"a,b\\,c,it's"},"connect.name":"io.debezium.data.Enum"}`, schemas.Type{Kind: schemas.KindEnum, Labels: []string{"a", "b,c", "it's"}}},
		{PostgreSQL, `{"type":"string","connect.version":1,"connect.parameters":{"allowed":"ok, then"},"connect.name":"io.debezium.data.Enum","strait.labels":["ok, then"]}`, schemas.Type{Kind: schemas.KindEnum, Labels: []string{"ok, then"}}},
		{PostgreSQL, `{"type":"array","items":["null",{"type":"int","connect.type":"int16"}]}`, schemas.Type{Kind: schemas.KindArray, Elem: &schemas.Type{Kind: schemas.KindInt16}}},
		{PostgreSQL, `{"type":"bytes","scale":5,"precision":5,"connect.version":1,"connect.parameters":{"scale":"5","connect.decimal.precision":"5"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal","strait.precision":2}`, schemas.Type{Kind: schemas.KindDecimal, Precision: 2, Scale: 5}},
	} {
		w := schemaWriter{connector: c.connector}
		w.typ(shapeFor(c.typ, false, c.connector))
		if w.String() != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.connector, c.typ.Kind, w.String(), c.want)
		}
	}
}

func orders() *schemas.Table {
	return &schemas.Table{Name: schemas.TableName{Schema: "public", Name: "orders"}, Key: []int{0}, Columns: []schemas.Column{
		{Name: "id", Type: schemas.Type{Kind: schemas.KindInt32}},
		{Name: "note", Type: schemas.Type{Kind: schemas.KindText}, Nullable: true},
		{Name: "price", Type: schemas.Type{Kind: schemas.KindDecimal, Precision: 10, Scale: 2}},
		{Name: "tags", Type: schemas.Type{Kind: schemas.KindArray, Elem: &schemas.Type{Kind: schemas.KindText}}, Nullable: true}}}
}

// TestMove is a change of key: delete, tombstone, create, with both headers, and
// the toasted value taken from the row before where that has it.
func TestMove(t *testing.T) {
	reg := newMemory()
	enc, dec := fixedEncoder(reg, PostgreSQL), NewDecoder(reg)
	c := &schemas.Change{Op: schemas.Update, Table: orders(), Txn: pgTxn(), LSN: 9,
		Before: schemas.Row{schemas.Int(2), schemas.Text("big"), schemas.Unchanged, schemas.Unchanged},
		After:  schemas.Row{schemas.Int(3), schemas.Unchanged, schemas.Text("1.00"), schemas.Unchanged}}
	records, err := enc.Encode(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 3 || records[1].Value != nil || string(records[0].Key) != string(records[1].Key) || string(records[0].Key) == string(records[2].Key) {
		t.Fatalf("got %d records: %+v", len(records), records)
	}
	if header(records[0], schemas.HeaderNewKey) != string(records[2].Key) || header(records[1], schemas.HeaderNewKey) != string(records[2].Key) ||
		header(records[2], schemas.HeaderOldKey) != string(records[0].Key) {
		t.Error("the headers do not hold the framed keys")
	}
	var del, ins schemas.Change
	decodeInto(t, dec, records[0], &del)
	decodeInto(t, dec, records[2], &ins)
	if del.Op != schemas.Delete || del.MovedTo[0] != schemas.Int(3) || ins.Op != schemas.Insert || ins.MovedFrom[0] != schemas.Int(2) {
		t.Errorf("got %+v and %+v", del, ins)
	}
	if ins.After[1] != schemas.Text("big") || !ins.After[3].IsUnchanged() {
		t.Errorf("after is %v", ins.After)
	}
	var none schemas.Change
	if ok, err := dec.Decode(&records[1], &none); ok || err != nil {
		t.Errorf("tombstone: %v, %v", ok, err)
	}
}

func header(r schemas.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func decodeInto(t *testing.T, dec *Decoder, r schemas.Record, c *schemas.Change) {
	t.Helper()
	if ok, err := dec.Decode(&r, c); !ok || err != nil {
		t.Fatalf("decode: %v, %v", ok, err)
	}
}

// TestExact: what Avro cannot hold is null for others and whole for us.
func TestExact(t *testing.T) {
	reg := newMemory()
	enc, dec := fixedEncoder(reg, PostgreSQL), NewDecoder(reg)
	row := schemas.Row{schemas.Int(1), schemas.Text(placeholder), schemas.Text("NaN"), schemas.Text("{{a},{b}}")}
	records, err := enc.Encode(&schemas.Change{Op: schemas.Insert, Table: orders(), Txn: pgTxn(), After: row}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := header(records[0], HeaderExact), `{"after":{"note":"t:__debezium_unavailable_value","price":"t:NaN","tags":"t:{{a},{b}}"}}`; got != want {
		t.Errorf("header is %s, want %s", got, want)
	}
	native, _, err := enc.last.valueCodec.NativeFromBinary(records[0].Value[5:])
	if err != nil {
		t.Fatal(err)
	}
	after := unwrap(native.(map[string]any)["after"]).(map[string]any)
	if after["note"] != nil || after["tags"] != nil || fmt.Sprint(after["price"]) != "0/1" {
		t.Errorf("others see %v", after)
	}
	var c schemas.Change
	decodeInto(t, dec, records[0], &c)
	for i := range row {
		if c.After[i] != row[i] {
			t.Errorf("column %d is %v, want %v", i, c.After[i], row[i])
		}
	}
}

// TestRefused: errors name table, column and key, and leave no record behind.
func TestRefused(t *testing.T) {
	numericKey := orders()
	numericKey.Columns[0].Type = schemas.Type{Kind: schemas.KindNumeric}
	good := schemas.Row{schemas.Int(1), schemas.Null, schemas.Text("1.00"), schemas.Null}
	with := func(i int, v schemas.Value) schemas.Row {
		r := append(schemas.Row(nil), good...)
		r[i] = v
		return r
	}
	for _, c := range []struct {
		table *schemas.Table
		row   schemas.Row
		want  []string
	}{
		{orders(), with(2, schemas.Text("1.5")), []string{"public.orders", "price", "key 1", `"1.5"`}},
		{orders(), with(2, schemas.Text("123456789.00")), []string{"price", "10 digits"}},
		{orders(), with(2, schemas.Int(5)), []string{"price", "kind decimal"}},
		{orders(), with(0, schemas.Null), []string{"key column id"}},
		{numericKey, with(0, schemas.Text("NaN")), []string{"key column id", "NaN", "cannot be part of a key"}},
		{orders(), good[:2], []string{"2 values for 4 columns"}},
	} {
		enc := fixedEncoder(newMemory(), PostgreSQL)
		dst, err := enc.Encode(&schemas.Change{Op: schemas.Insert, Table: c.table, Txn: pgTxn(), After: c.row}, nil)
		if err == nil || len(dst) != 0 {
			t.Errorf("%v: got %d records, error %v", c.row, len(dst), err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q does not say %q", err, w)
			}
		}
	}
}

// TestVerify: a program that writes wrong bytes is found out by goavro.
func TestVerify(t *testing.T) {
	enc := fixedEncoder(newMemory(), PostgreSQL)
	c := &schemas.Change{Op: schemas.Insert, Table: orders(), Txn: pgTxn(), After: schemas.Row{schemas.Int(1), schemas.Null, schemas.Text("1.00"), schemas.Null}}
	if _, err := enc.Encode(c, nil); err != nil {
		t.Fatal(err)
	}
	wrong := *enc.last.columns[2]
	wrong.typ.Scale = 0
	enc.last.columns[2] = &wrong
	c.After[2] = schemas.Text("100")
	_, err := enc.Encode(c, nil)
	if err == nil || !strings.Contains(err.Error(), "verify") {
		t.Errorf("got %v", err)
	}
}

func TestTransactionBlock(t *testing.T) {
	reg := newMemory()
	enc := NewEncoder(reg, Source{System: "erp", Connector: PostgreSQL}, Options{ProvideTransaction: true, VerifyEvery: 1})
	dec := NewDecoder(reg)
	txn, tab := pgTxn(), orders()
	for i := range 3 {
		c := &schemas.Change{Op: schemas.Insert, Table: tab, Txn: txn, Ordinal: int64(i), After: schemas.Row{schemas.Int(int64(i)), schemas.Null, schemas.Text("1.00"), schemas.Null}}
		records, err := enc.Encode(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got schemas.Change
		decodeInto(t, dec, records[0], &got)
		if got.Ordinal != int64(i) || got.Txn.ID != "571" {
			t.Errorf("ordinal %d, txn %s", got.Ordinal, got.Txn.ID)
		}
		native, _, _ := enc.last.valueCodec.NativeFromBinary(records[0].Value[5:])
		block := unwrap(native.(map[string]any)["transaction"]).(map[string]any)
		if block["id"] != "571" || block["data_collection_order"] != int64(i+1) {
			t.Errorf("block is %v", block)
		}
	}
}

// TestAllocations: nothing is allocated for a change once its program is made.
func TestAllocations(t *testing.T) {
	enc, _ := benchEncoder(-1)
	c := benchChange()
	c.Op, c.Before = schemas.Update, c.After
	var dst []schemas.Record
	n := testing.AllocsPerRun(100, func() {
		var err error
		enc.Reset()
		if dst, err = enc.Encode(c, dst[:0]); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a change", n)
	}
}

// TestNewShape: a table whose shape changes keeps its topic and gets new schemas.
func TestNewShape(t *testing.T) {
	reg := newMemory()
	enc, dec := fixedEncoder(reg, PostgreSQL), NewDecoder(reg)
	old := orders()
	next := orders()
	next.Columns = next.Columns[:3]
	for _, tab := range []*schemas.Table{old, next, old, orders()} {
		row := schemas.Row{schemas.Int(1), schemas.Null, schemas.Text("1.00"), schemas.Null}[:len(tab.Columns)]
		records, err := enc.Encode(&schemas.Change{Op: schemas.Insert, Table: tab, Txn: pgTxn(), After: row}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var c schemas.Change
		decodeInto(t, dec, records[0], &c)
		if len(c.Table.Columns) != len(tab.Columns) {
			t.Errorf("%d columns, want %d", len(c.Table.Columns), len(tab.Columns))
		}
	}
	if len(reg.ids) != 3 {
		t.Errorf("%d schemas are registered, want a key and two values", len(reg.ids))
	}
}

// TestSharedTopic: two tables whose names become one topic are still told apart.
func TestSharedTopic(t *testing.T) {
	reg := newMemory()
	enc, dec := fixedEncoder(reg, PostgreSQL), NewDecoder(reg)
	for range 2 {
		for _, name := range []string{"żółć", "ąęćń"} {
			tab := orders()
			tab.Name.Name = name
			records, err := enc.Encode(&schemas.Change{Op: schemas.Insert, Table: tab, Txn: pgTxn(),
				After: schemas.Row{schemas.Int(1), schemas.Null, schemas.Text("1.00"), schemas.Null}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var c schemas.Change
			decodeInto(t, dec, records[0], &c)
			if c.Table.Name != tab.Name || records[0].Topic != "erp.public.____" {
				t.Errorf("%s comes back as %s from %s", tab.Name, c.Table.Name, records[0].Topic)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	reg := newMemory()
	enc, dec := fixedEncoder(reg, PostgreSQL), NewDecoder(reg)
	tab, row := wideTable()
	c := &schemas.Change{Op: schemas.Delete, Table: tab, Txn: pgTxn(), LSN: 0x1_0000_00ff, Before: row}
	records, err := enc.Encode(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	records[0].Headers = append(records[0].Headers, schemas.Header{Key: schemas.HeaderSeq, Value: []byte{0, 0, 0, 0, 0, 0, 0, 42}},
		schemas.Header{Key: schemas.HeaderOrigin, Value: []byte("erp:7")})
	for i, want := range []string{
		`{"topic":"erp.public.wide","op":"delete","key":{"c00_int64":7},"before":{"c00_int64":7,"c01_bool":true,"c02_int16":-3,"c03_int32":1073741824,"c04_uint64":"18446744073709551615","c05_float32":1.5,"c06_float64":-2.25,"c07_decimal":"1234.50","c08_numeric":"1.10","c09_text":"żółć","c10_bytes":"0x00ff","c11_date":"2024-02-29","c12_time":"12:34:56.789","c13_timestamp":"2024-02-29T12:34:56.789012","c14_timestamptz":"2024-02-29T12:34:56.12Z","c15_timetz":"12:34:56.5+02","c16_interval":"P1Y2M3DT4H5M6.5S","c17_year":2024,"c18_bits":"1100000000","c19_enum":"ok, then","c20_set":"a,b","c21_json":"{\"a\": 1}","c22_uuid":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","c23_array":"{1,NULL,3}","c24_numeric":"-0.5"},"txn":"571","time":"2024-02-29T12:34:56.789012Z","lsn":"1/FF","seq":42,"origin":"erp:7"}`,
		`{"topic":"erp.public.wide","tombstone":true,"key":{"c00_int64":7}}`,
	} {
		got, err := dec.JSON(&records[i])
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}
