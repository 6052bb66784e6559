package mapping

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// Problem is something wrong in a mapping document, with its place.
type Problem struct {
	File string
	// Line and Column count from 1, Column in characters.
	Line, Column int
	// Source is the line of the file.
	Source  string
	Message string
	// Hint says what to do, where that is known.
	Hint string
}

// String shows the problem with the line it is in and a caret below the place.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	if p.Source != "" {
		// The window keeps a long flow line readable around the caret.
		line, col := window(p.Source, p.Column)
		fmt.Fprintf(&b, "\n%6d | %s\n       | %s^", p.Line, line, strings.Repeat(" ", col-1))
	}
	if p.Hint != "" {
		b.WriteString("\n         " + p.Hint)
	}
	return b.String()
}

// window cuts a line to some 100 characters around a column.
func window(line string, col int) (string, int) {
	const before, after = 60, 40
	r := []rune(strings.ReplaceAll(line, "\t", " "))
	if col < 1 {
		col = 1
	}
	if len(r) <= before+after {
		return string(r), col
	}
	from, to := 0, len(r)
	head, tail := "", ""
	if col > before {
		from, head = col-before, "…"
	}
	if col+after < to {
		to, tail = col+after, "…"
	}
	return head + string(r[from:to]) + tail, col - from + utf8.RuneCountInString(head)
}

// Errors are all problems that were found, in the order of the files.
type Errors []Problem

// Error shows them one below the other.
func (e Errors) Error() string {
	parts := make([]string, len(e))
	for i, p := range e {
		parts[i] = p.String()
	}
	return strings.Join(parts, "\n")
}

// source is a file with its lines, for snippets.
type source struct {
	name  string
	lines []string
}

// pos is a place in a file; line and col count from 1.
type pos struct {
	src       *source
	line, col int
}

func (p pos) String() string {
	if p.src == nil {
		return "?"
	}
	return fmt.Sprintf("%s:%d:%d", p.src.name, p.line, p.col)
}

// problems collects what is wrong while reading and compiling goes on.
type problems struct {
	list Errors
}

func (ps *problems) add(at pos, hint, format string, args ...any) {
	p := Problem{Line: at.line, Column: at.col, Message: fmt.Sprintf(format, args...), Hint: hint}
	if at.src != nil {
		p.File = at.src.name
		if at.line >= 1 && at.line <= len(at.src.lines) {
			p.Source = at.src.lines[at.line-1]
		}
	}
	for _, q := range ps.list {
		if q.File == p.File && q.Line == p.Line && q.Column == p.Column && q.Message == p.Message {
			return
		}
	}
	ps.list = append(ps.list, p)
}

// err is nil when nothing was wrong.
func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	sort.SliceStable(ps.list, func(i, j int) bool {
		a, b := ps.list[i], ps.list[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return ps.list
}

// didYouMean names the candidate nearest to a word, or lists the candidates
// when there are few and none is near.
func didYouMean(word string, candidates []string) string {
	best, bestDist := "", 1000
	lower := strings.ToLower(word)
	for _, c := range candidates {
		d := distance(lower, strings.ToLower(c))
		if d < bestDist {
			best, bestDist = c, d
		}
	}
	limit := max(1, (len(word)+1)/3)
	if best != "" && bestDist <= limit {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(candidates) == 0 {
		return ""
	}
	sorted := append([]string(nil), candidates...)
	sort.Strings(sorted)
	const most = 24
	if len(sorted) > most {
		return "known: " + strings.Join(sorted[:most], ", ") + ", …"
	}
	return "known: " + strings.Join(sorted, ", ")
}

// distance is the number of edits between two words, a swap of neighbours
// counted as one.
func distance(a, b string) int {
	ra, rb := []rune(a), []rune(b)
	d := make([][]int, len(ra)+1)
	for i := range d {
		d[i] = make([]int, len(rb)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(ra); i++ {
		for j := 1; j <= len(rb); j++ {
			cost := 1
			if ra[i-1] == rb[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && ra[i-1] == rb[j-2] && ra[i-2] == rb[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(ra)][len(rb)]
}
