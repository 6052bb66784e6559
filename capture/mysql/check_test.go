//go:build !noservers

package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/capture/mysql"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

// asUser is the URL with another user.
func asUser(t *testing.T, s *testenv.Server, name string) string {
	t.Helper()
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, "pw")
	return u.String()
}

func makeUser(t *testing.T, s *testenv.Server, name string, grants ...string) {
	t.Helper()
	s.Exec(t, "create user "+name+" identified by 'pw'")
	t.Cleanup(func() { s.Exec(t, "drop user "+name) })
	for _, g := range grants {
		s.Exec(t, "grant "+g+" to "+name)
	}
}

func texts(f []mysql.Finding) string {
	var out []string
	for _, x := range f {
		out = append(out, fmt.Sprintf("%t %s", x.Fatal, x))
	}
	return strings.Join(out, "\n")
}

func TestLeastPrivileges(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		// The identity and the control tables are made by whoever may.
		first := newTail(t, s, []string{"a"}, "create table a (id int primary key)", "insert into a values (1)")
		first.open()
		first.close()

		makeUser(t, s, "reader", "select on `"+s.Database+"`.*", "select on strait.*", "replication slave on *.*")
		clientRight, lock := "replication client", "lock tables"
		if s.Kind == "mariadb" {
			clientRight = "binlog monitor"
		}
		cfg := first.cfg
		cfg.URL = asUser(t, s, "reader")

		f, err := mysql.Check(context.Background(), cfg)
		if err != nil || !strings.Contains(texts(f), "true no right to see the binlog files") || !strings.Contains(texts(f), "grant "+clientRight) {
			t.Fatalf("findings without the right: %s, %v", texts(f), err)
		}
		if _, err := mysql.Open(context.Background(), cfg, schemas.Position{}); err == nil || !strings.Contains(err.Error(), clientRight) {
			t.Fatalf("open without the right: %v", err)
		}
		s.Exec(t, "grant "+clientRight+" on *.* to reader")
		if s.Kind == "mysql" {
			if _, err := mysql.Open(context.Background(), cfg, schemas.Position{}); err == nil || !strings.Contains(err.Error(), "grant reload") {
				t.Fatalf("open without a right to lock: %v", err)
			}
			s.Exec(t, "grant "+lock+" on `"+s.Database+"`.* to reader", "grant "+lock+" on strait.* to reader")
		}
		f, err = mysql.Check(context.Background(), cfg)
		if err != nil || strings.Contains(texts(f), "true ") {
			t.Fatalf("findings with all rights: %s, %v", texts(f), err)
		}
		tl := first
		tl.cfg = cfg
		tl.log.Resume = schemas.Position{}
		tl.open()
		s.Exec(t, "insert into a values (2)")
		tl.fence()
		tl.want("a", "c 2")
	})
}

func TestCheckFindsSettings(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		s.Exec(t, "create table good (id int primary key)", "create table bad (id int, g geometry)")
		cfg := mysql.Config{URL: s.URL(), System: "x"}
		for _, set := range []struct{ name, bad, good string }{
			{"binlog_row_metadata", "MINIMAL", "FULL"},
			{"binlog_row_image", "MINIMAL", "FULL"},
			{"binlog_format", "STATEMENT", "ROW"},
		} {
			s.Exec(t, "set global "+set.name+" = "+set.bad)
			f, err := mysql.Check(context.Background(), cfg)
			_, openErr := mysql.Open(context.Background(), cfg, schemas.Position{})
			s.Exec(t, "set global "+set.name+" = "+set.good)
			if err != nil || !strings.Contains(texts(f), "true "+set.name+" is \""+set.bad+"\"") || !strings.Contains(texts(f), "set global "+set.name+" = "+set.good) {
				t.Errorf("%s: %s, %v", set.name, texts(f), err)
			}
			if !errors.Is(openErr, capture.ErrUnsupported) || !strings.Contains(openErr.Error(), set.name) {
				t.Errorf("%s: open: %v", set.name, openErr)
			}
		}
		f, err := mysql.Check(context.Background(), cfg)
		if err != nil || !strings.Contains(texts(f), "bad: column g: type geometry") || strings.Contains(texts(f), "good") {
			t.Errorf("tables: %s, %v", texts(f), err)
		}
		cfg.Tables = []schemas.TableName{{Schema: s.Database, Name: "none"}}
		if f, err := mysql.Check(context.Background(), cfg); err != nil || !strings.Contains(texts(f), "none is not there") {
			t.Errorf("a table that is not there: %s, %v", texts(f), err)
		}
	})
}

func TestPasswordIsNotShown(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		u, _ := url.Parse(s.URL())
		u.User = url.UserPassword("strait", "not-the-password")
		_, err := mysql.Open(context.Background(), mysql.Config{URL: u.String(), System: "x"}, schemas.Position{})
		if err == nil || strings.Contains(err.Error(), "not-the-password") {
			t.Errorf("got %v", err)
		}
	})
}

func TestCatalog(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		s.Exec(t, "create table b (id int auto_increment primary key, n varchar(20) not null)", "create table a (id bigint unsigned primary key, d date not null)", "create view v as select * from a")
		all, err := mysql.Catalog(context.Background(), s.URL(), nil)
		if err != nil || len(all) != 2 || all[0].Name.Name != "a" || all[1].Name.Name != "b" {
			t.Fatalf("got %v, %v", all, err)
		}
		if c := all[0].Columns; c[0].Type.Kind != schemas.KindUint64 || c[0].Nullable || !c[1].Nullable {
			t.Errorf("a: %+v; a date may be a zero date, so it is nullable", c)
		}
		if c := all[1].Columns; !c[0].Auto || c[1].Type.Length != 20 || c[1].Nullable || c[1].HasDefault {
			t.Errorf("b: %+v", c)
		}
		if _, err := mysql.Catalog(context.Background(), s.URL(), []schemas.TableName{{Schema: s.Database, Name: "nothing"}}); err == nil || !strings.Contains(err.Error(), "nothing") {
			t.Errorf("a table that is not there: %v", err)
		}
	})
}

func TestStatus(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, nil)
		tl.open()
		tl.fence()
		if got, want := tl.src.Connector(), s.Kind; got != want {
			t.Errorf("connector %s, want %s", got, want)
		}
		ctx := context.Background()
		if err := tl.src.Ack(ctx, tl.log.Resume); err != nil {
			t.Fatal(err)
		}
		st, err := tl.src.Status(ctx)
		if err != nil || st.BehindBytes != 0 || st.End.End != tl.log.Resume.End || st.Read.End != st.End.End || st.Acked != tl.log.Resume {
			t.Fatalf("at the end: %+v, %v", st, err)
		}
		s.Exec(t, "insert into fence values (1000)", "flush binary logs", "insert into fence values (1001)")
		tl.fence()
		st, err = tl.src.Status(ctx)
		if err != nil || st.BehindBytes == 0 || st.Files < 2 || st.Bytes < st.BehindBytes || st.Read.End != st.End.End || st.OldestFile == "" {
			t.Fatalf("behind: %+v, %v", st, err)
		}
	})
}
