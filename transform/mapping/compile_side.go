package mapping

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// side finds table, key, parent and joins of a part on one side; nil if the
// table is not there.
func (c *compiler) side(p *partWork, i int) *PartSide {
	d := p.docs[i]
	t := c.table(p.systems[i], d.table)
	if t == nil {
		return nil
	}
	s := &PartSide{Table: t, ReadOnly: d.readOnly}
	c.key(d, t)
	if p.root != nil {
		s.Parent = c.columns(t, d.parent)
		c.parent(p, i, s)
	}
	for _, j := range d.joins {
		if join, ok := c.join(p.systems[i], t, j); ok {
			s.Joins = append(s.Joins, join)
		}
	}
	return s
}

// key checks that the key named is the key of the table: rows are told apart by
// it, and nothing else is known to be unique.
func (c *compiler) key(d *sideDoc, t *schemas.Table) {
	if len(t.Key) == 0 {
		c.add(d.table.pos, "give the table a primary key", "table %s has no key", t.Name.Name)
		return
	}
	if len(d.key) == 0 {
		return
	}
	names := make([]string, len(t.Key))
	same := len(d.key) == len(t.Key)
	for i, k := range t.Key {
		names[i] = t.Columns[k].Name
		same = same && d.key[i].s == names[i]
	}
	if len(c.columns(t, d.key)) == len(d.key) && !same {
		c.add(d.key[0].pos, "", "the key of table %s is %s", t.Name.Name, strings.Join(names, ", "))
	}
}

func (c *compiler) parent(p *partWork, i int, s *PartSide) {
	root := p.root.sides[i]
	if root == nil || len(s.Parent) != len(p.docs[i].parent) {
		return
	}
	at := p.docs[i].parent[0].pos
	if len(s.Parent) != len(root.Table.Key) {
		c.add(at, "", "the key of %s has %d columns, parent names %d", root.Table.Name.Name, len(root.Table.Key), len(s.Parent))
		return
	}
	for j, col := range s.Parent {
		kt, ct := root.Table.Columns[root.Table.Key[j]], s.Table.Columns[col]
		if familyOf(kt.Type.Kind) != familyOf(ct.Type.Kind) {
			c.add(at, "", "column %s (%s) cannot hold the key %s (%s) of %s", ct.Name, nativeName(ct.Type), kt.Name, nativeName(kt.Type), root.Table.Name.Name)
		}
	}
}

func (c *compiler) join(system string, own *schemas.Table, d *joinDoc) (Join, bool) {
	j := Join{Name: d.name.s, Table: c.table(system, d.table)}
	if d.name.s == "row" {
		c.add(d.name.pos, "", "row is the record's own row; call the join something else")
		return j, false
	}
	if j.Table == nil {
		return j, false
	}
	if len(d.on) == 0 {
		c.add(d.name.pos, "write on: {column of the joined table: column of this table}", "join %q has no columns", d.name.s)
	}
	for _, on := range d.on {
		a, b := c.column(j.Table, on[0]), c.column(own, on[1])
		if a < 0 || b < 0 {
			return j, false
		}
		at, bt := j.Table.Columns[a].Type, own.Columns[b].Type
		if familyOf(at.Kind) != familyOf(bt.Kind) {
			c.add(on[0].pos, "", "columns %s (%s) and %s (%s) are never equal", on[0].s, nativeName(at), on[1].s, nativeName(bt))
		}
		j.Columns, j.Own = append(j.Columns, a), append(j.Own, b)
	}
	return j, true
}

// part compiles what stands on the tables found before.
func (c *compiler) part(p *partWork) {
	for i := range p.systems {
		c.creation(p, i)
	}
	for i := range p.systems {
		if p.sides[i] != nil && p.docs[i].where.set() {
			c.where(p, i)
		}
	}
	seen := map[string]bool{}
	wrong := len(c.list)
	for _, d := range p.doc.fields {
		if seen[d.name.s] {
			c.add(d.name.pos, "", "two fields are called %q", d.name.s)
		}
		seen[d.name.s] = true
		p.out.Fields = append(p.out.Fields, c.field(p, d))
	}
	c.matches(p)
	for i := range p.systems {
		if p.sides[i] != nil {
			c.defaults(p, i)
			c.keyRule(p, i)
			if len(c.list) == wrong {
				c.covered(p, i)
			}
		}
		c.deleted(p, i)
	}
}

func (c *compiler) where(p *partWork, i int) {
	prog := c.condition(p.docs[i].where, p.scope(c, i))
	if prog == nil {
		return
	}
	if len(prog.joins) > 0 {
		c.add(p.docs[i].where.pos, "", "where can read only the row itself")
		return
	}
	s := p.sides[i]
	s.WhereColumns = prog.columns
	s.Where = func(row schemas.Row) (bool, error) {
		x, err := prog.onRow(Env{Row: row})
		if err != nil {
			return false, err
		}
		return truthy(x)
	}
}

// creation reads whether records are created on a side: always, never, or when
// an expression over the other side's row says so. Never is the default of an
// entity; children are created with it unless the side is read only.
func (c *compiler) creation(p *partWork, i int) {
	t, given := p.doc.create[p.systems[i]]
	always := given && t.s == "always" || !given && p.root != nil && p.sides[i] != nil && !p.sides[i].ReadOnly
	p.never[i] = !always && (!given || !t.set() || t.s == "never")
	if given && !t.set() {
		c.add(t.pos, "", "create takes always, never or an expression over the other side's row")
	}
	if p.sides[i] == nil {
		return
	}
	if p.sides[i].ReadOnly && !p.never[i] {
		c.add(t.pos, "", "%s is read only: nothing can be created in it", p.docs[i].table.s)
		p.never[i] = true
	}
	switch {
	case p.never[i]:
	case always:
		p.sides[i].Create = func(Env) (bool, error) { return true, nil }
	case p.sides[1-i] != nil:
		if prog := c.condition(t, p.scope(c, 1-i)); prog != nil {
			p.sides[i].CreateColumns = prog.columns
			p.sides[i].Create = func(other Env) (bool, error) {
				x, err := prog.onRow(other)
				if err != nil {
					return false, err
				}
				return truthy(x)
			}
		}
	}
}

func (c *compiler) defaults(p *partWork, i int) {
	other := p.sides[1-i]
	for _, d := range p.docs[i].defaults {
		var s *scope
		if other != nil {
			s = p.scope(c, 1-i)
		}
		cell, ok := c.cell(p, i, d, s)
		if !ok {
			continue
		}
		if w := p.writers[i][cell.Column]; w != nil {
			c.add(d.column.pos, "", "column %q is written by the field %q", d.column.s, w.name.s)
			continue
		}
		p.sides[i].Defaults = append(p.sides[i].Defaults, cell)
	}
}

// cell compiles a column with its constant or expression. scope is that of the
// row which the expression reads.
func (c *compiler) cell(p *partWork, i int, d *cellDoc, s *scope) (Default, bool) {
	t := p.sides[i].Table
	col := c.column(t, d.column)
	if col < 0 {
		return Default{}, false
	}
	column := t.Columns[col]
	if column.Generated {
		c.add(d.column.pos, "", "column %q is computed by the database", d.column.s)
		return Default{}, false
	}
	out := Default{Column: col}
	if !d.expr.set() {
		v, err := constantCell(d.constant, column)
		if err != nil {
			c.add(d.constant.pos, "", "column %q: %v", d.column.s, err)
			return out, false
		}
		out.Value = func(Env) (schemas.Value, error) { return v, nil }
		return out, true
	}
	if s == nil {
		return out, false
	}
	prog := c.expr(d.expr, s)
	if prog == nil {
		return out, false
	}
	if want := goType(column.Type.Kind); want == nil || !fits(prog.result, want) {
		c.add(d.expr.pos, "", "the expression gives %s, the column %s is %s", className(prog.result), d.column.s, nativeName(column.Type))
		return out, false
	}
	out.Value = func(env Env) (schemas.Value, error) {
		x, err := prog.onRow(env)
		if err != nil {
			return schemas.Null, err
		}
		v, err := fromExpr(x, column.Type)
		if err != nil {
			return schemas.Null, fmt.Errorf("column %s: %w", column.Name, err)
		}
		return store(v, &column)
	}
	return out, true
}

func constantCell(t text, column schemas.Column) (schemas.Value, error) {
	if t.null {
		if !column.Nullable {
			return schemas.Null, fmt.Errorf("cannot be NULL")
		}
		return schemas.Null, nil
	}
	v, err := constant(t.s, column.Type)
	if err != nil {
		return v, err
	}
	return v, fit(v, column.Type)
}

// keyRule says how new rows get their key.
func (c *compiler) keyRule(p *partWork, i int) {
	s, d := p.sides[i], p.docs[i]
	t := s.Table
	if len(t.Key) == 0 {
		return
	}
	first := t.Columns[t.Key[0]]
	rule := d.newKey.s
	if !d.newKey.set() {
		rule = "field"
		if first.Auto {
			rule = "database"
		}
		if p.never[i] {
			s.Key = keyRules[rule]
			return
		}
	}
	at := d.newKey.pos
	if at.src == nil {
		at = d.table.pos
	}
	isText := familyOf(first.Type.Kind) == famText && (first.Type.Kind == schemas.KindUUID || first.Type.Kind == schemas.KindText)
	switch rule {
	case "database":
		if !p.never[i] && !first.Auto && !first.HasDefault {
			c.add(at, "use new_key: uuid, hex17 or field", "the database does not number %s.%s", t.Name.Name, first.Name)
		}
	case "uuid":
		if len(t.Key) != 1 || !isText || first.Type.Kind == schemas.KindText && first.Type.Length > 0 && first.Type.Length < 36 {
			c.add(at, "", "the key of %s does not take a UUID", t.Name.Name)
		}
	case "hex17":
		if len(t.Key) != 1 || first.Type.Kind != schemas.KindText || first.Type.Length > 0 && first.Type.Length < 17 {
			c.add(at, "", "the key of %s does not take 17 characters", t.Name.Name)
		}
	case "field":
		for _, k := range t.Key {
			if !p.never[i] && p.writers[i][k] == nil && !containsInt(s.Parent, k) {
				c.add(at, "map the column to a field, or use new_key: uuid, hex17 or database", "no field writes the key column %s.%s", t.Name.Name, t.Columns[k].Name)
			}
		}
	default:
		c.add(at, didYouMean(rule, []string{"database", "uuid", "hex17", "field"}), "unknown new_key %q", rule)
	}
	s.Key = keyRules[rule]
}

var keyRules = map[string]KeyRule{"database": KeyByDatabase, "uuid": KeyUUID, "hex17": KeyHex17, "field": KeyFromFields}

// covered checks that an insert gives every column that must be given.
func (c *compiler) covered(p *partWork, i int) {
	if p.never[i] {
		return
	}
	s := p.sides[i]
	for col := range s.Table.Columns {
		column := &s.Table.Columns[col]
		if column.Nullable || column.HasDefault || column.Generated || column.Auto || p.writers[i][col] != nil {
			continue
		}
		if containsInt(s.Table.Key, col) || containsInt(s.Parent, col) || hasDefault(s.Defaults, col) {
			continue
		}
		c.add(p.docs[i].table.pos, fmt.Sprintf("map it to a field, or give it a value with defaults: {%s: …}", column.Name),
			"column %s.%s must have a value when a record is created, and nothing gives one", s.Table.Name.Name, column.Name)
	}
}

func hasDefault(list []Default, col int) bool {
	for _, d := range list {
		if d.Column == col {
			return true
		}
	}
	return false
}

func containsInt(list []int, n int) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

var deleteActions = map[string]DeleteAction{"keep": DeleteKeep, "remove": DeleteRemove, "set": DeleteSet, "restore": DeleteRestore, "review": DeleteReview}

// deleted reads what a deletion on side i means for the other side.
func (c *compiler) deleted(p *partWork, i int) {
	d := p.doc.deletedIn[p.systems[i]]
	if d == nil {
		return
	}
	action, ok := deleteActions[d.do.s]
	if !ok {
		c.add(d.do.pos, didYouMean(d.do.s, []string{"keep", "remove", "set", "restore", "review"}), "unknown action %q", d.do.s)
		return
	}
	other := p.sides[1-i]
	if other == nil {
		return
	}
	if other.ReadOnly && (action == DeleteRemove || action == DeleteSet) {
		c.add(d.do.pos, "use keep, restore or review", "%s is read only", p.docs[1-i].table.s)
	}
	if action == DeleteRestore && p.never[i] {
		c.add(d.do.pos, "", "nothing is created in %s, so nothing can be restored there", p.systems[i])
	}
	if (action == DeleteSet) != (len(d.set) > 0) || action != DeleteSet && len(d.undo) > 0 {
		c.add(d.do.pos, "", "do: set and the columns to set belong together")
	}
	rule := DeleteRule{Action: action}
	for _, cell := range d.set {
		if v, ok := c.cell(p, 1-i, cell, p.scope(c, 1-i)); ok {
			rule.Set = append(rule.Set, v)
		}
	}
	for _, cell := range d.undo {
		if v, ok := c.cell(p, 1-i, cell, p.scope(c, 1-i)); ok {
			rule.Undo = append(rule.Undo, v)
		}
	}
	other.OtherDeleted = rule
}

func (c *compiler) matches(p *partWork) {
	var names []string
	for _, d := range p.doc.fields {
		names = append(names, d.name.s)
	}
	seen := map[string]bool{}
	for _, d := range p.doc.match {
		rule := MatchRule{ID: d.name.s}
		if seen[d.name.s] {
			c.add(d.name.pos, "", "two match rules are called %q", d.name.s)
		}
		seen[d.name.s] = true
		s := &scope{maps: c.maps}
		for _, t := range d.fields {
			k := -1
			for j, n := range names {
				if n == t.s {
					k = j
				}
			}
			if k < 0 {
				c.add(t.pos, didYouMean(t.s, names), "there is no field %q", t.s)
				continue
			}
			if len(p.doc.fields[k].sides) < 2 {
				c.add(t.pos, "", "field %q is not on both sides", t.s)
			}
			rule.Fields = append(rule.Fields, k)
			s.fields = append(s.fields, p.out.Fields[k])
		}
		if len(d.fields) == 0 {
			c.add(d.name.pos, "", "match rule %q names no fields", d.name.s)
		}
		if d.unless.set() && len(rule.Fields) == len(d.fields) {
			rule.Unless = c.unless(d.unless, s)
		}
		p.out.Match = append(p.out.Match, rule)
	}
}

// unless compiles the exception of a match rule. Where it cannot be computed the
// records do not match: two records are joined only when all is known.
func (c *compiler) unless(t text, s *scope) func([]schemas.Value) bool {
	prog := c.condition(t, s)
	if prog == nil {
		return nil
	}
	return func(values []schemas.Value) bool {
		x, err := prog.onFields(values)
		if err != nil {
			return true
		}
		yes, err := truthy(x)
		return yes || err != nil
	}
}

// exprResult is the canonical type that an expression's result has by itself.
func exprResult(t reflect.Type) (schemas.Type, bool) {
	switch t {
	case reflect.TypeFor[string]():
		return textType(), true
	case reflect.TypeFor[bool]():
		return schemas.Type{Kind: schemas.KindBool}, true
	case reflect.TypeFor[int]():
		return schemas.Type{Kind: schemas.KindInt64}, true
	case reflect.TypeFor[Date]():
		return schemas.Type{Kind: schemas.KindDate}, true
	}
	return schemas.Type{}, false
}
