package schemas

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// MarshalJSON writes a value with a letter for its storage in front: "i:5",
// "t:text", "b:" with base64. NULL is null, Unchanged is "~".
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.store {
	case StoreNull:
		return []byte("null"), nil
	case StoreUnchanged:
		return []byte(`"~"`), nil
	case StoreInt:
		return []byte(`"i:` + strconv.FormatInt(v.Int(), 10) + `"`), nil
	case StoreUint:
		return []byte(`"u:` + strconv.FormatUint(v.num, 10) + `"`), nil
	case StoreFloat:
		return []byte(`"f:` + strconv.FormatUint(v.num, 16) + `"`), nil
	case StoreBytes:
		return []byte(`"b:` + base64.StdEncoding.EncodeToString([]byte(v.text)) + `"`), nil
	}
	return json.Marshal("t:" + v.text)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Value) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s == nil {
		*v = Null
		return nil
	}
	if *s == "~" {
		*v = Unchanged
		return nil
	}
	if len(*s) < 2 || (*s)[1] != ':' {
		return fmt.Errorf("value %q: no storage letter", *s)
	}
	rest := (*s)[2:]
	var err error
	switch (*s)[0] {
	case 'i':
		var i int64
		i, err = strconv.ParseInt(rest, 10, 64)
		*v = Int(i)
	case 'u':
		var u uint64
		u, err = strconv.ParseUint(rest, 10, 64)
		*v = Uint(u)
	case 'f':
		var u uint64
		u, err = strconv.ParseUint(rest, 16, 64)
		*v = Float(math.Float64frombits(u))
	case 'b':
		var raw []byte
		raw, err = base64.StdEncoding.DecodeString(rest)
		*v = Bytes(string(raw))
	case 't':
		*v = Text(rest)
	default:
		err = fmt.Errorf("value %q: unknown storage letter", *s)
	}
	return err
}
