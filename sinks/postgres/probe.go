package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
)

// Probe tries what is needed, in a transaction that is rolled back, with
// statements that touch no row. It says what the server refuses.
func (k *Sink) Probe(ctx context.Context, needs []sinks.Need) ([]sinks.Problem, error) {
	tx, err := k.conn.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	defer tx.Rollback(ctx)
	user := pgx.Identifier{k.conn.Config().User}.Sanitize()
	var out []sinks.Problem
	try := func(what, cure string, statements ...string) error {
		problem, err := attempt(ctx, tx, what, cure, statements)
		if problem != nil {
			out = append(out, *problem)
		}
		return err
	}
	if err := try("make the control tables", "create schema strait authorization "+user, k.control(ctx, tx)...); err != nil {
		return nil, err
	}
	for _, n := range needs {
		for _, p := range statementsOf(n) {
			cure := fmt.Sprintf("grant select, %s on %s to %s", p.right, pgx.Identifier{n.Table.Schema, n.Table.Name}.Sanitize(), user)
			if err := try(p.right+" "+n.Table.String(), cure, p.sql); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// control are the statements that show whether the control tables are there and
// ours to write, or can be made.
func (k *Sink) control(ctx context.Context, tx pgx.Tx) []string {
	var there bool
	err := tx.QueryRow(ctx, `select to_regclass('strait.progress') is not null and to_regclass('strait.link') is not null`).Scan(&there)
	if err != nil || !there {
		return schemas.PostgresControlTables
	}
	return []string{
		`update strait.progress set batch = batch where false`, `insert into strait.progress select * from strait.progress where false`,
		`update strait.link set status = status where false`, `insert into strait.link select * from strait.link where false`,
		`delete from strait.link where false`,
	}
}

type probe struct{ right, sql string }

func statementsOf(n sinks.Need) []probe {
	table := pgx.Identifier{n.Table.Schema, n.Table.Name}.Sanitize()
	var cols, sets []string
	for _, c := range n.Columns {
		q := pgx.Identifier{c}.Sanitize()
		cols, sets = append(cols, q), append(sets, q+" = "+q)
	}
	list := strings.Join(cols, ", ")
	var out []probe
	if len(cols) > 0 {
		out = append(out, probe{"update", "update " + table + " set " + strings.Join(sets, ", ") + " where false"})
	}
	if n.Insert && len(cols) > 0 {
		out = append(out, probe{"insert", "insert into " + table + " (" + list + ") select " + list + " from " + table + " where false"})
	}
	if n.Delete {
		out = append(out, probe{"delete", "delete from " + table + " where false"})
	}
	return out
}

// attempt runs statements behind a savepoint. What the server answers to them is
// a problem; any other error is one of the connection.
func attempt(ctx context.Context, tx pgx.Tx, what, cure string, statements []string) (*sinks.Problem, error) {
	sp, err := tx.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	defer sp.Rollback(ctx)
	for _, sql := range statements {
		_, err := sp.Exec(ctx, sql)
		var pe *pgconn.PgError
		switch {
		case err == nil:
		case errors.As(err, &pe):
			return &sinks.Problem{What: "not allowed: " + what, Reason: pe.Message, Cure: cure}, nil
		default:
			return nil, fmt.Errorf("probe: %w", err)
		}
	}
	return nil, nil
}
