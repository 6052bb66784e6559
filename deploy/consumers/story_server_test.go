//go:build !noservers

package consumers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

// row is the columns of a row by name, nil for NULL; a nil row is absent.
type row map[string]*string

// record is a record of a topic as a consumer sees it. A tombstone has only a key
// and headers.
type record struct {
	Key     row               `json:"key"`
	Op      string            `json:"op"`
	Before  row               `json:"before"`
	After   row               `json:"after"`
	Source  string            `json:"source"`
	Headers map[string]string `json:"headers"`
	Seq     uint64            `json:"seq"`
}

// side is a database whose story is told and, beside it, what SQL says that
// happened: the records that each topic has to hold.
type side struct {
	*testenv.Server
	t      *testing.T
	system string
	// schema is that of the tables in topics: a database on MariaDB.
	schema string
	tables []*table
	conn   *sql.Conn
	want   map[string][]record
	// quiet is set while what happens is going to be rolled back.
	quiet bool
}

func newSide(t *testing.T, system, schema string, srv *testenv.Server, tables []*table, session ...string) *side {
	conn, err := srv.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &side{Server: srv, t: t, system: system, schema: schema, tables: tables, conn: conn, want: map[string][]record{}}
	s.exec(session...)
	for _, tab := range tables {
		s.exec(tab.ddl())
		if tab.extra != "" {
			s.exec(tab.extra)
		}
	}
	return s
}

// The systems and groups are named after the run, which may not be the first one
// that this Kafka sees.
func newPostgres(t *testing.T, run string) *side {
	return newSide(t, "erp"+run, "public", testenv.Postgres(t, "15"), postgresTables(),
		"set intervalstyle = 'iso_8601'", "create type mood as enum ('good', 'so, so')")
}

func newMariaDB(t *testing.T, run string) *side {
	srv := testenv.MariaDB(t)
	return newSide(t, "crm"+run, srv.Database, srv, mariadbTables(), "set time_zone = '+00:00'", "set names utf8mb4")
}

func (s *side) exec(statements ...string) {
	s.t.Helper()
	for _, q := range statements {
		if _, err := s.conn.ExecContext(s.t.Context(), q); err != nil {
			s.t.Fatalf("%s: %s: %v", s.system, q, err)
		}
	}
}

func (s *side) table(name string) *table {
	i := slices.IndexFunc(s.tables, func(t *table) bool { return t.name == name })
	return s.tables[i]
}

func (s *side) topic(t *table) string {
	return schemas.TopicName(s.system, schemas.TableName{Schema: s.schema, Name: t.name})
}

// insert adds a row with the first, the second or no values beside the key.
func (s *side) insert(name, key string, which int) {
	s.t.Helper()
	t := s.table(name)
	names, values := t.sets(which)
	for _, pair := range strings.Split(key, " and ") {
		column, value, _ := strings.Cut(pair, " = ")
		names, values = append(names, column), append(values, value)
	}
	s.do(t, key, key, fmt.Sprintf("insert into %s (%s) values (%s)", name, strings.Join(names, ", "), strings.Join(values, ", ")))
}

// update sets all columns beside the key.
func (s *side) update(name, key string, which int) {
	s.t.Helper()
	t := s.table(name)
	names, values := t.sets(which)
	for i := range names {
		names[i] += " = " + values[i]
	}
	s.do(t, key, key, fmt.Sprintf("update %s set %s where %s", name, strings.Join(names, ", "), key))
}

func (s *side) rekey(name, from, to string) {
	s.t.Helper()
	s.do(s.table(name), from, to, fmt.Sprintf("update %s set %s where %s", name, strings.ReplaceAll(to, " and ", ", "), from))
}

func (s *side) remove(name, key string) {
	s.t.Helper()
	s.do(s.table(name), key, key, fmt.Sprintf("delete from %s where %s", name, key))
}

// do runs a statement and notes which records follow from the row that SQL shows
// before and after it.
func (s *side) do(t *table, from, to, statement string) {
	s.t.Helper()
	before := s.row(t, from)
	s.exec(statement)
	after := s.row(t, to)
	if s.quiet {
		return
	}
	var out []record
	oldKey, newKey := t.keyOf(before), t.keyOf(after)
	headers := map[string]string{}
	logged := before
	if t.keyOnly {
		logged = t.onlyKey(before)
	}
	switch {
	case before == nil:
		out = []record{{Key: newKey, Op: "c", After: after}}
	case after == nil || oldKey.String() != newKey.String():
		if t.keyOnly {
			headers["strait.before"] = "key"
		}
		if after != nil {
			headers["__debezium.newkey"] = newKey.String()
		}
		out = []record{{Key: oldKey, Op: "d", Before: logged, Headers: headers}, {Key: oldKey}}
		if after != nil {
			out[1].Headers = map[string]string{"__debezium.newkey": newKey.String()}
			out = append(out, record{Key: newKey, Op: "c", After: after, Headers: map[string]string{"__debezium.oldkey": oldKey.String()}})
		}
	case t.keyOnly:
		out = []record{{Key: oldKey, Op: "u", After: after}}
	default:
		out = []record{{Key: oldKey, Op: "u", Before: before, After: after}}
	}
	for i := range out {
		if out[i].Headers == nil {
			out[i].Headers = map[string]string{}
		}
		if out[i].Op != "" {
			out[i].Source = s.system + " " + t.name + " false"
		}
	}
	s.want[s.topic(t)] = append(s.want[s.topic(t)], out...)
}

// snapshotted says that what has happened so far is read by the snapshot.
func (s *side) snapshotted() {
	for _, t := range s.tables {
		rows := s.want[s.topic(t)]
		for i := range rows {
			rows[i].Op, rows[i].Source = "r", s.system+" "+t.name+" snapshot"
		}
		slices.SortFunc(rows, byKey)
	}
}

func byKey(a, b record) int { return strings.Compare(a.Key.String(), b.Key.String()) }

// row is what SQL shows of a row.
func (s *side) row(t *table, where string) row {
	s.t.Helper()
	values := make([]sql.NullString, len(t.cols))
	dest := make([]any, len(values))
	for i := range values {
		dest[i] = &values[i]
	}
	q := fmt.Sprintf("select %s from %s where %s", t.shown(), t.name, where)
	err := s.conn.QueryRowContext(context.Background(), q).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		s.t.Fatalf("%s: %s: %v", s.system, q, err)
	}
	out := row{}
	for i, v := range values {
		out[t.cols[i].name] = nil
		if v.Valid {
			out[t.cols[i].name] = &v.String
		}
	}
	return out
}

func (t *table) keyOf(r row) row {
	if r == nil {
		return nil
	}
	out := row{}
	for _, k := range t.key {
		out[k] = r[k]
	}
	return out
}

// onlyKey is a row of which only the key is known.
func (t *table) onlyKey(r row) row {
	if r == nil {
		return nil
	}
	out := t.keyOf(r)
	for _, c := range t.cols {
		if _, ok := out[c.name]; !ok {
			out[c.name] = nil
		}
	}
	return out
}

// String is the columns of a row in order of their names.
func (r row) String() string {
	var names []string
	for n := range r {
		names = append(names, n)
	}
	slices.Sort(names)
	for i, n := range names {
		if r[n] == nil {
			names[i] += "=NULL"
		} else {
			names[i] += "=" + *r[n]
		}
	}
	return strings.Join(names, " ")
}

// begin is the part of the story that the snapshot reads.
func (s *side) begin() {
	s.insert("everything", "id = 1", 0)
	s.insert("everything", "id = 2", 1)
	s.insert("everything", "id = 3", -1)
	s.insert("order_line", "order_no = 'A1' and pos = 1", 0)
	s.insert("order_line", "order_no = 'A1' and pos = 2", 1)
	s.insert("fence", "id = 0", -1)
	s.snapshotted()
}

// goOn is the part that the log tells.
func (s *side) goOn() {
	s.insert("everything", "id = 4", 0)
	s.update("everything", "id = 4", 1)
	s.update("everything", "id = 2", -1)
	s.update("everything", "id = 3", 0)
	s.rekey("everything", "id = 1", "id = 101")
	s.remove("everything", "id = 3")
	s.exec("begin")
	s.insert("everything", "id = 5", 1)
	s.update("everything", "id = 5", 0)
	s.insert("order_line", "order_no = 'B2' and pos = 1", 0)
	s.remove("everything", "id = 5")
	s.insert("everything", "id = 5", 1)
	s.exec("commit")
	s.exec("begin")
	s.quiet = true
	s.insert("everything", "id = 6", 0)
	s.update("everything", "id = 4", 0)
	s.quiet = false
	s.exec("rollback")
	s.update("order_line", "order_no = 'A1' and pos = 1", 1)
	s.rekey("order_line", "order_no = 'A1' and pos = 2", "order_no = 'A9' and pos = 2")
	s.remove("order_line", "order_no = 'A1' and pos = 1")
	for i := range 40 { // so that every partition has some
		s.insert("order_line", fmt.Sprintf("order_no = 'C%d' and pos = 1", i), i%2)
	}
	s.insert("fence", "id = 1", -1)
}

// end is the part after somebody else's transaction was aborted.
func (s *side) end() {
	s.insert("everything", "id = 7", 0)
	s.update("everything", "id = 7", 1)
	s.remove("everything", "id = 2")
	s.remove("order_line", "order_no = 'B2' and pos = 1")
	s.insert("fence", "id = 2", -1)
}
