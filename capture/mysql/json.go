package mysql

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// jsonText turns MySQL's binary JSON into the text that a SELECT of the same
// value shows, byte for byte.
// https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html
func jsonText(s string) (string, error) {
	if s == "" {
		return "null", nil // what a row has that was added by a lenient ALTER TABLE
	}
	w := jsonWriter{out: make([]byte, 0, len(s)+len(s)/2)}
	if err := w.value(s[0], s[1:], 0); err != nil {
		return "", err
	}
	return string(w.out), nil
}

type jsonWriter struct{ out []byte }

const (
	jsonSmallObject = 0x00
	jsonLargeObject = 0x01
	jsonSmallArray  = 0x02
	jsonLargeArray  = 0x03
	jsonLiteral     = 0x04
	jsonInt16       = 0x05
	jsonUint16      = 0x06
	jsonInt32       = 0x07
	jsonUint32      = 0x08
	jsonInt64       = 0x09
	jsonUint64      = 0x0a
	jsonDouble      = 0x0b
	jsonString      = 0x0c
	jsonOpaque      = 0x0f
)

// jsonDepth is deeper than the server allows (100).
const jsonDepth = 128

var errJSON = fmt.Errorf("binlog: malformed json")

func (w *jsonWriter) value(kind byte, b string, depth int) error {
	if depth > jsonDepth {
		return errJSON
	}
	switch kind {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		return w.container(kind, b, depth)
	case jsonString:
		s, _, err := jsonBytes(b)
		if err == nil {
			w.quote(s)
		}
		return err
	case jsonOpaque:
		return w.opaque(b)
	case jsonLiteral:
		if len(b) < 1 || b[0] > 2 {
			return errJSON
		}
		w.out = append(w.out, [3]string{"null", "true", "false"}[b[0]]...)
		return nil
	}
	return w.number(kind, b)
}

func (w *jsonWriter) number(kind byte, b string) error {
	size := map[byte]int{jsonInt16: 2, jsonUint16: 2, jsonInt32: 4, jsonUint32: 4, jsonInt64: 8, jsonUint64: 8, jsonDouble: 8}[kind]
	if size == 0 || len(b) < size {
		return errJSON
	}
	v := little(b[:size])
	switch kind {
	case jsonInt16:
		w.out = strconv.AppendInt(w.out, int64(int16(v)), 10)
	case jsonInt32:
		w.out = strconv.AppendInt(w.out, int64(int32(v)), 10)
	case jsonInt64:
		w.out = strconv.AppendInt(w.out, int64(v), 10)
	case jsonDouble:
		w.out = appendDouble(w.out, math.Float64frombits(v))
	default:
		w.out = strconv.AppendUint(w.out, v, 10)
	}
	return nil
}

// container writes an object or array. Its table of entries holds offsets from
// its own start, and small scalars themselves.
func (w *jsonWriter) container(kind byte, b string, depth int) error {
	object := kind == jsonSmallObject || kind == jsonLargeObject
	wide := 2
	if kind == jsonLargeObject || kind == jsonLargeArray {
		wide = 4
	}
	if len(b) < 2*wide {
		return errJSON
	}
	count, size := little(b[:wide]), little(b[wide:2*wide])
	keys := uint64(0)
	if object {
		keys = count * uint64(wide+2)
	}
	if size > uint64(len(b)) || uint64(2*wide)+keys+count*uint64(wide+1) > size {
		return errJSON
	}
	b = b[:size]
	open, end := byte('['), byte(']')
	if object {
		open, end = '{', '}'
	}
	w.out = append(w.out, open)
	for i := range int(count) {
		if i > 0 {
			w.out = append(w.out, ", "...)
		}
		if object {
			if err := w.key(b, 2*wide+i*(wide+2), wide); err != nil {
				return err
			}
		}
		if err := w.entry(b, 2*wide+int(keys)+i*(wide+1), wide, depth); err != nil {
			return err
		}
	}
	w.out = append(w.out, end)
	return nil
}

func (w *jsonWriter) key(b string, at, wide int) error {
	offset, size := little(b[at:at+wide]), little(b[at+wide:at+wide+2])
	if offset+size > uint64(len(b)) {
		return errJSON
	}
	w.quote(b[offset : offset+size])
	w.out = append(w.out, ": "...)
	return nil
}

func (w *jsonWriter) entry(b string, at, wide, depth int) error {
	kind := b[at]
	inline := kind == jsonLiteral || kind == jsonInt16 || kind == jsonUint16 || wide == 4 && (kind == jsonInt32 || kind == jsonUint32)
	if inline {
		return w.value(kind, b[at+1:at+1+wide], depth+1)
	}
	offset := little(b[at+1 : at+1+wide])
	if offset >= uint64(len(b)) {
		return errJSON
	}
	return w.value(kind, b[offset:], depth+1)
}

// jsonBytes reads bytes with a length of seven bits to the byte in front.
func jsonBytes(b string) (s, rest string, err error) {
	var n uint64
	for i := 0; i < 5 && i < len(b); i++ {
		n |= uint64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			b = b[i+1:]
			if n > uint64(len(b)) {
				return "", "", errJSON
			}
			return b[:n], b[n:], nil
		}
	}
	return "", "", errJSON
}

func (w *jsonWriter) quote(s string) {
	const hexDigits = "0123456789abcdef"
	w.out = append(w.out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			w.out = append(w.out, '\\', c)
		case c >= 0x20:
			w.out = append(w.out, c)
		case strings.IndexByte("\b\t\n\f\r", c) >= 0:
			w.out = append(w.out, '\\', "btn_fr"[c-'\b'])
		default:
			w.out = append(w.out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	w.out = append(w.out, '"')
}

// opaque writes a value of one of the server's types that JSON does not have.
func (w *jsonWriter) opaque(b string) error {
	if len(b) < 1 {
		return errJSON
	}
	kind := b[0]
	s, _, err := jsonBytes(b[1:])
	if err != nil {
		return err
	}
	switch kind {
	case wireNewDecimal:
		return w.decimal(s)
	case wireDate, wireDatetime, wireTimestamp, wireTime:
		if len(s) != 8 {
			return errJSON
		}
		w.temporal(kind, int64(binary.LittleEndian.Uint64([]byte(s))))
		return nil
	}
	w.out = append(w.out, `"base64:type`...)
	w.out = strconv.AppendInt(w.out, int64(kind), 10)
	w.out = append(w.out, ':')
	w.out = base64.StdEncoding.AppendEncode(w.out, []byte(s))
	w.out = append(w.out, '"')
	return nil
}

func (w *jsonWriter) decimal(s string) error {
	if len(s) < 2 || s[0] < s[1] || len(s)-2 < decimalSize(int(s[0]), int(s[1])) {
		return errJSON
	}
	v, err := readDecimal(s[2:2+decimalSize(int(s[0]), int(s[1]))], int(s[0]), int(s[1]))
	if err != nil {
		return err
	}
	w.out = append(w.out, v.Text()...)
	return nil
}

// temporal writes a packed date or time, always with six digits of a second.
func (w *jsonWriter) temporal(kind byte, v int64) {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	us, v := v&(1<<24-1), v>>24
	clock := func(hours int64) string {
		return fmt.Sprintf("%02d:%02d:%02d.%06d", hours, v>>6&63, v&63, us)
	}
	ym := v >> 22
	date := fmt.Sprintf("%04d-%02d-%02d", ym/13, ym%13, v>>17&31)
	switch kind {
	case wireTime:
		w.out = append(w.out, `"`+sign+clock(v>>12&1023)+`"`...)
	case wireDate:
		w.out = append(w.out, `"`+date+`"`...)
	default:
		w.out = append(w.out, `"`+date+" "+clock(v>>12&31)+`"`...)
	}
}

// appendDouble writes a double as the server does: the shortest digits that read
// back the same, in plain notation up to 15 places, with a point or an exponent
// so that it stays a double.
func appendDouble(out []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(out, "null"...)
	}
	if f == 0 {
		if math.Signbit(f) {
			out = append(out, '-')
		}
		return append(out, "0.0"...)
	}
	e := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exp, _ := strings.Cut(e, "e")
	point, _ := strconv.Atoi(exp)
	if point >= -15 && point < 15 {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return append(out, s...)
	}
	out = append(out, mantissa...)
	out = append(out, 'e')
	return strconv.AppendInt(out, int64(point), 10)
}
