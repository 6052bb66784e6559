//go:build !noservers

package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/schemas"
)

// big is a value that is stored out of line and does not compress.
const big = "(select string_agg(md5(g::text), '') from generate_series(1, 400) g)"

func TestUnchangedToast(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table d (id int primary key, big text, n int)",
			"create table f (id int primary key, big text, n int)",
			"alter table f replica identity full")
		r := db.read(t, "d", "f")
		for _, table := range []string{"d", "f"} {
			db.exec(t, "insert into "+table+" values (1, "+big+", 1)",
				"update "+table+" set n = 2",
				"update "+table+" set id = 7",
				"delete from "+table)
		}
		r.fence()
		wantStory(t, r.story(),
			"c d(id) after id=1 big=c4c…12800 n=1",
			"u d(id) after id=1 big=~ n=2",
			"u d(id) before id=1 big=~ n=~ after id=7 big=~ n=2",
			"d d(id) before id=7 big=~ n=~",
			"c f(id) after id=1 big=c4c…12800 n=1",
			"u f(id) before id=1 big=c4c…12800 n=1 after id=1 big=c4c…12800 n=2",
			"u f(id) before id=1 big=c4c…12800 n=2 after id=7 big=c4c…12800 n=2",
			"d f(id) before id=7 big=c4c…12800 n=2")
	})
}

func TestReplicaIdentity(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table pk (a int, b text, c numeric(4,2), v text, primary key (c, a, b))",
			"create table ix (id int primary key, code text not null, v text)",
			"create unique index ix_code on ix (code)",
			"alter table ix replica identity using index ix_code",
			"create table nopk (a int not null, b int not null, v text, unique (b, a))",
			"alter table nopk replica identity full",
			"create table nokey (v text)",
			"alter table nokey replica identity full",
			"insert into pk values (0, 'x', 1.5, 'v')")
		r := db.read(t, "pk", "ix", "nopk", "nokey")
		db.exec(t, "update pk set v = 'w'", "update pk set a = 2",
			"insert into ix values (1, 'k', 'v')", "update ix set v = 'w'", "update ix set id = 2", "update ix set code = 'l'", "delete from ix",
			"insert into nopk values (1, 2, 'v')", "update nopk set v = 'w'",
			"insert into nokey values ('a'), ('a')", "delete from nokey")
		r.fence()
		wantStory(t, r.story(),
			"r pk(c,a,b) after a=0 b=x c=1.50 v=v",
			"u pk(c,a,b) after a=0 b=x c=1.50 v=w",
			"u pk(c,a,b) before a=0 b=x c=1.50 v=~ after a=2 b=x c=1.50 v=w",
			"c ix(code) after id=1 code=k v=v",
			"u ix(code) after id=1 code=k v=w",
			"u ix(code) after id=2 code=k v=w",
			"u ix(code) before id=~ code=k v=~ after id=2 code=l v=w",
			"d ix(code) before id=~ code=l v=~",
			"c nopk(b,a) after a=1 b=2 v=v",
			"u nopk(b,a) before a=1 b=2 v=v after a=1 b=2 v=w",
			"c nokey() after v=a", "c nokey() after v=a",
			"d nokey() before v=a", "d nokey() before v=a")
	})
}

// The catalog may be far ahead of the log: what was a key then is a key, however
// the table looks now, and whether or not it still exists.
func TestCatalogAheadOfLog(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create type mood as enum ('sad', 'ok')",
			"create table a (id int primary key, m mood, v varchar(5))",
			"create table b (id int primary key, v text)",
			"create table c (a int, b int, primary key (a, b))")
		r := db.read(t, "a", "b", "c")
		at := r.log.Resume
		db.exec(t, "insert into a values (1, 'ok', 'x')", "insert into b values (1, 'x')", "insert into c values (1, 2)")
		r.close()
		db.exec(t, "drop table a", "drop type mood",
			"alter table b rename to b2", "alter table b2 rename id to key", "insert into b2 values (2, 'y')",
			"alter table c drop constraint c_pkey", "alter table c add column id int generated always as identity primary key",
			"insert into c values (3, 4)", "update c set a = 9 where id = 1", "delete from c where id = 2")
		r.cfg.Tables = r.cfg.Tables[2:] // those that exist under their names
		r.cfg.Tables = append(r.cfg.Tables, schemas.TableName{Schema: "public", Name: "b2"})
		r.log.Resume = at
		r.open()
		r.fence()
		wantStory(t, r.story(),
			"c a(id) after id=1 m=ok v=x",
			"c b(id) after id=1 v=x",
			"c c(a,b) after a=1 b=2",
			"c b2(key) after key=2 v=y",
			"c c(id) after a=3 b=4 id=2",
			"u c(id) after a=9 b=2 id=1",
			"d c(id) before a=~ b=~ id=2")
	})
}

func TestEnumLabelsGrow(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create type mood as enum ('sad')", "create domain dmood as mood", "create table a (id int primary key, m dmood)")
		r := db.read(t, "a")
		db.exec(t, "insert into a values (1, 'sad')")
		r.fence()
		db.exec(t, "alter type mood add value 'ok'", "insert into a values (2, 'ok')", "alter type mood rename value 'ok' to 'fine'", "insert into a values (3, 'fine')")
		r.fence()
		wantStory(t, r.story(), "c a(id) after id=1 m=sad", "c a(id) after id=2 m=ok", "c a(id) after id=3 m=fine")
		var labels string
		for _, c := range r.log.Changes {
			if c.Table.Name.Name == "a" {
				labels = strings.Join(c.Table.Columns[1].Type.Labels, ",")
			}
		}
		if labels != "sad,fine" {
			t.Errorf("labels %q", labels)
		}
	})
}

func TestGeneratedColumnsStayOut(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table a (id int primary key, v int, twice int generated always as (v * 2) stored, w int)",
			"insert into a (id, v, w) values (1, 2, 3)")
		r := db.read(t, "a")
		db.exec(t, "insert into a (id, v, w) values (2, 4, 5)")
		r.fence()
		wantStory(t, r.story(), "r a(id) after id=1 v=2 w=3", "c a(id) after id=2 v=4 w=5")
		if a, b := r.log.Changes[0].Table, r.log.Changes[1].Table; a != b {
			t.Errorf("snapshot and log have different shapes: %+v, %+v", a, b)
		}
	})
}

func TestPartitions(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table p (id int, region text, v int, primary key (region, id)) partition by list (region)",
			"create table p_a partition of p for values in ('a')",
			"create table p_b partition of p for values in ('b')",
			"insert into p values (1, 'a', 1), (2, 'b', 1)",
			"create table parent (id int primary key)", "create table heir (v int, primary key (id)) inherits (parent)",
			"insert into parent values (1)", "insert into heir values (2, 2)")
		r := db.read(t, "p", "parent")
		db.exec(t, "update p set v = 2 where id = 1", "update p set region = 'b' where id = 1",
			"create table p_c partition of p for values in ('c')", "insert into p values (3, 'c', 1)", "truncate p")
		r.fence()
		wantStory(t, r.story(),
			"r p(region,id) after id=1 region=a v=1",
			"r p(region,id) after id=2 region=b v=1",
			"r parent(id) after id=1",
			"u p(region,id) after id=1 region=a v=2",
			"d p(region,id) before id=1 region=a v=~",
			"c p(region,id) after id=1 region=b v=2",
			"c p(region,id) after id=3 region=c v=1",
			"t p(region,id)")
	})
}

// Rows of COPY share one LSN, and the tables of one TRUNCATE too: the ordinals,
// which the log checks, tell them apart.
func TestSharedLSN(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table a (id int primary key)", "create table b (id int primary key)")
		r := db.read(t, "a", "b")
		conn, err := pgx.Connect(context.Background(), db.cfg.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		var rows [][]any
		for i := range 500 {
			rows = append(rows, []any{i})
		}
		if _, err := conn.CopyFrom(context.Background(), pgx.Identifier{"a"}, []string{"id"}, pgx.CopyFromRows(rows)); err != nil {
			t.Fatal(err)
		}
		db.exec(t, "truncate a, b")
		r.fence()
		lsns, ids := map[uint64]int{}, map[int64]bool{}
		var truncated []string
		for _, c := range r.log.Changes {
			switch {
			case c.Op == schemas.Truncate:
				truncated = append(truncated, c.Table.Name.Name)
			case c.Table.Name.Name == "a":
				lsns[c.LSN]++
				ids[c.After[0].Int()] = true
			}
		}
		if len(ids) != 500 || len(lsns) >= 500 {
			t.Errorf("%d rows with %d LSNs; the test wants fewer LSNs", len(ids), len(lsns))
		}
		if len(truncated) != 2 {
			t.Errorf("truncated %q", truncated)
		}
	})
}

func TestPreparedTransaction(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table a (id int primary key)")
		r := db.read(t, "a")
		conn, err := db.DB.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, q := range []string{"begin", "insert into a values (1)", "prepare transaction '" + db.server.Database + "'"} {
			if _, err := conn.ExecContext(context.Background(), q); err != nil {
				t.Fatal(err)
			}
		}
		db.exec(t, "insert into a values (2)")
		r.fence()
		wantStory(t, r.story(), "c a(id) after id=2")
		db.exec(t, "commit prepared '"+db.server.Database+"'")
		r.fence()
		wantStory(t, r.story(), "c a(id) after id=2", "c a(id) after id=1")
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, `create schema "Mixed Case"`, `create table "Mixed Case"."żółć ""q"" 'a'" ("Id ""x" int primary key, "a.b" text)`,
			`insert into "Mixed Case"."żółć ""q"" 'a'" values (1, 'x')`, `create table inet (id int primary key, v interval)`)
		db.cfg.Publication = `My "Pub`
		db.cfg.Tables = []schemas.TableName{{Schema: "Mixed Case", Name: `żółć "q" 'a'`}}
		r := db.read(t, "inet")
		db.exec(t, `update "Mixed Case"."żółć ""q"" 'a'" set "a.b" = 'y'`, "insert into inet values (1, '1 day')")
		r.fence()
		wantStory(t, r.story(), `r żółć "q" 'a'(Id "x) after Id "x=1 a.b=x`, `u żółć "q" 'a'(Id "x) after Id "x=1 a.b=y`, "c inet(id) after id=1 v=P1D")
	})
}
