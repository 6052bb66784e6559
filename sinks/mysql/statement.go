package mysql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks/internal/apply"
)

// statement is a write in SQL.
type statement struct {
	text string
	// check says that it only looks for a row.
	check bool
	// key is an insert's; auto is the place in it that auto_increment fills, -1 for
	// none. returns are the columns that MariaDB has to tell, with their places.
	key     []schemas.Value
	auto    int
	autoKey *column
	returns []*column
	places  []int
	// writes are those it stands for, by their places in Do's list; more than one
	// when updates were joined. update is set on an update.
	writes []int
	update *update
}

type builder struct {
	t    *table
	st   *statement
	text strings.Builder
	// key is the condition that finds the row, without the guards.
	key string
}

func compile(t *table, w *apply.Write) (*statement, error) {
	b := &builder{t: t, st: &statement{auto: -1}}
	var err error
	switch w.Kind {
	case schemas.WriteInsert:
		err = b.insert(w)
	case schemas.WriteUpdate:
		err = b.update(w)
	case schemas.WriteDelete:
		// MySQL before 8.0.16 takes no alias here, so there is none.
		fmt.Fprintf(&b.text, "delete from %s where ", t.quoted)
		err = b.where(w)
	case schemas.WriteCheck:
		b.st.check = true
		fmt.Fprintf(&b.text, "select 1 from %s where ", t.quoted)
		if err = b.where(w); err == nil {
			b.text.WriteString(" lock in share mode")
		}
	}
	b.st.text = b.text.String()
	return b.st, err
}

// cell gives the column and the literal of its value.
func (b *builder) cell(cell schemas.Cell) (*column, string, error) {
	c := b.t.columns[cell.Column]
	if c == nil {
		return nil, "", fmt.Errorf("table %s has no column %q", b.t.name, cell.Column)
	}
	s, err := c.literal(cell.Value)
	return c, s, err
}

func (b *builder) update(w *apply.Write) error {
	if len(w.Set) == 0 {
		return fmt.Errorf("%s sets no column", w.Where)
	}
	u := &update{table: b.t.quoted}
	for _, cell := range w.Set {
		c, s, err := b.cell(cell)
		if err != nil {
			return err
		}
		u.columns, u.values = append(u.columns, c.quoted), append(u.values, s)
		u.rekeys = u.rekeys || inKey(w, cell.Column)
	}
	if err := b.where(w); err != nil {
		return err
	}
	u.key, u.where = b.key, b.text.String()
	b.text.Reset()
	b.text.WriteString(join([]*update{u}))
	b.st.update = u
	return nil
}

func inKey(w *apply.Write, column string) bool {
	for _, cell := range w.Key {
		if cell.Column == column {
			return true
		}
	}
	return false
}

// where finds the key by the column's own operator, which can use an index, and
// then once more exactly; guards exactly.
func (b *builder) where(w *apply.Write) error {
	for i, cell := range w.Key {
		c, s, err := b.cell(cell)
		if err != nil {
			return err
		}
		if i > 0 {
			b.text.WriteString(" and ")
		}
		fmt.Fprintf(&b.text, "%s = %s", c.quoted, s)
		if c.isText() && !cell.Value.IsNull() {
			b.text.WriteString(" and " + b.exact(c, s))
		}
	}
	b.key = b.text.String()
	for _, cell := range w.Guard {
		c, s, err := b.cell(cell)
		if err != nil {
			return err
		}
		b.text.WriteString(" and ")
		if cell.Value.IsNull() {
			b.text.WriteString(isNull(c, ""))
		} else {
			b.text.WriteString(b.exact(c, s))
		}
	}
	return nil
}

// isNull finds what a reader reports as NULL: zero dates too, and dates with a
// month or day of zero.
func isNull(c *column, table string) string {
	if c.isDay() {
		return fmt.Sprintf("(%s%s is null or cast(%s%s as char) like '%%-00%%')", table, c.quoted, table, c.quoted)
	}
	return fmt.Sprintf("%s%s is null", table, c.quoted)
}

// exact compares so that all values that differ are different: texts by their
// bytes in UTF-8, since every collation pads or folds something, JSON as JSON.
func (b *builder) exact(c *column, literal string) string {
	switch {
	case c.isText():
		return fmt.Sprintf("cast(convert(%s using utf8mb4) as binary) = cast(%s as binary)", c.quoted, literal)
	case c.kind == schemas.KindJSON && !b.t.mariadb:
		return fmt.Sprintf("%s = cast(%s as json)", c.quoted, literal)
	}
	return fmt.Sprintf("%s = %s", c.quoted, literal)
}

func (b *builder) insert(w *apply.Write) error {
	var names, values []string
	given := map[string]schemas.Value{}
	for _, cell := range insertCells(w) {
		c, s, err := b.cell(cell)
		if err != nil {
			return err
		}
		given[cell.Column] = cell.Value
		names, values = append(names, c.quoted), append(values, s)
	}
	head := fmt.Sprintf("insert into %s (%s) ", b.t.quoted, strings.Join(names, ", "))
	if len(w.Absent) == 0 {
		fmt.Fprintf(&b.text, "%svalues (%s)", head, strings.Join(values, ", "))
		return b.keys(w, given)
	}
	if len(names) == 0 {
		return fmt.Errorf("%s gives no column a value", w.Where)
	}
	fmt.Fprintf(&b.text, "%sselect %s from dual where ", head, strings.Join(values, ", "))
	for i, cells := range w.Absent {
		if i > 0 {
			b.text.WriteString(" and ")
		}
		if err := b.absent(cells); err != nil {
			return err
		}
	}
	return b.keys(w, given)
}

// absent is the search for one alternative, by the column's own idea of what is
// equal: where that takes two texts for one, so does the user who looks for
// duplicates.
func (b *builder) absent(cells []schemas.Cell) error {
	fmt.Fprintf(&b.text, "not exists (select 1 from %s as a where true", b.t.quoted)
	for _, cell := range cells {
		c, s, err := b.cell(cell)
		if err != nil {
			return err
		}
		switch {
		case cell.Value.IsNull():
			b.text.WriteString(" and " + isNull(c, "a."))
		case c.kind == schemas.KindJSON && !b.t.mariadb:
			fmt.Fprintf(&b.text, " and a.%s = cast(%s as json)", c.quoted, s)
		default:
			fmt.Fprintf(&b.text, " and a.%s = %s", c.quoted, s)
		}
	}
	b.text.WriteString(")")
	return nil
}

// insertCells are the columns of an insert: those of the key that have a value,
// then the others.
func insertCells(w *apply.Write) []schemas.Cell {
	var out []schemas.Cell
	inKey := map[string]bool{}
	for _, cell := range w.Key {
		if !cell.Value.IsNull() {
			inKey[cell.Column] = true
			out = append(out, cell)
		}
	}
	for _, cell := range w.Set {
		if !inKey[cell.Column] {
			out = append(out, cell)
		}
	}
	return out
}

// keys settles where the key of the inserted row comes from: the write, the
// server's auto_increment, or MariaDB's RETURNING.
func (b *builder) keys(w *apply.Write, given map[string]schemas.Value) error {
	for i, cell := range w.Key {
		v, ok := given[cell.Column]
		b.st.key = append(b.st.key, v)
		if ok {
			continue
		}
		c, _, err := b.cell(cell)
		switch {
		case err != nil:
			return err
		case c.auto:
			b.st.auto, b.st.autoKey = i, c
		case b.t.mariadb:
			b.st.returns, b.st.places = append(b.st.returns, c), append(b.st.places, i)
		default:
			return fmt.Errorf("the key column %q of %s is not auto_increment, and MySQL does not tell what else it generates: let the mapping make the key", c.name, b.t.name)
		}
	}
	for i, c := range b.st.returns {
		b.text.WriteString([]string{" returning ", ", "}[min(i, 1)] + c.quoted)
	}
	return nil
}

// parse reads a key from the text that the server returned.
func (c *column) parse(s string) schemas.Value {
	switch c.kind {
	case schemas.KindInt16, schemas.KindInt32, schemas.KindInt64:
		if u, err := strconv.ParseUint(s, 10, 64); err == nil {
			return c.generated(u)
		}
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return schemas.Int(i)
		}
	}
	return schemas.Text(s)
}

// generated is the value of an auto_increment key.
func (c *column) generated(id uint64) schemas.Value {
	if c.unsigned && c.kind == schemas.KindInt64 {
		return schemas.Uint(id)
	}
	return schemas.Int(int64(id))
}
