//go:build !noservers

package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/internal/testenv"
)

// as is the address of a server for another user.
func as(t *testing.T, s *testenv.Server, user string) string {
	t.Helper()
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, "pw")
	return u.String()
}

// TestCheckNamesTheMissingRights: a user who may only read gets one finding for
// each right that the mapping needs, and the statements that the findings give
// cure them.
func TestCheckNamesTheMissingRights(t *testing.T) {
	crm, erp := testenv.MariaDB(t), testenv.Postgres(t, "15")
	crm.Exec(t, `drop user if exists reader`, `create user reader identified by 'pw'`,
		`grant replication slave, replication slave admin, binlog monitor, reload on *.* to reader`,
		"grant select on `"+crm.Database+"`.* to reader", `grant create, select, insert, update, delete on strait.* to reader`)
	erp.Exec(t, `do $$ begin if exists (select from pg_roles where rolname = 'reader') then execute 'drop owned by reader'; drop role reader; end if; end $$`,
		`create role reader login replication password 'pw'`, `grant create on database "`+erp.Database+`" to reader`)
	b := newBusinessAt(t, crm, erp, as(t, crm, "reader"), as(t, erp, "reader"))
	erp.Exec(t, `grant select on all tables in schema public to reader`,
		`create publication `+b.cfg.Systems["erp"].Publication+` for all tables`)
	t.Cleanup(func() {
		erp.Exec(t, `drop owned by reader`, `drop role reader`)
		crm.Exec(t, `drop user reader`)
	})

	found := b.cfg.check(t.Context())
	want := []string{
		"erp: not allowed: update public.debtor", "erp: not allowed: insert public.debtor", "erp: not allowed: delete public.debtor_address",
		"crm: not allowed: update " + crm.Database + ".accounts", "crm: not allowed: insert " + crm.Database + ".products",
	}
	for _, w := range want {
		if !containsFinding(found, w) {
			t.Errorf("no finding %q in\n%s", w, findingText(t, found))
		}
	}
	for _, f := range found {
		if !strings.HasPrefix(f.What, "not allowed: ") {
			continue
		}
		if f.Where == "crm" {
			crm.Exec(t, f.Cure)
		} else {
			erp.Exec(t, f.Cure)
		}
	}
	if found := b.cfg.check(t.Context()); containsFinding(found, "not allowed") {
		t.Errorf("after the cures:\n%s", findingText(t, found))
	}
}

func containsFinding(found []finding, text string) bool {
	for _, f := range found {
		if strings.Contains(f.Where+": "+f.What, text) {
			return true
		}
	}
	return false
}

func findingText(t *testing.T, found []finding) string {
	t.Helper()
	var b strings.Builder
	if err := printFindings(&b, found, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
