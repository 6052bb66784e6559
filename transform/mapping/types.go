package mapping

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// typeNames are the canonical types of the language and their kinds.
var typeNames = map[string]schemas.Kind{
	"bool": schemas.KindBool, "int": schemas.KindInt64, "int16": schemas.KindInt16, "int32": schemas.KindInt32, "int64": schemas.KindInt64,
	"decimal": schemas.KindDecimal, "text": schemas.KindText, "uuid": schemas.KindUUID, "json": schemas.KindJSON, "bytes": schemas.KindBytes,
	"date": schemas.KindDate, "time": schemas.KindTime, "timestamp": schemas.KindTimestamp, "instant": schemas.KindTimestampTZ,
}

var typeForm = regexp.MustCompile(`^([a-z0-9]+)(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?$`)

// parseType reads a canonical type: text(80), decimal(14,2), date.
func parseType(s string) (schemas.Type, error) {
	m := typeForm.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return schemas.Type{}, fmt.Errorf("%q is not a type", s)
	}
	kind, ok := typeNames[m[1]]
	if !ok {
		return schemas.Type{}, fmt.Errorf("unknown type %q", m[1])
	}
	t := schemas.Type{Kind: kind, Native: s}
	a, _ := strconv.Atoi(m[2])
	b, _ := strconv.Atoi(m[3])
	switch kind {
	case schemas.KindDecimal:
		if m[3] == "" || a < 1 || a > 65 || b > a {
			return t, fmt.Errorf("a decimal needs precision and scale, as in decimal(14,2)")
		}
		t.Precision, t.Scale = a, b
	case schemas.KindText:
		if m[3] != "" {
			return t, fmt.Errorf("text takes one number, its length in characters")
		}
		t.Length = a
	case schemas.KindTime, schemas.KindTimestamp, schemas.KindTimestampTZ:
		t.Precision = 6
		if m[2] != "" {
			t.Precision = a
		}
		if m[3] != "" || t.Precision > 6 {
			return t, fmt.Errorf("%s takes one number, the fractional digits of a second (0 to 6)", m[1])
		}
	default:
		if m[2] != "" {
			return t, fmt.Errorf("type %s takes no numbers", m[1])
		}
	}
	return t, nil
}

// typeName is how a type is spelled in messages.
func typeName(t schemas.Type) string {
	switch t.Kind {
	case schemas.KindDecimal:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case schemas.KindText:
		if t.Length > 0 {
			return fmt.Sprintf("text(%d)", t.Length)
		}
	case schemas.KindTimestampTZ:
		return "instant"
	case schemas.KindInt64:
		return "int"
	}
	return t.Kind.String()
}

// family groups the kinds that convert into one another without being asked.
type family uint8

const (
	famNone family = iota
	famText
	famNumber
	famBool
	famDate
	famTime
	famTimestamp
	famInstant
	famJSON
	famBytes
)

func familyOf(k schemas.Kind) family {
	switch k {
	case schemas.KindText, schemas.KindUUID, schemas.KindEnum, schemas.KindSet:
		return famText
	case schemas.KindInt16, schemas.KindInt32, schemas.KindInt64, schemas.KindUint64, schemas.KindYear,
		schemas.KindFloat32, schemas.KindFloat64, schemas.KindDecimal, schemas.KindNumeric:
		return famNumber
	case schemas.KindBool:
		return famBool
	case schemas.KindDate:
		return famDate
	case schemas.KindTime:
		return famTime
	case schemas.KindTimestamp:
		return famTimestamp
	case schemas.KindTimestampTZ:
		return famInstant
	case schemas.KindJSON:
		return famJSON
	case schemas.KindBytes:
		return famBytes
	}
	return famNone
}

func isInteger(k schemas.Kind) bool {
	switch k {
	case schemas.KindInt16, schemas.KindInt32, schemas.KindInt64, schemas.KindUint64, schemas.KindYear:
		return true
	}
	return false
}

// intRange is the range of an integer kind, as far as an int64 goes.
func intRange(k schemas.Kind) (lo, hi int64) {
	switch k {
	case schemas.KindInt16:
		return -1 << 15, 1<<15 - 1
	case schemas.KindInt32:
		return -1 << 31, 1<<31 - 1
	case schemas.KindUint64:
		return 0, 1<<63 - 1
	case schemas.KindYear:
		return 0, 2155
	}
	return -1 << 63, 1<<63 - 1
}

// isFixedChar says that the server pads the text with blanks, which do not
// belong to it.
func isFixedChar(t schemas.Type) bool {
	n := strings.ToLower(t.Native)
	return t.Kind == schemas.KindText && (n == "char" || strings.HasPrefix(n, "char(") || strings.HasPrefix(n, "bpchar") ||
		n == "character" || strings.HasPrefix(n, "character("))
}
