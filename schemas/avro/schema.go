package avro

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

const (
	nameDecimal  = "org.apache.kafka.connect.data.Decimal"
	nameVariable = "io.debezium.data.VariableScaleDecimal"
	nameEnum     = "io.debezium.data.Enum"
	nameSet      = "io.debezium.data.EnumSet"
	nameJSON     = "io.debezium.data.Json"
	nameUUID     = "io.debezium.data.Uuid"
	nameBits     = "io.debezium.data.Bits"
	nameTime     = "io.debezium.time."
)

// noLength is the length Debezium gives a bit varying without a length.
const noLength = 2147483647

// layout is the text of the two schemas of a table and the shapes of its columns.
type layout struct {
	topic      string
	key, value string
	columns    []*shape
	// keys are the shapes of the key fields, in the order of the key.
	keys []*shape
}

// newLayout writes the schemas of a table as Java's Avro prints them: attributes
// in Connect's order, no spaces, so that a registry finds what Debezium wrote.
func newLayout(src Source, t *schemas.Table) (*layout, error) {
	l := &layout{topic: schemas.TopicName(src.System, t.Name), columns: make([]*shape, len(t.Columns))}
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
		if l.columns[i] = shapeFor(c.Type, c.Nullable, src.Connector); l.columns[i] == nil {
			return nil, fmt.Errorf("column %s of %s: no Avro form for kind %s", c.Name, t.Name, c.Type.Kind)
		}
	}
	names = fieldNames(names)
	full := fullName(l.topic)
	if len(t.Key) > 0 {
		w := schemaWriter{connector: src.Connector}
		w.record(full+".Key", func() {
			for i, k := range t.Key {
				w.column(i, names[k], t.Columns[k], l.columns[k])
				l.keys = append(l.keys, l.columns[k])
			}
		})
		l.key = w.String()
	}
	w := schemaWriter{connector: src.Connector}
	w.envelope(full, t, names, l.columns)
	l.value = w.String()
	return l, nil
}

// schemaWriter writes schema text; defined remembers the named types that have
// been written out, which stand by name the second time.
type schemaWriter struct {
	strings.Builder
	connector string
	defined   map[string]bool
}

// record writes a record with its connect.name; fields writes what is between
// the brackets, extra what follows them.
func (w *schemaWriter) record(full string, fields func(), extra ...string) {
	space, name := nameSpace(full)
	fmt.Fprintf(w, `{"type":"record","name":%s,"namespace":%s,"fields":[`, quote(name), quote(space))
	fields()
	w.WriteByte(']')
	for _, e := range extra {
		w.WriteString("," + e)
	}
	fmt.Fprintf(w, `,"connect.name":%s}`, quote(full))
}

const version1 = `"connect.version":1`

func (w *schemaWriter) envelope(full string, t *schemas.Table, names []string, shapes []*shape) {
	w.record(full+".Envelope", func() {
		w.WriteString(`{"name":"before","type":["null",{"type":"record","name":"Value","fields":[`)
		for i, c := range t.Columns {
			w.column(i, names[i], c, shapes[i])
		}
		fmt.Fprintf(w, `],"connect.name":%s}],"default":null},{"name":"after","type":["null","Value"],"default":null},{"name":"source","type":`, quote(full+".Value"))
		w.source()
		w.WriteString(`},{"name":"transaction","type":["null",`)
		w.record("event.block", func() {
			w.WriteString(`{"name":"id","type":"string"},{"name":"total_order","type":"long"},{"name":"data_collection_order","type":"long"}`)
		}, version1)
		w.WriteString(`],"default":null},{"name":"op","type":"string"}`)
		for _, n := range []string{"ts_ms", "ts_us", "ts_ns"} {
			w.optional(n, "long")
		}
	}, `"connect.version":2`)
}

func (w *schemaWriter) optional(name, typ string) {
	fmt.Fprintf(w, `,{"name":"%s","type":["null","%s"],"default":null}`, name, typ)
}

func (w *schemaWriter) required(name, typ string) {
	fmt.Fprintf(w, `,{"name":"%s","type":"%s"}`, name, typ)
}

// source is the block that says where a change comes from.
func (w *schemaWriter) source() {
	w.record("io.debezium.connector."+w.connector+".Source", func() {
		w.WriteString(`{"name":"version","type":"string"}`)
		w.required("connector", "string")
		w.required("name", "string")
		w.required("ts_ms", "long")
		w.WriteString(`,{"name":"snapshot","type":[{"type":"string","connect.version":1,"connect.parameters":{"allowed":"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},"connect.default":"false","connect.name":"io.debezium.data.Enum"},"null"],"default":"false"}`)
		w.required("db", "string")
		w.optional("sequence", "string")
		w.optional("ts_us", "long")
		w.optional("ts_ns", "long")
		if w.connector == PostgreSQL {
			w.sourcePostgres()
		} else {
			w.sourceBinlog()
		}
	}, version1)
}

func (w *schemaWriter) sourcePostgres() {
	w.required("schema", "string")
	w.required("table", "string")
	w.optional("txId", "long")
	w.optional("lsn", "long")
	w.optional("xmin", "long")
	w.optional("origin", "string")
	w.optional("origin_lsn", "long")
}

func (w *schemaWriter) sourceBinlog() {
	w.optional("table", "string")
	w.required("server_id", "long")
	w.optional("gtid", "string")
	w.required("file", "string")
	w.required("pos", "long")
	w.required("row", "int")
	w.optional("thread", "long")
	w.optional("query", "string")
}

// column writes a field; strait.name keeps a name that Avro does not allow.
func (w *schemaWriter) column(i int, name string, c schemas.Column, s *shape) {
	if i > 0 {
		w.WriteByte(',')
	}
	fmt.Fprintf(w, `{"name":%s,"type":`, quote(name))
	if s.nullable {
		w.WriteString(`["null",`)
	}
	w.typ(s)
	if s.nullable {
		w.WriteString(`],"default":null`)
	}
	if name != c.Name {
		w.WriteString(`,"strait.name":` + quote(c.Name))
	}
	w.WriteByte('}')
}

// typ writes the type of a column without its null.
func (w *schemaWriter) typ(s *shape) {
	t := &s.typ
	switch s.form {
	case formBool:
		w.WriteString(`"boolean"`)
	case formInt:
		switch t.Kind {
		case schemas.KindInt16:
			w.WriteString(`{"type":"int","connect.type":"int16"}`)
		case schemas.KindYear:
			w.named("int", "", nameTime+"Year")
		default:
			w.WriteString(`"int"`)
		}
	case formLong:
		w.WriteString(`"long"`)
	case formFloat:
		w.WriteString(`"float"`)
	case formDouble:
		w.WriteString(`"double"`)
	case formBytes:
		w.WriteString(`"bytes"`)
	case formString:
		w.text(t)
	case formDecimal, formUint:
		w.decimal(s)
	case formNumeric:
		w.numeric()
	case formDate:
		w.named("int", "", nameTime+"Date")
	case formTimeMilli:
		w.named("int", "", nameTime+"Time", precision(t, 3)...)
	case formTimeMicro:
		w.named("long", "", nameTime+"MicroTime", precision(t, 6)...)
	case formStampMilli:
		w.named("long", "", nameTime+"Timestamp", precision(t, 3)...)
	case formStampMicro:
		w.named("long", "", nameTime+"MicroTimestamp", precision(t, 6)...)
	case formZoned:
		w.named("string", "", nameTime+"ZonedTimestamp", precision(t, 6)...)
	case formZonedTime:
		w.named("string", "", nameTime+"ZonedTime", precision(t, 6)...)
	case formBits:
		n := t.Length
		if n == 0 {
			n = noLength
		}
		w.named("bytes", `"length":"`+strconv.Itoa(n)+`"`, nameBits)
	case formArray:
		w.WriteString(`{"type":"array","items":["null",`)
		w.typ(s.item)
		w.WriteString(`]}`)
	}
}

// precision is the property for a precision that the type's name does not tell.
func precision(t *schemas.Type, usual int) []string {
	if t.Precision == usual {
		return nil
	}
	return []string{`"strait.precision":` + strconv.Itoa(t.Precision)}
}

func (w *schemaWriter) named(base, params, name string, extra ...string) {
	fmt.Fprintf(w, `{"type":"%s","connect.version":1`, base)
	if params != "" {
		fmt.Fprintf(w, `,"connect.parameters":{%s}`, params)
	}
	fmt.Fprintf(w, `,"connect.name":"%s"`, name)
	for _, e := range extra {
		w.WriteString("," + e)
	}
	w.WriteByte('}')
}

func (w *schemaWriter) text(t *schemas.Type) {
	switch t.Kind {
	case schemas.KindEnum, schemas.KindSet:
		name := nameEnum
		if t.Kind == schemas.KindSet {
			name = nameSet
		}
		var extra []string
		if needLabels(t.Labels, w.connector) {
			all := make([]string, len(t.Labels))
			for i, l := range t.Labels {
				all[i] = quote(l)
			}
			extra = append(extra, `"strait.labels":[`+strings.Join(all, ",")+`]`)
		}
		w.named("string", `"allowed":`+quote(joinLabels(t.Labels, w.connector)), name, extra...)
	case schemas.KindJSON:
		w.named("string", "", nameJSON)
	case schemas.KindUUID:
		w.named("string", "", nameUUID)
	case schemas.KindInterval:
		w.named("string", "", nameTime+"Interval", precision(t, 6)...)
	default:
		w.WriteString(`"string"`)
	}
}

// decimal writes Connect's Decimal. Avro wants 0 <= scale <= precision, which
// PostgreSQL does not; the declared numbers are kept beside where they differ.
func (w *schemaWriter) decimal(s *shape) {
	p, sc := s.typ.Precision, s.typ.Scale
	if s.form == formUint {
		p, sc = 20, 0
	}
	ap, as := max(s.digits, p, sc), max(sc, 0)
	if ap < 1 {
		ap = 64
	}
	fmt.Fprintf(w, `{"type":"bytes","scale":%d,"precision":%d,"connect.version":1,"connect.parameters":{"scale":"%d","connect.decimal.precision":"%d"},"connect.name":"%s","logicalType":"decimal"`, as, ap, as, ap, nameDecimal)
	if s.form == formUint {
		w.WriteString(`,"strait.kind":"uint64"`)
	}
	if ap != p {
		fmt.Fprintf(w, `,"strait.precision":%d`, p)
	}
	if as != sc {
		fmt.Fprintf(w, `,"strait.scale":%d`, sc)
	}
	w.WriteByte('}')
}

func (w *schemaWriter) numeric() {
	if w.defined[nameVariable] {
		w.WriteString(`"` + nameVariable + `"`)
		return
	}
	w.defined = map[string]bool{nameVariable: true}
	w.record(nameVariable, func() {
		w.WriteString(`{"name":"scale","type":"int"},{"name":"value","type":"bytes"}`)
	}, `"connect.doc":"Variable scaled decimal"`, version1)
}

const hexDigits = "0123456789ABCDEF"

// quote writes a JSON string as Java's Avro does: everything but quotes,
// backslashes and control characters stands as it is.
func quote(s string) string {
	b := []byte{'"'}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\b':
			b = append(b, '\\', 'b')
		case c == '\f':
			b = append(b, '\\', 'f')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
