package avro

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/strait-cdc/strait/schemas"
)

var labels = [][]string{{"a", "b"}, {"sad", "ok, then", `it's "happy"`, `back\`, ""}, {"żółć", "a,b"}}

func genType(connector string) *rapid.Generator[schemas.Type] {
	return rapid.Custom(func(t *rapid.T) schemas.Type {
		k := schemas.Kind(rapid.IntRange(int(schemas.KindBool), int(schemas.KindArray)).Draw(t, "kind"))
		typ := schemas.Type{Kind: k}
		switch k {
		case schemas.KindDecimal:
			typ.Precision = rapid.IntRange(1, 65).Draw(t, "precision")
			typ.Scale = rapid.IntRange(-3, typ.Precision+4).Draw(t, "scale")
		case schemas.KindTime, schemas.KindTimestamp, schemas.KindTimestampTZ, schemas.KindTimeTZ, schemas.KindInterval:
			typ.Precision = rapid.IntRange(0, 6).Draw(t, "precision")
		case schemas.KindBits:
			typ.Length = rapid.IntRange(0, 70).Draw(t, "length")
		case schemas.KindEnum, schemas.KindSet:
			typ.Labels = rapid.SampledFrom(labels).Draw(t, "labels")
		case schemas.KindArray:
			e := genType(connector).Filter(func(e schemas.Type) bool { return e.Kind != schemas.KindArray }).Draw(t, "elem")
			typ.Elem = &e
		}
		return typ
	})
}

func genText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{placeholder, "", "NULL", "a,b", `"q" \ {x}`, "long " + strings.Repeat("ż", 300)}))
}

func genDecimal(t *rapid.T, typ schemas.Type) string {
	if rapid.IntRange(0, 19).Draw(t, "special") == 0 {
		return rapid.SampledFrom([]string{"NaN", "Infinity", "-Infinity"}).Draw(t, "which")
	}
	whole := typ.Precision - typ.Scale
	s := strings.TrimLeft(rapid.StringMatching(fmt.Sprintf(`[0-9]{0,%d}`, max(whole, 0))).Draw(t, "whole"), "0")
	if s == "" {
		s = "0"
	}
	if typ.Scale > 0 {
		n := min(typ.Scale, typ.Precision)
		s += "." + strings.Repeat("0", typ.Scale-n) + rapid.StringMatching(fmt.Sprintf(`[0-9]{%d}`, n)).Draw(t, "fraction")
	}
	if strings.Trim(s, "0.") != "" && rapid.Bool().Draw(t, "negative") {
		s = "-" + s
	}
	return s
}

func genInt(lo, hi int64) *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(lo, hi), rapid.SampledFrom([]int64{lo, hi, 0, -1}))
}

func genInstant() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64(), rapid.Int64Range(-300_000_000_000_000_000, 300_000_000_000_000_000),
		rapid.SampledFrom([]int64{schemas.InfinityPlus, schemas.InfinityMinus, -62135596800000000, -62135596800000001, 253402300800000000}))
}

func genValue(t *rapid.T, typ schemas.Type) schemas.Value {
	switch typ.Kind {
	case schemas.KindBool:
		return schemas.Bool(rapid.Bool().Draw(t, "bool"))
	case schemas.KindInt16:
		return schemas.Int(genInt(math.MinInt16, math.MaxInt16).Draw(t, "i16"))
	case schemas.KindInt32, schemas.KindYear:
		return schemas.Int(genInt(math.MinInt32, math.MaxInt32).Draw(t, "i32"))
	case schemas.KindInt64:
		return schemas.Int(rapid.Int64().Draw(t, "i64"))
	case schemas.KindUint64:
		return schemas.Uint(rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1 << 63, math.MaxUint64})).Draw(t, "u64"))
	case schemas.KindFloat32:
		return schemas.Float(float64(rapid.OneOf(rapid.Float32(), rapid.Just(float32(math.NaN())), rapid.Just(float32(math.Inf(1)))).Draw(t, "f32")))
	case schemas.KindFloat64:
		return schemas.Float(rapid.OneOf(rapid.Float64(), rapid.Just(math.NaN()), rapid.Just(math.Inf(-1))).Draw(t, "f64"))
	case schemas.KindDecimal:
		return schemas.Text(genDecimal(t, typ))
	case schemas.KindNumeric:
		p := rapid.IntRange(1, 60).Draw(t, "digits")
		return schemas.Text(genDecimal(t, schemas.Type{Precision: p, Scale: rapid.IntRange(0, p).Draw(t, "point")}))
	case schemas.KindBytes:
		return schemas.Bytes(rapid.OneOf(rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }), rapid.Just(placeholder)).Draw(t, "bytes"))
	case schemas.KindBits:
		n := rapid.SampledFrom([]int{(typ.Length + 7) / 8, 0, 1, 9}).Draw(t, "width")
		return schemas.Bytes(string(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "bits")))
	case schemas.KindDate:
		return schemas.Int(rapid.OneOf(rapid.Int64Range(-2440588, 2145042905), rapid.SampledFrom([]int64{schemas.InfinityPlus, schemas.InfinityMinus})).Draw(t, "date"))
	case schemas.KindTime:
		return schemas.Int(rapid.Int64Range(-3020399999999, 3020399999999).Draw(t, "time"))
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		return schemas.Int(genInstant().Draw(t, "instant"))
	case schemas.KindTimeTZ:
		return schemas.Text(rapid.SampledFrom([]string{"12:34:56.789012+02", "00:00:00+00", "24:00:00-03", "12:34:56-05:30", "00:00:00+15:59:59", "odd"}).Draw(t, "timetz"))
	case schemas.KindEnum:
		return schemas.Text(rapid.SampledFrom(typ.Labels).Draw(t, "label"))
	case schemas.KindUUID:
		return schemas.Text("00000000-0000-0000-0000-00000000000" + strconv.Itoa(rapid.IntRange(0, 9).Draw(t, "uuid")))
	case schemas.KindArray:
		return schemas.Text(genArray(t, *typ.Elem))
	}
	return schemas.Text(genText().Draw(t, "text"))
}

func genArray(t *rapid.T, elem schemas.Type) string {
	if rapid.IntRange(0, 9).Draw(t, "odd array") == 0 {
		return rapid.SampledFrom([]string{"{{1,2},{3,4}}", "[2:3]={1,2}", "{44-03-15 BC}", "{1,}", "garbage", ""}).Draw(t, "which")
	}
	b := []byte{'{'}
	for i := range rapid.IntRange(0, 4).Draw(t, "items") {
		if i > 0 {
			b = append(b, ',')
		}
		if rapid.IntRange(0, 4).Draw(t, "null item") == 0 {
			b = append(b, "NULL"...)
			continue
		}
		b = appendItem(b, itemText(genValue(t, elem), &elem))
	}
	return string(append(b, '}'))
}

func genTable(connector string) *rapid.Generator[*schemas.Table] {
	return rapid.Custom(func(t *rapid.T) *schemas.Table {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"id", "a.b", "a-b", "a_b", "1x", "sélect", "with\"quote", "ż", "note", "Col A", "x", "y"}), 1, 8, rapid.ID).Draw(t, "names")
		tab := &schemas.Table{Name: rapid.SampledFrom([]schemas.TableName{{Schema: "public", Name: "orders"}, {Schema: "lc", Name: "Mixed Case"}, {Schema: "lc", Name: "żółć"}, {Schema: "lc", Name: "dot.dash-dollar$"}}).Draw(t, "name")}
		for i, n := range names {
			typ := genType(connector).Draw(t, "type")
			if i == 0 {
				typ = schemas.Type{Kind: schemas.KindInt64}
			}
			tab.Columns = append(tab.Columns, schemas.Column{Name: n, Type: typ, Nullable: i > 0 && rapid.Bool().Draw(t, "nullable")})
		}
		if rapid.IntRange(0, 5).Draw(t, "has key") > 0 {
			tab.Key = []int{0}
			for i, c := range tab.Columns {
				if c.Type.Kind == schemas.KindText && len(tab.Key) < 2 {
					tab.Key = append([]int{i}, tab.Key...)
				}
			}
		}
		return tab
	})
}

func genRow(t *rapid.T, tab *schemas.Table, after bool) schemas.Row {
	row := make(schemas.Row, len(tab.Columns))
	for i, c := range tab.Columns {
		inKey := slices.Contains(tab.Key, i)
		switch n := rapid.IntRange(0, 9).Draw(t, "what"); {
		case inKey && c.Type.Kind == schemas.KindText:
			row[i] = schemas.Text(rapid.StringMatching(`[a-z%/]{0,5}`).Draw(t, "key"))
		case n == 0 && !inKey:
			row[i] = schemas.Null
		case n == 1 && !inKey && after:
			row[i] = schemas.Unchanged
		default:
			row[i] = genValue(t, c.Type)
		}
	}
	return row
}

func genTxn(t *rapid.T, connector string, op schemas.Op) *schemas.Txn {
	x := &schemas.Txn{Time: time.Unix(rapid.Int64Range(-1e9, 9e9).Draw(t, "s"), rapid.Int64Range(0, 999_999).Draw(t, "us")*1000).UTC()}
	if rapid.IntRange(0, 9).Draw(t, "no time") == 0 {
		x.Time = time.Time{}
	}
	if connector == PostgreSQL {
		x.ID = rapid.SampledFrom([]string{"571", "0", "", "snapshot", "odd id", "007"}).Draw(t, "txn")
		x.CommitLSN = rapid.Uint64().Draw(t, "commit lsn")
	} else {
		x.File = rapid.SampledFrom([]string{"", "binlog.000001"}).Draw(t, "file")
		x.ID = rapid.SampledFrom([]string{"0-7-11", "binlog.000001:4", "", "snapshot", "3e11fa47-71ca-11e1-9e33-c80aa9429562:23"}).Draw(t, "txn")
		x.ServerID, x.Thread = rapid.Uint32().Draw(t, "server"), rapid.Uint32().Draw(t, "thread")
	}
	return x
}

func genChange(t *rapid.T, tab *schemas.Table, connector string) *schemas.Change {
	c := &schemas.Change{Table: tab, Op: rapid.SampledFrom([]schemas.Op{schemas.Insert, schemas.Update, schemas.Delete, schemas.Snapshot, schemas.Truncate}).Draw(t, "op")}
	c.Txn = genTxn(t, connector, c.Op)
	if connector == PostgreSQL {
		c.LSN = rapid.Uint64().Draw(t, "lsn")
	} else {
		c.Offset, c.RowNo = rapid.Uint64Range(0, math.MaxInt64).Draw(t, "offset"), rapid.Int32().Draw(t, "row")
	}
	switch c.Op {
	case schemas.Snapshot:
		c.SnapshotMark = rapid.SampledFrom([]string{"true", "first", "first_in_data_collection", "last_in_data_collection", "last"}).Draw(t, "mark")
		c.After = genRow(t, tab, false)
	case schemas.Insert:
		c.After = genRow(t, tab, false)
	case schemas.Update:
		c.After = genRow(t, tab, true)
		if rapid.Bool().Draw(t, "has before") {
			c.Before = genBefore(t, tab)
		}
	case schemas.Delete:
		c.Before = genBefore(t, tab)
	}
	return c
}

// genBefore is a whole row, or one of which only the key is known.
func genBefore(t *rapid.T, tab *schemas.Table) schemas.Row {
	row := genRow(t, tab, false)
	if len(tab.Key) > 0 && rapid.Bool().Draw(t, "key only") {
		for i := range row {
			if !slices.Contains(tab.Key, i) {
				row[i] = schemas.Unchanged
			}
		}
	}
	return row
}

// TestRoundTrip is the law of this package: what is decoded is what was encoded,
// for every kind and value.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		connector := rapid.SampledFrom([]string{PostgreSQL, MySQL, MariaDB}).Draw(t, "connector")
		tab := genTable(connector).Draw(t, "table")
		reg := newMemory()
		enc := NewEncoder(reg, Source{System: "crm-prod", Connector: connector, Database: "shop", Version: "1"}, Options{VerifyEvery: 1})
		dec := NewDecoder(reg)
		for range 3 {
			c := genChange(t, tab, connector)
			records, err := enc.Encode(c, nil)
			if err != nil {
				t.Fatalf("encode: %v", err)
			}
			checkBack(t, dec, c, records)
			enc.Reset()
		}
	})
}

func checkBack(t *rapid.T, dec *Decoder, c *schemas.Change, records []schemas.Record) {
	t.Helper()
	want := []*schemas.Change{c}
	if c.Op == schemas.Update {
		full := *c
		full.After = known(c)
		want[0] = &full
		if keyMoved(c) {
			old, next := full, full
			old.Op, old.After, old.MovedTo = schemas.Delete, nil, c.Table.KeyOf(c.After)
			next.Op, next.Before, next.MovedFrom = schemas.Insert, nil, c.Table.KeyOf(c.Before)
			want = []*schemas.Change{&old, &next}
		}
	}
	for _, r := range records {
		r.Headers = append(slices.Clone(r.Headers), schemas.Header{Key: schemas.HeaderSeq, Value: binary.BigEndian.AppendUint64(nil, 42)},
			schemas.Header{Key: schemas.HeaderOrigin, Value: []byte("p:7")})
		var got schemas.Change
		ok, err := dec.Decode(&r, &got)
		if err != nil {
			t.Fatalf("decode: %v", err)
		}
		if !ok {
			continue
		}
		if len(want) == 0 {
			t.Fatal("one change too many")
		}
		compare(t, want[0], &got)
		want = want[1:]
	}
	if len(want) > 0 {
		t.Fatalf("%d changes are missing", len(want))
	}
}

func compare(t *rapid.T, want, got *schemas.Change) {
	t.Helper()
	if got.Op != want.Op || got.LSN != want.LSN || got.Offset != want.Offset || got.RowNo != want.RowNo || got.SnapshotMark != want.SnapshotMark || got.Seq != 42 {
		t.Fatalf("got %+v\nwant %+v", got, want)
	}
	g, w := *got.Txn, *want.Txn
	if !g.Time.Equal(w.Time) || g.Origin != (schemas.Origin{Pipeline: "p", Batch: 7}) {
		t.Fatalf("got txn %+v, want %+v", g, w)
	}
	g.Time, g.Origin = w.Time, w.Origin
	if g != w {
		t.Fatalf("got txn %+v, want %+v", g, w)
	}
	for name, pair := range map[string][2]schemas.Row{"before": {want.Before, got.Before}, "after": {want.After, got.After},
		"moved to": {want.MovedTo, got.MovedTo}, "moved from": {want.MovedFrom, got.MovedFrom}} {
		if (pair[0] == nil) != (pair[1] == nil) || !slices.Equal(pair[0], pair[1]) {
			t.Fatalf("%s: got %q (%v), want %q (%v)", name, pair[1], storages(pair[1]), pair[0], storages(pair[0]))
		}
	}
	compareTables(t, want.Table, got.Table, want.Op == schemas.Truncate)
}

func storages(row schemas.Row) []schemas.Storage {
	out := make([]schemas.Storage, len(row))
	for i, v := range row {
		out[i] = v.Storage()
	}
	return out
}

func compareTables(t *rapid.T, want, got *schemas.Table, noKey bool) {
	t.Helper()
	if got.Name != want.Name || len(got.Columns) != len(want.Columns) || !noKey && !slices.Equal(got.Key, want.Key) {
		t.Fatalf("got table %+v, want %+v", got, want)
	}
	for i, w := range want.Columns {
		g := got.Columns[i]
		if g.Name != w.Name || g.Nullable != w.Nullable || !sameType(g.Type, w.Type) {
			t.Fatalf("column %d: got %+v, want %+v", i, g, w)
		}
	}
}

func sameType(g, w schemas.Type) bool {
	if (g.Elem == nil) != (w.Elem == nil) || g.Elem != nil && !sameType(*g.Elem, *w.Elem) {
		return false
	}
	return g.Kind == w.Kind && g.Precision == w.Precision && g.Scale == w.Scale && g.Length == w.Length && slices.Equal(g.Labels, w.Labels)
}
