// Package layout holds the test that keeps the import rules of ARCHITECTURE.md: the
// parts know the vocabulary and the stream but not each other, and a driver is
// known only to the packages named after its system.
package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/strait-cdc/strait"

// parts says for each tree which other trees of ours it may import besides itself.
// Trees that are not listed (cmd, deploy, internal) bring the parts together.
var parts = map[string][]string{
	"schemas":          nil,
	"internal/stream":  {"schemas"},
	"capture":          {"schemas", "internal/stream"},
	"transform":        {"schemas", "internal/stream"},
	"sinks":            {"schemas", "internal/stream"},
	"internal/testenv": nil,
}

// drivers says for each library that speaks to an outside system where it belongs.
var drivers = map[string]func(pkg string) bool{
	"github.com/jackc/pglogrepl":    named("postgres"),
	"github.com/jackc/pgx":          named("postgres"),
	"github.com/go-mysql-org":       named("mysql"),
	"github.com/go-sql-driver":      named("mysql"),
	"github.com/segmentio/kafka-go": below("internal/stream"),
	"github.com/twmb/franz-go":      below("internal/stream"),
	"github.com/linkedin/goavro":    below("schemas/avro"),
	"github.com/dgraph-io/badger":   below("transform/state"),
}

// tools drive real servers themselves: they may use any driver.
var tools = []string{"internal/testenv", "deploy"}

func named(system string) func(string) bool {
	return func(pkg string) bool { return slices.Contains(strings.Split(pkg, "/"), system) }
}

func below(tree string) func(string) bool {
	return func(pkg string) bool { return in(pkg, tree) }
}

// in says whether a package is tree or below it.
func in(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

// pkg is what go list says about a package of ours.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	var why strings.Builder
	list := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	list.Stderr = &why
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, &why)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < len(parts) {
		t.Fatalf("go list gave %d packages, which cannot be all", len(all))
	}
	return all
}

func TestPartsDoNotKnowEachOther(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if why := forbiddenPart(ours(p.ImportPath), ours(imported)); why != "" {
				t.Error(why)
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if in(ours(imported), "internal/testenv") || in(ours(imported), "deploy/examples") {
				continue // tests may have servers, and the example business
			}
			if why := forbiddenPart(ours(p.ImportPath), ours(imported)); why != "" {
				t.Error("test of " + why)
			}
		}
	}
}

func TestDriversStayWithTheirSystem(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if why := forbiddenDriver(ours(p.ImportPath), imported); why != "" {
				t.Error(why)
			}
		}
	}
}

func TestRulesFindABrokenImport(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		wrong         bool
	}{
		{"capture/mysql", "schemas", false},
		{"capture/mysql", "internal/stream", false},
		{"capture/mysql", "capture", false},
		{"capture/mysql", "sinks", true},
		{"capture", "internal/ops", true},
		{"schemas/avro", "internal/stream", true},
		{"sinks/sinktest", "transform/mapping", true},
		{"cmd/strait", "sinks/mysql", false},
	} {
		if got := forbiddenPart(c.pkg, c.imported); (got != "") != c.wrong {
			t.Errorf("%s importing %s: got %q, want an error: %v", c.pkg, c.imported, got, c.wrong)
		}
	}
	for _, c := range []struct {
		pkg, imported string
		wrong         bool
	}{
		{"capture/postgres", "github.com/jackc/pgx/v5", false},
		{"capture/mysql", "github.com/jackc/pgx/v5", true},
		{"cmd/strait", "github.com/segmentio/kafka-go", true},
		{"deploy/bench", "github.com/segmentio/kafka-go", false},
		{"transform", "github.com/dgraph-io/badger/v4", true},
	} {
		if got := forbiddenDriver(c.pkg, c.imported); (got != "") != c.wrong {
			t.Errorf("%s importing %s: got %q, want an error: %v", c.pkg, c.imported, got, c.wrong)
		}
	}
}

// ours shortens the path of a package of this module.
func ours(path string) string {
	path, _ = strings.CutSuffix(path, "_test")
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// forbiddenPart says what is wrong with one package of ours importing another.
func forbiddenPart(p, imported string) string {
	if !known(imported) {
		return "" // not ours
	}
	for tree, may := range parts {
		if !in(p, tree) || in(imported, tree) {
			continue
		}
		if !slices.ContainsFunc(may, func(other string) bool { return in(imported, other) }) {
			return p + " imports " + imported + "; " + tree + " may import of ours: " + strings.Join(append([]string{"itself"}, may...), ", ")
		}
	}
	return ""
}

// known says whether a shortened path is a package of ours.
func known(path string) bool {
	return slices.ContainsFunc([]string{"schemas", "capture", "transform", "sinks", "internal", "cmd", "deploy"},
		func(tree string) bool { return in(path, tree) })
}

// forbiddenDriver says what is wrong with a package of ours importing a library.
func forbiddenDriver(p, imported string) string {
	if slices.ContainsFunc(tools, func(tool string) bool { return in(p, tool) }) {
		return ""
	}
	for driver, belongs := range drivers {
		if in(imported, driver) && !belongs(p) {
			return p + " imports " + imported + ", which belongs elsewhere: see ARCHITECTURE.md"
		}
	}
	return ""
}
