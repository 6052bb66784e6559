package capturetest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/schemas"
)

// The story of types is a text. A line that starts with ! is SQL to be run once,
// before all else. Any other line that does not start with a tab is a column's
// type, and after an arrow (with a space on either side) what becomes of it; the
// lines below it, with a tab, are literals and their values:
//
//	! create type mood as enum ('sad', 'ok')
//	numeric(10,2) => decimal(10,2)
//		1.5 => 1.50
//		null => NULL
//
// Each literal is written before the snapshot and again after it; snapshot and
// log must give the same, and what the story says. With -update the story is
// written anew from what the server gave.
var update = flag.Bool("update", false, "write the story of types anew")

type typeStory struct {
	setup []string
	types []typeCase
}

type typeCase struct {
	ddl, kind string
	literals  []string
	values    []string
}

func parseTypes(text string) (typeStory, error) {
	var s typeStory
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "!"):
			s.setup = append(s.setup, strings.TrimSpace(line[1:]))
		case strings.HasPrefix(line, "\t"):
			if len(s.types) == 0 {
				return s, fmt.Errorf("line %d: a literal before any type", i+1)
			}
			c := &s.types[len(s.types)-1]
			literal, value, _ := cutLast(strings.TrimSpace(line))
			c.literals, c.values = append(c.literals, literal), append(c.values, value)
		default:
			ddl, kind, _ := cutLast(strings.TrimSpace(line))
			s.types = append(s.types, typeCase{ddl: ddl, kind: kind})
		}
	}
	return s, nil
}

func cutLast(s string) (before, after string, ok bool) {
	const arrow = " => "
	s += " "
	i := strings.LastIndex(s, arrow)
	if i < 0 {
		return strings.TrimSpace(s), "", false
	}
	return strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+len(arrow):]), true
}

func (s typeStory) String() string {
	var b strings.Builder
	for _, q := range s.setup {
		b.WriteString("! " + q + "\n")
	}
	for _, c := range s.types {
		fmt.Fprintf(&b, "%s => %s\n", c.ddl, c.kind)
		for i := range c.literals {
			fmt.Fprintf(&b, "\t%s => %s\n", c.literals[i], c.values[i])
		}
	}
	return b.String()
}

func typesStory(t *testing.T, h Harness) {
	text, err := os.ReadFile(h.Types)
	if err != nil {
		t.Fatal(err)
	}
	story, err := parseTypes(string(text))
	if err != nil {
		t.Fatalf("%s: %v", h.Types, err)
	}
	db := h.New(t)
	exec := func(q string) {
		t.Helper()
		if err := db.Exec(context.Background(), q); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range story.setup {
		exec(q)
	}
	var tables []string
	for i, c := range story.types {
		table := fmt.Sprintf("ty_%d", i)
		tables = append(tables, table)
		exec(fmt.Sprintf("create table %s (id int not null primary key, v %s)", table, c.ddl))
		writeLiterals(exec, table, 0, c.literals)
	}
	f := follow(t, db, tables...)
	f.open("")
	f.snapshot()
	for i, c := range story.types {
		writeLiterals(exec, tables[i], 1000, c.literals)
	}
	f.fence()

	told := typeStory{setup: story.setup}
	for i, c := range story.types {
		told.types = append(told.types, toldType(t, f.log.Changes, tables[i], c))
	}
	if *update {
		if err := os.WriteFile(h.Types, []byte(told.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for i, c := range story.types {
		if got := told.types[i]; got.kind != c.kind || !slices.Equal(got.values, c.values) {
			t.Errorf("%s: got %s %q\nwant %s %q", c.ddl, got.kind, got.values, c.kind, c.values)
		}
	}
}

func writeLiterals(exec func(string), table string, id int, literals []string) {
	for i, l := range literals {
		exec(fmt.Sprintf("insert into %s (id, v) values (%d, %s)", table, id+i, l))
	}
}

// toldType is what snapshot and log said of one type; where they differ, both.
func toldType(t *testing.T, changes []schemas.Change, table string, c typeCase) typeCase {
	got := typeCase{ddl: c.ddl, literals: c.literals, values: make([]string, len(c.literals))}
	seen := map[int64]schemas.Value{}
	for i := range changes {
		ch := &changes[i]
		if ch.Table.Name.Name != table {
			continue
		}
		kind := KindText(ch.Table.Columns[1].Type)
		if got.kind == "" {
			got.kind = kind
		} else if got.kind != kind {
			t.Errorf("%s: the type is %s in the snapshot and %s in the log", c.ddl, got.kind, kind)
		}
		seen[ch.After[0].Int()] = ch.After[1]
	}
	for i := range c.literals {
		snap, inSnap := seen[int64(i)]
		log, inLog := seen[int64(1000+i)]
		if !inSnap || !inLog || snap != log {
			t.Errorf("%s %s: snapshot %v (%t), log %v (%t)", c.ddl, c.literals[i], snap, inSnap, log, inLog)
		}
		got.values[i] = valueText(log)
	}
	return got
}

func valueText(v schemas.Value) string {
	if v.Storage() == schemas.StoreText {
		return fmt.Sprintf("%q", v.Text())
	}
	return v.String()
}

// KindText shows a type with its parameters, as in the story of types.
func KindText(t schemas.Type) string {
	s := t.Kind.String()
	switch {
	case t.Kind == schemas.KindDecimal:
		s += fmt.Sprintf("(%d,%d)", t.Precision, t.Scale)
	case t.Kind == schemas.KindTime || t.Kind == schemas.KindTimestamp || t.Kind == schemas.KindTimestampTZ:
		s += fmt.Sprintf("(%d)", t.Precision)
	case t.Length > 0:
		s += fmt.Sprintf("(%d)", t.Length)
	}
	if t.Elem != nil {
		s += " of " + KindText(*t.Elem)
	}
	if len(t.Labels) > 0 {
		s += fmt.Sprintf(" %q", t.Labels)
	}
	return s
}
