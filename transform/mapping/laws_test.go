package mapping

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/strait-cdc/strait/schemas"
)

var (
	textColumn = schemas.Type{Kind: schemas.KindText, Native: "text"}
	intColumn  = schemas.Type{Kind: schemas.KindInt64, Native: "bigint"}
	wallColumn = schemas.Type{Kind: schemas.KindTimestamp, Precision: 6, Native: "timestamp(6)"}
	jsonColumn = schemas.Type{Kind: schemas.KindJSON, Native: "json"}
	freeColumn = schemas.Type{Kind: schemas.KindNumeric, Native: "numeric"}
)

func texts(g *rapid.Generator[string]) *rapid.Generator[schemas.Value] {
	return rapid.Map(g, schemas.Text)
}

// anyText is texts as they are found: blanks at the ends, odd letters.
var anyText = texts(rapid.OneOf(rapid.String(), rapid.StringMatching(`[ a-zA-ZäöüßéÅ@.,'-]{0,30}`), rapid.SampledFrom([]string{"", " ", "ß", "İ", "ŉ", "ǅ", "e\u0301", "\u00a0x", "MAILTO:mailto: A@b.C"})))

func ints(lo, hi int64) *rapid.Generator[schemas.Value] {
	return rapid.Map(rapid.Int64Range(lo, hi), schemas.Int)
}

// laws is, for each codec, how it is called and values of its column.
var laws = []struct {
	call   string
	column schemas.Type
	values *rapid.Generator[schemas.Value]
}{
	{"trim", textColumn, anyText},
	{"collapse", textColumn, anyText},
	{"nfc", textColumn, anyText},
	{"upper", textColumn, anyText},
	{"lower", textColumn, anyText},
	{"email", textColumn, anyText},
	{"phone('DE')", textColumn, texts(rapid.OneOf(rapid.StringMatching(`(\+|00)?[0-9 ()/-]{3,18}`), rapid.StringMatching(`.{0,12}`), rapid.SampledFrom([]string{"030 901820", "+1 (212) 555-0100", "call me", "0049 30 1", "030901820 ext. 5"})))},
	{"phone('US')", textColumn, texts(rapid.StringMatching(`1?[0-9 ()-]{7,14}`))},
	{"country('name')", textColumn, texts(rapid.SampledFrom([]string{"Germany", "DE", "deu", "276", "France", "US", "United States", "Ivory Coast", "Atlantis"}))},
	{"country('alpha2')", textColumn, texts(rapid.StringMatching(`[A-Za-z]{2}`))},
	{"country('alpha3')", textColumn, texts(rapid.StringMatching(`[A-Z]{3}`))},
	{"country('numeric')", textColumn, texts(rapid.StringMatching(`[0-9]{1,3}`))},
	{"null_if('n/a', '-')", textColumn, texts(rapid.SampledFrom([]string{"n/a", "-", "x", ""}))},
	{"len(5)", textColumn, texts(rapid.StringMatching(`[aé]{0,7}`))},
	{"charset('latin1')", textColumn, anyText},
	{"charset('utf8mb3')", textColumn, anyText},
	{"charset('windows1252')", textColumn, anyText},
	{"charset('ascii')", textColumn, anyText},
	{"prefix('D', 5)", textColumn, texts(rapid.StringMatching(`D[0-9]{0,8}`))},
	{"prefix('')", textColumn, texts(rapid.StringMatching(`[0-9]{0,8}`))},
	{"int", textColumn, texts(rapid.StringMatching(` ?[+-]?[0-9]{0,20} ?`))},
	{"decimal(6, 2)", textColumn, texts(rapid.StringMatching(`[+-]?[0-9]{0,4}\.?[0-9]{0,6}`))},
	{"decimal(14, 2, 'half_up')", freeColumn, texts(rapid.StringMatching(`-?[1-9][0-9]{0,3}\.[0-9]{1,6}`))},
	{"decimal(14, 2, 'down')", schemas.Type{Kind: schemas.KindFloat64, Native: "double"}, rapid.Map(rapid.Float64Range(-1e6, 1e6), schemas.Float)},
	{"yes_no('J', 'N')", textColumn, texts(rapid.SampledFrom([]string{"J", "N", "j", ""}))},
	{"bool", textColumn, texts(rapid.SampledFrom([]string{"Y", "no", "TRUE", "0", "x", ""}))},
	{"date('DD.MM.YYYY')", textColumn, texts(rapid.StringMatching(`[0-3][0-9]\.[01][0-9]\.[0-9]{4}`))},
	{"date('YYYYMMDD')", textColumn, texts(rapid.StringMatching(`[0-9]{4}[01][0-9][0-3][0-9]`))},
	{"datetime('UTC')", wallColumn, ints(-1<<50, 1<<52)},
	{"unix('s')", intColumn, ints(-1<<40, 1<<40)},
	{"unix('ms')", intColumn, ints(-1<<62, 1<<62)},
	{"json('a.b')", jsonColumn, texts(rapid.SampledFrom([]string{`{}`, `{"a":{"b":1,"c":2}}`, `{"a":{"b":"x y"},"z":[1,2]}`, `{"a":{"b":true}}`, `{"a":null}`, `{"a":{"b":{"q":1.50}}}`, `[1]`, `x`}))},
	{"part(2, ', ')", textColumn, texts(rapid.StringMatching(`[a-c]{0,2}(, [a-c]{0,2}){0,3}`))},
}

func build(t testing.TB, s string, column schemas.Type, columns ...schemas.Type) link {
	t.Helper()
	c, _, err := parseCall(s)
	if err != nil {
		t.Fatal(err)
	}
	a := c.args
	a.columns = columns
	k, err := findCodec(c.name).build(&a, column)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return k
}

// isNothing is what the chain makes NULL behind each codec.
func isNothing(v schemas.Value) bool {
	return v.IsNull() || v.Storage() == schemas.StoreText && v.Text() == ""
}

func TestLawsOfCodecs(t *testing.T) {
	tested := map[string]bool{"date_of": true} // one way: nothing comes back
	for _, l := range laws {
		name, _, _ := strings.Cut(l.call, "(")
		tested[name] = true
		t.Run(l.call, func(t *testing.T) {
			k := build(t, l.call, l.column)
			rapid.Check(t, func(t *rapid.T) {
				x := l.values.Draw(t, "x")
				if isNothing(x) {
					return
				}
				v, err := k.in(x)
				if err != nil || isNothing(v) {
					return // not understood, or nothing: the chain stops here
				}
				w, err := k.out(v, x)
				if err != nil {
					return // refused: never written
				}
				if isNothing(w) {
					t.Fatalf("%q: %q is written as nothing", x, v)
				}
				back, err := k.in(w)
				if err != nil || back != v {
					t.Fatalf("in(%q) = %q, out of that = %q, in of that = %q, %v", x, v, w, back, err)
				}
			})
		})
	}
	tested["join"], tested["lines"] = true, true // in TestLawsOfSeveralColumns
	for _, c := range codecs {
		if !tested[c.name] {
			t.Errorf("codec %s has no row in the test of the laws", c.name)
		}
	}
}

func TestLawsOfSeveralColumns(t *testing.T) {
	ten := schemas.Type{Kind: schemas.KindText, Length: 10, Native: "varchar(10)"}
	for _, call := range []string{"join(', ')", "lines"} {
		t.Run(call, func(t *testing.T) {
			k := build(t, call, ten, ten, ten, ten)
			rapid.Check(t, func(t *rapid.T) {
				v := schemas.Text(rapid.StringMatching(`[a-z]{1,6}((, | )[a-z]{1,6}){0,5}`).Draw(t, "v"))
				cells, err := k.split(v)
				if err != nil {
					return
				}
				back, err := k.join(cells)
				if err != nil || back != v {
					t.Fatalf("%q is written as %q and reads back as %q, %v", v, cells, back, err)
				}
			})
		})
	}
}

// TestLawsOfLens runs whole chains, with columns that can and cannot be NULL:
// what Out accepts reads back as itself, and a second round changes nothing.
func TestLawsOfLens(t *testing.T) {
	chains := []string{"trim", "trim,collapse,nfc", "email", "phone('DE')", "trim,upper", "collapse,len(10)", "null_if('x'),trim", "part(1, ',')"}
	for _, chain := range chains {
		for _, nullable := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s nullable=%v", chain, nullable), func(t *testing.T) {
				l := lensOf(t, chain, schemas.Column{Name: "c", Type: schemas.Type{Kind: schemas.KindText, Length: 20}, Nullable: nullable})
				rapid.Check(t, func(t *rapid.T) { lensLaw(t, l, anyText.Draw(t, "x")) })
			})
		}
	}
}

func lensLaw(t *rapid.T, l *lens, x schemas.Value) {
	row := schemas.Row{x}
	v, err := l.in(Env{Row: row})
	if err != nil {
		return
	}
	if v.Storage() == schemas.StoreText && v.Text() == "" {
		t.Fatalf("%q has an empty canonical text", x)
	}
	cells, err := l.out(v, Env{Row: row})
	if err != nil {
		return
	}
	back, err := l.in(Env{Row: cells})
	if err != nil || back != v {
		t.Fatalf("%q is %q, written as %q, which is %q, %v", x, v, cells, back, err)
	}
	again, err := l.out(back, Env{Row: cells})
	if err != nil || again[0] != cells[0] {
		t.Fatalf("%q is written as %q, and the next time as %q, %v", v, cells, again, err)
	}
}

func lensOf(t testing.TB, chain string, column schemas.Column) *lens {
	t.Helper()
	l := &lens{label: "test", table: &schemas.Table{Columns: []schemas.Column{column}}, cols: []int{0}, fixed: []bool{isFixedChar(column.Type)}}
	end := column.Type
	for _, s := range splitCalls(chain) {
		k := build(t, s, end)
		l.links, end = append(l.links, k), k.to
	}
	var err error
	if l.toCanon, l.fromCanon, err = convert(end, end); err != nil {
		t.Fatal(err)
	}
	return l
}

// splitCalls splits at commas outside of parentheses.
func splitCalls(s string) []string {
	var out []string
	depth, from := 0, 0
	for i, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	if s != "" {
		out = append(out, s[from:])
	}
	return out
}

// TestLawsOfNumbers converts between all number types: what goes out comes back.
func TestLawsOfNumbers(t *testing.T) {
	kinds := []schemas.Type{
		{Kind: schemas.KindInt16}, {Kind: schemas.KindInt32}, {Kind: schemas.KindInt64}, {Kind: schemas.KindUint64}, {Kind: schemas.KindBool},
		{Kind: schemas.KindDecimal, Precision: 10, Scale: 2}, {Kind: schemas.KindDecimal, Precision: 20, Scale: 6}, {Kind: schemas.KindNumeric}, {Kind: schemas.KindFloat64},
	}
	canon := []schemas.Type{{Kind: schemas.KindInt64}, {Kind: schemas.KindDecimal, Precision: 12, Scale: 3}, {Kind: schemas.KindBool}}
	values := map[schemas.Kind]*rapid.Generator[schemas.Value]{
		schemas.KindInt64:   rapid.Map(rapid.Int64(), schemas.Int),
		schemas.KindBool:    ints(0, 1),
		schemas.KindDecimal: rapid.Map(rapid.Int64Range(-999_999_999_999, 999_999_999_999), func(n int64) schemas.Value { return decimalText(n, 3) }),
	}
	for _, to := range canon {
		for _, from := range kinds {
			in, out, err := convert(from, to)
			if err != nil {
				continue
			}
			t.Run(typeName(from)+" as "+typeName(to), func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					v := values[to.Kind].Draw(t, "v")
					w, err := out(v)
					if err != nil {
						return
					}
					if back, err := in(w); err != nil || back != v {
						// The lens would refuse such a float; everything else must come back.
						if from.Kind == schemas.KindFloat64 && to.Kind == schemas.KindInt64 {
							return
						}
						t.Fatalf("%v is written as %v and reads back as %v, %v", v, w, back, err)
					}
				})
			})
		}
	}
}

func decimalText(n int64, scale int) schemas.Value {
	s, err := rescale(func() string {
		sign := ""
		if n < 0 {
			sign, n = "-", -n
		}
		s := fmt.Sprintf("%0*d", scale+1, n)
		return sign + s[:len(s)-scale] + "." + s[len(s)-scale:]
	}(), scale)
	if err != nil {
		panic(err)
	}
	return schemas.Text(s)
}
