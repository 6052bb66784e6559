package avro

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// item is one element of an array literal.
type item struct {
	text string
	null bool
}

// parseArray reads PostgreSQL's literal of an array of one dimension with the
// usual lower bound. Anything else is not ok.
func parseArray(s string) (items []item, ok bool) {
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return nil, false
	}
	s = s[1 : len(s)-1]
	for s != "" {
		var it item
		var rest string
		if s[0] == '"' {
			it.text, rest, ok = quoted(s[1:])
			if !ok {
				return nil, false
			}
		} else {
			end := strings.IndexByte(s, ',')
			if end < 0 {
				end = len(s)
			}
			it.text, rest = s[:end], s[end:]
			if it.text == "" || strings.ContainsAny(it.text, `{}"\`) {
				return nil, false
			}
			it.null = it.text == "NULL"
		}
		items = append(items, it)
		if rest == "" {
			break
		}
		if rest[0] != ',' || len(rest) == 1 {
			return nil, false
		}
		s = rest[1:]
	}
	return items, true
}

func quoted(s string) (text, rest string, ok bool) {
	var b []byte
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return string(b), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b = append(b, s[i])
	}
	return "", "", false
}

// appendItem writes an element the way PostgreSQL prints it.
func appendItem(b []byte, text string) []byte {
	if text != "" && !strings.ContainsAny(text, "{}\",\\ \t\n\r\v\f") && !strings.EqualFold(text, "NULL") {
		return append(b, text...)
	}
	b = append(b, '"')
	for i := 0; i < len(text); i++ {
		if text[i] == '"' || text[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, text[i])
	}
	return append(b, '"')
}

// itemValue is the value of an element from its text in the literal.
func itemValue(s string, t *schemas.Type) (schemas.Value, bool) {
	switch t.Kind {
	case schemas.KindBool:
		return schemas.Bool(s == "t"), s == "t" || s == "f"
	case schemas.KindInt16, schemas.KindInt32, schemas.KindInt64, schemas.KindYear:
		i, err := strconv.ParseInt(s, 10, 64)
		return schemas.Int(i), err == nil
	case schemas.KindUint64:
		u, err := strconv.ParseUint(s, 10, 64)
		return schemas.Uint(u), err == nil
	case schemas.KindFloat32:
		f, err := strconv.ParseFloat(s, 32)
		return schemas.Float(f), err == nil
	case schemas.KindFloat64:
		f, err := strconv.ParseFloat(s, 64)
		return schemas.Float(f), err == nil
	case schemas.KindBytes:
		raw, err := hex.DecodeString(strings.TrimPrefix(s, `\x`))
		return schemas.Bytes(string(raw)), err == nil && strings.HasPrefix(s, `\x`)
	case schemas.KindBits:
		return bitsValue(s)
	case schemas.KindDate, schemas.KindTime, schemas.KindTimestamp, schemas.KindTimestampTZ:
		return itemClock(s, t.Kind)
	}
	return schemas.Text(s), true
}

// itemClock reads dates and times as PostgreSQL prints them in ISO style, years
// from 1 on; an era parks the array in the header of exact values.
func itemClock(s string, k schemas.Kind) (schemas.Value, bool) {
	switch {
	case s == plusText:
		return schemas.Int(schemas.InfinityPlus), k != schemas.KindTime
	case s == minusText:
		return schemas.Int(schemas.InfinityMinus), k != schemas.KindTime
	case k == schemas.KindDate:
		d, ok := parseDate(s)
		return schemas.Int(d), ok
	case k == schemas.KindTime:
		us, ok := parseClock(s)
		return schemas.Int(us), ok
	case k == schemas.KindTimestampTZ:
		if !strings.HasSuffix(s, "+00") {
			return schemas.Null, false
		}
		s = s[:len(s)-3]
	}
	date, clock, ok := strings.Cut(s, " ")
	if !ok {
		return schemas.Null, false
	}
	days, ok1 := parseDate(date)
	us, ok2 := parseClock(clock)
	return schemas.Int(days*microsPerDay + us), ok1 && ok2 && days < 1e8 && days > -1e8
}

// itemText writes a value as PostgreSQL prints it inside an array.
func itemText(v schemas.Value, t *schemas.Type) string {
	switch t.Kind {
	case schemas.KindBool:
		if v.Bool() {
			return "t"
		}
		return "f"
	case schemas.KindFloat32:
		return pgFloat(v.Float(), 32)
	case schemas.KindFloat64:
		return pgFloat(v.Float(), 64)
	case schemas.KindBytes:
		return `\x` + hex.EncodeToString([]byte(v.Text()))
	case schemas.KindBits:
		return bitsText(v.Text(), t.Length)
	case schemas.KindDate, schemas.KindTimestamp, schemas.KindTimestampTZ:
		switch v.Int() {
		case schemas.InfinityPlus:
			return plusText
		case schemas.InfinityMinus:
			return minusText
		}
	}
	switch t.Kind {
	case schemas.KindDate:
		return pgDate(v.Int())
	case schemas.KindTime:
		return string(appendClock(nil, v.Int(), 0))
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		days := floorDiv(v.Int(), microsPerDay)
		b := append([]byte(pgDate(days)), ' ')
		b = appendClock(b, v.Int()-days*microsPerDay, 0)
		if t.Kind == schemas.KindTimestampTZ {
			b = append(b, "+00"...)
		}
		return string(b)
	}
	return v.String()
}

// pgDate is the ISO date without the plus of years beyond 9999.
func pgDate(days int64) string {
	return strings.TrimPrefix(string(appendDate(nil, days)), "+")
}

// pgFloat is the shortest text of a number as PostgreSQL prints it.
func pgFloat(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	sci := strconv.FormatFloat(f, 'e', -1, bits)
	exp, _ := strconv.Atoi(sci[strings.IndexByte(sci, 'e')+1:])
	limit := 15
	if bits == 32 {
		limit = 6
	}
	if f != 0 && (exp < -4 || exp >= limit) {
		return sci
	}
	return strconv.FormatFloat(f, 'f', -1, bits)
}

func bitsValue(s string) (schemas.Value, bool) {
	out := make([]byte, (len(s)+7)/8)
	pad := len(out)*8 - len(s)
	for i := 0; i < len(s); i++ {
		if s[i] != '0' && s[i] != '1' {
			return schemas.Null, false
		}
		out[(pad+i)/8] |= (s[i] - '0') << uint(7-(pad+i)%8)
	}
	return schemas.Bytes(string(out)), true
}

// bitsText writes length bits; 0 writes whole bytes.
func bitsText(s string, length int) string {
	b := make([]byte, 0, len(s)*8)
	for i := 0; i < len(s)*8; i++ {
		b = append(b, '0'+s[i/8]>>uint(7-i%8)&1)
	}
	if length > 0 && length < len(b) {
		b = b[len(b)-length:]
	}
	return string(b)
}
