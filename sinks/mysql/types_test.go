//go:build !noservers

package mysql_test

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
	shown       string        // as the server prints it, or its hex() where that begins with 0x
	only        string        // the server that has the type
}

const hour = 3600 * 1e6

var kindCases = []kindCase{
	{"tinyint(1)", schemas.Bool(true), schemas.Bool(false), "1", ""},
	{"bit(1)", schemas.Bool(true), schemas.Bool(false), "0x1", ""},
	{"tinyint unsigned", schemas.Int(255), schemas.Int(254), "255", ""},
	{"smallint", schemas.Int(-32768), schemas.Int(0), "-32768", ""},
	{"mediumint", schemas.Int(8388607), schemas.Int(8388606), "8388607", ""},
	{"int unsigned", schemas.Int(4294967295), schemas.Null, "4294967295", ""},
	{"bigint", schemas.Int(math.MinInt64), schemas.Int(math.MinInt64 + 1), "-9223372036854775808", ""},
	{"bigint unsigned", schemas.Uint(math.MaxUint64), schemas.Uint(math.MaxUint64 - 1), "18446744073709551615", ""},
	{"float", schemas.Float(float64(float32(0.1))), schemas.Float(float64(math.Nextafter32(0.1, 1))), "0.1", ""},
	{"float", schemas.Float(16777216), schemas.Float(16777218), "1.67772e+07", ""},
	{"float", schemas.Float(float64(float32(1e-38))), schemas.Float(0), "1e-38", ""},
	{"float", schemas.Float(float64(float32(3.3333333e30))), schemas.Float(float64(math.Nextafter32(3.3333333e30, 1))), "3.33333e+30", ""},
	{"double", schemas.Float(0.1), schemas.Float(math.Nextafter(0.1, 1)), "0.1", ""},
	{"double", schemas.Float(math.MaxFloat64), schemas.Float(math.Nextafter(math.MaxFloat64, 1)), "1.7976931348623157e+308", ""},
	{"double", schemas.Float(math.SmallestNonzeroFloat64 * 12345), schemas.Float(0), "", ""},
	{"decimal(10,2)", schemas.Text("-12345678.90"), schemas.Text("-12345678.91"), "-12345678.90", ""},
	{"decimal(10,2)", schemas.Text("1.5000"), schemas.Text("1.51"), "1.50", ""},
	{"decimal(60,30)", schemas.Text("123456789012345678901234567890.123456789012345678901234567890"), schemas.Text("123456789012345678901234567890.123456789012345678901234567891"), "123456789012345678901234567890.123456789012345678901234567890", ""},
	{"varchar(3)", schemas.Text("äöü"), schemas.Text("aou"), "äöü", ""},
	{"varchar(9)", schemas.Text("ab "), schemas.Text("ab"), "ab ", ""},
	{"char(5)", schemas.Text("ab"), schemas.Text("AB"), "ab", ""},
	{"varchar(9) character set latin1", schemas.Text("naïve€"), schemas.Text("naive€"), "naïve€", ""},
	{"varchar(9) character set utf8mb4 collate utf8mb4_bin", schemas.Text("ab"), schemas.Text("ab "), "ab", ""},
	{"text", schemas.Text("日本 🎉\x00'\"\\"), schemas.Text("日本 🎉\x00'\"\\ "), "日本 🎉\x00'\"\\", ""},
	{"text", schemas.Text("123"), schemas.Text("123.0"), "123", ""},
	{"longtext character set utf16", schemas.Text("日本"), schemas.Text("日"), "日本", ""},
	{"binary(4)", schemas.Bytes("ab\x00\x00"), schemas.Bytes("ab\x00\x01"), "0x61620000", ""},
	{"binary(4)", schemas.Bytes("ab"), schemas.Bytes("aB"), "0x61620000", ""},
	{"varbinary(4)", schemas.Bytes("a\x00"), schemas.Bytes("a"), "0x6100", ""},
	{"blob", schemas.Bytes("\x00\xff'\\"), schemas.Bytes("\x00\xff'"), "0x00FF275C", ""},
	{"blob", schemas.Bytes(""), schemas.Bytes("\x00"), "", ""},
	{"date", schemas.Int(0), schemas.Int(1), "1970-01-01", ""},
	{"date", schemas.Int(2932896), schemas.Int(0), "9999-12-31", ""},
	{"time(6)", schemas.Int(-838*hour - 59*60e6 - 58999999), schemas.Int(-838*hour - 59*60e6 - 58999998), "-838:59:58.999999", ""},
	{"time", schemas.Int(25 * hour), schemas.Int(hour), "25:00:00", ""},
	{"datetime", schemas.Int(1e6), schemas.Int(2e6), "1970-01-01 00:00:01", ""},
	{"datetime(6)", schemas.Int(-1), schemas.Int(0), "1969-12-31 23:59:59.999999", ""},
	{"datetime(3)", schemas.Int(1000), schemas.Int(2000), "1970-01-01 00:00:00.001", ""},
	{"timestamp(6) null", schemas.Int(1700000000123456), schemas.Int(1700000000123457), "2023-11-14 22:13:20.123456", ""},
	{"year", schemas.Int(2026), schemas.Int(2025), "2026", ""},
	{"year", schemas.Int(0), schemas.Int(2000), "", ""},
	{"bit(10)", schemas.Bytes("\x02\xaa"), schemas.Bytes("\x02\xab"), "0x2AA", ""},
	{"bit(64)", schemas.Bytes("\xff\xff\xff\xff\xff\xff\xff\xff"), schemas.Bytes("\x7f\xff\xff\xff\xff\xff\xff\xff"), "0xFFFFFFFFFFFFFFFF", ""},
	{"enum('fine','so so')", schemas.Text("so so"), schemas.Text("SO SO"), "so so", ""},
	{"set('a','b','c')", schemas.Text("a,c"), schemas.Text("a"), "a,c", ""},
	{"json", schemas.Text(`{"a": [1, 2.50, "x"]}`), schemas.Text(`{"a": [1, 2.51, "x"]}`), "", ""},
	{"json", schemas.Text(`12`), schemas.Text(`"12"`), "12", ""},
	{"json", schemas.Text(`{"b":1,"a":"ü"}`), schemas.Text(`{"b":1}`), "", ""},
	{"uuid", schemas.Text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), schemas.Text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "mariadb"},
	{"inet6", schemas.Text("2001:db8::1"), schemas.Text("2001:db8::2"), "2001:db8::1", "mariadb"},
}

// cutCases are values that the server would change in silence or cannot hold.
var cutCases = []struct {
	ddl   string
	value schemas.Value
}{
	{"varchar(3)", schemas.Text("abcd")}, {"varchar(3)", schemas.Text("abc ")}, {"char(3)", schemas.Text("abc ")}, {"tinytext", schemas.Text(strings.Repeat("x", 256))},
	{"decimal(5,2)", schemas.Text("1.234")}, {"decimal(5,2)", schemas.Text("1234.5")}, {"decimal(5,2)", schemas.Text("NaN")}, {"decimal(5,2)", schemas.Float(1.234)},
	{"datetime", schemas.Int(1)}, {"time(3)", schemas.Int(1)}, {"date", schemas.Int(schemas.InfinityPlus)}, {"timestamp null", schemas.Int(-1e6)}, {"datetime", schemas.Text("2023-02-30 00:00:00")},
	{"tinyint", schemas.Int(128)}, {"int unsigned", schemas.Int(-1)}, {"int", schemas.Text("12abc")}, {"int", schemas.Text("")}, {"float", schemas.Float(1e300)}, {"double", schemas.Float(math.NaN())},
	{"bit(3)", schemas.Bytes("\x08")}, {"enum('fine')", schemas.Text("sad")}, {"set('a')", schemas.Text("a,b")}, {"varchar(9) character set latin1", schemas.Text("日本")},
	{"varchar(9)", schemas.Bytes("\xff")}, {"varchar(9)", schemas.Text("\xff")}, {"json", schemas.Text("{")}, {"binary(2)", schemas.Bytes("abc")}, {"year", schemas.Int(1800)}, {"time", schemas.Int(839 * hour)},
	{"date", schemas.Text("2023-01-02 10:00:00")}, {"varchar(9)", schemas.Unchanged}, {"varchar(9) not null default 'x'", schemas.Null}, {"int", schemas.Text("1.5")},
}

func TestKinds(t *testing.T) {
	servers(t, func(t *testing.T, server *testenv.Server) {
		k := &kinds{T: t, server: server, sink: started(t, server)}
		for i, c := range kindCases {
			if c.only == "" || c.only == server.Kind {
				k.check(i, c)
			}
		}
		k.refuse()
	})
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

// all is more rows than are sent one by one.
const all = 6

// rows makes the same write for rows 1 to all.
func rows(kind schemas.WriteKind, table schemas.TableName, set, guard []schemas.Cell) []schemas.Intent {
	var out []schemas.Intent
	for i := int64(1); i <= all; i++ {
		out = append(out, schemas.Intent{ID: fmt.Sprint(i), Writes: []schemas.Write{{Kind: kind, Table: table, Key: []schemas.Cell{{Column: "id", Value: schemas.Int(i)}}, Set: set, Guard: guard}}})
	}
	return out
}

func cell(column string, v schemas.Value) []schemas.Cell {
	return []schemas.Cell{{Column: column, Value: v}}
}

func (k *kinds) want(c kindCase, what string, o schemas.Outcome, answers []schemas.Answer) {
	k.Helper()
	for _, a := range answers {
		if a.Outcome != o {
			k.Errorf("%s %s: %s: outcome %d, want %d (%s)", c.ddl, c.value, what, a.Outcome, o, a.Reason)
			return
		}
	}
}

func (k *kinds) check(i int, c kindCase) {
	k.Helper()
	table := schemas.TableName{Schema: k.server.Database, Name: fmt.Sprint("kind", i)}
	k.server.Exec(k.T, fmt.Sprintf("create table %s (id int primary key, c %s, note text)", table, c.ddl))
	k.want(c, "insert", schemas.Applied, k.apply(rows(schemas.WriteInsert, table, cell("c", c.value), nil)))
	column := "c"
	if strings.HasPrefix(c.shown, "0x") {
		column = "concat('0x', hex(c))"
	}
	var shown string
	if err := k.server.DB().QueryRow(fmt.Sprintf("select %s from %s limit 1", column, table)).Scan(&shown); err != nil || c.shown != "" && shown != c.shown {
		k.Errorf("%s %s: the server shows %q, want %q (%v)", c.ddl, c.value, shown, c.shown, err)
	}
	note := cell("note", schemas.Text("x"))
	k.want(c, "guard", schemas.Applied, k.apply(rows(schemas.WriteUpdate, table, note, cell("c", c.value))))
	alone := func(id string, guard schemas.Value) schemas.Intent {
		in := rows(schemas.WriteUpdate, table, note, cell("c", guard))[0]
		in.ID = id
		return in
	}
	answers := k.apply([]schemas.Intent{alone("held", c.value), alone("near", c.near), alone("null", schemas.Null)})
	k.want(c, "guard alone", schemas.Applied, answers[:1])
	k.want(c, "near or null guard", schemas.Missed, answers[1:])
	k.want(c, "near guard", schemas.Missed, k.apply(rows(schemas.WriteUpdate, table, note, cell("c", c.near))))
	k.want(c, "update, back, delete", schemas.Applied, k.apply(numbered(rows(schemas.WriteUpdate, table, cell("c", schemas.Null), cell("c", c.value)),
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
	table := schemas.TableName{Schema: k.server.Database, Name: "cut"}
	ddl := "create table cut (id int primary key"
	for i, c := range cutCases {
		ddl += fmt.Sprintf(", c%d %s", i, c.ddl)
	}
	k.server.Exec(k.T, ddl+")", "insert into cut (id) values (11)")
	for i, c := range cutCases {
		set := cell(fmt.Sprint("c", i), c.value)
		update := rows(schemas.WriteUpdate, table, set, nil)[:1]
		update[0].Writes[0].Key[0].Value = schemas.Int(11)
		for _, a := range append(k.apply(rows(schemas.WriteInsert, table, set, nil)), k.apply(update)...) {
			if a.Outcome != schemas.Refused {
				k.Errorf("%s takes %s: outcome %d", c.ddl, c.value, a.Outcome)
				break
			}
		}
	}
}

// TestZeroDates has the NULL of a Value mean the zero date of a column that
// cannot be null, as readers do.
func TestZeroDates(t *testing.T) {
	servers(t, func(t *testing.T, server *testenv.Server) {
		var mode string
		if err := server.DB().QueryRow(`select @@global.sql_mode`).Scan(&mode); err != nil {
			t.Fatal(err)
		}
		table := schemas.TableName{Schema: server.Database, Name: "zero"}
		server.Exec(t, `create table zero (id int primary key, d date not null, dt datetime(3) not null, n date, note text)`,
			`set sql_mode = ''; insert into zero values (1, 0, 0, 0, null), (2, '2020-05-00', '2020-00-01', null, null), (3, '2020-05-01', '2020-05-01', '2020-05-01', null)`)
		k := &kinds{T: t, server: server, sink: started(t, server)}
		for _, column := range []string{"d", "dt", "n"} {
			answers := k.apply(rows(schemas.WriteUpdate, table, cell("note", schemas.Text(column)), cell(column, schemas.Null))[:3])
			if answers[0].Outcome != schemas.Applied || answers[1].Outcome != schemas.Applied || answers[2].Outcome != schemas.Missed {
				t.Errorf("guard null on %s: %+v", column, answers)
			}
		}
		want := schemas.Applied
		if strings.Contains(mode, "NO_ZERO_DATE") {
			want = schemas.Refused
		}
		set := append(cell("d", schemas.Null), cell("dt", schemas.Null)...)
		if a := k.apply(rows(schemas.WriteUpdate, table, set, nil)[2:3]); a[0].Outcome != want {
			t.Errorf("null into date not null under %q: %+v, want %d", mode, a, want)
		}
	})
}
