package avro

import (
	"bytes"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// appendUnscaled appends a decimal text without its point as two's complement,
// big-endian, in as few bytes as hold it (Java's BigInteger.toByteArray), with
// its length in front. The text must be plain: digits with at most one point,
// exactly scale of them behind it, no plus, no negative zero. Otherwise ok is
// false and b is as it was.
func appendUnscaled(b []byte, s string, scale, maxDigits int) (_ []byte, ok bool) {
	digits, neg := s, false
	if digits != "" && digits[0] == '-' {
		digits, neg = digits[1:], true
	}
	point := len(digits) - scale - 1
	if scale <= 0 {
		point = len(digits)
	}
	if !plain(digits, point, neg) {
		return b, false
	}
	if n := len(digits) - min(scale, 1); maxDigits > 0 && n > maxDigits && significant(digits) > maxDigits {
		return b, false
	}
	if len(digits) <= 18 {
		var u int64
		for i := 0; i < len(digits); i++ {
			if i != point {
				u = u*10 + int64(digits[i]-'0')
			}
		}
		if neg {
			u = -u
		}
		return appendInt(b, u), true
	}
	text := s
	if point < len(digits) {
		cut := len(s) - scale - 1
		text = s[:cut] + s[cut+1:]
	}
	n, good := new(big.Int).SetString(text, 10)
	if !good {
		return b, false
	}
	raw := bigBytes(n)
	b = appendLong(b, int64(len(raw)))
	return append(b, raw...), true
}

// plain says that digits is what decimalText would write.
func plain(digits string, point int, neg bool) bool {
	if point < 1 || len(digits) == 0 || digits[0] == '0' && point > 1 {
		return false
	}
	zero := true
	for i := 0; i < len(digits); i++ {
		c := digits[i]
		if i == point {
			if c != '.' {
				return false
			}
			continue
		}
		if c < '0' || c > '9' {
			return false
		}
		zero = zero && c == '0'
	}
	return !(neg && zero)
}

// significant counts the digits without the zeros in front.
func significant(digits string) int {
	n := len(strings.TrimLeft(digits, "0."))
	if i := strings.IndexByte(digits, '.'); i >= 0 && strings.Trim(digits[:i], "0") != "" {
		n--
	}
	return n
}

// appendInt appends the length and the bytes of a number.
func appendInt(b []byte, u int64) []byte {
	n := 1
	for v := u; v < -128 || v > 127; v >>= 8 {
		n++
	}
	b = append(b, byte(n<<1))
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(u>>(8*uint(i))))
	}
	return b
}

func appendUint(b []byte, u uint64) []byte {
	if u < 1<<63 {
		return appendInt(b, int64(u))
	}
	b = append(b, 9<<1, 0)
	for i := 7; i >= 0; i-- {
		b = append(b, byte(u>>(8*uint(i))))
	}
	return b
}

// bigBytes is BigInteger.toByteArray.
func bigBytes(n *big.Int) []byte {
	if n.Sign() >= 0 {
		raw := n.Bytes()
		if len(raw) == 0 || raw[0] >= 0x80 {
			raw = append([]byte{0}, raw...)
		}
		return raw
	}
	size := n.BitLen()/8 + 1
	two := new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	raw := two.FillBytes(make([]byte, size))
	if len(raw) > 1 && raw[0] == 0xff && raw[1] >= 0x80 {
		raw = raw[1:]
	}
	return raw
}

// appendDecimal writes the text of an unscaled number with scale digits behind
// the point. A negative scale is that many zeros less in the number.
func appendDecimal(dst []byte, raw string, scale int) []byte {
	start := len(dst)
	if len(raw) <= 8 {
		dst = strconv.AppendInt(dst, smallInt(raw), 10)
	} else {
		n := new(big.Int).SetBytes([]byte(raw))
		if raw[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
		}
		dst = n.Append(dst, 10)
	}
	if scale <= 0 {
		return dst
	}
	first := start
	if dst[start] == '-' {
		first++
	}
	if pad := scale + 1 - (len(dst) - first); pad > 0 {
		dst = slices.Insert(dst, first, bytes.Repeat([]byte{'0'}, pad)...)
	}
	dst = append(dst, 0)
	point := len(dst) - scale - 1
	copy(dst[point+1:], dst[point:])
	dst[point] = '.'
	return dst
}

// smallInt reads up to eight bytes of two's complement; none is zero.
func smallInt(raw string) int64 {
	if raw == "" {
		return 0
	}
	v := int64(int8(raw[0]))
	for i := 1; i < len(raw); i++ {
		v = v<<8 | int64(raw[i])
	}
	return v
}

// bigUint reads an unsigned number of up to 64 bits.
func bigUint(raw string) (uint64, bool) {
	if len(raw) == 9 && raw[0] == 0 {
		raw = raw[1:]
	} else if len(raw) > 8 || raw != "" && raw[0] >= 0x80 {
		return 0, false
	}
	var u uint64
	for i := 0; i < len(raw); i++ {
		u = u<<8 | uint64(raw[i])
	}
	return u, true
}
