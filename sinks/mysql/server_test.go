//go:build !noservers

package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
	"github.com/strait-cdc/strait/sinks/mysql"
	"github.com/strait-cdc/strait/sinks/sinktest"
)

func write(server *testenv.Server, kind schemas.WriteKind, table string, key schemas.Value, set ...schemas.Cell) schemas.Write {
	return schemas.Write{Kind: kind, Table: schemas.TableName{Schema: server.Database, Name: table}, Key: cell("id", key), Set: set}
}

func one(id string, writes ...schemas.Write) schemas.Intent {
	return schemas.Intent{ID: id, Writes: writes}
}

func outcomes(answers []schemas.Answer) string {
	var b strings.Builder
	for _, a := range answers {
		b.WriteByte("?amr"[a.Outcome])
	}
	return b.String()
}

func v(n int64) schemas.Cell { return schemas.Cell{Column: "v", Value: schemas.Int(n)} }

// TestHooks has triggers: one that refuses, and one that leaves a warning which
// says nothing of our values.
func TestHooks(t *testing.T) {
	servers(t, func(t *testing.T, server *testenv.Server) {
		server.Exec(t, `create table thing (id int auto_increment primary key, v int)`, `create table other (id int)`,
			`create trigger no before insert on thing for each row begin
				declare x int;
				select id into x from other limit 1;
				if new.v = 13 then signal sqlstate '45000' set message_text = 'no thirteen'; end if;
			end`)
		k := &kinds{T: t, server: server, sink: started(t, server)}
		for _, n := range []int{2, 20} { // one by one, and in packets
			var batch []schemas.Intent
			want := ""
			for i := range n {
				batch = append(batch, one(fmt.Sprint(i), write(server, schemas.WriteInsert, "thing", schemas.Null, v(int64(i%2)*13))))
				want += string("ar"[i%2])
			}
			answers := k.apply(batch)
			if got := outcomes(answers); got != want || !strings.Contains(answers[1].Reason, "no thirteen") {
				t.Fatalf("outcomes %s, want %s: %+v", got, want, answers[:2])
			}
		}
	})
}

// TestKeysOfTheServer has keys that are no auto_increment: MariaDB tells them,
// MySQL cannot.
func TestKeysOfTheServer(t *testing.T) {
	servers(t, func(t *testing.T, server *testenv.Server) {
		server.Exec(t, `create table doc (id varchar(36) primary key default (uuid()), v int)`, `create table big (id bigint unsigned auto_increment primary key, v int) auto_increment = 18446744073709551613`)
		k := &kinds{T: t, server: server, sink: started(t, server)}
		doc := write(server, schemas.WriteInsert, "doc", schemas.Null, v(1))
		doc.Link = &schemas.Link{Entity: t.Name() + "doc", Hub: "h"}
		big := write(server, schemas.WriteInsert, "big", schemas.Null, v(1))
		big.Link = &schemas.Link{Entity: t.Name() + "big", Hub: "h"}
		answers := k.apply([]schemas.Intent{one("doc", doc), one("big", big)})
		want := map[string]string{"mariadb": "aa", "mysql": "ra"}[server.Kind]
		if got := outcomes(answers); got != want || answers[1].Keys["h"] != "18446744073709551613" {
			t.Fatalf("outcomes %s, want %s: %+v", got, want, answers)
		}
		if key := answers[0].Keys["h"]; server.Kind == "mariadb" && len(key) != 36 {
			t.Errorf("key %q is no uuid", key)
		}
		zero := write(server, schemas.WriteInsert, "big", schemas.Int(0), v(1))
		zero.Link = &schemas.Link{Entity: t.Name() + "big", Hub: "z"}
		if a := k.apply([]schemas.Intent{one("zero", zero)}); outcomes(a) != "a" || a[0].Keys["z"] != "0" {
			t.Errorf("a key of 0 is a key: %+v", a)
		}
	})
}

// TestChangedTable has a table change its shape while the sink is open.
func TestChangedTable(t *testing.T) {
	servers(t, func(t *testing.T, server *testenv.Server) {
		server.Exec(t, `create table thing (id int primary key, v varchar(3))`, `insert into thing values (1, 'a')`)
		k := &kinds{T: t, server: server, sink: started(t, server)}
		set := func(column, v string) schemas.Write {
			return write(server, schemas.WriteUpdate, "thing", schemas.Int(1), schemas.Cell{Column: column, Value: schemas.Text(v)})
		}
		if got := outcomes(k.apply([]schemas.Intent{one("1", set("v", "b")), one("2", set("w", "b"))})); got != "ar" {
			t.Fatalf("outcomes %s, want ar", got)
		}
		server.Exec(t, `alter table thing add w text, modify v varchar(9)`)
		if answers := k.apply([]schemas.Intent{one("1", set("v", "longer")), one("2", set("w", "b"))}); outcomes(answers) != "aa" {
			t.Fatalf("after the change: %+v", answers)
		}
		server.Exec(t, `update thing set w = null`, `alter table thing drop v, modify w int`)
		if answers := k.apply([]schemas.Intent{one("1", set("v", "x")), one("2", set("w", "5")), one("3", set("w", "6"))}); outcomes(answers) != "raa" {
			t.Fatalf("after the second change: %+v", answers)
		}
		server.Exec(t, `alter table thing add x int`)
		if answers := k.apply([]schemas.Intent{one("1", set("x", "1"))}); outcomes(answers) != "a" {
			t.Fatalf("alone after the third change: %+v", answers)
		}
	})
}

// TestDeadlock has a user and a batch lock two rows crosswise. Whoever the
// server ends, the batch is applied in the end, and once.
func TestDeadlock(t *testing.T) {
	servers(t, func(t *testing.T, server *testenv.Server) {
		server.Exec(t, `create table thing (id int primary key, v int)`, `insert into thing values (1, 0)`, `insert into thing select seq, 0 from (with recursive s as (select 2 as seq union all select seq + 1 from s where seq < 200) select seq from s) x`)
		k := &kinds{T: t, server: server, sink: started(t, server)}
		tx, err := server.DB().Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		// More rows than the batch changes, so that the batch is the one to be ended.
		if _, err := tx.Exec(`update thing set v = v + 10 where id >= 2`); err != nil {
			t.Fatal(err)
		}
		done := make(chan string)
		go func() {
			done <- outcomes(k.apply([]schemas.Intent{one("1", write(server, schemas.WriteUpdate, "thing", schemas.Int(1), v(1)), write(server, schemas.WriteUpdate, "thing", schemas.Int(2), v(1)))}))
		}()
		x := target(t, server)
		testenv.Eventually(t, 10*time.Second, func() error {
			if !x.Waiting(t) {
				return errors.New("the sink does not wait")
			}
			return nil
		})
		_, err = tx.Exec(`update thing set v = v + 10 where id = 1`)
		t.Logf("the user got: %v", err)
		_ = tx.Commit()
		if got := <-done; got != "a" {
			t.Fatal(got)
		}
	})
}

// TestLockedForLong has a user hold a row for longer than we wait.
func TestLockedForLong(t *testing.T) {
	server := testenv.MariaDB(t)
	server.Exec(t, `create table thing (id int primary key, v int)`, `insert into thing values (1, 0), (2, 0)`)
	tx, err := server.DB().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`update thing set v = 9 where id = 2`); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	s, err := mysql.Open(ctx, mysql.Config{URL: at(t, server, server.Addr()), Pipeline: t.Name(), LockTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Start(ctx, sinktest.Anyone); err != nil {
		t.Fatal(err)
	}
	batch := []schemas.Intent{one("1", write(server, schemas.WriteUpdate, "thing", schemas.Int(1), v(1))), one("2", write(server, schemas.WriteUpdate, "thing", schemas.Int(2), v(1)))}
	if _, err := s.Apply(ctx, 1, batch); err == nil || !strings.Contains(err.Error(), "attempts") || errors.Is(err, sinks.ErrFenced) {
		t.Fatalf("a lock that is never given back: %v", err)
	}
	var n int
	if err := server.DB().QueryRow(`select v from thing where id = 1`).Scan(&n); err != nil || n != 0 {
		t.Fatalf("row 1 holds %d after a batch that failed (%v)", n, err)
	}
}

// TestBigPacket has a value that is larger than the server takes.
func TestBigPacket(t *testing.T) {
	servers(t, func(t *testing.T, server *testenv.Server) {
		server.Exec(t, `create table thing (id int primary key, v longtext)`, `set global max_allowed_packet = 2097152`)
		k := &kinds{T: t, server: server, sink: started(t, server)}
		var batch []schemas.Intent
		for i := range 12 {
			size := 500_000
			if i == 5 {
				size = 3_000_000
			}
			batch = append(batch, one(fmt.Sprint(i), write(server, schemas.WriteInsert, "thing", schemas.Int(int64(i)), schemas.Cell{Column: "v", Value: schemas.Text(strings.Repeat("x", size))})))
		}
		answers := k.apply(batch)
		if got := outcomes(answers); got != "aaaaaraaaaaa" || !strings.Contains(answers[5].Reason, "max_allowed_packet") {
			t.Fatalf("outcomes %s: %s", got, answers[5].Reason)
		}
	})
}
