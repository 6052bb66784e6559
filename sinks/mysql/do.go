package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	mysql "github.com/go-sql-driver/mysql"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks/internal/apply"
)

// few is up to how many writes are sent one by one, each with a look at its
// warnings; packetSize bounds the packets that hold more, in bytes.
const (
	few        = 4
	packetSize = 512 << 10
)

// Do sends the statements in few packets, updates of one shape joined. Behind each statement stands a SET
// that counts it and its warnings in variables of the session: the first tells
// after an error which statement it was, the second that a value was changed
// without an error.
func (s *session) Do(ctx context.Context, writes []apply.Write) ([]apply.Done, error) {
	list := make([]*statement, len(writes))
	single := len(writes) <= few
	for i := range writes {
		st, err := s.compile(ctx, i, &writes[i])
		if err != nil {
			return nil, err
		}
		list[i] = st
		single = single || len(st.returns) > 0 || st.check
	}
	done := make([]apply.Done, len(list))
	if single {
		for i, st := range list {
			d, err := s.one(ctx, i, st)
			if err != nil {
				return nil, err
			}
			done[i] = d
		}
		return done, nil
	}
	if !s.apart {
		list = joined(list)
	}
	for from, to := 0, 0; from < len(list); from = to {
		to = packet(list, from)
		if err := s.many(ctx, list[from:to], done); err != nil {
			return nil, err
		}
	}
	return done, nil
}

func (s *session) compile(ctx context.Context, i int, w *apply.Write) (*statement, error) {
	t, err := s.catalog.table(ctx, w.Table)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, missing(i, fmt.Sprintf("table %s is not there, or not to be seen by strait's user", w.Table))
	}
	st, err := compile(t, w)
	if err != nil {
		return nil, missing(i, err.Error())
	}
	st.writes = []int{i}
	return st, nil
}

// missing is the Fault of a write that our knowledge of the table rules out; the
// table may have changed since.
func missing(index int, reason string) *apply.Fault {
	f := apply.Refuse(index, "%s", reason)
	f.Stale = true
	return f
}

// packet says where the packet ends that begins with statement from.
func packet(list []*statement, from int) int {
	size, to := 0, from
	for to < len(list) && (to == from || size+len(list[to].text) <= packetSize) {
		size += len(list[to].text) + len(counting)
		to++
	}
	return to
}

// counting goes behind each statement, verdict to the end: it fails on purpose
// when there was a warning, which saves a round trip to ask.
const (
	counting = ";\nset @strait_w = @strait_w + @@warning_count, @strait_i = @strait_i + 1;\n"
	verdict  = "set @strait_w = if(@strait_w = 0, 0, (select 1 union all select 2))"
)

func (s *session) many(ctx context.Context, list []*statement, done []apply.Done) error {
	var b strings.Builder
	b.WriteString("set @strait_w = 0, @strait_i = 0;\n")
	for _, st := range list {
		b.WriteString(st.text)
		b.WriteString(counting)
	}
	b.WriteString(verdict)
	rows, ids, err := s.send(ctx, b.String())
	if err != nil {
		return s.blame(ctx, err, list)
	}
	if len(rows) != 2*len(list)+2 {
		return fmt.Errorf("the server gave %d results for %d statements", len(rows), 2*len(list)+2)
	}
	for i, st := range list {
		found := rows[1+2*i]
		if len(st.writes) == 1 {
			done[st.writes[0]] = st.done(found, ids[1+2*i])
			continue
		}
		if found != int64(len(st.writes)) {
			s.apart = true
			return &apply.Fault{Index: -1, Again: true, Reason: "joined updates found fewer rows, or more"}
		}
		for _, w := range st.writes {
			done[w] = apply.Done{Rows: 1}
		}
	}
	return nil
}

// send runs a packet of statements and gives the rows and the generated key of
// each.
func (s *session) send(ctx context.Context, text string) (rows, ids []int64, err error) {
	err = s.conn.Raw(func(c any) error {
		res, err := c.(driver.ExecerContext).ExecContext(ctx, text, nil)
		if err != nil {
			return err
		}
		r := res.(mysql.Result)
		rows, ids = r.AllRowsAffected(), r.AllLastInsertIds()
		return nil
	})
	return rows, ids, err
}

// blame finds which statement of a packet failed.
func (s *session) blame(ctx context.Context, err error, list []*statement) error {
	c := classify(err, -1)
	var f *apply.Fault
	if !errors.As(c, &f) {
		return c
	}
	var at int
	if err := s.conn.QueryRowContext(ctx, `select @strait_i`).Scan(&at); err != nil {
		return err
	}
	switch {
	case at == len(list): // the verdict
		f.Reason = "the server changed a value without an error"
	case at < len(list) && len(list[at].writes) == 1:
		f.Index = list[at].writes[0]
	case at < len(list):
		s.apart, f.Again = true, true
	}
	return f
}

// one runs a single statement.
func (s *session) one(ctx context.Context, i int, st *statement) (apply.Done, error) {
	if st.check {
		return s.look(ctx, i, st)
	}
	if len(st.returns) > 0 {
		return s.returning(ctx, i, st)
	}
	rows, ids, err := s.send(ctx, st.text)
	if err != nil {
		return apply.Done{}, classify(err, i)
	}
	return st.done(rows[0], ids[0]), s.warned(ctx, i)
}

// look runs a statement that only looks for a row.
func (s *session) look(ctx context.Context, i int, st *statement) (apply.Done, error) {
	rows, err := s.conn.QueryContext(ctx, st.text)
	if err != nil {
		return apply.Done{}, classify(err, i)
	}
	defer rows.Close()
	var d apply.Done
	for rows.Next() {
		d.Rows++
	}
	return d, classify(rows.Err(), i)
}

func (s *session) returning(ctx context.Context, i int, st *statement) (apply.Done, error) {
	rows, err := s.conn.QueryContext(ctx, st.text)
	if err != nil {
		return apply.Done{}, classify(err, i)
	}
	defer rows.Close()
	got := make([]string, len(st.returns))
	dest := make([]any, len(got))
	for j := range got {
		dest[j] = &got[j]
	}
	d := apply.Done{Key: append([]schemas.Value(nil), st.key...)}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return d, err
		}
		d.Rows++
	}
	for j, place := range st.places {
		d.Key[place] = st.returns[j].parse(got[j])
	}
	return d, classify(rows.Err(), i)
}

func (st *statement) done(rows, id int64) apply.Done {
	d := apply.Done{Rows: rows, Key: st.key}
	if st.auto >= 0 && rows > 0 {
		d.Key = append([]schemas.Value(nil), st.key...)
		d.Key[st.auto] = st.autoKey.generated(uint64(id))
	}
	return d
}

// lossy are the warnings that tell of a changed value. Others, such as those of
// a trigger that found no row, are none of our business.
var lossy = map[int]bool{
	1048: true, 1263: true, 1264: true, 1265: true, 1292: true, 1300: true, 1364: true, 1365: true, 1366: true, 1367: true, 1406: true, 1411: true, 1441: true, 3156: true,
}

// warned refuses a statement that changed a value without an error. The list is
// complete because the session sets max_error_count; asking @@warning_count
// before it would clear it on MySQL.
func (s *session) warned(ctx context.Context, i int) error {
	rows, err := s.conn.QueryContext(ctx, `show warnings`)
	if err != nil {
		return unlessRetry(err)
	}
	defer rows.Close()
	for rows.Next() {
		var level, message string
		var code int
		if err := rows.Scan(&level, &code, &message); err != nil {
			return err
		}
		if lossy[code] {
			return apply.Refuse(i, "the server would change a value: %s (%s %d)", message, strings.ToLower(level), code)
		}
	}
	return rows.Err()
}
