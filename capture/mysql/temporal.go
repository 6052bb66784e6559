package mysql

import (
	"github.com/strait-cdc/strait/schemas"
)

const (
	second = 1_000_000 // microseconds
	day    = 86400 * second
)

// days is the number of days from 1970-01-01; false for what is no date.
func days(year, month, dayOfMonth int) (int64, bool) {
	if month < 1 || month > 12 || dayOfMonth < 1 || dayOfMonth > monthLength(year, month) {
		return 0, false
	}
	// The year begins in March, so that the leap day is its last one.
	y := year
	if month <= 2 {
		y--
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	doy := (153*((month+9)%12)+2)/5 + dayOfMonth - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468, true
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

var monthLengths = [13]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

func monthLength(year, month int) int {
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return monthLengths[month]
}

// dateValue is a date, or NULL for a zero date.
func dateValue(year, month, dayOfMonth int) schemas.Value {
	d, ok := days(year, month, dayOfMonth)
	if !ok {
		return schemas.Null
	}
	return schemas.Int(d)
}

// datetimeValue is a wall clock, or NULL where its date is a zero date.
func datetimeValue(year, month, dayOfMonth, hour, minute, sec, micro int) schemas.Value {
	d, ok := days(year, month, dayOfMonth)
	if !ok {
		return schemas.Null
	}
	return schemas.Int(d*day + int64(hour*3600+minute*60+sec)*second + int64(micro))
}

func readDate(b string) schemas.Value {
	v := int(little(b))
	return dateValue(v>>9, v>>5&15, v&31)
}

// big reads a big-endian integer.
func big(b string) (v uint64) {
	for i := range len(b) {
		v = v<<8 | uint64(b[i])
	}
	return v
}

// micros reads the fraction behind a time: one byte for each two digits.
func micros(b string) int {
	v := int(big(b))
	for i := len(b); i < 3; i++ {
		v *= 100
	}
	return v
}

func timestampValue(sec uint64, us int) schemas.Value {
	if sec == 0 && us == 0 {
		return schemas.Null
	}
	return schemas.Int(int64(sec)*second + int64(us))
}

func readTimestamp2(b string) schemas.Value { return timestampValue(big(b[:4]), micros(b[4:])) }

func readDatetime2(b string) schemas.Value {
	// 1 bit sign, 17 bits year*13+month, 5 day, 5 hour, 6 minute, 6 second.
	v := int64(big(b[:5])) - 0x8000000000
	ym := int(v >> 22)
	return datetimeValue(ym/13, ym%13, int(v>>17&31), int(v>>12&31), int(v>>6&63), int(v&63), micros(b[5:]))
}

func readOldDatetime(b string) schemas.Value {
	v := int(little(b)) // YYYYMMDDhhmmss
	d, t := v/1000000, v%1000000
	return datetimeValue(d/10000, d/100%100, d%100, t/10000, t/100%100, t%100, 0)
}

func readOldTime(b string) schemas.Value {
	v := int64(int32(uint32(little(b))<<8)) >> 8 // hhmmss with its sign
	negative := v < 0
	if negative {
		v = -v
	}
	us := (v/10000*3600 + v/100%100*60 + v%100) * second
	if negative {
		us = -us
	}
	return schemas.Int(us)
}

func readTime2(b string) schemas.Value {
	// 1 bit sign, 1 unused, 10 bits hour, 6 minute, 6 second, then the fraction;
	// a negative time is the two's complement of the whole.
	width := len(b)
	v := int64(big(b)) - int64(1)<<(8*width-1)
	negative := v < 0
	if negative {
		v = -v
	}
	shift := 8 * (width - 3)
	frac := v & (1<<shift - 1)
	for i := width - 3; i < 3; i++ {
		frac *= 100
	}
	v >>= shift
	us := (v>>12&1023*3600+v>>6&63*60+v&63)*second + frac
	if negative {
		us = -us
	}
	return schemas.Int(us)
}
