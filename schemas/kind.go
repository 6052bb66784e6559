package schemas

import "fmt"

// Kind is the type of a column in terms that all systems share. How a Kind is
// held in a Value is fixed here and nowhere else.
type Kind uint8

// The kinds, each with the storage of its Value.
const (
	// KindInvalid is the zero Kind: no column has it.
	KindInvalid Kind = iota
	// KindBool is held as Int 0 or 1.
	KindBool
	// KindInt16 is held as Int.
	KindInt16
	// KindInt32 is held as Int.
	KindInt32
	// KindInt64 is held as Int.
	KindInt64
	// KindUint64 is an unsigned 64-bit integer, held as Uint.
	KindUint64
	// KindFloat32 is held as Float.
	KindFloat32
	// KindFloat64 is held as Float.
	KindFloat64
	// KindDecimal is held as Text: plain notation, exactly Scale digits after the
	// point, no exponent, no plus sign, no negative zero; or NaN, Infinity,
	// -Infinity (PostgreSQL only).
	KindDecimal
	// KindNumeric is a decimal without declared scale, held as Text with the
	// digits the server shows.
	KindNumeric
	// KindText is held as Text, UTF-8 whatever the column's charset.
	KindText
	// KindBytes is held as Bytes.
	KindBytes
	// KindDate is held as Int: days since 1970-01-01.
	KindDate
	// KindTime is held as Int: microseconds since midnight. MySQL's TIME may be
	// negative and beyond 24 hours.
	KindTime
	// KindTimestamp has no zone. Held as Int: microseconds since 1970-01-01
	// 00:00 on the wall clock it was written with.
	KindTimestamp
	// KindTimestampTZ is an instant, held as Int: microseconds since the Unix epoch.
	KindTimestampTZ
	// KindTimeTZ is held as Text as the server prints it.
	KindTimeTZ
	// KindInterval is held as Text, ISO 8601 (P1Y2M3DT4H5M6.5S).
	KindInterval
	// KindYear is held as Int.
	KindYear
	// KindBits is held as Bytes, big-endian, left-padded to whole bytes, as many
	// bits as Length. A bit(1) of MySQL is KindBool.
	KindBits
	// KindEnum is held as Text, the label.
	KindEnum
	// KindSet is held as Text, labels joined by commas in declared order.
	KindSet
	// KindJSON is held as Text as the server prints it.
	KindJSON
	// KindUUID is held as Text, lower case with dashes.
	KindUUID
	// KindArray is held as Text: PostgreSQL's array literal as the server prints
	// it. Elem says what is inside.
	KindArray
)

var kindNames = [...]string{"invalid", "bool", "int16", "int32", "int64", "uint64", "float32", "float64", "decimal", "numeric", "text", "bytes",
	"date", "time", "timestamp", "timestamptz", "timetz", "interval", "year", "bits", "enum", "set", "json", "uuid", "array"}

// String is the name of the kind as it appears in docs and messages.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Infinite dates and instants of PostgreSQL, for KindDate, KindTimestamp and
// KindTimestampTZ.
const (
	InfinityPlus  int64 = 1<<63 - 1
	InfinityMinus int64 = -1 << 63
)

// Type is a column's type.
type Type struct {
	Kind Kind
	// Precision is the number of digits of a KindDecimal, or of fractional
	// seconds (0 to 6) of the time kinds.
	Precision int
	// Scale is the number of digits after the point of a KindDecimal.
	Scale int
	// Length is the declared length: characters of KindText, bytes of KindBytes,
	// bits of KindBits; 0 when there is none.
	Length int
	// Elem is the type inside a KindArray.
	Elem *Type
	// Labels are those of KindEnum and KindSet, in declared order.
	Labels []string
	// Native is the type as the server spells it, for messages and casts.
	Native string
}
