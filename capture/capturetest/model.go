package capturetest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/strait-cdc/strait/schemas"
)

// Model is what the changes of a Log add up to: rows by table and key. Adding is
// strict: a row that is inserted must not be there, one that is updated or
// deleted must, so a change that comes twice or not at all is found out.
type Model map[string]map[int64]schemas.Row

// Replay adds up the changes of tables that have a column id.
func Replay(changes []schemas.Change) (Model, error) {
	m := Model{}
	for i := range changes {
		c := &changes[i]
		if c.Table.Column("id") < 0 {
			continue
		}
		if err := m.add(c); err != nil {
			return m, fmt.Errorf("change %d of %d, transaction %s at %s: %s: %w", i, len(changes), c.Txn.ID, c.Txn.Pos, ChangeText(c), err)
		}
	}
	return m, nil
}

func (m Model) add(c *schemas.Change) error {
	rows := m[c.Table.Name.Name]
	if rows == nil {
		rows = map[int64]schemas.Row{}
		m[c.Table.Name.Name] = rows
	}
	if c.Op == schemas.Truncate {
		clear(rows)
		return nil
	}
	id := c.Table.Column("id")
	if len(c.Table.Key) != 1 || c.Table.Key[0] != id {
		return fmt.Errorf("the key is %v, not id", c.Table.Key)
	}
	switch c.Op {
	case schemas.Insert, schemas.Snapshot:
		return insertRow(rows, c.After[id].Int(), c.After)
	case schemas.Delete:
		return deleteRow(rows, c.Before[id].Int())
	}
	from := c.After[id].Int()
	if c.Before != nil {
		from = c.Before[id].Int()
	}
	old := rows[from]
	if err := deleteRow(rows, from); err != nil {
		return err
	}
	return insertRow(rows, c.After[id].Int(), filled(c.After, old))
}

func insertRow(rows map[int64]schemas.Row, id int64, row schemas.Row) error {
	if _, ok := rows[id]; ok {
		return fmt.Errorf("row %d is there already", id)
	}
	rows[id] = row
	return nil
}

func deleteRow(rows map[int64]schemas.Row, id int64) error {
	if _, ok := rows[id]; !ok {
		return fmt.Errorf("row %d is not there", id)
	}
	delete(rows, id)
	return nil
}

// filled takes from the old row what the log did not carry.
func filled(row, old schemas.Row) schemas.Row {
	for i, v := range row {
		if v.IsUnchanged() && i < len(old) {
			row = slices.Clone(row)
			row[i] = old[i]
		}
	}
	return row
}

// Text is the rows of a table of the form of Create, as RowText shows them.
func (m Model) Text(table string) map[int64]string {
	out := map[int64]string{}
	for id, r := range m[table] {
		if len(r) < 3 {
			out[id] = fmt.Sprint(r)
			continue
		}
		out[id] = RowText(r[1].String(), r[2].String())
	}
	return out
}

// differences lists at most ten rows that are not the same.
func differences(got, want map[int64]string) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[id]; !ok {
			out = append(out, fmt.Sprintf("row %d is missing, want %q", id, want[id]))
		} else if g != want[id] {
			out = append(out, fmt.Sprintf("row %d is %q, want %q", id, g, want[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[id]; !ok {
			out = append(out, fmt.Sprintf("row %d is %q, want none", id, got[id]))
		}
	}
	return out[:min(len(out), 10)]
}
