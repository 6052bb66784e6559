//go:build !noservers

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"),
		goleak.IgnoreAnyFunction("github.com/strait-cdc/strait/internal/testenv.newProcess"))
}

// opens tries to open and gives the error.
func (r *reader) opens() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := Open(ctx, r.cfg, r.log.Resume)
	if err == nil {
		s.Close()
	}
	return err
}

func wantError(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error %v, want %v", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// Each of these has lost the log between the last commit and now.
func TestPositionLost(t *testing.T) {
	for name, lose := range map[string]struct {
		do   func(t *testing.T, r *reader)
		word string
	}{
		"slot dropped": {func(t *testing.T, r *reader) {
			r.db.exec(t, "select pg_drop_replication_slot('"+r.slot()+"')")
		}, "does not exist"},
		"slot read by another": {func(t *testing.T, r *reader) {
			r.db.exec(t, "insert into a values (2)", "select pg_replication_slot_advance('"+r.slot()+"', pg_current_wal_lsn())")
		}, "beyond the last commit"},
		"slot of another plugin": {func(t *testing.T, r *reader) {
			r.db.exec(t, "select pg_drop_replication_slot('"+r.slot()+"')", "select pg_create_physical_replication_slot('"+r.slot()+"')")
		}, "not a logical slot"},
		"publication dropped": {func(t *testing.T, r *reader) {
			r.db.exec(t, "drop publication "+r.slot())
		}, "no publication"},
		"table made again": {func(t *testing.T, r *reader) {
			r.db.exec(t, "drop table a", "create table public.a (id int primary key)")
		}, "dropped and made again"},
		"table new in the list": {func(t *testing.T, r *reader) {
			r.db.exec(t, "create table public.b (id int primary key)")
			r.cfg.Tables = append(r.cfg.Tables, schemas.TableName{Schema: "public", Name: "b"})
		}, "new in the list"},
		"server restored": {func(t *testing.T, r *reader) { r.log.Resume.End += 1 << 40 }, "beyond the server's log"},
		"server promoted": {func(t *testing.T, r *reader) { r.log.Resume.Source += "0" }, "promoted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, db *database) {
				db.exec(t, "create table a (id int primary key)", "insert into a values (1)")
				r := db.read(t, "a")
				r.close()
				lose.do(t, r)
				wantError(t, r.opens(), capture.ErrPositionLost, lose.word, "new snapshot")
			})
		})
	}
}

func (r *reader) slot() string {
	cfg, _ := r.cfg.withDefaults()
	return cfg.Slot
}

// A slot that the server has given up because it kept too much log.
func TestSlotInvalidated(t *testing.T) {
	for _, v := range versions {
		t.Run("postgres "+v, func(t *testing.T) {
			t.Parallel()
			s := testenv.OwnPostgres(t, v)
			db := ownDatabase(s)
			db.exec(t, "alter system set max_slot_wal_keep_size = '1MB'", "select pg_reload_conf()",
				"create table a (id int primary key)", "create table other (v text)")
			r := db.read(t, "a")
			// The server says a little later that the slot is active.
			testenv.Eventually(t, patience, func() error {
				st, err := r.Status(t.Context())
				if err != nil || !st.Exists || !st.Usable || !st.Active || st.WALStatus == "lost" || st.Confirmed == 0 || st.Restart == 0 {
					return fmt.Errorf("status %+v, %v", st, err)
				}
				return nil
			})
			r.close()
			testenv.Eventually(t, patience, func() error {
				db.exec(t, "insert into other select repeat('x', 1000) from generate_series(1, 20000)", "select pg_switch_wal()", "checkpoint")
				st, err := ReadStatus(t.Context(), r.cfg)
				if err == nil && st.WALStatus != "lost" {
					err = fmt.Errorf("status %+v", st)
				}
				return err
			})
			wantError(t, r.opens(), capture.ErrPositionLost, "max_slot_wal_keep_size", "new snapshot")
			found, err := Check(t.Context(), r.cfg)
			if err != nil || len(found) != 1 || !strings.Contains(found[0].Why, "max_slot_wal_keep_size") {
				t.Errorf("check: %+v, %v", found, err)
			}
			// A new snapshot puts all in order.
			r.log.Resume = schemas.Position{}
			r.open()
			r.fence()
		})
	}
}

// untilError reads until the source has noticed that its connection is gone.
func (r *reader) untilError() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		b, err := r.Read(ctx)
		if ctx.Err() != nil {
			r.t.Fatal("the source did not notice that the server is gone")
		}
		if err != nil {
			return
		}
		if err := r.log.Add(b); err != nil {
			r.t.Fatal(err)
		}
	}
}

func ownDatabase(s *testenv.Server) *database {
	db := &database{server: s, cfg: Config{URL: s.URL(), System: "own"}}
	db.SQL.DB = s.DB()
	return db
}

// The server's crash in the middle of everything: what it had answered is there.
func TestServerKilled(t *testing.T) {
	for _, v := range versions {
		t.Run("postgres "+v, func(t *testing.T) {
			t.Parallel()
			s := testenv.OwnPostgres(t, v)
			db := ownDatabase(s)
			db.exec(t, "create table a (id int primary key)")
			r := db.read(t, "a")
			db.exec(t, "insert into a select generate_series(0, 20000)")
			r.next()
			s.Kill(t)
			db.SQL.DB = s.DB()
			r.untilError()
			// The handle's old connections say only when they are used that they are dead.
			testenv.Eventually(t, 20*time.Second, func() error {
				_, err := db.SQL.DB.ExecContext(t.Context(), "select 1")
				return err
			})
			r.close()
			r.open()
			r.fence()
			n := 0
			for _, c := range r.log.Changes {
				if c.Table.Name.Name == "a" {
					n++
				}
			}
			if n != 20_001 {
				t.Errorf("%d rows, want 20001", n)
			}
		})
	}
}

// While other tables are written, the slot of an idle publication goes on, with
// an empty batch that has to be durable first.
func TestIdle(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table a (id int primary key)", "create table other (v text)")
		db.cfg.Heartbeat = 100 * time.Millisecond
		db.cfg.URL += "?wal_sender_timeout=4s" // reports every second
		r := db.read(t, "a")
		changes := len(r.log.Changes)
		var end string
		db.exec(t, "insert into other select repeat('x', 1000) from generate_series(1, 1000)")
		if err := db.DB.QueryRow("select pg_current_wal_lsn() - '0/0'").Scan(&end); err != nil {
			t.Fatal(err)
		}
		var wal uint64
		fmt.Sscan(end, &wal)
		for r.log.Resume.End < wal {
			r.next()
		}
		r.reported()
		if confirmed, _, err := db.Confirmed(t.Context()); err != nil || confirmed >= wal {
			t.Fatalf("confirmed %d, but nothing behind the snapshot was acknowledged; %v", confirmed, err)
		}
		if err := r.Ack(t.Context(), r.log.Resume); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, patience, func() error {
			confirmed, _, err := db.Confirmed(t.Context())
			if err == nil && confirmed < wal {
				err = fmt.Errorf("confirmed %d, want %d", confirmed, wal)
			}
			return err
		})
		if len(r.log.Changes) != changes {
			t.Errorf("changes: %q", r.story())
		}
		r.close()
		db.exec(t, "insert into a values (1)")
		r.open()
		r.fence()
		wantStory(t, r.story(), "c a(id) after id=1")
	})
}

// reported waits for the next report to the server but one.
func (r *reader) reported() {
	r.t.Helper()
	var now time.Time
	if err := r.db.DB.QueryRow("select clock_timestamp()").Scan(&now); err != nil {
		r.t.Fatal(err)
	}
	for range 2 {
		testenv.Eventually(r.t, patience, func() error {
			var at time.Time
			err := r.db.DB.QueryRow("select r.reply_time from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid where s.slot_name = $1", r.slot()).Scan(&at)
			if err == nil && !at.After(now) {
				err = fmt.Errorf("the last report was at %s", at)
			}
			if err == nil {
				now = at
			}
			return err
		})
	}
}

// The server hears from us although nobody calls Read.
func TestKeepalive(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table a (id int primary key)")
		db.cfg.URL += "?wal_sender_timeout=1200ms"
		r := db.read(t, "a")
		db.exec(t, "insert into a select generate_series(1, 40000)")
		r.next()
		start := time.Now()
		testenv.Eventually(t, patience, func() error {
			var active bool
			if err := db.DB.QueryRow("select active from pg_replication_slots where slot_name = '" + r.slot() + "'").Scan(&active); err != nil {
				return err
			}
			if !active {
				t.Fatal("the server has given the connection up")
			}
			if time.Since(start) < 3*time.Second {
				return errors.New("not long enough")
			}
			return nil
		})
		r.fence()
		if n := len(r.log.Changes); n != 40_001 {
			t.Errorf("%d changes", n)
		}
	})
}

// A server that says nothing any more is given up, whether the log is being
// started or read.
func TestSilence(t *testing.T) {
	t.Run("while it starts", func(t *testing.T) { silence(t, false) })
	t.Run("while it is read", func(t *testing.T) { silence(t, true) })
}

func silence(t *testing.T, started bool) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table a (id int primary key)")
		p := testenv.Proxy(t, db.server.Addr())
		db.exec(t, "create table fence (id int primary key)")
		cfg := db.config(p.Addr(), "a", "fence")
		cfg.silence = 2 * time.Second
		s, err := Open(t.Context(), cfg, schemas.Position{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if started {
			db.exec(t, "insert into a values (1)")
			if _, err := s.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		p.Stall(true)
		defer p.Stall(false)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for {
			if _, err := s.Read(ctx); err != nil {
				if ctx.Err() != nil {
					t.Errorf("not noticed: %v", err)
				}
				return
			}
		}
	})
}

// A snapshot that was not finished leaves a slot; the next one begins anew.
func TestUnfinishedSnapshot(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table a (id int primary key)", "insert into a select generate_series(1, 20000)", "create table fence (id int primary key)")
		r := &reader{t: t, db: db, cfg: db.config("", "a", "fence")}
		r.open()
		for range 2 {
			r.next()
		}
		r.close()
		db.exec(t, "delete from a where id > 5")
		r.open()
		defer r.close()
		r.fence()
		rows := 0
		for _, l := range r.story() {
			if strings.HasPrefix(l, "r a") {
				rows++
			}
		}
		if rows != 5 {
			t.Errorf("%d rows in the snapshot, want 5", rows)
		}
	})
}

// Only one reader at a time; the second says who is in the way.
func TestSecondReader(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table a (id int primary key)")
		r := db.read(t, "a")
		r.cfg.busyWait = 500 * time.Millisecond
		second, err := Open(t.Context(), r.cfg, r.log.Resume)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := second.Read(ctx); err == nil || !strings.Contains(err.Error(), "another instance") {
			t.Errorf("read: %v", err)
		}
		r.fence()
	})
}

func TestDrop(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		db.exec(t, "create table a (id int primary key)")
		r := db.read(t, "a")
		r.close()
		for range 2 {
			if err := Drop(t.Context(), r.cfg); err != nil {
				t.Fatal(err)
			}
		}
		var n int
		if err := db.DB.QueryRow("select (select count(*) from pg_publication) + (select count(*) from pg_replication_slots where database = current_database())").Scan(&n); err != nil || n != 0 {
			t.Errorf("%d left, %v", n, err)
		}
	})
}
