package avro

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/strait-cdc/strait/schemas"
)

var (
	errShort = errors.New("the record ends in the middle of a value")
	errBad   = errors.New("the record's bytes do not follow its schema")
)

// reader walks over the bytes of a record, held as a string so that texts are
// parts of it and a whole row costs one copy.
type reader struct {
	s   string
	i   int
	err error
	// made holds texts that are not in the record as they are (decimals, arrays);
	// fixups say which values they belong to.
	made   []byte
	fixups []fixup
	// tmp takes values that are looked at at once.
	tmp schemas.Value
}

type fixup struct {
	value    *schemas.Value
	from, to int
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func newReader(s string) *reader {
	r := readers.Get().(*reader)
	*r = reader{s: s, made: r.made[:0], fixups: r.fixups[:0]}
	return r
}

// done gives the reader back. A reader that has made much is let go.
func (r *reader) done() {
	r.s, r.tmp = "", schemas.Null
	clear(r.fixups)
	if cap(r.made) < 1<<20 && cap(r.fixups) < 1<<12 {
		readers.Put(r)
	}
}

// settle turns what was made into the texts of its values.
func (r *reader) settle() {
	if len(r.fixups) == 0 {
		return
	}
	all := string(r.made)
	for _, f := range r.fixups {
		*f.value = schemas.Text(all[f.from:f.to])
	}
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
		r.i = len(r.s)
	}
}

func (r *reader) byte() byte {
	if r.i >= len(r.s) {
		r.fail(errShort)
		return 0
	}
	r.i++
	return r.s[r.i-1]
}

func (r *reader) long() int64 {
	var u uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if r.i >= len(r.s) {
			r.fail(errShort)
			return 0
		}
		c := r.s[r.i]
		r.i++
		u |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return int64(u>>1) ^ -int64(u&1)
		}
	}
	r.fail(errBad)
	return 0
}

// text is a string or bytes; it is part of the record.
func (r *reader) text() string {
	n := r.long()
	if n < 0 || n > int64(len(r.s)-r.i) {
		r.fail(errShort)
		return ""
	}
	r.i += int(n)
	return r.s[r.i-int(n) : r.i]
}

func (r *reader) fixed(n int) string {
	if len(r.s)-r.i < n {
		r.fail(errShort)
		return "\x00\x00\x00\x00\x00\x00\x00\x00"[:n]
	}
	r.i += n
	return r.s[r.i-n : r.i]
}

// null reads the branch of an optional value.
func (r *reader) null(s *shape) bool {
	if !s.nullable {
		return false
	}
	switch b := r.byte(); b {
	case s.nullBranch << 1:
		return true
	case (1 - s.nullBranch) << 1:
		return false
	}
	r.fail(errBad)
	return true
}

// value reads a column into v.
func (r *reader) value(s *shape, v *schemas.Value) {
	if r.null(s) {
		*v = schemas.Null
		return
	}
	switch s.form {
	case formString:
		t := r.text()
		if len(t) == len(placeholder) && t == placeholder && s.placeholders() {
			*v = schemas.Unchanged
			return
		}
		*v = schemas.Text(t)
	case formLong, formInt, formTimeMicro, formStampMicro:
		*v = schemas.Int(r.long())
	case formBool:
		*v = schemas.Bool(r.byte() != 0)
	case formTimeMilli, formStampMilli:
		*v = schemas.Int(micros(r.long()))
	case formDate:
		*v = schemas.Int(days(r.long()))
	case formFloat:
		*v = schemas.Float(float64(math.Float32frombits(binary.LittleEndian.Uint32([]byte(r.fixed(4))))))
	case formDouble:
		*v = schemas.Float(math.Float64frombits(binary.LittleEndian.Uint64([]byte(r.fixed(8)))))
	case formBytes:
		t := r.text()
		if t == placeholder {
			*v = schemas.Unchanged
			return
		}
		*v = schemas.Bytes(t)
	default:
		r.rare(s, v)
	}
}

// rare reads the forms whose text has to be made.
func (r *reader) rare(s *shape, v *schemas.Value) {
	switch s.form {
	case formDecimal:
		r.decimal(v, r.text(), s.typ.Scale)
	case formNumeric:
		scale := r.long()
		if scale < -200000 || scale > 200000 {
			r.fail(errBad)
			return
		}
		r.decimal(v, r.text(), int(scale))
	case formUint:
		u, ok := bigUint(r.text())
		if !ok {
			r.fail(errBad)
		}
		*v = schemas.Uint(u)
	case formZoned:
		us, ok := parseZoned(r.text())
		if !ok {
			r.fail(errBad)
		}
		*v = schemas.Int(us)
	case formZonedTime:
		*v = schemas.Text(timeTZ(r.text()))
	case formBits:
		*v = schemas.Bytes(turned(r.text(), (s.typ.Length+7)/8))
	case formArray:
		r.array(s, v)
	case formForeign:
		r.foreign(s, v)
	default:
		r.fail(fmt.Errorf("no reader for form %d", s.form))
	}
}

// micros are those of milliseconds; infinities stay what they are.
func micros(ms int64) int64 {
	if ms > math.MaxInt64/1000 {
		return schemas.InfinityPlus
	}
	if ms < math.MinInt64/1000 {
		return schemas.InfinityMinus
	}
	return ms * 1000
}

func days(d int64) int64 {
	switch d {
	case datePlus:
		return schemas.InfinityPlus
	case dateMinus:
		return schemas.InfinityMinus
	}
	return d
}

func (r *reader) decimal(v *schemas.Value, raw string, scale int) {
	from := len(r.made)
	r.made = appendDecimal(r.made, raw, scale)
	r.fixups = append(r.fixups, fixup{v, from, len(r.made)})
}

// turned reverses bytes and pads them in front to the full width.
func turned(s string, width int) string {
	b := make([]byte, max(len(s), min(width, 1<<20)))
	for i := range len(s) {
		b[len(b)-1-i] = s[i]
	}
	return string(b)
}

// array writes the literal that PostgreSQL would print.
func (r *reader) array(s *shape, v *schemas.Value) {
	var it schemas.Value
	out := []byte{'{'}
	items := 0
	for r.err == nil {
		n := r.long()
		if n < 0 {
			n = -n
			r.long() // the block's size in bytes
		}
		if n == 0 {
			break
		}
		if n < 0 || n > int64(len(r.s)-r.i) {
			r.fail(errShort)
		}
		for ; n > 0 && r.err == nil; n-- {
			if items++; items > 1 {
				out = append(out, ',')
			}
			inner := newReader(r.s)
			inner.i = r.i
			inner.value(s.item, &it)
			inner.settle()
			if r.i = inner.i; inner.err != nil {
				r.fail(inner.err)
			}
			inner.done()
			switch {
			case it.IsNull():
				out = append(out, "NULL"...)
			case it.IsUnchanged():
				out = append(out, placeholder...)
			default:
				out = appendItem(out, itemText(it, &s.item.typ))
			}
		}
	}
	if items == 1 && it.IsUnchanged() {
		*v = schemas.Unchanged
		return
	}
	*v = schemas.Text(string(append(out, '}')))
}

// foreign reads a type that we do not write with goavro and shows it as JSON.
func (r *reader) foreign(s *shape, v *schemas.Value) {
	defer func() {
		if recover() != nil { // goavro trusts lengths that we cannot
			r.fail(errBad)
		}
	}()
	native, rest, err := s.codec.NativeFromBinary([]byte(r.s[r.i:]))
	if err != nil {
		r.fail(err)
		return
	}
	r.i = len(r.s) - len(rest)
	if native == nil {
		*v = schemas.Null
		return
	}
	text, err := s.codec.TextualFromNative(nil, native)
	if err == nil {
		text, err = sorted(text)
	}
	if err != nil {
		r.fail(err)
		return
	}
	*v = schemas.Text(string(text))
}

// sorted is JSON with its members in the order of their names, so that equal
// values are equal texts.
func sorted(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
