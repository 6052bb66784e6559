package mapping_test

import (
	"testing"

	"github.com/strait-cdc/strait/deploy/examples"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

func load(t *testing.T, crm, erp string) *mapping.Set {
	t.Helper()
	docs, err := mapping.Load(examples.Mapping())
	if err != nil {
		t.Fatal(err)
	}
	set, err := mapping.Compile(docs, example(t, crm, erp))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestExampleCompilesInAllDialects(t *testing.T) {
	for _, crm := range []string{"mysql", "postgres"} {
		for _, erp := range []string{"mysql", "postgres"} {
			t.Run(crm+" and "+erp, func(t *testing.T) {
				set := load(t, crm, erp)
				var names []string
				for _, e := range set.Entities {
					names = append(names, e.Name)
					if e.Systems != [2]string{"crm", "erp"} {
						t.Errorf("%s: systems %v", e.Name, e.Systems)
					}
				}
				if len(names) != 3 || names[2] != "order" {
					t.Errorf("entities %v: want order last, because it needs the others", names)
				}
			})
		}
	}
}

func TestTablesOf(t *testing.T) {
	docs, err := mapping.Load(examples.Mapping())
	if err != nil {
		t.Fatal(err)
	}
	got := docs.TablesOf("erp", "books")
	want := []string{"books.debtor", "books.debtor_address", "books.debtor_contact", "books.item", "books.price", "books.sales_order", "books.sales_order_line", "books.stock"}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i].String() != want[i] {
			t.Errorf("table %d: got %s, want %s", i, got[i], want[i])
		}
	}
}

// row makes a row of a table from the columns given; the others are NULL.
func row(t *testing.T, table *schemas.Table, cells map[string]schemas.Value) schemas.Row {
	t.Helper()
	r := make(schemas.Row, len(table.Columns))
	for name, v := range cells {
		c := table.Column(name)
		if c < 0 {
			t.Fatalf("table %s has no column %s", table.Name, name)
		}
		r[c] = v
	}
	return r
}

func entity(t *testing.T, set *mapping.Set, name string) *mapping.Entity {
	t.Helper()
	for _, e := range set.Entities {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no entity %s", name)
	return nil
}

func field(t *testing.T, p *mapping.Part, name string) *mapping.Field {
	t.Helper()
	for _, f := range p.Fields {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no field %s", name)
	return nil
}

func TestExampleValues(t *testing.T) {
	text, num := schemas.Text, schemas.Int
	for _, dialect := range []string{"mysql", "postgres"} {
		t.Run(dialect, func(t *testing.T) {
			set := load(t, dialect, dialect)
			customer := entity(t, set, "customer")
			account := row(t, customer.Root.Sides[0].Table, map[string]schemas.Value{
				"name": text("  ACME   GmbH "), "phone": text("030 901820"), "email": text("Info@ACME.de "), "vat_id": text(" de123456789"),
				"industry": text("Wholesale"), "payment_terms": text("N30"), "on_hold": num(1), "credit_limit": text("1000.00"), "erp_no": text("")})
			for _, c := range []struct {
				field string
				want  schemas.Value
				cell  schemas.Value // in the ERP
			}{
				{"name", text("ACME GmbH"), text("ACME GmbH")},
				{"phone", text("+4930901820"), text("+4930901820")},
				{"email", text("info@acme.de"), text("info@acme.de")},
				{"vat", text("DE123456789"), text("DE123456789")},
				{"segment", text("Retail"), text("RET")},
				{"terms", text("N30"), num(30)},
				{"hold", num(1), text("J")},
				{"credit_limit", text("1000.00"), text("1000.00")},
				{"erp_no", schemas.Null, schemas.Value{}},
			} {
				f := field(t, customer.Root, c.field)
				got, err := f.Sides[0].In(mapping.Env{Row: account})
				if err != nil || got != c.want {
					t.Errorf("%s: in gives %q, %v; want %q", c.field, got, err, c.want)
				}
				if f.Sides[1].Out == nil {
					continue
				}
				cells, err := f.Sides[1].Out(got, mapping.Env{Row: row(t, customer.Root.Sides[1].Table, nil)})
				if err != nil || len(cells) != 1 || cells[0] != c.cell {
					t.Errorf("%s: out gives %v, %v; want %q", c.field, cells, err, c.cell)
				}
			}
			exampleConditions(t, customer)
			exampleChildren(t, customer)
			exampleJoins(t, entity(t, set, "product"))
			exampleOrder(t, entity(t, set, "order"), dialect)
		})
	}
}

func exampleConditions(t *testing.T, customer *mapping.Entity) {
	crm, erp := customer.Root.Sides[0], customer.Root.Sides[1]
	for _, deleted := range []int64{0, 1} {
		counts, err := crm.Where(row(t, crm.Table, map[string]schemas.Value{"deleted": schemas.Int(deleted)}))
		if err != nil || counts != (deleted == 0) {
			t.Errorf("where with deleted=%d: %v, %v", deleted, counts, err)
		}
	}
	for status, want := range map[string]bool{"customer": true, "lead": false} {
		got, err := erp.Create(mapping.Env{Row: row(t, crm.Table, map[string]schemas.Value{"status": schemas.Text(status)})})
		if err != nil || got != want {
			t.Errorf("create for %s: %v, %v", status, got, err)
		}
	}
	rule := erp.OtherDeleted
	if rule.Action != mapping.DeleteSet || len(rule.Set) != 1 || len(rule.Undo) != 1 || erp.Table.Columns[rule.Set[0].Column].Name != "inactive" {
		t.Errorf("deleted in the CRM: %+v", rule)
	}
	if v, err := rule.Set[0].Value(mapping.Env{}); err != nil || v != schemas.Int(1) {
		t.Errorf("inactive is set to %v, %v", v, err)
	}
	if crm.OtherDeleted.Action != mapping.DeleteKeep || crm.Key != mapping.KeyUUID || erp.Key != mapping.KeyByDatabase {
		t.Errorf("crm side: %+v", crm)
	}
	mailPhone := customer.Root.Match[2]
	for mail, want := range map[string]bool{"info@acme.de": true, "eva@acme.de": false} {
		if got := mailPhone.Unless([]schemas.Value{schemas.Text(mail), schemas.Text("+49301")}); got != want {
			t.Errorf("unless %s: %v", mail, got)
		}
	}
	phone := field(t, customer.Root, "phone")
	cells, err := phone.Sides[1].Out(schemas.Null, mapping.Env{Row: row(t, erp.Table, nil)})
	if err != nil || !cells[0].IsNull() {
		t.Errorf("an empty phone is written as %v, %v", cells, err)
	}
}

func exampleChildren(t *testing.T, customer *mapping.Entity) {
	addresses, contacts := customer.Children[0], customer.Children[1]
	place := row(t, addresses.Sides[0].Table, map[string]schemas.Value{"kind": schemas.Text("billing"), "country": schemas.Text("Germany")})
	country := field(t, addresses, "country")
	v, err := country.Sides[0].In(mapping.Env{Row: place})
	if err != nil || v != schemas.Text("DE") {
		t.Errorf("country: %q, %v", v, err)
	}
	if cells, err := country.Sides[0].Out(schemas.Text("FR"), mapping.Env{Row: place}); err != nil || cells[0] != schemas.Text("France") {
		t.Errorf("country out: %v, %v", cells, err)
	}
	person := field(t, contacts, "person")
	c := row(t, contacts.Sides[0].Table, map[string]schemas.Value{"first_name": schemas.Text("Eva"), "last_name": schemas.Text("Meyer")})
	if v, err := person.Sides[0].In(mapping.Env{Row: c}); err != nil || v != schemas.Text("Meyer, Eva") {
		t.Errorf("person: %q, %v", v, err)
	}
	cells, err := person.Sides[0].Out(schemas.Text("Schmidt, Jan"), mapping.Env{Row: c})
	if err != nil || len(cells) != 2 || cells[0] != schemas.Text("Schmidt") || cells[1] != schemas.Text("Jan") {
		t.Errorf("person out: %v, %v", cells, err)
	}
}

func exampleJoins(t *testing.T, product *mapping.Entity) {
	side := product.Root.Sides[1]
	if len(side.Joins) != 2 || side.Joins[0].Name != "prices" || !side.ReadOnly {
		t.Fatalf("joins %v", side.Joins)
	}
	env := mapping.Env{Row: row(t, side.Table, map[string]schemas.Value{"item_no": schemas.Text("A-1"), "status": schemas.Text("X")})}
	for i, j := range side.Joins {
		env.Joined = append(env.Joined, nil)
		for _, n := range []string{"1", "2"} {
			cells := map[string]schemas.Value{"on_hand": schemas.Text(n + "0.500"), "reserved": schemas.Text("1.250"), "item_no": schemas.Text("A-1")}
			if j.Name == "prices" {
				cells = map[string]schemas.Value{"list": schemas.Text("A"), "currency": schemas.Text(map[string]string{"1": "USD", "2": "EUR"}[n]), "amount": schemas.Text(n + ".5000")}
			}
			env.Joined[i] = append(env.Joined[i], row(t, j.Table, cells))
		}
	}
	for name, want := range map[string]schemas.Value{"available": schemas.Text("28.500"), "list_price": schemas.Text("2.5000"), "active": schemas.Int(0), "sku": schemas.Text("A-1")} {
		f := field(t, product.Root, name)
		if got, err := f.Sides[1].In(env); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
		if len(f.Sides[1].Writes) != 0 || len(f.Sides[0].Writes) != 1 {
			t.Errorf("%s: writes %v and %v", name, f.Sides[0].Writes, f.Sides[1].Writes)
		}
	}
	if got, err := field(t, product.Root, "list_price").Sides[1].In(mapping.Env{Row: env.Row, Joined: [][]schemas.Row{nil, nil}}); err != nil || !got.IsNull() {
		t.Errorf("without prices: %q, %v", got, err)
	}
	if got, err := field(t, product.Root, "available").Sides[1].In(mapping.Env{Row: env.Row, Joined: [][]schemas.Row{nil, nil}}); err != nil || got != schemas.Text("0.000") {
		t.Errorf("without stock: %q, %v", got, err)
	}
}

func exampleOrder(t *testing.T, order *mapping.Entity, dialect string) {
	crm := order.Root.Sides[0]
	r := row(t, crm.Table, map[string]schemas.Value{"id": schemas.Text("0b6e2c5e-6a52-4b53-9a3f-6e2f6a0c1d11"), "account_id": schemas.Text("4f0c2c5e-6a52-4b53-9a3f-6e2f6a0c1d22"),
		"ordered_at": schemas.Int(1_767_225_599_999_000)})
	if v, err := field(t, order.Root, "ordered_on").Sides[0].In(mapping.Env{Row: r}); err != nil || v != schemas.Int(20453) {
		t.Errorf("ordered_on: %v, %v", v, err)
	}
	customer := field(t, order.Root, "customer")
	if v, err := customer.Sides[0].In(mapping.Env{Row: r}); err != nil || v.Text() != "4f0c2c5e-6a52-4b53-9a3f-6e2f6a0c1d22" {
		t.Errorf("customer: %v, %v", v, err)
	}
	if cells, err := customer.Sides[1].Out(schemas.Text("42"), mapping.Env{Row: row(t, order.Root.Sides[1].Table, nil)}); err != nil || cells[0] != schemas.Int(42) {
		t.Errorf("customer out: %v, %v", cells, err)
	}
	product := field(t, order.Children[0], "product")
	if v, err := product.Sides[0].In(mapping.Env{Row: row(t, order.Children[0].Sides[0].Table, map[string]schemas.Value{"product_id": schemas.Int(7)})}); err != nil || v != schemas.Text("7") {
		t.Errorf("product: %v, %v", v, err)
	}
	if f := field(t, order.Root, "ordered_on"); f.Show(schemas.Int(20453)) != "2025-12-31" {
		t.Errorf("show: %s", f.Show(schemas.Int(20453)))
	}
}
