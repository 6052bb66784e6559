package mysql

import (
	"fmt"

	"github.com/strait-cdc/strait/schemas"
)

// digitBytes is the bytes that a group of so many digits takes in a DECIMAL.
var digitBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

// decimalSize is the bytes of a DECIMAL(precision, scale) in the log.
func decimalSize(precision, scale int) int {
	whole := precision - scale
	return whole/9*4 + digitBytes[whole%9] + scale/9*4 + digitBytes[scale%9]
}

// readDecimal reads the packed form: groups of nine digits, big-endian, of which
// the first before and the last behind the point may be shorter; the top bit is
// the sign, inverted, and a negative number has all bits inverted.
func readDecimal(s string, precision, scale int) (schemas.Value, error) {
	var raw [40]byte
	if len(s) == 0 || len(s) > len(raw) {
		return schemas.Null, fmt.Errorf("binlog: decimal(%d,%d) of %d bytes", precision, scale, len(s))
	}
	b := raw[:copy(raw[:], s)]
	negative := b[0]&0x80 == 0
	b[0] ^= 0x80
	if negative {
		for i := range b {
			b[i] = ^b[i]
		}
	}
	var digits [96]byte
	out := append(digits[:0], '-')
	out, b = appendDigits(out, b, (precision-scale)%9, (precision-scale)/9, true)
	if len(out) == 1 {
		out = append(out, '0')
	}
	if scale > 0 {
		out = append(out, '.')
		out, b = appendDigits(out, b, 0, scale/9, false)
		out, _ = appendGroup(out, b, scale%9, false)
	}
	if !negative || isZero(out) {
		out = out[1:]
	}
	return schemas.Text(string(out)), nil
}

// appendDigits appends a group of lead digits and then groups of nine.
func appendDigits(out, b []byte, lead, groups int, trim bool) ([]byte, []byte) {
	out, b = appendGroup(out, b, lead, trim)
	for range groups {
		out, b = appendGroup(out, b, 9, trim)
	}
	return out, b
}

// appendGroup appends n digits; trim leaves out zeros at the front of the number.
func appendGroup(out, b []byte, n int, trim bool) ([]byte, []byte) {
	size := digitBytes[n]
	var v uint32
	for _, c := range b[:size] {
		v = v<<8 | uint32(c)
	}
	var group [9]byte
	for i := n - 1; i >= 0; i-- {
		group[i] = '0' + byte(v%10)
		v /= 10
	}
	for _, d := range group[:n] {
		if trim && d == '0' && len(out) == 1 {
			continue
		}
		out = append(out, d)
	}
	return out, b[size:]
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c >= '1' && c <= '9' {
			return false
		}
	}
	return true
}
