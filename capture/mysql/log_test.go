//go:build !noservers

package mysql_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/capture/capturetest"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

func TestTruncateInAllItsForms(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, []string{"a"}, "create table a (id int primary key)", "create table b (id int primary key)")
		tl.open()
		s.Exec(t, "insert into a values (1)",
			"/* trace=1 */ truncate a",
			"-- why\n TRUNCATE TABLE `"+s.Database+"` . `a`",
			"# x\ntruncate/**/table a",
			"truncate b", "insert into a values (2)")
		tl.fence()
		tl.want("a", "c 1", "t", "t", "t", "c 2")
		tl.want("b")
	})
}

func TestXA(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, []string{"a"}, "create table a (id int primary key)")
		tl.open()
		session(t, s, "xa start 'one'", "insert into a values (1)", "insert into a values (2)", "xa end 'one'", "xa prepare 'one'")
		session(t, s, "xa start 'two','q',7", "insert into a values (3)", "xa end 'two','q',7", "xa prepare 'two','q',7")
		session(t, s, "xa start 'fast'", "insert into a values (4)", "xa end 'fast'", "xa commit 'fast' one phase")
		tl.fence()
		tl.want("a", "c 4")
		if !strings.Contains(tl.log.Resume.Native, " xa=") {
			t.Errorf("resume %s forgets the prepared transactions", tl.log.Resume)
		}
		tl.close()
		tl.open()
		session(t, s, "xa rollback 'two','q',7")
		tl.fence()
		tl.close()
		tl.open()
		session(t, s, "xa commit 'one'")
		tl.fence()
		tl.want("a", "c 4", "c 1", "c 2")
		if strings.Contains(tl.log.Resume.Native, " xa=") {
			t.Errorf("resume %s remembers transactions that have ended", tl.log.Resume)
		}
		tl.close()
		tl.open()
		tl.fence()
		tl.want("a", "c 4", "c 1", "c 2")
	})
}

func TestSnapshotWaitsForPreparedXA(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, []string{"a"}, "create table a (id int primary key)")
		session(t, s, "xa start 'held'", "insert into a values (1)", "xa end 'held'", "xa prepare 'held'")
		err := tl.tryOpen()
		session(t, s, "xa commit 'held'")
		if err == nil || !strings.Contains(err.Error(), "held") || !strings.Contains(err.Error(), "xa recover") {
			t.Fatalf("got %v, want an error about the prepared transaction", err)
		}
		tl.open()
		if len(tl.log.Changes) != 1 {
			t.Errorf("snapshot has %d rows, want 1", len(tl.log.Changes))
		}
	})
}

func TestStatementFormatStops(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, []string{"a"}, "create table a (id int primary key)", "create database if not exists aside", "create table if not exists aside.x (id int)")
		tl.open()
		session(t, s, "use aside", "set session binlog_format = 'STATEMENT'", "insert into x values (1)")
		tl.fence()
		session(t, s, "use aside", "set session binlog_format = 'STATEMENT'", "insert into `"+s.Database+"`.a values (1)")
		tl.failure(capture.ErrUnsupported, "binlog_format = ROW")
	})
}

func TestMinimalRowImageStops(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, []string{"a"}, "create table a (id int primary key, b int, c int)", "insert into a values (1, 2, 3)")
		tl.open()
		session(t, s, "set session binlog_row_image = 'MINIMAL'", "update a set b = 5")
		tl.failure(capture.ErrUnsupported, "binlog_row_image = FULL")
	})
}

func TestCompressedLog(t *testing.T) {
	long := strings.Repeat("Zażółć gęślą jaźń. ", 200)
	fill := []string{
		"insert into a values (1, '" + long + "'), (2, 'x')", "update a set b = concat(b, 'y')", "delete from a where id = 2",
	}
	want := []string{"c 1 " + long, "c 2 x", "u 1 " + long + "y", "u 2 xy", "d 2 xy"}
	t.Run("MariaDB", func(t *testing.T) {
		s := testenv.OwnMariaDB(t)
		tl := newTail(t, s, []string{"a"}, "create table a (id int primary key, b text)")
		s.Exec(t, "set global log_bin_compress = on", "set global log_bin_compress_min_len = 10")
		tl.open()
		s.Exec(t, fill...)
		s.Exec(t, "truncate /* "+strings.Repeat("long ", 100)+" */ a")
		tl.fence()
		tl.want("a", append(want, "t")...)
	})
	t.Run("MySQL", func(t *testing.T) {
		s := testenv.MySQL(t)
		tl := newTail(t, s, []string{"a"}, "create table a (id int primary key, b text)")
		tl.open()
		session(t, s, append([]string{"set session binlog_transaction_compression = on"}, fill...)...)
		tl.fence()
		tl.want("a", want...)
		tl.close()
		tl.open()
		tl.fence()
		tl.want("a", want...)
	})
}

func TestTaggedGTID(t *testing.T) {
	s := testenv.MySQL(t)
	tl := newTail(t, s, []string{"a"}, "create table a (id int primary key)")
	tl.open()
	session(t, s, "set session gtid_next = 'AUTOMATIC:strait_tag'", "insert into a values (1)")
	tl.fence()
	tl.want("a", "c 1")
	for _, c := range tl.log.Changes {
		if c.Table.Name.Name == "a" && !strings.Contains(c.Txn.ID, ":strait_tag:") {
			t.Errorf("transaction %s", c.Txn.ID)
		}
	}
	if !strings.Contains(tl.log.Resume.Native, ":strait_tag:") {
		t.Errorf("resume %s lacks the tagged transaction", tl.log.Resume)
	}
	tl.close()
	tl.open()
	tl.fence()
}

func TestWithoutGTIDs(t *testing.T) {
	s := testenv.OwnMySQL(t)
	tl := newTail(t, s, []string{"a"}, "create table a (id int primary key)",
		"set global gtid_mode = ON_PERMISSIVE", "set global gtid_mode = OFF_PERMISSIVE", "set global gtid_mode = OFF")
	tl.open()
	s.Exec(t, "insert into a values (1)", "insert into a values (2)")
	tl.fence()
	tl.close()
	tl.open()
	s.Exec(t, "alter table a add column b int", "insert into a values (3, 3)")
	tl.fence()
	tl.want("a", "c 1", "c 2", "c 3 3")
	if c := tl.log.Changes[0]; !strings.HasPrefix(c.Txn.ID, "binlog.") {
		t.Errorf("transaction %s, want file:offset", c.Txn.ID)
	}
	if strings.Contains(tl.log.Resume.Native, "gtid") {
		t.Errorf("resume %s", tl.log.Resume)
	}
}

func TestFilesChangeAndServerRestarts(t *testing.T) {
	for _, own := range []func(testing.TB) *testenv.Server{testenv.OwnMariaDB, testenv.OwnMySQL} {
		s := own(t)
		t.Run(s.Kind, func(t *testing.T) {
			tl := newTail(t, s, []string{"a"}, "create table a (id int primary key)")
			tl.open()
			s.Exec(t, "insert into a values (1)", "flush binary logs", "insert into a values (2)", "flush binary logs")
			tl.fence()
			s.Exec(t, "set global binlog_checksum = NONE", "insert into a values (20)", "set global binlog_checksum = CRC32", "insert into a values (21)")
			tl.fence()
			tl.close()
			s.Exec(t, "insert into a values (3)")
			s.Restart(t)
			s.Exec(t, "insert into a values (4)")
			tl.open()
			tl.fence()
			s.Kill(t)
			if err := tl.tryFence(); err == nil {
				t.Error("the source outlived its server")
			}
			tl.close()
			tl.open()
			s.Exec(t, "insert into a values (5)")
			tl.fence()
			tl.want("a", "c 1", "c 2", "c 20", "c 21", "c 3", "c 4", "c 5")
		})
	}
}

func TestPositionLost(t *testing.T) {
	for _, own := range []func(testing.TB) *testenv.Server{testenv.OwnMariaDB, testenv.OwnMySQL} {
		s := own(t)
		reset := "reset binary logs and gtids"
		if s.Kind == "mariadb" {
			reset = "reset master"
		}
		t.Run(s.Kind, func(t *testing.T) {
			tl := newTail(t, s, []string{"a"}, "create table a (id int primary key)")
			tl.open()
			tl.fence()
			tl.close()
			old := tl.log.Resume

			lost := func(why string) {
				t.Helper()
				if err := tl.tryOpen(); !errors.Is(err, capture.ErrPositionLost) || !strings.Contains(err.Error(), "strait run --snapshot") {
					t.Fatalf("%s: got %v, want ErrPositionLost", why, err)
				}
			}
			// The same place with another history.
			tl.log.Resume.Native = strings.Replace(old.Native, "gtid=", "gtid=9-9-9,", 1)
			if s.Kind == "mysql" {
				tl.log.Resume.Native = strings.Replace(old.Native, "gtid=", "gtid=00000000-0000-0000-0000-000000000001:1,", 1)
			}
			lost("other history")
			tl.log.Resume = old
			tl.open() // nothing is broken by that
			tl.close()

			s.Exec(t, "flush binary logs", "flush binary logs")
			last := strings.Replace(old.Native[:strings.IndexByte(old.Native, ':')], "000001", "000003", 1)
			// A file is kept for as long as the server believes that we read it.
			testenv.Eventually(t, 30*time.Second, func() error {
				s.Exec(t, "purge binary logs to '"+last+"'")
				var first, size, encrypted string
				rows, err := s.DB().Query("show binary logs")
				if err != nil {
					return err
				}
				defer rows.Close()
				rows.Next()
				if s.Kind == "mysql" {
					err = rows.Scan(&first, &size, &encrypted)
				} else {
					err = rows.Scan(&first, &size)
				}
				if err == nil {
					err = rows.Err()
				}
				if err == nil && first != last {
					err = fmt.Errorf("the first file is %s", first)
				}
				return err
			})
			lost("purged")

			// The same file names and lengths, all anew.
			s.Exec(t, reset)
			for i := range 200 {
				s.Exec(t, fmt.Sprintf("insert into a values (%d)", i))
			}
			lost("reset")
		})
	}
}

func TestPurgedWhileReading(t *testing.T) {
	s := testenv.OwnMariaDB(t)
	tl := newTail(t, s, nil)
	tl.open()
	pos := tl.log.Resume
	tl.close()
	// A position that was good when it was verified, of a file that goes then.
	pos.Native = strings.Replace(pos.Native, "000001", "000099", 1)
	pos.End = pos.End&(1<<32-1) | 99<<32
	tl.log.Resume = pos
	if err := tl.tryOpen(); !errors.Is(err, capture.ErrPositionLost) {
		t.Fatalf("got %v, want ErrPositionLost", err)
	}
}

func TestColumnsThatAreSpecial(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, []string{"a"}, `create table a (id int auto_increment primary key, b int not null default 5,
			v int generated always as (b * 2) virtual, st int generated always as (b * 3) stored, h int invisible default 7, t timestamp default current_timestamp)`,
			"create index vi on a (v)", "insert into a (b, t) values (1, '2024-01-01')")
		tl.open()
		s.Exec(t, "insert into a (b, t) values (2, '2024-01-01')", "update a set b = 3 where id = 2", "delete from a where id = 1")
		tl.fence()
		tl.want("a", "c 2 2 4 6 7 1704067200000000", "u 2 3 6 9 7 1704067200000000", "d 1 1 2 3 7 1704067200000000")
		if got := line(tl.log.Changes[0]); got != "r 1 1 2 3 7 1704067200000000" {
			t.Errorf("snapshot %s", got)
		}
		if tl.log.Changes[0].Table != tl.log.Changes[1].Table {
			t.Errorf("two shapes for one table:\n%+v\n%+v", tl.log.Changes[0].Table, tl.log.Changes[1].Table)
		}
		c := tl.log.Changes[0].Table.Columns
		if !c[0].Auto || !c[0].HasDefault || !c[1].HasDefault || c[1].Generated || !c[2].Generated || !c[3].Generated || c[4].Generated || !c[4].HasDefault || !c[5].HasDefault || c[5].Generated {
			t.Errorf("columns %+v", c)
		}
	})
}

func TestFunctionalIndex(t *testing.T) {
	s := testenv.MySQL(t)
	tl := newTail(t, s, []string{"a"}, "create table a (id int primary key, b int, unique key f ((b + 1)))", "insert into a values (1, 1)")
	tl.open()
	s.Exec(t, "insert into a values (2, 2)", "update a set b = 9 where id = 1")
	tl.fence()
	tl.want("a", "c 2 2", "u 1 9")
}

func TestSystemVersioning(t *testing.T) {
	s := testenv.MariaDB(t)
	tl := newTail(t, s, []string{"a", "b"},
		"create table a (id int primary key, b int) with system versioning",
		`create table b (id int primary key, x int, s timestamp(6) generated always as row start, e timestamp(6) generated always as row end,
			period for system_time (s, e)) with system versioning`,
		"insert into a values (1, 1)", "update a set b = 2")
	tl.open()
	s.Exec(t, "insert into a values (2, 2)", "update a set b = 3 where id = 1", "delete from a where id = 2", "insert into a values (2, 7)",
		"insert into b (id, x) values (1, 1)", "update b set x = 2", "delete from b")
	tl.fence()
	tl.want("a", "c 2 2", "u 1 3", "d 2 2", "c 2 7")
	ops := ""
	for _, l := range tl.lines("b") {
		ops += l[:5] + ";"
	}
	if ops != "c 1 1;u 1 2;d 1 2;" {
		t.Errorf("b: %q", tl.lines("b"))
	}
	if got := line(tl.log.Changes[0]); got != "r 1 2" {
		t.Errorf("snapshot %s", got)
	}
}

func TestKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, []string{"a", "b"},
			"create table a (x int, y int not null, z int not null, unique key n (x), unique key k2 (z), unique key k1 (z, y))",
			"create table b (x int, y int, z int, primary key (z, x))")
		tl.open()
		s.Exec(t, "insert into a values (1, 2, 3)", "insert into b values (1, 2, 3)")
		tl.fence()
		want := map[string]string{"a": "[2 1]", "b": "[2 0]"}
		for _, c := range tl.log.Changes {
			if w := want[c.Table.Name.Name]; w != "" && fmt.Sprint(c.Table.Key) != w {
				t.Errorf("%s: key %v, want %s", c.Table.Name, c.Table.Key, w)
			}
		}
	})
}

func TestRefusedAtOpen(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		cases := map[string]string{
			"create table a (id int, b int unique)":                              "add primary key",
			"create table a (id int primary key, g geometry)":                    "column g: type geometry",
			"create table a (id int primary key) engine = MyISAM":                "engine = InnoDB",
			"create table a (id int primary key, p point not null, unique (id))": "column p: type point",
		}
		if s.Kind == "mysql" {
			cases["create table a (id int primary key, v vector(3))"] = "column v: type vector"
		}
		for ddl, about := range cases {
			tl := newTail(t, s, []string{"a"}, ddl)
			if err := tl.tryOpen(); !errors.Is(err, capture.ErrUnsupported) || !strings.Contains(err.Error(), about) {
				t.Errorf("%s: got %v, want ErrUnsupported about %q", ddl, err, about)
			}
			tl.close()
			s.Exec(t, "drop table a, fence")
		}
	})
}

func TestUnsupportedColumnAddedLater(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, []string{"a"}, "create table a (id int primary key)")
		tl.open()
		s.Exec(t, "alter table a add column g geometry", "insert into a values (1, null)")
		tl.failure(capture.ErrUnsupported, "column g: type geometry")
	})
}

func TestWholeDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, nil, "create table a (id int primary key)", "insert into a values (1), (2)", "create view w as select * from a")
		tl.cfg.Tables = nil
		tl.open()
		s.Exec(t, "create table b (id int primary key) select id from a", "create table c (id int primary key)", "insert into c values (3)")
		tl.fence()
		tl.want("b", "c 1", "c 2")
		tl.want("c", "c 3")
		// Rows that are written together with their table are one transaction.
		var ids []string
		for _, c := range tl.log.Changes {
			if c.Table.Name.Name == "b" {
				ids = append(ids, c.Txn.ID)
			}
		}
		if len(ids) != 2 || ids[0] != ids[1] {
			t.Errorf("transactions %q", ids)
		}
	})
}

// What was dropped or replaced since is read with the shape that the log tells.
func TestTableReplacedWhileBehind(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, []string{"a", "gone"}, "create table a (id int primary key, b varchar(10) not null)", "create table gone (id int primary key, e enum('x','y'))")
		tl.open()
		s.Exec(t, "insert into a values (1, 'one')", "drop table a", "create table a (k bigint unsigned primary key, d decimal(6,2), b varbinary(3))",
			"insert into a values (2, 2.5, 'z')", "insert into gone values (1, 'y')", "drop table gone")
		tl.fence()
		tl.want("a", "c 1 one", "c 2 2.50 0x7a")
		tl.want("gone", "c 1 y")
		for _, c := range tl.log.Changes {
			if c.Table.Name.Name == "gone" && c.Table.Columns[1].Type.Kind != schemas.KindEnum {
				t.Errorf("gone: %+v", c.Table.Columns)
			}
		}
	})
}

// A row of more than 16 MB needs several packets, and so does the dump of it.
func TestRowOverSixteenMegabytes(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.Server) {
		tl := newTail(t, s, []string{"a"}, "create table a (id int primary key, b longblob)", "set global max_allowed_packet = 67108864")
		s.DB().SetMaxIdleConns(0) // sessions from here on have the new limit
		tl.open()
		const size = 17 << 20
		session(t, s, fmt.Sprintf("insert into a values (1, repeat('x', %d))", size), "insert into a values (2, 'y')")
		tl.fence()
		var got []int
		for _, c := range tl.log.Changes {
			if c.Table.Name.Name == "a" {
				got = append(got, len(c.After[1].Text()))
			}
		}
		if fmt.Sprint(got) != fmt.Sprint([]int{size, 1}) {
			t.Errorf("sizes %v", got)
		}
		tl.close()
		tl.log = capturetest.Log{}
		tl.open() // and as a snapshot
		if got := len(tl.log.Changes[0].After[1].Text()); got != size {
			t.Errorf("snapshot: %d bytes", got)
		}
	})
}
