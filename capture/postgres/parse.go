package postgres

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"github.com/strait-cdc/strait/schemas"
)

func parseText(a *arena, b []byte) (schemas.Value, error) { return schemas.Text(a.string(b)), nil }

func parseBool(_ *arena, b []byte) (schemas.Value, error) {
	if len(b) != 1 || b[0] != 't' && b[0] != 'f' {
		return schemas.Null, fmt.Errorf("%q is not a boolean", b)
	}
	return schemas.Bool(b[0] == 't'), nil
}

func parseInt(_ *arena, b []byte) (schemas.Value, error) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		// The rare ones, with a check for overflow.
		i, err := strconv.ParseInt(string(b), 10, 64)
		return schemas.Int(i), err
	}
	var n int64
	for _, d := range digits {
		if d -= '0'; d > 9 {
			return schemas.Null, fmt.Errorf("%q is not an integer", b)
		}
		n = n*10 + int64(d)
	}
	if len(digits) != len(b) {
		n = -n
	}
	return schemas.Int(n), nil
}

func parseFloat32(_ *arena, b []byte) (schemas.Value, error) {
	f, err := strconv.ParseFloat(string(b), 32)
	return schemas.Float(f), err
}

func parseFloat64(_ *arena, b []byte) (schemas.Value, error) {
	f, err := strconv.ParseFloat(string(b), 64)
	return schemas.Float(f), err
}

func parseBytes(a *arena, b []byte) (schemas.Value, error) {
	if len(b) < 2 || b[0] != '\\' || b[1] != 'x' {
		return schemas.Null, fmt.Errorf("bytes that are not in hex")
	}
	dst := a.scratch(hex.DecodedLen(len(b) - 2))
	if _, err := hex.Decode(dst, b[2:]); err != nil {
		return schemas.Null, err
	}
	return schemas.Bytes(a.string(dst)), nil
}

// parseBits packs the digits so that the last one is the lowest bit of the last
// byte.
func parseBits(a *arena, b []byte) (schemas.Value, error) {
	dst := a.scratch((len(b) + 7) / 8)
	clear(dst)
	for i := range b {
		d := b[len(b)-1-i]
		if d != '0' && d != '1' {
			return schemas.Null, fmt.Errorf("%q is not a bit string", b)
		}
		dst[len(dst)-1-i/8] |= (d - '0') << (i % 8)
	}
	return schemas.Bytes(a.string(dst)), nil
}

// parseMoney reads the form of the locale C, -$1,234.56, which has two digits
// behind the point whatever the currency.
func parseMoney(a *arena, b []byte, scale int) (schemas.Value, error) {
	out := a.scratch(len(b) + scale + 2)[:0]
	if len(b) > 0 && b[0] == '-' {
		out = append(out, '-')
	}
	sign := len(out)
	for _, c := range b {
		if c >= '0' && c <= '9' && (c != '0' || len(out) > sign) {
			out = append(out, c)
		}
	}
	for len(out)-sign <= scale {
		out = append(out, 0)
		copy(out[sign+1:], out[sign:])
		out[sign] = '0'
	}
	if scale > 0 {
		point := len(out) - scale
		out = append(out, 0)
		copy(out[point+1:], out[point:])
		out[point] = '.'
	}
	return schemas.Text(a.string(out)), nil
}

// clock reads digits and marks from the front of a text.
type clock struct {
	b   []byte
	bad bool
}

// digits reads a number; n is how many digits there must be, 0 for any.
func (c *clock) digits(n int) int64 {
	var v int64
	i := 0
	for i < len(c.b) && c.b[i] >= '0' && c.b[i] <= '9' && (n == 0 || i < n) && i < 10 {
		v = v*10 + int64(c.b[i]-'0')
		i++
	}
	if i == 0 || n > 0 && i != n {
		c.bad = true
	}
	c.b = c.b[i:]
	return v
}

func (c *clock) mark(m byte) {
	if len(c.b) == 0 || c.b[0] != m {
		c.bad = true
		return
	}
	c.b = c.b[1:]
}

// date reads YYYY-MM-DD, with more digits in the year if need be.
func (c *clock) date() (y, m, d int64) {
	y = c.digits(0)
	c.mark('-')
	m = c.digits(2)
	c.mark('-')
	d = c.digits(2)
	return y, m, d
}

// time reads HH:MM:SS.ffffff as microseconds.
func (c *clock) time() int64 {
	h := c.digits(2)
	c.mark(':')
	m := c.digits(2)
	c.mark(':')
	us := ((h*60+m)*60 + c.digits(2)) * 1e6
	if len(c.b) > 0 && c.b[0] == '.' {
		c.b = c.b[1:]
		unit := int64(100_000)
		for len(c.b) > 0 && c.b[0] >= '0' && c.b[0] <= '9' {
			us += int64(c.b[0]-'0') * unit
			unit /= 10
			c.b = c.b[1:]
		}
	}
	return us
}

// era reads the end of a date: nothing, or BC.
func (c *clock) era(y int64) int64 {
	if string(c.b) == " BC" {
		c.b = nil
		return 1 - y
	}
	if len(c.b) != 0 {
		c.bad = true
	}
	return y
}

func infinite(b []byte) (schemas.Value, bool) {
	switch string(b) {
	case "infinity":
		return schemas.Int(schemas.InfinityPlus), true
	case "-infinity":
		return schemas.Int(schemas.InfinityMinus), true
	}
	return schemas.Null, false
}

func parseDate(_ *arena, b []byte) (schemas.Value, error) {
	if v, ok := infinite(b); ok {
		return v, nil
	}
	c := clock{b: b}
	y, m, d := c.date()
	y = c.era(y)
	if c.bad {
		return schemas.Null, fmt.Errorf("%q is not a date", b)
	}
	return schemas.Int(days(y, m, d)), nil
}

func parseTime(_ *arena, b []byte) (schemas.Value, error) {
	c := clock{b: b}
	us := c.time()
	if c.bad || len(c.b) != 0 {
		return schemas.Null, fmt.Errorf("%q is not a time", b)
	}
	return schemas.Int(us), nil
}

// parseTimestamp reads both kinds of timestamp: the session's zone is UTC, so
// the zone is always +00.
func parseTimestamp(_ *arena, b []byte) (schemas.Value, error) {
	if v, ok := infinite(b); ok {
		return v, nil
	}
	c := clock{b: b}
	y, m, d := c.date()
	c.mark(' ')
	us := c.time()
	if len(c.b) >= 3 && string(c.b[:3]) == "+00" {
		c.b = c.b[3:]
	}
	y = c.era(y)
	if c.bad {
		return schemas.Null, fmt.Errorf("%q is not a timestamp", b)
	}
	const day = 86400_000_000
	n := days(y, m, d)
	if n > (math.MaxInt64-day)/day {
		return schemas.Int(schemas.InfinityPlus - 1), nil
	}
	return schemas.Int(n*day + us), nil
}

// days counts from 1970-01-01 in the calendar that goes on for ever both ways;
// year 0 is 1 BC. The year is taken to begin in March, so that the leap day is
// its last.
func days(y, m, d int64) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yearOfEra := y - era*400
	dayOfYear := (153*(m-3)+2)/5 + d - 1
	const untilEpoch = 719468 // from 0000-03-01 to 1970-01-01
	return era*146097 + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear - untilEpoch
}
