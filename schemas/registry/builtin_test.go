package registry

import (
	"context"
	"errors"
	"strings"
	"testing"
)

const (
	schemaA = `{"type":"record","name":"A","namespace":"x","fields":[{"name":"id","type":"int"}],"connect.name":"x.A"}`
	// schemaA2 is schemaA with other spacing and order.
	schemaA2 = `{ "namespace":"x", "name":"A", "type":"record", "connect.name":"x.A", "fields":[{"type":"int","name":"id"}] }`
	schemaB  = `{"type":"record","name":"A","namespace":"x","fields":[{"name":"id","type":"int"},{"name":"n","type":["null","string"],"default":null}],"connect.name":"x.A"}`
	// schemaC cannot read data of schemaA.
	schemaC = `{"type":"record","name":"A","namespace":"x","fields":[{"name":"other","type":"string"}],"connect.name":"x.A"}`
)

func open(t *testing.T, log *memLog) *Builtin {
	t.Helper()
	b, err := NewBuiltin(context.Background(), log)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func register(t *testing.T, r Registry, subject, schema string) int32 {
	t.Helper()
	id, err := r.Register(context.Background(), subject, schema)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRegister(t *testing.T) {
	log := &memLog{}
	b := open(t, log)
	id := register(t, b, "t-value", schemaA)
	if id <= 0 || register(t, b, "t-value", schemaA2) != id || register(t, b, "u-value", schemaA2) != id {
		t.Error("the same schema has several ids")
	}
	if got := string(log.records[0][0]); got != `{"keytype":"SCHEMA","subject":"t-value","version":1,"magic":1}` {
		t.Errorf("key %s", got)
	}
	if got := string(log.records[0][1]); !strings.HasPrefix(got, `{"subject":"t-value","version":1,"id":`) || !strings.HasSuffix(got, `,"deleted":false}`) {
		t.Errorf("value %s", got)
	}
	if len(log.records) != 2 {
		t.Errorf("%d records, want 2", len(log.records))
	}
	if register(t, b, "t-value", schemaC) == id {
		t.Error("another schema has the same id")
	}
	for _, r := range []*Builtin{b, open(t, log)} {
		if got, err := r.Schema(context.Background(), id); err != nil || got != schemaA {
			t.Errorf("schema is %q, %v", got, err)
		}
	}
	if _, err := b.Schema(context.Background(), 5); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := b.Register(context.Background(), "t", `{"type":"nonsense"}`); err == nil {
		t.Error("nonsense was registered")
	}
}

// TestSameIDs: registries that have never heard of each other agree.
func TestSameIDs(t *testing.T) {
	a, b := open(t, &memLog{}), open(t, &memLog{})
	register(t, b, "other", schemaC)
	register(t, b, "other", schemaB)
	if register(t, a, "x", schemaA) != register(t, b, "y", schemaA2) {
		t.Error("ids differ")
	}
}

func TestCollision(t *testing.T) {
	log := &memLog{}
	text, err := canonical(schemaB)
	if err != nil {
		t.Fatal(err)
	}
	want := contentID(text)
	v := schemaValue{Subject: "taken", Version: 1, ID: want, Schema: schemaA}
	log.records = append(log.records, [2][]byte{marshal(schemaKey{typeSchema, "taken", 1, 1}), marshal(v)})
	for range 2 {
		if got := register(t, open(t, log), "x", schemaB); got != nextID(want) {
			t.Errorf("id %d, want %d", got, nextID(want))
		}
	}
	if nextID(1<<31-1) != 1 {
		t.Error("ids do not wrap")
	}
}

// TestRace: another process takes the same version at the same moment. Both
// schemas must be there after compaction.
func TestRace(t *testing.T) {
	log := &memLog{}
	a, b := open(t, log), open(t, log)
	var idB int32
	log.before = func() { idB = register(t, b, "t-value", schemaB) }
	idA := register(t, a, "t-value", schemaA)
	register(t, b, "t-value", schemaC) // notices what was written over
	log.compact()
	c := open(t, log)
	for id, want := range map[int32]string{idA: schemaA, idB: schemaB} {
		if got, err := c.Schema(context.Background(), id); err != nil || got != want {
			t.Errorf("schema %d is %q, %v", id, got, err)
		}
	}
	if got := len(c.state.versions("t-value", false)); got != 3 {
		t.Errorf("%d versions, want 3", got)
	}
}

// TestFaults: an append that failed, and one that only seemed to.
func TestFaults(t *testing.T) {
	for _, happened := range []bool{false, true} {
		log := &memLog{fault: func() (bool, error) { return happened, errLost }}
		b := open(t, log)
		if _, err := b.Register(context.Background(), "t", schemaA); !errors.Is(err, errLost) {
			t.Errorf("got %v", err)
		}
		log.fault = nil
		id := register(t, b, "t", schemaA)
		if got := len(log.records); got != 1 {
			t.Errorf("happened %v: %d records", happened, got)
		}
		if got, err := b.Schema(context.Background(), id); err != nil || got != schemaA {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// TestForeignLog reads a log that Confluent's registry wrote.
func TestForeignLog(t *testing.T) {
	log := &memLog{}
	for _, r := range [][2]string{
		{`{"keytype":"NOOP","magic":0}`, ``},
		{`{"keytype":"CONFIG","subject":null,"magic":0}`, `{"compatibilityLevel":"FULL"}`},
		{`{"keytype":"SCHEMA","subject":"t","version":1,"magic":1}`, `{"subject":"t","version":1,"id":3,"schema":"\"int\"","deleted":false}`},
		{`{"keytype":"SCHEMA","subject":"p","version":1,"magic":1}`, `{"subject":"p","version":1,"id":4,"schemaType":"PROTOBUF","schema":"syntax = \"proto3\";","deleted":false}`},
		{`{"keytype":"SCHEMA","subject":"gone","version":1,"magic":1}`, `{"subject":"gone","version":1,"id":5,"schema":"\"long\"","deleted":false}`},
		{`{"keytype":"SCHEMA","subject":"gone","version":1,"magic":1}`, ``},
		{`{"keytype":"DELETE_SUBJECT","subject":"p","magic":0}`, `{"subject":"p","version":1}`},
	} {
		log.records = append(log.records, [2][]byte{[]byte(r[0]), []byte(r[1])})
	}
	b := open(t, log)
	if got := register(t, b, "new", `"int"`); got != 3 {
		t.Errorf("id %d, want the known 3", got)
	}
	if b.level("t") != "FULL" || len(b.state.versions("gone", true)) != 0 || len(b.state.versions("p", false)) != 0 {
		t.Errorf("state %+v", b.state)
	}
	log.records = append(log.records, [2][]byte{[]byte("no json"), nil})
	if _, err := NewBuiltin(context.Background(), log); err == nil {
		t.Error("a key that is no JSON was accepted")
	}
}
