//go:build !noservers

package consumers

import (
	"fmt"
	"strings"
)

// column is a column of the story's tables with two values as SQL writes them, and
// the SQL that shows a value as a consumer is to see it: the text of what Avro
// holds. %s is the column.
type column struct {
	name, kind string
	values     [2]string
	shown      string
}

type table struct {
	name string
	key  []string
	cols []column
	// keyOnly says that the log has only the key of a row before.
	keyOnly bool
	// extra is run after the table is made.
	extra string
}

func (t *table) ddl() string {
	var b strings.Builder
	for _, c := range t.cols {
		null := " null" // or MariaDB gives a timestamp a default
		for _, k := range t.key {
			if k == c.name {
				null = " not null"
			}
		}
		fmt.Fprintf(&b, "%s %s%s, ", c.name, c.kind, null)
	}
	return fmt.Sprintf("create table %s (%sprimary key (%s))", t.name, b.String(), strings.Join(t.key, ", "))
}

// shown is the list of a select that shows a row.
func (t *table) shown() string {
	var list []string
	for _, c := range t.cols {
		list = append(list, fmt.Sprintf(c.shown, c.name))
	}
	return strings.Join(list, ", ")
}

// sets is the values of all columns beside the key: of which 0 or 1, or NULL for -1.
func (t *table) sets(which int) (names, values []string) {
	for _, c := range t.cols {
		if c.values[0] == "" {
			continue
		}
		names = append(names, c.name)
		if which < 0 {
			values = append(values, "null")
		} else {
			values = append(values, c.values[which])
		}
	}
	return names, values
}

const (
	pgText    = "%s::text"
	pgHex     = "encode(%s, 'hex')"
	pgMicros  = "(extract(epoch from %s) * 1000000)::bigint::text"
	pgMillis  = "(extract(epoch from %s) * 1000)::bigint::text"
	pgList    = "to_json(%s)::text"
	myText    = "cast(%s as char)"
	myHex     = "lower(hex(%s))"
	myMicros  = "cast(timestampdiff(microsecond, '1970-01-01', %s) as char)"
	myInstant = "date_format(%s, '%%Y-%%m-%%dT%%H:%%i:%%s.%%fZ')"
)

// lines is a table with a key of two columns, and fence one whose rows say how far
// the story has come.
func lines(text string, keyOnly bool) *table {
	return &table{name: "order_line", keyOnly: keyOnly, key: []string{"pos", "order_no"}, cols: []column{
		{name: "order_no", kind: "varchar(20)", shown: "%s"},
		{name: "article", kind: "varchar(40)", values: [2]string{"'bolt M6'", "'Mutter, für M6 żółć'"}, shown: "%s"},
		{name: "pos", kind: "int", shown: text},
		{name: "price", kind: "decimal(12,4)", values: [2]string{"19.99", "-0.0001"}, shown: text},
	}}
}

func fence(text string) *table {
	return &table{name: "fence", key: []string{"id"}, cols: []column{{name: "id", kind: "int", shown: text}}}
}

func postgresTables() []*table {
	everything := &table{name: "everything", key: []string{"id"}, extra: "alter table everything replica identity full", cols: []column{
		{"id", "int", [2]string{}, pgText},
		{"flag", "boolean", [2]string{"true", "false"}, pgText},
		{"small", "smallint", [2]string{"-32768", "7"}, pgText},
		{"big", "bigint", [2]string{"9223372036854775807", "-1"}, pgText},
		{"ratio", "real", [2]string{"1.5", "-0.25"}, pgText},
		{"wide", "double precision", [2]string{"0.1", "1e300"}, pgText},
		{"amount", "numeric(20,4)", [2]string{"1234567890123456.5000", "-0.0100"}, pgText},
		{"whole", "numeric(9)", [2]string{"-128", "999999999"}, pgText},
		{"loose", "numeric", [2]string{"1.10", "-12345678901234567890.000000001"}, pgText},
		{"code", "char(5)", [2]string{"'ab'", "'abcde'"}, "%s"},
		{"label", "text", [2]string{"'żółć, 漢字 🙂'", "''"}, pgText},
		{"raw", "bytea", [2]string{`'\x00ff0a'`, `'\x'`}, pgHex},
		{"born", "date", [2]string{"'1969-07-20'", "'2024-02-29'"}, "(%s - date '1970-01-01')::text"},
		{"at_milli", "time(3)", [2]string{"'12:34:56.789'", "'00:00:00'"}, pgMillis},
		{"at_micro", "time", [2]string{"'23:59:59.999999'", "'00:00:00.000001'"}, pgMicros},
		{"made_milli", "timestamp(3)", [2]string{"'2024-03-31 02:30:00.123'", "'1950-01-01 00:00:00.5'"}, pgMillis},
		{"made_micro", "timestamp", [2]string{"'2024-03-31 02:30:00.123456'", "'1950-01-01'"}, pgMicros},
		{"sent", "timestamptz", [2]string{"'2024-03-31 02:30:00.5+02'", "'1999-12-31 23:59:59.999999Z'"},
			`to_char(%s at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`},
		{"takes", "interval", [2]string{"'1 year 2 months 3 days 04:05:06.5'", "'-1 day'"}, pgText},
		{"mask", "bit(3)", [2]string{"B'101'", "B'010'"}, "lpad(to_hex(%s::int), 2, '0')"},
		{"mood", "mood", [2]string{"'so, so'", "'good'"}, pgText},
		{"doc", "jsonb", [2]string{`'{"b": [1, null], "a": "ü"}'`, "'5'"}, pgText},
		{"ident", "uuid", [2]string{"'0F8FAD5B-D9CB-469F-A165-70867728950E'", "'00000000-0000-0000-0000-000000000000'"}, pgText},
		{"numbers", "int[]", [2]string{"'{1,NULL,-3}'", "'{}'"}, pgList},
		{"words", "text[]", [2]string{`'{"a,b",ü,NULL}'`, "'{x}'"}, pgList},
	}}
	return []*table{everything, lines(pgText, true), fence(pgText)}
}

func mariadbTables() []*table {
	everything := &table{name: "everything", key: []string{"id"}, cols: []column{
		{"id", "int", [2]string{}, myText},
		{"flag", "bit(1)", [2]string{"b'1'", "b'0'"}, "if(%[1]s is null, null, if(%[1]s, 'true', 'false'))"},
		{"tiny", "tinyint", [2]string{"-128", "1"}, myText},
		{"small", "smallint unsigned", [2]string{"65535", "0"}, myText},
		{"medium", "mediumint", [2]string{"-8388608", "5"}, myText},
		{"plain", "int unsigned", [2]string{"4294967295", "9"}, myText},
		{"big", "bigint", [2]string{"-9223372036854775808", "3"}, myText},
		{"huge", "bigint unsigned", [2]string{"18446744073709551615", "0"}, myText},
		{"ratio", "float", [2]string{"1.5", "-0.25"}, myText},
		{"wide", "double", [2]string{"0.1", "-2.5"}, myText},
		{"amount", "decimal(20,4)", [2]string{"1234567890123456.5000", "-0.0100"}, myText},
		{"code", "char(5) character set latin1", [2]string{"'ärg'", "'abcde'"}, "%s"},
		{"label", "text character set utf8mb4", [2]string{"'żółć, 漢字 🙂'", "''"}, "%s"},
		{"raw", "varbinary(10)", [2]string{"x'00ff0a'", "x''"}, myHex},
		{"scan", "blob", [2]string{"x'deadbeef'", "x'00'"}, myHex},
		{"born", "date", [2]string{"'1969-07-20'", "'2024-02-29'"}, "cast(datediff(%s, '1970-01-01') as char)"},
		{"span", "time", [2]string{"'-25:00:01'", "'838:59:59'"}, "cast(time_to_sec(%s) * 1000000 as char)"},
		{"span_micro", "time(6)", [2]string{"'12:34:56.789012'", "'00:00:00.000001'"},
			"cast(cast(time_to_sec(%[1]s) * 1000000 as signed) as char)"},
		{"made_milli", "datetime(3)", [2]string{"'2024-03-31 02:30:00.123'", "'1950-01-01 00:00:00.5'"},
			"cast(timestampdiff(microsecond, '1970-01-01', %s) div 1000 as char)"},
		{"made_micro", "datetime(6)", [2]string{"'2024-03-31 02:30:00.123456'", "'1950-01-01'"}, myMicros},
		{"sent", "timestamp(6)", [2]string{"'2024-03-31 02:30:00.5'", "'1999-12-31 23:59:59.999999'"}, myInstant},
		{"vintage", "year", [2]string{"1999", "2155"}, myText},
		{"mask", "bit(9)", [2]string{"b'101100111'", "b'1'"}, "lower(concat(lpad(hex(%[1]s & 255), 2, '0'), lpad(hex(%[1]s >> 8), 2, '0')))"},
		{"mood", "enum('good','so, so')", [2]string{"'so, so'", "'good'"}, "%s"},
		{"tags", "set('a','b','c')", [2]string{"'c,a'", "''"}, "%s"},
		{"doc", "json", [2]string{`'{"b": [1, null], "a": "ü"}'`, "'5'"}, "%s"},
	}}
	return []*table{everything, lines(myText, false), fence(myText)}
}
