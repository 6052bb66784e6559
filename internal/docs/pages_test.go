// Package docs holds the test that keeps the documentation true: links lead
// somewhere, every command block is run or at least known, and the functions,
// tests and packages that ARCHITECTURE.md names are there.
//
// A page needs no marks for it. What is to be done with a command is in the
// tables of commands_test.go and readme_server_test.go, by its text; a block
// that no table knows is an error.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// page is a page of documentation.
type page struct {
	// name is the path from the root of the tree.
	name   string
	text   string
	blocks []block
	// prose is the text without its blocks, line by line.
	prose []string
}

// block is a fenced block.
type block struct {
	// line is that of the fence.
	line     int
	language string
	lines    []string
}

// text is the content, with a newline at its end.
func (b *block) text() string { return strings.Join(b.lines, "\n") + "\n" }

// pages are those at the root and in docs.
func pages(t *testing.T) []*page {
	t.Helper()
	var out []*page
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			out = append(out, readPage(t, strings.TrimPrefix(filepath.ToSlash(f), root+"/")))
		}
	}
	if len(out) < 5 {
		t.Fatalf("found %d pages, which cannot be all", len(out))
	}
	return out
}

func readPage(t *testing.T, name string) *page {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{name: name, text: string(raw)}
	var open *block
	for i, line := range strings.Split(p.text, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &block{line: i + 1, language: fence}
		case isFence:
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		default:
			p.prose = append(p.prose, line)
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block does not end", name, open.line)
	}
	return p
}

var (
	linkPattern = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codePattern = regexp.MustCompile("`([^`]+)`")
	// pathPattern is what in code looks like a file of this tree.
	pathPattern = regexp.MustCompile(`^(?:capture|cmd|deploy|docs|internal|schemas|sinks|transform|\.ci)/[\w./-]*$`)
)

// TestLinks: what a page links to is there, the heading too.
func TestLinks(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range linkPattern.FindAllStringSubmatch(strings.Join(p.prose, "\n"), -1) {
			to := m[1]
			if strings.HasPrefix(to, "https://") {
				continue
			}
			file, heading, _ := strings.Cut(to, "#")
			target := p.name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(p.name), file))
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: link to %s, which is not there", p.name, to)
				continue
			}
			if heading != "" && !headings(readPage(t, target))[heading] {
				t.Errorf("%s: link to %s: no such heading", p.name, to)
			}
		}
	}
}

// headings are the anchors of a page.
func headings(p *page) map[string]bool {
	out := map[string]bool{}
	for _, line := range p.prose {
		if title := strings.TrimLeft(line, "#"); title != line {
			anchor := strings.ToLower(strings.TrimSpace(title))
			anchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(anchor, "")
			out[strings.ReplaceAll(anchor, " ", "-")] = true
		}
	}
	return out
}

// TestPaths: files and folders of this tree that are named in code are there.
func TestPaths(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range codePattern.FindAllStringSubmatch(strings.Join(p.prose, "\n"), -1) {
			if !pathPattern.MatchString(m[1]) {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s: names %s, which is not there", p.name, m[1])
			}
		}
	}
}
