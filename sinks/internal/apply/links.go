package apply

import (
	"context"
	"fmt"

	"github.com/strait-cdc/strait/schemas"
)

// linkOp is what one write does to strait.link.
type linkOp struct {
	place
	schemas.Link
	dead   bool
	insert bool
}

// writeLinks carries out all links of a group at its end: reads what is there,
// finds the conflicts, writes the difference.
func (t *attempt) writeLinks(ctx context.Context) (*failure, error) {
	ops, f := t.linkOps()
	if f != nil || len(ops) == 0 {
		return f, nil
	}
	b := newLinkBook()
	for entity, want := range wanted(ops) {
		rows, err := t.e.s.ReadLinks(ctx, entity, want.natives, want.hubs)
		if err != nil {
			return t.fault(err, nil)
		}
		for _, r := range rows {
			b.load(r)
		}
	}
	for _, op := range ops {
		if reason := b.apply(op, t.e.batch); reason != "" {
			return t.fail(t.g.lo+op.intent, op.write, schemas.Refused, reason), nil
		}
	}
	if err := t.e.s.WriteLinks(ctx, b.remove, b.add(), b.status()); err != nil {
		return t.fault(err, nil)
	}
	return nil, nil
}

// linkOps lists the links of all intents that stand, and notes the keys of the
// inserts in their answers.
func (t *attempt) linkOps() ([]linkOp, *failure) {
	var ops []linkOp
	for i := range t.flows {
		f := &t.flows[i]
		in := &t.e.intents[t.g.lo+i]
		for n := range in.Writes {
			w := &in.Writes[n]
			if f.missed || w.Link == nil && w.Kind != schemas.WriteLink && w.Kind != schemas.WriteUnlink {
				continue
			}
			if w.Link == nil || w.Link.Entity == "" || w.Link.Hub == "" {
				return nil, t.fail(t.g.lo+i, n, schemas.Refused, fmt.Sprintf("%s without an entity and a hub id", kindName(w.Kind)))
			}
			op := linkOp{place: place{i, n}, Link: *w.Link}
			switch w.Kind {
			case schemas.WriteUpdate:
				continue
			case schemas.WriteDelete, schemas.WriteUnlink:
				op.dead = true
			case schemas.WriteInsert:
				op.insert = true
				if op.NativeKey == "" {
					op.NativeKey = schemas.FormatKey(f.keys[n])
				}
				putKey(&f.answer, op.Hub, op.NativeKey)
			}
			if op.NativeKey == "" && !op.dead {
				return nil, t.fail(t.g.lo+i, n, schemas.Refused, "link without a native key")
			}
			ops = append(ops, op)
		}
	}
	return ops, nil
}

type wants struct{ natives, hubs []string }

func wanted(ops []linkOp) map[string]*wants {
	out := map[string]*wants{}
	for _, op := range ops {
		w := out[op.Entity]
		if w == nil {
			w = &wants{}
			out[op.Entity] = w
		}
		w.hubs = append(w.hubs, op.Hub)
		if op.NativeKey != "" {
			w.natives = append(w.natives, op.NativeKey)
		}
	}
	return out
}

// linkBook is the part of strait.link that a group concerns, as it is and as it
// will be.
type linkBook struct {
	byNative, byHub map[schemas.Link]*linkEntry
	order           []*linkEntry
	remove          []LinkRow
}

type linkEntry struct {
	LinkRow
	stored, changed, gone bool
}

func newLinkBook() *linkBook {
	return &linkBook{byNative: map[schemas.Link]*linkEntry{}, byHub: map[schemas.Link]*linkEntry{}}
}

func nativeID(l schemas.Link) schemas.Link {
	return schemas.Link{Entity: l.Entity, NativeKey: l.NativeKey}
}
func hubID(l schemas.Link) schemas.Link { return schemas.Link{Entity: l.Entity, Hub: l.Hub} }

func (b *linkBook) load(r LinkRow) {
	if b.byNative[nativeID(r.Link)] == nil {
		b.put(&linkEntry{LinkRow: r, stored: true})
	}
}

func (b *linkBook) put(e *linkEntry) {
	b.byNative[nativeID(e.Link)], b.byHub[hubID(e.Link)] = e, e
	b.order = append(b.order, e)
}

// apply carries out one op in the book; a reason says why it cannot be.
//
// A live link of a row is never given to another hub id; a dead one gives way. The
// hub id is ours: linked to another row it leaves the one it had, whose key has
// changed. But no second row is made for it.
func (b *linkBook) apply(op linkOp, batch int64) string {
	n, h := b.byNative[nativeID(op.Link)], b.byHub[hubID(op.Link)]
	if op.dead {
		if h != nil && (op.NativeKey == "" || h.NativeKey == op.NativeKey) {
			b.set(h, true, batch)
		}
		return ""
	}
	if n != nil && n == h {
		b.set(n, false, batch)
		return ""
	}
	if n != nil && !n.Dead {
		return fmt.Sprintf("%s %s is already linked to hub id %s, so it cannot be linked to %s", op.Entity, op.NativeKey, n.Hub, op.Hub)
	}
	if h != nil && !h.Dead && op.insert {
		return fmt.Sprintf("%s with hub id %s is already linked to %s, so no other row is made for it", op.Entity, op.Hub, h.NativeKey)
	}
	b.drop(n)
	b.drop(h)
	b.put(&linkEntry{LinkRow: LinkRow{Link: op.Link, Batch: batch}})
	return ""
}

func (b *linkBook) set(e *linkEntry, dead bool, batch int64) {
	if e.Dead != dead {
		e.Dead, e.Batch, e.changed = dead, batch, true
	}
}

func (b *linkBook) drop(e *linkEntry) {
	if e == nil || e.gone {
		return
	}
	e.gone = true
	delete(b.byNative, nativeID(e.Link))
	delete(b.byHub, hubID(e.Link))
	if e.stored {
		b.remove = append(b.remove, e.LinkRow)
	}
}

// add are the new links; status the stored ones whose status changes.
func (b *linkBook) add() []LinkRow {
	return b.pick(func(e *linkEntry) bool { return !e.stored })
}

func (b *linkBook) status() []LinkRow {
	return b.pick(func(e *linkEntry) bool { return e.stored && e.changed })
}

func (b *linkBook) pick(want func(*linkEntry) bool) []LinkRow {
	var out []LinkRow
	for _, e := range b.order {
		if !e.gone && want(e) {
			out = append(out, e.LinkRow)
		}
	}
	return out
}
