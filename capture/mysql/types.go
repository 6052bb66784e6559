package mysql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// This file is the one table of types, for the snapshot and for the log.
//
//	tinyint, boolean                        int16     (unsigned: int16)
//	smallint                                int16     (unsigned: int32)
//	mediumint                               int32     (unsigned: int32)
//	int                                     int32     (unsigned: int64)
//	bigint                                  int64     (unsigned: uint64)
//	decimal(p,s), numeric                   decimal
//	float                                   float32   the value stored, not the six digits shown
//	double                                  float64
//	bit(1), bit(n)                          bool, bits
//	char, varchar, text of any length       text      UTF-8 whatever the character set
//	the same with character set binary      bytes
//	binary(n)                               bytes     always n bytes
//	varbinary, blob of any length           bytes
//	date                                    date
//	time(f)                                 time      -838:59:59 to 838:59:59
//	datetime(f), timestamp(f)               timestamp, timestamptz
//	year                                    year
//	enum, set                               enum, set
//	json (MySQL)                            json; MariaDB's json is a longtext: text
//	uuid, inet4, inet6 (MariaDB)            uuid, text, text
//
// Every other type (geometry, vector, xmltype …) is refused by name when it is met.
//
// Zero dates. 0000-00-00, a date with a zero month or day, and a day that its
// month does not have (all of which a lenient sql_mode allows) are no dates
// anywhere else: their Value is NULL, in columns that are NOT NULL too. So date,
// datetime and timestamp columns are always reported nullable; a NOT NULL one
// would otherwise have to become 1970 at the first such row.

// declared is a column's type as declared, whether information_schema or a
// TABLE_MAP event told it.
type declared struct {
	// base is the type's name without parentheses: int, varchar, longblob…
	base     string
	unsigned bool
	// precision and scale are those of a decimal; precision is the digits of a
	// fraction of a second.
	precision, scale int
	// length is characters of char and varchar, bytes of binary and varbinary,
	// bits of bit.
	length  int
	charset *charset
	labels  []string
	// native is the type as the server spells it.
	native string
}

// schemaType is the type in our own terms.
func (d declared) schemaType() (schemas.Type, error) {
	t := schemas.Type{Native: d.native}
	wider := func(signed, unsigned schemas.Kind) schemas.Kind {
		if d.unsigned {
			return unsigned
		}
		return signed
	}
	switch d.base {
	case "tinyint":
		t.Kind = schemas.KindInt16
	case "smallint":
		t.Kind = wider(schemas.KindInt16, schemas.KindInt32)
	case "mediumint":
		t.Kind = schemas.KindInt32
	case "int":
		t.Kind = wider(schemas.KindInt32, schemas.KindInt64)
	case "bigint":
		t.Kind = wider(schemas.KindInt64, schemas.KindUint64)
	case "decimal":
		t.Kind, t.Precision, t.Scale = schemas.KindDecimal, d.precision, d.scale
	case "float":
		t.Kind = schemas.KindFloat32
	case "double":
		t.Kind = schemas.KindFloat64
	case "bit":
		t.Kind, t.Length = schemas.KindBits, d.length
		if d.length == 1 {
			t.Kind = schemas.KindBool
		}
	case "date":
		t.Kind = schemas.KindDate
	case "time":
		t.Kind, t.Precision = schemas.KindTime, d.precision
	case "datetime":
		t.Kind, t.Precision = schemas.KindTimestamp, d.precision
	case "timestamp":
		t.Kind, t.Precision = schemas.KindTimestampTZ, d.precision
	case "year":
		t.Kind = schemas.KindYear
	case "json":
		t.Kind = schemas.KindJSON
	case "uuid":
		t.Kind = schemas.KindUUID
	case "inet4", "inet6":
		t.Kind = schemas.KindText
	case "enum", "set":
		t.Kind = schemas.KindEnum
		if d.base == "set" {
			t.Kind = schemas.KindSet
		}
		return d.labelled(t)
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext",
		"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return d.textual(t)
	default:
		return t, unsupported("type %s", d.native)
	}
	return t, nil
}

func (d declared) textual(t schemas.Type) (schemas.Type, error) {
	t.Length = d.length
	if d.charset.isBinary() {
		t.Kind = schemas.KindBytes
		return t, nil
	}
	t.Kind = schemas.KindText
	if !d.charset.readable() {
		return t, unsupported("type %s: character set %s is not known; convert the column: alter table … modify … character set utf8mb4", d.native, d.charset.name)
	}
	return t, nil
}

func (d declared) labelled(t schemas.Type) (schemas.Type, error) {
	if !d.charset.isBinary() && !d.charset.readable() {
		return t, unsupported("type %s: character set %s is not known; convert the column: alter table … modify … character set utf8mb4", d.native, d.charset.name)
	}
	t.Labels = d.labels
	return t, nil
}

// mayBeZero says that the type has values that are no dates.
func mayBeZero(k schemas.Kind) bool {
	return k == schemas.KindDate || k == schemas.KindTimestamp || k == schemas.KindTimestampTZ
}

// declaredOnWire is the declared type as far as a TABLE_MAP event tells it.
func declaredOnWire(c *wireColumn, cs *charsets) (declared, error) {
	d := declared{unsigned: c.unsigned}
	switch c.kind {
	case wireTiny:
		d.base = "tinyint"
	case wireShort:
		d.base = "smallint"
	case wireInt24:
		d.base = "mediumint"
	case wireLong:
		d.base = "int"
	case wireLongLong:
		d.base = "bigint"
	case wireFloat:
		d.base = "float"
	case wireDouble:
		d.base = "double"
	case wireNewDecimal:
		d.base, d.precision, d.scale = "decimal", c.precision, c.scale
	case wireBit:
		d.base, d.length = "bit", c.meta
	case wireYear:
		d.base = "year"
	case wireDate, wireNewDate:
		d.base = "date"
	case wireTime, wireTime2:
		d.base, d.precision = "time", c.meta
	case wireDatetime, wireDatetime2:
		d.base, d.precision = "datetime", c.meta
	case wireTimestamp, wireTimestamp2:
		d.base, d.precision = "timestamp", c.meta
	case wireJSON:
		d.base = "json"
	case wireEnum:
		d.base = "enum"
	case wireSet:
		d.base = "set"
	case wireString, wireVarchar, wireVarString, wireVarcharCompressed, wireBlob, wireBlobCompressed:
		return d.onWireText(c, cs)
	case wireGeometry:
		d.native = "geometry"
	case wireVector:
		d.native = "vector"
	default:
		d.native = fmt.Sprintf("number %d of the wire protocol", c.kind)
	}
	if c.enumOrSet() {
		return d.onWireLabels(c, cs)
	}
	d.spell()
	return d, nil
}

var blobNames = [5][2]string{1: {"tinyblob", "tinytext"}, 2: {"blob", "text"}, 3: {"mediumblob", "mediumtext"}, 4: {"longblob", "longtext"}}

func (d declared) onWireText(c *wireColumn, cs *charsets) (declared, error) {
	d.charset = cs.byCollation[c.collation]
	if d.charset == nil {
		return d, unsupported("column %s: collation %d", c.name, c.collation)
	}
	binary := d.charset.isBinary()
	switch c.kind {
	case wireBlob, wireBlobCompressed:
		if c.meta < 1 || c.meta > 4 {
			return d, errShort("table map event")
		}
		d.base = blobNames[c.meta][1]
		if binary {
			d.base = blobNames[c.meta][0]
		}
	default:
		d.base = "varchar"
		if c.kind == wireString {
			d.base = "char"
		}
		if binary {
			d.base = map[string]string{"varchar": "varbinary", "char": "binary"}[d.base]
		}
		d.length = c.meta / d.charset.maxLen
		if c.kind == wireVarcharCompressed {
			d.length = (c.meta - 1) / d.charset.maxLen // less the byte with the method
		}
	}
	d.spell()
	return d, nil
}

func (d declared) onWireLabels(c *wireColumn, cs *charsets) (declared, error) {
	d.charset = cs.byCollation[c.collation]
	if d.charset == nil {
		return d, unsupported("column %s: collation %d", c.name, c.collation)
	}
	d.labels = make([]string, len(c.labels))
	for i, l := range c.labels {
		text, err := d.charset.text(l)
		if err != nil {
			return d, err
		}
		d.labels[i] = text
	}
	d.spell()
	return d, nil
}

// spell writes the type as the server would, where the server does not say.
func (d *declared) spell() {
	switch {
	case d.native != "":
	case d.base == "decimal":
		d.native = fmt.Sprintf("decimal(%d,%d)", d.precision, d.scale)
	case d.base == "enum" || d.base == "set":
		quoted := make([]string, len(d.labels))
		for i, l := range d.labels {
			quoted[i] = "'" + strings.ReplaceAll(l, "'", "''") + "'"
		}
		d.native = d.base + "(" + strings.Join(quoted, ",") + ")"
	case d.length > 0:
		d.native = d.base + "(" + strconv.Itoa(d.length) + ")"
	case d.precision > 0:
		d.native = d.base + "(" + strconv.Itoa(d.precision) + ")"
	default:
		d.native = d.base
	}
	if d.unsigned && d.base != "year" && !strings.HasSuffix(d.native, "unsigned") {
		d.native += " unsigned"
	}
}
