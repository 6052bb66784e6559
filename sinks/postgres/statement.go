package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks/internal/apply"
)

// statement is a write in SQL. Its text has the marks of ref for its values, so
// that the same text serves for one row and for many.
type statement struct {
	index int
	kind  schemas.WriteKind
	// shape is the text with marks: statements of one shape can be one statement.
	shape string
	args  []*string
	// row names the row of an update.
	row string
	// key and made are an insert's: made holds, for each key column, its place in
	// the returned list, -1 where the value was given.
	key     []schemas.Value
	made    []int
	columns []*column
}

// mark stands in front and behind of a value's number in a shape. It can be in
// no identifier, as PostgreSQL has none with a zero byte.
const mark = "\x00"

// builder collects a statement.
type builder struct {
	t    *table
	st   *statement
	text strings.Builder
}

func (b *builder) ref(s *string) string {
	b.st.args = append(b.st.args, s)
	return fmt.Sprintf("%s%d%s", mark, len(b.st.args)-1, mark)
}

// source is the mark of the place where an update names what it joins.
const source = "from"

// single is the text for one row: $1::text and so on.
func (st *statement) single() string {
	return st.render("", func(i int) string { return fmt.Sprintf("$%d::text", i+1) })
}

func (st *statement) render(from string, ref func(number int) string) string {
	var b strings.Builder
	for i, p := range strings.Split(st.shape, mark) {
		switch n, err := strconv.Atoi(p); {
		case i%2 == 0:
			b.WriteString(p)
		case err != nil:
			b.WriteString(from)
		default:
			b.WriteString(ref(n))
		}
	}
	return b.String()
}

func (b *builder) column(name string) (*column, error) {
	if c := b.t.columns[name]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("table %s has no column %q", b.t.name, name)
}

// compile makes the statement of a write.
func compile(t *table, index int, w *apply.Write) (*statement, error) {
	b := &builder{t: t, st: &statement{index: index, kind: w.Kind}}
	var err error
	switch w.Kind {
	case schemas.WriteInsert:
		err = b.insert(w)
	case schemas.WriteUpdate:
		err = b.update(w)
	case schemas.WriteDelete:
		fmt.Fprintf(&b.text, "delete from %s as t where ", t.quoted)
		err = b.where(w)
	case schemas.WriteCheck:
		// The weakest lock that keeps the row and its key.
		fmt.Fprintf(&b.text, "select 1 from %s as t where ", t.quoted)
		if err = b.where(w); err == nil {
			b.text.WriteString(" for key share of t")
		}
	}
	b.st.shape = b.text.String()
	return b.st, err
}

func (b *builder) update(w *apply.Write) error {
	if len(w.Set) == 0 {
		return fmt.Errorf("%s sets no column", w.Where)
	}
	fmt.Fprintf(&b.text, "update %s as t set ", b.t.quoted)
	for i, cell := range w.Set {
		c, ref, err := b.cell(cell)
		if err != nil {
			return err
		}
		if i > 0 {
			b.text.WriteString(", ")
		}
		fmt.Fprintf(&b.text, "%s = %s", c.quoted, ref)
	}
	b.text.WriteString(mark + source + mark + " where ")
	return b.where(w)
}

// cell gives the column and its value cast to the column's base type.
func (b *builder) cell(cell schemas.Cell) (*column, string, error) {
	c, err := b.column(cell.Column)
	if err != nil {
		return nil, "", err
	}
	s, err := c.value(cell.Value)
	if err != nil {
		return nil, "", err
	}
	return c, b.ref(s) + "::" + c.cast, nil
}

func (b *builder) where(w *apply.Write) error {
	var row strings.Builder
	for i, cell := range w.Key {
		c, ref, err := b.cell(cell)
		if err != nil {
			return err
		}
		if i > 0 {
			b.text.WriteString(" and ")
		}
		fmt.Fprintf(&b.text, "t.%s = %s", c.quoted, ref)
		if c.form == compareCitext {
			fmt.Fprintf(&b.text, ` and t.%s::text = %s::text collate "C"`, c.quoted, strings.TrimSuffix(ref, "::"+c.cast))
		}
		if s := b.st.args[len(b.st.args)-1]; s != nil {
			fmt.Fprintf(&row, "%d:%s,", len(*s), *s)
		}
	}
	b.st.row = row.String()
	for _, cell := range w.Guard {
		if err := b.guard(cell); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) guard(cell schemas.Cell) error {
	c, err := b.column(cell.Column)
	if err != nil {
		return err
	}
	s, err := c.value(cell.Value)
	switch {
	case err != nil:
		return err
	case s == nil:
		fmt.Fprintf(&b.text, " and t.%s is null", c.quoted)
	case c.form == compareEqual:
		fmt.Fprintf(&b.text, " and t.%s = %s::%s", c.quoted, b.ref(s), c.cast)
	case c.form == compareText:
		fmt.Fprintf(&b.text, ` and t.%s::text = %s::%s::text collate "C"`, c.quoted, b.ref(s), c.cast)
	case c.cast == "bpchar":
		fmt.Fprintf(&b.text, ` and t.%s = %s::bpchar collate "C"`, c.quoted, b.ref(s))
	default:
		fmt.Fprintf(&b.text, ` and t.%s::text = %s collate "C"`, c.quoted, b.ref(s))
	}
	return nil
}

// absent is the search for one alternative, by the column's own idea of what is
// equal: where that takes two texts for one, so does the user who looks for
// duplicates.
func (b *builder) absent(cells []schemas.Cell) error {
	fmt.Fprintf(&b.text, "not exists (select 1 from %s as a where true", b.t.quoted)
	for _, cell := range cells {
		c, err := b.column(cell.Column)
		if err != nil {
			return err
		}
		s, err := c.value(cell.Value)
		switch {
		case err != nil:
			return err
		case s == nil:
			fmt.Fprintf(&b.text, " and a.%s is null", c.quoted)
		case c.form == compareText:
			fmt.Fprintf(&b.text, " and a.%s::text = %s::%s::text", c.quoted, b.ref(s), c.cast)
		default:
			fmt.Fprintf(&b.text, " and a.%s = %s::%s", c.quoted, b.ref(s), c.cast)
		}
	}
	b.text.WriteString(")")
	return nil
}

func (b *builder) insert(w *apply.Write) error {
	var names, refs []string
	for _, cell := range insertCells(w) {
		c, ref, err := b.cell(cell)
		if err != nil {
			return err
		}
		names, refs = append(names, c.quoted), append(refs, ref)
	}
	if len(names) == 0 {
		fmt.Fprintf(&b.text, "insert into %s select", b.t.quoted)
	} else {
		fmt.Fprintf(&b.text, "insert into %s (%s) select %s", b.t.quoted, strings.Join(names, ", "), strings.Join(refs, ", "))
	}
	for i, cells := range w.Absent {
		b.text.WriteString([]string{" where ", " and "}[min(i, 1)])
		if err := b.absent(cells); err != nil {
			return err
		}
	}
	return b.returning(w)
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

// returning asks for the key columns that the server fills.
func (b *builder) returning(w *apply.Write) error {
	given := map[string]schemas.Value{}
	for _, cell := range insertCells(w) {
		given[cell.Column] = cell.Value
	}
	for _, cell := range w.Key {
		if v, ok := given[cell.Column]; ok {
			b.st.key, b.st.made = append(b.st.key, v), append(b.st.made, -1)
			continue
		}
		c, err := b.column(cell.Column)
		if err != nil {
			return err
		}
		b.text.WriteString([]string{" returning ", ", "}[min(len(b.st.columns), 1)])
		fmt.Fprintf(&b.text, "%s::text", c.quoted)
		b.st.key, b.st.made = append(b.st.key, schemas.Null), append(b.st.made, len(b.st.columns))
		b.st.columns = append(b.st.columns, c)
	}
	return nil
}
