//go:build !noservers

package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
	"github.com/strait-cdc/strait/sinks/postgres"
	"github.com/strait-cdc/strait/sinks/sinktest"
)

func table(name string) schemas.TableName { return schemas.TableName{Schema: "public", Name: name} }

func write(kind schemas.WriteKind, name string, key schemas.Value, set ...schemas.Cell) schemas.Write {
	return schemas.Write{Kind: kind, Table: table(name), Key: cell("id", key), Set: set}
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

// TestDeferred has constraints that the server checks at the commit: they must
// be the answer of one intent, not the end of the batch.
func TestDeferred(t *testing.T) {
	server := testenv.Postgres(t, "15")
	server.Exec(t, `create table public.parent (id int primary key);
create table public.child (id int primary key, parent int references public.parent deferrable initially deferred, rank int unique deferrable initially deferred)`)
	k := &kinds{T: t, server: server, sink: started(t, server)}
	parent := schemas.Cell{Column: "parent", Value: schemas.Int(1)}
	rank := func(n int64) schemas.Cell { return schemas.Cell{Column: "rank", Value: schemas.Int(n)} }
	answers := k.apply([]schemas.Intent{
		one("child first", write(schemas.WriteInsert, "child", schemas.Int(1), parent, rank(1)), write(schemas.WriteInsert, "parent", schemas.Int(1))),
		one("orphan", write(schemas.WriteInsert, "child", schemas.Int(2), schemas.Cell{Column: "parent", Value: schemas.Int(9)})),
		one("ok", write(schemas.WriteInsert, "child", schemas.Int(3), parent, rank(3))),
		one("swap", write(schemas.WriteUpdate, "child", schemas.Int(1), rank(3)), write(schemas.WriteUpdate, "child", schemas.Int(3), rank(1))),
		one("twice", write(schemas.WriteInsert, "child", schemas.Int(4), rank(1))),
	})
	if got := outcomes(answers); got != "araam" {
		t.Fatalf("outcomes %s, want araam: %+v", got, answers)
	}
}

// TestHooks has triggers that refuse, and keys that the server makes in its own way.
func TestHooks(t *testing.T) {
	server := testenv.Postgres(t, "15")
	server.Exec(t, `create table public.doc (id uuid primary key default gen_random_uuid(), v int);
create table public.pair (a bigint generated always as identity, b text default 'b', v int, primary key (a, b));
create function public.no() returns trigger language plpgsql as $$ begin
	if new.v = 13 then raise exception 'no thirteen'; end if;
	if new.v = 14 then return null; end if;
	return new; end $$;
create trigger no before insert or update on public.doc for each row execute function public.no()`)
	k := &kinds{T: t, server: server, sink: started(t, server)}
	v := func(n int64) schemas.Cell { return schemas.Cell{Column: "v", Value: schemas.Int(n)} }
	doc := write(schemas.WriteInsert, "doc", schemas.Null, v(1))
	doc.Link = &schemas.Link{Entity: "doc", Hub: "h"}
	pair := schemas.Write{Kind: schemas.WriteInsert, Table: table("pair"), Set: []schemas.Cell{v(1)}, Link: &schemas.Link{Entity: "pair", Hub: "h"},
		Key: []schemas.Cell{{Column: "a"}, {Column: "b"}}}
	answers := k.apply([]schemas.Intent{one("uuid", doc), one("pair", pair), one("raised", write(schemas.WriteInsert, "doc", schemas.Null, v(13))),
		one("swallowed", write(schemas.WriteInsert, "doc", schemas.Null, v(14))), one("ok", write(schemas.WriteInsert, "doc", schemas.Null))})
	if got := outcomes(answers); got != "aarma" || !strings.Contains(answers[2].Reason, "no thirteen") {
		t.Fatalf("outcomes %s, want aarma: %+v", got, answers)
	}
	if key := answers[0].Keys["h"]; len(key) != 36 {
		t.Errorf("key %q is no uuid", key)
	}
	if key := answers[1].Keys["h"]; !strings.HasSuffix(key, "/b") || len(key) != 3 {
		t.Errorf("key %q, want a number and /b", key)
	}
}

// TestChangedTable has a table change its shape while the sink is open.
func TestChangedTable(t *testing.T) {
	server := testenv.Postgres(t, "15")
	server.Exec(t, `create table public.thing (id int primary key, v varchar(3)); insert into public.thing values (1, 'a')`)
	k := &kinds{T: t, server: server, sink: started(t, server)}
	set := func(column, v string) schemas.Write {
		return write(schemas.WriteUpdate, "thing", schemas.Int(1), schemas.Cell{Column: column, Value: schemas.Text(v)})
	}
	if got := outcomes(k.apply([]schemas.Intent{one("1", set("v", "b")), one("2", set("w", "b"))})); got != "ar" {
		t.Fatalf("outcomes %s, want ar", got)
	}
	server.Exec(t, `alter table public.thing add w text, alter v type varchar(9)`)
	if answers := k.apply([]schemas.Intent{one("1", set("v", "longer")), one("2", set("w", "b"))}); outcomes(answers) != "aa" {
		t.Fatalf("after the change: %+v", answers)
	}
	server.Exec(t, `alter table public.thing drop v, drop w, add w int`)
	if answers := k.apply([]schemas.Intent{one("1", set("v", "x")), one("2", set("w", "5")), one("3", set("w", "6"))}); outcomes(answers) != "raa" {
		t.Fatalf("after the second change: %+v", answers)
	}
	server.Exec(t, `alter table public.thing add x int`)
	if answers := k.apply([]schemas.Intent{one("1", set("x", "1"))}); outcomes(answers) != "a" {
		t.Fatalf("alone after the third change: %+v", answers)
	}
}

// TestLockedForLong has a user hold a row for longer than we wait: nothing is
// written, and the next attempt starts from the beginning.
func TestLockedForLong(t *testing.T) {
	server := testenv.Postgres(t, "15")
	server.Exec(t, `create table public.thing (id int primary key, v int); insert into public.thing values (1, 0), (2, 0)`)
	tx, err := server.DB().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`update public.thing set v = 9 where id = 2`); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	s, err := postgres.Open(ctx, postgres.Config{URL: at(t, server, server.Addr()), Pipeline: "p", LockTimeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Start(ctx, sinktest.Anyone); err != nil {
		t.Fatal(err)
	}
	v := schemas.Cell{Column: "v", Value: schemas.Int(1)}
	batch := []schemas.Intent{one("1", write(schemas.WriteUpdate, "thing", schemas.Int(1), v)), one("2", write(schemas.WriteUpdate, "thing", schemas.Int(2), v))}
	if _, err := s.Apply(ctx, 1, batch); err == nil || !strings.Contains(err.Error(), "attempts") || errors.Is(err, sinks.ErrFenced) {
		t.Fatalf("a lock that is never given back: %v", err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	k := &kinds{T: t, server: server}
	if k.sink, err = postgres.Open(ctx, postgres.Config{URL: at(t, server, server.Addr()), Pipeline: "p"}); err != nil {
		t.Fatal(err)
	}
	defer k.sink.Close()
	if p, err := k.sink.Start(ctx, sinktest.Anyone); err != nil || p.Batch != 0 {
		t.Fatalf("progress %+v, %v", p, err)
	}
	if got := outcomes(k.apply(batch)); got != "aa" {
		t.Fatal(got)
	}
}

// TestDeadlock has a user and a batch lock two rows crosswise. Whoever the
// server ends, the batch is applied in the end, and once.
func TestDeadlock(t *testing.T) {
	server := testenv.Postgres(t, "15")
	server.Exec(t, `create table public.thing (id int primary key, v int); insert into public.thing values (1, 0), (2, 0)`)
	k := &kinds{T: t, server: server, sink: started(t, server)}
	tx, err := server.DB().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`update public.thing set v = v where id = 2`); err != nil {
		t.Fatal(err)
	}
	v := schemas.Cell{Column: "v", Value: schemas.Int(1)}
	done := make(chan string)
	go func() {
		done <- outcomes(k.apply([]schemas.Intent{one("1", write(schemas.WriteUpdate, "thing", schemas.Int(1), v), write(schemas.WriteUpdate, "thing", schemas.Int(2), v))}))
	}()
	x := target(t, server)
	testenv.Eventually(t, 10*time.Second, func() error {
		if !x.Waiting(t) {
			return errors.New("the sink does not wait")
		}
		return nil
	})
	_, err = tx.Exec(`update public.thing set v = v where id = 1`)
	t.Logf("the user got: %v", err)
	_ = tx.Commit()
	if got := <-done; got != "a" {
		t.Fatal(got)
	}
}

// TestFoldingKey has a key whose own operator takes different texts for equal:
// the row that is found must be the one that is meant.
func TestFoldingKey(t *testing.T) {
	server := testenv.Postgres(t, "15")
	server.Exec(t, `create collation public.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
		`create table public.thing (id text collate public.ci primary key, v int); insert into public.thing values ('a', 0), ('b', 0), ('c', 0)`)
	k := &kinds{T: t, server: server, sink: started(t, server)}
	set := func(id string) schemas.Intent {
		return one(id, write(schemas.WriteUpdate, "thing", schemas.Text(id), schemas.Cell{Column: "v", Value: schemas.Int(1)}))
	}
	if got := outcomes(append(k.apply([]schemas.Intent{set("a"), set("B"), set("c"), set("C")}), k.apply([]schemas.Intent{set("A")})...)); got != "amamm" {
		t.Fatalf("outcomes %s, want amamm", got)
	}
}

// TestDurable has a database that acknowledges commits before they are on disk:
// ours wait for it all the same.
func TestDurable(t *testing.T) {
	server := testenv.Postgres(t, "15")
	server.Exec(t, `do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$`,
		`create table public.thing (id int primary key, v text);
create function public.note() returns trigger language plpgsql as $$ begin new.v := current_setting('synchronous_commit'); return new; end $$;
create trigger note before insert on public.thing for each row execute function public.note()`)
	k := &kinds{T: t, server: server, sink: started(t, server)}
	k.apply([]schemas.Intent{one("1", write(schemas.WriteInsert, "thing", schemas.Int(1)))})
	var got string
	if err := server.DB().QueryRow(`select v from public.thing`).Scan(&got); err != nil || got != "on" {
		t.Fatalf("synchronous_commit is %q in our transaction (%v)", got, err)
	}
}
