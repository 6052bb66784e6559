package mapping

import (
	"fmt"
	"sort"
	"strconv"

	"github.com/strait-cdc/strait/schemas"
)

// codeMap is a checked CodeMap: for each system, which of its spellings mean
// which code. The canonical value is the code, a text.
type codeMap struct {
	name string
	doc  *codeMapDoc
	// codes are the canonical codes of the rows, in their order.
	codes []string
	// keepUnknown passes values that are not listed.
	keepUnknown bool
}

// compileCodeMap checks what can be checked without knowing columns.
func (c *compiler) compileCodeMap(d *codeMapDoc) *codeMap {
	m := &codeMap{name: d.name.s, doc: d}
	switch {
	case !d.unknown.set() || d.unknown.s == "error":
	case d.unknown.s == "keep":
		m.keepUnknown = true
	default:
		c.add(d.unknown.pos, didYouMean(d.unknown.s, []string{"error", "keep"}), "unknown %q: what becomes of a value that is not listed?", d.unknown.s)
	}
	codes := map[string]bool{}
	read := map[string]pos{}
	for _, row := range d.rows {
		code := row.is
		for _, k := range row.keys {
			if !contains(c.docs.systems, k.s) {
				c.add(k.pos, didYouMean(k.s, append([]string{"is"}, c.docs.systems...)), "unknown system %q", k.s)
			}
			if !code.set() && len(row.on[k.s]) > 0 {
				code = row.on[k.s][0]
			}
			for _, t := range row.on[k.s] {
				if at, twice := read[k.s+"\x00"+t.s]; twice {
					c.add(t.pos, fmt.Sprintf("put all spellings that mean the same into one row, the one to be written first: %s: [a, b]", k.s),
						"code map %q: %q of %s stands in two rows (%s), so it cannot be read", m.name, t.s, k.s, at)
				}
				read[k.s+"\x00"+t.s] = t.pos
			}
		}
		if !code.set() {
			c.add(row.pos, "", "the row has no value")
			m.codes = append(m.codes, "")
			continue
		}
		if codes[code.s] {
			c.add(code.pos, "name the code with is: …", "code map %q: two rows have the code %q", m.name, code.s)
		}
		codes[code.s] = true
		m.codes = append(m.codes, code.s)
	}
	return m
}

// link makes the codec for a column type on a system.
func (m *codeMap) link(system string, from schemas.Type) (link, error) {
	toCode := map[schemas.Value]schemas.Value{}
	fromCode := map[schemas.Value]schemas.Value{}
	for i, row := range m.doc.rows {
		code := schemas.Text(m.codes[i])
		for j, t := range row.on[system] {
			raw, err := constant(t.s, from)
			if err != nil {
				return link{}, fmt.Errorf("code map %q, %s at %s: %w", m.name, system, t.pos, err)
			}
			toCode[raw] = code
			if j == 0 {
				fromCode[code] = raw
			}
		}
	}
	if len(toCode) == 0 {
		return link{}, fmt.Errorf("code map %q has no values for %s", m.name, system)
	}
	l := link{to: textType()}
	l.in = func(v schemas.Value) (schemas.Value, error) {
		if code, ok := toCode[v]; ok {
			return code, nil
		}
		if m.keepUnknown {
			return schemas.Text(v.String()), nil
		}
		return v, fmt.Errorf("code map %q has no row for %q of %s; add one", m.name, v.String(), system)
	}
	l.out = func(v, _ schemas.Value) (schemas.Value, error) {
		if raw, ok := fromCode[v]; ok {
			return raw, nil
		}
		if m.keepUnknown {
			return constant(v.Text(), from)
		}
		return v, fmt.Errorf("code map %q has no value of %s for the code %q; add one", m.name, system, v.Text())
	}
	return l, nil
}

// texts is the map for a value of any type in an expression.
func (m *codeMap) texts(system string) map[string]string {
	out := map[string]string{}
	for i, row := range m.doc.rows {
		for _, t := range row.on[system] {
			out[t.s] = m.codes[i]
		}
	}
	return out
}

// constant reads a constant of the document as a value of a column.
func constant(s string, t schemas.Type) (schemas.Value, error) {
	bad := func() (schemas.Value, error) {
		return schemas.Null, fmt.Errorf("%q is not a value of type %s", s, nativeName(t))
	}
	v := schemas.Text(s)
	switch familyOf(t.Kind) {
	case famText:
		if t.Kind == schemas.KindUUID {
			return uuidForm(v)
		}
		return v, fit(v, t)
	case famNumber:
		if !isPlain(s) {
			return bad()
		}
		return numberFunc(t)(v)
	case famBool:
		switch s {
		case "true", "1":
			return schemas.Int(1), nil
		case "false", "0":
			return schemas.Int(0), nil
		}
		return bad()
	case famDate:
		d, err := parseDate(s)
		if err != nil {
			return bad()
		}
		return schemas.Int(d), nil
	case famTimestamp, famInstant:
		n, err := parseStamp(s, t.Kind == schemas.KindTimestampTZ)
		if err != nil {
			return bad()
		}
		return schemas.Int(n), nil
	case famJSON:
		return canonicalJSON(v)
	}
	return schemas.Null, fmt.Errorf("constants of type %s are not supported", nativeName(t))
}

// codeMapNames are sorted, for hints.
func codeMapNames(m map[string]*codeMap) []string {
	out := make([]string, 0, len(m))
	for n := range m {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// codeText is a value as a code map's document spells it.
func codeText(x any) (string, bool) {
	switch v := x.(type) {
	case string:
		return v, true
	case int:
		return strconv.Itoa(v), true
	case Decimal:
		return v.String(), true
	}
	return "", false
}
