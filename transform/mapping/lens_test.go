package mapping

import (
	"strings"
	"testing"

	"github.com/biter777/countries"

	"github.com/strait-cdc/strait/schemas"
)

func column(kind schemas.Kind, length int) schemas.Column {
	return schemas.Column{Name: "c", Type: schemas.Type{Kind: kind, Length: length}}
}

// TestEmptyTextIsNull is the one rule about empty texts and NULL.
func TestEmptyTextIsNull(t *testing.T) {
	nullable := column(schemas.KindText, 20)
	nullable.Nullable = true
	filled := column(schemas.KindText, 20)
	withDefault := filled
	withDefault.HasDefault = true
	number := column(schemas.KindInt32, 0)
	was := schemas.Row{schemas.Text("before")}
	for _, c := range []struct {
		name   string
		column schemas.Column
		row    schemas.Row // nil: an insert
		want   schemas.Value
		fails  bool
	}{
		{"a nullable column takes NULL", nullable, was, schemas.Null, false},
		{"a nullable column takes NULL in a new row", nullable, nil, schemas.Null, false},
		{"a NOT NULL column takes an empty text", filled, was, schemas.Text(""), false},
		{"a NOT NULL column takes an empty text in a new row", filled, nil, schemas.Text(""), false},
		{"a default does not help an update", withDefault, was, schemas.Text(""), false},
		{"a number has no empty value in a new row", number, nil, schemas.Null, true},
		{"a number has no empty value", number, schemas.Row{schemas.Int(1)}, schemas.Null, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lensOf(t, "", c.column)
			row := c.row
			if row == nil {
				row = make(schemas.Row, 1)
			}
			cells, err := l.out(schemas.Null, Env{Row: row})
			if (err != nil) != c.fails || !c.fails && cells[0] != c.want {
				t.Errorf("got %v, %v; want %v", cells, err, c.want)
			}
		})
	}
	for _, x := range []string{"", " ", "\t"} {
		if v, err := lensOf(t, "trim", nullable).in(Env{Row: schemas.Row{schemas.Text(x)}}); err != nil || !v.IsNull() {
			t.Errorf("%q is read as %q, %v", x, v, err)
		}
	}
}

func TestPaddedTexts(t *testing.T) {
	c := column(schemas.KindText, 3)
	c.Type.Native = "character(3)"
	l := lensOf(t, "", c)
	if v, err := l.in(Env{Row: schemas.Row{schemas.Text("A  ")}}); err != nil || v != schemas.Text("A") {
		t.Errorf("got %q, %v", v, err)
	}
	if v, err := l.in(Env{Row: schemas.Row{schemas.Text("   ")}}); err != nil || !v.IsNull() {
		t.Errorf("blanks are %q, %v", v, err)
	}
	c.Type.Native = "varchar(3)"
	if v, _ := lensOf(t, "", c).in(Env{Row: schemas.Row{schemas.Text("A  ")}}); v != schemas.Text("A  ") {
		t.Errorf("varchar: got %q", v)
	}
}

// TestNothingIsCut: a value that does not fit is an error, whatever the type.
func TestNothingIsCut(t *testing.T) {
	decimal := schemas.Column{Name: "c", Type: schemas.Type{Kind: schemas.KindDecimal, Precision: 6, Scale: 2}}
	enum := schemas.Column{Name: "c", Type: schemas.Type{Kind: schemas.KindEnum, Labels: []string{"a", "b"}}}
	for _, c := range []struct {
		column schemas.Column
		canon  schemas.Type
		value  schemas.Value
		want   string
	}{
		{column(schemas.KindText, 5), textType(), schemas.Text("äöüßéx"), "too many"},
		{column(schemas.KindInt16, 0), schemas.Type{Kind: schemas.KindInt64}, schemas.Int(40000), "range"},
		{decimal, schemas.Type{Kind: schemas.KindDecimal, Precision: 20, Scale: 4}, schemas.Text("1.2345"), "digits"},
		{decimal, schemas.Type{Kind: schemas.KindDecimal, Precision: 20, Scale: 4}, schemas.Text("10000.0000"), "too large"},
		{column(schemas.KindInt32, 0), schemas.Type{Kind: schemas.KindDecimal, Precision: 10, Scale: 2}, schemas.Text("1.50"), "whole"},
		{column(schemas.KindUint64, 0), schemas.Type{Kind: schemas.KindInt64}, schemas.Int(-1), "unsigned"},
		{enum, textType(), schemas.Text("c"), "labels"},
		{column(schemas.KindTimestamp, 0), schemas.Type{Kind: schemas.KindTimestamp, Precision: 6}, schemas.Int(1), "digits of a second"},
		{column(schemas.KindFloat64, 0), schemas.Type{Kind: schemas.KindDecimal, Precision: 30, Scale: 4}, schemas.Text("12345678901234567890.1234"), "read back"},
	} {
		l := lensOf(t, "", c.column)
		var err error
		if l.toCanon, l.fromCanon, err = convert(c.column.Type, c.canon); err != nil {
			t.Fatal(err)
		}
		cells, err := l.out(c.value, Env{Row: make(schemas.Row, 1)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v into %s: %v, %v; want an error about %s", c.value, nativeName(c.column.Type), cells, err, c.want)
		}
	}
}

func TestPartsOfOneColumn(t *testing.T) {
	c := column(schemas.KindText, 60)
	first, second := lensOf(t, "part(1, ', ')", c), lensOf(t, "part(2, ', ')", c)
	row := schemas.Row{schemas.Null}
	for _, step := range []struct {
		l    *lens
		v    schemas.Value
		want string
	}{
		{second, schemas.Text("Eva"), ", Eva"},
		{first, schemas.Text("Meyer"), "Meyer, Eva"},
		{second, schemas.Null, "Meyer"},
		{second, schemas.Text("Jan"), "Meyer, Jan"},
	} {
		cells, err := step.l.out(step.v, Env{Row: row})
		if err != nil || cells[0].Text() != step.want {
			t.Fatalf("got %q, %v; want %q", cells, err, step.want)
		}
		row = cells
	}
	if _, err := first.out(schemas.Text("A, B"), Env{Row: row}); err == nil {
		t.Error("a part with the separator in it was written")
	}
	if _, err := first.out(schemas.Text("A"), Env{Row: schemas.Row{schemas.Unchanged}}); err == nil {
		t.Error("a part was written over a text that is not known")
	}
}

func TestJSONKeepsTheOtherKeys(t *testing.T) {
	c := schemas.Column{Name: "c", Nullable: true, Type: schemas.Type{Kind: schemas.KindJSON}}
	l := lensOf(t, "json('name.de')", c)
	for _, s := range []struct{ before, value, want string }{
		{`{"name": {"de": "Stuhl", "en": "chair"}, "n": 1.50}`, "Sessel", `{"n":1.50,"name":{"de":"Sessel","en":"chair"}}`},
		{``, "Stuhl", `{"name":{"de":"Stuhl"}}`},
		{`{"name":{"de":"Stuhl"}}`, "", `{"name":{}}`},
		{`{"name":{"de":5}}`, "7", `{"name":{"de":7}}`},
	} {
		old, v := schemas.Text(s.before), schemas.Text(s.value)
		if s.before == "" {
			old = schemas.Null
		}
		if s.value == "" {
			v = schemas.Null
		}
		cells, err := l.out(v, Env{Row: schemas.Row{old}})
		if err != nil || cells[0].Text() != s.want {
			t.Errorf("%s: got %v, %v; want %s", s.before, cells, err, s.want)
		}
	}
	if cells, err := l.out(schemas.Null, Env{Row: schemas.Row{schemas.Null}}); err != nil || !cells[0].IsNull() {
		t.Errorf("nothing into nothing: %v, %v", cells, err)
	}
	if _, err := l.out(schemas.Text("x"), Env{Row: schemas.Row{schemas.Text("[1]")}}); err == nil {
		t.Error("a list was overwritten")
	}
}

func TestLinesBreakBetweenWords(t *testing.T) {
	ten := schemas.Type{Kind: schemas.KindText, Length: 10}
	k := build(t, "lines", ten, ten, ten)
	for s, want := range map[string][2]string{
		"Acme":                  {"Acme", ""},
		"Acme Tools":            {"Acme Tools", ""},
		"Acme Machine Tools":    {"Acme", "Machine"},
		"Acme Works GmbH":       {"Acme Works", "GmbH"},
		"Grün & Söhne Hannover": {"Grün &", "Söhne"},
	} {
		cells, err := k.split(schemas.Text(s))
		if want[1] == "Machine" || want[1] == "Söhne" {
			if err == nil {
				t.Errorf("%q fits: %q", s, cells)
			}
			continue
		}
		if err != nil || cells[0].Text() != want[0] || cells[1].Text() != want[1] {
			t.Errorf("%q: %q, %v", s, cells, err)
		}
	}
	if _, err := k.split(schemas.Text("Donaudampfschiff")); err == nil {
		t.Error("a word longer than the column was written")
	}
}

func TestCountriesComeBack(t *testing.T) {
	forms := map[string]link{}
	for _, f := range []string{"name", "alpha2", "alpha3", "numeric"} {
		forms[f] = build(t, "country('"+f+"')", textColumn)
	}
	known := 0
	for _, c := range countries.All() {
		v := schemas.Text(c.Alpha2())
		if findCountry(c.Alpha2()) != c {
			continue
		}
		known++
		for f, k := range forms {
			w, err := k.out(v, schemas.Null)
			if err != nil {
				t.Errorf("%s as %s: %v", v, f, err)
				continue
			}
			if back, err := k.in(w); err != nil || back != v {
				t.Errorf("%s as %s is %q, which is %q, %v", v, f, w, back, err)
			}
		}
	}
	if known < 240 {
		t.Errorf("only %d countries are known", known)
	}
}

func TestZones(t *testing.T) {
	k := build(t, "datetime('Europe/Berlin')", wallColumn)
	for wall, want := range map[string]string{"2026-01-31 12:00:00": "2026-01-31 11:00:00", "2026-07-31 12:00:00": "2026-07-31 10:00:00"} {
		w, _ := parseStamp(wall, false)
		v, err := k.in(schemas.Int(w))
		if err != nil || showStamp(v.Int()) != want {
			t.Errorf("%s is %s, %v; want %s", wall, showStamp(v.Int()), err, want)
		}
		if back, err := k.out(v, schemas.Null); err != nil || back.Int() != w {
			t.Errorf("%s reads back as %s, %v", wall, showStamp(back.Int()), err)
		}
	}
	d := build(t, "date_of('Europe/Berlin')", schemas.Type{Kind: schemas.KindTimestampTZ})
	late, _ := parseStamp("2026-01-31T23:30:00Z", true)
	if v, err := d.in(schemas.Int(late)); err != nil || showDate(v.Int()) != "2026-02-01" {
		t.Errorf("got %s, %v", showDate(v.Int()), err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := &cache{}
	for i := 0; i < 3*cacheSize; i++ {
		c.get(decimalText(int64(i), 2).Text(), strings.ToUpper)
	}
	if len(c.seen) > cacheSize {
		t.Errorf("the cache holds %d values", len(c.seen))
	}
}

func BenchmarkLens(b *testing.B) {
	for _, chain := range []string{"trim,collapse,nfc", "email", "phone('DE')", "decimal(14,2)"} {
		b.Run(chain, func(b *testing.B) {
			l := lensOf(b, chain, schemas.Column{Name: "c", Nullable: true, Type: schemas.Type{Kind: schemas.KindText, Length: 80}})
			row := schemas.Row{schemas.Text("030 9018 20")}
			if strings.HasPrefix(chain, "decimal") {
				row[0] = schemas.Text("1234.5")
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.in(Env{Row: row}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
