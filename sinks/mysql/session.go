package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/strait-cdc/strait/sinks/internal/apply"
)

// session is apply.Session on one connection.
type session struct {
	conn     *sql.Conn
	pipeline string
	lane     int
	catalog  *catalog
	// apart is set when joined updates have found fewer rows than they should: the
	// group is done once more with each update on its own, to see which.
	apart bool
}

func (s *session) exec(ctx context.Context, query string, args ...any) error {
	_, err := s.conn.ExecContext(ctx, query, args...)
	return unlessRetry(err)
}

func (s *session) Begin(ctx context.Context) error {
	s.apart = false
	return s.exec(ctx, `start transaction`)
}

func (s *session) Mark(ctx context.Context, epoch, batch int64) (bool, error) {
	res, err := s.conn.ExecContext(ctx, `update strait.progress set batch = ?, answers = '', at = utc_timestamp(6)
where pipeline = ? and lane = ? and epoch = ? and batch = ?`, batch, s.pipeline, s.lane, epoch, batch-1)
	if err != nil {
		return false, unlessRetry(err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func (s *session) State(ctx context.Context) (apply.State, error) {
	st := apply.State{Found: true}
	err := s.conn.QueryRowContext(ctx, `select epoch, batch, coalesce(answers, '') from strait.progress where pipeline = ? and lane = ?`,
		s.pipeline, s.lane).Scan(&st.Epoch, &st.Batch, &st.Answers)
	if err == sql.ErrNoRows {
		return apply.State{}, nil
	}
	return st, err
}

func (s *session) SaveAnswers(ctx context.Context, text string) error {
	return s.exec(ctx, `update strait.progress set answers = ? where pipeline = ? and lane = ?`, text, s.pipeline, s.lane)
}

// Commit and Rollback are statements of their own: nothing else is in their
// packet, so a failure of it is a failure of nothing else.
func (s *session) Commit(ctx context.Context) error   { return s.exec(ctx, `commit`) }
func (s *session) Rollback(ctx context.Context) error { return s.exec(ctx, `rollback`) }

func (s *session) Savepoint(ctx context.Context) error { return s.exec(ctx, `savepoint strait`) }

func (s *session) Undo(ctx context.Context) error {
	return s.exec(ctx, `rollback to savepoint strait`)
}

func (s *session) Release(ctx context.Context) error {
	s.apart = false
	return s.exec(ctx, `release savepoint strait`)
}

// Check has nothing to do: constraints are never deferred here.
func (s *session) Check(context.Context) error { return nil }

func (s *session) Forget() { s.catalog.forget() }

func (s *session) ReadLinks(ctx context.Context, entity string, natives, hubs []string) ([]apply.LinkRow, error) {
	var out []apply.LinkRow
	for _, by := range []struct {
		column string
		values []string
	}{{"native_key", natives}, {"hub", hubs}} {
		if len(by.values) == 0 {
			continue
		}
		rows, err := s.conn.QueryContext(ctx, fmt.Sprintf(`select native_key, hub, status = 'dead', batch from strait.link where entity = %s and %s in (%s)`,
			quote(entity), by.column, quoteAll(by.values)))
		if err != nil {
			return nil, unlessRetry(err)
		}
		out, err = scanLinks(rows, entity, out)
		if err != nil {
			return nil, unlessRetry(err)
		}
	}
	return out, nil
}

func scanLinks(rows *sql.Rows, entity string, out []apply.LinkRow) ([]apply.LinkRow, error) {
	defer rows.Close()
	for rows.Next() {
		r := apply.LinkRow{}
		r.Entity = entity
		if err := rows.Scan(&r.NativeKey, &r.Hub, &r.Dead, &r.Batch); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func (s *session) WriteLinks(ctx context.Context, remove, add, status []apply.LinkRow) error {
	var b strings.Builder
	for _, r := range remove {
		fmt.Fprintf(&b, "delete from strait.link where entity = %s and native_key = %s;\n", quote(r.Entity), quote(r.NativeKey))
	}
	for i, r := range add {
		b.WriteString([]string{"insert into strait.link (entity, native_key, hub, status, batch) values ", ", "}[min(i, 1)])
		fmt.Fprintf(&b, "(%s, %s, %s, '%s', %d)", quote(r.Entity), quote(r.NativeKey), quote(r.Hub), word(r.Dead), r.Batch)
	}
	if len(add) > 0 {
		b.WriteString(";\n")
	}
	for _, r := range status {
		fmt.Fprintf(&b, "update strait.link set status = '%s', batch = %d where entity = %s and native_key = %s;\n", word(r.Dead), r.Batch, quote(r.Entity), quote(r.NativeKey))
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := s.conn.ExecContext(ctx, strings.TrimSuffix(b.String(), ";\n"))
	return ofLinks(classify(err, -1))
}

func word(dead bool) string {
	if dead {
		return "dead"
	}
	return "live"
}

func quoteAll(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = quote(v)
	}
	return strings.Join(out, ", ")
}
