package avro

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// placeholder stands for a large value that the log did not carry.
const placeholder = "__debezium_unavailable_value"

// Infinite dates in the int of io.debezium.time.Date: outside everything a
// database can hold, and in the right order.
const (
	datePlus  = math.MaxInt32
	dateMinus = math.MinInt32
)

// appendLong appends an Avro int or long: zigzag, seven bits to a byte.
func appendLong(b []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		b = append(b, byte(u)|0x80)
		u >>= 7
	}
	return append(b, byte(u))
}

func appendString(b []byte, s string) []byte {
	return append(appendLong(b, int64(len(s))), s...)
}

// append writes a value that is neither NULL nor Unchanged, without the union's
// branch. If the form cannot hold exactly this value, ok is false and what was
// appended means nothing.
func (s *shape) append(b []byte, v *schemas.Value) (_ []byte, ok bool) {
	switch s.form {
	case formString:
		t := v.Text()
		return appendString(b, t), len(t) != len(placeholder) || t != placeholder || !s.placeholders()
	case formLong:
		return appendLong(b, v.Int()), true
	case formInt:
		return appendLong(b, v.Int()), int64(int32(v.Int())) == v.Int()
	case formBool:
		return append(b, byte(v.Int())), v.Int() == 0 || v.Int() == 1
	case formDecimal:
		return appendUnscaled(b, v.Text(), s.typ.Scale, s.digits)
	case formStampMicro, formTimeMicro:
		return appendLong(b, v.Int()), true
	case formStampMilli:
		return appendMilli(b, v.Int())
	case formTimeMilli:
		ms := floorDiv(v.Int(), 1000)
		return appendLong(b, ms), v.Int()%1000 == 0 && int64(int32(ms)) == ms
	case formDate:
		return appendDays(b, v.Int())
	case formZoned:
		return appendText(b, func(b []byte) []byte { return appendZoned(b, v.Int(), s.typ.Precision) }), zonedRange(v.Int())
	case formZonedTime:
		iso := isoTimeTZ(v.Text())
		return appendString(b, iso), timeTZ(iso) == v.Text()
	case formFloat:
		f := float32(v.Float())
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(f)), float64(f) == v.Float() || f != f
	case formDouble:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float())), true
	case formBytes:
		return appendString(b, v.Text()), v.Text() != placeholder
	case formUint:
		return appendUint(b, v.Uint()), true
	case formNumeric:
		return appendNumeric(b, v.Text())
	case formBits:
		return s.appendBits(b, v.Text())
	case formArray:
		return s.appendArray(b, v.Text())
	}
	return b, false
}

// appendText appends a string of unknown length below 64 bytes.
func appendText(b []byte, write func([]byte) []byte) []byte {
	at := len(b)
	b = write(append(b, 0))
	b[at] = byte(len(b)-at-1) << 1
	return b
}

// zonedRange are the instants whose year has at most six digits.
func zonedRange(us int64) bool {
	const limit = 9.2e18
	return us > -limit && us < limit || us == schemas.InfinityPlus || us == schemas.InfinityMinus
}

func appendMilli(b []byte, us int64) ([]byte, bool) {
	if us == schemas.InfinityPlus || us == schemas.InfinityMinus {
		return appendLong(b, us), true
	}
	return appendLong(b, floorDiv(us, 1000)), us%1000 == 0
}

func appendDays(b []byte, days int64) ([]byte, bool) {
	switch days {
	case schemas.InfinityPlus:
		return appendLong(b, datePlus), true
	case schemas.InfinityMinus:
		return appendLong(b, dateMinus), true
	}
	return appendLong(b, days), days > dateMinus && days < datePlus
}

func appendNumeric(b []byte, s string) ([]byte, bool) {
	scale := 0
	if i := strings.IndexByte(s, '.'); i >= 0 {
		if scale = len(s) - i - 1; scale == 0 {
			return b, false
		}
	}
	return appendUnscaled(appendLong(b, int64(scale)), s, scale, 0)
}

// appendBits turns the bytes round; fixed widths come back padded from Length.
func (s *shape) appendBits(b []byte, raw string) ([]byte, bool) {
	full := (s.typ.Length + 7) / 8
	n, skip := len(raw), 0
	if s.trim && n == full {
		for skip < n && raw[skip] == 0 {
			skip++
		}
	}
	b = appendLong(b, int64(n-skip))
	for i := n - 1; i >= skip; i-- {
		b = append(b, raw[i])
	}
	return b, full == 0 || n == full
}

func (s *shape) appendArray(b []byte, literal string) ([]byte, bool) {
	items, ok := parseArray(literal)
	if !ok {
		return b, false
	}
	if len(items) > 0 {
		b = appendLong(b, int64(len(items)))
	}
	back := append(make([]byte, 0, len(literal)), '{')
	for i, it := range items {
		if i > 0 {
			back = append(back, ',')
		}
		if it.null {
			b = append(b, 0)
			back = append(back, "NULL"...)
			continue
		}
		v, ok := itemValue(it.text, &s.item.typ)
		if !ok {
			return b, false
		}
		if b, ok = s.item.append(append(b, 2), &v); !ok {
			return b, false
		}
		back = appendItem(back, itemText(v, &s.item.typ))
	}
	b = append(b, 0)
	return b, string(append(back, '}')) == literal
}

// zero is what a column that cannot be null holds when its value is not known or
// has no form; Debezium writes the same.
func (s *shape) zero() []byte {
	switch s.form {
	case formFloat:
		return make([]byte, 4)
	case formDouble:
		return make([]byte, 8)
	case formDecimal, formUint:
		return []byte{2, 0}
	case formNumeric:
		return []byte{0, 2, 0}
	case formZoned:
		return appendText(nil, func(b []byte) []byte { return appendZoned(b, 0, s.typ.Precision) })
	case formZonedTime:
		return appendString(nil, "00:00:00Z")
	}
	return []byte{0}
}

// unchanged is the placeholder in the column's form, without the branch.
func (s *shape) unchanged() []byte {
	p := appendString(nil, placeholder)
	if s.form == formArray {
		return slices.Concat([]byte{2, 2}, p, []byte{0})
	}
	return p
}
