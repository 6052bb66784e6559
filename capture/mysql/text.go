package mysql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// textColumn turns the text of a value in a query's result into the Value that
// the log would give for it.
type textColumn struct {
	typ     schemas.Type
	charset *charset
}

func newTextColumn(t schemas.Type, c *listedColumn) textColumn {
	return textColumn{typ: t, charset: c.declared.charset}
}

// expression is what to select. The text of a floating point number is cut to
// the digits of its declaration, or to six; a product of doubles is not.
func (c *textColumn) expression(name string) string {
	if c.typ.Kind == schemas.KindFloat32 || c.typ.Kind == schemas.KindFloat64 {
		return quote(name) + " * 1e0"
	}
	return quote(name)
}

func (c *textColumn) value(b []byte) (schemas.Value, error) {
	switch c.typ.Kind {
	case schemas.KindInt16, schemas.KindInt32, schemas.KindInt64, schemas.KindYear:
		i, err := strconv.ParseInt(string(b), 10, 64)
		return schemas.Int(i), err
	case schemas.KindUint64:
		u, err := strconv.ParseUint(string(b), 10, 64)
		return schemas.Uint(u), err
	case schemas.KindFloat32, schemas.KindFloat64:
		f, err := strconv.ParseFloat(string(b), 64)
		return schemas.Float(f), err
	case schemas.KindBool:
		return schemas.Int(int64(big(string(b)))), nil
	case schemas.KindBits, schemas.KindBytes:
		return schemas.Bytes(string(b)), nil
	case schemas.KindDecimal:
		return decimalText(string(b)), nil
	case schemas.KindDate:
		return c.date(string(b))
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		return c.datetime(string(b))
	case schemas.KindTime:
		return c.time(string(b))
	case schemas.KindUUID, schemas.KindJSON:
		return schemas.Text(string(b)), nil
	}
	if c.charset == nil { // inet4, inet6
		return schemas.Text(string(b)), nil
	}
	s, err := c.charset.text(string(b))
	return schemas.Text(s), err
}

// decimalText has no minus before a zero and no zeros in front (ZEROFILL).
func decimalText(s string) schemas.Value {
	negative := strings.HasPrefix(s, "-")
	s = strings.TrimLeft(s, "-0")
	if s == "" || s[0] == '.' {
		s = "0" + s
	}
	if negative && !isZero([]byte(s)) {
		s = "-" + s
	}
	return schemas.Text(s)
}

var errTemporal = fmt.Errorf("a date or time of unknown form")

// numbers reads runs of digits with one byte between them.
func numbers(s string, into ...*int) (string, error) {
	for i, p := range into {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		v, err := strconv.Atoi(s[:n])
		if err != nil {
			return "", errTemporal
		}
		*p = v
		if s = s[n:]; i < len(into)-1 {
			if s == "" {
				return "", errTemporal
			}
			s = s[1:]
		}
	}
	return s, nil
}

// fraction reads .5 or .500000 as microseconds.
func fraction(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	if s[0] != '.' || len(s) > 7 {
		return 0, errTemporal
	}
	us := 0
	for i := 1; i < 7; i++ {
		us *= 10
		if i < len(s) {
			if s[i] < '0' || s[i] > '9' {
				return 0, errTemporal
			}
			us += int(s[i] - '0')
		}
	}
	return us, nil
}

func (c *textColumn) date(s string) (schemas.Value, error) {
	var y, m, d int
	rest, err := numbers(s, &y, &m, &d)
	if err != nil || rest != "" {
		return schemas.Null, errTemporal
	}
	return dateValue(y, m, d), nil
}

func (c *textColumn) datetime(s string) (schemas.Value, error) {
	var y, mo, d, h, mi, sec int
	rest, err := numbers(s, &y, &mo, &d, &h, &mi, &sec)
	if err != nil {
		return schemas.Null, err
	}
	us, err := fraction(rest)
	return datetimeValue(y, mo, d, h, mi, sec, us), err
}

func (c *textColumn) time(s string) (schemas.Value, error) {
	negative := strings.HasPrefix(s, "-")
	var h, m, sec int
	rest, err := numbers(strings.TrimPrefix(s, "-"), &h, &m, &sec)
	if err != nil {
		return schemas.Null, err
	}
	us, err := fraction(rest)
	v := int64(h*3600+m*60+sec)*second + int64(us)
	if negative {
		v = -v
	}
	return schemas.Int(v), err
}
