package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// ReadTables reads tables as they all are at one moment and calls each with every
// row, in the order of the columns of the given shape, as capture would read it.
func ReadTables(ctx context.Context, url string, tables []*schemas.Table, each func(t *schemas.Table, row schemas.Row) error) error {
	t, err := parseURL(url)
	if err != nil {
		return err
	}
	pool, err := t.open(map[string]string{"character_set_results": "NULL"})
	if err != nil {
		return err
	}
	defer pool.Close()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", t.addr, err)
	}
	defer conn.Close()
	for _, statement := range []string{"set session transaction isolation level repeatable read", consistentSnapshot} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	srv, err := identify(ctx, pool)
	if err != nil {
		return err
	}
	cs, err := loadCharsets(ctx, conn, srv.mariadb)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := readTable(ctx, conn, cs, table, each); err != nil {
			return fmt.Errorf("read %s: %w", table.Name, err)
		}
	}
	return nil
}

func readTable(ctx context.Context, conn *sql.Conn, cs *charsets, t *schemas.Table, each func(*schemas.Table, schemas.Row) error) error {
	listed, err := lookUp(ctx, conn, cs, t.Name)
	if err != nil {
		return err
	}
	cols := make([]textColumn, len(t.Columns))
	exprs := make([]string, len(cols))
	for i, c := range t.Columns {
		lc := listed.column(c.Name)
		if lc == nil {
			return fmt.Errorf("column %s is no longer there", c.Name)
		}
		cols[i] = newTextColumn(c.Type, lc)
		exprs[i] = cols[i].expression(c.Name)
	}
	rows, err := conn.QueryContext(ctx, "select "+strings.Join(exprs, ", ")+" from "+quoteName(t.Name))
	if err != nil {
		return err
	}
	defer rows.Close()
	raw := make([]sql.RawBytes, len(cols))
	into := make([]any, len(cols))
	for i := range raw {
		into[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		row := make(schemas.Row, len(cols))
		for i, b := range raw {
			if b == nil {
				continue
			}
			if row[i], err = cols[i].value(b); err != nil {
				return fmt.Errorf("column %s: %w", t.Columns[i].Name, err)
			}
		}
		if err := each(t, row); err != nil {
			return err
		}
	}
	return rows.Err()
}
