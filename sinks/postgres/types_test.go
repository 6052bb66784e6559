//go:build !noservers

package postgres_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
	"github.com/strait-cdc/strait/sinks/sinktest"
)

type kindCase struct {
	ddl         string
	value, near schemas.Value // near is a value that a guard must tell from value
	shown       string        // as the server prints it
}

const day = 86400 * 1e6

var kindCases = []kindCase{
	{"boolean", schemas.Bool(true), schemas.Bool(false), "true"},
	{"smallint", schemas.Int(-32768), schemas.Int(-32767), "-32768"},
	{"integer", schemas.Int(math.MaxInt32), schemas.Null, "2147483647"},
	{"bigint", schemas.Int(math.MinInt64), schemas.Int(0), "-9223372036854775808"},
	{"real", schemas.Float(float64(float32(0.1))), schemas.Float(float64(math.Nextafter32(0.1, 1))), "0.1"},
	{"real", schemas.Float(16777216), schemas.Float(16777218), "1.6777216e+07"},
	{"double precision", schemas.Float(0.1), schemas.Float(math.Nextafter(0.1, 1)), "0.1"},
	{"double precision", schemas.Float(math.NaN()), schemas.Float(0), "NaN"},
	{"double precision", schemas.Float(math.Inf(-1)), schemas.Float(math.Inf(1)), "-Infinity"},
	{"numeric(10,2)", schemas.Text("-12345678.90"), schemas.Text("-12345678.91"), "-12345678.90"},
	{"numeric(10,2)", schemas.Text("1.5000"), schemas.Text("1.51"), "1.50"},
	{"numeric", schemas.Text("12345678901234567890.123456789012345678901"), schemas.Text("12345678901234567890.123456789012345678902"), "12345678901234567890.123456789012345678901"},
	{"numeric", schemas.Text("NaN"), schemas.Text("0"), "NaN"},
	{"text", schemas.Text("naïve 日本"), schemas.Text("naïve 日本 "), "naïve 日本"},
	{"varchar(3)", schemas.Text("äöü"), schemas.Text("äöu"), "äöü"},
	{"char(5)", schemas.Text("ab   "), schemas.Text("aB   "), "ab"},
	{`text collate "ci"`, schemas.Text("abc"), schemas.Text("ABC"), "abc"},
	{"bytea", schemas.Bytes("\x00\xff\\'"), schemas.Bytes("\x00\xff\\"), `\x00ff5c27`},
	{"date", schemas.Int(0), schemas.Int(1), "1970-01-01"},
	{"date", schemas.Int(-719529), schemas.Int(0), "0002-12-31 BC"},
	{"date", schemas.Int(schemas.InfinityPlus), schemas.Int(schemas.InfinityMinus), "infinity"},
	{"date", schemas.Int(2932897), schemas.Int(0), "10000-01-01"},
	{"time", schemas.Int(day), schemas.Int(0), "24:00:00"},
	{"time", schemas.Int(1), schemas.Int(0), "00:00:00.000001"},
	{"time(3)", schemas.Int(1000), schemas.Int(2000), "00:00:00.001"},
	{"timestamp", schemas.Int(-1), schemas.Int(0), "1969-12-31 23:59:59.999999"},
	{"timestamp", schemas.Int(schemas.InfinityMinus), schemas.Int(0), "-infinity"},
	{"timestamp(0)", schemas.Int(1e6), schemas.Int(0), "1970-01-01 00:00:01"},
	{"timestamptz", schemas.Int(1700000000123456), schemas.Int(1700000000123457), "2023-11-14 22:13:20.123456+00"},
	{"timetz", schemas.Text("10:00:00+02"), schemas.Text("08:00:00+00"), "10:00:00+02"},
	{"interval", schemas.Text("P1Y2M3DT4H5M6.5S"), schemas.Text("P1Y2M2DT28H5M6.5S"), "1 year 2 mons 3 days 04:05:06.5"},
	{"interval", schemas.Text("P1M"), schemas.Text("P30D"), "1 mon"},
	{"bit(10)", schemas.Bytes("\x02\xaa"), schemas.Bytes("\x02\xab"), "1010101010"},
	{"varbit(12)", schemas.Text("101"), schemas.Text("1010"), "101"},
	{"mood", schemas.Text("so so"), schemas.Text("fine"), "so so"},
	{"json", schemas.Text(`{"a":  1}`), schemas.Text(`{"a": 1}`), `{"a":  1}`},
	{"jsonb", schemas.Text(`{"b": 1, "a": [1.0, null]}`), schemas.Text(`{"b": 1}`), `{"a": [1.0, null], "b": 1}`},
	{"uuid", schemas.Text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), schemas.Text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	{"integer[]", schemas.Text("{{1,2},{3,NULL}}"), schemas.Text("{1,2,3,NULL}"), "{{1,2},{3,NULL}}"},
	{"text[]", schemas.Text(`{"a,b","c\"d"}`), schemas.Text(`{"a,b"}`), `{"a,b","c\"d"}`},
	{"mood[]", schemas.Text(`{"so so"}`), schemas.Text(`{fine}`), `{"so so"}`},
	{"point", schemas.Text("(1,2)"), schemas.Text("(1,3)"), "(1,2)"},
	{"box", schemas.Text("(2,2),(1,1)"), schemas.Text("(3,3),(2,2)"), "(2,2),(1,1)"}, // equal areas
	{"inet", schemas.Text("10.0.0.1/8"), schemas.Text("10.0.0.1"), "10.0.0.1/8"},
	{"int4range", schemas.Text("[1,5)"), schemas.Text("[1,6)"), "[1,5)"},
	{"money", schemas.Text("12.34"), schemas.Text("12.35"), "$12.34"},
	{"xml", schemas.Text("<a>1</a>"), schemas.Text("<a>2</a>"), "<a>1</a>"},
	{"pair", schemas.Text("(1,x)"), schemas.Text("(2,x)"), "(1,x)"},
	{"short", schemas.Text("abc"), schemas.Text("ABC"), "abc"},
	{`"char"`, schemas.Text("x"), schemas.Text("y"), "x"},
}

// cutCases are values that a cast or the server itself would change in silence.
var cutCases = []struct {
	ddl   string
	value schemas.Value
}{
	{"varchar(3)", schemas.Text("abcd")}, {"varchar(3)", schemas.Text("abc ")}, {"char(3)", schemas.Text("abcd")}, {"short", schemas.Text("abcd")}, {`"char"`, schemas.Text("xy")},
	{"name", schemas.Text(strings.Repeat("n", 64))}, {"numeric(5,2)", schemas.Text("1.234")}, {"numeric(5,2)", schemas.Text("1234.5")}, {"price", schemas.Text("1.234")},
	{"time(3)", schemas.Int(1)}, {"timestamp(0)", schemas.Int(1)}, {"bit(3)", schemas.Bytes("\x08")}, {"smallint", schemas.Int(40000)}, {"real", schemas.Float(1e300)},
	{"date", schemas.Text("2023-02-30")}, {"mood", schemas.Text("sad")}, {"text", schemas.Text("a\x00b")}, {"integer", schemas.Text("1.5")}, {"uuid", schemas.Text("x")},
	{"text", schemas.Text("\xff")}, {"time", schemas.Int(-1)}, {"text", schemas.Bytes("\xff")}, {"boolean", schemas.Text("perhaps")}, {"json", schemas.Text("{")},
}

const typesDDL = `create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create type mood as enum ('fine', 'so so'); create type pair as (a int, b text);
create domain word as varchar(5); create domain short as word check (length(value) <= 3); create domain price as numeric(5,2)`

func TestKinds(t *testing.T) {
	for _, version := range []string{"15", "18"} {
		t.Run(version, func(t *testing.T) {
			server := testenv.Postgres(t, version)
			cases := kindCases
			if !hasICU(t, server) {
				t.Log("this server has no ICU: the case of a collation that folds letters is left out")
				server.Exec(t, strings.Join(strings.SplitAfter(typesDDL, ";")[1:], ""))
				cases = without(cases, `collate "ci"`)
			} else {
				server.Exec(t, typesDDL)
			}
			if !hasXML(server) {
				t.Log("this server has no XML: its case is left out")
				cases = without(cases, "xml")
			}
			k := &kinds{T: t, server: server, sink: started(t, server)}
			for i, c := range cases {
				k.check(i, c)
			}
			k.refuse()
		})
	}
}

func hasICU(t *testing.T, server *testenv.Server) bool {
	var n int
	if err := server.DB().QueryRow(`select count(*) from pg_collation where collprovider = 'i'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func hasXML(server *testenv.Server) bool {
	_, err := server.DB().Exec(`select '<a/>'::text::xml`)
	return err == nil
}

func without(cases []kindCase, word string) []kindCase {
	var out []kindCase
	for _, c := range cases {
		if !strings.Contains(c.ddl, word) {
			out = append(out, c)
		}
	}
	return out
}

func started(t testing.TB, server *testenv.Server) sinks.Sink {
	t.Helper()
	s := open(t, server, server.Addr(), t.Name(), 0)
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Start(context.Background(), sinktest.Anyone); err != nil {
		t.Fatal(err)
	}
	return s
}

type kinds struct {
	*testing.T
	server *testenv.Server
	sink   sinks.Sink
	batch  int64
}

func (k *kinds) apply(intents []schemas.Intent) []schemas.Answer {
	k.Helper()
	k.batch++
	answers, err := k.sink.Apply(context.Background(), k.batch, intents)
	if err != nil {
		k.Fatal(err)
	}
	return answers
}

// rows makes the same write for rows 1 to 3, so that it goes out as one statement
// where statements are joined.
func rows(kind schemas.WriteKind, table schemas.TableName, set, guard []schemas.Cell) []schemas.Intent {
	var out []schemas.Intent
	for i := int64(1); i <= 3; i++ {
		out = append(out, schemas.Intent{ID: fmt.Sprint(i), Writes: []schemas.Write{{Kind: kind, Table: table, Key: []schemas.Cell{{Column: "id", Value: schemas.Int(i)}}, Set: set, Guard: guard}}})
	}
	return out
}

func cell(column string, v schemas.Value) []schemas.Cell {
	return []schemas.Cell{{Column: column, Value: v}}
}

func (k *kinds) check(i int, c kindCase) {
	k.Helper()
	table := schemas.TableName{Schema: "public", Name: fmt.Sprint("kind", i)}
	k.server.Exec(k.T, fmt.Sprintf("create table %s (id int primary key, c %s, note text)", table, c.ddl))
	want := func(what string, o schemas.Outcome, answers []schemas.Answer) {
		k.Helper()
		for _, a := range answers {
			if a.Outcome != o {
				k.Errorf("%s %s: %s: outcome %d, want %d (%s)", c.ddl, c.value, what, a.Outcome, o, a.Reason)
				return
			}
		}
	}
	want("insert", schemas.Applied, k.apply(rows(schemas.WriteInsert, table, cell("c", c.value), nil)))
	var n int
	var shown string
	query := fmt.Sprintf("select count(*), coalesce(min(c::text), 'NULL') from %s where c::text = $1", table)
	if err := k.server.DB().QueryRow(query, c.shown).Scan(&n, &shown); err != nil || n != 3 {
		_ = k.server.DB().QueryRow(fmt.Sprintf("select coalesce(min(c::text), 'NULL') from %s", table)).Scan(&shown)
		k.Errorf("%s %s: the server shows %q, want %q (%v)", c.ddl, c.value, shown, c.shown, err)
	}
	note := cell("note", schemas.Text("x"))
	want("guard", schemas.Applied, k.apply(rows(schemas.WriteUpdate, table, note, cell("c", c.value))))
	alone := func(id string, guard schemas.Value) schemas.Intent {
		in := rows(schemas.WriteUpdate, table, note, cell("c", guard))[0]
		in.ID = id
		return in
	}
	answers := k.apply([]schemas.Intent{alone("held", c.value), alone("near", c.near), alone("null", schemas.Null)})
	want("guard alone", schemas.Applied, answers[:1])
	want("near or null guard", schemas.Missed, answers[1:])
	want("near guard", schemas.Missed, k.apply(rows(schemas.WriteUpdate, table, note, cell("c", c.near))))
	want("update, back, delete", schemas.Applied, k.apply(numbered(rows(schemas.WriteUpdate, table, cell("c", schemas.Null), cell("c", c.value)),
		rows(schemas.WriteUpdate, table, cell("c", c.value), cell("c", schemas.Null)), rows(schemas.WriteDelete, table, nil, cell("c", c.value)))))
}

func numbered(lists ...[]schemas.Intent) []schemas.Intent {
	var out []schemas.Intent
	for _, list := range lists {
		for _, in := range list {
			in.ID = fmt.Sprint(len(out))
			out = append(out, in)
		}
	}
	return out
}

// refuse writes each value into a column of its own of one table.
func (k *kinds) refuse() {
	table := schemas.TableName{Schema: "public", Name: "cut"}
	ddl := "create table public.cut (id int primary key"
	for i, c := range cutCases {
		ddl += fmt.Sprintf(", c%d %s", i, c.ddl)
	}
	k.server.Exec(k.T, ddl+"); insert into public.cut (id) values (1), (2), (3)")
	for i, c := range cutCases {
		set := cell(fmt.Sprint("c", i), c.value)
		insert := rows(schemas.WriteInsert, table, set, nil)[:1]
		insert[0].Writes[0].Key[0].Value = schemas.Int(9)
		for _, a := range append(k.apply(rows(schemas.WriteUpdate, table, set, nil)), k.apply(insert)...) {
			if a.Outcome != schemas.Refused {
				k.Errorf("%s takes %s: outcome %d", c.ddl, c.value, a.Outcome)
				break
			}
		}
	}
}
