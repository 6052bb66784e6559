package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const architecture = "ARCHITECTURE.md"

var (
	// namedFunctions is `a`, `b` and `c` (path/file.go).
	namedFunctions = regexp.MustCompile("((?:`[\\w.]+`(?:,| and|,\\s*then)?\\s+)*`[\\w.]+`)\\s+\\(([\\w/]+\\.go)\\)")
	namedTest      = regexp.MustCompile("`(Test\\w+)`")
	namedSwitch    = regexp.MustCompile("`([a-z]+[A-Z]\\w+)`")
	packageRow     = regexp.MustCompile("(?m)^\\| `([\\w/]+)` \\| .* \\| ((?:`[\\w.]+`(?:, )?)+) \\|$")
)

// TestWalk: every function that the page names with its file is in that file.
func TestWalk(t *testing.T) {
	found := namedFunctions.FindAllStringSubmatch(readPage(t, architecture).text, -1)
	if len(found) < 40 {
		t.Fatalf("found %d places, which cannot be all", len(found))
	}
	for _, m := range found {
		file := m[2]
		have, err := functions(filepath.Join(root, file))
		if err != nil {
			t.Errorf("%s names %s: %v", architecture, file, err)
			continue
		}
		for _, name := range codePattern.FindAllStringSubmatch(m[1], -1) {
			if !have[name[1]] {
				t.Errorf("%s: there is no function %s in %s", architecture, name[1], file)
			}
		}
	}
}

// functions are those of a file; methods as Type.Method.
func functions(file string) (map[string]bool, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := fn.Name.Name
		if fn.Recv != nil {
			typ := fn.Recv.List[0].Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			if id, ok := typ.(*ast.Ident); ok {
				name = id.Name + "." + name
			}
		}
		out[name] = true
	}
	return out, nil
}

// TestNamedTests: every test that a page names exists, and so does every rule's
// switch.
func TestNamedTests(t *testing.T) {
	tests := map[string]bool{}
	for _, f := range goFiles(t) {
		if !strings.HasSuffix(f, "_test.go") {
			continue
		}
		have, err := functions(f)
		if err != nil {
			t.Fatal(err)
		}
		for name := range have {
			tests[name] = true
		}
	}
	for _, p := range pages(t) {
		for _, m := range namedTest.FindAllStringSubmatch(p.text, -1) {
			if !tests[m[1]] {
				t.Errorf("%s: there is no test %s", p.name, m[1])
			}
		}
	}
}

// TestSwitches: the table of rules and transform/breakage.go name the same switches.
func TestSwitches(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "transform/breakage.go"))
	if err != nil {
		t.Fatal(err)
	}
	code, _, _ := strings.Cut(string(raw), "\n}")
	declared := regexp.MustCompile(`(?m)^\t(\w+(?:, \w+)*) bool$`).FindAllStringSubmatch(code, -1)
	if len(declared) == 0 {
		t.Fatal("no switches found in transform/breakage.go")
	}
	_, table, _ := strings.Cut(readPage(t, architecture).text, "## 4. The protocol")
	table, _, _ = strings.Cut(table, "\n## ")
	shown := map[string]bool{}
	for _, m := range namedSwitch.FindAllStringSubmatch(table, -1) {
		shown[m[1]] = true
	}
	for _, m := range declared {
		for _, name := range strings.Split(m[1], ", ") {
			if !shown[name] {
				t.Errorf("%s: the rules do not show the switch %s", architecture, name)
			}
		}
	}
}

// TestFileMap: the file map has each package, and no other, and the files it
// says to begin with.
func TestFileMap(t *testing.T) {
	missing := map[string]bool{}
	for _, f := range goFiles(t) {
		missing[filepath.ToSlash(strings.TrimPrefix(filepath.Dir(f), root+string(filepath.Separator)))] = true
	}
	for _, m := range packageRow.FindAllStringSubmatch(readPage(t, architecture).text, -1) {
		if !missing[m[1]] {
			t.Errorf("%s: the file map has %s, which is no package, or twice", architecture, m[1])
		}
		delete(missing, m[1])
		for _, f := range codePattern.FindAllStringSubmatch(m[2], -1) {
			if _, err := os.Stat(filepath.Join(root, m[1], f[1])); err != nil {
				t.Errorf("%s: %s has no file %s", architecture, m[1], f[1])
			}
		}
	}
	for p := range missing {
		t.Errorf("%s: the file map lacks the package %s", architecture, p)
	}
}

// goFiles are all Go files of the tree.
func goFiles(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := ""
		if d != nil {
			name = d.Name()
		}
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go"):
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
