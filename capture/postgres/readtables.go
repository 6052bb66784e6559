package postgres

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/schemas"
)

// ReadTables reads tables as they all are at one moment and calls each with every
// row, in the order of the columns of the given shape, as capture would read it.
func ReadTables(ctx context.Context, url string, tables []*schemas.Table, each func(t *schemas.Table, row schemas.Row) error) error {
	conn, err := Config{URL: url, System: "the database"}.connectSQL(ctx)
	if err != nil {
		return err
	}
	defer closeSQL(conn)
	c, err := newCatalog(ctx, conn)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "begin isolation level repeatable read read only"); err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	names := make([]schemas.TableName, len(tables))
	for i, t := range tables {
		names[i] = t.Name
	}
	infos, err := c.named(ctx, names)
	if err != nil {
		return err
	}
	for _, t := range tables {
		i := slices.IndexFunc(infos, func(info *tableInfo) bool { return info.name == t.Name })
		if i < 0 {
			return noTable(t.Name)
		}
		if err := readTable(ctx, conn, c, infos[i], t, each); err != nil {
			return fmt.Errorf("read %s: %w", t.Name, err)
		}
	}
	return nil
}

func readTable(ctx context.Context, conn *pgx.Conn, c *catalog, info *tableInfo, t *schemas.Table, each func(*schemas.Table, schemas.Row) error) error {
	shape, err := c.shape(ctx, info.relation(), info, nil)
	if err != nil {
		return err
	}
	w := &tableRows{copyRows: copyRows{ctx: ctx, snapshot: &snapshot{}, shape: shape}, t: t, each: each}
	for _, col := range t.Columns {
		i := shape.table.Column(col.Name)
		if i < 0 {
			return fmt.Errorf("column %s is no longer there", col.Name)
		}
		w.from = append(w.from, i)
	}
	_, err = conn.PgConn().CopyTo(ctx, w, copyQuery(info, shape))
	return err
}

// tableRows takes the rows of COPY and puts their values into the order of t.
type tableRows struct {
	copyRows
	t    *schemas.Table
	from []int // where each column of t is in the row read
	each func(*schemas.Table, schemas.Row) error
}

// Write is called with one row each time.
func (w *tableRows) Write(line []byte) (int, error) {
	read, err := w.row(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil {
		return 0, err
	}
	row := make(schemas.Row, len(w.from))
	for i, j := range w.from {
		row[i] = read[j]
	}
	return len(line), w.each(w.t, row)
}
