package apply

import (
	"context"
	"errors"
	"fmt"

	"github.com/strait-cdc/strait/schemas"
)

// groupSize is how many intents are tried under one savepoint.
const groupSize = 500

// engine applies the intents of one batch inside the open transaction.
type engine struct {
	s       Session
	batch   int64
	intents []schemas.Intent
	answers []schemas.Answer
}

// span is the intents [lo, hi).
type span struct{ lo, hi int }

func (e *engine) all(ctx context.Context) error {
	for lo := 0; lo < len(e.intents); lo += groupSize {
		if err := e.span(ctx, span{lo, min(lo+groupSize, len(e.intents))}); err != nil {
			return err
		}
	}
	return nil
}

// span tries the intents together and, when one of them fails, in parts: those
// before it, the one alone, those behind it. The parts are done in order.
func (e *engine) span(ctx context.Context, all span) error {
	todo := []span{all}
	for len(todo) > 0 {
		g := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if g.lo >= g.hi {
			continue
		}
		f, err := e.try(ctx, g)
		if err != nil {
			return err
		}
		switch {
		case f == nil:
		case f.again:
			todo = append(todo, g)
		case g.hi-g.lo == 1:
			e.answers[g.lo] = f.answer
		case f.intent < 0:
			mid := (g.lo + g.hi) / 2
			todo = append(todo, span{mid, g.hi}, span{g.lo, mid})
		default:
			todo = append(todo, span{f.intent + 1, g.hi}, span{f.intent, f.intent + 1}, span{g.lo, f.intent})
		}
	}
	return nil
}

// failure is why a group was undone. intent is -1 when it is not known which of
// them it was.
type failure struct {
	intent int
	answer schemas.Answer
	stale  bool
	again  bool
}

// try applies a group under a savepoint: nil when it stands, with answers set.
//
// A single intent that is refused is tried once more, write by write, if there
// are several: where an earlier guard does not hold the answer is that it
// missed, since what the target said to the later write is then beside the
// point. The same when the table may have changed its shape.
func (e *engine) try(ctx context.Context, g span) (*failure, error) {
	f, err := e.tryOnce(ctx, g, false)
	if err != nil || f == nil || f.again {
		return f, err
	}
	if f.stale {
		e.s.Forget()
	}
	if g.hi-g.lo == 1 && (f.stale || f.answer.Outcome == schemas.Refused && len(e.intents[g.lo].Writes) > 1) {
		return e.tryOnce(ctx, g, true)
	}
	return f, nil
}

func (e *engine) tryOnce(ctx context.Context, g span, slow bool) (*failure, error) {
	if err := e.s.Savepoint(ctx); err != nil {
		return nil, fmt.Errorf("savepoint: %w", err)
	}
	t := newAttempt(e, g)
	t.slow = slow
	f, err := t.run(ctx)
	if err != nil {
		return nil, err
	}
	if f != nil {
		if err := e.s.Undo(ctx); err != nil {
			return nil, fmt.Errorf("rollback to savepoint: %w", err)
		}
		return f, nil
	}
	if err := e.s.Release(ctx); err != nil {
		return nil, fmt.Errorf("release savepoint: %w", err)
	}
	for i := range t.flows {
		e.answers[g.lo+i] = t.flows[i].answer
	}
	return nil, nil
}

// attempt is one try of a group. It goes in waves: each takes from every intent
// the writes up to the first that needs the generated key of a write of the
// same wave.
type attempt struct {
	e     *engine
	g     span
	flows []flow
	// slow has waves of one write.
	slow bool
}

// flow is how far an intent has come.
type flow struct {
	next   int
	keys   [][]schemas.Value // of the inserts, by write
	rows   int64
	missed bool
	answer schemas.Answer
}

// place says which write of which intent an entry of a wave is.
type place struct{ intent, write int }

func newAttempt(e *engine, g span) *attempt {
	t := &attempt{e: e, g: g, flows: make([]flow, g.hi-g.lo)}
	for i := range t.flows {
		in := &e.intents[g.lo+i]
		t.flows[i] = flow{keys: make([][]schemas.Value, len(in.Writes)), answer: schemas.Answer{ID: in.ID, Outcome: schemas.Applied}}
	}
	return t
}

func (t *attempt) run(ctx context.Context) (*failure, error) {
	for {
		writes, places, f := t.wave()
		if f != nil {
			return f, nil
		}
		if len(writes) == 0 {
			break
		}
		done, err := t.e.s.Do(ctx, writes)
		if err != nil {
			return t.fault(err, places)
		}
		if f := t.take(done, places); f != nil {
			return f, nil
		}
	}
	if f, err := t.writeLinks(ctx); f != nil || err != nil {
		return f, err
	}
	if err := t.e.s.Check(ctx); err != nil {
		return t.fault(err, nil)
	}
	return nil, nil
}

func (t *attempt) wave() ([]Write, []place, *failure) {
	var writes []Write
	var places []place
	for i := range t.flows {
		f := &t.flows[i]
		in := &t.e.intents[t.g.lo+i]
		for start := f.next; !f.missed && f.next < len(in.Writes) && !(t.slow && len(writes) > 0); f.next++ {
			w := &in.Writes[f.next]
			if w.Kind == schemas.WriteLink || w.Kind == schemas.WriteUnlink {
				continue
			}
			bound, wait, err := bind(in, f.next, start, f.keys)
			if err != nil {
				return nil, nil, t.fail(t.g.lo+i, f.next, schemas.Refused, err.Error())
			}
			if wait {
				break
			}
			writes = append(writes, bound)
			places = append(places, place{i, f.next})
		}
	}
	return writes, places, nil
}

// bind fills in the keys that From asks for; wait says that one of them is
// made by a write from start on, which is in this wave.
func bind(in *schemas.Intent, n, start int, keys [][]schemas.Value) (w Write, wait bool, err error) {
	w = Write{Write: in.Writes[n], Where: fmt.Sprintf("%s of %s", kindName(in.Writes[n].Kind), in.Writes[n].Table)}
	if !w.Kind.Business() && w.Kind != schemas.WriteCheck {
		return w, false, fmt.Errorf("write %d is of unknown kind %d", n, w.Kind)
	}
	if w.Kind != schemas.WriteInsert && len(w.Key) == 0 {
		return w, false, fmt.Errorf("write %d: %s without a key", n, w.Where)
	}
	if len(w.From) == 0 {
		return w, false, nil
	}
	w.Key = append([]schemas.Cell(nil), w.Key...)
	w.Set = append([]schemas.Cell(nil), w.Set...)
	for column, from := range w.From {
		if from < 0 || from >= n || in.Writes[from].Kind != schemas.WriteInsert || len(in.Writes[from].Key) == 0 {
			return w, false, fmt.Errorf("write %d: column %q takes the key of write %d, which is no earlier insert with a key", n, column, from)
		}
		if from >= start && keys[from] == nil {
			return w, true, nil
		}
		fill(&w.Write, column, keys[from][0])
	}
	return w, false, nil
}

func fill(w *schemas.Write, column string, v schemas.Value) {
	for _, cells := range [][]schemas.Cell{w.Key, w.Set} {
		for i := range cells {
			if cells[i].Column == column {
				cells[i].Value = v
				return
			}
		}
	}
	w.Set = append(w.Set, schemas.Cell{Column: column, Value: v})
}

func kindName(k schemas.WriteKind) string {
	switch k {
	case schemas.WriteInsert:
		return "insert"
	case schemas.WriteUpdate:
		return "update"
	case schemas.WriteDelete:
		return "delete"
	case schemas.WriteLink:
		return "link"
	case schemas.WriteUnlink:
		return "unlink"
	case schemas.WriteCheck:
		return "check"
	}
	return fmt.Sprintf("write of kind %d", k)
}

// take records what became of a wave. An intent that missed after it has
// written something must be undone, and so must the group.
func (t *attempt) take(done []Done, places []place) *failure {
	for n, d := range done {
		p := places[n]
		f := &t.flows[p.intent]
		w := &t.e.intents[t.g.lo+p.intent].Writes[p.write]
		f.rows += d.Rows
		switch {
		case d.Rows > 1:
			return t.fail(t.g.lo+p.intent, p.write, schemas.Refused,
				fmt.Sprintf("%s of %s: the key matches %d rows, so it is no key: name columns that are unique", kindName(w.Kind), w.Table, d.Rows))
		case d.Rows == 1:
			f.keys[p.write] = d.Key
		case !f.missed:
			f.missed = true
			f.answer = schemas.Answer{ID: f.answer.ID, Outcome: schemas.Missed, Write: p.write, Reason: missReason(w)}
		}
	}
	for i := range t.flows {
		if f := &t.flows[i]; f.missed && f.rows > 0 {
			return &failure{intent: t.g.lo + i, answer: f.answer}
		}
	}
	return nil
}

func missReason(w *schemas.Write) string {
	if w.Kind == schemas.WriteInsert {
		return fmt.Sprintf("insert of %s: a row that must be absent is there", w.Table)
	}
	return fmt.Sprintf("%s of %s: the row is gone or no longer holds what was assumed", kindName(w.Kind), w.Table)
}

func (t *attempt) fail(intent, write int, o schemas.Outcome, reason string) *failure {
	id := t.e.intents[intent].ID
	return &failure{intent: intent, answer: schemas.Answer{ID: id, Outcome: o, Write: write, Reason: clip(reason)}}
}

// fault turns an error of the session into a failure of the group, if it is an
// answer. places is nil where the error does not belong to a wave.
func (t *attempt) fault(err error, places []place) (*failure, error) {
	var f *Fault
	if !errors.As(err, &f) {
		return nil, err
	}
	if f.Again {
		return &failure{intent: -1, again: true}, nil
	}
	p := place{-1, 0}
	if f.Index >= 0 && f.Index < len(places) {
		p = places[f.Index]
	} else if len(t.flows) == 1 {
		p = place{0, t.culprit(f.Table)}
	}
	if p.intent < 0 {
		return &failure{intent: -1, stale: f.Stale}, nil
	}
	w := &t.e.intents[t.g.lo+p.intent].Writes[p.write]
	outcome := schemas.Refused
	if f.Duplicate && w.Kind == schemas.WriteInsert && (f.Table == schemas.TableName{} || f.Table == w.Table) {
		outcome = schemas.Missed
	}
	out := t.fail(t.g.lo+p.intent, p.write, outcome, f.Reason)
	out.stale = f.Stale
	return out, nil
}

// culprit guesses which write of a single intent a constraint belongs to that
// the server checked later: the last one to that table, else the last.
func (t *attempt) culprit(table schemas.TableName) int {
	writes := t.e.intents[t.g.lo].Writes
	for i := len(writes) - 1; i >= 0; i-- {
		if writes[i].Table == table {
			return i
		}
	}
	return max(len(writes)-1, 0)
}
