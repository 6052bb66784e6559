package mysql

import (
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/strait-cdc/strait/schemas"
)

// kinds is the one table of types: the column's data_type to the Kind whose
// storage a Value for it may have. A type that is not here is written as
// text and compared by its own operator.
var kinds = map[string]schemas.Kind{
	"tinyint": schemas.KindInt16, "smallint": schemas.KindInt16, "mediumint": schemas.KindInt32, "int": schemas.KindInt32, "bigint": schemas.KindInt64,
	"float": schemas.KindFloat32, "double": schemas.KindFloat64, "decimal": schemas.KindDecimal,
	"char": schemas.KindText, "varchar": schemas.KindText, "tinytext": schemas.KindText, "text": schemas.KindText, "mediumtext": schemas.KindText, "longtext": schemas.KindText,
	"binary": schemas.KindBytes, "varbinary": schemas.KindBytes, "tinyblob": schemas.KindBytes, "blob": schemas.KindBytes, "mediumblob": schemas.KindBytes, "longblob": schemas.KindBytes,
	"geometry": schemas.KindBytes, "point": schemas.KindBytes, "linestring": schemas.KindBytes, "polygon": schemas.KindBytes, "multipoint": schemas.KindBytes,
	"multilinestring": schemas.KindBytes, "multipolygon": schemas.KindBytes, "geomcollection": schemas.KindBytes, "geometrycollection": schemas.KindBytes, "vector": schemas.KindBytes,
	"date": schemas.KindDate, "time": schemas.KindTime, "datetime": schemas.KindTimestamp, "timestamp": schemas.KindTimestampTZ, "year": schemas.KindYear,
	"bit": schemas.KindBits, "enum": schemas.KindEnum, "set": schemas.KindSet, "json": schemas.KindJSON, "uuid": schemas.KindUUID,
}

// facts are a column's entry in the catalog.
type facts struct {
	name, dataType, columnType string
	nullable, auto             bool
	length                     uint64
	scale, precision           int
}

// column is a column as a statement needs it.
type column struct {
	name, quoted   string
	kind           schemas.Kind
	native         string
	nullable, auto bool
	// unsigned holds for integers.
	unsigned bool
	// length is that of char and varchar in characters, of binary in bytes; 0 where
	// nothing is cut or padded.
	length int
	// scale is the number of digits after the point or of a second.
	scale int
}

func newColumn(f facts) *column {
	dataType := strings.ToLower(f.dataType)
	c := &column{name: f.name, quoted: identifier(f.name), kind: kinds[dataType], native: f.columnType, nullable: f.nullable, auto: f.auto}
	c.unsigned = strings.Contains(f.columnType, "unsigned")
	switch dataType {
	case "char", "varchar", "binary":
		c.length = int(f.length)
	case "decimal":
		c.scale = f.scale
	case "time", "datetime", "timestamp":
		c.scale = f.precision
	}
	if c.kind == schemas.KindInvalid { // inet6 and the like
		c.kind = schemas.KindUUID
	}
	return c
}

// isText says that the column holds characters, so that its own operator may
// take different texts for equal.
func (c *column) isText() bool {
	return c.kind == schemas.KindText || c.kind == schemas.KindEnum || c.kind == schemas.KindSet
}

// isDay says that the column can hold a zero date, which a Value holds as NULL.
func (c *column) isDay() bool {
	return c.kind == schemas.KindDate || c.kind == schemas.KindTimestamp || c.kind == schemas.KindTimestampTZ
}

// literal writes a value as SQL. An error says why the column cannot hold it
// without a loss.
func (c *column) literal(v schemas.Value) (string, error) {
	s, err := c.write(v)
	if err != nil {
		return "", fmt.Errorf("column %q (%s): %w", c.name, c.native, err)
	}
	return s, nil
}

func (c *column) write(v schemas.Value) (string, error) {
	switch v.Storage() {
	case schemas.StoreNull:
		if c.isDay() && !c.nullable {
			return quote(zeroDay[c.kind]), nil
		}
		return "null", nil
	case schemas.StoreInt:
		return c.fromInt(v.Int())
	case schemas.StoreUint:
		return c.fromDigits(strconv.FormatUint(v.Uint(), 10)), nil
	case schemas.StoreFloat:
		return c.fromFloat(v.Float())
	case schemas.StoreText:
		return c.fromText(v.Text())
	case schemas.StoreBytes:
		return c.fromBytes(v.Text())
	}
	return "", fmt.Errorf("the value is not known (an unchanged large value of the log)")
}

var zeroDay = map[schemas.Kind]string{
	schemas.KindDate: "0000-00-00", schemas.KindTimestamp: "0000-00-00 00:00:00", schemas.KindTimestampTZ: "0000-00-00 00:00:00",
}

// fromDigits writes a number: bare where the column is one, as text elsewhere. A
// number in quotes would be compared as a float.
func (c *column) fromDigits(s string) string {
	switch c.kind {
	case schemas.KindInt16, schemas.KindInt32, schemas.KindInt64, schemas.KindDecimal, schemas.KindBits, schemas.KindFloat32, schemas.KindFloat64:
		return s
	}
	return quote(s)
}

func (c *column) fromInt(i int64) (string, error) {
	switch c.kind {
	case schemas.KindDate:
		return formatDay(i)
	case schemas.KindTime:
		return quote(formatTime(i)), c.fraction(i)
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		if err := c.fraction(i); err != nil {
			return "", err
		}
		return formatTimestamp(i)
	case schemas.KindYear:
		return fmt.Sprintf("'%04d'", i), nil
	}
	return c.fromDigits(strconv.FormatInt(i, 10)), nil
}

// fraction refuses digits of a second that the column would round away.
func (c *column) fraction(us int64) error {
	if us%int64(math.Pow10(6-min(c.scale, 6))) != 0 {
		return fmt.Errorf("the fraction of %d µs does not fit into %d digits", us, c.scale)
	}
	return nil
}

// fromFloat writes the exact number that the column holds: a float is widened
// by the server to compare it, so it is written with the digits of a double.
func (c *column) fromFloat(f float64) (string, error) {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "", fmt.Errorf("MySQL has no %v", f)
	case c.kind == schemas.KindFloat32:
		return strconv.FormatFloat(float64(float32(f)), 'e', -1, 64), nil
	case c.kind == schemas.KindFloat64:
		return strconv.FormatFloat(f, 'e', -1, 64), nil
	}
	return c.fromText(strconv.FormatFloat(f, 'f', -1, 64))
}

var plainNumber = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

func (c *column) fromText(s string) (string, error) {
	switch c.kind {
	case schemas.KindText:
		if n := utf8.RuneCountInString(s); c.length > 0 && n > c.length {
			return "", fmt.Errorf("a text of %d characters is too long", n)
		}
	case schemas.KindDecimal:
		if !plainNumber.MatchString(s) {
			return "", fmt.Errorf("%s is no decimal number", quote(s))
		}
		if _, frac, _ := strings.Cut(s, "."); len(frac) > c.scale && strings.Trim(frac[c.scale:], "0") != "" {
			return "", fmt.Errorf("%s has digits that scale %d does not hold", s, c.scale)
		}
		return s, nil
	case schemas.KindInt16, schemas.KindInt32, schemas.KindInt64, schemas.KindBits: // 1.5 would be rounded
		if strings.Contains(s, ".") {
			return "", fmt.Errorf("%s is no whole number", quote(s))
		}
	case schemas.KindBytes:
		return c.fromBytes(s)
	}
	if plainNumber.MatchString(s) {
		return c.fromDigits(s), nil
	}
	return quote(s), nil
}

func (c *column) fromBytes(b string) (string, error) {
	switch c.kind {
	case schemas.KindBytes:
		if c.length > len(b) { // binary(n)
			b += strings.Repeat("\x00", c.length-len(b))
		}
		return "x'" + hex.EncodeToString([]byte(b)) + "'", nil
	case schemas.KindBits:
		b = strings.TrimLeft(b, "\x00")
		if len(b) > 8 {
			return "", fmt.Errorf("0x%x has more than 64 bits", b)
		}
		var n uint64
		for i := range len(b) {
			n = n<<8 | uint64(b[i])
		}
		return strconv.FormatUint(n, 10), nil
	}
	if !utf8.ValidString(b) {
		return "", fmt.Errorf("bytes cannot be written into it")
	}
	return c.fromText(b)
}

const microsPerDay = 86400 * 1e6

func formatDay(days int64) (string, error) {
	s, err := day(days)
	return quote(s), err
}

func day(days int64) (string, error) {
	if days < -719528 || days > 2932896 { // 0000-01-01 to 9999-12-31
		return "", fmt.Errorf("the date is infinite or outside the years 0 to 9999")
	}
	return time.Unix(days*86400, 0).UTC().Format(time.DateOnly), nil
}

func formatTime(us int64) string {
	sign := ""
	if us < 0 {
		sign, us = "-", -us
	}
	s := us / 1e6
	return fmt.Sprintf("%s%02d:%02d:%02d.%06d", sign, s/3600, s/60%60, s%60, us%1e6)
}

func formatTimestamp(us int64) (string, error) {
	days, rest := us/microsPerDay, us%microsPerDay
	if rest < 0 {
		days, rest = days-1, rest+microsPerDay
	}
	d, err := day(days)
	return quote(d + " " + formatTime(rest)), err
}

// quote writes a text literal of the connection's charset, utf8mb4; the session
// never has NO_BACKSLASH_ESCAPES or ANSI_QUOTES.
func quote(s string) string { return "'" + escaper.Replace(s) + "'" }

var escaper = strings.NewReplacer("\x00", `\0`, "\n", `\n`, "\r", `\r`, "\x1a", `\Z`, `"`, `\"`, `'`, `\'`, `\`, `\\`)
