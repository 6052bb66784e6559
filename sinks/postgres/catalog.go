package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/schemas"
)

// catalog knows the shapes of the tables that were written to.
type catalog struct {
	conn   *pgx.Conn
	tables map[schemas.TableName]*table
}

// table is what a statement needs to know of a table.
type table struct {
	name    schemas.TableName
	quoted  string
	columns map[string]*column
}

func newCatalog(conn *pgx.Conn) *catalog {
	return &catalog{conn: conn, tables: map[schemas.TableName]*table{}}
}

func (c *catalog) forget() { clear(c.tables) }

// columnsQuery follows a domain down to its base type and takes the length from
// wherever it is declared. The comparison of a column is made from whether its
// type has an equality operator and whether its collation tells all texts apart.
const columnsQuery = `
with recursive c as (
	select a.attnum, a.attname, a.atttypid as typid, a.atttypmod as typmod, a.attcollation as collation
	from pg_attribute a
	where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
), base as (
	select attnum, typid, typmod from c
	union all
	select b.attnum, t.typbasetype, case when b.typmod >= 0 then b.typmod else t.typtypmod end
	from base b join pg_type t on t.oid = b.typid where t.typtype = 'd'
)
select c.attname, t.typname, t.typtype::text, t.typcategory::text, b.typmod,
	format_type(b.typid, -1), format_type(c.typid, c.typmod),
	coalesce(l.collisdeterministic, true), t.typcollation <> 0,
	exists (select 1 from pg_opclass o where o.opcdefault and o.opcintype = t.oid and o.opcmethod in (403, 405))
from c
join base b on b.attnum = c.attnum
join pg_type t on t.oid = b.typid and t.typtype <> 'd'
left join pg_collation l on l.oid = c.collation`

// table gives the shape of a table; nil when there is none that this user can
// see.
func (c *catalog) table(ctx context.Context, name schemas.TableName) (*table, error) {
	if t := c.tables[name]; t != nil {
		return t, nil
	}
	quoted := pgx.Identifier{name.Schema, name.Name}.Sanitize()
	rows, err := c.conn.Query(ctx, columnsQuery, quoted)
	if err != nil {
		return nil, fmt.Errorf("columns of %s: %w", name, unlessRetry(err))
	}
	t := &table{name: name, quoted: quoted, columns: map[string]*column{}}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*column, error) {
		var f facts
		err := row.Scan(&f.name, &f.typname, &f.typtype, &f.category, &f.typmod, &f.cast, &f.native, &f.deterministic, &f.collatable, &f.equality)
		return newColumn(f), err
	})
	if err != nil {
		return nil, fmt.Errorf("columns of %s: %w", name, unlessRetry(err))
	}
	if len(found) == 0 {
		return nil, nil
	}
	for _, col := range found {
		t.columns[col.name] = col
	}
	c.tables[name] = t
	return t, nil
}
