package mysql

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net/netip"

	"github.com/strait-cdc/strait/schemas"
)

// fieldOp is how a column of a row in the log is read.
type fieldOp uint8

const (
	opInt8 fieldOp = iota
	opUint8
	opInt16
	opUint16
	opInt24
	opUint24
	opInt32
	opUint32
	opInt64
	opUint64
	opFloat
	opDouble
	opDecimal
	opBool
	opBits
	opYear
	opDate
	opTime
	opTime2
	opDatetime
	opDatetime2
	opTimestamp
	opTimestamp2
	opEnum
	opSet
	opText
	opBytes
	opFixedBytes
	opJSON
	opUUID
	opINET4
	opINET6
)

// field is one column of a row in the log.
type field struct {
	op fieldOp
	// prefix is the bytes of the length in front of a string or blob.
	prefix int
	// size is the bytes of a value of fixed size, and the full length of a binary
	// column or of one of MariaDB's types of fixed size.
	size int
	// fraction is the digits of a fraction of a second; precision and scale are
	// those of a decimal.
	fraction, precision, scale int
	charset                    *charset
	labels                     []string
	// compressed says that the value is packed (MariaDB's COMPRESSED columns).
	compressed bool
	// hidden says that the value is not part of the Row.
	hidden bool
}

// newField compiles a column of a TABLE_MAP event.
func newField(c *wireColumn, d declared) (field, error) {
	pick := func(signed, unsigned fieldOp) field {
		if c.unsigned {
			return field{op: unsigned}
		}
		return field{op: signed}
	}
	switch c.kind {
	case wireTiny:
		return pick(opInt8, opUint8), nil
	case wireShort:
		return pick(opInt16, opUint16), nil
	case wireInt24:
		return pick(opInt24, opUint24), nil
	case wireLong:
		return pick(opInt32, opUint32), nil
	case wireLongLong:
		return pick(opInt64, opUint64), nil
	case wireFloat:
		return field{op: opFloat}, nil
	case wireDouble:
		return field{op: opDouble}, nil
	case wireNewDecimal:
		return field{op: opDecimal, precision: c.precision, scale: c.scale, size: decimalSize(c.precision, c.scale)}, nil
	case wireBit:
		if c.meta == 1 {
			return field{op: opBool, size: 1}, nil
		}
		return field{op: opBits, size: (c.meta + 7) / 8}, nil
	case wireYear:
		return field{op: opYear}, nil
	case wireDate, wireNewDate:
		return field{op: opDate}, nil
	case wireTime:
		return field{op: opTime}, nil
	case wireDatetime:
		return field{op: opDatetime}, nil
	case wireTimestamp:
		return field{op: opTimestamp}, nil
	case wireTime2:
		return field{op: opTime2, fraction: c.meta}, nil
	case wireDatetime2:
		return field{op: opDatetime2, fraction: c.meta}, nil
	case wireTimestamp2:
		return field{op: opTimestamp2, fraction: c.meta}, nil
	case wireEnum:
		return field{op: opEnum, size: c.meta, labels: d.labels}, nil
	case wireSet:
		return field{op: opSet, size: c.meta, labels: d.labels}, nil
	case wireJSON:
		return field{op: opJSON, prefix: c.meta}, nil
	}
	return newStringField(c, d)
}

func newStringField(c *wireColumn, d declared) (field, error) {
	f := field{op: opText, charset: d.charset}
	if d.charset.isBinary() {
		f.op = opBytes
	}
	switch c.kind {
	case wireBlob, wireBlobCompressed:
		f.prefix = c.meta
		f.compressed = c.kind == wireBlobCompressed
	case wireString, wireVarchar, wireVarString, wireVarcharCompressed:
		f.prefix = 1
		if c.meta > 255 {
			f.prefix = 2
		}
		f.compressed = c.kind == wireVarcharCompressed
		if c.kind == wireString && f.op == opBytes {
			f.op, f.size = opFixedBytes, c.meta
		}
	default:
		return f, unsupported("type %s", d.native)
	}
	return f, nil
}

// read takes the column's value off the front of b.
func (f *field) read(b string) (schemas.Value, string, error) {
	if f.prefix > 0 || f.op >= opUUID {
		return f.readString(b)
	}
	n := f.fixedSize()
	if len(b) < n {
		return schemas.Null, "", errShort("row")
	}
	v, err := f.readFixed(b[:n])
	return v, b[n:], err
}

// fixedSize is the bytes of a value whose size the column fixes.
func (f *field) fixedSize() int {
	switch f.op {
	case opInt8, opUint8, opYear:
		return 1
	case opInt16, opUint16:
		return 2
	case opInt24, opUint24, opDate, opTime:
		return 3
	case opInt32, opUint32, opFloat, opTimestamp:
		return 4
	case opInt64, opUint64, opDouble, opDatetime:
		return 8
	case opTime2:
		return 3 + (f.fraction+1)/2
	case opDatetime2:
		return 5 + (f.fraction+1)/2
	case opTimestamp2:
		return 4 + (f.fraction+1)/2
	}
	return f.size
}

func (f *field) readFixed(b string) (schemas.Value, error) {
	switch f.op {
	case opInt8:
		return schemas.Int(int64(int8(b[0]))), nil
	case opUint8:
		return schemas.Int(int64(b[0])), nil
	case opInt16:
		return schemas.Int(int64(int16(little(b)))), nil
	case opInt24:
		return schemas.Int(int64(int32(little(b)<<8)) >> 8), nil
	case opInt32:
		return schemas.Int(int64(int32(little(b)))), nil
	case opUint16, opUint24, opUint32, opInt64:
		return schemas.Int(int64(little(b))), nil
	case opUint64:
		return schemas.Uint(little(b)), nil
	case opFloat:
		return schemas.Float(float64(math.Float32frombits(uint32(little(b))))), nil
	case opDouble:
		return schemas.Float(math.Float64frombits(little(b))), nil
	case opDecimal:
		return readDecimal(b, f.precision, f.scale)
	case opBool:
		return schemas.Int(int64(b[0])), nil
	case opBits:
		return schemas.Bytes(b), nil
	case opYear:
		if b[0] == 0 {
			return schemas.Int(0), nil
		}
		return schemas.Int(1900 + int64(b[0])), nil
	case opEnum:
		return enumValue(f.labels, little(b))
	case opSet:
		return setValue(f.labels, little(b))
	}
	return f.readTemporal(b)
}

func (f *field) readTemporal(b string) (schemas.Value, error) {
	switch f.op {
	case opDate:
		return readDate(b), nil
	case opTime:
		return readOldTime(b), nil
	case opTime2:
		return readTime2(b), nil
	case opDatetime:
		return readOldDatetime(b), nil
	case opDatetime2:
		return readDatetime2(b), nil
	case opTimestamp:
		return timestampValue(little(b), 0), nil
	case opTimestamp2:
		return readTimestamp2(b), nil
	}
	return schemas.Null, fmt.Errorf("binlog: no way to read operation %d", f.op)
}

// readString reads a value with its length in front.
func (f *field) readString(b string) (schemas.Value, string, error) {
	prefix := max(f.prefix, 1)
	if len(b) < prefix {
		return schemas.Null, "", errShort("row")
	}
	n := little(b[:prefix])
	b = b[prefix:]
	if uint64(len(b)) < n {
		return schemas.Null, "", errShort("row")
	}
	raw, rest := b[:n], b[n:]
	v, err := f.stringValue(raw)
	return v, rest, err
}

func (f *field) stringValue(raw string) (schemas.Value, error) {
	if f.compressed {
		var err error
		if raw, err = decompressColumn(raw); err != nil {
			return schemas.Null, err
		}
	}
	switch f.op {
	case opText:
		s, err := f.charset.text(raw)
		return schemas.Text(s), err
	case opBytes:
		return schemas.Bytes(raw), nil
	case opFixedBytes:
		return schemas.Bytes(padded(raw, f.size)), nil
	case opJSON:
		s, err := jsonText(raw)
		return schemas.Text(s), err
	case opUUID:
		return schemas.Text(uuidText(padded(raw, 16))), nil
	case opINET4, opINET6:
		a, _ := netip.AddrFromSlice([]byte(padded(raw, f.size)))
		return schemas.Text(inetText(a)), nil
	}
	return schemas.Null, fmt.Errorf("binlog: no way to read operation %d", f.op)
}

// little reads a little-endian integer of up to eight bytes.
func little(b string) (v uint64) {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(b[0]) | uint64(b[1])<<8
	case 4:
		return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
	}
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

// padded gives back the zero bytes that the log strips from the end of a value
// of fixed size.
func padded(s string, size int) string {
	if len(s) >= size {
		return s
	}
	b := make([]byte, size)
	copy(b, s)
	return string(b)
}

// enumValue is the label of an index; 0 is the empty string that a lenient
// sql_mode stores for a label that does not exist.
func enumValue(labels []string, i uint64) (schemas.Value, error) {
	if i == 0 {
		return schemas.Text(""), nil
	}
	if i > uint64(len(labels)) {
		return schemas.Null, fmt.Errorf("binlog: enum index %d of %d labels", i, len(labels))
	}
	return schemas.Text(labels[i-1]), nil
}

func setValue(labels []string, bits uint64) (schemas.Value, error) {
	if len(labels) < 64 && bits>>len(labels) != 0 {
		return schemas.Null, fmt.Errorf("binlog: set 0x%x of %d labels", bits, len(labels))
	}
	if bits&(bits-1) == 0 { // none or one: no need to join
		for i, l := range labels {
			if bits == 1<<i {
				return schemas.Text(l), nil
			}
		}
		return schemas.Text(""), nil
	}
	var out []byte
	for i, l := range labels {
		if bits&(1<<i) != 0 {
			if out != nil {
				out = append(out, ',')
			}
			out = append(out, l...)
		}
	}
	return schemas.Text(string(out)), nil
}

// uuidText undoes the order in which MariaDB stores a UUID: for the versions 1 to
// 5 the groups stand back to front, so that those of one node sort together.
func uuidText(s string) string {
	b := []byte(s)
	if b[6]&0x80 != 0 && b[8] > 0 && b[8] < 0x60 {
		b = []byte(s[12:16] + s[10:12] + s[8:10] + s[6:8] + s[0:6])
	}
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// inetText writes an address as MariaDB does.
func inetText(a netip.Addr) string {
	if !a.Is6() || a.Is4In6() {
		return a.String()
	}
	b := a.As16()
	if [12]byte(b[:12]) == [12]byte{} && (b[12] != 0 || b[13] != 0) {
		return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	return a.String()
}

// decompressColumn unpacks a value of one of MariaDB's COMPRESSED columns: a byte
// with the method and the length of the length, the length, a deflate stream.
func decompressColumn(s string) (string, error) {
	if s == "" || s[0] == 0 {
		return s[min(1, len(s)):], nil
	}
	n := int(s[0] & 7)
	if s[0]>>4 != 8 || len(s) < 1+n {
		return "", fmt.Errorf("binlog: compressed column of method 0x%02x", s[0])
	}
	var size [8]byte
	copy(size[8-n:], s[1:1+n])
	length := binary.BigEndian.Uint64(size[:])
	if length > maxUnpacked {
		return "", fmt.Errorf("binlog: compressed column of %d bytes", length)
	}
	in := bytes.NewReader([]byte(s[1+n:]))
	r := flate.NewReader(in)
	if s[0]&8 == 0 {
		var err error
		if r, err = zlib.NewReader(in); err != nil {
			return "", fmt.Errorf("binlog: compressed column: %w", err)
		}
	}
	defer r.Close()
	out := make([]byte, length)
	if _, err := io.ReadFull(r, out); err != nil {
		return "", fmt.Errorf("binlog: compressed column: %w", err)
	}
	return string(out), nil
}
