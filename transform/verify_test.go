package transform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

func textTable(schema, name string, cols ...string) *schemas.Table {
	t := &schemas.Table{Name: schemas.TableName{Schema: schema, Name: name}, Key: []int{0}}
	for _, c := range cols {
		t.Columns = append(t.Columns, schemas.Column{Name: c, Type: schemas.Type{Kind: schemas.KindText}, Nullable: c != "id"})
	}
	return t
}

// plainSide reads and writes one column as it is.
func plainSide(col int) *mapping.FieldSide {
	return &mapping.FieldSide{
		Reads: []int{col}, Writes: []int{col},
		In: func(env mapping.Env) (schemas.Value, error) {
			if env.Row[col] == schemas.Text("?") {
				return schemas.Null, errors.New("cannot be understood")
			}
			return env.Row[col], nil
		},
	}
}

func readOnlySide(col int) *mapping.FieldSide {
	s := plainSide(col)
	s.Writes = nil
	return s
}

func alive(col int) func(schemas.Row) (bool, error) {
	return func(r schemas.Row) (bool, error) { return r[col].IsNull(), nil }
}

func always(mapping.Env) (bool, error) { return true, nil }

// verifySet has customers with addresses, both ways, and orders that point to
// customers, created in erp only.
func verifySet() *mapping.Set {
	customer := &mapping.Entity{
		Name: "customer", Systems: [2]string{"crm", "erp"},
		Root: &mapping.Part{
			Fields: []*mapping.Field{
				{Name: "name", Required: true, Sides: [2]*mapping.FieldSide{plainSide(1), plainSide(1)}},
				{Name: "vat", Sides: [2]*mapping.FieldSide{plainSide(2), plainSide(2)}},
				{Name: "seen", Sides: [2]*mapping.FieldSide{readOnlySide(3), readOnlySide(3)}},
			},
			Match: []mapping.MatchRule{{ID: "vat", Fields: []int{1}, Unless: func(v []schemas.Value) bool { return v[0].Text() == "n/a" }}},
			Sides: [2]*mapping.PartSide{
				{Table: textTable("crm", "accounts", "id", "name", "vat", "seen", "deleted"), Where: alive(4), Create: always},
				{Table: textTable("public", "party", "id", "name", "vat", "seen", "deleted"), Where: alive(4), Create: always},
			},
		},
		Children: []*mapping.Part{{
			Name:   "addresses",
			Fields: []*mapping.Field{{Name: "city", Sides: [2]*mapping.FieldSide{plainSide(2), plainSide(2)}}},
			Sides: [2]*mapping.PartSide{
				{Table: textTable("crm", "addresses", "id", "account", "city"), Parent: []int{1}, Create: always},
				{Table: textTable("public", "address", "id", "party", "city"), Parent: []int{1}, Create: always},
			},
		}},
	}
	order := &mapping.Entity{
		Name: "order", Systems: [2]string{"crm", "erp"},
		Root: &mapping.Part{
			Fields: []*mapping.Field{{Name: "customer", Ref: "customer", Sides: [2]*mapping.FieldSide{plainSide(1), plainSide(1)}}},
			Sides: [2]*mapping.PartSide{
				{Table: textTable("crm", "quotes", "id", "account")},
				{Table: textTable("public", "sale", "id", "party"), Create: func(env mapping.Env) (bool, error) { return !env.Row[1].IsNull(), nil }},
			},
		},
	}
	return &mapping.Set{Entities: []*mapping.Entity{customer, order}}
}

// side reads a story: one line a row, "table id value value…", - is NULL; link
// lines are "link entity hub key" with an optional "dead".
func side(t *testing.T, set *mapping.Set, system, story string) *SideData {
	t.Helper()
	d := &SideData{Rows: map[schemas.TableName][]schemas.Row{}}
	for line := range strings.Lines(story) {
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		if w[0] == "link" {
			d.Links = append(d.Links, LinkRow{Link: schemas.Link{Entity: w[1], Hub: w[2], NativeKey: w[3]}, Dead: len(w) > 4})
			continue
		}
		tables := VerifyTables(set)[system]
		i := slices.IndexFunc(tables, func(t *schemas.Table) bool { return t.Name.Name == w[0] })
		if i < 0 {
			t.Fatalf("%s has no table %s", system, w[0])
		}
		row := make(schemas.Row, len(tables[i].Columns))
		for c, v := range w[1:] {
			if v != "-" {
				row[c] = schemas.Text(v)
			}
		}
		d.Rows[tables[i].Name] = append(d.Rows[tables[i].Name], row)
	}
	return d
}

func TestVerifyFindsWhatDiffers(t *testing.T) {
	tests := []struct{ name, crm, erp, want string }{
		{"equal",
			"accounts a1 Acme DE1 x\naddresses d1 a1 Berlin\nquotes q1 a1\nlink customer h1 a1\nlink customer.addresses h2 d1\nlink order h3 q1",
			"party 1 Acme DE1 y\naddress 7 1 Berlin\nsale 5 1\nlink customer h1 1\nlink customer.addresses h2 7\nlink order h3 5", ""},
		{"a field differs",
			"accounts a1 Acme DE1\nlink customer h1 a1", "party 1 ACME DE1\nlink customer h1 1",
			`different: customer crm a1 = erp 1: name is "Acme" in crm and "ACME" in erp`},
		{"empty is not absent",
			"accounts a1 Acme -\nlink customer h1 a1", "party 1 Acme DE1\nlink customer h1 1",
			`different: customer crm a1 = erp 1: vat is "NULL" in crm and "DE1" in erp`},
		{"a value that cannot be understood",
			"accounts a1 ? DE1\nlink customer h1 a1", "party 1 Acme DE1\nlink customer h1 1",
			`unreadable: customer crm a1: name: cannot be understood`},
		{"missing on the other side",
			"accounts a1 Acme DE1", "", `missing: customer crm a1: not in erp`},
		{"equal and not linked",
			"accounts a1 Acme DE1", "party 1 Acme DE1", `not linked: customer crm a1 = erp 1: equal by rule vat`},
		{"two that match one",
			"accounts a1 Acme DE1\naccounts a2 Acme DE1", "party 1 Acme DE1",
			"ambiguous: customer crm a1: rule vat: matches 1 in erp\nambiguous: customer crm a2: rule vat: matches 1 in erp\nambiguous: customer erp 1: rule vat: matches a1, a2 in crm"},
		{"a second record like a linked one",
			"accounts a1 Acme DE1\naccounts a2 Acme DE1\nlink customer h1 a1", "party 1 Acme DE1\nlink customer h1 1",
			"ambiguous: customer crm a2: rule vat: matches 1 in erp"},
		{"values that never match",
			"accounts a1 Acme n/a", "party 1 Acme n/a", "missing: customer crm a1: not in erp\nmissing: customer erp 1: not in crm"},
		{"a required field is empty",
			"accounts a1 -", "", `incomplete: customer crm a1: name: required and empty`},
		{"rules that keep a record on one side", "quotes q1 -", "sale 9 -", ""},
		{"deleted on one side",
			"accounts a1 Acme DE1 - yes\nlink customer h1 a1", "party 1 Acme DE1\nlink customer h1 1",
			`gone: customer crm a1 = erp 1: not in crm`},
		{"deleted, and the link is dead",
			"link customer h1 a1 dead", "party 1 Acme DE1\nlink customer h1 1 dead", ""},
		{"link on one side only",
			"accounts a1 Acme DE1\nlink customer h1 a1", "party 1 Acme DE1",
			"half link: customer crm a1: only crm has a live link\nambiguous: customer erp 1: rule vat: matches a1 in crm"},
		{"linked twice",
			"accounts a1 Acme DE1\nlink customer h1 a1\nlink customer h2 a1", "party 1 Acme DE1\nlink customer h1 1",
			"linked twice: customer crm a1"},
		{"a child is missing",
			"accounts a1 Acme DE1\naddresses d1 a1 Berlin\nlink customer h1 a1", "party 1 Acme DE1\nlink customer h1 1",
			`missing: customer.addresses crm d1: not in erp`},
		{"a child differs",
			"accounts a1 Acme DE1\naddresses d1 a1 Berlin\nlink customer h1 a1\nlink customer.addresses h2 d1",
			"party 1 Acme DE1\naddress 7 1 Bonn\nlink customer h1 1\nlink customer.addresses h2 7",
			`different: customer.addresses crm d1 = erp 7: city is "Berlin" in crm and "Bonn" in erp`},
		{"a child of another parent",
			"accounts a1 A DE1\naccounts a2 B DE2\naddresses d1 a1 Berlin\nlink customer h1 a1\nlink customer h2 a2\nlink customer.addresses h3 d1",
			"party 1 A DE1\nparty 2 B DE2\naddress 7 2 Berlin\nlink customer h1 1\nlink customer h2 2\nlink customer.addresses h3 7",
			`moved: customer.addresses crm d1 = erp 7: belongs to a1 in crm and to 2 in erp`},
		{"children of a record that is not linked are not looked at",
			"accounts a1 Acme DE1\naddresses d1 a1 Berlin", "", `missing: customer crm a1: not in erp`},
		{"a reference to another record",
			"accounts a1 A DE1\naccounts a2 B DE2\nquotes q1 a2\nlink customer h1 a1\nlink customer h2 a2\nlink order h3 q1",
			"party 1 A DE1\nparty 2 B DE2\nsale 5 1\nlink customer h1 1\nlink customer h2 2\nlink order h3 5",
			`different: order crm q1 = erp 5: customer is "h2" in crm and "h1" in erp`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := verifySet()
			r := Verify(set, map[string]*SideData{"crm": side(t, set, "crm", tt.crm), "erp": side(t, set, "erp", tt.erp)})
			var got []string
			for i := range r.Findings {
				got = append(got, r.Findings[i].String())
			}
			want := strings.Split(tt.want, "\n")
			if tt.want == "" {
				want = nil
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestVerifyCountsWhatItCompared(t *testing.T) {
	set := verifySet()
	r := Verify(set, map[string]*SideData{
		"crm": side(t, set, "crm", "accounts a1 Acme DE1\naccounts a2 Beta DE2\nquotes q1 -\nlink customer h1 a1\nlink customer h2 a2 dead"),
		"erp": side(t, set, "erp", "party 1 Acme DE1\nlink customer h1 1"),
	})
	want := []VerifyCount{
		{Entity: "customer", Systems: [2]string{"crm", "erp"}, Records: [2]int{2, 1}, Pairs: 1, Fields: 2, Kept: [2]int{1, 0}},
		{Entity: "customer.addresses", Systems: [2]string{"crm", "erp"}},
		{Entity: "order", Systems: [2]string{"crm", "erp"}, Records: [2]int{1, 0}, Alone: [2]int{1, 0}},
	}
	if fmt.Sprint(r.Counts) != fmt.Sprint(want) || r.Bad() != 0 {
		t.Errorf("got %+v, %d bad; want %+v", r.Counts, r.Bad(), want)
	}
}
