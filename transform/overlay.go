package transform

import (
	"encoding/json"
	"fmt"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/state"
)

// overlay is what we wrote to a row and have not read back yet. It lies over the
// folded row, or an older event of that row, still on its way, would look like
// a user who takes our write back. A part of it counts until the mark of its
// batch has been folded; by the number, never by comparing values, since a
// write that changes nothing makes no event.
type overlay struct {
	// Inserted and Deleted are the batches that made or removed the row, 0 for none.
	Inserted int64                  `json:"i,omitempty"`
	Deleted  int64                  `json:"d,omitempty"`
	Cells    map[string]overlayCell `json:"c,omitempty"`
}

type overlayCell struct {
	Value schemas.Value `json:"v"`
	Batch int64         `json:"b"`
}

func overlayKey(t *table, pk string) []byte { return state.Key("o", t.system, t.name, pk) }

func (e *engine) getOverlay(tx state.Txn, t *table, pk string) (*overlay, error) {
	b, err := tx.Get(overlayKey(t, pk))
	if err != nil || b == nil {
		return nil, err
	}
	o := &overlay{}
	if err := json.Unmarshal(b, o); err != nil {
		return nil, fmt.Errorf("stored overlay: %w", err)
	}
	return o, nil
}

// prune drops what has been read back; it reports whether anything is left.
func (o *overlay) prune(seen int64) bool {
	if o.Inserted <= seen {
		o.Inserted = 0
	}
	if o.Deleted <= seen {
		o.Deleted = 0
	}
	for c, cell := range o.Cells {
		if cell.Batch <= seen {
			delete(o.Cells, c)
		}
	}
	return o.Inserted > 0 || o.Deleted > 0 || len(o.Cells) > 0
}

// addOverlay puts a write that was answered over its row, unless its mark has
// been folded already: the log may be faster than the reply.
func (e *engine) addOverlay(tx state.Txn, sys string, batch int64, w *schemas.Write, key []schemas.Cell) error {
	if e.seen[sys] >= batch || !w.Kind.Business() {
		return nil
	}
	t := e.tables[sys][w.Table.String()]
	vals := make([]schemas.Value, len(key))
	for i, c := range key {
		vals[i] = c.Value
	}
	pk := schemas.FormatKey(vals)
	o, err := e.getOverlay(tx, t, pk)
	if err != nil {
		return err
	}
	if o == nil {
		o = &overlay{}
	}
	o.prune(e.seen[sys])
	if o.Cells == nil {
		o.Cells = map[string]overlayCell{}
	}
	switch w.Kind {
	case schemas.WriteDelete:
		*o = overlay{Deleted: batch}
	case schemas.WriteInsert:
		o.Inserted, o.Deleted = batch, 0
		for _, c := range key {
			o.Cells[c.Column] = overlayCell{c.Value, batch}
		}
		fallthrough
	case schemas.WriteUpdate:
		for _, c := range w.Set {
			o.Cells[c.Column] = overlayCell{c.Value, batch}
		}
	}
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return tx.Set(overlayKey(t, pk), b)
}

// viewRow is the folded row under its overlay: what we believe the database
// holds. nil: there is no row.
func (e *engine) viewRow(tx state.Txn, t *table, pk string) (*row, error) {
	r, err := e.getRow(tx, t, pk)
	if err != nil {
		return nil, err
	}
	o, err := e.getOverlay(tx, t, pk)
	if err != nil || o == nil || e.broken.noOverlay {
		return r, err
	}
	if !e.broken.overlayKept && !o.prune(e.seen[t.system]) {
		return r, nil
	}
	if o.Deleted > 0 {
		return nil, nil
	}
	if r == nil {
		if o.Inserted == 0 {
			return nil, nil
		}
		r = &row{Unknown: make([]bool, len(t.names))}
		t.blank(r)
		for i := range r.Unknown {
			_, given := o.Cells[t.names[i]]
			r.Unknown[i] = !given
		}
	}
	for name, cell := range o.Cells {
		if c := t.shape.Column(name); c >= 0 {
			r.Values[c] = cell.Value
		}
	}
	return r, nil
}

// clearOverlay forgets an overlay that has been read back.
func (e *engine) clearOverlay(tx state.Txn, t *table, pk string) error {
	o, err := e.getOverlay(tx, t, pk)
	if err != nil || o == nil {
		return err
	}
	if e.broken.overlayKept || o.prune(e.seen[t.system]) {
		return nil
	}
	return tx.Delete(overlayKey(t, pk))
}
