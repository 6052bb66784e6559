package schemas

import (
	"strconv"
	"strings"
)

// FormatKey is the text of a native key, the one form in which keys stand in
// strait.link, in the state store and in messages: the values joined by a slash;
// slash and percent sign inside a value are written as %2F and %25.
func FormatKey(key []Value) string {
	if len(key) == 1 {
		return escapeKey(key[0].String())
	}
	parts := make([]string, len(key))
	for i, v := range key {
		parts[i] = escapeKey(v.String())
	}
	return strings.Join(parts, "/")
}

var keyEscaper = strings.NewReplacer("%", "%25", "/", "%2F")

func escapeKey(s string) string {
	if !strings.ContainsAny(s, "%/") {
		return s
	}
	return keyEscaper.Replace(s)
}

// ParseKey reads what FormatKey wrote, with the types of the key's columns.
func ParseKey(text string, types []Type) ([]Value, bool) {
	parts := strings.Split(text, "/")
	if len(parts) != len(types) {
		return nil, false
	}
	out := make([]Value, len(parts))
	for i, p := range parts {
		p = strings.ReplaceAll(strings.ReplaceAll(p, "%2F", "/"), "%25", "%")
		v, ok := parseKeyPart(p, types[i].Kind)
		if !ok {
			return nil, false
		}
		out[i] = v
	}
	return out, true
}

func parseKeyPart(p string, k Kind) (Value, bool) {
	switch k {
	case KindBool, KindInt16, KindInt32, KindInt64, KindYear, KindDate, KindTime, KindTimestamp, KindTimestampTZ:
		i, err := strconv.ParseInt(p, 10, 64)
		return Int(i), err == nil
	case KindUint64:
		u, err := strconv.ParseUint(p, 10, 64)
		return Uint(u), err == nil
	case KindFloat32, KindFloat64, KindBytes, KindBits:
		return Null, false
	}
	return Text(p), true
}
