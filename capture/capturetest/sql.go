package capturetest

import (
	"context"
	"database/sql"
	"fmt"
)

// SQL is the part of a Database that is the same on every SQL server.
type SQL struct {
	DB *sql.DB
}

// Do runs the statements in one transaction on one connection.
func (s SQL) Do(ctx context.Context, stmts ...Stmt) error {
	conn, err := s.DB.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := s.do(ctx, conn, stmts); err != nil {
		// The connection goes back to the pool: end what was begun.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "rollback")
		return err
	}
	return nil
}

func (s SQL) do(ctx context.Context, conn *sql.Conn, stmts []Stmt) error {
	end := "commit"
	if len(stmts) > 0 && stmts[len(stmts)-1].kind == stmtRollback {
		stmts, end = stmts[:len(stmts)-1], "rollback"
	}
	if _, err := conn.ExecContext(ctx, "begin"); err != nil {
		return err
	}
	for _, st := range stmts {
		for _, q := range st.SQL() {
			if _, err := conn.ExecContext(ctx, q); err != nil {
				return fmt.Errorf("%.200s: %w", q, err)
			}
		}
	}
	_, err := conn.ExecContext(ctx, end)
	return err
}

// Exec runs a statement that is no part of a story, such as the ones of the
// types' story.
func (s SQL) Exec(ctx context.Context, query string) error {
	_, err := s.DB.ExecContext(ctx, query)
	if err != nil {
		return fmt.Errorf("%.200s: %w", query, err)
	}
	return nil
}

// Rows is what a table of the form of Create holds, by key, as RowText shows it.
func (s SQL) Rows(ctx context.Context, table string) (map[int64]string, error) {
	rows, err := s.DB.QueryContext(ctx, "select id, name, n from "+table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[int64]string{}
	for rows.Next() {
		var id int64
		var name, n sql.NullString
		if err := rows.Scan(&id, &name, &n); err != nil {
			return nil, err
		}
		out[id] = RowText(textOrNull(name), textOrNull(n))
	}
	return out, rows.Err()
}

func textOrNull(s sql.NullString) string {
	if !s.Valid {
		return "NULL"
	}
	return s.String
}

// RowText is the one form in which rows are compared: name and n.
func RowText(name, n string) string { return name + "|" + n }
