package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
	"github.com/strait-cdc/strait/sinks/internal/apply"
)

// ErrFault is the error of an injected fault.
var ErrFault = errors.New("injected fault")

// MapSink is a sinks.Sink into a Map.
type MapSink struct {
	s      *mapSession
	epoch  int64
	broken error
}

var _ sinks.Sink = (*MapSink)(nil)

// Sink opens a sink for a lane.
func (m *Map) Sink(pipeline string, lane int) *MapSink {
	return &MapSink{s: &mapSession{m: m, lane: mapLane{pipeline, lane}}}
}

// Links gives all rows of strait.link with their status, ordered.
func (m *Map) Links(_ context.Context, each func(link schemas.Link, status string) error) error {
	if m.at("links") != NoFault {
		return ErrFault
	}
	m.mu.Lock()
	rows := make([]apply.LinkRow, 0, len(m.links))
	for _, r := range m.links {
		rows = append(rows, r)
	}
	m.mu.Unlock()
	sort.Slice(rows, func(i, j int) bool {
		return rows[i].Entity+"\x00"+rows[i].NativeKey < rows[j].Entity+"\x00"+rows[j].NativeKey
	})
	for _, r := range rows {
		status := "live"
		if r.Dead {
			status = "dead"
		}
		if err := each(r.Link, status); err != nil {
			return err
		}
	}
	return nil
}

// Links is Map's.
func (k *MapSink) Links(ctx context.Context, each func(link schemas.Link, status string) error) error {
	return k.s.m.Links(ctx, each)
}

func (m *Map) at(point string) Fault {
	if m.Fault == nil {
		return NoFault
	}
	return m.Fault(point)
}

// Start is sinks.Sink's.
func (k *MapSink) Start(_ context.Context, accept func(schemas.Progress) error) (schemas.Progress, error) {
	m := k.s.m
	fault := m.at("start")
	if fault == NotDone {
		return schemas.Progress{}, ErrFault
	}
	m.mu.Lock()
	st := m.progress[k.s.lane]
	st.Found, st.Epoch = true, st.Epoch+1
	p := schemas.Progress{Epoch: st.Epoch, Batch: st.Batch, At: m.clock()}
	if err := accept(p); err != nil {
		m.mu.Unlock()
		return p, err
	}
	m.progress[k.s.lane] = st
	// A server logs this write too, with the mark of the last batch.
	(&MapTx{m: m}).commit(schemas.Origin{Pipeline: k.s.lane.pipeline, Batch: st.Batch})
	m.mu.Unlock()
	if fault == Done {
		return schemas.Progress{}, ErrFault
	}
	k.epoch = st.Epoch
	return p, nil
}

// Apply is sinks.Sink's.
func (k *MapSink) Apply(ctx context.Context, batch int64, intents []schemas.Intent) ([]schemas.Answer, error) {
	switch {
	case k.broken != nil:
		return nil, k.broken
	case k.epoch == 0:
		return nil, errors.New("apply before start")
	}
	answers, err := apply.Run(ctx, k.s, k.epoch, batch, intents)
	k.s.end()
	k.broken = err
	return answers, err
}

// Close is sinks.Sink's.
func (k *MapSink) Close() error { return nil }

// mapSession is apply.Session on a Map: between Begin and the end it holds the
// map's lock.
type mapSession struct {
	m     *Map
	lane  mapLane
	tx    *MapTx
	saved int
	batch int64
}

func (s *mapSession) Begin(context.Context) error {
	if s.m.at("begin") != NoFault {
		return ErrFault
	}
	s.m.mu.Lock()
	s.tx, s.batch = &MapTx{m: s.m}, 0
	return nil
}

// end rolls back what is still open.
func (s *mapSession) end() {
	if s.tx != nil {
		s.tx.undo(0)
		s.tx = nil
		s.m.mu.Unlock()
	}
}

func (s *mapSession) setProgress(st apply.State) {
	old, had := s.m.progress[s.lane]
	s.m.progress[s.lane] = st
	s.tx.undos = append(s.tx.undos, func() {
		s.m.progress[s.lane] = old
		if !had {
			delete(s.m.progress, s.lane)
		}
	})
}

func (s *mapSession) Mark(_ context.Context, epoch, batch int64) (bool, error) {
	st := s.m.progress[s.lane]
	if !st.Found || st.Epoch != epoch || st.Batch != batch-1 {
		return false, nil
	}
	st.Batch, st.Answers = batch, ""
	s.batch = batch
	s.setProgress(st)
	return true, nil
}

func (s *mapSession) State(context.Context) (apply.State, error) { return s.m.progress[s.lane], nil }

func (s *mapSession) SaveAnswers(_ context.Context, text string) error {
	st := s.m.progress[s.lane]
	st.Answers = text
	s.setProgress(st)
	return nil
}

func (s *mapSession) Commit(context.Context) error {
	fault := s.m.at("apply")
	if fault == NotDone {
		return ErrFault
	}
	s.tx.commit(schemas.Origin{Pipeline: s.lane.pipeline, Batch: s.batch})
	s.tx.undos = nil
	s.end()
	if fault == Done {
		return ErrFault
	}
	return nil
}

func (s *mapSession) Rollback(context.Context) error  { s.end(); return nil }
func (s *mapSession) Savepoint(context.Context) error { s.saved = len(s.tx.undos); return nil }
func (s *mapSession) Undo(context.Context) error      { s.tx.undo(s.saved); return nil }
func (s *mapSession) Release(context.Context) error   { return nil }
func (s *mapSession) Check(context.Context) error     { return nil }
func (s *mapSession) Forget()                         {}

func (s *mapSession) Do(_ context.Context, writes []apply.Write) ([]apply.Done, error) {
	done := make([]apply.Done, len(writes))
	for i := range writes {
		d, err := s.do(&writes[i])
		if err != nil {
			var f *apply.Fault
			if !errors.As(err, &f) {
				f = apply.Refuse(i, "%v", err)
			}
			f.Index = i
			return nil, f
		}
		done[i] = d
	}
	return done, nil
}

func (s *mapSession) do(w *apply.Write) (apply.Done, error) {
	t := s.m.tables[w.Table]
	if t == nil {
		return apply.Done{}, fmt.Errorf("table %s is not there", w.Table)
	}
	for _, cells := range append([][]schemas.Cell{w.Key, w.Set, w.Guard}, w.Absent...) {
		for _, c := range cells {
			if t.Column(c.Column) < 0 {
				return apply.Done{}, fmt.Errorf("table %s has no column %q", w.Table, c.Column)
			}
		}
	}
	if w.Kind == schemas.WriteInsert {
		return s.insert(t, w)
	}
	var found [][]schemas.Value
	for _, row := range t.rows {
		if holds(t, row, w.Key) && holds(t, row, w.Guard) && !hasNull(w.Key) {
			found = append(found, t.KeyOf(row))
		}
	}
	for _, key := range found {
		var err error
		if w.Kind == schemas.WriteCheck {
			continue
		}
		if w.Kind == schemas.WriteDelete {
			err = s.tx.Delete(t.Name, key)
		} else {
			err = s.tx.Update(t.Name, key, func(row schemas.Row) { assign(t, row, w.Set) })
		}
		if err != nil {
			return apply.Done{}, err
		}
	}
	return apply.Done{Rows: int64(len(found))}, nil
}

func (s *mapSession) insert(t *mapTable, w *apply.Write) (apply.Done, error) {
	for _, cells := range w.Absent {
		for _, row := range t.rows {
			if holds(t, row, cells) {
				return apply.Done{}, nil
			}
		}
	}
	row := make(schemas.Row, len(t.Columns))
	for i, c := range t.Columns {
		if c.HasDefault && !c.Auto {
			row[i] = schemas.Int(0)
		}
	}
	assign(t, row, w.Set)
	for _, c := range w.Key {
		if !c.Value.IsNull() {
			assign(t, row, []schemas.Cell{c})
		}
	}
	if _, err := s.tx.Insert(t.Name, row); err != nil {
		return apply.Done{}, err
	}
	made := s.tx.changes[len(s.tx.changes)-1].After
	d := apply.Done{Rows: 1}
	for _, c := range w.Key {
		d.Key = append(d.Key, made[t.Column(c.Column)])
	}
	return d, nil
}

func holds(t *mapTable, row schemas.Row, cells []schemas.Cell) bool {
	for _, c := range cells {
		if row[t.Column(c.Column)] != c.Value {
			return false
		}
	}
	return true
}

func hasNull(cells []schemas.Cell) bool {
	for _, c := range cells {
		if c.Value.IsNull() {
			return true
		}
	}
	return false
}

func assign(t *mapTable, row schemas.Row, cells []schemas.Cell) {
	for _, c := range cells {
		row[t.Column(c.Column)] = c.Value
	}
}

func (s *mapSession) ReadLinks(_ context.Context, entity string, natives, hubs []string) ([]apply.LinkRow, error) {
	var out []apply.LinkRow
	want := map[string]bool{}
	for _, h := range hubs {
		want[h] = true
	}
	for _, n := range natives {
		if r, ok := s.m.links[schemas.Link{Entity: entity, NativeKey: n}]; ok && !want[r.Hub] {
			out = append(out, r)
		}
	}
	for _, r := range s.m.links {
		if r.Entity == entity && want[r.Hub] {
			out = append(out, r)
		}
	}
	return out, nil
}

func (s *mapSession) WriteLinks(_ context.Context, remove, add, status []apply.LinkRow) error {
	for _, r := range remove {
		s.putLink(r, true)
	}
	for _, r := range append(append([]apply.LinkRow(nil), add...), status...) {
		s.putLink(r, false)
	}
	return nil
}

func (s *mapSession) putLink(r apply.LinkRow, remove bool) {
	id := schemas.Link{Entity: r.Entity, NativeKey: r.NativeKey}
	old, had := s.m.links[id]
	s.m.links[id] = r
	if remove {
		delete(s.m.links, id)
	}
	s.tx.undos = append(s.tx.undos, func() {
		s.m.links[id] = old
		if !had {
			delete(s.m.links, id)
		}
	})
}
