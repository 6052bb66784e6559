package avro

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// verify decodes the records of a change with goavro and compares what it sees
// with the change.
func (e *Encoder) verify(p *program, c *schemas.Change, records []schemas.Record) error {
	for i := range records {
		r := &records[i]
		if r.Value == nil {
			continue
		}
		if err := p.verifyValue(c, r); err != nil {
			return err
		}
		if r.Key == nil {
			continue
		}
		row := c.After
		if row == nil || i == 0 && len(records) > 1 {
			row = c.Before
		}
		if err := p.verifyKey(c, row, r.Key); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) verifyValue(c *schemas.Change, r *schemas.Record) error {
	native, rest, err := p.valueCodec.NativeFromBinary(r.Value[5:])
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes are left over", len(rest))
	}
	m := native.(map[string]any)
	names := p.names()
	for side, row := range map[string]schemas.Row{sideBefore: c.Before, sideAfter: c.After} {
		got, ok := unwrap(m[side]).(map[string]any)
		if !ok {
			continue // absent: of a half of a change of key, or not known
		}
		if row == nil {
			return fmt.Errorf("there is a row %s where the change has none", side)
		}
		for i, s := range p.columns {
			if err := s.same(row[i], got[names[i]]); err != nil {
				return fmt.Errorf("%s.%s: %w", side, names[i], err)
			}
		}
	}
	ns, _ := nanos(c.Txn.Time)
	if got := m["source"].(map[string]any)["ts_ms"]; got != floorDiv(ns, 1e6) {
		return fmt.Errorf("source.ts_ms is %v, want %d", got, floorDiv(ns, 1e6))
	}
	return nil
}

func (p *program) verifyKey(c *schemas.Change, row schemas.Row, key []byte) error {
	native, rest, err := p.keyCodec.NativeFromBinary(key[5:])
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if len(rest) > 0 {
		return fmt.Errorf("key: %d bytes are left over", len(rest))
	}
	names := p.names()
	for i, k := range p.table.Key {
		v := row[k]
		if v.IsUnchanged() && c.Before != nil {
			v = c.Before[k]
		}
		if err := p.keys[i].same(v, native.(map[string]any)[names[k]]); err != nil {
			return fmt.Errorf("key.%s: %w", names[k], err)
		}
	}
	return nil
}

func (p *program) names() []string {
	names := make([]string, len(p.table.Columns))
	for i, c := range p.table.Columns {
		names[i] = c.Name
	}
	return fieldNames(names)
}

// unwrap takes the value out of goavro's map for a union.
func unwrap(v any) any {
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		for _, inner := range m {
			return inner
		}
	}
	return v
}

// same compares a value with what goavro decoded. Values without an exact form
// are in the header, and unchanged ones are not known: nothing to compare.
func (s *shape) same(v schemas.Value, got any) error {
	if s.nullable {
		if got == nil {
			if _, ok := s.append(nil, &v); v.Storage() == s.store && ok {
				return fmt.Errorf("null, want %s", v)
			}
			return nil
		}
		got = unwrap(got)
	}
	if v.Storage() != s.store {
		return nil
	}
	if _, ok := s.append(nil, &v); !ok {
		return nil
	}
	if !s.equal(v, got) {
		return fmt.Errorf("%v, want %s", got, v)
	}
	return nil
}

// equal is written without the code that encodes: it starts from what goavro
// decoded.
func (s *shape) equal(v schemas.Value, got any) bool {
	switch g := got.(type) {
	case bool:
		return g == v.Bool()
	case int32:
		return s.equalInt(v, int64(g))
	case int64:
		return s.equalInt(v, g)
	case float32:
		return schemas.Float(float64(g)) == v
	case float64:
		return schemas.Float(g) == v
	case string:
		return s.equalText(v, g)
	case []byte:
		return s.equalBytes(v, g)
	case *big.Rat:
		if s.form == formUint {
			return g.IsInt() && g.Num().Cmp(new(big.Int).SetUint64(v.Uint())) == 0
		}
		return g.FloatString(max(s.typ.Scale, 0)) == v.Text()
	case map[string]any:
		return equalNumeric(v, g)
	case []any:
		return s.equalArray(v, g)
	}
	return false
}

func (s *shape) equalInt(v schemas.Value, g int64) bool {
	infinite := v.Int() == schemas.InfinityPlus || v.Int() == schemas.InfinityMinus
	switch s.form {
	case formDate:
		if infinite {
			return g == math.MaxInt32 && v.Int() > 0 || g == math.MinInt32 && v.Int() < 0
		}
	case formTimeMilli, formStampMilli:
		if !infinite {
			return g*1000 == v.Int()
		}
	}
	return g == v.Int()
}

func (s *shape) equalText(v schemas.Value, g string) bool {
	switch s.form {
	case formZoned:
		us, ok := parseZoned(g)
		return ok && us == v.Int()
	case formZonedTime:
		return timeTZ(g) == v.Text()
	}
	return g == v.Text()
}

func (s *shape) equalBytes(v schemas.Value, g []byte) bool {
	if s.form != formBits {
		return string(g) == v.Text()
	}
	want := []byte(v.Text())
	for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
		want[i], want[j] = want[j], want[i]
	}
	return bytes.Equal(bytes.TrimRight(g, "\x00"), bytes.TrimRight(want, "\x00"))
}

func equalNumeric(v schemas.Value, g map[string]any) bool {
	scale, ok1 := g["scale"].(int32)
	raw, ok2 := g["value"].([]byte)
	want, ok3 := new(big.Rat).SetString(v.Text())
	if !ok1 || !ok2 || !ok3 || len(raw) == 0 {
		return false
	}
	n := new(big.Int).SetBytes(raw)
	if raw[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
	}
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	return new(big.Rat).SetFrac(n, ten).Cmp(want) == 0
}

func (s *shape) equalArray(v schemas.Value, g []any) bool {
	items, ok := parseArray(v.Text())
	if !ok || len(items) != len(g) {
		return false
	}
	for i, it := range items {
		if it.null || g[i] == nil {
			if !it.null || g[i] != nil {
				return false
			}
			continue
		}
		want, ok := itemValue(it.text, &s.item.typ)
		if !ok || !s.item.equal(want, unwrap(g[i])) {
			return false
		}
	}
	return true
}

// selfCheck proves a new program before its first use: generated rows go through
// it and come back through goavro and through our own decoder.
func (e *Encoder) selfCheck(p *program) error {
	back, err := newPlan(p.value, p.key)
	if err != nil {
		return err
	}
	buf, saved := e.buf, e.exact
	defer func() { e.buf, e.exact = buf, saved }()
	for n := range 6 {
		c := p.sample(n)
		e.buf, e.exact = nil, nil
		value, err := e.envelope(p, c, byte(c.Op), c.Before, c.After)
		if err != nil {
			return err
		}
		inexact := e.exact
		if err := p.verifyValue(c, &schemas.Record{Value: value}); err != nil {
			return fmt.Errorf("sample %d: %w", n, err)
		}
		if err := p.readBack(back, c, value, inexact); err != nil {
			return fmt.Errorf("sample %d: %w", n, err)
		}
		if len(p.keys) == 0 {
			continue
		}
		if key, err := e.key(p, c, c.After); err == nil {
			if err := p.verifyKey(c, c.After, key); err != nil {
				return fmt.Errorf("sample %d: %w", n, err)
			}
		}
	}
	return nil
}

func (p *program) readBack(back *plan, c *schemas.Change, value []byte, x exact) error {
	in := newReader(string(value[5:]))
	defer in.done()
	var got schemas.Change
	var src source
	back.envelope(in, &got, &src)
	if in.err != nil {
		return in.err
	}
	in.settle()
	for side, pair := range map[string][2]schemas.Row{sideBefore: {c.Before, got.Before}, sideAfter: {c.After, got.After}} {
		for i, want := range pair[0] {
			name := p.table.Columns[i].Name
			if _, inexact := x[side][name]; !inexact && pair[1][i] != want {
				return fmt.Errorf("%s.%s comes back as %q, was %q", side, name, pair[1][i], want)
			}
		}
	}
	return nil
}

// sample is an update with values that are easily got wrong: extremes, NULL,
// nothing, other alphabets, values left out.
func (p *program) sample(n int) *schemas.Change {
	row := make(schemas.Row, len(p.columns))
	before := make(schemas.Row, len(p.columns))
	for i, s := range p.columns {
		list := s.samples()
		row[i], before[i] = list[(n+i)%len(list)], list[n%len(list)]
		switch n {
		case 4:
			row[i] = schemas.Null
		case 5:
			row[i] = schemas.Unchanged
		}
	}
	return &schemas.Change{Op: schemas.Update, Table: p.table, Before: before, After: row, Txn: &schemas.Txn{ID: "1"}, LSN: 1}
}

func ints(list ...int64) []schemas.Value {
	out := make([]schemas.Value, len(list))
	for i, v := range list {
		out[i] = schemas.Int(v)
	}
	return out
}

func texts(list ...string) []schemas.Value {
	out := make([]schemas.Value, len(list))
	for i, v := range list {
		out[i] = schemas.Text(v)
	}
	return out
}

// samples are values of a shape.
func (s *shape) samples() []schemas.Value {
	switch s.form {
	case formBool:
		return ints(0, 1)
	case formInt:
		return ints(0, -1, math.MaxInt32, math.MinInt32, 64)
	case formLong, formTimeMicro:
		return ints(0, -1, math.MaxInt64, math.MinInt64, 8191)
	case formStampMicro:
		return ints(0, -1, schemas.InfinityPlus, 1_700_000_000_123_456, schemas.InfinityMinus)
	case formStampMilli, formZoned:
		return ints(0, -1000, schemas.InfinityPlus, 1_700_000_000_123_000, schemas.InfinityMinus)
	case formTimeMilli:
		return ints(0, 86_400_000_000, 45_296_789_000)
	case formDate:
		return ints(0, -1, schemas.InfinityPlus, 19782, schemas.InfinityMinus)
	case formFloat, formDouble:
		return []schemas.Value{schemas.Float(0), schemas.Float(-1.5), schemas.Float(math.NaN()), schemas.Float(math.Inf(-1))}
	case formString:
		return texts("", "zażółć gęślą 𝄞", "x", strings.Repeat("long ", 100))
	case formBytes:
		return []schemas.Value{schemas.Bytes(""), schemas.Bytes("\x00\xff"), schemas.Bytes("abc")}
	case formUint:
		return []schemas.Value{schemas.Uint(0), schemas.Uint(1 << 63), schemas.Uint(math.MaxUint64), schemas.Uint(127), schemas.Uint(128)}
	case formDecimal:
		return s.decimals()
	case formNumeric:
		return texts("0", "-0.010", "NaN", "123456789012345678901234567890.5", "-128")
	case formZonedTime:
		return texts("12:34:56.789012+02", "00:00:00+00", "23:59:59-05:30", "00:00:00+15:59:59")
	case formBits:
		n := max((s.typ.Length+7)/8, 1)
		return []schemas.Value{schemas.Bytes(strings.Repeat("\x00", n)), schemas.Bytes(strings.Repeat("\x01", n))}
	case formArray:
		return texts("{}", "{NULL}", "{NULL,NULL}")
	}
	return []schemas.Value{schemas.Null}
}

func (s *shape) decimals() []schemas.Value {
	fraction := ""
	if s.typ.Scale > 0 {
		fraction = "." + strings.Repeat("0", s.typ.Scale-1) + "1"
	}
	out := texts("0"+fraction, "NaN")
	if s.digits == 0 || s.digits > max(s.typ.Scale, 0) {
		out = append(out, texts("1"+fraction, "-9"+fraction)...)
	}
	if n := s.digits - max(s.typ.Scale, 0); n > 18 {
		out = append(out, texts("-"+strings.Repeat("9", n)+fraction)...)
	}
	return out
}
