package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// catalog knows the shapes of the tables that were written to.
type catalog struct {
	conn    *sql.Conn
	mariadb bool
	tables  map[schemas.TableName]*table
}

// table is what a statement needs to know of a table.
type table struct {
	name    schemas.TableName
	quoted  string
	columns map[string]*column
	mariadb bool
}

func newCatalog(conn *sql.Conn, mariadb bool) *catalog {
	return &catalog{conn: conn, mariadb: mariadb, tables: map[schemas.TableName]*table{}}
}

func (c *catalog) forget() { clear(c.tables) }

// table gives the shape of a table; nil when there is none that this user can
// see.
func (c *catalog) table(ctx context.Context, name schemas.TableName) (*table, error) {
	if t := c.tables[name]; t != nil {
		return t, nil
	}
	rows, err := c.conn.QueryContext(ctx, `select column_name, data_type, column_type, is_nullable = 'YES', extra like '%auto_increment%',
	coalesce(character_maximum_length, 0), coalesce(numeric_scale, 0), coalesce(datetime_precision, 0)
from information_schema.columns where table_schema = ? and table_name = ?`, name.Schema, name.Name)
	if err != nil {
		return nil, fmt.Errorf("columns of %s: %w", name, unlessRetry(err))
	}
	defer rows.Close()
	t := &table{name: name, quoted: identifier(name.Schema) + "." + identifier(name.Name), columns: map[string]*column{}, mariadb: c.mariadb}
	for rows.Next() {
		var f facts
		if err := rows.Scan(&f.name, &f.dataType, &f.columnType, &f.nullable, &f.auto, &f.length, &f.scale, &f.precision); err != nil {
			return nil, fmt.Errorf("columns of %s: %w", name, err)
		}
		t.columns[f.name] = newColumn(f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("columns of %s: %w", name, unlessRetry(err))
	}
	if len(t.columns) == 0 {
		return nil, nil
	}
	c.tables[name] = t
	return t, nil
}

func identifier(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
