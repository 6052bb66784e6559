package avro

import (
	"slices"
	"strings"

	"github.com/linkedin/goavro/v2"

	"github.com/strait-cdc/strait/schemas"
)

// form is how a value stands in the Avro bytes. A Kind has one form, except the
// times, whose form depends on the precision.
type form uint8

const (
	formBool       form = iota + 1
	formInt             // int16, int32, year
	formLong            // int64
	formFloat           // float32
	formDouble          // float64
	formString          // text and everything that is one already
	formBytes           // byte strings
	formDecimal         // unscaled two's complement, big-endian
	formUint            // the same of an unsigned integer
	formNumeric         // a record of scale and unscaled bytes
	formDate            // days
	formTimeMilli       // int, milliseconds
	formTimeMicro       // long, microseconds
	formStampMilli      // long, milliseconds
	formStampMicro      // long, microseconds
	formZoned           // an instant as ISO 8601 text
	formZonedTime       // a time with offset as ISO 8601 text
	formBits            // little-endian bits
	formArray           // array of optional items
	formForeign         // anything else, through goavro
)

// shape says how values of one column are written and read.
type shape struct {
	form form
	typ  schemas.Type
	// store is the storage that a value of the type must have.
	store schemas.Storage
	// item is the shape of the items of formArray.
	item *shape
	// nullable shapes stand in a union; nullBranch is 0 or 1, the place of null.
	nullable   bool
	nullBranch byte
	// trim drops zero bytes at the end of bits, as Debezium does for PostgreSQL.
	trim bool
	// digits bounds the digits of a decimal; 0: no bound.
	digits int
	// codec reads formForeign.
	codec *goavro.Codec
}

// shapeFor is the shape of a column of a connector.
func shapeFor(t schemas.Type, nullable bool, connector string) *shape {
	s := &shape{typ: t, nullable: nullable, store: schemas.StoreInt}
	switch t.Kind {
	case schemas.KindBool:
		s.form = formBool
	case schemas.KindInt16, schemas.KindInt32, schemas.KindYear:
		s.form = formInt
	case schemas.KindInt64:
		s.form = formLong
	case schemas.KindUint64:
		s.form, s.store = formUint, schemas.StoreUint
	case schemas.KindFloat32:
		s.form, s.store = formFloat, schemas.StoreFloat
	case schemas.KindFloat64:
		s.form, s.store = formDouble, schemas.StoreFloat
	case schemas.KindDecimal:
		s.form, s.store, s.digits = formDecimal, schemas.StoreText, t.Precision
		if t.Scale < 0 {
			s.digits = t.Precision - t.Scale
		}
	case schemas.KindNumeric:
		s.form, s.store = formNumeric, schemas.StoreText
	case schemas.KindBytes:
		s.form, s.store = formBytes, schemas.StoreBytes
	case schemas.KindBits:
		s.form, s.store, s.trim = formBits, schemas.StoreBytes, connector == PostgreSQL
	case schemas.KindDate:
		s.form = formDate
	case schemas.KindTime:
		s.form = formTimeMicro
		if connector == PostgreSQL && t.Precision <= 3 {
			s.form = formTimeMilli
		}
	case schemas.KindTimestamp:
		s.form = formStampMicro
		if t.Precision <= 3 {
			s.form = formStampMilli
		}
	case schemas.KindTimestampTZ:
		s.form = formZoned
	case schemas.KindTimeTZ:
		s.form, s.store = formZonedTime, schemas.StoreText
	case schemas.KindArray:
		s.form, s.store = formArray, schemas.StoreText
		elem := schemas.Type{Kind: schemas.KindText}
		if t.Elem != nil && t.Elem.Kind != schemas.KindArray && t.Elem.Kind != schemas.KindInvalid {
			elem = *t.Elem
		}
		s.item = shapeFor(elem, true, connector)
	case schemas.KindText, schemas.KindEnum, schemas.KindSet, schemas.KindJSON, schemas.KindUUID, schemas.KindInterval:
		s.form, s.store = formString, schemas.StoreText
	default:
		return nil
	}
	return s
}

// placeholders says that an unchanged value can stand as Debezium's placeholder.
func (s *shape) placeholders() bool {
	switch s.form {
	case formString:
		return s.typ.Kind == schemas.KindText || s.typ.Kind == schemas.KindJSON
	case formBytes:
		return true
	case formArray:
		return s.item.form == formString && s.item.placeholders()
	}
	return false
}

// joinLabels joins the labels of an enum or set the way Debezium does: MySQL's and
// MariaDB's with a comma inside a label escaped, PostgreSQL's as they are.
func joinLabels(labels []string, connector string) string {
	if connector == PostgreSQL {
		return strings.Join(labels, ",")
	}
	out := make([]string, len(labels))
	for i, l := range labels {
		out[i] = strings.ReplaceAll(l, ",", `\,`)
	}
	return strings.Join(out, ",")
}

// splitLabels reads an allowed list; a comma after a backslash is part of a label.
func splitLabels(s string) []string {
	var out []string
	var label []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == ',':
			label = append(label, ',')
			i++
		case s[i] == ',':
			out = append(out, string(label))
			label = label[:0]
		default:
			label = append(label, s[i])
		}
	}
	return append(out, string(label))
}

// needLabels says that the allowed list alone would not give the labels back.
func needLabels(labels []string, connector string) bool {
	return !slices.Equal(splitLabels(joinLabels(labels, connector)), labels)
}
