package mapping_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/deploy/examples"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

// catalog reads CREATE TABLE statements of a simple form into a System, so that
// the mapping can be compiled without a server. The tests beside the example
// schemas compile it against catalogs of real servers.
func catalog(t *testing.T, schema string, statements []string) mapping.System {
	t.Helper()
	s := mapping.System{DefaultSchema: schema, Tables: map[schemas.TableName]*schemas.Table{}}
	for _, stmt := range statements {
		if i := strings.Index(stmt, "CREATE TABLE "); i >= 0 {
			table := readTable(t, schema, stmt[i+len("CREATE TABLE "):])
			s.Tables[table.Name] = table
		}
	}
	return s
}

var columnForm = regexp.MustCompile("^`?(\\w+)`?\\s+([a-z]+(?: unsigned)?(?:\\([\\d,' a-z]*\\))?)\\s*(.*)$")

func readTable(t *testing.T, schema, stmt string) *schemas.Table {
	t.Helper()
	name, body, ok := strings.Cut(stmt, "(")
	if !ok {
		t.Fatalf("not a table: %s", stmt)
	}
	table := &schemas.Table{Name: schemas.TableName{Schema: schema, Name: strings.TrimSpace(name)}}
	for _, line := range strings.Split(body, "\n") {
		line = strings.TrimSuffix(strings.TrimSpace(line), ",")
		if rest, ok := strings.CutPrefix(line, "PRIMARY KEY ("); ok {
			for _, k := range strings.Split(strings.TrimSuffix(rest, ")"), ",") {
				table.Key = append(table.Key, table.Column(strings.TrimSpace(k)))
			}
			continue
		}
		m := columnForm.FindStringSubmatch(line)
		if m == nil || strings.ToUpper(m[1]) == m[1] && m[1] != "" && !strings.HasPrefix(line, "`") {
			continue
		}
		auto := strings.Contains(m[3], "AUTO_INCREMENT") || strings.Contains(m[3], "IDENTITY")
		table.Columns = append(table.Columns, schemas.Column{Name: m[1], Type: readType(t, m[2]), Auto: auto,
			Nullable: !strings.Contains(m[3], "NOT NULL") && !strings.Contains(m[3], "PRIMARY KEY"), HasDefault: auto || strings.Contains(m[3], "DEFAULT"),
			Generated: strings.Contains(m[3], "GENERATED ALWAYS")})
		if strings.Contains(m[3], "PRIMARY KEY") {
			table.Key = []int{len(table.Columns) - 1}
		}
	}
	return table
}

func readType(t *testing.T, s string) schemas.Type {
	t.Helper()
	base, rest, _ := strings.Cut(s, "(")
	numbers := strings.Split(strings.TrimSuffix(rest, ")"), ",")
	number := func(i int) int {
		if i >= len(numbers) {
			return 0
		}
		n, _ := strconv.Atoi(strings.TrimSpace(numbers[i]))
		return n
	}
	typ := schemas.Type{Native: s}
	switch base {
	case "char", "varchar", "text":
		typ.Kind, typ.Length = schemas.KindText, number(0)
	case "uuid":
		typ.Kind = schemas.KindUUID
	case "boolean":
		typ.Kind = schemas.KindBool
	case "tinyint", "smallint":
		typ.Kind = schemas.KindInt16
	case "int", "integer":
		typ.Kind = schemas.KindInt32
	case "bigint":
		typ.Kind = schemas.KindInt64
	case "bigint unsigned":
		typ.Kind = schemas.KindUint64
	case "double":
		typ.Kind = schemas.KindFloat64
	case "decimal", "numeric":
		typ.Kind, typ.Precision, typ.Scale = schemas.KindDecimal, number(0), number(1)
		if number(0) == 0 {
			typ.Kind = schemas.KindNumeric
		}
	case "timestamp", "datetime":
		typ.Kind, typ.Precision = schemas.KindTimestamp, number(0)
	case "timestamptz":
		typ.Kind, typ.Precision = schemas.KindTimestampTZ, number(0)
	case "date":
		typ.Kind = schemas.KindDate
	case "time":
		typ.Kind = schemas.KindTime
	case "json", "jsonb":
		typ.Kind = schemas.KindJSON
	case "bytea":
		typ.Kind = schemas.KindBytes
	case "interval":
		typ.Kind = schemas.KindInterval
	case "enum":
		typ.Kind = schemas.KindEnum
		for _, l := range numbers {
			typ.Labels = append(typ.Labels, strings.Trim(strings.TrimSpace(l), "'"))
		}
	default:
		t.Fatalf("unknown type %q", s)
	}
	return typ
}

// example is the systems of the example business in two dialects.
func example(t *testing.T, crm, erp string) map[string]mapping.System {
	return map[string]mapping.System{
		"crm": catalog(t, "sales", examples.Schema("crm", crm)),
		"erp": catalog(t, "books", examples.Schema("erp", erp)),
	}
}
