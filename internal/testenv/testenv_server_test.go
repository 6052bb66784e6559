//go:build !noservers

package testenv_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/strait-cdc/strait/internal/testenv"
)

// kinds are the database servers with a setting that capture needs and its value.
var kinds = []struct {
	name, version string
	shared, own   func(t *testing.T) *testenv.Server
	setting, want string
}{
	{"postgres 15", "15.", postgres("15"), ownPostgres("15"), "show wal_level", "logical"},
	{"postgres 18", "18.", postgres("18"), ownPostgres("18"), "show wal_level", "logical"},
	{"mariadb", "10.11.", func(t *testing.T) *testenv.Server { return testenv.MariaDB(t) },
		func(t *testing.T) *testenv.Server { return testenv.OwnMariaDB(t) }, binlogSettings + ", @@gtid_strict_mode)", "ROW FULL FULL ON"},
	{"mysql", "9.", func(t *testing.T) *testenv.Server { return testenv.MySQL(t) },
		func(t *testing.T) *testenv.Server { return testenv.OwnMySQL(t) }, binlogSettings + ", @@gtid_mode)", "ROW FULL FULL ON"},
}

const binlogSettings = "select concat_ws(' ', @@binlog_format, @@binlog_row_image, @@binlog_row_metadata"

func postgres(version string) func(t *testing.T) *testenv.Server {
	return func(t *testing.T) *testenv.Server { return testenv.Postgres(t, version) }
}

func ownPostgres(version string) func(t *testing.T) *testenv.Server {
	return func(t *testing.T) *testenv.Server { return testenv.OwnPostgres(t, version) }
}

func TestServersRunStatements(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Cleanup(func() { goleak.VerifyNone(t) }) // after the database is dropped
			s := k.shared(t)
			s.Exec(t, "create table t (id int primary key, v varchar(20))",
				"insert into t values (1, 'ä'); insert into t values (2, 'b')")
			if got := scan(t, s.DB(), "select count(*) from t"); got != "2" {
				t.Errorf("got %s rows, want 2", got)
			}
			if got := scan(t, s.DB(), k.setting); got != k.want {
				t.Errorf("%s: got %q, want %q", k.setting, got, k.want)
			}
			if !strings.HasPrefix(s.Version, k.version) {
				t.Errorf("got version %q, want %s…", s.Version, k.version)
			}
			other := k.shared(t)
			if other.Database == s.Database || other.Port != s.Port {
				t.Errorf("got %s and %s, want two databases of one server", s.URL(), other.URL())
			}
		})
	}
}

// What a test leaves behind must not keep its database from being dropped.
func TestDatabaseIsDroppedWithWhatHoldsIt(t *testing.T) {
	var s *testenv.Server
	t.Run("postgres", func(t *testing.T) {
		s = testenv.Postgres(t, "15")
		s.Exec(t, "create table t (id int)",
			"select pg_create_logical_replication_slot('left_behind', 'pgoutput')",
			"begin; insert into t values (1); prepare transaction 'left behind'")
		hold(t, s)
	})
	watch := testenv.Postgres(t, "15")
	if got := scan(t, watch.DB(), fmt.Sprintf("select (select count(*) from pg_database where datname = '%s') + (select count(*) from pg_replication_slots)", s.Database)); got != "0" {
		t.Errorf("PostgreSQL: got %s databases and slots left, want none", got)
	}
	t.Run("mariadb", func(t *testing.T) {
		s = testenv.MariaDB(t)
		s.Exec(t, "create table t (id int)")
		hold(t, s)
	})
	if got := scan(t, testenv.MariaDB(t).DB(), fmt.Sprintf("select count(*) from information_schema.schemata where schema_name = '%s'", s.Database)); got != "0" {
		t.Errorf("MariaDB: the database %s is left", s.Database)
	}
}

// hold leaves a transaction open that has the table locked, for longer than the test.
func hold(t *testing.T, s *testenv.Server) {
	t.Helper()
	tx, err := s.DB().BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("insert into t values (2)"); err != nil {
		t.Fatal(err)
	}
}

func TestOwnServerKeepsDataOverKillAndRestart(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := k.own(t)
			s.Exec(t, "create table t (id int)", "insert into t values (1)")
			s.Kill(t)
			testenv.Eventually(t, 10*time.Second, func() error { return insert(s.DB(), 2) })
			s.Restart(t)
			testenv.Eventually(t, 10*time.Second, func() error { return insert(s.DB(), 3) })
			if got := scan(t, s.DB(), "select count(*) from t"); got != "3" {
				t.Errorf("got %s rows after kill and restart, want 3", got)
			}
		})
	}
}

// insert may fail once on a connection that the restart has broken.
func insert(db *sql.DB, id int) error {
	_, err := db.Exec(fmt.Sprintf("insert into t values (%d)", id))
	return err
}

func TestPrivatePostgresIsAnotherSystem(t *testing.T) {
	const identifier = "select system_identifier from pg_control_system()"
	shared, own := testenv.Postgres(t, "15"), testenv.OwnPostgres(t, "15")
	if a, b := scan(t, shared.DB(), identifier), scan(t, own.DB(), identifier); a == b {
		t.Errorf("both systems have the identifier %s", a)
	}
}

func TestKafkaKeepsRecordsOverKill(t *testing.T) {
	k := testenv.OwnKafka(t)
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(k.Brokers...), Timeout: 10 * time.Second, Transport: transport}
	ctx := context.Background()
	_, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: "t", NumPartitions: 1, ReplicationFactor: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 20*time.Second, func() error {
		res, err := client.Produce(ctx, &kafka.ProduceRequest{
			Topic: "t", RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte("v"))}),
		})
		if err != nil {
			return err
		}
		return res.Error
	})
	k.Kill(t)
	testenv.Eventually(t, 20*time.Second, func() error {
		res, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{"t": {kafka.LastOffsetOf(0)}}})
		if err != nil {
			return err
		}
		if got := res.Topics["t"][0]; got.Error != nil || got.LastOffset < 1 {
			return fmt.Errorf("got last offset %d (%v), want 1", got.LastOffset, got.Error)
		}
		return nil
	})
}

func TestStartedServerIsGoneAfterStop(t *testing.T) {
	s, err := testenv.StartPostgres(context.Background(), "15", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		c.Close()
		t.Error("the server still answers")
	}
}

func TestDataFolderIsKeptAndUsedAgain(t *testing.T) {
	dir, err := os.MkdirTemp("", "strait-kept-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx := context.Background()
	for round, want := range []string{"0", "1"} {
		s, err := testenv.StartPostgres(ctx, "15", dir)
		if err != nil {
			t.Fatal(err)
		}
		s.Exec(t, "create table if not exists t (id int)")
		if got := scan(t, s.DB(), "select count(*) from t"); got != want {
			t.Errorf("round %d: got %s rows, want %s", round, got, want)
		}
		s.Exec(t, "insert into t values (1)")
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFolderThatTheServerCannotReachIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("servers run as this user, who reaches all of its own folders")
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := testenv.StartPostgres(context.Background(), "15", dir)
	if err == nil || !strings.Contains(err.Error(), "chmod o+x "+filepath.Dir(dir)) {
		t.Errorf("got %v, want the command that cures it", err)
	}
}

func scan(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var s string
	if err := db.QueryRow(query).Scan(&s); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s
}
