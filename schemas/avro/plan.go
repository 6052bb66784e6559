package avro

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// plan says how the records of two schemas are read.
type plan struct {
	// table has the columns and the key; its name is that of the source block.
	table *schemas.Table
	named atomic.Pointer[schemas.Table]
	pg    bool

	columns []*shape
	parts   []part
	sources []part
	// keys and keyNames are the fields of the key.
	keys     []*shape
	keyNames []string
}

// part is a field of the envelope or of the source block: what it is, and how
// it is read.
type part struct {
	name  string
	shape *shape
	// row says that the value is a row, optional or not.
	row, optional bool
	nullBranch    byte
}

// source is what the source block of a record says.
type source struct {
	snapshot, db, schema, table, sequence, gtid, file string
	ms, us, ns, xid, lsn, pos, server, thread         int64
	hasUS, hasNS, hasXID                              bool
	row                                               int32
}

// newPlan compiles schemas; either text may be empty.
func newPlan(value, key string) (*plan, error) {
	p := &plan{table: &schemas.Table{}}
	if value != "" {
		n, err := parseNode(value)
		if err != nil {
			return nil, err
		}
		if err := p.compile(n); err != nil {
			return nil, err
		}
	}
	if key == "" {
		return p, nil
	}
	n, err := parseNode(key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return p, p.compileKey(n, value != "")
}

func (p *plan) compileKey(n *node, table bool) error {
	if n.kind != "record" {
		return fmt.Errorf("key: the schema is a %s, want a record", n.kind)
	}
	for _, f := range n.fields {
		s, err := f.typ.shape()
		if err != nil {
			return fmt.Errorf("key field %s: %w", f.name, err)
		}
		p.keys, p.keyNames = append(p.keys, s), append(p.keyNames, columnName(f))
		if !table {
			continue
		}
		i := p.table.Column(columnName(f))
		if i < 0 {
			return fmt.Errorf("key field %s is no column of the value", f.name)
		}
		p.table.Key = append(p.table.Key, i)
	}
	return nil
}

// columnName is the column's own name.
func columnName(f field) string {
	if s, ok := f.props["strait.name"].(string); ok {
		return s
	}
	return f.name
}

// compile reads an envelope, whatever the order of its fields.
func (p *plan) compile(n *node) error {
	if n.kind != "record" {
		return fmt.Errorf("the schema is a %s, want Debezium's envelope", n.kind)
	}
	for _, f := range n.fields {
		part := part{name: f.name}
		var err error
		switch f.name {
		case "before", "after":
			err = p.compileRow(&part, f.typ)
		case "source":
			err = p.compileSource(&part, f.typ)
		case "transaction":
			err = p.compileBlock(&part, f.typ)
		default:
			part.shape, err = f.typ.shape()
		}
		if err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
		p.parts = append(p.parts, part)
	}
	if p.columns == nil || p.sources == nil {
		return fmt.Errorf("schema %s has no before, after and source: it is not Debezium's envelope", n.full)
	}
	return nil
}

// structOf is the record behind an optional type.
func structOf(n *node, p *part) (*node, bool) {
	p.row = true
	if n.kind == "union" && len(n.branches) == 2 {
		for i, b := range n.branches {
			if b.kind == "null" {
				p.optional, p.nullBranch = true, byte(i)
				n = n.branches[1-i]
				break
			}
		}
	}
	return n, n.kind == "record"
}

func (p *plan) compileRow(part *part, n *node) error {
	n, ok := structOf(n, part)
	if !ok {
		return fmt.Errorf("a %s is no row", n.kind)
	}
	if p.columns != nil {
		return nil // the same record again, by name
	}
	p.columns = make([]*shape, len(n.fields))
	for i, f := range n.fields {
		s, err := f.typ.shape()
		if err != nil {
			return fmt.Errorf("column %s: %w", f.name, err)
		}
		p.columns[i] = s
		p.table.Columns = append(p.table.Columns, schemas.Column{Name: columnName(f), Type: s.typ, Nullable: s.nullable})
	}
	return nil
}

func (p *plan) compileSource(at *part, n *node) error {
	n, ok := structOf(n, at)
	if !ok || at.optional {
		return fmt.Errorf("the source block is no record")
	}
	for _, f := range n.fields {
		s, err := f.typ.shape()
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		p.pg = p.pg || f.name == "schema"
		p.sources = append(p.sources, part{name: f.name, shape: s})
	}
	return nil
}

// compileBlock reads {id, total_order, data_collection_order}.
func (p *plan) compileBlock(part *part, n *node) error {
	inner, ok := structOf(n, part)
	if ok && len(inner.fields) == 3 && inner.fields[1].name == "total_order" && inner.fields[0].typ.kind == "string" &&
		inner.fields[1].typ.kind == "long" && inner.fields[2].typ.kind == "long" {
		return nil
	}
	part.row = false
	var err error
	part.shape, err = n.shape()
	return err
}

// absent reads the branch of an optional row.
func (r *reader) absent(p *part) bool {
	if !p.optional {
		return false
	}
	switch b := r.byte(); b {
	case p.nullBranch << 1:
		return true
	case (1 - p.nullBranch) << 1:
		return false
	}
	r.fail(errBad)
	return true
}

// envelope reads a whole record.
func (p *plan) envelope(r *reader, c *schemas.Change, src *source) {
	v := &r.tmp
	for i := range p.parts {
		part := &p.parts[i]
		if part.row {
			if !r.absent(part) {
				p.block(r, part.name, c, src)
			}
			continue
		}
		r.value(part.shape, v)
		if part.name == "op" {
			c.Op = op(v.Text())
		}
	}
	if r.err == nil && c.Op == 0 {
		r.fail(fmt.Errorf("the record has no operation that is known"))
	}
}

// op reads the operation; a message ('m') is known but is no change.
func op(s string) schemas.Op {
	if len(s) == 1 && strings.Contains("cudrtm", s) {
		return schemas.Op(s[0])
	}
	return 0
}

func (p *plan) block(r *reader, name string, c *schemas.Change, src *source) {
	switch name {
	case "before":
		c.Before = p.row(r)
	case "after":
		c.After = p.row(r)
	case "source":
		p.source(r, src)
	case "transaction":
		r.text()
		c.Ordinal = r.long() - 1
		r.long()
	}
}

func (p *plan) row(r *reader) schemas.Row {
	row := make(schemas.Row, len(p.columns))
	for i, s := range p.columns {
		r.value(s, &row[i])
	}
	return row
}

// source reads the block. A field of an unexpected type stays at its zero.
func (p *plan) source(r *reader, src *source) {
	for i := range p.sources {
		f := &p.sources[i]
		r.value(f.shape, &r.tmp)
		if !r.tmp.IsNull() {
			src.set(f.name, r.tmp)
		}
	}
}

func (src *source) set(name string, v schemas.Value) {
	switch name {
	case "snapshot":
		src.snapshot = v.Text()
	case "db":
		src.db = v.Text()
	case "schema":
		src.schema = v.Text()
	case "table":
		src.table = v.Text()
	case "sequence":
		src.sequence = v.Text()
	case "gtid":
		src.gtid = v.Text()
	case "file":
		src.file = v.Text()
	case "ts_ms":
		src.ms = v.Int()
	case "ts_us":
		src.us, src.hasUS = v.Int(), true
	case "ts_ns":
		src.ns, src.hasNS = v.Int(), true
	case "txId":
		src.xid, src.hasXID = v.Int(), true
	case "lsn":
		src.lsn = v.Int()
	case "pos":
		src.pos = v.Int()
	case "row":
		src.row = int32(v.Int())
	case "server_id":
		src.server = v.Int()
	case "thread":
		src.thread = v.Int()
	}
}

// nanos and time are the commit time, as exactly as the block has it.
func (src *source) nanos() int64 {
	switch {
	case src.hasNS:
		return src.ns
	case src.hasUS:
		return src.us * 1000
	}
	return src.ms * 1e6
}

func (src *source) time() time.Time {
	switch {
	case src.hasNS:
		return time.Unix(0, src.ns).UTC()
	case src.hasUS:
		return time.UnixMicro(src.us).UTC()
	case src.ms == 0:
		return time.Time{}
	}
	return time.UnixMilli(src.ms).UTC()
}

// commitLSN is the first number of the sequence ["commit","change"].
func (src *source) commitLSN() uint64 {
	s, ok := strings.CutPrefix(src.sequence, `["`)
	if !ok {
		return 0
	}
	s, _, _ = strings.Cut(s, `"`)
	u, _ := strconv.ParseUint(s, 10, 64)
	return u
}

// readKey reads a key.
func (p *plan) readKey(text string) ([]schemas.Value, error) {
	r := newReader(text)
	defer r.done()
	out := make([]schemas.Value, len(p.keys))
	for i, s := range p.keys {
		r.value(s, &out[i])
	}
	if r.err == nil && r.i != len(r.s) {
		r.err = errBad
	}
	if r.err != nil {
		return nil, fmt.Errorf("key: %w", r.err)
	}
	r.settle()
	return out, nil
}
