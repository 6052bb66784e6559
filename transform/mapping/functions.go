package mapping

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr"

	"github.com/strait-cdc/strait/schemas"
)

// predicates are the functions of the expression library that take a condition
// or a list; everything else is ours and pure: no clock, no chance, no I/O.
var predicates = []string{"all", "any", "none", "one", "filter", "map", "count", "find", "findLast", "sum", "len", "first", "last"}

func allowed() []expr.Option {
	out := make([]expr.Option, len(predicates))
	for i, p := range predicates {
		out[i] = expr.EnableBuiltin(p)
	}
	return out
}

// exprFunction is a function of expressions.
type exprFunction struct {
	// usage and doc are for the reference; usage is empty for what users do not call.
	usage, doc string
	run        func(args []any) (any, error)
	// types are pointers to function types that the arguments are checked with.
	types []any
}

// exprFunctions is the table of all functions. NULL given to a function of one
// value gives NULL.
var exprFunctions = map[string]exprFunction{
	"trim":   {"trim(text)", "Without blanks at both ends.", textFunc(strings.TrimSpace), []any{new(func(string) string)}},
	"lower":  {"lower(text)", "Lower case.", textFunc(stableLower), []any{new(func(string) string)}},
	"upper":  {"upper(text)", "Upper case.", textFunc(stableUpper), []any{new(func(string) string)}},
	"concat": {"concat(a, b, …)", "The texts, numbers and dates one after the other; NULL counts as empty.", concat, []any{new(func(...any) string)}},
	"left":   {"left(text, n)", "The first n characters.", left, []any{new(func(string, int) string)}},
	"right":  {"right(text, n)", "The last n characters.", right, []any{new(func(string, int) string)}},
	"replace": {"replace(text, old, new)", "Every old replaced by new.", replace,
		[]any{new(func(string, string, string) string)}},
	"text": {"text(x)", "Any value as a text.", toText, []any{new(func(any) string)}},
	"int":  {"int(x)", "A text or decimal as a whole number; an error if it is not one.", toWhole, []any{new(func(any) int)}},
	"decimal": {"decimal(x)", "A text or whole number as a decimal.", toDec,
		[]any{new(func(any) Decimal)}},
	"round": {"round(x, scale, mode)", "Rounded to so many digits after the point; mode is 'half_even' when left out.", round,
		[]any{new(func(Decimal, int) Decimal), new(func(Decimal, int, string) Decimal), new(func(int, int) Decimal), new(func(int, int, string) Decimal)}},
	"div": {"div(a, b, scale, mode)", "a divided by b, rounded to scale; mode is 'half_even' when left out. Division by zero is an error.", div,
		[]any{new(func(any, any, int) Decimal), new(func(any, any, int, string) Decimal)}},
	"abs":      {"abs(x)", "Without the sign.", absolute, []any{new(func(Decimal) Decimal), new(func(int) Decimal)}},
	"min":      {"min(a, b, …)", "The smallest of its arguments or of a list; NULL is left out.", extreme("<"), []any{new(func(...any) any)}},
	"max":      {"max(a, b, …)", "The largest of its arguments or of a list; NULL is left out.", extreme(">"), []any{new(func(...any) any)}},
	"coalesce": {"coalesce(a, b, …)", "The first that is not NULL; a ?? b does the same for two.", coalesce, []any{new(func(...any) any)}},
	"date":     {"date('2026-01-31')", "A date.", makeDate, []any{new(func(string) Date)}},
	"date_of": {"date_of(x, 'Europe/Berlin')", "The date of an instant in a zone, or of a timestamp (without zone).", dateOf,
		[]any{new(func(Instant, string) Date), new(func(Timestamp) Date)}},
	"year":         {"year(date)", "The year of a date.", dateFunc(func(t time.Time) any { return t.Year() }), []any{new(func(Date) int)}},
	"month":        {"month(date)", "The month of a date, 1 to 12.", dateFunc(func(t time.Time) any { return int(t.Month()) }), []any{new(func(Date) int)}},
	"day":          {"day(date)", "The day of the month.", dateFunc(func(t time.Time) any { return t.Day() }), []any{new(func(Date) int)}},
	"add_days":     {"add_days(date, n)", "The date so many days later, or earlier.", addDays, []any{new(func(Date, int) Date)}},
	"days_between": {"days_between(a, b)", "The days from date a to date b.", daysBetween, []any{new(func(Date, Date) int)}},

	"add_up":         {"", "", addUp, []any{new(func([]any) Decimal)}},
	"op_eq":          {"", "", func(a []any) (any, error) { return equal(a[0], a[1]) }, []any{new(func(any, any) bool)}},
	"op_ne":          {"", "", func(a []any) (any, error) { eq, err := equal(a[0], a[1]); return !eq, err }, []any{new(func(any, any) bool)}},
	"op_lt":          {"", "", compareFunc("<", func(c int) bool { return c < 0 }), []any{new(func(any, any) bool)}},
	"op_le":          {"", "", compareFunc("<=", func(c int) bool { return c <= 0 }), []any{new(func(any, any) bool)}},
	"op_gt":          {"", "", compareFunc(">", func(c int) bool { return c > 0 }), []any{new(func(any, any) bool)}},
	"op_ge":          {"", "", compareFunc(">=", func(c int) bool { return c >= 0 }), []any{new(func(any, any) bool)}},
	"op_add":         {"", "", arith("+"), []any{new(func(any, any) any)}},
	"op_sub":         {"", "", arith("-"), []any{new(func(any, any) any)}},
	"op_mul":         {"", "", arith("*"), []any{new(func(any, any) any)}},
	"op_add_int":     {"", "", arith("+"), []any{new(func(any, any) int)}},
	"op_sub_int":     {"", "", arith("-"), []any{new(func(any, any) int)}},
	"op_mul_int":     {"", "", arith("*"), []any{new(func(any, any) int)}},
	"op_add_decimal": {"", "", arith("+"), []any{new(func(any, any) Decimal)}},
	"op_sub_decimal": {"", "", arith("-"), []any{new(func(any, any) Decimal)}},
	"op_mul_decimal": {"", "", arith("*"), []any{new(func(any, any) Decimal)}},
	"op_add_text":    {"", "", arith("+"), []any{new(func(any, any) string)}},
	"op_neg_decimal": {"", "", func(a []any) (any, error) { return arith("-")([]any{0, a[0]}) }, []any{new(func(any) Decimal)}},
}

// functions are the options that make the table known, with codes() of the scope.
func functions(s *scope) []expr.Option {
	out := make([]expr.Option, 0, len(exprFunctions)+1)
	for name, f := range exprFunctions {
		out = append(out, expr.Function(name, func(args ...any) (any, error) { return f.run(args) }, f.types...))
	}
	texts := map[string]map[string]string{}
	for n, m := range s.maps {
		texts[n] = m.texts(s.system)
	}
	codes := func(args ...any) (any, error) {
		if args[1] == nil {
			return nil, nil
		}
		name, _ := args[0].(string)
		key, ok := codeText(args[1])
		if !ok {
			return nil, fmt.Errorf("codes: %v is neither a text nor a number", args[1])
		}
		code, ok := texts[name][key]
		if !ok {
			return nil, fmt.Errorf("code map %q has no row for %q of %s; add one", name, key, s.system)
		}
		return code, nil
	}
	return append(out, expr.Function("codes", codes, new(func(string, any) string)))
}

func textFunc(f func(string) string) func([]any) (any, error) {
	return func(a []any) (any, error) {
		if a[0] == nil {
			return nil, nil
		}
		return f(a[0].(string)), nil
	}
}

func concat(a []any) (any, error) {
	var b strings.Builder
	for _, x := range a {
		if x != nil {
			fmt.Fprint(&b, x)
		}
	}
	return b.String(), nil
}

func left(a []any) (any, error)  { return cut(a, func(r []rune, n int) []rune { return r[:n] }) }
func right(a []any) (any, error) { return cut(a, func(r []rune, n int) []rune { return r[len(r)-n:] }) }

func cut(a []any, f func(r []rune, n int) []rune) (any, error) {
	if a[0] == nil || a[1] == nil {
		return nil, nil
	}
	s, n := a[0].(string), max(0, a[1].(int))
	if utf8.RuneCountInString(s) <= n {
		return s, nil
	}
	return string(f([]rune(s), n)), nil
}

func replace(a []any) (any, error) {
	if a[0] == nil || a[1] == nil || a[2] == nil {
		return nil, nil
	}
	s, from, to := a[0].(string), a[1].(string), a[2].(string)
	// The bound keeps an expression from making a huge text out of a small one.
	if len(s)*(1+len(to)) > 1<<20 {
		return nil, fmt.Errorf("replace: the text is too long")
	}
	return strings.ReplaceAll(s, from, to), nil
}

func toText(a []any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	return fmt.Sprint(a[0]), nil
}

func toWhole(a []any) (any, error) {
	switch x := a[0].(type) {
	case nil:
		return nil, nil
	case int:
		return x, nil
	case string, Decimal:
		n, err := toInt(schemas.Text(strings.TrimSpace(fmt.Sprint(x))))
		return int(n), err
	}
	return nil, fmt.Errorf("int: %v is not a number", a[0])
}

func toDec(a []any) (any, error) {
	switch x := a[0].(type) {
	case nil:
		return nil, nil
	case string:
		if s := strings.TrimSpace(x); isPlain(s) {
			return parseDecimal(s)
		}
		return nil, fmt.Errorf("decimal: %q is not a number", x)
	}
	d, ok := number(a[0])
	if !ok {
		return nil, fmt.Errorf("decimal: %v is not a number", a[0])
	}
	return d, nil
}

func number(x any) (Decimal, bool) {
	switch v := x.(type) {
	case int:
		return decimalOfInt(int64(v)), true
	case Decimal:
		return v, true
	}
	return Decimal{}, false
}

func mode(a []any, i int) string {
	if i < len(a) {
		if s, ok := a[i].(string); ok {
			return s
		}
	}
	return "half_even"
}

func round(a []any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	d, ok := number(a[0])
	if !ok {
		return nil, fmt.Errorf("round: %v is not a number", a[0])
	}
	return d.round(a[1].(int), mode(a, 2))
}

func div(a []any) (any, error) {
	if a[0] == nil || a[1] == nil {
		return nil, nil
	}
	x, ok1 := number(a[0])
	y, ok2 := number(a[1])
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("div: %v and %v are not both numbers", a[0], a[1])
	}
	return x.div(y, a[2].(int), mode(a, 3))
}

func absolute(a []any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	d, ok := number(a[0])
	if !ok {
		return nil, fmt.Errorf("abs: %v is not a number", a[0])
	}
	if d.d.Negative {
		return decimalOfInt(0).calc("-", d)
	}
	return d, nil
}

func addUp(a []any) (any, error) {
	total := decimalOfInt(0)
	list, ok := a[0].([]any)
	if !ok {
		return nil, fmt.Errorf("sum: %v is not a list", a[0])
	}
	for _, x := range list {
		if x == nil {
			continue
		}
		d, ok := number(x)
		if !ok {
			return nil, fmt.Errorf("sum: %v is not a number", x)
		}
		var err error
		if total, err = total.calc("+", d); err != nil {
			return nil, err
		}
	}
	return total, nil
}

func extreme(op string) func([]any) (any, error) {
	return func(a []any) (any, error) {
		if len(a) == 1 {
			if list, ok := a[0].([]any); ok {
				a = list
			}
		}
		var best any
		for _, x := range a {
			if x == nil {
				continue
			}
			if best == nil {
				best = x
				continue
			}
			c, err := compare(x, best)
			if err != nil {
				return nil, err
			}
			if op == "<" && c < 0 || op == ">" && c > 0 {
				best = x
			}
		}
		return best, nil
	}
}

func coalesce(a []any) (any, error) {
	for _, x := range a {
		if x != nil {
			return x, nil
		}
	}
	return nil, nil
}

func makeDate(a []any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	d, err := parseDate(a[0].(string))
	return Date{d}, err
}

func dateOf(a []any) (any, error) {
	switch x := a[0].(type) {
	case nil:
		return nil, nil
	case Timestamp:
		return Date{floorDiv(x.micros, microsPerDay)}, nil
	case Instant:
		loc, err := loadZone(a[1].(string))
		if err != nil {
			return nil, err
		}
		return Date{daysOf(time.UnixMicro(x.micros).In(loc))}, nil
	}
	return nil, fmt.Errorf("date_of: %v has no date", a[0])
}

func dateFunc(f func(t time.Time) any) func([]any) (any, error) {
	return func(a []any) (any, error) {
		if a[0] == nil {
			return nil, nil
		}
		return f(a[0].(Date).time()), nil
	}
}

func addDays(a []any) (any, error) {
	if a[0] == nil || a[1] == nil {
		return nil, nil
	}
	return Date{a[0].(Date).days + int64(a[1].(int))}, nil
}

func daysBetween(a []any) (any, error) {
	if a[0] == nil || a[1] == nil {
		return nil, nil
	}
	return int(a[1].(Date).days - a[0].(Date).days), nil
}

// equal compares two values of one kind, numbers by their worth; NULL equals
// only NULL.
func equal(a, b any) (bool, error) {
	if a == nil || b == nil {
		return a == nil && b == nil, nil
	}
	if x, ok := a.(bool); ok {
		y, ok := b.(bool)
		return ok && x == y, nil
	}
	c, err := compare(a, b)
	return err == nil && c == 0, err
}

// compare orders two values of one kind.
func compare(a, b any) (int, error) {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), nil
		}
	case Date:
		if y, ok := b.(Date); ok {
			return cmpInt(x.days, y.days), nil
		}
	case Clock:
		if y, ok := b.(Clock); ok {
			return cmpInt(x.micros, y.micros), nil
		}
	case Timestamp:
		if y, ok := b.(Timestamp); ok {
			return cmpInt(x.micros, y.micros), nil
		}
	case Instant:
		if y, ok := b.(Instant); ok {
			return cmpInt(x.micros, y.micros), nil
		}
	case int:
		if y, ok := b.(int); ok {
			return cmpInt(int64(x), int64(y)), nil
		}
	}
	x, ok1 := number(a)
	y, ok2 := number(b)
	if !ok1 || !ok2 {
		return 0, fmt.Errorf("%v and %v cannot be compared", a, b)
	}
	return x.d.Cmp(y.d), nil
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareFunc(op string, f func(c int) bool) func([]any) (any, error) {
	return func(a []any) (any, error) {
		if a[0] == nil || a[1] == nil {
			return nil, nullOperand(op)
		}
		c, err := compare(a[0], a[1])
		return err == nil && f(c), err
	}
}

func nullOperand(op string) error {
	return fmt.Errorf("one side of %s is NULL; say what that means with ??, as in (row.x ?? 0)", op)
}

// arith computes exactly: whole numbers that leave the range of 64 bits are an
// error.
func arith(op string) func([]any) (any, error) {
	return func(a []any) (any, error) {
		if a[0] == nil || a[1] == nil {
			return nil, nullOperand(op)
		}
		if s, ok := a[0].(string); ok && op == "+" {
			if t, ok := a[1].(string); ok {
				return s + t, nil
			}
		}
		x, ok1 := a[0].(int)
		y, ok2 := a[1].(int)
		if ok1 && ok2 && x > math.MinInt32 && x < math.MaxInt32 && y > math.MinInt32 && y < math.MaxInt32 {
			switch op {
			case "+":
				return x + y, nil
			case "-":
				return x - y, nil
			}
			return x * y, nil
		}
		d, okd := number(a[0])
		e, oke := number(a[1])
		if !okd || !oke {
			return nil, fmt.Errorf("%v %s %v: not two numbers", a[0], op, a[1])
		}
		r, err := d.calc(op, e)
		if err != nil || !ok1 || !ok2 {
			return r, err
		}
		n, err := toInt(schemas.Text(r.String()))
		return int(n), err
	}
}
