package schemas

import (
	"fmt"
	"math"
	"strconv"
)

// Storage says which part of a Value holds it.
type Storage uint8

// The storages. The zero Value is NULL.
const (
	StoreNull Storage = iota
	// StoreUnchanged marks a large value that the log left out because the
	// statement did not touch it (PostgreSQL's unchanged TOAST).
	StoreUnchanged
	StoreInt
	StoreUint
	StoreFloat
	StoreText
	StoreBytes
)

// Value is one column's value: a small union without pointers to anything but
// its text, so that a row is one allocation. It is comparable: two Values of
// one Kind are equal exactly when == says so (NaN equals NaN).
type Value struct {
	store Storage
	num   uint64
	text  string
}

// Null is the absent value.
var Null = Value{}

// Unchanged is the marker for a value that the log did not carry.
var Unchanged = Value{store: StoreUnchanged}

// Int makes an integer, a boolean, a date or a time. See Kind for units.
func Int(i int64) Value { return Value{store: StoreInt, num: uint64(i)} }

// Uint makes an unsigned integer.
func Uint(u uint64) Value { return Value{store: StoreUint, num: u} }

// Float makes a floating point number.
func Float(f float64) Value {
	if f != f {
		f = math.NaN()
	}
	return Value{store: StoreFloat, num: math.Float64bits(f)}
}

// Bool makes a boolean.
func Bool(b bool) Value {
	if b {
		return Int(1)
	}
	return Int(0)
}

// Text makes a text or anything that is held as one.
func Text(s string) Value { return Value{store: StoreText, text: s} }

// Bytes makes a byte string; the bytes are held in a string and never changed.
func Bytes(b string) Value { return Value{store: StoreBytes, text: b} }

// Storage tells what the value holds.
func (v Value) Storage() Storage { return v.store }

// IsNull says that the value is absent.
func (v Value) IsNull() bool { return v.store == StoreNull }

// IsUnchanged says that the log did not carry the value.
func (v Value) IsUnchanged() bool { return v.store == StoreUnchanged }

// Int is the integer; meaningful for StoreInt.
func (v Value) Int() int64 { return int64(v.num) }

// Uint is the unsigned integer; meaningful for StoreUint.
func (v Value) Uint() uint64 { return v.num }

// Float is the number; meaningful for StoreFloat.
func (v Value) Float() float64 { return math.Float64frombits(v.num) }

// Bool is the truth; meaningful for StoreInt.
func (v Value) Bool() bool { return v.num != 0 }

// Text is the text or the bytes; meaningful for StoreText and StoreBytes.
func (v Value) Text() string { return v.text }

// String shows the value to a person, in messages and reports.
func (v Value) String() string {
	switch v.store {
	case StoreNull:
		return "NULL"
	case StoreUnchanged:
		return "(unchanged)"
	case StoreInt:
		return strconv.FormatInt(v.Int(), 10)
	case StoreUint:
		return strconv.FormatUint(v.num, 10)
	case StoreFloat:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case StoreBytes:
		return fmt.Sprintf("0x%x", v.text)
	}
	return v.text
}

// Row is the values of a row in the order of its table's columns. A nil Row is
// absent.
type Row []Value
