package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/avro"
)

// canonical is a schema's text without what does not matter: the order of
// attributes and the spacing. All attributes count, those that Avro does not
// know too, as in Confluent's registry.
func canonical(schema string) (string, error) {
	d := json.NewDecoder(strings.NewReader(schema))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("the schema is not JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return "", fmt.Errorf("something follows the schema")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // sorts the attributes
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

// parse checks that a schema is legal Avro.
func parse(schema string) (*avro.Schema, error) {
	s, err := avro.Parse(schema)
	if err != nil {
		return nil, fmt.Errorf("the schema is not legal Avro: %w", err)
	}
	return s, nil
}

// contentID is the id that a schema should have: from its content alone, so that
// two processes give the same one without asking each other. Never 0.
func contentID(canonical string) int32 {
	sum := sha256.Sum256([]byte(canonical))
	id := int32(binary.BigEndian.Uint32(sum[:4]) & 0x7fffffff)
	return max(id, 1)
}

// nextID is where to look when an id is taken by another schema.
func nextID(id int32) int32 {
	if id == 1<<31-1 {
		return 1
	}
	return id + 1
}

// The levels of compatibility.
const (
	levelNone     = "NONE"
	levelBackward = "BACKWARD"
)

var levels = map[string]struct{ backward, forward, all bool }{
	levelNone:             {},
	levelBackward:         {backward: true},
	"BACKWARD_TRANSITIVE": {backward: true, all: true},
	"FORWARD":             {forward: true},
	"FORWARD_TRANSITIVE":  {forward: true, all: true},
	"FULL":                {backward: true, forward: true},
	"FULL_TRANSITIVE":     {backward: true, forward: true, all: true},
}

// compatible says why a schema does not go with the versions before it, the
// newest of which is the last; nothing means that it does.
func compatible(level, schema string, before []string) []string {
	rule := levels[level]
	if !rule.backward && !rule.forward || len(before) == 0 {
		return nil
	}
	if !rule.all {
		before = before[len(before)-1:]
	}
	next, err := parse(schema)
	if err != nil {
		return []string{err.Error()}
	}
	var why []string
	for _, text := range before {
		old, err := parse(text)
		if err != nil {
			continue // registered by another implementation; nothing to compare with
		}
		if rule.backward {
			if err := avro.CheckCompatibility(old, next); err != nil {
				why = append(why, "the new schema cannot read data of the old one: "+err.Error())
			}
		}
		if rule.forward {
			if err := avro.CheckCompatibility(next, old); err != nil {
				why = append(why, "the old schema cannot read data of the new one: "+err.Error())
			}
		}
	}
	return why
}
