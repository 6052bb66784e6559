package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// Catalog is the shape of the given tables as they are now; nil: all base tables
// of the URL's database, in order of name.
func Catalog(ctx context.Context, url string, tables []schemas.TableName) ([]*schemas.Table, error) {
	db, t, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	srv, err := identify(ctx, db)
	if err != nil {
		return nil, err
	}
	cs, err := loadCharsets(ctx, db, srv.mariadb)
	if err != nil {
		return nil, err
	}
	if tables == nil {
		if tables, err = baseTables(ctx, db, t.database); err != nil {
			return nil, err
		}
	}
	out := make([]*schemas.Table, 0, len(tables))
	for _, name := range tables {
		lt, err := lookUp(ctx, db, cs, name)
		if err != nil {
			return nil, err
		}
		table, err := lt.table()
		if err != nil {
			return nil, err
		}
		out = append(out, table)
	}
	return out, nil
}

func baseTables(ctx context.Context, db querier, database string) ([]schemas.TableName, error) {
	if database == "" {
		return nil, errors.New("the database url names no database and no tables are configured")
	}
	rows, err := db.QueryContext(ctx, `select table_name from information_schema.tables
		where table_schema = ? and table_type in ('BASE TABLE', 'SYSTEM VERSIONED') order by table_name`, database)
	if err != nil {
		return nil, fmt.Errorf("tables of %s: %w", database, err)
	}
	defer rows.Close()
	var out []schemas.TableName
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("tables of %s: %w", database, err)
		}
		out = append(out, schemas.TableName{Schema: database, Name: name})
	}
	return out, rows.Err()
}

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// listedColumn is a column as information_schema lists it.
type listedColumn struct {
	name       string
	declared   declared
	nullable   bool
	generated  bool
	hasDefault bool
	auto       bool
	compressed bool
}

// listedTable is a table as information_schema lists it.
type listedTable struct {
	name    schemas.TableName
	engine  string
	kind    string
	columns []listedColumn
	// key are the names of the columns of the primary key, or of the first unique
	// key, by name, none of whose columns is nullable.
	key []string
	// primary says that key is the primary key.
	primary bool
	// rowEnd is the column that ends a row's time in a system-versioned table.
	rowEnd string
}

func lookUp(ctx context.Context, db querier, cs *charsets, name schemas.TableName) (*listedTable, error) {
	lt := &listedTable{name: name}
	var engine sql.NullString
	var real schemas.TableName
	err := db.QueryRowContext(ctx, "select engine, table_type, table_schema, table_name from information_schema.tables where table_schema = ? and table_name = ?",
		name.Schema, name.Name).Scan(&engine, &lt.kind, &real.Schema, &real.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("table %s: %w, or its user may not see it: grant select on %s to the user of the capture", name, errNoTable, quoteName(name))
	}
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", name, err)
	}
	if real != name {
		// Where the server does not tell letters apart, the log has its own spelling.
		return nil, fmt.Errorf("table %s: the server calls it %s: write it so", name, real)
	}
	lt.engine = engine.String
	if err := lt.loadColumns(ctx, db, cs); err != nil {
		return nil, fmt.Errorf("table %s: columns: %w", name, err)
	}
	for _, c := range lt.columns {
		if err := c.declared.charset.prepare(ctx, db); err != nil {
			return nil, fmt.Errorf("table %s: column %s: %w", name, c.name, err)
		}
	}
	if err := lt.loadKey(ctx, db); err != nil {
		return nil, fmt.Errorf("table %s: keys: %w", name, err)
	}
	return lt, nil
}

var errNoTable = errors.New("it does not exist")

func (lt *listedTable) loadColumns(ctx context.Context, db querier, cs *charsets) error {
	rows, err := db.QueryContext(ctx, `select column_name, data_type, column_type, is_nullable, column_default, extra,
		coalesce(character_maximum_length, 0), coalesce(numeric_precision, 0), coalesce(numeric_scale, 0), coalesce(datetime_precision, 0),
		coalesce(character_set_name, ''), coalesce(generation_expression, '')
		from information_schema.columns where table_schema = ? and table_name = ? order by ordinal_position`, lt.name.Schema, lt.name.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var c listedColumn
		var base, nullable, extra, charset, expression string
		var def sql.NullString
		var length int64
		var precision, scale, fraction int
		if err := rows.Scan(&c.name, &base, &c.declared.native, &nullable, &def, &extra, &length, &precision, &scale, &fraction, &charset, &expression); err != nil {
			return err
		}
		if strings.EqualFold(expression, "ROW END") {
			lt.rowEnd = c.name
		}
		extra = strings.ToLower(extra)
		c.nullable = nullable == "YES"
		c.auto = strings.Contains(extra, "auto_increment")
		c.generated = expression != "" || strings.Contains(strings.ReplaceAll(extra, "default_generated", ""), "generated")
		c.hasDefault = c.auto || def.Valid && def.String != "NULL" || strings.Contains(extra, "default_generated")
		c.compressed = strings.Contains(c.declared.native, "COMPRESSED")
		c.declared.fill(strings.ToLower(base), int(length), precision, scale, fraction, cs.byName[charset])
		lt.columns = append(lt.columns, c)
	}
	return rows.Err()
}

// fill takes over what the columns of information_schema.columns say.
func (d *declared) fill(base string, length, precision, scale, fraction int, charset *charset) {
	d.base = base
	d.charset = charset
	d.unsigned = strings.Contains(d.native, "unsigned")
	switch base {
	case "integer":
		d.base = "int"
	case "decimal":
		d.precision, d.scale = precision, scale
	case "bit":
		d.length = precision
	case "time", "datetime", "timestamp":
		d.precision = fraction
	case "char", "varchar", "binary", "varbinary":
		d.length = length
	case "enum", "set":
		d.labels = parseLabelList(d.native)
	}
}

// labelEscapes are the bytes that the server writes with a backslash there.
var labelEscapes = map[byte]byte{'0': 0, 'n': '\n', 'r': '\r', '\\': '\\'}

// parseLabelList reads the labels out of the text of an enum or set type.
func parseLabelList(native string) []string {
	i := strings.IndexByte(native, '(')
	if i < 0 {
		return nil
	}
	var out []string
	var label strings.Builder
	inside := false
	for s := native[i+1:]; s != ""; s = s[1:] {
		escaped, known := byte(0), false
		if inside && s[0] == '\\' && len(s) > 1 {
			escaped, known = labelEscapes[s[1]]
		}
		switch {
		case known:
			label.WriteByte(escaped)
			s = s[1:]
		case s[0] != '\'':
			if inside {
				label.WriteByte(s[0])
			}
		case inside && strings.HasPrefix(s, "''"):
			label.WriteByte('\'')
			s = s[1:]
		case inside:
			out = append(out, label.String())
			label.Reset()
			inside = false
		default:
			inside = true
		}
	}
	return out
}

func (lt *listedTable) loadKey(ctx context.Context, db querier) error {
	rows, err := db.QueryContext(ctx, `select index_name, column_name, coalesce(sub_part, 0) from information_schema.statistics
		where table_schema = ? and table_name = ? and non_unique = 0 order by index_name, seq_in_index`, lt.name.Schema, lt.name.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	keys := map[string][]string{}
	unfit := map[string]bool{}
	for rows.Next() {
		var index string
		var column sql.NullString // NULL: an expression
		var prefix int
		if err := rows.Scan(&index, &column, &prefix); err != nil {
			return err
		}
		c := lt.column(column.String)
		// A unique prefix does identify a row, but only through the server's own
		// comparison; and system versioning adds its row_end to the keys it lists.
		if !column.Valid || c == nil || index != "PRIMARY" && (prefix > 0 || c.nullable) {
			unfit[index] = !(index == "PRIMARY" && c == nil)
			continue
		}
		keys[index] = append(keys[index], column.String)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if key := keys["PRIMARY"]; len(key) > 0 {
		lt.key, lt.primary = key, true
		return nil
	}
	names := make([]string, 0, len(keys))
	for name := range keys {
		if !unfit[name] {
			names = append(names, name)
		}
	}
	if sort.Strings(names); len(names) > 0 {
		lt.key = keys[names[0]]
	}
	return nil
}

// versioned says that the table keeps its history.
func (lt *listedTable) versioned() bool { return lt.kind == "SYSTEM VERSIONED" }

func (lt *listedTable) column(name string) *listedColumn {
	for i := range lt.columns {
		if strings.EqualFold(lt.columns[i].name, name) {
			return &lt.columns[i]
		}
	}
	return nil
}

// column is the listed column in our own terms.
func (c *listedColumn) column() (schemas.Column, error) {
	t, err := c.declared.schemaType()
	if err != nil {
		return schemas.Column{}, fmt.Errorf("column %s: %w", c.name, err)
	}
	return schemas.Column{Name: c.name, Type: t, Nullable: c.nullable || mayBeZero(t.Kind), Generated: c.generated, HasDefault: c.hasDefault, Auto: c.auto}, nil
}

// table is the shape of the table in our own terms; all that we cannot capture
// is an error that says so.
func (lt *listedTable) table() (*schemas.Table, error) {
	t := &schemas.Table{Name: lt.name}
	for i := range lt.columns {
		c, err := lt.columns[i].column()
		if err != nil {
			return nil, fmt.Errorf("table %s: %w; leave the table out, or change the column's type", lt.name, err)
		}
		t.Columns = append(t.Columns, c)
	}
	for _, name := range lt.key {
		for i := range t.Columns {
			if strings.EqualFold(t.Columns[i].Name, name) {
				t.Key = append(t.Key, i)
			}
		}
	}
	if len(t.Key) == 0 {
		return nil, noKey(lt.name)
	}
	if !strings.EqualFold(lt.engine, "InnoDB") && !strings.EqualFold(lt.engine, "ROCKSDB") {
		return nil, unsupported("table %s is stored by %s, which has no consistent snapshot; cure: alter table %s engine = InnoDB", lt.name, lt.engine, quoteName(lt.name))
	}
	return t, nil
}

func noKey(name schemas.TableName) error {
	return unsupported("table %s has neither a primary key nor a unique key over columns that are not null; cure: alter table %s add primary key (…)", name, quoteName(name))
}

func quote(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

func quoteName(n schemas.TableName) string { return quote(n.Schema) + "." + quote(n.Name) }
