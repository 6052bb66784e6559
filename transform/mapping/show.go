package mapping

import "github.com/strait-cdc/strait/schemas"

// Show writes a canonical value of the field for a person: dates as dates,
// truths as yes and no, nothing as an empty text.
func (f *Field) Show(v schemas.Value) string {
	switch {
	case v.IsNull():
		return ""
	case v.Storage() != schemas.StoreInt:
		return v.String()
	}
	switch f.Type.Kind {
	case schemas.KindBool:
		if v.Bool() {
			return "yes"
		}
		return "no"
	case schemas.KindDate:
		return showDate(v.Int())
	case schemas.KindTime:
		return showClock(v.Int())
	case schemas.KindTimestamp:
		return showStamp(v.Int())
	case schemas.KindTimestampTZ:
		return showStamp(v.Int()) + "Z"
	}
	return v.String()
}
