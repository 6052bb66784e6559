//go:build !noservers

package examples_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/strait-cdc/strait/capture/mysql"
	"github.com/strait-cdc/strait/capture/postgres"
	"github.com/strait-cdc/strait/deploy/examples"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

// servers are those that the example schemas load on.
var servers = []struct {
	name  string
	start func(t *testing.T) *testenv.Server
}{
	{"postgres 15", func(t *testing.T) *testenv.Server { return testenv.Postgres(t, "15") }},
	{"mariadb", func(t *testing.T) *testenv.Server { return testenv.MariaDB(t) }},
	{"mysql", func(t *testing.T) *testenv.Server { return testenv.MySQL(t) }},
}

// TestExampleOnServers loads both sides into each server, tries the triggers of
// the ERP, and compiles the mapping against the catalogs as capture reads them.
func TestExampleOnServers(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			docs, err := mapping.Load(examples.Mapping())
			if err != nil {
				t.Fatal(err)
			}
			systems := map[string]mapping.System{}
			for _, side := range []string{"crm", "erp"} {
				server := s.start(t)
				server.Exec(t, examples.Schema(side, server.Kind)...)
				systems[side] = system(t, server, docs, side)
				if side == "erp" {
					triggers(t, server)
				}
			}
			set, err := mapping.Compile(docs, systems)
			if err != nil {
				t.Fatal(err)
			}
			if len(set.Entities) != 3 {
				t.Errorf("%d entities", len(set.Entities))
			}
		})
	}
}

func system(t *testing.T, s *testenv.Server, docs *mapping.Docs, side string) mapping.System {
	t.Helper()
	schema, read := "public", postgres.Catalog
	if s.Kind != "postgres" {
		schema, read = s.Database, mysql.Catalog
	}
	tables, err := read(context.Background(), s.URL(), docs.TablesOf(side, schema))
	if err != nil {
		t.Fatal(err)
	}
	out := mapping.System{DefaultSchema: schema, Tables: map[schemas.TableName]*schemas.Table{}}
	for _, table := range tables {
		out.Tables[table.Name] = table
	}
	return out
}

func triggers(t *testing.T, s *testenv.Server) {
	t.Helper()
	s.Exec(t,
		"insert into debtor (name1) values ('Acme')",
		"insert into debtor (name1, debtor_no) values ('Bolt', 'X1')",
		"insert into debtor (name1) values ('Coil')",
		"insert into item (item_no, descr) values ('A-1', 'Chair')",
		"insert into sales_order (ext_ref, debtor_id) select 'q1', min(id) from debtor",
		"insert into sales_order_line (order_id, pos, item_no, qty, price, discount) values (1, 1, 'A-1', 3, 10.5, 10)",
		"insert into sales_order_line (order_id, pos, item_no, qty, price) values (1, 2, 'A-1', 1, 0.35)",
		"update sales_order_line set qty = 2 where pos = 1")
	db := s.DB()
	for query, want := range map[string]string{
		"select debtor_no from debtor where name1 = 'Acme'":        "D00001",
		"select debtor_no from debtor where name1 = 'Bolt'":        "X1",
		"select debtor_no from debtor where name1 = 'Coil'":        "D00002",
		"select order_no from sales_order where ext_ref = 'q1'":    "A00001",
		"select net_total from sales_order where ext_ref = 'q1'":   "19.25",
		"select count(*) from ledger where what = 'debtor opened'": "3",
		"select count(*) from ledger where what = 'order taken'":   "1",
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil && err != sql.ErrNoRows {
			t.Errorf("%s: %v", query, err)
		} else if got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	s.Exec(t, "delete from sales_order_line where pos = 1")
	var total string
	if err := db.QueryRow("select net_total from sales_order").Scan(&total); err != nil || total != "0.35" {
		t.Errorf("after a line is gone the total is %s, %v", total, err)
	}
	var before, after string
	if err := db.QueryRow("select changed_at from debtor where name1 = 'Acme'").Scan(&before); err != nil {
		t.Fatal(err)
	}
	s.Exec(t, "update debtor set tel = '1' where name1 = 'Acme'")
	if err := db.QueryRow("select changed_at from debtor where name1 = 'Acme'").Scan(&after); err != nil || after <= before {
		t.Errorf("changed_at went from %s to %s, %v", before, after, err)
	}
}
