package mysql

import (
	"encoding/binary"
)

// The types of a column on the wire.
// https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html
const (
	wireTiny              = 1
	wireShort             = 2
	wireLong              = 3
	wireFloat             = 4
	wireDouble            = 5
	wireTimestamp         = 7
	wireLongLong          = 8
	wireInt24             = 9
	wireDate              = 10
	wireTime              = 11
	wireDatetime          = 12
	wireYear              = 13
	wireNewDate           = 14
	wireVarchar           = 15
	wireBit               = 16
	wireTimestamp2        = 17
	wireDatetime2         = 18
	wireTime2             = 19
	wireBlobCompressed    = 140 // MariaDB
	wireVarcharCompressed = 141 // MariaDB
	wireVector            = 242
	wireJSON              = 245
	wireNewDecimal        = 246
	wireEnum              = 247
	wireSet               = 248
	wireBlob              = 252
	wireVarString         = 253
	wireString            = 254
	wireGeometry          = 255
)

// wireColumn is what a TABLE_MAP event says of a column.
type wireColumn struct {
	name string
	// kind is the wire type; an enum or set is that, not a string.
	kind byte
	// meta is the bytes of a string or the length of a blob's length, the digits of
	// a fraction of a second, the bits of a bit field.
	meta             int
	precision, scale int
	nullable         bool
	unsigned         bool
	collation        uint64
	labels           []string
}

// tableMap is a TABLE_MAP event with its full metadata.
type tableMap struct {
	schema, table string
	columns       []wireColumn
	// full says that the names of the columns were there: binlog_row_metadata=FULL.
	full bool
	// key are the indexes of the primary key's columns.
	key []int
}

// tableMapID is the id under which rows events refer to the table, and the rest
// of the event, which is the same for as long as the table keeps its shape.
func tableMapID(body []byte) (id uint64, content []byte, err error) {
	if len(body) < 8 {
		return 0, nil, errShort("table map event")
	}
	return tableID(body), body[8:], nil
}

func tableID(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}

// tableMapName reads only the name of the table, and returns what is behind it.
func tableMapName(b []byte) (schema, table string, rest []byte, err error) {
	for i := range 2 {
		if len(b) < 1 || len(b) < int(b[0])+2 {
			return "", "", nil, errShort("table map event")
		}
		s := string(b[1 : 1+int(b[0])])
		b = b[int(b[0])+2:]
		if i == 0 {
			schema = s
		} else {
			table = s
		}
	}
	return schema, table, b, nil
}

func parseTableMap(b []byte) (*tableMap, error) {
	m := &tableMap{}
	var err error
	if m.schema, m.table, b, err = tableMapName(b); err != nil {
		return nil, err
	}
	count, n := lenenc(b)
	if n == 0 || uint64(len(b)-n) < count {
		return nil, errShort("table map event")
	}
	types := b[n : n+int(count)]
	b = b[n+int(count):]
	size, n := lenenc(b)
	if n == 0 || uint64(len(b)-n) < size {
		return nil, errShort("table map event")
	}
	meta := b[n : n+int(size)]
	b = b[n+int(size):]
	m.columns = make([]wireColumn, count)
	for i := range m.columns {
		if meta, err = m.columns[i].parse(types[i], meta); err != nil {
			return nil, err
		}
	}
	nulls := (int(count) + 7) / 8
	if len(b) < nulls {
		return nil, errShort("table map event")
	}
	for i := range m.columns {
		m.columns[i].nullable = b[i/8]&(1<<(i%8)) != 0
	}
	return m, m.parseOptional(b[nulls:])
}

// parse reads the metadata of a column and returns that of the following ones.
func (c *wireColumn) parse(kind byte, meta []byte) ([]byte, error) {
	c.kind = kind
	size := 0
	switch kind {
	case wireString, wireNewDecimal, wireVarString, wireVarchar, wireVarcharCompressed, wireBit, wireEnum, wireSet:
		size = 2
	case wireBlob, wireBlobCompressed, wireDouble, wireFloat, wireGeometry, wireVector, wireJSON, wireTime2, wireDatetime2, wireTimestamp2:
		size = 1
	}
	if len(meta) < size {
		return nil, errShort("table map event")
	}
	switch kind {
	case wireString, wireEnum, wireSet:
		// The two high bits of the length hide, inverted, in the type.
		real := meta[0]
		c.meta = int(meta[1])
		if real&0x30 != 0x30 {
			c.meta |= int(real&0x30^0x30) << 4
			real |= 0x30
		}
		c.kind = real
	case wireNewDecimal:
		c.precision, c.scale = int(meta[0]), int(meta[1])
	case wireBit:
		c.meta = int(meta[0]) + 8*int(meta[1])
	case wireVarchar, wireVarString, wireVarcharCompressed:
		c.meta = int(binary.LittleEndian.Uint16(meta))
	default:
		if size == 1 {
			c.meta = int(meta[0])
		}
	}
	return meta[size:], nil
}

func (c *wireColumn) numeric() bool {
	switch c.kind {
	case wireTiny, wireShort, wireInt24, wireLong, wireLongLong, wireNewDecimal, wireFloat, wireDouble, wireYear:
		return true
	}
	return false
}

func (c *wireColumn) character() bool {
	switch c.kind {
	case wireString, wireVarString, wireVarchar, wireBlob, wireVarcharCompressed, wireBlobCompressed:
		return true
	}
	return false
}

func (c *wireColumn) enumOrSet() bool { return c.kind == wireEnum || c.kind == wireSet }

// The fields of the optional metadata.
const (
	metaSignedness     = 1
	metaDefaultCharset = 2
	metaColumnCharset  = 3
	metaColumnName     = 4
	metaSetLabels      = 5
	metaEnumLabels     = 6
	metaSimpleKey      = 8
	metaPrefixKey      = 9
	metaEnumDefCharset = 10
	metaEnumColCharset = 11
)

func (m *tableMap) parseOptional(b []byte) error {
	for len(b) > 0 {
		field := b[0]
		size, n := lenenc(b[1:])
		if n == 0 || uint64(len(b)-1-n) < size {
			return errShort("table map metadata")
		}
		if err := m.parseField(field, b[1+n:1+n+int(size)]); err != nil {
			return err
		}
		b = b[1+n+int(size):]
	}
	return nil
}

func (m *tableMap) parseField(field byte, b []byte) error {
	switch field {
	case metaSignedness:
		i := 0
		for c := range m.columns {
			if !m.columns[c].numeric() {
				continue
			}
			if i/8 >= len(b) {
				return errShort("table map signedness")
			}
			m.columns[c].unsigned = b[i/8]&(0x80>>(i%8)) != 0
			i++
		}
	case metaDefaultCharset:
		return m.parseDefaultCharset(b, (*wireColumn).character)
	case metaEnumDefCharset:
		return m.parseDefaultCharset(b, (*wireColumn).enumOrSet)
	case metaColumnCharset:
		return m.parseColumnCharset(b, (*wireColumn).character)
	case metaEnumColCharset:
		return m.parseColumnCharset(b, (*wireColumn).enumOrSet)
	case metaColumnName:
		return m.parseNames(b)
	case metaSetLabels:
		return m.parseLabels(b, wireSet)
	case metaEnumLabels:
		return m.parseLabels(b, wireEnum)
	case metaSimpleKey, metaPrefixKey:
		return m.parseKey(b, field == metaPrefixKey)
	}
	return nil
}

func (m *tableMap) parseNames(b []byte) error {
	for i := range m.columns {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return errShort("table map names")
		}
		m.columns[i].name = string(b[1 : 1+int(b[0])])
		b = b[1+int(b[0]):]
	}
	m.full = true
	return nil
}

func ints(b []byte) ([]uint64, error) {
	var out []uint64
	for len(b) > 0 {
		v, n := lenenc(b)
		if n == 0 {
			return nil, errShort("table map metadata")
		}
		out = append(out, v)
		b = b[n:]
	}
	return out, nil
}

// parseDefaultCharset reads the collation of most columns and the exceptions,
// counted among the columns of that sort only.
func (m *tableMap) parseDefaultCharset(b []byte, sort func(*wireColumn) bool) error {
	v, err := ints(b)
	if err != nil {
		return err
	}
	if len(v)%2 != 1 {
		return errShort("table map collations")
	}
	except := map[int]uint64{}
	for i := 1; i < len(v); i += 2 {
		except[int(v[i])] = v[i+1]
	}
	n := 0
	for c := range m.columns {
		if !sort(&m.columns[c]) {
			continue
		}
		m.columns[c].collation = v[0]
		if id, ok := except[n]; ok {
			m.columns[c].collation = id
		}
		n++
	}
	return nil
}

func (m *tableMap) parseColumnCharset(b []byte, sort func(*wireColumn) bool) error {
	v, err := ints(b)
	if err != nil {
		return err
	}
	for c := range m.columns {
		if !sort(&m.columns[c]) {
			continue
		}
		if len(v) == 0 {
			return errShort("table map collations")
		}
		m.columns[c].collation, v = v[0], v[1:]
	}
	return nil
}

func (m *tableMap) parseLabels(b []byte, kind byte) error {
	for c := range m.columns {
		if m.columns[c].kind != kind {
			continue
		}
		count, n := lenenc(b)
		if n == 0 || count > uint64(len(b)) {
			return errShort("table map labels")
		}
		b = b[n:]
		labels := make([]string, count)
		for i := range labels {
			size, n := lenenc(b)
			if n == 0 || uint64(len(b)-n) < size {
				return errShort("table map labels")
			}
			labels[i] = string(b[n : n+int(size)])
			b = b[n+int(size):]
		}
		m.columns[c].labels = labels
	}
	return nil
}

func (m *tableMap) parseKey(b []byte, prefixes bool) error {
	v, err := ints(b)
	if err != nil {
		return err
	}
	step := 1
	if prefixes {
		step = 2
	}
	for i := 0; i < len(v); i += step {
		if v[i] >= uint64(len(m.columns)) {
			return errShort("table map key")
		}
		m.key = append(m.key, int(v[i]))
	}
	return nil
}
