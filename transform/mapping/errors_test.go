package mapping_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/strait-cdc/strait/transform/mapping"
)

var update = flag.Bool("update", false, "rewrite the expected errors")

// TestErrors loads and compiles the documents of each file in testdata/errors
// against the tables of schema.sql, and compares what is reported with the last
// section of the file.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			fsys := fstest.MapFS{}
			want := ""
			var kept []txtar.File
			for _, f := range archive.Files {
				if f.Name == "errors" {
					want = string(f.Data)
					continue
				}
				fsys[f.Name] = &fstest.MapFile{Data: f.Data}
				kept = append(kept, f)
			}
			got := report(t, fsys)
			if *update {
				archive.Files = append(kept, txtar.File{Name: "errors", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func report(t *testing.T, fsys fstest.MapFS) string {
	t.Helper()
	docs, err := mapping.Load(fsys)
	if err == nil {
		_, err = mapping.Compile(docs, errorSystems(t))
	}
	if err == nil {
		t.Fatal("no error at all")
	}
	return err.Error() + "\n"
}

func errorSystems(t *testing.T) map[string]mapping.System {
	t.Helper()
	schema, err := os.ReadFile("testdata/errors/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	crm, erp, _ := strings.Cut(string(schema), "-- erp\n")
	return map[string]mapping.System{
		"crm": catalog(t, "sales", strings.Split(crm, "-- ;;\n")),
		"erp": catalog(t, "books", strings.Split(erp, "-- ;;\n")),
	}
}
