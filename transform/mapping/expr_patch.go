package mapping

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/expr-lang/expr/ast"
)

// literals makes exact decimals of numbers with a point: 0.19 is 0.19.
type literals struct{}

func (literals) Visit(node *ast.Node) {
	if f, ok := (*node).(*ast.FloatNode); ok {
		if d, err := parseDecimal(strconv.FormatFloat(f.Value, 'f', -1, 64)); err == nil {
			ast.Patch(node, &ast.ConstantNode{Value: d})
		}
	}
}

// sums turns sum(list, predicate) into our sum of a mapped list, which adds
// decimals and leaves NULL out.
type sums struct{}

func (sums) Visit(node *ast.Node) {
	b, ok := (*node).(*ast.BuiltinNode)
	if !ok || b.Name != "sum" {
		return
	}
	list := b.Arguments[0]
	if len(b.Arguments) == 2 {
		list = &ast.BuiltinNode{Name: "map", Arguments: b.Arguments}
		list.SetLocation(b.Location())
	}
	ast.Patch(node, &ast.CallNode{Callee: &ast.IdentifierNode{Value: "add_up"}, Arguments: []ast.Node{list}})
}

// unsettle forgets the types of calls after each pass. The checker takes a call
// that has a type for checked and does not look at its arguments again; with
// patchers it checks several times and reports only the last, so that a wrong
// argument of any call would never be seen.
type unsettle struct{}

func (unsettle) Reset()             {}
func (unsettle) ShouldRepeat() bool { return false }

func (unsettle) Visit(node *ast.Node) {
	if call, ok := (*node).(*ast.CallNode); ok {
		call.SetType(nil)
	}
}

// class groups the types of an expression by the operators they know.
type class uint8

const (
	clAny class = iota // known only when it runs
	clNil
	clText
	clNumber
	clDecimal
	clDate
	clClock
	clTimestamp
	clInstant
	clOther
)

func classOf(n ast.Node) class {
	if _, ok := n.(*ast.NilNode); ok {
		return clNil
	}
	t := n.Type()
	switch {
	case t == nil || t.Kind() == reflect.Interface:
		return clAny
	case t == reflect.TypeFor[string]():
		return clText
	case t == reflect.TypeFor[int]():
		return clNumber
	case t == reflect.TypeFor[Decimal]():
		return clDecimal
	case t == reflect.TypeFor[Date]():
		return clDate
	case t == reflect.TypeFor[Clock]():
		return clClock
	case t == reflect.TypeFor[Timestamp]():
		return clTimestamp
	case t == reflect.TypeFor[Instant]():
		return clInstant
	}
	return clOther
}

// patcher replaces the operators by ours, which know decimals, dates and NULL,
// and notes which columns the expression reads.
type patcher struct {
	scope *scope
	again bool
	// fresh are the calls made in this walk; their types are known in the next.
	fresh map[ast.Node]bool
	// names are the identifiers, members the properties, rowColumns those of row.
	names, members, rowColumns map[string]bool
	rowUses, rowMembers        int
	err                        error
	hint                       string
	at                         int
}

// Reset is called before each walk.
func (p *patcher) Reset() {
	p.again = false
	p.fresh = map[ast.Node]bool{}
	p.rowUses, p.rowMembers = 0, 0
	p.names, p.members, p.rowColumns = map[string]bool{}, map[string]bool{}, map[string]bool{}
}

// ShouldRepeat says that the types are to be worked out anew.
func (p *patcher) ShouldRepeat() bool { return p.again }

var operatorFunctions = map[string]string{"+": "op_add", "-": "op_sub", "*": "op_mul", "==": "op_eq", "!=": "op_ne",
	"<": "op_lt", "<=": "op_le", ">": "op_gt", ">=": "op_ge"}

// Visit is called for each node, children first.
func (p *patcher) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		p.names[n.Value] = true
		if n.Value == "$env" {
			p.fail(n, fmt.Errorf("$env is not part of the language"))
		}
		if n.Value == "row" {
			p.rowUses++
		}
	case *ast.MemberNode:
		p.member(n)
	case *ast.CallNode:
		p.call(n)
	case *ast.BinaryNode:
		p.binary(node, n)
	case *ast.UnaryNode:
		if c := classOf(n.Node); n.Operator == "-" && (c == clDecimal || c == clAny) && !p.holdsFresh(n.Node) {
			p.replace(node, "op_neg", reflect.TypeFor[Decimal](), n.Node)
		}
	}
}

// call checks the name of a code map while the document is compiled.
func (p *patcher) call(n *ast.CallNode) {
	if f, ok := n.Callee.(*ast.IdentifierNode); !ok || f.Value != "codes" || len(n.Arguments) == 0 {
		return
	}
	name, ok := n.Arguments[0].(*ast.StringNode)
	if !ok {
		p.fail(n, fmt.Errorf("codes takes the name of a code map in quotes"))
		return
	}
	if p.scope.maps[name.Value] == nil {
		p.fail(name, fmt.Errorf("unknown code map %q", name.Value))
		p.hint = didYouMean(name.Value, codeMapNames(p.scope.maps))
	}
}

func (p *patcher) member(n *ast.MemberNode) {
	name, constant := n.Property.(*ast.StringNode)
	base, isName := n.Node.(*ast.IdentifierNode)
	if isName && base.Value == "row" && p.scope.table != nil {
		p.rowMembers++
		if !constant {
			p.fail(n, fmt.Errorf("a column is named in the expression itself: row.name"))
			return
		}
		p.rowColumns[name.Value] = true
	}
	if !constant {
		return
	}
	p.members[name.Value] = true
	// Behind first() and the like the checker does not know the type of a row.
	for _, j := range p.scope.joins {
		if j.Table.Column(name.Value) >= 0 {
			return
		}
	}
	if !isName || base.Value != "row" {
		p.fail(name, fmt.Errorf("unknown column %q", name.Value))
		p.hint = didYouMean(name.Value, p.scope.columns())
	}
}

func (p *patcher) binary(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "/", "%", "**", "^":
		p.fail(n, fmt.Errorf("there is no operator %s: divide with div(a, b, scale), which says how to round", n.Operator))
		return
	}
	fn, ok := operatorFunctions[n.Operator]
	if !ok || p.holdsFresh(n.Left) || p.holdsFresh(n.Right) {
		return
	}
	l, r := classOf(n.Left), classOf(n.Right)
	result, ok := operate(n.Operator, l, r)
	if ok {
		p.replace(node, fn, result, n.Left, n.Right)
	}
}

// operate says what an operator gives for two classes; false leaves the operator
// alone, and the type check reports it if it does not fit.
func operate(op string, l, r class) (reflect.Type, bool) {
	number := func(c class) bool { return c == clNumber || c == clDecimal }
	switch op {
	case "==", "!=":
		ok := l == clAny || r == clAny || l == clNil || r == clNil || l == r && l != clOther || number(l) && number(r)
		return reflect.TypeFor[bool](), ok
	case "<", "<=", ">", ">=":
		ok := l != clOther && r != clOther && l != clNil && r != clNil && (l == clAny || r == clAny || l == r || number(l) && number(r))
		return reflect.TypeFor[bool](), ok
	}
	switch {
	case l == clNumber && r == clNumber:
		return reflect.TypeFor[int](), true
	case number(l) && number(r):
		return reflect.TypeFor[Decimal](), true
	case op == "+" && l == clText && r == clText:
		return reflect.TypeFor[string](), true
	case l == clAny && (r == clAny || number(r) || r == clText) || r == clAny && (number(l) || l == clText):
		return reflect.TypeFor[any](), true
	}
	return nil, false
}

func (p *patcher) replace(node *ast.Node, fn string, result reflect.Type, operands ...ast.Node) {
	name := &ast.IdentifierNode{Value: fn + suffix(result)}
	name.SetLocation((*node).Location())
	call := &ast.CallNode{Callee: name, Arguments: operands}
	call.SetLocation((*node).Location())
	*node = call
	p.fresh[call] = true
	p.again = true
}

// holdsFresh says that a node's type is not known in this walk, because
// something below it has just been replaced.
func (p *patcher) holdsFresh(node ast.Node) bool {
	f := &finder{fresh: p.fresh}
	ast.Walk(&node, f)
	return f.found
}

type finder struct {
	fresh map[ast.Node]bool
	found bool
}

func (f *finder) Visit(node *ast.Node) { f.found = f.found || f.fresh[*node] }

// suffix tells apart the functions of one operator by the type they give.
func suffix(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[int]():
		return "_int"
	case reflect.TypeFor[Decimal]():
		return "_decimal"
	case reflect.TypeFor[string]():
		return "_text"
	}
	return ""
}

func (p *patcher) fail(n ast.Node, err error) {
	if p.err == nil {
		p.err, p.at = err, n.Location().From
	}
}
