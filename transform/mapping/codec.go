package mapping

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// A codec turns a value on its way between a column and the canonical value: in
// towards the canonical value, out towards the column. Chains of codecs are
// written in the order of in; out goes through them from the end.
//
// The laws, which the tests check for each of them: in(out(v)) == v for every
// canonical v that out accepts, and in(out(in(x))) == in(x) for everything that
// in understands. NULL passes through untouched, and a text that is empty
// behind any codec is NULL.
type codec struct {
	name string
	// args shows the arguments in the reference.
	args string
	// doc is one sentence for the reference; law says what gets lost or changed.
	doc, law string
	// first codecs look at the old text of the column and stand next to it.
	first bool
	build func(a *args, from schemas.Type) (link, error)
}

// link is a codec with its arguments, for one side's chain.
type link struct {
	// to is the type behind it, towards the canonical value.
	to schemas.Type
	in valueFunc
	// out is nil for a codec of one way. old is the column's present value, for
	// codecs that replace a part; it is NULL for the others.
	out func(v, old schemas.Value) (schemas.Value, error)
	// nulls says that out is to be asked with NULL too.
	nulls bool
	// join and split are set, and in and out not, for a codec of several columns.
	join  func(cells []schemas.Value) (schemas.Value, error)
	split func(v schemas.Value) ([]schemas.Value, error)
}

// args are the arguments of a codec as written.
type args struct {
	list []arg
	next int
	// columns are the types of the columns, for codecs of several.
	columns []schemas.Type
}

type arg struct {
	s   string
	n   int
	num bool
}

func (a *args) text(def string) (string, error) {
	if a.next >= len(a.list) {
		if def == required {
			return "", fmt.Errorf("an argument is missing")
		}
		return def, nil
	}
	v := a.list[a.next]
	a.next++
	if v.num {
		return "", fmt.Errorf("%d: put texts in quotes: '%d'", v.n, v.n)
	}
	return v.s, nil
}

func (a *args) number(def int) (int, error) {
	if a.next >= len(a.list) {
		if def < 0 {
			return 0, fmt.Errorf("an argument is missing")
		}
		return def, nil
	}
	v := a.list[a.next]
	a.next++
	if !v.num {
		return 0, fmt.Errorf("%q is not a number", v.s)
	}
	return v.n, nil
}

// required marks an argument without default.
const required = "\x00"

// call is name(argument, …) taken apart.
type call struct {
	name string
	args args
}

// parseCall reads a codec as it stands in via: trim, yes_no('J', 'N'), len(20).
func parseCall(s string) (call, int, error) {
	s0 := s
	at := func() int { return len(s0) - len(s) }
	skip := func() { s = strings.TrimLeft(s, " ") }
	skip()
	i := 0
	for i < len(s) && (s[i] == '_' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= '0' && s[i] <= '9') {
		i++
	}
	c := call{name: s[:i]}
	if i == 0 {
		return c, at(), fmt.Errorf("expected the name of a codec, found %q", s)
	}
	s = s[i:]
	skip()
	if s == "" {
		return c, 0, nil
	}
	if s[0] != '(' {
		return c, at(), fmt.Errorf("expected ( behind %s, found %q", c.name, s)
	}
	s = s[1:]
	for {
		skip()
		if strings.HasPrefix(s, ")") && len(c.args.list) == 0 {
			break
		}
		switch {
		case s == "":
			return c, at(), fmt.Errorf("%s( is not closed; a codec with commas needs quotes around it: \"yes_no('J','N')\"", c.name)
		case s[0] == '\'' || s[0] == '"':
			end := strings.IndexByte(s[1:], s[0])
			if end < 0 {
				return c, at(), fmt.Errorf("a text is not closed")
			}
			c.args.list = append(c.args.list, arg{s: s[1 : 1+end]})
			s = s[end+2:]
		default:
			j := strings.IndexAny(s, ",) ")
			if j < 0 {
				j = len(s)
			}
			n, err := strconv.Atoi(s[:j])
			if err != nil {
				return c, at(), fmt.Errorf("%q is neither a number nor a text in quotes", s[:j])
			}
			c.args.list = append(c.args.list, arg{n: n, num: true})
			s = s[j:]
		}
		skip()
		if strings.HasPrefix(s, ",") {
			s = s[1:]
			continue
		}
		if !strings.HasPrefix(s, ")") {
			return c, at(), fmt.Errorf("expected , or ) in %s(…; a codec with commas needs quotes around it: \"yes_no('J','N')\"", c.name)
		}
		break
	}
	s = strings.TrimLeft(s[1:], " ")
	if s != "" {
		return c, at(), fmt.Errorf("unexpected %q behind %s(…)", s, c.name)
	}
	return c, 0, nil
}

// findCodec looks a codec up by name.
func findCodec(name string) *codec {
	for i := range codecs {
		if codecs[i].name == name {
			return &codecs[i]
		}
	}
	return nil
}

func codecNames() []string {
	out := make([]string, len(codecs))
	for i, c := range codecs {
		out[i] = c.name
	}
	return out
}

// needs refuses a codec on a type it does not understand.
func needs(from schemas.Type, what string, fams ...family) error {
	for _, f := range fams {
		if familyOf(from.Kind) == f {
			return nil
		}
	}
	return fmt.Errorf("works on %s, here it gets %s", what, nativeName(from))
}

func textType() schemas.Type { return schemas.Type{Kind: schemas.KindText} }

// keep is an out that changes nothing: the column holds the canonical form.
func keep(v, _ schemas.Value) (schemas.Value, error) { return v, nil }

// normalising is a codec of texts whose column holds the canonical form.
func normalising(from schemas.Type, f func(s string) string) (link, error) {
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	return link{to: from, out: keep, in: func(v schemas.Value) (schemas.Value, error) {
		s := v.Text()
		if t := f(s); t != s {
			return schemas.Text(t), nil
		}
		return v, nil
	}}, nil
}
