package mapping

import (
	"fmt"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// lens is the two ways between columns of a row and a canonical value: the
// codecs of a side, the code map, the codecs of the field, and the conversion to
// the canonical type.
//
// Two rules hold for every lens. A canonical text is never empty: an empty text
// in a column is NULL, and NULL is written to a column that cannot be NULL as an
// empty text. And what is written reads back as what was meant, or it is not
// written.
type lens struct {
	// label names field and column in errors.
	label string
	table *schemas.Table
	cols  []int
	fixed []bool // the column is padded with blanks
	links []link
	// toCanon and fromCanon convert at the end of the chain.
	toCanon, fromCanon valueFunc
	// ref lenses hold the key of another record, as text.
	ref bool
	// program takes the place of the columns; such a lens only reads.
	program *program
	result  schemas.Type // of the program, before the links
}

// in reads the canonical value of a row.
func (l *lens) in(env Env) (schemas.Value, error) {
	v, err := l.read(env)
	if err != nil {
		return schemas.Null, fmt.Errorf("%s: %w", l.label, err)
	}
	return v, nil
}

func (l *lens) read(env Env) (schemas.Value, error) {
	if l.program != nil {
		x, err := l.program.onRow(env)
		if err != nil {
			return schemas.Null, err
		}
		v, err := fromExpr(x, l.result)
		if err != nil {
			return schemas.Null, err
		}
		return l.forward(v, l.links)
	}
	if len(l.cols) == 1 {
		return l.decode(env.Row[l.cols[0]])
	}
	cells := make([]schemas.Value, len(l.cols))
	for i, c := range l.cols {
		cells[i] = env.Row[c]
	}
	return l.decodeAll(cells)
}

// clean is a cell without padding, with empty texts as NULL.
func (l *lens) clean(v schemas.Value, i int) (schemas.Value, error) {
	switch v.Storage() {
	case schemas.StoreUnchanged:
		return v, errNotInLog
	case schemas.StoreText:
		if l.fixed[i] && strings.HasSuffix(v.Text(), " ") {
			v = schemas.Text(strings.TrimRight(v.Text(), " "))
		}
		if v.Text() == "" {
			return schemas.Null, nil
		}
	}
	return v, nil
}

func (l *lens) decode(cell schemas.Value) (schemas.Value, error) {
	v, err := l.clean(cell, 0)
	if err != nil || v.IsNull() {
		return schemas.Null, err
	}
	if l.ref {
		return schemas.Text(schemas.FormatKey([]schemas.Value{v})), nil
	}
	return l.forward(v, l.links)
}

func (l *lens) decodeAll(raw []schemas.Value) (schemas.Value, error) {
	if len(raw) == 1 {
		return l.decode(raw[0])
	}
	cells := make([]schemas.Value, len(raw))
	empty := 0
	for i := range raw {
		var err error
		if cells[i], err = l.clean(raw[i], i); err != nil {
			return schemas.Null, err
		}
		if cells[i].IsNull() {
			empty++
		}
	}
	switch {
	case empty == len(cells) || l.ref && empty > 0:
		return schemas.Null, nil
	case l.ref:
		return schemas.Text(schemas.FormatKey(cells)), nil
	}
	v, err := l.links[0].join(cells)
	if err != nil || v.Text() == "" {
		return schemas.Null, err
	}
	return l.forward(v, l.links[1:])
}

// forward runs codecs towards the canonical value.
func (l *lens) forward(v schemas.Value, links []link) (schemas.Value, error) {
	var err error
	for i := range links {
		if v.IsNull() {
			return v, nil
		}
		if v, err = links[i].in(v); err != nil {
			return schemas.Null, err
		}
		if v.Storage() == schemas.StoreText && v.Text() == "" {
			return schemas.Null, nil
		}
	}
	if v.IsNull() {
		return v, nil
	}
	return l.toCanon(v)
}

// out gives the cells for a canonical value.
func (l *lens) out(v schemas.Value, env Env) ([]schemas.Value, error) {
	cells, err := l.encode(v, env.Row)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.label, err)
	}
	back, err := l.decodeAll(cells)
	if err != nil {
		return nil, fmt.Errorf("%s: the value %q could not be read back: %w", l.label, v, err)
	}
	if back != v {
		return nil, fmt.Errorf("%s: the value %q would read back as %q", l.label, v, back)
	}
	return cells, nil
}

func (l *lens) encode(v schemas.Value, row schemas.Row) ([]schemas.Value, error) {
	cells, err := l.backward(v, row)
	if err != nil {
		return nil, err
	}
	for i := range cells {
		if cells[i], err = store(cells[i], &l.table.Columns[l.cols[i]]); err != nil {
			return nil, err
		}
	}
	return cells, nil
}

// backward runs the chain from the canonical value to the columns.
func (l *lens) backward(v schemas.Value, row schemas.Row) ([]schemas.Value, error) {
	if l.ref {
		return l.refCells(v)
	}
	w := v
	var err error
	if !w.IsNull() {
		if w, err = l.fromCanon(w); err != nil {
			return nil, err
		}
	}
	for i := len(l.links) - 1; i >= 0; i-- {
		k := &l.links[i]
		if k.split != nil {
			if w.IsNull() {
				return make([]schemas.Value, len(l.cols)), nil
			}
			return k.split(w)
		}
		if w.IsNull() && !k.nulls {
			continue
		}
		var old schemas.Value
		if k.nulls && row != nil {
			if old, err = l.clean(row[l.cols[0]], 0); err != nil {
				return nil, err
			}
		}
		if w, err = k.out(w, old); err != nil {
			return nil, err
		}
	}
	return []schemas.Value{w}, nil
}

func (l *lens) refCells(v schemas.Value) ([]schemas.Value, error) {
	if v.IsNull() {
		return make([]schemas.Value, len(l.cols)), nil
	}
	types := make([]schemas.Type, len(l.cols))
	for i, c := range l.cols {
		types[i] = l.table.Columns[c].Type
	}
	key, ok := schemas.ParseKey(v.Text(), types)
	if !ok {
		return nil, fmt.Errorf("%q is not a key of %d columns", v.Text(), len(types))
	}
	return key, nil
}

// store brings a cell into the form in which the column takes it.
func store(v schemas.Value, col *schemas.Column) (schemas.Value, error) {
	if v.Storage() == schemas.StoreText && v.Text() == "" {
		v = schemas.Null
	}
	if !v.IsNull() {
		if isInteger(col.Type.Kind) {
			return numberFunc(col.Type)(v)
		}
		if err := fit(v, col.Type); err != nil {
			return v, fmt.Errorf("column %s: %w", col.Name, err)
		}
		return v, nil
	}
	switch {
	case col.Nullable:
		return v, nil
	case col.Type.Kind == schemas.KindText:
		return schemas.Text(""), nil
	}
	return v, fmt.Errorf("column %s cannot be NULL, and the field is empty", col.Name)
}
