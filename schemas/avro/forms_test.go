package avro

import (
	"encoding/base64"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// TestForms are single values as Debezium writes them (bytes in base64, without
// the length in front).
func TestForms(t *testing.T) {
	dec := func(p, s int) schemas.Type { return schemas.Type{Kind: schemas.KindDecimal, Precision: p, Scale: s} }
	tz := func(p int) schemas.Type { return schemas.Type{Kind: schemas.KindTimestampTZ, Precision: p} }
	for _, c := range []struct {
		connector string
		typ       schemas.Type
		value     schemas.Value
		want      string
		b64       bool
	}{
		{PostgreSQL, dec(12, 2), schemas.Text("0.00"), "AA==", true},
		{PostgreSQL, dec(12, 2), schemas.Text("1.10"), "bg==", true},
		{PostgreSQL, dec(12, 2), schemas.Text("-0.01"), "/w==", true},
		{PostgreSQL, dec(12, 2), schemas.Text("1.28"), "AIA=", true},
		{PostgreSQL, dec(12, 2), schemas.Text("9999999999.99"), "AOjUpQ//", true},
		{PostgreSQL, dec(12, 2), schemas.Text("-9999999999.99"), "/xcrWvAB", true},
		{PostgreSQL, dec(5, 0), schemas.Text("128"), "AIA=", true},
		{PostgreSQL, dec(5, 0), schemas.Text("-128"), "gA==", true},
		{PostgreSQL, dec(5, 0), schemas.Text("-129"), "/38=", true},
		{PostgreSQL, dec(18, 0), schemas.Text("999999999999999999"), "DeC2s6dj//8=", true},
		{MariaDB, dec(65, 0), schemas.Text("99999999999999999999999999999999999999999999999999999999999999999"), "APMWJxx/w5CKi+9GTjlF73olNgn//////////w==", true},
		{PostgreSQL, schemas.Type{Kind: schemas.KindBits, Length: 10}, schemas.Bytes("\x00\x01"), "AQ==", true},
		{PostgreSQL, schemas.Type{Kind: schemas.KindBits, Length: 10}, schemas.Bytes("\x03\x00"), "AAM=", true},
		{MariaDB, schemas.Type{Kind: schemas.KindBits, Length: 10}, schemas.Bytes("\x00\x01"), "AQA=", true},
		{PostgreSQL, tz(6), schemas.Int(1709210096789012), "2024-02-29T12:34:56.789012Z", false},
		{PostgreSQL, tz(6), schemas.Int(1709190296000000), "2024-02-29T07:04:56.000000Z", false},
		{PostgreSQL, tz(0), schemas.Int(1709203096000000), "2024-02-29T10:38:16Z", false},
		{PostgreSQL, tz(3), schemas.Int(1709202896120000), "2024-02-29T10:34:56.120Z", false},
		{PostgreSQL, tz(0), schemas.Int(1709202896120000), "2024-02-29T10:34:56.12Z", false},
		{PostgreSQL, tz(6), schemas.Int(-1), "1969-12-31T23:59:59.999999Z", false},
		{PostgreSQL, tz(6), schemas.Int(-62135596800000000), "0001-01-01T00:00:00.000000Z", false},
		{PostgreSQL, tz(0), schemas.Int(dayOf(-43, 3, 15) * microsPerDay), "-0043-03-15T00:00:00Z", false},
		{PostgreSQL, tz(0), schemas.Int(dayOf(0, 2, 29) * microsPerDay), "0000-02-29T00:00:00Z", false},
		{PostgreSQL, tz(0), schemas.Int(dayOf(10000, 1, 1) * microsPerDay), "+10000-01-01T00:00:00Z", false},
		{PostgreSQL, tz(6), schemas.Int(schemas.InfinityPlus), "infinity", false},
		{PostgreSQL, tz(6), schemas.Int(schemas.InfinityMinus), "-infinity", false},
		{PostgreSQL, schemas.Type{Kind: schemas.KindTimeTZ}, schemas.Text("12:34:56.5+02"), "12:34:56.5+02:00", false},
		{PostgreSQL, schemas.Type{Kind: schemas.KindTimeTZ}, schemas.Text("00:00:00+15:59:59"), "00:00:00+15:59:59", false},
		{PostgreSQL, schemas.Type{Kind: schemas.KindTimeTZ}, schemas.Text("00:00:00+00"), "00:00:00Z", false},
	} {
		s := shapeFor(c.typ, false, c.connector)
		raw, ok := s.append(nil, &c.value)
		if !ok {
			t.Errorf("%s %s has no form", c.typ.Kind, c.value)
			continue
		}
		r := newReader(string(raw))
		got := r.text()
		if c.b64 {
			got = base64.StdEncoding.EncodeToString([]byte(got))
		}
		if got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.typ.Kind, c.value, got, c.want)
		}
		r.i = 0
		var back schemas.Value
		r.value(s, &back)
		r.settle()
		if back != c.value || r.err != nil {
			t.Errorf("%s %s comes back as %s, %v", c.typ.Kind, c.value, back, r.err)
		}
	}
}

// TestNotPlain: texts that are no plain decimals have no form.
func TestNotPlain(t *testing.T) {
	s := shapeFor(schemas.Type{Kind: schemas.KindDecimal, Precision: 10, Scale: 2}, false, PostgreSQL)
	for _, bad := range []string{"", "-", ".", "1", "1.5", "01.00", "+1.00", "-0.00", "1e2", "1.0x", ".50", "1,00", "99999999999.00"} {
		v := schemas.Text(bad)
		if _, ok := s.append(nil, &v); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestCivil compares our calendar with the standard library's.
func TestCivil(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		day := r.Int64N(20_000_000) - 10_000_000
		want := time.Unix(day*86400, 0).UTC()
		y, m, d := civil(day)
		if y != int64(want.Year()) || m != int64(want.Month()) || d != int64(want.Day()) || dayOf(y, m, d) != day {
			t.Fatalf("day %d is %d-%d-%d, want %s, and back %d", day, y, m, d, want, dayOf(y, m, d))
		}
		text := string(appendDate(nil, day))
		if back, ok := parseDate(text); !ok || back != day {
			t.Fatalf("%s is read as %d, %v", text, back, ok)
		}
	}
}

// TestArrayText: literals as PostgreSQL prints them survive; others are noticed.
func TestArrayText(t *testing.T) {
	for _, c := range []struct {
		kind schemas.Kind
		text string
		ok   bool
	}{
		{schemas.KindInt32, "{1,NULL,3}", true}, {schemas.KindInt32, "{}", true}, {schemas.KindInt32, "{{1,2},{3,4}}", false},
		{schemas.KindInt32, "[2:3]={1,2}", false}, {schemas.KindInt32, "{01}", false}, {schemas.KindInt32, "{1,}", false},
		{schemas.KindText, `{"a,b","NULL","","\"q\" \\"}`, true}, {schemas.KindText, `{żółć,a.b}`, true}, {schemas.KindText, `{"plain"}`, false},
		{schemas.KindBool, "{t,f,NULL}", true}, {schemas.KindFloat64, "{1.5,1e+21,1e-05,100000000000000,1e+15,-0,NaN,Infinity}", true},
		{schemas.KindFloat32, "{1.5,100000,1e+06,3.4028235e+38,1e-45}", true}, {schemas.KindTimestamp, `{"2024-02-29 12:34:56.789012",infinity}`, true},
		{schemas.KindTimestamp, `{"0044-03-15 01:02:03 BC"}`, false}, {schemas.KindDate, "{2024-02-29,10000-01-01}", true},
		{schemas.KindTimestampTZ, `{"2024-02-29 12:34:56+00"}`, true}, {schemas.KindTimestampTZ, `{"2024-02-29 12:34:56+02"}`, false},
		{schemas.KindBytes, `{"\\x00ff"}`, true}, {schemas.KindNumeric, "{1.10,0.000,NULL}", true}, {schemas.KindNumeric, "{NaN}", false},
		{schemas.KindUUID, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", true}, {schemas.KindTime, "{12:34:56.5,24:00:00}", true},
		{schemas.KindEnum, `{sad,"ok, then",NULL}`, true},
	} {
		s := shapeFor(schemas.Type{Kind: schemas.KindArray, Elem: &schemas.Type{Kind: c.kind, Precision: 6}}, false, PostgreSQL)
		v := schemas.Text(c.text)
		raw, ok := s.append(nil, &v)
		if ok != c.ok {
			t.Errorf("%s %s: ok %v, want %v", c.kind, c.text, ok, c.ok)
			continue
		}
		if !ok {
			continue
		}
		r := newReader(string(raw))
		var back schemas.Value
		r.value(s, &back)
		if back != v || r.err != nil {
			t.Errorf("%s %s comes back as %s, %v", c.kind, c.text, back, r.err)
		}
	}
}
