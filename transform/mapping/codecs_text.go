package mapping

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/biter777/countries"
	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/encoding/charmap"

	"github.com/strait-cdc/strait/schemas"
)

// cache keeps the results of slow text functions: a value that is seen again,
// and most are, costs one lookup.
type cache struct {
	mu   sync.RWMutex
	seen map[string]string
}

// cacheSize bounds a cache; when it is full it starts anew.
const cacheSize = 1 << 14

func (c *cache) get(s string, f func(string) string) string {
	c.mu.RLock()
	t, ok := c.seen[s]
	c.mu.RUnlock()
	if ok {
		return t
	}
	t = f(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil || len(c.seen) >= cacheSize {
		c.seen = map[string]string{}
	}
	c.seen[strings.Clone(s)] = t
	return t
}

func phoneCodec(a *args, from schemas.Type) (link, error) {
	region, err := a.text(required)
	if err != nil {
		return link{}, fmt.Errorf("%w: name the region of numbers without country code, as in phone('DE')", err)
	}
	if phonenumbers.GetCountryCodeForRegion(region) == 0 {
		return link{}, fmt.Errorf("%q is not a region; use two capital letters as in 'DE'", region)
	}
	c := &cache{}
	return normalising(from, func(s string) string {
		return c.get(s, func(s string) string { return phone(s, region) })
	})
}

func phone(s, region string) string {
	s = strings.TrimSpace(s)
	out, ok := e164(s, region)
	if !ok {
		return s
	}
	// A number that does not read back as itself stays as it was typed.
	if again, ok := e164(out, region); !ok || again != out {
		return s
	}
	return out
}

func e164(s, region string) (string, bool) {
	n, err := phonenumbers.Parse(s, region)
	if err != nil || !phonenumbers.IsPossibleNumber(n) || n.GetExtension() != "" {
		return "", false
	}
	return phonenumbers.Format(n, phonenumbers.E164), true
}

func countryCodec(a *args, from schemas.Type) (link, error) {
	form, err := a.text("alpha2")
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	var write func(c countries.CountryCode) string
	switch form {
	case "name":
		write = countries.CountryCode.String
	case "alpha2":
		write = countries.CountryCode.Alpha2
	case "alpha3":
		write = countries.CountryCode.Alpha3
	case "numeric":
		write = func(c countries.CountryCode) string { return fmt.Sprintf("%03d", int(c)) }
	default:
		return link{}, fmt.Errorf("unknown form %q; use 'name', 'alpha2', 'alpha3' or 'numeric'", form)
	}
	known := &cache{}
	return link{to: textType(),
		in: func(v schemas.Value) (schemas.Value, error) {
			s := known.get(v.Text(), func(s string) string {
				if c := findCountry(s); c != countries.Unknown {
					return c.Alpha2()
				}
				return ""
			})
			if s == "" {
				return v, fmt.Errorf("%q is not a country that is known", v.Text())
			}
			return schemas.Text(s), nil
		},
		out: func(v, _ schemas.Value) (schemas.Value, error) {
			c := findCountry(v.Text())
			if c == countries.Unknown || c.Alpha2() != v.Text() {
				return v, fmt.Errorf("%q is not an ISO 3166 alpha-2 code", v.Text())
			}
			return schemas.Text(write(c)), nil
		}}, nil
}

func findCountry(s string) countries.CountryCode {
	s = strings.TrimSpace(s)
	if n, err := strconv.Atoi(s); err == nil {
		return countries.ByNumeric(n)
	}
	c := countries.ByName(s)
	// Organisations and the like have codes too, but no alpha-2 that reads back.
	if c == countries.Unknown || countries.ByName(c.Alpha2()) != c || len(c.Alpha2()) != 2 {
		return countries.Unknown
	}
	return c
}

func nullIfCodec(a *args, from schemas.Type) (link, error) {
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	nothing := map[string]bool{}
	for range a.list {
		s, err := a.text(required)
		if err != nil {
			return link{}, err
		}
		nothing[s] = true
	}
	if len(nothing) == 0 {
		return link{}, fmt.Errorf("list the texts that mean nothing")
	}
	return link{to: from,
		in: func(v schemas.Value) (schemas.Value, error) {
			if nothing[v.Text()] {
				return schemas.Null, nil
			}
			return v, nil
		},
		out: func(v, _ schemas.Value) (schemas.Value, error) {
			if nothing[v.Text()] {
				return v, fmt.Errorf("%q means nothing in this column", v.Text())
			}
			return v, nil
		}}, nil
}

func lenCodec(a *args, from schemas.Type) (link, error) {
	n, err := a.number(-1)
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	from.Length = n
	return link{to: from, in: same, out: func(v, _ schemas.Value) (schemas.Value, error) {
		if l := utf8.RuneCountInString(v.Text()); l > n {
			return v, fmt.Errorf("%d characters are more than %d", l, n)
		}
		return v, nil
	}}, nil
}

func charsetCodec(a *args, from schemas.Type) (link, error) {
	name, err := a.text(required)
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	var has func(r rune) bool
	switch name {
	case "ascii":
		has = func(r rune) bool { return r < 0x80 }
	case "latin1":
		has = func(r rune) bool { _, ok := charmap.ISO8859_1.EncodeRune(r); return ok }
	case "windows1252":
		has = func(r rune) bool { _, ok := charmap.Windows1252.EncodeRune(r); return ok }
	case "utf8mb3":
		has = func(r rune) bool { return r <= 0xffff }
	default:
		return link{}, fmt.Errorf("unknown charset %q; use 'ascii', 'latin1', 'windows1252' or 'utf8mb3'", name)
	}
	return link{to: from, in: same, out: func(v, _ schemas.Value) (schemas.Value, error) {
		for _, r := range v.Text() {
			if !has(r) {
				return v, fmt.Errorf("the charset %s has no %q", name, r)
			}
		}
		return v, nil
	}}, nil
}

func prefixCodec(a *args, from schemas.Type) (link, error) {
	pre, err := a.text(required)
	if err != nil {
		return link{}, err
	}
	width, err := a.number(0)
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	return link{to: textType(),
		in: func(v schemas.Value) (schemas.Value, error) {
			digits, ok := strings.CutPrefix(v.Text(), pre)
			if !ok || !isDigits(digits) {
				return v, fmt.Errorf("%q does not look like %s%0*d", v.Text(), pre, width, 1)
			}
			return schemas.Text(withoutZeros(digits)), nil
		},
		out: func(v, _ schemas.Value) (schemas.Value, error) {
			s := v.Text()
			if !isDigits(s) {
				return v, fmt.Errorf("%q is not a whole number", s)
			}
			if len(s) < width {
				s = strings.Repeat("0", width-len(s)) + s
			}
			return schemas.Text(pre + s), nil
		}}, nil
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func withoutZeros(s string) string {
	t := strings.TrimLeft(s, "0")
	if t == "" {
		return "0"
	}
	return t
}

func partCodec(a *args, from schemas.Type) (link, error) {
	n, err := a.number(-1)
	if err != nil {
		return link{}, err
	}
	sep, err := a.text(required)
	if err != nil {
		return link{}, err
	}
	if err := needs(from, "texts", famText); err != nil {
		return link{}, err
	}
	if n < 1 || sep == "" {
		return link{}, fmt.Errorf("parts count from 1 and need a separator")
	}
	return link{to: textType(), nulls: true,
		in: func(v schemas.Value) (schemas.Value, error) {
			parts := strings.Split(v.Text(), sep)
			if n > len(parts) {
				return schemas.Null, nil
			}
			return schemas.Text(parts[n-1]), nil
		},
		out: func(v, old schemas.Value) (schemas.Value, error) {
			if strings.Contains(v.Text(), sep) {
				return v, fmt.Errorf("%q holds the separator %q", v.Text(), sep)
			}
			parts := strings.Split(old.Text(), sep)
			for len(parts) < n {
				parts = append(parts, "")
			}
			parts[n-1] = v.Text()
			for len(parts) > 1 && parts[len(parts)-1] == "" {
				parts = parts[:len(parts)-1]
			}
			return schemas.Text(strings.Join(parts, sep)), nil
		}}, nil
}

// several refuses a codec of several columns on one, and on other than texts.
func several(a *args) error {
	if len(a.columns) < 2 {
		return fmt.Errorf("takes several columns: columns: [a, b]")
	}
	for _, t := range a.columns {
		if err := needs(t, "texts", famText); err != nil {
			return err
		}
	}
	return nil
}

func joinCodec(a *args, _ schemas.Type) (link, error) {
	sep, err := a.text(required)
	if err != nil {
		return link{}, err
	}
	if err := several(a); err != nil {
		return link{}, err
	}
	if sep == "" {
		return link{}, fmt.Errorf("the separator is empty")
	}
	n := len(a.columns)
	return link{to: textType(),
		join: func(cells []schemas.Value) (schemas.Value, error) {
			parts := make([]string, n)
			for i, c := range cells {
				parts[i] = c.Text()
			}
			for len(parts) > 1 && parts[len(parts)-1] == "" {
				parts = parts[:len(parts)-1]
			}
			return schemas.Text(strings.Join(parts, sep)), nil
		},
		split: func(v schemas.Value) ([]schemas.Value, error) {
			out := make([]schemas.Value, n)
			for i, p := range strings.SplitN(v.Text(), sep, n) {
				if p != "" {
					out[i] = schemas.Text(p)
				}
			}
			return out, nil
		}}, nil
}

func linesCodec(a *args, _ schemas.Type) (link, error) {
	if err := several(a); err != nil {
		return link{}, err
	}
	widths := make([]int, len(a.columns))
	for i, t := range a.columns {
		if widths[i] = t.Length; t.Length == 0 {
			widths[i] = 1 << 30
		}
	}
	return link{to: textType(),
		join: func(cells []schemas.Value) (schemas.Value, error) {
			var parts []string
			for _, c := range cells {
				if s := strings.TrimSpace(c.Text()); s != "" {
					parts = append(parts, s)
				}
			}
			return schemas.Text(strings.Join(parts, " ")), nil
		},
		split: func(v schemas.Value) ([]schemas.Value, error) { return breakLines(v.Text(), widths) }}, nil
}

// breakLines puts as many whole words into each column as it holds.
func breakLines(s string, widths []int) ([]schemas.Value, error) {
	out := make([]schemas.Value, len(widths))
	line, room := 0, widths[0]
	var b strings.Builder
	for _, word := range strings.Split(s, " ") {
		n := utf8.RuneCountInString(word)
		if b.Len() > 0 && n+1 > room {
			out[line] = schemas.Text(b.String())
			b.Reset()
			if line++; line == len(widths) {
				return nil, fmt.Errorf("%q does not fit into %d columns", s, len(widths))
			}
			room = widths[line]
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
			room--
		}
		if n > room {
			return nil, fmt.Errorf("the word %q does not fit into a column", word)
		}
		b.WriteString(word)
		room -= n
	}
	if b.Len() > 0 {
		out[line] = schemas.Text(b.String())
	}
	return out, nil
}
