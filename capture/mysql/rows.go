package mysql

import (
	"encoding/binary"
	"fmt"

	"github.com/strait-cdc/strait/schemas"
)

// rowsEvent is a rows event taken apart as far as its rows.
type rowsEvent struct {
	op    schemas.Op
	shape *shape
	rows  string
}

// The versions of rows events, by type.
type rowsForm struct {
	op         schemas.Op
	extra      bool // version 2: extra data in front
	compressed bool // MariaDB
}

var rowsForms = map[byte]rowsForm{
	writeRowsV1:            {op: schemas.Insert},
	updateRowsV1:           {op: schemas.Update},
	deleteRowsV1:           {op: schemas.Delete},
	writeRowsV2:            {op: schemas.Insert, extra: true},
	updateRowsV2:           {op: schemas.Update, extra: true},
	deleteRowsV2:           {op: schemas.Delete, extra: true},
	writeRowsCompressedV1:  {op: schemas.Insert, compressed: true},
	updateRowsCompressedV1: {op: schemas.Update, compressed: true},
	deleteRowsCompressedV1: {op: schemas.Delete, compressed: true},
	writeRowsCompressedV2:  {op: schemas.Insert, extra: true, compressed: true},
	updateRowsCompressedV2: {op: schemas.Update, extra: true, compressed: true},
	deleteRowsCompressedV2: {op: schemas.Delete, extra: true, compressed: true},
}

// rowsTable is the id of the table that a rows event is about.
func rowsTable(e event) (uint64, error) {
	if len(e.body) < 8 {
		return 0, errShort("rows event")
	}
	return tableID(e.body), nil
}

// parseRows reads what stands in front of the rows. The rows are copied once, as
// a whole: the texts of all values are parts of that copy.
func parseRows(e event, form rowsForm, sh *shape) (rowsEvent, error) {
	b := e.body[8:]
	if form.extra {
		if len(b) < 2 || len(b) < int(binary.LittleEndian.Uint16(b)) || binary.LittleEndian.Uint16(b) < 2 {
			return rowsEvent{}, errShort("rows event")
		}
		b = b[binary.LittleEndian.Uint16(b):]
	}
	width, n := lenenc(b)
	if n == 0 {
		return rowsEvent{}, errShort("rows event")
	}
	b = b[n:]
	if width != uint64(len(sh.fields)) {
		return rowsEvent{}, fmt.Errorf("binlog: rows of %s have %d columns, its description %d", sh.name, width, len(sh.fields))
	}
	bitmaps := 1
	if form.op == schemas.Update {
		bitmaps = 2
	}
	for range bitmaps {
		if len(b) < (int(width)+7)/8 {
			return rowsEvent{}, errShort("rows event")
		}
		if !allSet(b, int(width)) {
			return rowsEvent{}, unsupported("table %s: a change was logged without all columns: set global binlog_row_image = FULL, find the session that sets another one, and take a new snapshot", sh.name)
		}
		b = b[(int(width)+7)/8:]
	}
	if form.compressed {
		var err error
		if b, err = inflate(b); err != nil {
			return rowsEvent{}, err
		}
	}
	return rowsEvent{op: form.op, shape: sh, rows: string(b)}, nil
}

func allSet(b []byte, n int) bool {
	for i := range n / 8 {
		if b[i] != 0xff {
			return false
		}
	}
	return n%8 == 0 || b[n/8]&(1<<(n%8)-1) == 1<<(n%8)-1
}

// rowArena hands out the memory of rows in blocks, so that a row is no
// allocation of its own.
type rowArena struct{ free []schemas.Value }

const arenaValues = 2048

func (a *rowArena) row(n int) schemas.Row {
	if len(a.free) < n {
		a.free = make([]schemas.Value, max(n, arenaValues))
	}
	r := schemas.Row(a.free[:n:n])
	a.free = a.free[n:]
	return r
}

// readRow takes one row image off the front of b. current is false for a row of
// a system-versioned table that has ended.
func (s *shape) readRow(b string, a *rowArena) (row schemas.Row, current bool, rest string, err error) {
	nulls := (len(s.fields) + 7) / 8
	if len(b) < nulls {
		return nil, false, "", errShort("row")
	}
	bitmap := b[:nulls]
	b = b[nulls:]
	row = a.row(s.visible)
	current = true
	at := 0
	for i := range s.fields {
		f := &s.fields[i]
		var v schemas.Value
		if bitmap[i>>3]&(1<<(i&7)) == 0 {
			if v, b, err = f.read(b); err != nil {
				return nil, false, "", fmt.Errorf("table %s, column %d: %w", s.name, i+1, err)
			}
		}
		if i == s.rowEnd && !endless(v) {
			current = false
		}
		if !f.hidden {
			row[at] = v
			at++
		}
	}
	return row, current, b, nil
}

// The row_end of a row that is current: the highest TIMESTAMP, which is of 2038,
// or of 2106 since MariaDB 11.5.
func endless(v schemas.Value) bool {
	const until2038, until2106 = (1<<31-1)*second + 999999, (1<<32-1)*second + 999999
	return v.Int() == until2038 || v.Int() == until2106
}

// readChange takes one change off the front of b. A change that none of our
// tables shows (of the history of a system-versioned table) has the op 0.
func (s *shape) readChange(op schemas.Op, b string, a *rowArena) (_ schemas.Op, before, after schemas.Row, rest string, err error) {
	row, current, rest, err := s.readRow(b, a)
	if err != nil {
		return 0, nil, nil, "", err
	}
	switch op {
	case schemas.Insert:
		after = row
	case schemas.Delete:
		before = row
	case schemas.Update:
		before = row
		var still bool
		if after, still, rest, err = s.readRow(rest, a); err != nil {
			return 0, nil, nil, "", err
		}
		if current && !still {
			// System versioning logs a delete as the end of the row's time.
			return schemas.Delete, before, nil, rest, nil
		}
	}
	if !current {
		op = 0
	}
	return op, before, after, rest, nil
}

// origin reads the mark, of a transaction whose first change is one of
// strait.progress.
func (s *shape) origin(changes []schemas.Change) schemas.Origin {
	if len(changes) == 0 || changes[0].After == nil {
		return schemas.Origin{}
	}
	row := changes[0].After
	return schemas.Origin{Pipeline: row[s.progress.pipeline].Text(), Batch: row[s.progress.batch].Int()}
}
