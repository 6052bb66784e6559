package mapping

import (
	"fmt"
	"sync"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// The time types of expressions. They are structs so that the arithmetic of
// plain numbers does not apply to them by accident.
type (
	// Date counts days since 1970-01-01.
	Date struct{ days int64 }
	// Clock counts microseconds since midnight.
	Clock struct{ micros int64 }
	// Timestamp counts microseconds since 1970-01-01 00:00 on a clock without zone.
	Timestamp struct{ micros int64 }
	// Instant counts microseconds since the Unix epoch.
	Instant struct{ micros int64 }
)

func (d Date) String() string      { return showDate(d.days) }
func (c Clock) String() string     { return showClock(c.micros) }
func (t Timestamp) String() string { return showStamp(t.micros) }
func (i Instant) String() string   { return showStamp(i.micros) + "Z" }

func (d Date) time() time.Time { return time.Unix(d.days*86400, 0).UTC() }

func parseDate(s string) (int64, error) {
	t, err := time.Parse("2006-01-02", s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a date; write it like 2026-01-31", s)
	}
	return daysOf(t), nil
}

func parseStamp(s string, zoned bool) (int64, error) {
	layouts := []string{"2006-01-02 15:04:05.999999", "2006-01-02T15:04:05.999999", "2006-01-02"}
	if zoned {
		layouts = []string{"2006-01-02 15:04:05.999999Z07:00", "2006-01-02T15:04:05.999999Z07:00"}
	}
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t.UnixMicro(), nil
		}
	}
	return 0, fmt.Errorf("%q is not a point in time", s)
}

func showDate(days int64) string {
	if days == schemas.InfinityPlus || days == schemas.InfinityMinus {
		return "infinity"
	}
	return time.Unix(days*86400, 0).UTC().Format("2006-01-02")
}

func showClock(micros int64) string {
	sign := ""
	if micros < 0 {
		sign, micros = "-", -micros
	}
	s := fmt.Sprintf("%s%02d:%02d:%02d", sign, micros/3600e6, micros/60e6%60, micros/1e6%60)
	if f := micros % 1e6; f != 0 {
		s += trimZeros(fmt.Sprintf(".%06d", f))
	}
	return s
}

func showStamp(micros int64) string {
	if micros == schemas.InfinityPlus || micros == schemas.InfinityMinus {
		return "infinity"
	}
	return time.UnixMicro(micros).UTC().Format("2006-01-02 15:04:05.999999")
}

func trimZeros(s string) string {
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	return s
}

// zones keeps loaded time zones: reading one from disk is slow.
var zones sync.Map

func loadZone(name string) (*time.Location, error) {
	if l, ok := zones.Load(name); ok {
		return l.(*time.Location), nil
	}
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is not a time zone; use a name such as 'Europe/Berlin' or 'UTC'", name)
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time zone; use a name such as 'Europe/Berlin' or 'UTC'", name)
	}
	zones.Store(name, l)
	return l, nil
}
