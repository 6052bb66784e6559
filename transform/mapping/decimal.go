package mapping

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// Decimal is an exact decimal number of an expression. There are no floating
// point numbers in expressions: a literal with a point is a Decimal, and so is a
// value of a float column.
type Decimal struct {
	d *apd.Decimal
}

// exact computes with as many digits as any database's decimal has.
var exact = apd.BaseContext.WithPrecision(200)

func parseDecimal(s string) (Decimal, error) {
	d, _, err := apd.NewFromString(s)
	if err != nil || d.Form != apd.Finite {
		return Decimal{}, fmt.Errorf("%q is not a number", s)
	}
	return Decimal{d}, nil
}

func decimalOfInt(n int64) Decimal { return Decimal{apd.New(n, 0)} }

// String is the number in plain notation.
func (d Decimal) String() string {
	s := d.d.Text('f')
	if strings.HasPrefix(s, "-") && strings.Trim(s, "-0.") == "" {
		return s[1:]
	}
	return s
}

// rounders are the rounding modes by their names in the language.
var rounders = map[string]apd.Rounder{
	"half_even": apd.RoundHalfEven, "half_up": apd.RoundHalfUp, "half_down": apd.RoundHalfDown,
	"up": apd.RoundUp, "down": apd.RoundDown, "ceiling": apd.RoundCeiling, "floor": apd.RoundFloor,
}

func rounderNames() []string {
	return []string{"half_even", "half_up", "half_down", "up", "down", "ceiling", "floor"}
}

func roundText(d Decimal, scale int, mode string) (string, error) {
	r, err := d.round(scale, mode)
	if err != nil {
		return "", err
	}
	return r.String(), nil
}

func (d Decimal) round(scale int, mode string) (Decimal, error) {
	rounder, ok := rounders[mode]
	if !ok {
		return d, fmt.Errorf("unknown rounding %q; use one of %s", mode, strings.Join(rounderNames(), ", "))
	}
	if scale < 0 || scale > 30 {
		return d, fmt.Errorf("scale %d is not between 0 and 30", scale)
	}
	c := *exact
	c.Rounding = rounder
	out := new(apd.Decimal)
	if _, err := c.Quantize(out, d.d, int32(-scale)); err != nil {
		return d, fmt.Errorf("round: %w", err)
	}
	return Decimal{out}, nil
}

// div divides and rounds to a scale: there is no division without both.
func (d Decimal) div(by Decimal, scale int, mode string) (Decimal, error) {
	if by.d.IsZero() {
		return d, fmt.Errorf("division by zero")
	}
	q := new(apd.Decimal)
	if _, err := exact.Quo(q, d.d, by.d); err != nil {
		return d, fmt.Errorf("div: %w", err)
	}
	return Decimal{q}.round(scale, mode)
}

func (d Decimal) calc(op string, e Decimal) (Decimal, error) {
	out := new(apd.Decimal)
	var err error
	switch op {
	case "+":
		_, err = exact.Add(out, d.d, e.d)
	case "-":
		_, err = exact.Sub(out, d.d, e.d)
	case "*":
		_, err = exact.Mul(out, d.d, e.d)
	}
	if err != nil {
		return d, fmt.Errorf("%s: %w", op, err)
	}
	return Decimal{out}, nil
}
