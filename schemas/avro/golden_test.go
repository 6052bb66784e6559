package avro

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

// line is a line of the recordings of Debezium: the first says who wrote, the
// others are schemas under their ids and records in hex.
type line struct {
	Connector, Version, Database, System string
	Schema                               int32
	Subject, Text                        string
	Topic, Key                           string
	Value                                *string
}

func readLines(t *testing.T, name string) []line {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []line
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return out
}

// TestDebezium reads what Debezium wrote and writes it again: the same schema
// text, the same key, the same value, byte for byte.
func TestDebezium(t *testing.T) {
	for _, name := range []string{"testdata/debezium-postgresql.jsonl", "testdata/debezium-mariadb.jsonl"} {
		lines := readLines(t, name)
		who := lines[0]
		reg := newMemory()
		for _, l := range lines {
			if l.Schema != 0 {
				reg.texts[l.Schema] = l.Text
				reg.ids[l.Text] = l.Schema
			}
		}
		known := len(reg.ids)
		var now time.Time
		enc := NewEncoder(reg, Source{System: who.System, Connector: who.Connector, Database: who.Database, Version: who.Version},
			Options{VerifyEvery: 1, Now: func() time.Time { return now }})
		dec := NewDecoder(reg)
		records := 0
		for _, l := range lines {
			if l.Topic == "" || l.Value == nil {
				continue
			}
			r := schemas.Record{Topic: l.Topic, Key: unhex(t, l.Key), Value: unhex(t, *l.Value)}
			var c schemas.Change
			if ok, err := dec.Decode(&r, &c); err != nil || !ok {
				t.Fatalf("%s: decode %v, %v", l.Topic, ok, err)
			}
			now = processed(t, reg, &r)
			enc.Reset()
			back, err := enc.Encode(&c, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(reg.ids) != known {
				t.Fatalf("%s: our schemas differ from Debezium's:\n%s", l.Topic, lastTexts(reg, known))
			}
			if back[0].Topic != l.Topic || string(back[0].Key) != string(r.Key) || string(back[0].Value) != string(r.Value) {
				t.Errorf("%s %s:\n got %x %x\nwant %x %x", l.Topic, c.Op, back[0].Key, back[0].Value, r.Key, r.Value)
			}
			records++
		}
		if records < 20 {
			t.Errorf("%s: only %d records", name, records)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func lastTexts(reg *memory, known int) string {
	var out []string
	for id, text := range reg.texts {
		if id >= 1000+int32(known) {
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n")
}

// processed is the envelope's ts_ns, the last long of a record.
func processed(t *testing.T, reg *memory, r *schemas.Record) time.Time {
	t.Helper()
	id, err := schemaID(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlan(reg.texts[id], "")
	if err != nil {
		t.Fatal(err)
	}
	in := newReader(string(r.Value[5:]))
	defer in.done()
	var c schemas.Change
	var src source
	p.envelope(in, &c, &src)
	return time.Unix(0, in.tmp.Int())
}
