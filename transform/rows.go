package transform

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/state"
)

// row is the latest image of a source row as of the last folded commit.
type row struct {
	// Seq is strait.seq of the last change of the row.
	Seq uint64
	// Gen is the snapshot the row was last seen in.
	Gen int64
	// Values are in the order of the table's columns.
	Values schemas.Row
	// When is, for each column, the commit time in µs of the last change that was
	// not ours; 0 is unknown.
	When []int64
	// Edit is, for each column, strait.seq of that change.
	Edit []uint64
	// Unknown marks the columns of a row that we inserted and have not read back
	// yet, whose values the database gave; nil for every other row. It is not stored.
	Unknown []bool
}

var errRow = errors.New("stored row is damaged")

func (t *table) encodeRow(r *row) []byte {
	b := make([]byte, 0, 32+len(r.Values)*16)
	b = binary.BigEndian.AppendUint64(b, t.layout)
	b = binary.AppendUvarint(b, r.Seq)
	b = binary.AppendVarint(b, r.Gen)
	b = binary.AppendUvarint(b, uint64(len(r.Values)))
	for i, v := range r.Values {
		b = appendValue(b, v)
		b = binary.AppendVarint(b, r.When[i])
		b = binary.AppendUvarint(b, r.Edit[i])
	}
	return b
}

func appendValue(b []byte, v schemas.Value) []byte {
	b = append(b, byte(v.Storage()))
	switch v.Storage() {
	case schemas.StoreInt:
		b = binary.AppendVarint(b, v.Int())
	case schemas.StoreUint:
		b = binary.AppendUvarint(b, v.Uint())
	case schemas.StoreFloat:
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(v.Float()))
	case schemas.StoreText, schemas.StoreBytes:
		b = binary.AppendUvarint(b, uint64(len(v.Text())))
		b = append(b, v.Text()...)
	}
	return b
}

// rowReader reads what encodeRow wrote; bad turns true at the first damage.
type rowReader struct {
	b   []byte
	bad bool
}

func (r *rowReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *rowReader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *rowReader) skip(n int) {
	if n <= 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return
	}
	r.b = r.b[n:]
}

func (r *rowReader) fixed() uint64 {
	if len(r.b) < 8 {
		r.bad = true
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *rowReader) value() schemas.Value {
	if len(r.b) == 0 {
		r.bad = true
		return schemas.Null
	}
	s := schemas.Storage(r.b[0])
	r.b = r.b[1:]
	switch s {
	case schemas.StoreNull:
		return schemas.Null
	case schemas.StoreUnchanged:
		return schemas.Unchanged
	case schemas.StoreInt:
		return schemas.Int(r.varint())
	case schemas.StoreUint:
		return schemas.Uint(r.uvarint())
	case schemas.StoreFloat:
		return schemas.Float(math.Float64frombits(r.fixed()))
	}
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return schemas.Null
	}
	text := string(r.b[:n])
	r.b = r.b[n:]
	if s == schemas.StoreBytes {
		return schemas.Bytes(text)
	}
	return schemas.Text(text)
}

// layouts reads and keeps the column names behind a layout number.
type layouts map[uint64][]string

func layoutKey(layout uint64) []byte { return state.Key("s", strconv.FormatUint(layout, 16)) }

func (l layouts) names(tx state.Txn, layout uint64) ([]string, error) {
	if n, ok := l[layout]; ok {
		return n, nil
	}
	b, err := tx.Get(layoutKey(layout))
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return nil, fmt.Errorf("stored layout %x: %w", layout, err)
	}
	l[layout] = names
	return names, nil
}

func (e *engine) decodeRow(tx state.Txn, t *table, b []byte) (*row, error) {
	rd := &rowReader{b: b}
	layout := rd.fixed()
	r := &row{Seq: rd.uvarint(), Gen: rd.varint()}
	n := rd.uvarint()
	if rd.bad || n > uint64(len(b)) {
		return nil, errRow
	}
	vals, when, edit := make(schemas.Row, n), make([]int64, n), make([]uint64, n)
	for i := range vals {
		vals[i], when[i], edit[i] = rd.value(), rd.varint(), rd.uvarint()
	}
	if rd.bad {
		return nil, errRow
	}
	if layout == t.layout {
		r.Values, r.When, r.Edit = vals, when, edit
		return r, nil
	}
	names, err := e.layouts.names(tx, layout)
	if err != nil {
		return nil, err
	}
	t.blank(r)
	for i, name := range names {
		if c := t.shape.Column(name); c >= 0 && i < len(vals) {
			r.Values[c], r.When[c], r.Edit[c] = vals[i], when[i], edit[i]
		}
	}
	return r, nil
}

// blank gives a row its columns, all NULL and of unknown age.
func (t *table) blank(r *row) {
	n := len(t.names)
	r.Values, r.When, r.Edit = make(schemas.Row, n), make([]int64, n), make([]uint64, n)
}

func rowKey(t *table, pk string) []byte { return state.Key("r", t.system, t.name, pk) }

func (e *engine) getRow(tx state.Txn, t *table, pk string) (*row, error) {
	b, err := tx.Get(rowKey(t, pk))
	if err != nil || b == nil {
		return nil, err
	}
	return e.decodeRow(tx, t, b)
}

func indexKey(t *table, cols []int, vals, pk string) []byte {
	return state.Key("x", t.system, t.name, t.indexName(cols), vals, pk)
}

// putRow stores a row and moves its index entries; old or new may be nil.
func (e *engine) putRow(tx state.Txn, t *table, pk string, old, new *row) error {
	if new == nil {
		if err := tx.Delete(rowKey(t, pk)); err != nil {
			return err
		}
	} else if err := tx.Set(rowKey(t, pk), t.encodeRow(new)); err != nil {
		return err
	}
	for _, cols := range t.indexes {
		var was, is string
		var had, has bool
		if old != nil {
			was, had = valuesOf(old.Values, cols)
		}
		if new != nil {
			is, has = valuesOf(new.Values, cols)
		}
		if had == has && was == is {
			continue
		}
		if had {
			if err := tx.Delete(indexKey(t, cols, was, pk)); err != nil {
				return err
			}
		}
		if has {
			if err := tx.Set(indexKey(t, cols, is, pk), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// keysBy lists the keys of rows whose columns hold the values, as folded.
func (e *engine) keysBy(tx state.Txn, t *table, cols []int, vals string) ([]string, error) {
	if sameInts(cols, t.shape.Key) {
		b, err := tx.Get(rowKey(t, vals))
		if err != nil || b == nil {
			return nil, err
		}
		return []string{vals}, nil
	}
	var out []string
	p := state.Prefix("x", t.system, t.name, t.indexName(cols), vals)
	err := tx.Scan(p, func(k, _ []byte) (bool, error) {
		out = append(out, string(k[len(p):]))
		return true, nil
	})
	return out, err
}
