package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the generated part of docs/configuration.md")

// minimal is the shortest configuration there is.
const minimal = `
systems:
  crm: {url: "mariadb://strait@127.0.0.1:3306/crm"}
  erp: {url: "postgres://strait@127.0.0.1:5432/erp"}
`

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "strait.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadConfig(file)
}

func TestConfigErrorsShowThePlace(t *testing.T) {
	t.Setenv("SET", "x")
	tests := []struct{ name, text, want string }{
		{"unknown key", "pipelin: x\n" + minimal, `:1:1: there is no setting pipelin here
    1 | pipelin: x
      | ^`},
		{"unknown key of a system", `
systems:
  crm:
    url: mysql://a@h/d
    pasword_env: X
  erp: {url: "postgres://a@h/d"}
`, `:5:5: there is no setting pasword_env here
    5 |     pasword_env: X
      |     ^`},
		{"wrong type", "kafka: {partitions: many}\n" + minimal, `:1:21: this is a string where int is expected
    1 | kafka: {partitions: many}
      |                     ^`},
		{"bad syntax", "kafka: {partitions: 4\n", `:1:8: `},
		{"key twice", "state: a\nstate: b\n" + minimal, `:2:1: mapping key "state" already defined at [1:1]
    2 | state: b
      | ^`},
		{"one system", "systems:\n  crm: {url: \"mysql://a@h/d\"}\n", `:2:3: systems: two databases are needed, there are 1
    2 |   crm: {url: "mysql://a@h/d"}
      |   ^`},
		{"no systems", "state: x\n", `: systems: two databases are needed, there are 0`},
		{"no url", "systems:\n  crm: {url: \"mysql://a@h/d\"}\n  erp: {schema: x}\n", `:3:9: system erp: no url; give one like postgres://user@host:5432/database
    3 |   erp: {schema: x}
      |         ^`},
		{"unknown scheme", "systems:\n  crm: {url: \"oracle://a@h/d\"}\n  erp: {url: \"mysql://a@h/d\"}\n", `:2:14: system crm: url: scheme "oracle" is not known; use postgres, mysql or mariadb
    2 |   crm: {url: "oracle://a@h/d"}
      |              ^`},
		{"no database", "systems:\n  crm: {url: \"mysql://a@h\"}\n  erp: {url: \"mysql://a@h/d\"}\n", `:2:14: system crm: url: no database; the form is mysql://user@host:port/database
    2 |   crm: {url: "mysql://a@h"}
      |              ^`},
		{"variable not set", "systems:\n  crm: {url: \"mysql://a:${NOT_SET}@h/d\"}\n  erp: {url: \"mysql://a@h/d\"}\n", `:2:14: system crm: url: the environment has no NOT_SET
    2 |   crm: {url: "mysql://a:${NOT_SET}@h/d"}
      |              ^`},
		{"password twice", "systems:\n  crm: {url: \"mysql://a:${SET}@h/d\", password_env: SET}\n  erp: {url: \"mysql://a@h/d\"}\n", `:2:52: system crm: the url holds a password already
    2 |   crm: {url: "mysql://a:${SET}@h/d", password_env: SET}
      |                                                    ^`},
		{"slot of MySQL", "systems:\n  crm: {url: \"mysql://a@h/d\", slot: s}\n  erp: {url: \"mysql://a@h/d\"}\n", `:2:37: system crm: slot and publication are settings of PostgreSQL, this is mysql
    2 |   crm: {url: "mysql://a@h/d", slot: s}
      |                                     ^`},
		{"name of a system", "systems:\n  CRM: {url: \"mysql://a@h/d\"}\n  erp: {url: \"mysql://a@h/d\"}\n", `:2:9: system "CRM": use a lower-case letter, then lower-case letters, digits and _, at most 31
    2 |   CRM: {url: "mysql://a@h/d"}
      |         ^`},
		{"two kinds of broker", "kafka: {brokers: [\"k:9092\"], embedded: {addr: \"127.0.0.1:0\"}}\n" + minimal, `:1:41: kafka: give brokers or embedded, not both
    1 | kafka: {brokers: ["k:9092"], embedded: {addr: "127.0.0.1:0"}}
      |                                         ^`},
		{"level of the log", "log: {level: loud}\n" + minimal, `:1:14: log level "loud": use debug, info, warn or error
    1 | log: {level: loud}
      |              ^`},
		{"duration", "systems:\n  crm: {url: \"mysql://a@h/d\", status_every: soon}\n  erp: {url: \"mysql://a@h/d\"}\n", `invalid duration "soon"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.text)
			if err == nil {
				t.Fatal("no error")
			}
			_, got, _ := strings.Cut(err.Error(), "strait.yaml")
			if !strings.HasPrefix(got, tt.want) && !(tt.want[0] != ':' && strings.Contains(got, tt.want)) {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestConfigKeepsPasswordsOutOfErrors(t *testing.T) {
	t.Setenv("PW", "s%zzecret")
	_, err := load(t, "systems:\n  crm: {url: \"mysql://a:${PW}@h/d\"}\n  erp: {url: \"mysql://a@h/d\"}\n")
	if err == nil || strings.Contains(err.Error(), "zecret") {
		t.Errorf("got %v", err)
	}
}

func TestConfigFindsPasswords(t *testing.T) {
	t.Setenv("CRM_PW", "p@ss/word")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("from file\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := load(t, fmt.Sprintf(`
systems:
  a: {url: "mariadb://u@h:1/d", password_env: CRM_PW}
  b: {url: "postgres://u@h:1/d", password_file: %q}
  c: {url: "mysql://u:plain@h:1/d"}
  d: {url: "mysql://u:${CRM_PW_ESCAPED}@h:1/d"}
`, filepath.Join(dir, "pw")))
	if err == nil || !strings.Contains(err.Error(), "CRM_PW_ESCAPED") {
		t.Fatalf("variable that is not set: %v", err)
	}
	t.Setenv("CRM_PW_ESCAPED", "p%40ss")
	c, err := load(t, fmt.Sprintf(`
systems:
  a: {url: "mariadb://u@h:1/d", password_env: CRM_PW}
  b: {url: "postgres://u@h:1/d", password_file: %q}
  c: {url: "mysql://u:plain@h:1/d"}
  d: {url: "mysql://u:${CRM_PW_ESCAPED}@h:1/d"}
`, filepath.Join(dir, "pw")))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "p@ss/word", "b": "from file", "c": "plain", "d": "p@ss"} {
		s := c.Systems[name]
		if got, _ := s.resolved.User.Password(); got != want {
			t.Errorf("password of %s: %q, want %q", name, got, want)
		}
		if s.passwordInConfig != (name == "c") {
			t.Errorf("password of %s in the file: %v", name, s.passwordInConfig)
		}
	}
}

// setting is a key of strait.yaml as the Go structs document it.
type setting struct{ key, doc string }

// settings reads the documentation out of config.go, in its order.
func settings(t *testing.T) []setting {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]*ast.StructType{}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.TypeSpec); ok {
			if st, ok := s.Type.(*ast.StructType); ok {
				structs[s.Name.Name] = st
			}
		}
		return true
	})
	var out []setting
	var walk func(prefix, name string)
	walk = func(prefix, name string) {
		for _, field := range structs[name].Fields.List {
			if field.Tag == nil {
				continue
			}
			key := prefix + reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("yaml")
			out = append(out, setting{key, strings.Join(strings.Fields(field.Doc.Text()), " ")})
			switch typ := field.Type.(type) {
			case *ast.Ident:
				if structs[typ.Name] != nil {
					walk(key+".", typ.Name)
				}
			case *ast.MapType:
				walk(key+".<name>.", typ.Value.(*ast.StarExpr).X.(*ast.Ident).Name)
			}
		}
	}
	walk("", "Config")
	return out
}

const (
	generatedFrom = "<!-- settings: written by go test ./cmd/strait -run TestDocsListEverySetting -update -->\n"
	generatedTo   = "<!-- end of settings -->\n"
)

func TestDocsListEverySetting(t *testing.T) {
	var b strings.Builder
	b.WriteString(generatedFrom + "| Setting | Meaning |\n|---|---|\n")
	for _, s := range settings(t) {
		if s.doc == "" {
			t.Errorf("%s has no comment in config.go", s.key)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", s.key, strings.ReplaceAll(s.doc, "|", "\\|"))
	}
	b.WriteString(generatedTo)

	file := "../../docs/configuration.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), generatedFrom)
	old, after, ok2 := strings.Cut(rest, generatedTo)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the settings", file)
	}
	if generatedFrom+old+generatedTo == b.String() {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the settings of config.go; run this test with -update", file)
	}
	if err := os.WriteFile(file, []byte(before+b.String()+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDefaultsAreAsDocumented compares each "Default: `x`" with the value that a
// minimal configuration gets.
func TestDefaultsAreAsDocumented(t *testing.T) {
	c, err := load(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	stated := regexp.MustCompile("Default: `([^`]*)`\\.$")
	n := 0
	for _, s := range settings(t) {
		m := stated.FindStringSubmatch(s.doc)
		if m == nil {
			continue
		}
		n++
		want := strings.NewReplacer("<pipeline>", "default", "<system>", "erp").Replace(m[1])
		got := valueAt(t, reflect.ValueOf(c).Elem(), strings.Split(s.key, "."))
		if rel, err := filepath.Rel(c.folder, got); err == nil && filepath.IsAbs(got) {
			got = "./" + rel
		}
		if got != want {
			t.Errorf("%s is %s by default, the comment says %s", s.key, got, want)
		}
	}
	if n < 10 {
		t.Errorf("only %d defaults were compared", n)
	}
	if got := c.Kafka.Embedded.Dir; got != filepath.Join(c.State, "kafka") {
		t.Errorf("log of the embedded broker: %s", got)
	}
}

func valueAt(t *testing.T, v reflect.Value, path []string) string {
	t.Helper()
	if len(path) == 0 {
		if d, ok := v.Interface().(Duration); ok {
			return time.Duration(d).String()
		}
		return fmt.Sprint(v.Interface())
	}
	if path[0] == "<name>" {
		return valueAt(t, v.MapIndex(reflect.ValueOf("erp")).Elem(), path[1:])
	}
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == path[0] {
			return valueAt(t, v.Field(i), path[1:])
		}
	}
	t.Fatalf("no setting %s", path[0])
	return ""
}
