package postgres

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/schemas"
)

// kinds is the one table of types: the base type's name in pg_type to the Kind
// whose storage a Value for it may have. A type that is not here is written and
// compared as the text that the server prints.
var kinds = map[string]schemas.Kind{
	"bool": schemas.KindBool, "int2": schemas.KindInt16, "int4": schemas.KindInt32, "int8": schemas.KindInt64, "oid": schemas.KindInt64,
	"float4": schemas.KindFloat32, "float8": schemas.KindFloat64, "numeric": schemas.KindDecimal, "money": schemas.KindNumeric,
	"text": schemas.KindText, "varchar": schemas.KindText, "bpchar": schemas.KindText, "char": schemas.KindText, "name": schemas.KindText,
	"bytea": schemas.KindBytes, "date": schemas.KindDate, "time": schemas.KindTime, "timestamp": schemas.KindTimestamp,
	"timestamptz": schemas.KindTimestampTZ, "timetz": schemas.KindTimeTZ, "interval": schemas.KindInterval,
	"bit": schemas.KindBits, "varbit": schemas.KindBits, "json": schemas.KindJSON, "jsonb": schemas.KindJSON, "uuid": schemas.KindUUID,
}

// facts are a column's entries in the catalog; typmod is the base type's.
type facts struct {
	name, typname, typtype, category    string
	typmod                              int32
	cast, native                        string
	deterministic, collatable, equality bool
}

// column is a column as a statement needs it.
type column struct {
	name, quoted string
	kind         schemas.Kind
	// cast is the base type without its length. An explicit cast to varchar(3)
	// cuts in silence; an assignment refuses.
	cast   string
	native string
	// scale is the number of digits after the point, or of a second; -1 when
	// nothing is lost. length is that of characters or bits, 0 when there is none.
	scale, length int
	// scaled is true where scale holds.
	scaled bool
	// form is how two values are compared.
	form comparison
}

// comparison is how a guard compares.
type comparison uint8

const (
	// compareEqual: the type's own operator tells all values apart that differ.
	compareEqual comparison = iota
	// compareBytes: texts under collation C.
	compareBytes
	// compareCitext is compareBytes for a type or a collation whose own operator
	// takes different texts for equal.
	compareCitext
	// compareText: as the server prints them; the type has no operator, or one that
	// takes 30 days for a month.
	compareText
)

func newColumn(f facts) *column {
	c := &column{name: f.name, quoted: pgx.Identifier{f.name}.Sanitize(), kind: kinds[f.typname], cast: f.cast, native: f.native}
	switch {
	case f.typtype == "e":
		c.kind = schemas.KindEnum
	case f.category == "A":
		c.kind, c.form = schemas.KindArray, compareText
	case f.typname == "interval" || f.typname == "citext":
		c.form = map[string]comparison{"interval": compareText, "citext": compareCitext}[f.typname]
	case f.collatable && f.deterministic:
		c.form = compareBytes
	case f.collatable:
		c.form = compareCitext
	case !f.equality && (f.typtype == "b" || f.typtype == "c"):
		c.form = compareText
	}
	if c.kind == schemas.KindInvalid {
		c.kind = schemas.KindText
	}
	c.bound(f)
	return c
}

func (c *column) bound(f facts) {
	switch f.typname {
	case "varchar", "bpchar":
		c.length = max(int(f.typmod)-4, 0)
	case "bit", "varbit":
		c.length = max(int(f.typmod), 0)
	case "name":
		c.length = 63
	case "char":
		c.length = 1
	case "numeric":
		if f.typmod >= 4 {
			c.scaled, c.scale = true, ((int(f.typmod)-4)&0x7ff^1024)-1024
		}
	case "time", "timestamp", "timestamptz":
		if f.typmod >= 0 {
			c.scaled, c.scale = true, int(f.typmod)
		}
	}
}

// value gives the text that the server reads; nil is NULL. An error says why
// the column cannot hold the value without a loss.
func (c *column) value(v schemas.Value) (*string, error) {
	s, err := c.text(v)
	if err != nil {
		return nil, fmt.Errorf("column %q (%s): %w", c.name, c.native, err)
	}
	return s, nil
}

func (c *column) text(v schemas.Value) (*string, error) {
	var s string
	var err error
	switch v.Storage() {
	case schemas.StoreNull:
		return nil, nil
	case schemas.StoreUnchanged:
		return nil, fmt.Errorf("the value is not known (an unchanged large value of the log)")
	case schemas.StoreInt:
		s, err = c.fromInt(v.Int())
	case schemas.StoreUint:
		s = strconv.FormatUint(v.Uint(), 10)
	case schemas.StoreFloat:
		s, err = c.fromFloat(v.Float())
	case schemas.StoreText:
		s, err = c.fromText(v.Text())
	case schemas.StoreBytes:
		s, err = c.fromBytes(v.Text())
	}
	return &s, err
}

func (c *column) fromInt(i int64) (string, error) {
	switch c.kind {
	case schemas.KindBool:
		return strconv.FormatBool(i != 0), nil
	case schemas.KindDate:
		return formatDate(i), nil
	case schemas.KindTime:
		if i < 0 || i > 24*3600*1e6 {
			return "", fmt.Errorf("%d µs is no time of a day", i)
		}
		return formatTime(i), c.fraction(i)
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		if i == schemas.InfinityPlus || i == schemas.InfinityMinus {
			return formatDate(i), nil
		}
		return c.formatTimestamp(i), c.fraction(i)
	}
	return strconv.FormatInt(i, 10), nil
}

// fraction refuses digits of a second that the column would round away.
func (c *column) fraction(us int64) error {
	if !c.scaled {
		return nil
	}
	unit := int64(math.Pow10(6 - c.scale))
	if us%unit != 0 {
		return fmt.Errorf("the fraction of %d µs does not fit into %d digits", us, c.scale)
	}
	return nil
}

func (c *column) fromFloat(f float64) (string, error) {
	switch {
	case math.IsInf(f, 1):
		return "Infinity", nil
	case math.IsInf(f, -1):
		return "-Infinity", nil
	case c.kind == schemas.KindFloat32 && math.Abs(f) > math.MaxFloat32:
		return "", fmt.Errorf("%g is out of its range", f)
	case c.kind == schemas.KindFloat32:
		return strconv.FormatFloat(f, 'g', -1, 32), nil
	case c.kind == schemas.KindFloat64:
		return strconv.FormatFloat(f, 'g', -1, 64), nil
	}
	return c.fromText(strconv.FormatFloat(f, 'f', -1, 64))
}

func (c *column) fromText(s string) (string, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return "", fmt.Errorf("the text holds a zero byte, which PostgreSQL cannot store")
	}
	switch c.kind {
	case schemas.KindText:
		if c.length > 0 && len(s) > c.length && utf8.RuneCountInString(s) > c.length {
			return "", fmt.Errorf("a text of %d characters is too long", utf8.RuneCountInString(s))
		}
	case schemas.KindDecimal:
		if c.scaled && !fits(s, c.scale) {
			return "", fmt.Errorf("%s has digits that scale %d does not hold", s, c.scale)
		}
	case schemas.KindBytes:
		return `\x` + hex.EncodeToString([]byte(s)), nil
	}
	return s, nil
}

// fits says that a decimal in plain notation has no digit but zero below scale.
func fits(s string, scale int) bool {
	whole, frac, _ := strings.Cut(s, ".")
	if scale >= 0 {
		return len(frac) <= scale || strings.Trim(frac[scale:], "0") == ""
	}
	whole = strings.TrimLeft(whole, "-+")
	low := whole[max(0, len(whole)+scale):]
	return strings.Trim(low, "0") == "" && strings.Trim(frac, "0") == ""
}

func (c *column) fromBytes(b string) (string, error) {
	switch c.kind {
	case schemas.KindBytes:
		return `\x` + hex.EncodeToString([]byte(b)), nil
	case schemas.KindBits:
		return c.bits(b)
	}
	if !utf8.ValidString(b) {
		return "", fmt.Errorf("bytes cannot be written into it")
	}
	return c.fromText(b)
}

func (c *column) bits(b string) (string, error) {
	var s strings.Builder
	for i := range len(b) {
		fmt.Fprintf(&s, "%08b", b[i])
	}
	out := s.String()
	if c.length == 0 || len(out) <= c.length {
		return out, nil
	}
	cut := len(out) - c.length
	if strings.Contains(out[:cut], "1") {
		return "", fmt.Errorf("%d bits are needed for 0x%x", len(strings.TrimLeft(out, "0")), b)
	}
	return out[cut:], nil
}

// formatDate writes days since 1970 as PostgreSQL reads them, years before
// Christ and beyond 9999 too.
func formatDate(days int64) string {
	switch days {
	case schemas.InfinityPlus:
		return "infinity"
	case schemas.InfinityMinus:
		return "-infinity"
	}
	return formatDay(days, "")
}

func formatDay(days int64, clock string) string {
	y, m, d := time.Unix(days*86400, 0).UTC().Date()
	if y <= 0 {
		return fmt.Sprintf("%04d-%02d-%02d%s BC", 1-y, m, d, clock)
	}
	return fmt.Sprintf("%04d-%02d-%02d%s", y, m, d, clock)
}

func formatTime(us int64) string {
	sec, frac := us/1e6, us%1e6
	s := fmt.Sprintf("%02d:%02d:%02d", sec/3600, sec/60%60, sec%60)
	if frac != 0 {
		s += fmt.Sprintf(".%06d", frac)
	}
	return s
}

func (c *column) formatTimestamp(us int64) string {
	const day = 86400 * 1e6
	days, rest := us/day, us%day
	if rest < 0 {
		days, rest = days-1, rest+day
	}
	zone := ""
	if c.kind == schemas.KindTimestampTZ {
		zone = "+00"
	}
	return formatDay(days, " "+formatTime(rest)+zone)
}

// parseKey reads the text of a generated key.
func (c *column) parseKey(s string) schemas.Value {
	switch c.kind {
	case schemas.KindInt16, schemas.KindInt32, schemas.KindInt64:
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return schemas.Int(i)
		}
	}
	return schemas.Text(s)
}
