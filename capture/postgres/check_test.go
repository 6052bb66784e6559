//go:build !noservers

package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// What cannot be read is refused by name, all of it at once, with what to do;
// the same in the check.
func TestRefusals(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table good (id int primary key)",
			"create table nokey (v int)",
			"create table nothing (id int primary key)", "alter table nothing replica identity nothing",
			"create unlogged table fast (id int primary key)",
			"create view seen as select * from good",
			"create type pair as (a int, b int)",
			"create table odd (id int primary key, p point, c pair, r int4range, m money[], v tsvector)",
			"create table shrink (a int, g int generated always as (a / 2) stored, primary key (a, g))",
			"create table p (id int primary key) partition by range (id)", "create table p1 partition of p for values from (0) to (9)",
			"create table unmentioned (p point)")
		cfg := db.config("", "good", "nokey", "nothing", "fast", "seen", "odd", "shrink", "p", "p1", "absent")
		want := []string{
			"public.nokey no primary key replica identity full",
			"public.nothing replica identity default",
			"public.fast set logged",
			"public.seen not a table",
			"public.odd, column p type point",
			"public.odd, column c type pair",
			"public.odd, column r type int4range",
			"public.odd, column m array of money",
			"public.odd, column v type tsvector",
			"public.shrink generated column g",
			"public.p1 partition of public.p",
			"public.absent no such table",
		}
		_, err := Open(t.Context(), cfg, schemas.Position{})
		wantError(t, err, capture.ErrUnsupported)
		lines := strings.Split(err.Error(), "\n")
		found, err := Check(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		var checked []string
		for _, f := range found {
			if !f.Warning {
				checked = append(checked, fmt.Sprintf("%s: %s; %s", f.What, f.Why, f.Cure))
			}
		}
		for _, w := range want {
			if !slices.ContainsFunc(lines, func(l string) bool { return says(l, w) }) {
				t.Errorf("open does not say %q:\n%s", w, strings.Join(lines, "\n"))
			}
			if !slices.ContainsFunc(checked, func(l string) bool { return says(l, w) }) {
				t.Errorf("check does not say %q:\n%s", w, strings.Join(checked, "\n"))
			}
		}
		if len(lines) != len(want) || len(checked) != len(want) {
			t.Errorf("%d errors and %d findings, want %d:\n%s\n\n%s", len(lines), len(checked), len(want), strings.Join(lines, "\n"), strings.Join(checked, "\n"))
		}
		// Nothing was made.
		var slots int
		if err := db.DB.QueryRow("select count(*) from pg_replication_slots where database = current_database()").Scan(&slots); err != nil || slots != 0 {
			t.Errorf("%d slots, %v", slots, err)
		}
	})
}

// says tells whether the line has all words in order.
func says(line, words string) bool {
	for _, w := range strings.Fields(words) {
		_, rest, ok := strings.Cut(line, w)
		if !ok {
			return false
		}
		line = rest
	}
	return true
}

// A role with what the documentation asks for, and not more, is enough; what it
// lacks is said.
func TestOrdinaryRole(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		role := "reader_" + db.server.Database
		db.exec(t, "create role "+role+" login password 'pw'", "create table a (id int primary key, v int)", "create table fence (id int primary key)")
		t.Cleanup(func() { db.exec(t, "drop owned by "+role, "drop role "+role) })
		cfg := db.config("", "a", "fence")
		cfg.URL = strings.Replace(cfg.URL, cfg.URL[:strings.Index(cfg.URL, "@127")], "postgres://"+role+":pw", 1)

		found, err := Check(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found {
			if !f.Warning {
				got = append(got, f.What)
			}
		}
		if !slices.Equal(got, []string{"role " + role, "schema strait"}) {
			t.Errorf("check says %q", got)
		}
		_, err = Open(t.Context(), cfg, schemas.Position{})
		wantError(t, err, capture.ErrUnsupported, "alter role", "replication")

		db.exec(t, "alter role "+role+" replication")
		_, err = Open(t.Context(), cfg, schemas.Position{})
		if err == nil || !strings.Contains(err.Error(), "create schema if not exists strait") {
			t.Errorf("open without the control tables: %v", err)
		}
		db.exec(t, schemas.PostgresControlTables...)
		db.exec(t, "grant usage on schema strait to "+role, "grant select on all tables in schema strait to "+role)
		_, err = Open(t.Context(), cfg, schemas.Position{})
		wantError(t, err, capture.ErrUnsupported, "create publication")
		_, statement, _ := strings.Cut(err.Error(), "let the owner of the tables run it: ")
		db.exec(t, statement)

		db.exec(t, "grant select on all tables in schema public to "+role, "insert into a values (1, 1)",
			"alter table a enable row level security", "create policy p on a using (v > 5)")
		s, err := Open(t.Context(), cfg, schemas.Position{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Read(context.Background())
		if err == nil || !strings.Contains(err.Error(), "row-level security") {
			t.Errorf("a snapshot under row level security: %v", err)
		}
		s.Close()
		db.exec(t, "alter table a disable row level security")
		r := &reader{t: t, db: db, cfg: cfg}
		r.open()
		defer r.close()
		r.fence()
		wantStory(t, r.story(), "r a(id) after id=1 v=1")
	})
}

func TestCatalog(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create schema s", "create table s.b (id bigint generated always as identity primary key, v varchar(5) not null default 'x', n numeric(6,2), t text not null, g int generated always as (1) stored)",
			"create table a (x serial, y int, primary key (y, x))", "create table odd (p point)",
			"create table p (id int primary key) partition by range (id)", "create table p1 partition of p for values from (0) to (9)")
		all, err := Catalog(t.Context(), db.cfg.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tab := range all {
			s := tab.Name.String()
			for _, c := range tab.Columns {
				s += fmt.Sprintf(" %s:%s:%s", c.Name, c.Type.Native, flags(c))
			}
			got = append(got, fmt.Sprint(s, " ", tab.Key))
		}
		want := []string{
			"public.a x:integer:da y:integer: [1 0]",
			"public.p id:integer: [0]",
			"s.b id:bigint:da v:character varying(5):d n:numeric(6,2):n t:text: [0]",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		one, err := Catalog(t.Context(), db.cfg.URL, []schemas.TableName{{Schema: "s", Name: "b"}})
		if err != nil || len(one) != 1 || one[0].Name.Name != "b" {
			t.Errorf("one table: %v, %v", one, err)
		}
		_, err = Catalog(t.Context(), db.cfg.URL, []schemas.TableName{{Schema: "public", Name: "odd"}, {Schema: "s", Name: "none"}})
		wantError(t, err, capture.ErrUnsupported, "public.odd.p", "point", "s.none", "no such table")
	})
}

func flags(c schemas.Column) string {
	s := ""
	for _, f := range []struct {
		on bool
		s  string
	}{{c.Nullable, "n"}, {c.HasDefault, "d"}, {c.Auto, "a"}} {
		if f.on {
			s += f.s
		}
	}
	return s
}

// Errors must not tell the password.
func TestNoPasswordInErrors(t *testing.T) {
	for _, url := range []string{"postgres://u:s3cret@127.0.0.1:1/x", "postgres://u:s3cret@127.0.0.1:99999999/x", "postgres://u:s3cret%zz@h/x"} {
		_, err := Open(t.Context(), Config{URL: url, System: "erp"}, schemas.Position{})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v", err)
		}
	}
}
