package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/strait-cdc/strait/sinks"
)

// Probe tries what is needed, in a transaction that is rolled back, with
// statements that touch no row. It says what the server refuses. Making the
// control tables cannot be tried here: it could not be taken back.
func (k *Sink) Probe(ctx context.Context, needs []sinks.Need) ([]sinks.Problem, error) {
	if err := k.s.Begin(ctx); err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	defer k.s.Rollback(ctx)
	var user, place string
	if err := k.conn.QueryRowContext(ctx, `select substring_index(current_user(), '@', 1), substring_index(current_user(), '@', -1)`).Scan(&user, &place); err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	to := quote(user) + "@" + quote(place)
	out, err := k.probeControl(ctx, to)
	if err != nil {
		return nil, err
	}
	for _, n := range needs {
		table := identifier(n.Table.Schema) + "." + identifier(n.Table.Name)
		for _, p := range statementsOf(table, n) {
			reason, err := k.attempt(ctx, p.sql)
			if err != nil {
				return nil, err
			}
			if reason != "" {
				out = append(out, sinks.Problem{What: "not allowed: " + p.right + " " + n.Table.String(), Reason: reason, Cure: fmt.Sprintf("grant select, %s on %s to %s", p.right, table, to)})
			}
		}
	}
	return out, nil
}

func (k *Sink) probeControl(ctx context.Context, to string) ([]sinks.Problem, error) {
	var there int
	err := k.conn.QueryRowContext(ctx, `select count(*) from information_schema.tables where table_schema = 'strait' and table_name in ('progress', 'link')`).Scan(&there)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	if there < 2 {
		return nil, nil
	}
	for _, sql := range []string{
		`update strait.progress set batch = batch where false`, `insert into strait.progress select * from strait.progress where false`,
		`update strait.link set status = status where false`, `insert into strait.link select * from strait.link where false`,
		`delete from strait.link where false`,
	} {
		reason, err := k.attempt(ctx, sql)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			return []sinks.Problem{{What: "not allowed: write the control tables", Reason: reason, Cure: "grant create, select, insert, update, delete on strait.* to " + to}}, nil
		}
	}
	return nil, nil
}

type probe struct{ right, sql string }

func statementsOf(table string, n sinks.Need) []probe {
	var cols, sets []string
	for _, c := range n.Columns {
		q := identifier(c)
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

// noDefault is the server's answer to an insert that leaves out a column which
// must be given; the probe gives only what is mapped.
const noDefault = 1364

// attempt is what the server says against a statement, empty if nothing.
func (k *Sink) attempt(ctx context.Context, sql string) (reason string, err error) {
	_, err = k.conn.ExecContext(ctx, sql)
	var me *driver.MySQLError
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &me):
		return "", fmt.Errorf("probe: %w", err)
	case me.Number == noDefault:
		return "", nil
	}
	return me.Message, nil
}
