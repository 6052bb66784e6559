package mapping

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/strait-cdc/strait/schemas"
)

// Bounds of an expression: its size, and the memory a run may take (elements of
// lists it makes).
const (
	maxExprNodes  = 500
	maxExprMemory = 100_000
)

// scope is what an expression may name.
type scope struct {
	// table and joins are those of the row; nil for an expression over fields.
	table *schemas.Table
	joins []Join
	// fields are the names and types of canonical values, for unless.
	fields []*Field
	// system and maps are for codes().
	system string
	maps   map[string]*codeMap
}

// program is a compiled expression.
type program struct {
	text string
	run  *vm.Program
	// columns and joins are what it reads of the row, by index.
	columns []int
	joins   []joinUse
	scope   *scope
	result  reflect.Type
	pool    sync.Pool
}

type joinUse struct {
	index   int
	columns []int
}

// machine is what one run needs; machines are used again.
type machine struct {
	vm  vm.VM
	env map[string]any
	row map[string]any
}

// goType is how values of a column appear in an expression; nil if they cannot.
func goType(k schemas.Kind) reflect.Type {
	switch k {
	case schemas.KindText, schemas.KindUUID, schemas.KindEnum, schemas.KindSet, schemas.KindJSON:
		return reflect.TypeFor[string]()
	case schemas.KindBool, schemas.KindInt16, schemas.KindInt32, schemas.KindInt64, schemas.KindYear:
		return reflect.TypeFor[int]()
	case schemas.KindUint64, schemas.KindDecimal, schemas.KindNumeric, schemas.KindFloat32, schemas.KindFloat64:
		return reflect.TypeFor[Decimal]()
	case schemas.KindDate:
		return reflect.TypeFor[Date]()
	case schemas.KindTime:
		return reflect.TypeFor[Clock]()
	case schemas.KindTimestamp:
		return reflect.TypeFor[Timestamp]()
	case schemas.KindTimestampTZ:
		return reflect.TypeFor[Instant]()
	}
	return nil
}

// exprType makes expr's type of a Go type.
func exprType(t reflect.Type) types.Type { return types.TypeOf(reflect.Zero(t).Interface()) }

func tableType(t *schemas.Table) types.Map {
	m := types.Map{}
	for i := range t.Columns {
		if g := goType(t.Columns[i].Type.Kind); g != nil {
			m[t.Columns[i].Name] = exprType(g)
		}
	}
	return m
}

func (s *scope) env() types.Map {
	env := types.Map{}
	if s.table != nil {
		env["row"] = tableType(s.table)
	}
	for _, j := range s.joins {
		env[j.Name] = types.Array(tableType(j.Table))
	}
	for _, f := range s.fields {
		if g := goType(f.Type.Kind); g != nil {
			env[f.Name] = exprType(g)
		}
	}
	return env
}

func (s *scope) names() []string {
	var out []string
	for n := range s.env() {
		out = append(out, n)
	}
	return out
}

// exprError is a compile error with its place in the expression, from 0.
type exprError struct {
	line, col int
	msg, hint string
}

func (e *exprError) Error() string { return e.msg }

// compileExpr compiles an expression. want is the Go type the result must have;
// nil for any.
func compileExpr(text string, s *scope, want reflect.Type) (*program, *exprError) {
	fix := &patcher{scope: s}
	fix.Reset()
	opts := append([]expr.Option{expr.Env(s.env()), expr.DisableAllBuiltins(), expr.MaxNodes(maxExprNodes)}, allowed()...)
	opts = append(opts, functions(s)...)
	opts = append(opts, expr.Patch(literals{}), expr.Patch(sums{}), expr.Patch(fix), expr.Patch(unsettle{}))
	run, err := expr.Compile(text, opts...)
	if fix.err != nil {
		line, col := place(text, fix.at)
		return nil, &exprError{line, col, fix.err.Error(), fix.hint}
	}
	if err != nil {
		return nil, s.explain(err)
	}
	if fix.rowUses > fix.rowMembers {
		return nil, &exprError{1, 0, "row is not a value; name a column of it: row.name", ""}
	}
	p := &program{text: text, run: run, scope: s, result: run.Node().Type()}
	if want != nil && !fits(p.result, want) {
		return nil, &exprError{1, 0, fmt.Sprintf("the expression gives %s, %s is needed", className(p.result), className(want)), ""}
	}
	s.uses(p, fix)
	p.pool.New = func() any {
		m := &machine{env: map[string]any{}, row: map[string]any{}}
		m.vm.MemoryBudget = maxExprMemory
		return m
	}
	return p, nil
}

func fits(have, want reflect.Type) bool {
	if have == nil || have.Kind() == reflect.Interface || have == want {
		return true
	}
	number := func(t reflect.Type) bool { return t == reflect.TypeFor[int]() || t == reflect.TypeFor[Decimal]() }
	truth := func(t reflect.Type) bool { return t == reflect.TypeFor[int]() || t == reflect.TypeFor[bool]() }
	return number(have) && number(want) || truth(have) && truth(want)
}

// place turns a rune offset into line and column of the expression.
func place(text string, offset int) (line, col int) {
	line = 1
	for i, r := range []rune(text) {
		if i == offset {
			break
		}
		if col++; r == '\n' {
			line, col = line+1, 0
		}
	}
	return line, col
}

var unknownName = regexp.MustCompile(`unknown (name|field) (\S+)`)

// explain puts an error of the expression library into our words.
func (s *scope) explain(err error) *exprError {
	var fe *file.Error
	if !errors.As(err, &fe) {
		return &exprError{1, 0, plainTypes(err.Error()), ""}
	}
	e := &exprError{line: max(fe.Line, 1), col: fe.Column, msg: plainTypes(fe.Message)}
	m := unknownName.FindStringSubmatch(fe.Message)
	if m == nil {
		return e
	}
	if m[1] == "name" {
		if s.table != nil && s.table.Column(m[2]) >= 0 {
			e.hint = fmt.Sprintf("a column is written row.%s", m[2])
		} else {
			e.hint = didYouMean(m[2], append(s.names(), functionNames()...))
			if m[2] == "now" || m[2] == "today" {
				e.hint = "expressions have no clock: they give the same result whenever they run"
			}
		}
		return e
	}
	e.msg = fmt.Sprintf("unknown column %q", m[2])
	if s.table != nil {
		if c := s.table.Column(m[2]); c >= 0 {
			e.msg = fmt.Sprintf("column %q has the type %s, which expressions cannot read", m[2], nativeName(s.table.Columns[c].Type))
			return e
		}
	}
	e.hint = didYouMean(m[2], s.columns())
	return e
}

// columns are the names of all columns that an expression may read.
func (s *scope) columns() []string {
	var out []string
	if s.table != nil {
		out = columnNames(s.table)
	}
	for _, j := range s.joins {
		out = append(out, columnNames(j.Table)...)
	}
	return out
}

func columnNames(t *schemas.Table) []string {
	out := make([]string, len(t.Columns))
	for i := range t.Columns {
		out[i] = t.Columns[i].Name
	}
	return out
}

// plainTypes replaces Go's names of types by those of the language.
func plainTypes(s string) string {
	return strings.NewReplacer("mapping.Decimal", "decimal", "mapping.Date", "date", "mapping.Clock", "time", "mapping.Timestamp", "timestamp",
		"mapping.Instant", "instant", "map[string]interface {}", "row", "[]interface {}", "list", "interface {}", "any", "string", "text").Replace(s)
}

// uses notes what the program reads.
func (s *scope) uses(p *program, fix *patcher) {
	if s.table != nil {
		for c := range s.table.Columns {
			if fix.rowColumns[s.table.Columns[c].Name] {
				p.columns = append(p.columns, c)
			}
		}
	}
	for i, j := range s.joins {
		if !fix.names[j.Name] {
			continue
		}
		use := joinUse{index: i}
		for c := range j.Table.Columns {
			if fix.members[j.Table.Columns[c].Name] && goType(j.Table.Columns[c].Type.Kind) != nil {
				use.columns = append(use.columns, c)
			}
		}
		p.joins = append(p.joins, use)
	}
}

// onRow runs the program over a row.
func (p *program) onRow(env Env) (any, error) {
	m := p.pool.Get().(*machine)
	defer p.pool.Put(m)
	if p.scope.table != nil {
		if err := fill(m.row, env.Row, p.scope.table, p.columns); err != nil {
			return nil, err
		}
		m.env["row"] = m.row
	}
	for _, use := range p.joins {
		j := p.scope.joins[use.index]
		var rows []schemas.Row
		if use.index < len(env.Joined) {
			rows = env.Joined[use.index]
		}
		list := make([]any, len(rows))
		for i, r := range rows {
			x := make(map[string]any, len(use.columns))
			if err := fill(x, r, j.Table, use.columns); err != nil {
				return nil, err
			}
			list[i] = x
		}
		m.env[j.Name] = list
	}
	return p.eval(m)
}

// onFields runs the program over canonical values in the order of the scope.
func (p *program) onFields(values []schemas.Value) (any, error) {
	m := p.pool.Get().(*machine)
	defer p.pool.Put(m)
	for i, f := range p.scope.fields {
		x, err := toExpr(values[i], f.Type.Kind)
		if err != nil {
			return nil, err
		}
		m.env[f.Name] = x
	}
	return p.eval(m)
}

func (p *program) eval(m *machine) (any, error) {
	out, err := m.vm.Run(p.run, m.env)
	// Nothing of the row stays behind in the machine.
	clear(m.row)
	clear(m.env)
	clear(m.vm.Stack[:cap(m.vm.Stack)])
	clear(m.vm.Variables)
	if err == nil {
		return out, nil
	}
	var fe *file.Error
	msg := err.Error()
	if errors.As(err, &fe) {
		msg = fe.Message
		if fe.Prev != nil && msg == "" {
			msg = fe.Prev.Error()
		}
	}
	if strings.Contains(msg, "interface conversion: interface {} is nil") || strings.Contains(msg, "nil") && strings.Contains(msg, "invalid operation") {
		msg = "a value is NULL; say what that means with ??, as in row.x ?? ''"
	}
	return nil, fmt.Errorf("%s: %s", p.text, plainTypes(msg))
}

func fill(into map[string]any, row schemas.Row, t *schemas.Table, columns []int) error {
	for _, c := range columns {
		x, err := toExpr(row[c], t.Columns[c].Type.Kind)
		if err != nil {
			return fmt.Errorf("column %s: %w", t.Columns[c].Name, err)
		}
		into[t.Columns[c].Name] = x
	}
	return nil
}

func toExpr(v schemas.Value, k schemas.Kind) (any, error) {
	if v.IsNull() {
		return nil, nil
	}
	if v.IsUnchanged() {
		return nil, errNotInLog
	}
	switch goType(k) {
	case reflect.TypeFor[string]():
		return v.Text(), nil
	case reflect.TypeFor[int]():
		return int(v.Int()), nil
	case reflect.TypeFor[Date]():
		return Date{v.Int()}, nil
	case reflect.TypeFor[Clock]():
		return Clock{v.Int()}, nil
	case reflect.TypeFor[Timestamp]():
		return Timestamp{v.Int()}, nil
	case reflect.TypeFor[Instant]():
		return Instant{v.Int()}, nil
	case reflect.TypeFor[Decimal]():
		if v.Storage() == schemas.StoreInt && v.Int() < math.MaxInt64 {
			return decimalOfInt(v.Int()), nil
		}
		s, err := plain(v)
		if err != nil {
			return nil, err
		}
		return parseDecimal(s)
	}
	return nil, fmt.Errorf("values of type %s do not go into expressions", k)
}

// errNotInLog is met where a large value was not logged and no earlier row is known.
var errNotInLog = errors.New("the value is not in the log (an unchanged large value) and no earlier one is known; re-read the row with a snapshot")

// fromExpr makes a value of the result of an expression, in the form of a type.
func fromExpr(x any, t schemas.Type) (schemas.Value, error) {
	var v schemas.Value
	var fam family
	switch y := x.(type) {
	case nil:
		return schemas.Null, nil
	case string:
		if y == "" && t.Kind == schemas.KindText {
			return schemas.Null, nil
		}
		v, fam = schemas.Text(y), famText
	case bool:
		v, fam = schemas.Bool(y), famBool
	case int:
		v, fam = schemas.Int(int64(y)), famNumber
		if t.Kind == schemas.KindBool {
			fam = famBool
			v = schemas.Bool(y != 0)
		}
	case Decimal:
		v, fam = schemas.Text(y.String()), famNumber
	case Date:
		v, fam = schemas.Int(y.days), famDate
	case Clock:
		v, fam = schemas.Int(y.micros), famTime
	case Timestamp:
		v, fam = schemas.Int(y.micros), famTimestamp
	case Instant:
		v, fam = schemas.Int(y.micros), famInstant
	default:
		return schemas.Null, fmt.Errorf("a list or a row is not a value")
	}
	if fam == famBool && familyOf(t.Kind) == famNumber {
		fam = famNumber
	}
	want := familyOf(t.Kind)
	if fam != want && !(fam == famText && want == famJSON) {
		return schemas.Null, fmt.Errorf("%v is not of type %s", x, typeName(t))
	}
	switch want {
	case famNumber:
		return numberFunc(t)(v)
	case famJSON:
		return canonicalJSON(v)
	case famTime, famTimestamp, famInstant:
		return clip(t.Precision)(v)
	}
	if t.Kind == schemas.KindUUID {
		return uuidForm(v)
	}
	return v, nil
}

// className is the name of an expression's type in messages.
func className(t reflect.Type) string {
	if t == nil {
		return "nothing"
	}
	switch t {
	case reflect.TypeFor[string]():
		return "a text"
	case reflect.TypeFor[int]():
		return "a whole number"
	case reflect.TypeFor[bool]():
		return "a truth (compare with == to get one)"
	}
	return "a " + plainTypes(t.String())
}

func functionNames() []string {
	out := append([]string(nil), predicates...)
	for n := range exprFunctions {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}
