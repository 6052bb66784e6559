package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

func TestClassify(t *testing.T) {
	tn := func(schema, name string) schemas.TableName { return schemas.TableName{Schema: schema, Name: name} }
	for _, c := range []struct {
		text string
		want statement
	}{
		{"BEGIN", statement{kind: stmtBegin}},
		{"START TRANSACTION", statement{kind: stmtBegin}},
		{"COMMIT", statement{kind: stmtCommit}},
		{"ROLLBACK", statement{kind: stmtRollback}},
		{"SAVEPOINT `to`", statement{kind: stmtSavepoint, name: "to"}},
		{"ROLLBACK TO `a b`", statement{kind: stmtRollbackTo, name: "a b"}},
		{"ROLLBACK WORK TO SAVEPOINT x", statement{kind: stmtRollbackTo, name: "x"}},
		{"release savepoint x", statement{kind: stmtRelease}},
		{"truncate a", statement{kind: stmtTruncate, table: tn("db", "a")}},
		{"/* a */ /*!40000 TRUNCATE */ table other.`we``ird`", statement{kind: stmtTruncate, table: tn("other", "we`ird")}},
		{"truncate `table`", statement{kind: stmtTruncate, table: tn("db", "table")}},
		{"set statement max_statement_time=1 for truncate a", statement{kind: stmtTruncate, table: tn("db", "a")}},
		{"set password = 'x'", statement{}},
		{"-- c\ninsert into a values (1)", statement{kind: stmtDML}},
		{"(select 1)", statement{kind: stmtDML}},
		{"XA COMMIT X'6f6E',X'',1", statement{kind: stmtXACommit, name: "X'6f6e',X'',1"}},
		{"xa rollback 'on'", statement{kind: stmtXARollback, name: "X'6f6e',X'',1"}},
		{"XA START X'61',X'',1", statement{kind: stmtXAOther}},
		{"alter table a add column truncate_me int", statement{}},
		{"", statement{}},
	} {
		if got := classify(c.text, "db"); got != c.want {
			t.Errorf("%q: got %+v, want %+v", c.text, got, c.want)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("/* x */ truncate `a")
	f.Add("rollback to")
	f.Fuzz(func(t *testing.T, s string) {
		classify(s, "db")
		concerns(query{text: s}, map[string]bool{}, map[string]bool{})
	})
}

func TestNativePosition(t *testing.T) {
	for _, s := range []string{
		"binlog.000003:1234",
		"mariadb-bin.000003:1234 gtid=0-1-55,1-2-3",
		"a.b.000003:4 gtid=0-1-55 made=1700000000 xa=a.b.000002:900",
	} {
		n, err := parseNative(s)
		if err != nil || n.String() != s {
			t.Errorf("%q: got %q, %v", s, n, err)
		}
		if n.at.number != 3 || n.at.end()>>32 != 3 {
			t.Errorf("%q: file number %d", s, n.at.number)
		}
	}
	for _, s := range []string{"", "binlog", "binlog:4", "binlog.000001:x", "binlog.000001:4 what=1", "binlog.000001:4 xa=1", "binlog.000001:4 made=x"} {
		if n, err := parseNative(s); err == nil {
			t.Errorf("%q: got %q, want an error", s, n)
		}
	}
}

func TestURL(t *testing.T) {
	got, err := parseURL("mariadb://us%40er:p%2Fw%3A@db.example:3307/crm?tls=skip-verify")
	if err != nil || got != (target{"mariadb", "db.example:3307", "us@er", "p/w:", "crm", "skip-verify"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"postgres://a:secret@h/d", "mysql://a:secret@h/d?tls=maybe", "mysql://a:secret@h/d?x=1", "mysql://a:secret@h:port/%zz"} {
		if _, err := parseURL(bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an error without the password", bad, err)
		}
	}
}

// rawEvent makes an event as it is on the wire.
func rawEvent(kind byte, logPos uint32, flags uint16, body []byte, sums bool) []byte {
	b := make([]byte, headerSize)
	binary.LittleEndian.PutUint32(b, 1_700_000_000)
	b[4] = kind
	binary.LittleEndian.PutUint32(b[5:], 7)
	b = append(b, body...)
	n := len(b)
	if sums {
		n += 4
	}
	binary.LittleEndian.PutUint32(b[9:], uint32(n))
	binary.LittleEndian.PutUint32(b[13:], logPos)
	binary.LittleEndian.PutUint16(b[17:], flags)
	if sums {
		b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	}
	return b
}

func TestChecksum(t *testing.T) {
	d := &dump{}
	fde := append(make([]byte, 57), 1)
	if _, err := d.event(rawEvent(formatDescriptionEvent, 100, 0, fde, true)); err != nil || !d.sums {
		t.Fatalf("format description: %v, sums %t", err, d.sums)
	}
	good := rawEvent(xidEvent, 200, 0, make([]byte, 8), true)
	if e, err := d.event(good); err != nil || len(e.body) != 8 {
		t.Fatalf("got %d bytes, %v", len(e.body), err)
	}
	for i := range good {
		if i >= 9 && i < 13 {
			continue // the length has an error of its own
		}
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		if _, err := d.event(bad); err == nil {
			t.Errorf("byte %d may change unnoticed", i)
		}
	}
	// A rotate in front of everything, with a checksum and without.
	for _, sums := range []bool{false, true} {
		e, err := (&dump{}).event(rawEvent(rotateEvent, 0, artificialFlag, append(make([]byte, 8), "b.000001"...), sums))
		if err != nil || string(e.body[8:]) != "b.000001" {
			t.Errorf("rotate, sums %t: %q, %v", sums, e.body, err)
		}
	}
}

func TestDumpErrors(t *testing.T) {
	packet := func(code uint16, text string) []byte {
		return append(binary.LittleEndian.AppendUint16([]byte{0xff}, code), "#HY000"+text...)
	}
	for text, want := range map[string]bool{
		"Could not find first log file name in binary log index file":                              true,
		"Cannot replicate because the master purged required binary logs":                          true,
		"Client requested master to start replication from impossible position":                    true,
		"A slave with the same server_uuid/server_id as this slave has connected to the master; …": false,
		"Client requested master to start replication from position > file size":                   true,
	} {
		if err := dumpError(packet(1236, text)); errors.Is(err, capture.ErrPositionLost) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := dumpError(packet(1045, "purged")); errors.Is(err, capture.ErrPositionLost) {
		t.Errorf("another code: %v", err)
	}
}

// newTestReader is a reader without a server, at the start of file 5.
func newTestReader() *reader {
	at := place{file: "b.000005", number: 5, offset: 4}
	return &reader{
		queue: newQueue("test", at, mariadbSet{}), shapes: newShapes(nil, nil, func(schemas.TableName) bool { return true }),
		prepared: prepared{}, at: at,
	}
}

// feed gives events to a reader; a size of its own stands for a large one.
func feed(t *testing.T, r *reader, events ...event) {
	t.Helper()
	for _, e := range events {
		if err := r.event(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func groupAt(seq uint64, size uint32) event {
	body := make([]byte, 13)
	binary.LittleEndian.PutUint64(body, seq)
	return event{kind: mariadbGTIDEvent, size: size, serverID: 1, body: body}
}

// A transaction may lift a file over 4 GiB, which neither an event's header nor a
// position can say. It and what follows it end with the file.
func TestFileOverFourGigabytes(t *testing.T) {
	r := newTestReader()
	r.shapes.newest[schemas.TableName{Schema: "d", Name: "t"}] = &schemas.Table{Name: schemas.TableName{Schema: "d", Name: "t"}}
	row := func() { r.add(schemas.Insert, &schemas.Table{}) }
	r.at.offset = 3 << 30
	feed(t, r, groupAt(1, 100))
	row()
	feed(t, r, event{kind: xidEvent, size: 100})
	b, err := r.queue.takeReady()
	if err != nil || b == nil || b.Resume.End != 5<<32|(3<<30+200) {
		t.Fatalf("got %+v, %v", b, err)
	}
	feed(t, r, groupAt(2, 100))
	row()
	feed(t, r, event{kind: writeRowsV1, size: 2 << 30, body: []byte{255, 255, 255, 0, 0, 0, 1, 0}}, event{kind: xidEvent, size: 31})
	feed(t, r, groupAt(3, 100))
	row()
	// What the server sends as the position wraps around.
	feed(t, r, event{kind: xidEvent, size: 31, logPos: uint32(5<<30 + 200 + 100 + 31 + 100 + 31 - (1 << 32))})
	if b, err := r.queue.takeReady(); b != nil || err != nil {
		t.Fatalf("before the file ends: got %+v, %v", b, err)
	}
	feed(t, r, event{kind: rotateEvent, flags: 0, body: append([]byte{4, 0, 0, 0, 0, 0, 0, 0}, "b.000006"...)})
	b, err = r.queue.takeReady()
	if err != nil || b == nil || len(b.Changes) != 2 || b.Txns != 1 || b.Resume.End != 6<<32|4 {
		t.Fatalf("after the file: got %+v, %v", b, err)
	}
	if !strings.Contains(b.Resume.Native, "b.000006:4 gtid=0-1-3") {
		t.Errorf("resume %s", b.Resume)
	}
	feed(t, r, groupAt(4, 100))
	row()
	feed(t, r, event{kind: xidEvent, size: 31})
	if b, err := r.queue.takeReady(); err != nil || b == nil || b.Resume.End != 6<<32|135 {
		t.Fatalf("in the next file: got %+v, %v", b, err)
	}
}

// While nothing of ours changes the position is still reported, in time.
func TestIdlePosition(t *testing.T) {
	r := newTestReader()
	feed(t, r, groupAt(1, 100), event{kind: xidEvent, size: 31}, event{kind: heartbeatEvent, size: 36, logPos: 135})
	if b, err := r.queue.takeReady(); b != nil || err != nil {
		t.Fatalf("at once: got %+v, %v", b, err)
	}
	r.queue.reported = time.Now().Add(-idleReport)
	select {
	case <-r.queue.ready:
		t.Error("woken too early")
	default:
	}
	feed(t, r, event{kind: heartbeatEvent, size: 36, logPos: 135})
	select {
	case <-r.queue.ready:
	default:
		t.Error("not woken")
	}
	b, err := r.queue.takeReady()
	if err != nil || b == nil || len(b.Changes) != 0 || b.Txns != 0 || b.Resume.End != 5<<32|135 {
		t.Fatalf("after a while: got %+v, %v", b, err)
	}
	r.queue.reported = time.Now().Add(-idleReport)
	if b, err := r.queue.takeReady(); b != nil || err != nil {
		t.Fatalf("twice: got %+v, %v", b, err)
	}
}

// Statements inside a transaction end nothing (hazards of folding too early).
func TestSavepointDoesNotEndATransaction(t *testing.T) {
	r := newTestReader()
	q := func(text string) event {
		body := append(make([]byte, 13), 0)
		return event{kind: queryEvent, size: 100, body: append(body, text...)}
	}
	feed(t, r, groupAt(1, 100))
	r.add(schemas.Insert, &schemas.Table{})
	feed(t, r, q("SAVEPOINT `a`"))
	r.add(schemas.Insert, &schemas.Table{})
	feed(t, r, q("ROLLBACK TO `a`"), q("create temporary table x (i int)"))
	if b, _ := r.queue.takeReady(); b != nil {
		t.Fatalf("got %+v in the middle of a transaction", b)
	}
	feed(t, r, q("COMMIT"))
	if b, err := r.queue.takeReady(); err != nil || b == nil || len(b.Changes) != 1 || b.Txns != 1 {
		t.Fatalf("got %+v, %v", b, err)
	}
	// A group that mixed in tables without transactions ends with a rollback.
	feed(t, r, groupAt(2, 100))
	r.add(schemas.Insert, &schemas.Table{})
	feed(t, r, q("ROLLBACK"))
	if b, _ := r.queue.takeReady(); b != nil {
		t.Fatalf("got %+v of a rolled back transaction", b)
	}
	if got := r.queue.reached().String(); !strings.Contains(got, "gtid=0-1-2") {
		t.Errorf("the position stays behind the rolled back transaction: %s", got)
	}
}

// Nothing that arrives makes the decoder panic.
func FuzzRows(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{0, 1})
	f.Fuzz(func(t *testing.T, table, rows []byte) {
		cs := &charsets{byCollation: map[uint64]*charset{0: {name: "utf8mb4", maxLen: 4, ascii: true}, 63: {name: "binary", maxLen: 1}}}
		m, err := parseTableMap(table)
		if err != nil || len(m.columns) > 100 {
			return
		}
		s := newShapes(nil, cs, nil)
		sh, err := s.assemble(m, &listedTable{})
		if err != nil {
			return
		}
		for _, form := range rowsForms {
			re, err := parseRows(event{body: append(make([]byte, 8), rows...)}, form, sh)
			if err != nil {
				continue
			}
			var a rowArena
			for b := re.rows; b != ""; {
				if _, _, _, b, err = sh.readChange(re.op, b, &a); err != nil {
					break
				}
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte{0, 1, 0, 12, 0, 11, 0, 1, 0, 5, 1, 0, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) { jsonText(string(b)) })
}
