package mapping_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/strait-cdc/strait/transform/mapping"
)

// TestReferenceExamples compiles each example of the reference against the
// example business, in both dialects.
func TestReferenceExamples(t *testing.T) {
	raw, err := os.ReadFile("../../docs/mapping.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(raw), "```yaml\n")[1:]
	if len(blocks) < 6 {
		t.Fatalf("found %d examples", len(blocks))
	}
	for i, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		for _, dialect := range []string{"mysql", "postgres"} {
			t.Run(fmt.Sprintf("%d %s", i+1, dialect), func(t *testing.T) {
				docs, err := mapping.Load(fstest.MapFS{"example.yaml": &fstest.MapFile{Data: []byte(text)}})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := mapping.Compile(docs, example(t, dialect, dialect)); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// TestLoadRefusesAnEmptyFolder and files that are not there.
func TestLoadRefusesAnEmptyFolder(t *testing.T) {
	if _, err := mapping.Load(fstest.MapFS{"notes.txt": &fstest.MapFile{}}); err == nil {
		t.Error("a folder without documents was loaded")
	}
	docs, err := mapping.Load(fstest.MapFS{"empty.yaml": &fstest.MapFile{Data: []byte("# nothing yet\n")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mapping.Compile(docs, nil); err == nil {
		t.Error("documents without entities were compiled")
	}
}
