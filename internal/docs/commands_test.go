package docs

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// languages are those that blocks may have, and who looks at them.
var languages = map[string]string{
	"sh":   "TestCommands",
	"sql":  "TestReadmeExample",
	"yaml": "TestReadmeExample, and for docs/mapping.md and docs/configuration.md the tests of their packages",
	"json": "nobody: shown for reading",
	"text": "nobody: a picture or an output",
	"":     "nobody: an output",
}

// TestBlocks: every block has a language we know. Statements and documents are
// only where a test uses them.
func TestBlocks(t *testing.T) {
	used := map[string][]string{"sql": {"README.md"}, "yaml": {"README.md", "docs/mapping.md", "docs/configuration.md"}}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if _, ok := languages[b.language]; !ok {
				t.Errorf("%s:%d: nobody knows what to do with a block of %q", p.name, b.line, b.language)
			}
			if in, only := used[b.language]; only && !slices.Contains(in, p.name) {
				t.Errorf("%s:%d: no test runs the %s in this page", p.name, b.line, b.language)
			}
		}
	}
}

// command is one line of a block of commands, or one that prose shows in code.
type command struct {
	page string
	line int
	text string
}

// commands are all lines of all blocks of commands. Comments and what stands
// behind a # are left out.
func commands(t *testing.T) []command {
	t.Helper()
	var out []command
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "sh" {
				continue
			}
			joined := strings.ReplaceAll(b.text(), "\\\n", " ")
			for i, line := range strings.Split(joined, "\n") {
				line, _, _ = strings.Cut(line+" ", " #")
				if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
					out = append(out, command{p.name, b.line + 1 + i, line})
				}
			}
		}
		for _, m := range codePattern.FindAllStringSubmatch(strings.Join(p.prose, "\n"), -1) {
			if words := strings.Fields(m[1]); len(words) > 1 && (words[0] == "make" || words[0] == "strait") {
				out = append(out, command{p.name, 0, m[1]})
			}
		}
	}
	return out
}

// TestCommands: each command is one that somebody can type. A make target is
// there, and so are the verb and the flags of strait, the package of go run and
// go test. What README.md shows is run whole by TestReadmeExample; a command of
// another kind is an error until somebody says here how to try it.
func TestCommands(t *testing.T) {
	all := commands(t)
	if len(all) < 10 {
		t.Fatalf("found %d commands, which cannot be all", len(all))
	}
	binary := ""
	for _, c := range all {
		words := dropAssignments(strings.Fields(c.text))
		if len(words) == 0 {
			continue // export, or only assignments
		}
		var why string
		switch filepath.Base(words[0]) {
		case "make":
			why = tryMake(words[1:])
		case "strait":
			if binary == "" {
				binary = buildStrait(t)
			}
			why = tryStrait(binary, words[1:])
		case "go":
			why = tryGo(words[1:])
		default:
			why = "no test knows how to try this"
		}
		if why != "" {
			t.Errorf("%s:%d: %s: %s", c.page, c.line, c.text, why)
		}
	}
}

var assignment = regexp.MustCompile(`^\w+=`)

// dropAssignments takes export and variables off the front.
func dropAssignments(words []string) []string {
	for len(words) > 0 && (words[0] == "export" || assignment.MatchString(words[0])) {
		words = words[1:]
	}
	return words
}

// tryMake has make say what it would do. Dots and ellipses stand for numbers.
func tryMake(args []string) string {
	args = append([]string{"-n"}, args...)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "…", "1")
	}
	return complaint(exec.Command("make", args...))
}

func tryGo(args []string) string {
	if len(args) < 2 || !slices.Contains([]string{"run", "test", "build"}, args[0]) {
		return "no test knows how to try this"
	}
	for _, a := range args[1:] {
		if strings.HasPrefix(a, "./") {
			return complaint(exec.Command("go", "list", a))
		}
	}
	return "it names no package"
}

// complaint runs a command in the root of the tree and gives what it says if it
// fails.
func complaint(cmd *exec.Cmd) string {
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return err.Error() + ": " + string(bytes.TrimSpace(out))
	}
	return ""
}

// buildStrait builds the binary into a folder of the test's own.
func buildStrait(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "bin", "strait")
	if why := complaint(exec.Command("go", "build", "-o", binary, "./cmd/strait")); why != "" {
		t.Fatal(why)
	}
	return binary
}

var flagPattern = regexp.MustCompile(`^--?[a-z][a-z-]*`)

// tryStrait asks the verb for its help, which must show each flag.
func tryStrait(binary string, args []string) string {
	if len(args) == 0 {
		return ""
	}
	out, err := exec.Command(binary, args[0], "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "strait "+args[0]) {
		return "there is no verb " + args[0]
	}
	for _, a := range args[1:] {
		if f := flagPattern.FindString(a); f != "" && !regexp.MustCompile(`(^|[\s,])`+f+`[\s,]`).Match(out) {
			return "the verb has no flag " + f
		}
	}
	return ""
}
