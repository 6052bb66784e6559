package mysql

import (
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// statement is what we need to know of the text of a QUERY event. It is never
// parsed for the shape of a table.
type statement struct {
	kind statementKind
	// name is the savepoint, or the XID.
	name string
	// table is that of a TRUNCATE.
	table schemas.TableName
}

type statementKind uint8

const (
	// stmtDDL is everything that is nothing else: a barrier.
	stmtDDL statementKind = iota
	stmtBegin
	stmtCommit
	stmtRollback
	stmtSavepoint
	stmtRollbackTo
	stmtRelease
	stmtTruncate
	// stmtDML changes rows by its text instead of by row events.
	stmtDML
	stmtXACommit
	stmtXARollback
	// stmtXAOther starts, ends or prepares; other events carry the meaning.
	stmtXAOther
)

// words splits the front of a statement into words, identifiers and marks,
// passing over comments. What stands in an executable comment (/*! … */) counts.
type words struct{ rest string }

// next is the next word; quoted says that it was in backquotes or double quotes.
func (w *words) next() (word string, quoted bool) {
	w.skip()
	if w.rest == "" {
		return "", false
	}
	switch c := w.rest[0]; {
	case c == '`' || c == '"':
		return w.quotedName(c), true
	case isWord(c):
		i := 1
		for i < len(w.rest) && isWord(w.rest[i]) {
			i++
		}
		word, w.rest = w.rest[:i], w.rest[i:]
		return word, false
	}
	word, w.rest = w.rest[:1], w.rest[1:]
	return word, false
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (w *words) quotedName(q byte) string {
	var b strings.Builder
	s := w.rest[1:]
	for s != "" {
		if s[0] == q {
			if len(s) < 2 || s[1] != q {
				s = s[1:]
				break
			}
			s = s[1:]
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	w.rest = s
	return b.String()
}

// skip passes over white space and comments.
func (w *words) skip() {
	for {
		s := strings.TrimLeft(w.rest, " \t\r\n\f\v(")
		switch {
		case strings.HasPrefix(s, "/*!") || strings.HasPrefix(s, "/*M!"):
			s = strings.TrimLeft(s[strings.IndexByte(s, '!')+1:], "0123456789")
		case strings.HasPrefix(s, "/*"):
			s = after(s[2:], "*/")
		case strings.HasPrefix(s, "*/"):
			s = s[2:]
		case strings.HasPrefix(s, "#"), strings.HasPrefix(s, "-- "), strings.HasPrefix(s, "--\n"), strings.HasPrefix(s, "--\t"):
			s = after(s, "\n")
		default:
			w.rest = s
			return
		}
		w.rest = s
	}
}

func after(s, mark string) string {
	_, rest, _ := strings.Cut(s, mark)
	return rest
}

// classify reads the front of a statement. database is the session's.
func classify(text, database string) statement {
	w := &words{rest: text}
	first, _ := w.next()
	switch strings.ToUpper(first) {
	case "BEGIN":
		return statement{kind: stmtBegin}
	case "START":
		if second, _ := w.next(); strings.EqualFold(second, "TRANSACTION") {
			return statement{kind: stmtBegin}
		}
	case "COMMIT":
		return statement{kind: stmtCommit}
	case "ROLLBACK":
		return rollback(w)
	case "SAVEPOINT":
		name, _ := w.next()
		return statement{kind: stmtSavepoint, name: name}
	case "RELEASE":
		return statement{kind: stmtRelease}
	case "TRUNCATE":
		return truncate(w, database)
	case "XA":
		return xaStatement(w)
	case "SET":
		return setStatement(w, database)
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH", "CALL", "DO", "SELECT", "VALUES", "MERGE":
		return statement{kind: stmtDML}
	}
	return statement{}
}

// setStatement looks behind MariaDB's SET STATEMENT … FOR.
func setStatement(w *words, database string) statement {
	if second, _ := w.next(); !strings.EqualFold(second, "STATEMENT") {
		return statement{}
	}
	for {
		word, quoted := w.next()
		if word == "" {
			return statement{}
		}
		if !quoted && strings.EqualFold(word, "FOR") {
			return classify(w.rest, database)
		}
	}
}

// rollback reads ROLLBACK [WORK] [TO [SAVEPOINT] name].
func rollback(w *words) statement {
	for {
		word, quoted := w.next()
		switch {
		case word == "" || word == ";":
			return statement{kind: stmtRollback}
		case !quoted && strings.EqualFold(word, "TO"):
			name, quoted := w.next()
			if !quoted && strings.EqualFold(name, "SAVEPOINT") {
				name, _ = w.next()
			}
			return statement{kind: stmtRollbackTo, name: name}
		}
	}
}

// truncate reads TRUNCATE [TABLE] [database.]table.
func truncate(w *words, database string) statement {
	name, quoted := w.next()
	if !quoted && strings.EqualFold(name, "TABLE") {
		name, _ = w.next()
	}
	table := schemas.TableName{Schema: database, Name: name}
	if dot, _ := w.next(); dot == "." {
		table.Schema = name
		table.Name, _ = w.next()
	}
	return statement{kind: stmtTruncate, table: table}
}

func xaStatement(w *words) statement {
	second, _ := w.next()
	switch strings.ToUpper(second) {
	case "COMMIT":
		return statement{kind: stmtXACommit, name: normalXID(w.rest)}
	case "ROLLBACK":
		return statement{kind: stmtXARollback, name: normalXID(w.rest)}
	}
	return statement{kind: stmtXAOther}
}

// concerns says that a statement might touch one of the tables: its session's
// database is one of theirs, or it names one of the databases or tables.
func concerns(q query, databases map[string]bool, tables map[string]bool) bool {
	if databases[strings.ToLower(q.database)] {
		return true
	}
	w := &words{rest: strings.ToLower(q.text)}
	for {
		word, _ := w.next()
		if word == "" {
			return false
		}
		if databases[word] || tables[word] {
			return true
		}
	}
}
