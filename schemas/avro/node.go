package avro

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"github.com/linkedin/goavro/v2"

	"github.com/strait-cdc/strait/schemas"
)

// node is a type of a parsed Avro schema.
type node struct {
	kind     string // long, string, record, array, union, …
	full     string // of a named type
	fields   []field
	items    *node
	branches []*node
	props    map[string]any
	raw      any
}

type field struct {
	name  string
	typ   *node
	props map[string]any
}

// maxDepth bounds nesting, so that no schema exhausts the stack.
const maxDepth = 64

// limits bounds what goavro believes of a count in the data; it has two
// billion. Nothing else in the process uses goavro.
var limits = sync.OnceFunc(func() {
	goavro.MaxBlockCount = 1 << 20
	goavro.MaxBlockSize = 64 << 20
})

// parseNode reads a schema's text.
func parseNode(text string) (*node, error) {
	var raw any
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return (&nodeParser{named: map[string]*node{}}).parse(raw, "", 0)
}

type nodeParser struct{ named map[string]*node }

func (p *nodeParser) parse(raw any, space string, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("schema: nested deeper than %d", maxDepth)
	}
	switch r := raw.(type) {
	case string:
		if n := p.named[r]; n != nil {
			return n, nil
		}
		if n := p.named[space+"."+r]; n != nil {
			return n, nil
		}
		return &node{kind: r, raw: r}, nil
	case []any:
		n := &node{kind: "union", raw: raw}
		for _, b := range r {
			child, err := p.parse(b, space, depth+1)
			if err != nil {
				return nil, err
			}
			n.branches = append(n.branches, child)
		}
		return n, nil
	case map[string]any:
		return p.object(r, space, depth)
	}
	return nil, fmt.Errorf("schema: %T is no type", raw)
}

func (p *nodeParser) object(r map[string]any, space string, depth int) (*node, error) {
	kind, ok := r["type"].(string)
	if !ok {
		return p.parse(r["type"], space, depth+1)
	}
	n := &node{kind: kind, props: r, raw: r}
	switch kind {
	case "record", "error", "enum", "fixed":
		name, _ := r["name"].(string)
		if s, ok := r["namespace"].(string); ok {
			space = s
		}
		n.full = name
		if s, _ := nameSpace(name); s != "" {
			space = s
		} else if space != "" {
			n.full = space + "." + name
		}
		p.named[n.full] = n
		return n, p.members(n, r, space, depth)
	case "array":
		var err error
		n.items, err = p.parse(r["items"], space, depth+1)
		return n, err
	}
	return n, nil
}

func (p *nodeParser) members(n *node, r map[string]any, space string, depth int) error {
	list, _ := r["fields"].([]any)
	for _, f := range list {
		m, ok := f.(map[string]any)
		name, ok2 := m["name"].(string)
		if !ok || !ok2 {
			return fmt.Errorf("schema: %s has a field without a name", n.full)
		}
		typ, err := p.parse(m["type"], space, depth+1)
		if err != nil {
			return err
		}
		n.fields = append(n.fields, field{name: name, typ: typ, props: m})
	}
	return nil
}

func (n *node) text(name string) string {
	s, _ := n.props[name].(string)
	return s
}

// number is a numeric property, as a number or as Connect's text of one.
func (n *node) number(name string) (int, bool) {
	if f, ok := n.props[name].(float64); ok {
		return int(f), true
	}
	if m, ok := n.props["connect.parameters"].(map[string]any); ok {
		if s, ok := m[name].(string); ok {
			i, err := strconv.Atoi(s)
			return i, err == nil
		}
	}
	return 0, false
}

// shape is how the values of a type are read; a type we do not write ourselves
// is left to goavro.
func (n *node) shape() (*shape, error) {
	if n.kind == "union" && len(n.branches) == 2 {
		for i, b := range n.branches {
			other := n.branches[1-i]
			if b.kind != "null" || other.kind == "null" {
				continue
			}
			if s := other.plainShape(); s != nil {
				s.nullable, s.nullBranch = true, byte(i)
				return s, nil
			}
		}
	}
	if s := n.plainShape(); s != nil {
		return s, nil
	}
	return n.foreign()
}

func (n *node) plainShape() *shape {
	t := n.columnType()
	if t.Kind == schemas.KindInvalid {
		return nil
	}
	var s *shape
	if t.Kind == schemas.KindArray {
		item, err := n.items.shape()
		if err != nil || item.form == formForeign || item.form == formArray {
			return nil
		}
		t.Elem = &item.typ
		s = shapeFor(t, false, "")
		s.item = item
		return s
	}
	s = shapeFor(t, false, "")
	switch {
	case n.kind == "int" && s.form == formTimeMicro:
		s.form = formTimeMilli
	case n.kind == "long" && n.text("connect.name") == nameTime+"Timestamp":
		s.form = formStampMilli
	case n.kind == "long" && s.form == formStampMilli:
		s.form = formStampMicro
	}
	return s
}

// columnType is the type of a column, from Debezium's names and our additions.
func (n *node) columnType() schemas.Type {
	name := n.text("connect.name")
	switch n.kind {
	case "boolean":
		return schemas.Type{Kind: schemas.KindBool}
	case "int":
		return n.intType(name)
	case "long":
		return n.longType(name)
	case "float":
		return schemas.Type{Kind: schemas.KindFloat32}
	case "double":
		return schemas.Type{Kind: schemas.KindFloat64}
	case "bytes":
		return n.bytesType(name)
	case "string":
		return n.stringType(name)
	case "array":
		return schemas.Type{Kind: schemas.KindArray}
	case "record":
		if n.full == nameVariable && len(n.fields) == 2 && n.fields[0].typ.kind == "int" && n.fields[1].typ.kind == "bytes" {
			return schemas.Type{Kind: schemas.KindNumeric}
		}
	}
	return schemas.Type{}
}

func (n *node) withPrecision(k schemas.Kind, usual int) schemas.Type {
	if p, ok := n.number("strait.precision"); ok {
		usual = p
	}
	return schemas.Type{Kind: k, Precision: usual}
}

func (n *node) intType(name string) schemas.Type {
	switch {
	case name == nameTime+"Date":
		return schemas.Type{Kind: schemas.KindDate}
	case name == nameTime+"Time":
		return n.withPrecision(schemas.KindTime, 3)
	case name == nameTime+"Year":
		return schemas.Type{Kind: schemas.KindYear}
	case n.text("connect.type") == "int16" || n.text("connect.type") == "int8":
		return schemas.Type{Kind: schemas.KindInt16}
	}
	return schemas.Type{Kind: schemas.KindInt32}
}

func (n *node) longType(name string) schemas.Type {
	switch name {
	case nameTime + "MicroTime":
		return n.withPrecision(schemas.KindTime, 6)
	case nameTime + "Timestamp":
		return n.withPrecision(schemas.KindTimestamp, 3)
	case nameTime + "MicroTimestamp":
		return n.withPrecision(schemas.KindTimestamp, 6)
	}
	return schemas.Type{Kind: schemas.KindInt64}
}

func (n *node) bytesType(name string) schemas.Type {
	switch name {
	case nameDecimal:
		if n.text("strait.kind") == "uint64" {
			return schemas.Type{Kind: schemas.KindUint64}
		}
		t := schemas.Type{Kind: schemas.KindDecimal}
		t.Scale, _ = n.number("scale")
		t.Precision, _ = n.number("connect.decimal.precision")
		if p, ok := n.number("strait.precision"); ok {
			t.Precision = p
		}
		if s, ok := n.number("strait.scale"); ok {
			t.Scale = s
		}
		return t
	case nameBits:
		length, _ := n.number("length")
		if length < 0 || length == noLength {
			length = 0
		}
		return schemas.Type{Kind: schemas.KindBits, Length: length}
	}
	return schemas.Type{Kind: schemas.KindBytes}
}

func (n *node) stringType(name string) schemas.Type {
	switch name {
	case nameTime + "ZonedTimestamp":
		return n.withPrecision(schemas.KindTimestampTZ, 6)
	case nameTime + "ZonedTime":
		return n.withPrecision(schemas.KindTimeTZ, 6)
	case nameTime + "Interval":
		return n.withPrecision(schemas.KindInterval, 6)
	case nameJSON:
		return schemas.Type{Kind: schemas.KindJSON}
	case nameUUID:
		return schemas.Type{Kind: schemas.KindUUID}
	case nameEnum:
		return schemas.Type{Kind: schemas.KindEnum, Labels: n.labels()}
	case nameSet:
		return schemas.Type{Kind: schemas.KindSet, Labels: n.labels()}
	}
	return schemas.Type{Kind: schemas.KindText}
}

func (n *node) labels() []string {
	if list, ok := n.props["strait.labels"].([]any); ok {
		out := make([]string, 0, len(list))
		for _, l := range list {
			s, _ := l.(string)
			out = append(out, s)
		}
		return out
	}
	m, _ := n.props["connect.parameters"].(map[string]any)
	s, _ := m["allowed"].(string)
	return splitLabels(s)
}

// foreign reads a type through goavro; its values become JSON text.
func (n *node) foreign() (*shape, error) {
	text, err := json.Marshal(n.expand(map[string]bool{}))
	if err != nil {
		return nil, err
	}
	codec, err := goavro.NewCodec(string(text))
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return &shape{form: formForeign, typ: schemas.Type{Kind: schemas.KindJSON}, store: schemas.StoreText, codec: codec}, nil
}

// expand is the schema of a node alone, with the named types that it refers to
// written out where they are first used.
func (n *node) expand(done map[string]bool) any {
	switch n.kind {
	case "union":
		out := make([]any, len(n.branches))
		for i, b := range n.branches {
			out[i] = b.expand(done)
		}
		return out
	case "array":
		return map[string]any{"type": "array", "items": n.items.expand(done)}
	case "record", "error":
		if done[n.full] {
			return n.full
		}
		done[n.full] = true
		fields := make([]any, len(n.fields))
		for i, f := range n.fields {
			fields[i] = map[string]any{"name": f.name, "type": f.typ.expand(done)}
		}
		return map[string]any{"type": n.kind, "name": n.full, "fields": fields}
	case "enum", "fixed":
		if done[n.full] {
			return n.full
		}
		done[n.full] = true
	}
	return n.raw
}
