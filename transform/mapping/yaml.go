package mapping

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// text is a scalar with its place.
type text struct {
	s string
	// null is a YAML null or an absent scalar.
	null bool
	// quoted scalars are moved one column to the right of their place.
	quoted bool
	// block is a | or > scalar: its first line is the one below its place.
	block bool
	pos   pos
}

func (t text) set() bool { return !t.null && t.pos.src != nil }

// value is a node of a document with its place.
type value struct {
	node ast.Node
	pos  pos
	r    *reader
}

// object is a mapping with its keys in order.
type object struct {
	pos    pos
	keys   []text
	values map[string]value
	r      *reader
}

// reader turns YAML nodes into our documents; whatever is wrong goes into
// problems, and reading goes on.
type reader struct {
	src *source
	*problems
}

// parse reads a file into its documents.
func (r *reader) parse(data []byte) []value {
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		r.syntax(err)
		return nil
	}
	var out []value
	for _, d := range f.Docs {
		if d.Body == nil || d.Body.Type() == ast.NullType {
			continue
		}
		out = append(out, r.value(d.Body))
	}
	return out
}

// syntax reports an error of the YAML parser at its place.
func (r *reader) syntax(err error) {
	var se yaml.Error
	at := pos{src: r.src, line: 1, col: 1}
	msg := err.Error()
	if errors.As(err, &se) {
		msg = se.GetMessage()
		if tk := se.GetToken(); tk != nil && tk.Position != nil {
			at.line, at.col = tk.Position.Line, tk.Position.Column
		}
	}
	r.add(at, "", "not YAML: %s", msg)
}

func (r *reader) value(n ast.Node) value {
	v := value{node: n, r: r, pos: pos{src: r.src}}
	tk := n.GetToken()
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			tk = m.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		tk = m.Key.GetToken()
	}
	if tk != nil && tk.Position != nil {
		v.pos.line, v.pos.col = tk.Position.Line, tk.Position.Column
	}
	return v
}

// object reads a mapping; nil and a problem if it is something else.
func (v value) object() *object {
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		v.r.add(v.pos, "", "expected a mapping (key: value), found %s", kindOfNode(v.node))
		return nil
	}
	o := &object{pos: v.pos, values: map[string]value{}, r: v.r}
	for _, p := range pairs {
		if _, merge := p.Key.(*ast.MergeKeyNode); merge {
			v.r.add(v.r.value(p.Key).pos, "write the keys out", "merge keys are not part of the language")
			continue
		}
		k := v.r.value(p.Key).text()
		if _, twice := o.values[k.s]; twice {
			v.r.add(k.pos, "", "key %q is given twice", k.s)
			continue
		}
		o.keys = append(o.keys, k)
		o.values[k.s] = v.r.value(p.Value)
	}
	return o
}

// only reports the keys that are not among those allowed.
func (o *object) only(allowed ...string) {
	for _, k := range o.keys {
		if !contains(allowed, k.s) {
			hint := didYouMean(k.s, allowed)
			if strings.HasSuffix(k.s, ")") {
				hint = "a value with a comma needs quotes here: \"decimal(14,2)\""
			}
			o.r.add(k.pos, hint, "unknown key %q", k.s)
		}
	}
}

// text is the scalar of a key; the zero text if the key is absent.
func (o *object) text(key string) text {
	if v, ok := o.values[key]; ok {
		return v.text()
	}
	return text{null: true}
}

// require is text, with a problem if the key is absent.
func (o *object) require(key string) text {
	t := o.text(key)
	if _, ok := o.values[key]; !ok {
		o.r.add(o.pos, "", "%q is missing", key)
	}
	return t
}

// texts is a list of scalars; one scalar alone stands for a list of one.
func (o *object) texts(key string) []text {
	v, ok := o.values[key]
	if !ok {
		return nil
	}
	return v.texts()
}

func (v value) texts() []text {
	seq, ok := v.node.(*ast.SequenceNode)
	if !ok {
		if t := v.text(); t.set() {
			return []text{t}
		}
		return nil
	}
	out := make([]text, 0, len(seq.Values))
	for _, n := range seq.Values {
		if t := v.r.value(n).text(); t.set() {
			out = append(out, t)
		}
	}
	return out
}

// list is the elements of a sequence.
func (o *object) list(key string) []value {
	v, ok := o.values[key]
	if !ok {
		return nil
	}
	seq, ok := v.node.(*ast.SequenceNode)
	if !ok {
		o.r.add(v.pos, "", "%q takes a list, found %s", key, kindOfNode(v.node))
		return nil
	}
	out := make([]value, len(seq.Values))
	for i, n := range seq.Values {
		out[i] = o.r.value(n)
	}
	return out
}

// bool is true or false; false if the key is absent.
func (o *object) bool(key string) bool {
	v, ok := o.values[key]
	if !ok {
		return false
	}
	b, ok := v.node.(*ast.BoolNode)
	if !ok {
		o.r.add(v.pos, "", "%q takes true or false", key)
		return false
	}
	return b.Value
}

// duration is a time span such as 300ms; def if the key is absent.
func (o *object) duration(key string, def time.Duration) time.Duration {
	t := o.text(key)
	if !t.set() {
		return def
	}
	d, err := time.ParseDuration(t.s)
	if err != nil || d <= 0 {
		o.r.add(t.pos, "", "%q is not a time span; write it like 300ms, 2s or 1m", t.s)
		return def
	}
	return d
}

// text reads a scalar in the spelling of the file: 007 stays 007.
func (v value) text() text {
	t := text{pos: v.pos}
	switch n := v.node.(type) {
	case *ast.StringNode:
		t.s = n.Value
		o := strings.TrimLeft(n.Token.Origin, " \t\r\n")
		t.quoted = strings.HasPrefix(o, "'") || strings.HasPrefix(o, `"`)
	case *ast.LiteralNode:
		t.s, t.block = strings.TrimRight(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		t.s = v.node.GetToken().Value
	case *ast.NullNode:
		t.null = true
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		t.null = true
		v.r.add(v.pos, "write the value out", "anchors, aliases and tags are not part of the language")
	default:
		t.null = true
		v.r.add(v.pos, "", "expected a single value, found %s", kindOfNode(v.node))
	}
	return t
}

func isMapping(v value) bool {
	switch v.node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

func kindOfNode(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return "an anchor, alias or tag, which the language does not have"
	}
	return fmt.Sprintf("the value %s", strconv.Quote(n.String()))
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
