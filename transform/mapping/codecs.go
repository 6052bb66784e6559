package mapping

import (
	"strings"

	"github.com/strait-cdc/strait/schemas"
	"golang.org/x/text/unicode/norm"
)

// codecs is the table of all codecs, in the order of the reference. A new one is
// an entry here, a line in docs/mapping.md and a row in the test of the laws.
var codecs = []codec{
	{name: "trim", doc: "Without blanks at both ends.", law: "normalising",
		build: func(a *args, from schemas.Type) (link, error) { return normalising(from, strings.TrimSpace) }},
	{name: "collapse", doc: "Without blanks at both ends, and each run of white space inside is one blank.", law: "normalising",
		build: func(a *args, from schemas.Type) (link, error) { return normalising(from, collapse) }},
	{name: "nfc", doc: "Unicode in composed form (é as one character).", law: "normalising",
		build: func(a *args, from schemas.Type) (link, error) { return normalising(from, norm.NFC.String) }},
	{name: "upper", doc: "Upper case.", law: "normalising: upper case is written",
		build: func(a *args, from schemas.Type) (link, error) { return normalising(from, stableUpper) }},
	{name: "lower", doc: "Lower case.", law: "normalising: lower case is written",
		build: func(a *args, from schemas.Type) (link, error) { return normalising(from, stableLower) }},
	{name: "email", doc: "An e-mail address: trimmed, lower case, without mailto:.", law: "normalising",
		build: func(a *args, from schemas.Type) (link, error) { return normalising(from, email) }},
	{name: "phone", args: "'DE'", doc: "A phone number as +493012345; numbers without country code are of the region. What is not a phone number stays as it is, trimmed.",
		law: "normalising", build: phoneCodec},
	{name: "country", args: "'name'", doc: "A country, canonical as ISO 3166 alpha-2. The argument is the form written to the column: 'name' (English), 'alpha2', 'alpha3' or 'numeric'; all forms are read.",
		law: "normalising; what is not a country is an error", build: countryCodec},
	{name: "null_if", args: "'n/a', '-'", doc: "The texts listed mean nothing: they are read as NULL.", law: "normalising; a listed text is refused on the way out", build: nullIfCodec},
	{name: "len", args: "20", doc: "Refuses to write more than so many characters. Nothing is ever cut.", law: "lossless", build: lenCodec},
	{name: "charset", args: "'latin1'", doc: "Refuses to write characters that the column's charset lacks: 'ascii', 'latin1', 'windows1252' or 'utf8mb3' (no emoji).", law: "lossless", build: charsetCodec},
	{name: "prefix", args: "'D', 5", doc: "A number with letters in front and zeros, D00042, canonical as 42. The second argument is the number of digits, 0 for no zeros.", law: "normalising: written with all its zeros; another form is an error", build: prefixCodec},
	{name: "int", doc: "A text of digits, canonical as a whole number.", law: "normalising: no zeros in front are written", build: intCodec},
	{name: "decimal", args: "14, 2, 'half_up'", doc: "A number with other digits, or a text, rounded on reading to the precision and scale given. Modes: half_even (default), half_up, half_down, up, down, ceiling, floor.", law: "normalising: rounds on reading", build: decimalCodec},
	{name: "yes_no", args: "'J', 'N'", doc: "A truth written as two texts, the one for yes first. Any other text is an error.", law: "lossless", build: yesNoCodec},
	{name: "bool", doc: "A truth written as text: reads true, false, yes, no, y, n, t, f, on, off, 1 and 0, writes true and false.", law: "normalising", build: boolCodec},
	{name: "date", args: "'DD.MM.YYYY'", doc: "A date written as text in the form given (YYYY, MM and DD with anything between).", law: "lossless; another form is an error", build: dateCodec},
	{name: "date_of", args: "'Europe/Berlin'", doc: "The date of a point in time: of an instant in the zone given, of a timestamp as it stands.", law: "one way: a side that is written cannot use it", build: dateOfCodec},
	{name: "datetime", args: "'Europe/Berlin'", doc: "A timestamp without zone, canonical as an instant: the column's clock runs in the zone given.", law: "lossless, but for the hour that is repeated in autumn", build: datetimeCodec},
	{name: "unix", args: "'s'", doc: "An instant written as seconds ('s'), milliseconds ('ms') or microseconds ('us') since 1970.", law: "lossless; smaller parts are refused", build: unixCodec},
	{name: "json", args: "'a.b'", doc: "One value inside a JSON text, by the path of its keys; the other keys are left as they are.", law: "lossless", first: true, build: jsonCodec},
	{name: "part", args: "2, ', '", doc: "One part of a text, counted from 1, between separators; the other parts are left as they are.", law: "lossless; a value that holds the separator is refused", first: true, build: partCodec},
	{name: "join", args: "', '", doc: "Several columns, canonical as one text with the separator between.", law: "lossless", first: true, build: joinCodec},
	{name: "lines", doc: "Several columns, canonical as one text with blanks between; on the way out it is broken between words, as much into each column as it holds.", law: "lossless; what does not fit is an error", first: true, build: linesCodec},
}

func collapse(s string) string {
	if !needsCollapse(s) {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// needsCollapse spares clean texts the work.
func needsCollapse(s string) bool {
	blank := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x80 || c < ' ' {
			return true
		}
		if c == ' ' && blank {
			return true
		}
		blank = c == ' '
	}
	return blank && s != ""
}

// Upper and lower case of some letters are not stable (ß, ŉ); a second pass is.
func stableUpper(s string) string { return strings.ToUpper(strings.ToUpper(s)) }
func stableLower(s string) string { return strings.ToLower(strings.ToLower(s)) }

func email(s string) string {
	s = stableLower(strings.TrimSpace(s))
	for strings.HasPrefix(s, "mailto:") {
		s = strings.TrimSpace(strings.TrimPrefix(s, "mailto:"))
	}
	return s
}
