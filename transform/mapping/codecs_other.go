package mapping

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

func intCodec(a *args, from schemas.Type) (link, error) {
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	return link{to: schemas.Type{Kind: schemas.KindInt64},
		in: func(v schemas.Value) (schemas.Value, error) {
			n, err := strconv.ParseInt(strings.TrimSpace(v.Text()), 10, 64)
			if err != nil {
				return v, fmt.Errorf("%q is not a whole number", v.Text())
			}
			return schemas.Int(n), nil
		},
		out: func(v, _ schemas.Value) (schemas.Value, error) {
			return schemas.Text(strconv.FormatInt(v.Int(), 10)), nil
		}}, nil
}

func decimalCodec(a *args, from schemas.Type) (link, error) {
	p, err := a.number(-1)
	if err != nil {
		return link{}, err
	}
	s, err := a.number(-1)
	if err != nil {
		return link{}, err
	}
	mode, err := a.text("half_even")
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "numbers and texts", famText, famNumber); err != nil {
		return link{}, err
	}
	if p < 1 || p > 65 || s < 0 || s > p {
		return link{}, fmt.Errorf("precision and scale: %d, %d do not make a decimal", p, s)
	}
	if _, ok := rounders[mode]; !ok {
		return link{}, fmt.Errorf("unknown rounding %q; use one of %s", mode, strings.Join(rounderNames(), ", "))
	}
	to := schemas.Type{Kind: schemas.KindDecimal, Precision: p, Scale: s}
	back := same
	if familyOf(from.Kind) == famNumber {
		back = numberFunc(from)
	}
	return link{to: to,
		in: func(v schemas.Value) (schemas.Value, error) {
			if v.Storage() == schemas.StoreText {
				v = schemas.Text(strings.TrimPrefix(strings.TrimSpace(v.Text()), "+"))
			}
			t, err := plain(v)
			if err != nil {
				return v, err
			}
			if r, err := rescale(t, s); err == nil {
				return toDecimal(schemas.Text(r), to)
			}
			d, err := parseDecimal(t)
			if err != nil {
				return v, err
			}
			if t, err = roundText(d, s, mode); err != nil {
				return v, err
			}
			return toDecimal(schemas.Text(t), to)
		},
		out: func(v, _ schemas.Value) (schemas.Value, error) { return back(v) }}, nil
}

func yesNoCodec(a *args, from schemas.Type) (link, error) {
	yes, err := a.text(required)
	if err != nil {
		return link{}, err
	}
	no, err := a.text(required)
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	if yes == no || yes == "" || no == "" {
		return link{}, fmt.Errorf("needs two different texts")
	}
	return link{to: schemas.Type{Kind: schemas.KindBool},
		in: func(v schemas.Value) (schemas.Value, error) {
			switch v.Text() {
			case yes:
				return schemas.Int(1), nil
			case no:
				return schemas.Int(0), nil
			}
			return v, fmt.Errorf("%q is neither %q nor %q", v.Text(), yes, no)
		},
		out: func(v, _ schemas.Value) (schemas.Value, error) {
			if v.Bool() {
				return schemas.Text(yes), nil
			}
			return schemas.Text(no), nil
		}}, nil
}

func boolCodec(a *args, from schemas.Type) (link, error) {
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	return link{to: schemas.Type{Kind: schemas.KindBool},
		in: func(v schemas.Value) (schemas.Value, error) {
			switch strings.ToLower(strings.TrimSpace(v.Text())) {
			case "true", "yes", "y", "t", "on", "1":
				return schemas.Int(1), nil
			case "false", "no", "n", "f", "off", "0":
				return schemas.Int(0), nil
			}
			return v, fmt.Errorf("%q is neither true nor false", v.Text())
		},
		out: func(v, _ schemas.Value) (schemas.Value, error) {
			return schemas.Text(strconv.FormatBool(v.Bool())), nil
		}}, nil
}

const microsPerDay = int64(24 * time.Hour / time.Microsecond)

func dateCodec(a *args, from schemas.Type) (link, error) {
	form, err := a.text(required)
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	for _, want := range []string{"YYYY", "MM", "DD"} {
		if strings.Count(form, want) != 1 {
			return link{}, fmt.Errorf("the form %q needs YYYY, MM and DD, each once", form)
		}
	}
	rest := strings.NewReplacer("YYYY", "", "MM", "", "DD", "").Replace(form)
	if strings.ContainsAny(rest, "0123456789") || strings.ContainsFunc(rest, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' }) {
		return link{}, fmt.Errorf("the form %q holds letters or digits that are none of YYYY, MM and DD", form)
	}
	layout := strings.NewReplacer("YYYY", "2006", "MM", "01", "DD", "02").Replace(form)
	return link{to: schemas.Type{Kind: schemas.KindDate},
		in: func(v schemas.Value) (schemas.Value, error) {
			t, err := time.Parse(layout, strings.TrimSpace(v.Text()))
			if err != nil {
				return v, fmt.Errorf("%q is not a date in the form %s", v.Text(), form)
			}
			return schemas.Int(daysOf(t)), nil
		},
		out: func(v, _ schemas.Value) (schemas.Value, error) {
			t := time.Unix(v.Int()*86400, 0).UTC()
			if v.Int() > 3e6 || v.Int() < -8e5 || t.Year() < 1 || t.Year() > 9999 {
				return v, fmt.Errorf("the year of day %d is not between 1 and 9999", v.Int())
			}
			return schemas.Text(t.Format(layout)), nil
		}}, nil
}

// daysOf counts the days from 1970-01-01 to the calendar date of t.
func daysOf(t time.Time) int64 {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

func zone(a *args) (*time.Location, error) {
	name, err := a.text(required)
	if err != nil {
		return nil, fmt.Errorf("%w: name the time zone, as in 'Europe/Berlin' or 'UTC'", err)
	}
	return loadZone(name)
}

func dateOfCodec(a *args, from schemas.Type) (link, error) {
	loc, err := zone(a)
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "timestamps and instants", famTimestamp, famInstant); err != nil {
		return link{}, err
	}
	l := link{to: schemas.Type{Kind: schemas.KindDate}}
	l.in = func(v schemas.Value) (schemas.Value, error) {
		if _, err := finite(v); err != nil {
			return v, err
		}
		if from.Kind == schemas.KindTimestampTZ {
			return schemas.Int(daysOf(time.UnixMicro(v.Int()).In(loc))), nil
		}
		return schemas.Int(floorDiv(v.Int(), microsPerDay)), nil
	}
	return l, nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func datetimeCodec(a *args, from schemas.Type) (link, error) {
	loc, err := zone(a)
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "timestamps without zone", famTimestamp); err != nil {
		return link{}, err
	}
	return link{to: schemas.Type{Kind: schemas.KindTimestampTZ, Precision: from.Precision},
		in: func(v schemas.Value) (schemas.Value, error) {
			if _, err := finite(v); err != nil {
				return v, err
			}
			return schemas.Int(wallToInstant(v.Int(), loc)), nil
		},
		out: func(v, _ schemas.Value) (schemas.Value, error) {
			if _, err := finite(v); err != nil {
				return v, err
			}
			_, offset := time.UnixMicro(v.Int()).In(loc).Zone()
			return schemas.Int(v.Int() + int64(offset)*1e6), nil
		}}, nil
}

// wallToInstant is the instant at which a clock in the zone shows the time. Of
// the two instants of the repeated hour it is the first; a time that is skipped
// in spring is read as if the clock had not been changed yet.
func wallToInstant(wall int64, loc *time.Location) int64 {
	if loc == time.UTC {
		return wall
	}
	t := time.UnixMicro(wall).UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), loc).UnixMicro()
}

func unixCodec(a *args, from schemas.Type) (link, error) {
	unit, err := a.text("s")
	if err != nil {
		return link{}, err
	}
	if !isInteger(from.Kind) {
		return link{}, fmt.Errorf("works on whole numbers, here it gets %s", nativeName(from))
	}
	precision, ok := map[string]int{"s": 0, "ms": 3, "us": 6}[unit]
	if !ok {
		return link{}, fmt.Errorf("unknown unit %q; use 's', 'ms' or 'us'", unit)
	}
	step := unitOf(precision)
	back := numberFunc(from)
	return link{to: schemas.Type{Kind: schemas.KindTimestampTZ, Precision: precision},
		in: func(v schemas.Value) (schemas.Value, error) {
			n, err := toInt(v)
			if err != nil || n > 1<<62/step || n < -1<<62/step {
				return v, fmt.Errorf("%s is not a time since 1970", v)
			}
			return schemas.Int(n * step), nil
		},
		out: func(v, _ schemas.Value) (schemas.Value, error) {
			if v.Int()%step != 0 {
				return v, fmt.Errorf("the column keeps whole %s only", unit)
			}
			return back(schemas.Int(v.Int() / step))
		}}, nil
}

func jsonCodec(a *args, from schemas.Type) (link, error) {
	p, err := a.text(required)
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "JSON and texts", famJSON, famText); err != nil {
		return link{}, err
	}
	path := strings.Split(p, ".")
	for _, k := range path {
		if k == "" {
			return link{}, fmt.Errorf("the path %q has an empty key", p)
		}
	}
	return link{to: textType(), nulls: true,
		in:  func(v schemas.Value) (schemas.Value, error) { return jsonGet(v, path) },
		out: func(v, old schemas.Value) (schemas.Value, error) { return jsonSet(v, old, path) }}, nil
}

func jsonGet(v schemas.Value, path []string) (schemas.Value, error) {
	x, err := decodeJSON(v.Text())
	if err != nil {
		return v, err
	}
	for _, k := range path {
		m, ok := x.(map[string]any)
		if !ok {
			return schemas.Null, nil
		}
		x = m[k]
	}
	switch y := x.(type) {
	case nil:
		return schemas.Null, nil
	case string:
		return schemas.Text(y), nil
	case json.Number:
		return schemas.Text(y.String()), nil
	case bool:
		return schemas.Text(strconv.FormatBool(y)), nil
	}
	s, err := encodeJSON(x)
	return schemas.Text(s), err
}

// jsonSet replaces one value and leaves the others; NULL takes the key away. A
// number or truth stays one as long as the new text reads as one.
func jsonSet(v, old schemas.Value, path []string) (schemas.Value, error) {
	root := map[string]any{}
	if !old.IsNull() && old.Text() != "" {
		x, err := decodeJSON(old.Text())
		if err != nil {
			return v, err
		}
		if m, ok := x.(map[string]any); ok && m != nil {
			root = m
		} else if x != nil {
			return v, fmt.Errorf("the JSON text is not an object")
		}
	} else if v.IsNull() {
		return old, nil
	}
	m := root
	for _, k := range path[:len(path)-1] {
		next, ok := m[k].(map[string]any)
		if !ok {
			if v.IsNull() {
				return old, nil
			}
			next = map[string]any{}
			m[k] = next
		}
		m = next
	}
	last := path[len(path)-1]
	if v.IsNull() {
		delete(m, last)
	} else {
		m[last] = likeBefore(v.Text(), m[last])
	}
	s, err := encodeJSON(root)
	return schemas.Text(s), err
}

func likeBefore(s string, before any) any {
	switch before.(type) {
	case json.Number:
		if json.Valid([]byte(s)) && isPlain(s) {
			return json.Number(s)
		}
	case bool:
		if s == "true" || s == "false" {
			return s == "true"
		}
	case map[string]any, []any:
		if x, err := decodeJSON(s); err == nil {
			return x
		}
	}
	return s
}
