package mapping

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/strait-cdc/strait/schemas"
)

func exprScope() *scope {
	kind := func(name string, t schemas.Type) schemas.Column {
		return schemas.Column{Name: name, Type: t, Nullable: true}
	}
	money := schemas.Type{Kind: schemas.KindDecimal, Precision: 14, Scale: 2}
	row := &schemas.Table{Columns: []schemas.Column{kind("name", textType()), kind("n", schemas.Type{Kind: schemas.KindInt32}), kind("price", money),
		kind("day", schemas.Type{Kind: schemas.KindDate}), kind("at", schemas.Type{Kind: schemas.KindTimestampTZ}), kind("flag", schemas.Type{Kind: schemas.KindBool}),
		kind("weight", schemas.Type{Kind: schemas.KindFloat64}), kind("none", textType()), kind("primary", textType()), kind("big", schemas.Type{Kind: schemas.KindUint64})}}
	lines := &schemas.Table{Columns: []schemas.Column{kind("qty", money), kind("kind", textType())}}
	return &scope{table: row, joins: []Join{{Name: "lines", Table: lines}}, system: "crm",
		maps: map[string]*codeMap{"terms": {name: "terms", codes: []string{"net30"}, doc: &codeMapDoc{rows: []*codeRowDoc{{on: map[string][]text{"crm": {{s: "N30"}, {s: "30"}}}}}}}}}
}

func exprEnv() Env {
	day, _ := parseDate("2026-02-28")
	at, _ := parseStamp("2026-01-31T23:30:00Z", true)
	return Env{
		Row: schemas.Row{schemas.Text(" Acme "), schemas.Int(7), schemas.Text("19.99"), schemas.Int(day), schemas.Int(at), schemas.Int(1), schemas.Float(0.1),
			schemas.Null, schemas.Text("x"), schemas.Uint(18446744073709551615)},
		Joined: [][]schemas.Row{{{schemas.Text("1.50"), schemas.Text("a")}, {schemas.Text("2.25"), schemas.Text("b")}, {schemas.Null, schemas.Text("a")}}},
	}
}

// TestExpressions is the reference of what expressions give.
func TestExpressions(t *testing.T) {
	s, env := exprScope(), exprEnv()
	for in, want := range map[string]string{
		"trim(row.name)":                                     "Acme",
		"upper(trim(row.name)) + '!'":                        "ACME!",
		"row.none":                                           "<nil>",
		"row.none ?? 'x'":                                    "x",
		"coalesce(row.none, row.name)":                       " Acme ",
		"trim(row.none) == nil":                              "true",
		"row.none == 'x'":                                    "false",
		"row.none != 'x'":                                    "true",
		"row.none == nil and row.name != nil":                "true",
		"concat(row.n, '-', row.none, row.price)":            "7-19.99",
		"row.n + 1":                                          "8",
		"row.n * row.price":                                  "139.93",
		"row.price * 1.19":                                   "23.7881",
		"round(row.price * 1.19, 2)":                         "23.79",
		"round(2.5, 0)":                                      "2",
		"round(2.5, 0, 'half_up')":                           "3",
		"round(-2.5, 0, 'floor')":                            "-3",
		"div(10, 3, 4)":                                      "3.3333",
		"div(row.price, row.n, 2, 'up')":                     "2.86",
		"0.1 + 0.2 == 0.3":                                   "true",
		"row.weight + 0.2 == 0.3":                            "true",
		"-row.price":                                         "-19.99",
		"abs(-row.price) == row.price":                       "true",
		"row.price > 19 and row.price < 20.00":               "true",
		"row.n == 7.0":                                       "true",
		"row.big + 1":                                        "18446744073709551616",
		"row.flag == 1":                                      "true",
		"row.flag":                                           "1",
		"row.day + 1":                                        "!",
		"add_days(row.day, 1)":                               "2026-03-01",
		"year(row.day) * 100 + month(row.day)":               "202602",
		"day(row.day)":                                       "28",
		"row.day > date('2026-01-01')":                       "true",
		"days_between(date('2026-01-01'), row.day)":          "58",
		"date_of(row.at, 'Europe/Berlin')":                   "2026-02-01",
		"date_of(row.at, 'Mars')":                            "!",
		"sum(lines, .qty)":                                   "3.75",
		"sum(lines, #.qty) - 0.75":                           "3.00",
		"sum(filter(lines, .kind == 'b'), .qty)":             "2.25",
		"sum(map(lines, .qty))":                              "3.75",
		"sum([1, 2])":                                        "3",
		"count(lines, .kind == 'a')":                         "2",
		"len(lines)":                                         "3",
		"any(lines, .kind == 'c')":                           "false",
		"all(lines, .kind in ['a', 'b'])":                    "true",
		"min(map(lines, .qty))":                              "1.50",
		"max(map(lines, .qty), 1)":                           "!",
		"max(1, row.price, 3)":                               "19.99",
		"first(lines).kind":                                  "a",
		"find(lines, .kind == 'b')?.qty":                     "2.25",
		"find(lines, .kind == 'z')?.qty":                     "<nil>",
		"find(lines, .kind == 'z')?.qty ?? 1":                "1",
		"codes('terms', 'N30')":                              "net30",
		"codes('terms', 30)":                                 "net30",
		"codes('terms', 'N60')":                              "!",
		"row.name startsWith ' A' ? 'yes' : 'no'":            "yes",
		"row.name matches '^ *A'":                            "true",
		"let x = trim(row.name); x + x":                      "AcmeAcme",
		"row.none + 'x'":                                     "!",
		"row.none < 'x'":                                     "!",
		"row.none startsWith 'x'":                            "false",
		"9223372036854775807 + 1":                            "!",
		"int('12') + int(3.0)":                               "15",
		"int('x')":                                           "!",
		"decimal('1.50') + 1":                                "2.50",
		"text(row.price)":                                    "19.99",
		"left('Äpfel', 2) + right('Äpfel', 1)":               "Äpl",
		"replace('a-b', '-', '')":                            "ab",
		"row.primary":                                        "x",
		"not (row.n > 3)":                                    "false",
		"div(1, 0, 2)":                                       "!",
		"(row.n > 3 ? row.price : 1.0) > 5":                  "true",
		"map(lines, .qty ?? 0)[2] == 0":                      "true",
		"map(lines, (.qty ?? 0) * row.n)[0]":                 "10.50",
		"sum(lines, (.qty ?? 0) * 2) * row.n > row.price":    "true",
		"filter(1..99999, # == 1)":                           "!",
		"sum(map(1..9999, map(1..9999, #)), # [0])":          "!",
		"lower('ÄB') == 'äb' ? codes('terms', 'N30') : 'no'": "net30",
	} {
		t.Run(in, func(t *testing.T) {
			got := ""
			p, cerr := compileExpr(in, s, nil)
			if cerr != nil {
				got = "!" + cerr.msg
			} else if x, err := p.onRow(env); err != nil {
				got = "!" + err.Error()
			} else {
				got = fmt.Sprint(x)
			}
			if want == "!" && strings.HasPrefix(got, "!") {
				t.Log(got)
				return
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestExpressionsAreRefused lists what must not compile.
func TestExpressionsAreRefused(t *testing.T) {
	s := exprScope()
	for _, in := range []string{"now()", "row", "row.nope", "row['na' + 'me']", "nope", "$env", "$env['row']", "row.price / 2", "row.n % 2", "2 ** 3", "lines.qty", "row.name + 1",
		"row.name == 1", "row.day == '2026-01-01'", "row.day > 3", "trim(row.n)", "trim(row.nope)", "round(row.name, 2)", "env('HOME')", "repeat('x', 1000000)", "toJSON(row)", "codes('nope', 1)",
		"sum(lines, .nope)", "find(lines, .kind == 'x').nope", "row.price + row.name", "first(lines).nope == 1", "fromJSON('1')", "get(row, 'name')", strings.Repeat("1 + ", 600) + "1"} {
		if p, err := compileExpr(in, s, nil); err == nil {
			x, err := p.onRow(exprEnv())
			t.Errorf("%s compiles, and gives %v, %v", in, x, err)
		}
	}
}

func TestExpressionsReadOnlyWhatTheyName(t *testing.T) {
	p, err := compileExpr("row.n > 1 and sum(lines, .qty) > 1", exprScope(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.columns) != 1 || p.columns[0] != 1 || len(p.joins) != 1 || len(p.joins[0].columns) != 1 || p.joins[0].columns[0] != 0 {
		t.Errorf("reads %v and %v", p.columns, p.joins)
	}
	env := exprEnv()
	env.Row[0] = schemas.Unchanged // not read, so it does not matter
	if x, err := p.onRow(env); err != nil || x != true {
		t.Errorf("got %v, %v", x, err)
	}
	env.Row[1] = schemas.Unchanged
	if _, err := p.onRow(env); err == nil {
		t.Error("a value that is not in the log was read")
	}
}

func TestExpressionsRunAtTheSameTime(t *testing.T) {
	p, cerr := compileExpr("row.n * 2 + len(lines)", exprScope(), nil)
	if cerr != nil {
		t.Fatal(cerr)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 500 {
				env := exprEnv()
				env.Row[1] = schemas.Int(int64(g))
				if x, err := p.onRow(env); err != nil || x != 2*g+3 {
					t.Errorf("got %v, %v; want %d", x, err, 2*g+3)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkExpression(b *testing.B) {
	for _, in := range []string{"row.flag == 0", "row.n > 3 and row.name != 'x'", "sum(lines, .qty) - 1.5"} {
		b.Run(in, func(b *testing.B) {
			p, err := compileExpr(in, exprScope(), nil)
			if err != nil {
				b.Fatal(err)
			}
			env := exprEnv()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.onRow(env); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
