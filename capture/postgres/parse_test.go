//go:build !noservers

package postgres

import (
	"fmt"
	"testing"

	"github.com/strait-cdc/strait/schemas"
)

// The server is asked what each date is, over all centuries it knows.
func TestDatesAgreeWithServer(t *testing.T) {
	each(t, func(t *testing.T, db *database) {
		rows, err := db.DB.Query(`select d::text, d - date '1970-01-01', ts::text, extract(epoch from ts)::numeric * 1000000
from generate_series(0, 2000) i, lateral (select date '4714-11-24 BC' + i * 1073741 / 10 as d) x,
lateral (select timestamp '4714-11-24 BC' + i * interval '54000 days 1 hour 2 minutes 3.456789 seconds' as ts) y
where i * 54000.0 < 107000000`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			var date, stamp, micros string
			var days int64
			if err := rows.Scan(&date, &days, &stamp, &micros); err != nil {
				t.Fatal(err)
			}
			if v, err := parseDate(nil, []byte(date)); err != nil || v.Int() != days {
				t.Errorf("%s is %v (%v), want %d", date, v, err, days)
			}
			var want float64
			var whole int64
			fmt.Sscan(micros, &want)
			fmt.Sscanf(micros, "%d", &whole)
			if v, err := parseTimestamp(nil, []byte(stamp)); err != nil || v.Int() != whole {
				t.Errorf("%s is %v (%v), want %s", stamp, v, err, micros)
			}
			n++
		}
		if n < 1000 {
			t.Errorf("only %d dates", n)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	a := &arena{}
	for name, p := range map[string]parse{"bool": parseBool, "int": parseInt, "float": parseFloat64, "bytes": parseBytes, "bits": parseBits,
		"date": parseDate, "time": parseTime, "timestamp": parseTimestamp} {
		for _, text := range []string{"x", "12-", "2024-1-1", "2024-01-01x", "\\xzz", "99999999999999999999", "--1", "12:34", "2024-01-01 12:00:00+02"} {
			ok := name == "float" && text == "99999999999999999999"
			if v, err := p(a, []byte(text)); (err == nil) != ok {
				t.Errorf("%s takes %q as %v (%v)", name, text, v, err)
			}
		}
	}
}

func TestMoney(t *testing.T) {
	a := &arena{}
	for _, c := range []struct {
		text  string
		scale int
		want  string
	}{
		{"$1,234.56", 2, "1234.56"}, {"-$0.05", 2, "-0.05"}, {"$0.00", 2, "0.00"},
		{"$1.00", 0, "100"}, {"-$12.34", 3, "-1.234"}, {"$0.00", 0, "0"}, {"$0.01", 4, "0.0001"},
	} {
		if v, err := parseMoney(a, []byte(c.text), c.scale); err != nil || v != schemas.Text(c.want) {
			t.Errorf("%s at %d is %v (%v), want %s", c.text, c.scale, v, err, c.want)
		}
	}
}

// What the arena gave stays as it is, whatever comes after.
func TestArena(t *testing.T) {
	a := &arena{}
	var got, want []string
	var rows []schemas.Row
	for i := range 30_000 {
		text := fmt.Sprintf("%0*d", i%300, i)
		b := []byte(text)
		got, want = append(got, a.string(b)), append(want, text)
		clear(b)
		row := a.row(i%7 + 1)
		for j := range row {
			if !row[j].IsNull() {
				t.Fatal("a row that is not empty")
			}
			row[j] = schemas.Int(int64(i))
		}
		rows = append(rows, append(row, schemas.Null)[:len(row)])
	}
	for i := range got {
		if got[i] != want[i] || rows[i][0].Int() != int64(i) {
			t.Fatalf("%d: %q, want %q; row %v", i, got[i], want[i], rows[i])
		}
	}
}
