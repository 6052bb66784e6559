package avro

import (
	"strconv"
	"strings"
)

// fullName makes a legal Avro full name of a topic: what Debezium calls name
// adjustment "avro", applied to each part between the dots.
func fullName(topic string) string {
	parts := strings.Split(topic, ".")
	for i, p := range parts {
		parts[i] = adjust(p)
	}
	return strings.Join(parts, ".")
}

// adjust replaces what Avro does not allow in a name by an underscore and puts
// one before a leading digit.
func adjust(s string) string {
	if legal(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_':
			b.WriteRune(r)
		case r >= '0' && r <= '9':
			if b.Len() == 0 {
				b.WriteByte('_')
			}
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	if b.Len() == 0 {
		return "_"
	}
	return b.String()
}

func legal(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// fieldNames are the Avro names of columns. Two columns that would get one name
// (a-b and a.b) are told apart by a number; names that need no change keep theirs.
func fieldNames(columns []string) []string {
	out := make([]string, len(columns))
	taken := make(map[string]bool, len(columns))
	for i, c := range columns {
		if legal(c) {
			out[i] = c
			taken[c] = true
		}
	}
	for i, c := range columns {
		if out[i] != "" {
			continue
		}
		name := adjust(c)
		for n := 2; taken[name]; n++ {
			name = adjust(c) + "_" + strconv.Itoa(n)
		}
		out[i] = name
		taken[name] = true
	}
	return out
}

// nameSpace cuts a full name at its last dot.
func nameSpace(full string) (space, name string) {
	if i := strings.LastIndexByte(full, '.'); i >= 0 {
		return full[:i], full[i+1:]
	}
	return "", full
}
