package transform

import (
	"container/heap"
	"encoding/json"
	"time"

	"github.com/strait-cdc/strait/transform/state"
)

// unit is an entity as the thing that is dirty, planned and waited for.
type unit struct{ entity, hub string }

// queue holds the dirty units by the time they are due. It mirrors the keys
// under "d" in the store.
type queue struct {
	items map[unit]*queued
	heap  queuedHeap
	n     int64
}

type queued struct {
	unit       unit
	first, due time.Time
	// order keeps units that are due at the same time in the order they became dirty.
	order int64
	index int
}

func newQueue() *queue { return &queue{items: map[unit]*queued{}} }

// touch makes a unit due after quiet, but never later than max after it first
// became dirty.
func (q *queue) touch(u unit, now time.Time, quiet, max time.Duration) {
	it := q.items[u]
	if it == nil {
		q.n++
		it = &queued{unit: u, first: now, due: now.Add(quiet), order: q.n}
		q.items[u] = it
		heap.Push(&q.heap, it)
		return
	}
	it.due = now.Add(quiet)
	if limit := it.first.Add(max); max > 0 && it.due.After(limit) {
		it.due = limit
	}
	heap.Fix(&q.heap, it.index)
}

// pop takes the next unit that is due; nil: there is none.
func (q *queue) pop(now time.Time) *queued {
	if len(q.heap) == 0 || q.heap[0].due.After(now) {
		return nil
	}
	it := heap.Pop(&q.heap).(*queued)
	delete(q.items, it.unit)
	return it
}

// back puts in again what was popped and could not be planned, at its old place:
// behind all that is due by now it would starve as long as there is more than the
// targets take.
func (q *queue) back(it *queued) {
	if have := q.items[it.unit]; have != nil {
		have.first = it.first
		return
	}
	q.items[it.unit] = it
	heap.Push(&q.heap, it)
}

// wait is how long until the next unit is due; false: there is none.
func (q *queue) wait(now time.Time) (time.Duration, bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return max(0, q.heap[0].due.Sub(now)), true
}

type queuedHeap []*queued

func (h queuedHeap) Len() int { return len(h) }
func (h queuedHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].order < h[j].order
}
func (h queuedHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }

// Push implements heap.Interface.
func (h *queuedHeap) Push(x any) {
	it := x.(*queued)
	it.index = len(*h)
	*h = append(*h, it)
}

// Pop implements heap.Interface.
func (h *queuedHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	*h = old[:len(old)-1]
	return it
}

// dirty marks a unit, durably and in the queue.
func (e *engine) dirty(tx state.Txn, u unit, quiet bool) error {
	ent := e.entities[u.entity]
	if ent == nil {
		return nil
	}
	var q, limit time.Duration
	if quiet {
		q, limit = ent.Quiet, ent.MaxQuiet
	}
	e.queue.touch(u, e.now(), q, limit)
	k := state.Key("d", u.entity, u.hub)
	if e.edited {
		return tx.Set(k, []byte{1})
	}
	had, err := tx.Get(k)
	if err != nil || had != nil {
		return err
	}
	return tx.Set(k, nil)
}

// wasEdited says that a dirty unit was touched by a change that was not ours.
func (e *engine) wasEdited(tx state.Txn, u unit) (bool, error) {
	b, err := tx.Get(state.Key("d", u.entity, u.hub))
	return len(b) > 0, err
}

func (e *engine) clean(tx state.Txn, u unit) error { return tx.Delete(state.Key("d", u.entity, u.hub)) }

func (e *engine) loadQueue(tx state.Txn) error {
	p := state.Prefix("d")
	now := e.now()
	return tx.Scan(p, func(k, _ []byte) (bool, error) {
		parts := state.Rest(k, p)
		if len(parts) == 2 && e.entities[parts[0]] != nil {
			e.queue.touch(unit{parts[0], parts[1]}, now, 0, 0)
		}
		return true, nil
	})
}

// linkKey finds the hub of a row.
func linkKey(name, sys, pk string) []byte { return state.Key("l", name, sys, pk) }

func (e *engine) hubOf(tx state.Txn, name, sys, pk string) (string, error) {
	b, err := tx.Get(linkKey(name, sys, pk))
	return string(b), err
}

func recordKey(entity, hub string) []byte { return state.Key("e", entity, hub) }

func (e *engine) getRecord(tx state.Txn, entity, hub string) (*record, error) {
	b, err := tx.Get(recordKey(entity, hub))
	if err != nil || b == nil {
		return nil, err
	}
	return decodeRecord(b)
}

func (e *engine) putRecord(tx state.Txn, r *record) error {
	if err := tx.Set(recordKey(r.Entity, r.Hub), r.encode()); err != nil {
		return err
	}
	// The keys also stand apart, for references to be resolved without the record.
	return setJSON(tx, state.Key("g", r.Entity, r.Hub), pairing{r.Keys, r.Dead})
}

// pairing is what others need to know of an entity to refer to it.
type pairing struct {
	Keys [2]string `json:"k"`
	Dead bool      `json:"d,omitempty"`
}

func (e *engine) pairingOf(tx state.Txn, entity, hub string) (p pairing, err error) {
	_, err = getJSON(tx, state.Key("g", entity, hub), &p)
	return p, err
}

// waitFor makes a unit dirty when the row (entity, side, pk) is linked or goes.
func (e *engine) waitFor(tx state.Txn, u unit, entity string, side int, pk string) error {
	return tx.Set(state.Key("w", entity, sideName(side), pk, u.entity, u.hub), nil)
}

// wake marks those who wait for a row.
func (e *engine) wake(tx state.Txn, entity string, side int, pk string) error {
	p := state.Prefix("w", entity, sideName(side), pk)
	var woken [][]byte
	err := tx.Scan(p, func(k, _ []byte) (bool, error) {
		woken = append(woken, k)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, k := range woken {
		parts := state.Rest(k, p)
		if err := tx.Delete(k); err != nil {
			return err
		}
		if len(parts) == 2 {
			if err := e.dirty(tx, unit{parts[0], parts[1]}, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// park says why a unit waits; the reason is replaced if it has changed.
func (e *engine) park(tx state.Txn, r *record, kind, reason string) error {
	k := state.Key("p", r.Entity, r.Hub)
	b, err := tx.Get(k)
	if err != nil {
		return err
	}
	p := &Parked{}
	if b != nil {
		if err := json.Unmarshal(b, p); err != nil {
			return err
		}
		if p.Kind == kind && p.Reason == reason {
			return nil
		}
	}
	*p = Parked{Entity: r.Entity, Hub: r.Hub, Keys: r.Keys, Kind: kind, Reason: reason, Since: e.now().UnixMicro()}
	e.obs.Parked(p)
	return setJSON(tx, k, p)
}

func (e *engine) unpark(tx state.Txn, entity, hub string) error {
	k := state.Key("p", entity, hub)
	b, err := tx.Get(k)
	if err != nil || b == nil {
		return err
	}
	e.obs.Unparked(entity, hub)
	return tx.Delete(k)
}

func (e *engine) recordConflict(tx state.Txn, c *Conflict) error {
	n, err := getInt(tx, state.Key("m", "conflicts"))
	if err != nil {
		return err
	}
	if err := setInt(tx, state.Key("m", "conflicts"), n+1); err != nil {
		return err
	}
	c.At = e.now().UnixMicro()
	e.obs.Conflict(c)
	return setJSON(tx, batchKey("c", c.Entity, n+1), c)
}

// tellParked tells the observer what is parked from before.
func (e *engine) tellParked() error {
	return e.store.View(func(tx state.Txn) error {
		return tx.Scan(state.Prefix("p"), func(_, v []byte) (bool, error) {
			p := &Parked{}
			if err := json.Unmarshal(v, p); err != nil {
				return false, err
			}
			e.obs.Parked(p)
			return true, nil
		})
	})
}
