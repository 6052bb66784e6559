package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks/internal/apply"
)

// unit is what goes to the server as one statement: one write, or the updates
// of one shape.
type unit []*statement

// Do sends all statements in one round trip. Updates of one shape become one
// statement over arrays; so updates may change places among each other as long
// as they concern different rows.
func (s *session) Do(ctx context.Context, writes []apply.Write) ([]apply.Done, error) {
	units, err := s.plan(ctx, writes)
	if err != nil {
		return nil, err
	}
	batch := &pgx.Batch{}
	for _, u := range units {
		if len(u) > 1 {
			batch.Queue(u.many(), u.arrays()...)
		} else {
			batch.Queue(u[0].single(), u[0].values()...)
		}
	}
	done := make([]apply.Done, len(writes))
	results := s.conn.SendBatch(ctx, batch)
	for _, u := range units {
		if err := u.read(results, done); err != nil {
			_ = results.Close()
			return nil, classify(err, u.blame(err))
		}
	}
	if err := results.Close(); err != nil {
		return nil, classify(err, -1)
	}
	return done, nil
}

// blame says which write an error belongs to. A statement that the server could
// not even parse fails before any is executed, and pgx reports it with the
// first.
func (u unit) blame(err error) int {
	if len(u) > 1 || strings.HasPrefix(sqlState(err), "42") {
		return -1
	}
	return u[0].index
}

func (s *session) plan(ctx context.Context, writes []apply.Write) ([]unit, error) {
	var units []unit
	byShape, rows := map[string]int{}, map[string]bool{}
	for i := range writes {
		w := &writes[i]
		t, err := s.catalog.table(ctx, w.Table)
		if err != nil {
			return nil, err
		}
		if t == nil {
			return nil, missing(i, fmt.Sprintf("table %s is not there, or not to be seen by strait's user", w.Table))
		}
		st, err := compile(t, i, w)
		if err != nil {
			return nil, missing(i, err.Error())
		}
		row := t.quoted + st.row
		if st.kind != schemas.WriteUpdate || rows[row] {
			clear(byShape)
			clear(rows)
		}
		if st.kind != schemas.WriteUpdate {
			units = append(units, unit{st})
			continue
		}
		rows[row] = true
		if at, ok := byShape[st.shape]; ok {
			units[at] = append(units[at], st)
			continue
		}
		byShape[st.shape] = len(units)
		units = append(units, unit{st})
	}
	return units, nil
}

// missing is the Fault of a write that our knowledge of the table rules out; the
// table may have changed since.
func missing(index int, reason string) *apply.Fault {
	f := apply.Refuse(index, "%s", reason)
	f.Stale = true
	return f
}

func (st *statement) values() []any {
	out := make([]any, len(st.args))
	for i, a := range st.args {
		out[i] = a
	}
	return out
}

// many is the text for all rows of the unit: values come from arrays that are
// unnested side by side.
func (u unit) many() string {
	n := len(u[0].args)
	var from, names strings.Builder
	for i := range n {
		fmt.Fprintf(&from, "$%d::text[], ", i+1)
		fmt.Fprintf(&names, "c%d, ", i)
	}
	arrays := fmt.Sprintf(" from unnest(%s) with ordinality as v(%sn)", strings.TrimSuffix(from.String(), ", "), names.String())
	return u[0].render(arrays, func(i int) string { return fmt.Sprintf("v.c%d", i) }) + " returning v.n"
}

func (u unit) arrays() []any {
	out := make([]any, len(u[0].args))
	for i := range out {
		column := make([]*string, len(u))
		for j, st := range u {
			column[j] = st.args[i]
		}
		out[i] = column
	}
	return out
}

func (u unit) read(results pgx.BatchResults, done []apply.Done) error {
	switch {
	case len(u) > 1:
		rows, err := results.Query()
		if err != nil {
			return err
		}
		var n int64
		_, err = pgx.ForEachRow(rows, []any{&n}, func() error {
			done[u[n-1].index].Rows++
			return nil
		})
		return err
	case len(u[0].columns) > 0:
		return u[0].readKey(results, done)
	}
	tag, err := results.Exec()
	done[u[0].index] = apply.Done{Rows: tag.RowsAffected(), Key: u[0].key}
	return err
}

func (st *statement) readKey(results pgx.BatchResults, done []apply.Done) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	got := make([]string, len(st.columns))
	dest := make([]any, len(got))
	for i := range got {
		dest[i] = &got[i]
	}
	d := &done[st.index]
	if _, err := pgx.ForEachRow(rows, dest, func() error { d.Rows++; return nil }); err != nil || d.Rows == 0 {
		return err
	}
	d.Key = append([]schemas.Value(nil), st.key...)
	for i, from := range st.made {
		if from >= 0 {
			d.Key[i] = st.columns[from].parseKey(got[from])
		}
	}
	return nil
}
