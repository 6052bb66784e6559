package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/strait-cdc/strait/schemas"
)

// valueFunc turns one value into another. It is never called with NULL.
type valueFunc func(v schemas.Value) (schemas.Value, error)

// convert makes the two ways between the type at the end of a codec chain (from)
// and the canonical type (to). It is lossless, or it fails with the value: a
// digit is never cut in silence. The one exception is a floating point number,
// which is rounded to the scale of the canonical decimal.
func convert(from, to schemas.Type) (in, out valueFunc, err error) {
	ff, tf := familyOf(from.Kind), familyOf(to.Kind)
	if ff == famNone {
		return nil, nil, fmt.Errorf("columns of type %s are not supported in a mapping", nativeName(from))
	}
	switch {
	case ff == famText && tf == famText:
		return convertText(from, to)
	case ff == famNumber && tf == famNumber:
		return numberFunc(to), numberFunc(from), nil
	case tf == famBool && (ff == famBool || isInteger(from.Kind)):
		return truth, numberOut(from), nil
	case ff == famBool && tf == famNumber:
		return numberFunc(to), zeroOne, nil
	case ff != tf:
		return nil, nil, fmt.Errorf("%s does not convert to %s", nativeName(from), typeName(to))
	case ff == famTimestamp || ff == famInstant || ff == famTime:
		p := to.Precision
		return clip(p), sameClock(from.Precision), nil
	case ff == famDate:
		return finite, finite, nil
	case ff == famJSON:
		return canonicalJSON, canonicalJSON, nil
	}
	return same, same, nil
}

func nativeName(t schemas.Type) string {
	if t.Native != "" {
		return t.Native
	}
	return typeName(t)
}

func same(v schemas.Value) (schemas.Value, error) { return v, nil }

func convertText(from, to schemas.Type) (in, out valueFunc, err error) {
	in, out = same, same
	if to.Kind == schemas.KindUUID || from.Kind == schemas.KindUUID {
		in = uuidForm
	}
	if from.Kind == schemas.KindUUID {
		out = uuidForm
	}
	return in, out, nil
}

// uuidForm is lower case with dashes.
func uuidForm(v schemas.Value) (schemas.Value, error) {
	s := v.Text()
	t := strings.ToLower(strings.TrimSpace(s))
	if len(t) != 36 || t[8] != '-' || t[13] != '-' || t[18] != '-' || t[23] != '-' {
		return v, fmt.Errorf("%q is not a UUID", s)
	}
	for i := 0; i < len(t); i++ {
		c := t[i]
		if c != '-' && (c < '0' || c > '9' && c < 'a' || c > 'f') || c == '-' && i != 8 && i != 13 && i != 18 && i != 23 {
			return v, fmt.Errorf("%q is not a UUID", s)
		}
	}
	if t == s {
		return v, nil
	}
	return schemas.Text(t), nil
}

// truth reads 0 as false and any other integer as true.
func truth(v schemas.Value) (schemas.Value, error) {
	if v.Storage() == schemas.StoreUint {
		return schemas.Bool(v.Uint() != 0), nil
	}
	return schemas.Bool(v.Int() != 0), nil
}

func numberOut(t schemas.Type) valueFunc {
	if t.Kind == schemas.KindBool {
		return same
	}
	return numberFunc(t)
}

func zeroOne(v schemas.Value) (schemas.Value, error) {
	n, err := toInt(v)
	if err != nil || n != 0 && n != 1 {
		return v, fmt.Errorf("%s is neither 0 nor 1", v)
	}
	return schemas.Int(n), nil
}

// numberFunc brings any number into the form of a type.
func numberFunc(t schemas.Type) valueFunc {
	switch t.Kind {
	case schemas.KindDecimal:
		return func(v schemas.Value) (schemas.Value, error) { return toDecimal(v, t) }
	case schemas.KindNumeric:
		return toNumeric
	case schemas.KindFloat32, schemas.KindFloat64:
		return func(v schemas.Value) (schemas.Value, error) { return toFloat(v, t.Kind) }
	case schemas.KindUint64:
		return toUint
	}
	lo, hi := intRange(t.Kind)
	return func(v schemas.Value) (schemas.Value, error) {
		n, err := toInt(v)
		if err != nil {
			return v, err
		}
		if n < lo || n > hi {
			return v, fmt.Errorf("%d is outside the range of %s (%d to %d)", n, nativeName(t), lo, hi)
		}
		return schemas.Int(n), nil
	}
}

func toInt(v schemas.Value) (int64, error) {
	switch v.Storage() {
	case schemas.StoreInt:
		return v.Int(), nil
	case schemas.StoreUint:
		if v.Uint() > math.MaxInt64 {
			return 0, fmt.Errorf("%d is too large", v.Uint())
		}
		return v.Int(), nil
	case schemas.StoreFloat:
		f := v.Float()
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return 0, fmt.Errorf("%s is not a whole number", v)
		}
		return int64(f), nil
	}
	s := v.Text()
	if whole, frac, ok := strings.Cut(s, "."); ok {
		if strings.Trim(frac, "0") != "" {
			return 0, fmt.Errorf("%s is not a whole number", s)
		}
		s = whole
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not a whole number that fits", v.Text())
	}
	return n, nil
}

func toUint(v schemas.Value) (schemas.Value, error) {
	if v.Storage() == schemas.StoreUint {
		return v, nil
	}
	if v.Storage() == schemas.StoreText {
		s, frac, _ := strings.Cut(v.Text(), ".")
		u, err := strconv.ParseUint(s, 10, 64)
		if err != nil || strings.Trim(frac, "0") != "" {
			return v, fmt.Errorf("%s is not an unsigned whole number", v.Text())
		}
		return schemas.Uint(u), nil
	}
	n, err := toInt(v)
	if err != nil || n < 0 {
		return v, fmt.Errorf("%s is not an unsigned whole number", v)
	}
	return schemas.Uint(uint64(n)), nil
}

func toFloat(v schemas.Value, k schemas.Kind) (schemas.Value, error) {
	s := v.String()
	bits := 64
	if k == schemas.KindFloat32 {
		bits = 32
	}
	f, err := strconv.ParseFloat(s, bits)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return v, fmt.Errorf("%s is not a number that fits", s)
	}
	return schemas.Float(f), nil
}

// plain is a number in plain notation: an optional minus, digits, a point.
func plain(v schemas.Value) (string, error) {
	switch v.Storage() {
	case schemas.StoreInt, schemas.StoreUint:
		return v.String(), nil
	case schemas.StoreFloat:
		f := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return "", fmt.Errorf("%s is not a number", v)
		}
		return strconv.FormatFloat(f, 'f', -1, 64), nil
	}
	s := v.Text()
	if !isPlain(s) {
		return "", fmt.Errorf("%q is not a number", s)
	}
	return s, nil
}

func isPlain(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits, points := 0, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] >= '0' && s[i] <= '9':
			digits++
		case s[i] == '.':
			points++
		default:
			return false
		}
	}
	return digits > 0 && points <= 1
}

// toDecimal brings a number to the scale of a decimal type: zeros are added or
// taken away, other digits never. Floats are rounded, half to even.
func toDecimal(v schemas.Value, t schemas.Type) (schemas.Value, error) {
	s, err := plain(v)
	if err != nil {
		return v, err
	}
	if v.Storage() == schemas.StoreFloat {
		d, err := parseDecimal(s)
		if err != nil {
			return v, err
		}
		if s, err = roundText(d, t.Scale, "half_even"); err != nil {
			return v, err
		}
	}
	out, err := rescale(s, t.Scale)
	if err != nil {
		return v, fmt.Errorf("%s has more than the %d fractional digits of %s", s, t.Scale, typeName(t))
	}
	if t.Precision > 0 && wholeDigits(out) > t.Precision-t.Scale {
		return v, fmt.Errorf("%s is too large for %s", out, typeName(t))
	}
	if v.Storage() == schemas.StoreText && out == v.Text() {
		return v, nil
	}
	return schemas.Text(out), nil
}

// rescale writes a plain number with exactly scale digits after the point and
// no leading zeros or negative zero.
func rescale(s string, scale int) (string, error) {
	neg := strings.HasPrefix(s, "-")
	whole, frac, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if len(frac) > scale {
		if strings.Trim(frac[scale:], "0") != "" {
			return "", fmt.Errorf("digits would be lost")
		}
		frac = frac[:scale]
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if neg && (whole != "0" || strings.Trim(frac, "0") != "") {
		whole = "-" + whole
	}
	if scale == 0 {
		return whole, nil
	}
	if len(frac) < scale {
		frac += strings.Repeat("0", scale-len(frac))
	}
	return whole + "." + frac, nil
}

func wholeDigits(s string) int {
	whole, _, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if whole == "0" {
		return 0
	}
	return len(whole)
}

// toNumeric writes a number without zeros at the end of its fraction, the one
// form of a decimal without declared scale.
func toNumeric(v schemas.Value) (schemas.Value, error) {
	s, err := plain(v)
	if err != nil {
		return v, err
	}
	_, frac, _ := strings.Cut(s, ".")
	out, err := rescale(s, len(strings.TrimRight(frac, "0")))
	return schemas.Text(out), err
}

func finite(v schemas.Value) (schemas.Value, error) {
	if n := v.Int(); n == schemas.InfinityPlus || n == schemas.InfinityMinus {
		return v, fmt.Errorf("infinity has no place on the other side")
	}
	return v, nil
}

// clip cuts a time to the precision of the canonical type.
func clip(precision int) valueFunc {
	unit := unitOf(precision)
	return func(v schemas.Value) (schemas.Value, error) {
		if _, err := finite(v); err != nil {
			return v, err
		}
		n := v.Int()
		r := n % unit
		if r < 0 {
			r += unit
		}
		return schemas.Int(n - r), nil
	}
}

// sameClock refuses a time that the column's precision cannot hold.
func sameClock(precision int) valueFunc {
	unit := unitOf(precision)
	return func(v schemas.Value) (schemas.Value, error) {
		if v.Int()%unit != 0 {
			return v, fmt.Errorf("the column keeps only %d digits of a second", precision)
		}
		return finite(v)
	}
}

// unitOf is the microseconds of one step of a precision.
func unitOf(precision int) int64 {
	unit := int64(1)
	for i := precision; i < 6; i++ {
		unit *= 10
	}
	return unit
}

// canonicalJSON is compact, with sorted keys and numbers as written.
func canonicalJSON(v schemas.Value) (schemas.Value, error) {
	x, err := decodeJSON(v.Text())
	if err != nil {
		return v, err
	}
	s, err := encodeJSON(x)
	return schemas.Text(s), err
}

func decodeJSON(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if d.More() {
		return nil, fmt.Errorf("not JSON: text after the value")
	}
	return x, nil
}

func encodeJSON(x any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(x); err != nil {
		return "", fmt.Errorf("json: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// fit says whether a value, already in the kind of a column, fits into it.
func fit(v schemas.Value, t schemas.Type) error {
	switch t.Kind {
	case schemas.KindText:
		if t.Length > 0 && len(v.Text()) > t.Length && utf8.RuneCountInString(v.Text()) > t.Length {
			return fmt.Errorf("%d characters are too many for %s", utf8.RuneCountInString(v.Text()), nativeName(t))
		}
	case schemas.KindBytes:
		if t.Length > 0 && len(v.Text()) > t.Length {
			return fmt.Errorf("%d bytes are too many for %s", len(v.Text()), nativeName(t))
		}
	case schemas.KindEnum:
		if !contains(t.Labels, v.Text()) {
			return fmt.Errorf("%q is not one of the column's labels (%s)", v.Text(), strings.Join(t.Labels, ", "))
		}
	case schemas.KindSet:
		for _, l := range strings.Split(v.Text(), ",") {
			if !contains(t.Labels, l) {
				return fmt.Errorf("%q is not one of the column's labels (%s)", l, strings.Join(t.Labels, ", "))
			}
		}
	}
	return nil
}
