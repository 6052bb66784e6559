package avro

import (
	"strings"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

const (
	microsPerDay = 24 * 3600 * 1e6
	plusText     = "infinity"
	minusText    = "-infinity"
)

// appendZoned writes an instant in microseconds as Debezium writes it: UTC, as
// many digits as the column declares (more where the value has more).
func appendZoned(b []byte, us int64, digits int) []byte {
	switch us {
	case schemas.InfinityPlus:
		return append(b, plusText...)
	case schemas.InfinityMinus:
		return append(b, minusText...)
	}
	b = appendDate(b, floorDiv(us, microsPerDay))
	b = append(b, 'T')
	b = appendClock(b, us-floorDiv(us, microsPerDay)*microsPerDay, digits)
	return append(b, 'Z')
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// appendDate writes the days since 1970 in ISO 8601 with astronomical years:
// four digits, a plus in front of more, a minus before year 0.
func appendDate(b []byte, days int64) []byte {
	y, m, d := civil(days)
	switch {
	case y < 0:
		b = append(b, '-')
		y = -y
	case y > 9999:
		b = append(b, '+')
	}
	b = appendPadded(b, y, 4)
	b = append(b, '-')
	b = appendPadded(b, m, 2)
	b = append(b, '-')
	return appendPadded(b, d, 2)
}

// civil is the proleptic Gregorian date of a day, by counting in eras of 400
// years that start in March.
func civil(days int64) (y, m, d int64) {
	z := days + 719468
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = doy - (153*mp+2)/5 + 1
	m = mp + 3
	if m > 12 {
		m -= 12
	}
	y = yoe + era*400
	if m <= 2 {
		y++
	}
	return y, m, d
}

// dayOf is the day of a date, the inverse of civil.
func dayOf(y, m, d int64) int64 {
	if m <= 2 {
		y--
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	mp := (m + 9) % 12
	doy := (153*mp+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

// appendClock writes hours, minutes, seconds and at least digits of the fraction.
func appendClock(b []byte, us int64, digits int) []byte {
	b = appendPadded(b, us/3600e6, 2)
	b = append(b, ':')
	b = appendPadded(b, us/60e6%60, 2)
	b = append(b, ':')
	b = appendPadded(b, us/1e6%60, 2)
	frac := us % 1e6
	digits = min(max(digits, 0), 6)
	for rest := frac; digits < 6 && rest%pow10[6-digits] != 0; digits++ {
	}
	if digits == 0 {
		return b
	}
	b = append(b, '.')
	return appendPadded(b, frac/pow10[6-digits], digits)
}

var pow10 = [...]int64{1, 10, 100, 1000, 10000, 100000, 1000000}

func appendPadded(b []byte, v int64, width int) []byte {
	var tmp [20]byte
	i := len(tmp)
	for v > 0 || width > 0 {
		i--
		tmp[i] = byte('0' + v%10)
		v /= 10
		width--
	}
	return append(b, tmp[i:]...)
}

// parseZoned reads what appendZoned wrote.
func parseZoned(s string) (int64, bool) {
	switch s {
	case plusText:
		return schemas.InfinityPlus, true
	case minusText:
		return schemas.InfinityMinus, true
	}
	i := strings.IndexByte(s, 'T')
	if i < 0 || s[len(s)-1] != 'Z' {
		return parseOffset(s)
	}
	days, ok := parseDate(s[:i])
	if !ok || days > 1e8*2 || days < -1e8*2 {
		return 0, false
	}
	us, ok := parseClock(s[i+1 : len(s)-1])
	return days*microsPerDay + us, ok
}

// parseOffset reads an instant with an offset, which others may write.
func parseOffset(s string) (int64, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UnixMicro(), err == nil
}

// parseDate reads an ISO date with an astronomical year.
func parseDate(s string) (int64, bool) {
	neg := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		neg = s[0] == '-'
		s = s[1:]
	}
	if len(s) < 10 || len(s) > 14 || s[len(s)-3] != '-' || s[len(s)-6] != '-' {
		return 0, false
	}
	y, ok1 := number(s[:len(s)-6])
	m, ok2 := number(s[len(s)-5 : len(s)-3])
	d, ok3 := number(s[len(s)-2:])
	if neg {
		y = -y
	}
	return dayOf(y, m, d), ok1 && ok2 && ok3 && m >= 1 && m <= 12 && d >= 1 && d <= 31
}

// parseClock reads hh:mm:ss with up to six digits of fraction.
func parseClock(s string) (int64, bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return 0, false
	}
	h, ok1 := number(s[:2])
	m, ok2 := number(s[3:5])
	sec, ok3 := number(s[6:8])
	us := ((h*60+m)*60 + sec) * 1e6
	if len(s) == 8 {
		return us, ok1 && ok2 && ok3
	}
	if s[8] != '.' || len(s) == 9 || len(s) > 15 {
		return 0, false
	}
	f, ok4 := number(s[9:])
	return us + f*pow10[15-len(s)], ok1 && ok2 && ok3 && ok4
}

func number(s string) (int64, bool) {
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, s != ""
}

// isoTimeTZ writes a time with zone of PostgreSQL (12:34:56.5+02, +05:30,
// +15:59:59) as ISO 8601 wants the offset: with minutes, or Z for none.
func isoTimeTZ(s string) string {
	i := strings.LastIndexAny(s, "+-")
	if i < 8 {
		return s
	}
	switch off := s[i:]; {
	case off == "+00":
		return s[:i] + "Z"
	case len(off) == 3:
		return s + ":00"
	}
	return s
}

// timeTZ is the inverse of isoTimeTZ.
func timeTZ(s string) string {
	if i := len(s) - 1; i >= 8 && s[i] == 'Z' {
		return s[:i] + "+00"
	}
	if i := len(s) - 6; i >= 8 && (s[i] == '+' || s[i] == '-') && s[i+3:] == ":00" {
		return s[:i+3]
	}
	return s
}
