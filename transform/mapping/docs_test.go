package mapping

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
)

const reference = "../../docs/mapping.md"

// TestReferenceTables compares the tables of codecs and functions in the
// reference with the code; -update writes them.
func TestReferenceTables(t *testing.T) {
	raw, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	want := section(t, section(t, string(raw), "codecs", codecTable()), "functions", functionTable())
	if want == string(raw) {
		return
	}
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(reference, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("docs/mapping.md does not show the codecs and functions there are; run this test with -update")
}

// TestReferenceKeys finds every key of the language in the reference.
func TestReferenceKeys(t *testing.T) {
	raw, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	keys := append([]string{"quiet", "max_quiet", "sides", "match", "create", "deleted_in", "fields", "children", "table", "key", "new_key", "where", "defaults", "join",
		"read_only", "parent", "column", "columns", "expr", "unknown", "values", "database", "uuid", "hex17", "last_writer", "review", "prefer_non_empty", "error", "keep"}, fieldKeys...)
	for a := range deleteActions {
		keys = append(keys, a)
	}
	for _, k := range keys {
		if !strings.Contains(string(raw), "`"+k+"`") {
			t.Errorf("the reference does not explain %q", k)
		}
	}
	for n := range typeNames {
		if !strings.Contains(string(raw), "`"+n) {
			t.Errorf("the reference does not name the type %q", n)
		}
	}
	for _, p := range predicates {
		if !strings.Contains(string(raw), " "+p) && !strings.Contains(string(raw), "`"+p) {
			t.Errorf("the reference does not name %q", p)
		}
	}
}

func section(t *testing.T, doc, name, table string) string {
	t.Helper()
	before, rest, ok := strings.Cut(doc, "<!-- "+name+" -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 {
		t.Fatalf("the reference has no section %s", name)
	}
	return before + "<!-- " + name + " -->\n" + table + "<!-- end -->" + after
}

func codecTable() string {
	var b strings.Builder
	b.WriteString("| Codec | What it does | Law |\n|---|---|---|\n")
	for _, c := range codecs {
		call := c.name
		if c.args != "" {
			call += "(" + c.args + ")"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", call, c.doc, c.law)
	}
	return b.String()
}

func functionTable() string {
	names := []string{}
	for n, f := range exprFunctions {
		if f.usage != "" {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	var b strings.Builder
	b.WriteString("| Function | Gives |\n|---|---|\n")
	for _, n := range names {
		fmt.Fprintf(&b, "| `%s` | %s |\n", exprFunctions[n].usage, exprFunctions[n].doc)
	}
	b.WriteString("| `codes('map', x)` | The canonical code of a value of this side, by a code map. |\n")
	return b.String()
}
