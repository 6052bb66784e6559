package mapping

import (
	"fmt"

	"github.com/strait-cdc/strait/schemas"
)

// field compiles one field. It always gives a Field, so that the indexes of
// fields hold; what is wrong stops the compilation at its end.
func (c *compiler) field(p *partWork, d *fieldDoc) *Field {
	f := &Field{Name: d.name.s, Ref: d.ref.s, Required: d.required, Source: d.pos.String()}
	c.policy(p, d, f)
	var lenses [2]*lens
	var ends [2]schemas.Type
	ok := true
	for i, system := range p.systems {
		sd := d.sides[system]
		if sd == nil || p.sides[i] == nil {
			continue
		}
		if lenses[i], ends[i] = c.lens(p, i, d, sd); lenses[i] == nil {
			ok = false
		}
	}
	if len(d.sides) == 1 {
		c.add(d.pos, "constants for new rows are given with defaults on the side", "field %q is on one side only, so nothing can flow", d.name.s)
	}
	if !c.fieldType(p, d, f, lenses, ends) || !ok {
		return f
	}
	for i := range lenses {
		if lenses[i] != nil {
			c.fieldSide(p, i, d, f, lenses[i], ends[i])
		}
	}
	return f
}

func (c *compiler) policy(p *partWork, d *fieldDoc, f *Field) {
	system := func(t text) int {
		for i, s := range p.systems {
			if t.s == s {
				return i
			}
		}
		return -1
	}
	if d.owner.set() && d.owner.s != "both" {
		switch system(d.owner) {
		case 0:
			f.Owner = OwnerFirst
		case 1:
			f.Owner = OwnerSecond
		default:
			c.add(d.owner.pos, didYouMean(d.owner.s, []string{"both", p.systems[0], p.systems[1]}), "unknown owner %q", d.owner.s)
		}
	}
	if d.resolve.set() {
		policy, ok := map[string]Policy{"last_writer": LastWriter, "review": Review, "prefer_non_empty": PreferNonEmpty}[d.resolve.s]
		if !ok {
			c.add(d.resolve.pos, didYouMean(d.resolve.s, []string{"last_writer", "review", "prefer_non_empty"}), "unknown policy %q", d.resolve.s)
		}
		if f.Owner != OwnerBoth {
			c.add(d.resolve.pos, "", "a field with an owner has no conflicts to resolve")
		}
		f.Policy = policy
	}
	if d.tie.set() {
		if f.Tie = system(d.tie); f.Tie < 0 {
			c.add(d.tie.pos, didYouMean(d.tie.s, p.systems[:]), "unknown system %q", d.tie.s)
			f.Tie = 0
		}
	}
}

// lens builds the chain of one side, up to the conversion to the canonical type,
// and gives the type at its end; nil if something is wrong.
func (c *compiler) lens(p *partWork, i int, d *fieldDoc, sd *fieldSideDoc) (*lens, schemas.Type) {
	t := p.sides[i].Table
	l := &lens{table: t, label: fmt.Sprintf("field %s (%s)", d.name.s, p.systems[i]), ref: d.ref.set()}
	if sd.expr.set() {
		return c.exprLens(p, i, d, sd, l)
	}
	l.cols = c.columns(t, sd.columns)
	if len(l.cols) != len(sd.columns) || len(l.cols) == 0 {
		return nil, schemas.Type{}
	}
	var types []schemas.Type
	for k, col := range l.cols {
		column := t.Columns[col]
		if familyOf(column.Type.Kind) == famNone {
			c.add(sd.columns[k].pos, "", "column %q has the type %s, which a mapping cannot use", column.Name, nativeName(column.Type))
			return nil, schemas.Type{}
		}
		types = append(types, column.Type)
		l.fixed = append(l.fixed, isFixedChar(column.Type))
	}
	l.label = fmt.Sprintf("field %s (%s.%s)", d.name.s, p.systems[i], sd.columns[0].s)
	if l.ref {
		if len(d.via)+len(sd.via) > 0 || d.codes.set() {
			c.add(d.ref.pos, "", "a field that points to another entity takes no codecs")
		}
		return l, textType()
	}
	end, ok := c.chain(l, p.systems[i], d, sd, types)
	if !ok {
		return nil, end
	}
	return l, end
}

// chain is: the side's codecs, the code map, the field's codecs.
func (c *compiler) chain(l *lens, system string, d *fieldDoc, sd *fieldSideDoc, types []schemas.Type) (schemas.Type, bool) {
	end := types[0]
	all := append(append([]text(nil), sd.via...), d.via...)
	if len(types) > 1 && (len(all) == 0 || !joins(all[0].s)) {
		c.add(sd.pos, "say how: via: [\"join(' ')\"] or via: [lines]", "several columns need a codec that joins them, first in via")
		return end, false
	}
	for k, t := range all {
		if k == len(sd.via) && d.codes.set() && !c.code(l, system, d, &end) {
			return end, false
		}
		if !c.codec(l, t, &end, types, k == 0) {
			return end, false
		}
	}
	if len(all) == len(sd.via) && d.codes.set() && !c.code(l, system, d, &end) {
		return end, false
	}
	return end, true
}

func joins(s string) bool {
	call, _, err := parseCall(s)
	return err == nil && (call.name == "join" || call.name == "lines")
}

func (c *compiler) code(l *lens, system string, d *fieldDoc, end *schemas.Type) bool {
	m := c.maps[d.codes.s]
	if m == nil {
		c.add(d.codes.pos, didYouMean(d.codes.s, codeMapNames(c.maps)), "there is no code map %q", d.codes.s)
		return false
	}
	k, err := m.link(system, *end)
	if err != nil {
		c.add(d.codes.pos, "", "%v", err)
		return false
	}
	l.links, *end = append(l.links, k), k.to
	return true
}

func (c *compiler) codec(l *lens, t text, end *schemas.Type, types []schemas.Type, first bool) bool {
	call, at, err := parseCall(t.s)
	if err != nil {
		c.add(exprPos(t, 1, at), "", "%v", err)
		return false
	}
	spec := findCodec(call.name)
	if spec == nil {
		c.add(t.pos, didYouMean(call.name, codecNames()), "unknown codec %q", call.name)
		return false
	}
	if spec.first && !first {
		c.add(t.pos, "put it first in the via of the side", "codec %s works on the column itself", call.name)
		return false
	}
	a := call.args
	if len(types) > 1 && first {
		a.columns = types
	}
	k, err := spec.build(&a, *end)
	if err == nil && a.next < len(a.list) {
		err = fmt.Errorf("too many arguments")
	}
	if err != nil {
		c.add(t.pos, "", "codec %s: %v", call.name, err)
		return false
	}
	l.links, *end = append(l.links, k), k.to
	return true
}

// exprLens is a side that is computed.
func (c *compiler) exprLens(p *partWork, i int, d *fieldDoc, sd *fieldSideDoc, l *lens) (*lens, schemas.Type) {
	if len(sd.via) > 0 || d.ref.set() {
		c.add(sd.expr.pos, "", "an expression takes no codecs of its side and no ref")
		return nil, schemas.Type{}
	}
	l.program = c.expr(sd.expr, p.scope(c, i))
	if l.program == nil {
		return nil, schemas.Type{}
	}
	end, known := exprResult(l.program.result)
	switch {
	case known:
	case d.codes.set():
		end = textType()
	case d.typ.set():
		end, _ = parseType(d.typ.s)
	default:
		c.add(d.pos, "", "field %q needs a type: the expression does not tell it", d.name.s)
		return nil, schemas.Type{}
	}
	l.result = end
	if familyOf(end.Kind) == famText {
		for _, t := range d.via {
			if !c.codec(l, t, &end, []schemas.Type{end}, false) {
				return nil, end
			}
		}
	} else if len(d.via) > 0 {
		c.add(sd.expr.pos, "", "the codecs of the field work on texts, the expression gives %s", className(l.program.result))
		return nil, end
	}
	return l, end
}

// fieldType finds the canonical type; false and a problem if there is none.
func (c *compiler) fieldType(p *partWork, d *fieldDoc, f *Field, lenses [2]*lens, ends [2]schemas.Type) bool {
	switch {
	case d.typ.set():
		t, err := parseType(d.typ.s)
		if err != nil {
			var names []string
			for n := range typeNames {
				names = append(names, n)
			}
			c.add(d.typ.pos, didYouMean(d.typ.s, names), "%v", err)
			return false
		}
		if (d.ref.set() || d.codes.set()) && t.Kind != schemas.KindText {
			c.add(d.typ.pos, "leave the type out", "a field with %s is a text", map[bool]string{true: "ref", false: "codes"}[d.ref.set()])
			return false
		}
		f.Type = t
		return true
	case d.ref.set() || d.codes.set():
		f.Type = textType()
		return true
	}
	var known []schemas.Type
	for i := range lenses {
		if lenses[i] != nil {
			known = append(known, ends[i])
		}
	}
	t, ok := commonType(known)
	if !ok && len(known) > 0 {
		c.add(d.pos, "", "field %q needs a type: its sides are %s and %s", d.name.s, nativeName(ends[0]), nativeName(ends[1]))
	}
	f.Type = t
	return ok
}

// commonType is the type of a field that gives none.
func commonType(types []schemas.Type) (schemas.Type, bool) {
	if len(types) == 0 {
		return schemas.Type{}, false
	}
	t := types[0]
	for _, u := range types[1:] {
		switch {
		case isInteger(t.Kind) && isInteger(u.Kind):
			t = schemas.Type{Kind: schemas.KindInt64}
		case familyOf(t.Kind) == famText && familyOf(u.Kind) == famText:
			if t.Kind != u.Kind || t.Kind != schemas.KindUUID {
				t = textType()
			}
		case t.Kind == schemas.KindDecimal && (u.Kind != t.Kind || t.Precision != u.Precision || t.Scale != u.Scale):
			return t, false
		case t.Kind != u.Kind:
			return t, false
		default:
			t.Precision = min(t.Precision, u.Precision)
		}
	}
	switch {
	case t.Kind == schemas.KindNumeric || t.Kind == schemas.KindFloat32 || t.Kind == schemas.KindFloat64:
		return t, false
	case isInteger(t.Kind):
		t = schemas.Type{Kind: schemas.KindInt64}
	case familyOf(t.Kind) == famText && t.Kind != schemas.KindUUID:
		t = textType()
	}
	t.Native = ""
	return t, true
}

// fieldSide finishes one side: the conversion, the functions, what is written.
func (c *compiler) fieldSide(p *partWork, i int, d *fieldDoc, f *Field, l *lens, end schemas.Type) {
	sd := d.sides[p.systems[i]]
	if !l.ref {
		in, out, err := convert(end, f.Type)
		if err != nil {
			c.add(sd.pos, "", "field %q: %v", d.name.s, err)
			return
		}
		l.toCanon, l.fromCanon = in, out
	}
	s := &FieldSide{Reads: l.cols, In: l.in}
	f.Sides[i] = s
	if l.program != nil {
		s.Reads = l.program.columns
		for _, j := range l.program.joins {
			s.ReadsJoins = append(s.ReadsJoins, j.index)
		}
	}
	owned := f.Owner == OwnerFirst && i == 0 || f.Owner == OwnerSecond && i == 1
	reason := c.notWritable(p, i, sd, l)
	switch {
	case reason == "" && owned && p.never[i]:
		// The other side's edits are never written here, and no record is born here.
	case reason == "":
		c.fits(p, i, d, f, sd, end)
		c.writes(p, i, d, sd, l)
		s.Writes, s.Out = l.cols, l.out
	case !owned:
		c.add(sd.pos, fmt.Sprintf("give the field an owner: owner: %s", p.systems[i]), "field %q is to be written in %s, but %s", d.name.s, p.systems[i], reason)
	}
}

// notWritable says why a side cannot be written; empty if it can.
func (c *compiler) notWritable(p *partWork, i int, sd *fieldSideDoc, l *lens) string {
	t := l.table
	switch {
	case l.program != nil:
		return "an expression has no way back"
	case p.sides[i].ReadOnly:
		return fmt.Sprintf("table %s is read only", t.Name.Name)
	case sd.readOnly:
		return "it is marked read_only"
	}
	for _, k := range l.links {
		if k.out == nil && k.split == nil {
			return "one of its codecs has no way back"
		}
	}
	byField := p.docs[i].newKey.s == "field" || !p.docs[i].newKey.set() && len(t.Key) > 0 && !t.Columns[t.Key[0]].Auto
	for _, col := range l.cols {
		switch {
		case t.Columns[col].Generated:
			return fmt.Sprintf("column %s is computed by the database", t.Columns[col].Name)
		case containsInt(t.Key, col) && !byField:
			return fmt.Sprintf("column %s is the key (add read_only: true)", t.Columns[col].Name)
		case containsInt(p.sides[i].Parent, col):
			return fmt.Sprintf("column %s holds the parent", t.Columns[col].Name)
		}
	}
	return ""
}

// writes notes who writes a column; two fields may share one only by parts.
func (c *compiler) writes(p *partWork, i int, d *fieldDoc, sd *fieldSideDoc, l *lens) {
	shares := len(l.links) > 0 && l.links[0].nulls
	for k, col := range l.cols {
		before := p.writers[i][col]
		if before != nil && !shares {
			c.add(sd.columns[min(k, len(sd.columns)-1)].pos, "", "column %q is already written by the field %q", l.table.Columns[col].Name, before.name.s)
		}
		p.writers[i][col] = d
	}
}

// fits checks that every canonical value has a place in the column.
func (c *compiler) fits(p *partWork, i int, d *fieldDoc, f *Field, sd *fieldSideDoc, end schemas.Type) {
	t := f.Type
	at := sd.pos
	where := fmt.Sprintf("%s (%s)", p.systems[i], nativeName(end))
	switch {
	case t.Kind == schemas.KindText && end.Kind == schemas.KindText && end.Length > 0 && t.Length > end.Length:
		c.add(at, fmt.Sprintf("make it text(%d); longer values are then parked, never cut", end.Length), "field %q is text(%d), %s holds only %d characters", d.name.s, t.Length, where, end.Length)
	case t.Kind == schemas.KindDecimal && end.Kind == schemas.KindDecimal && (t.Scale > end.Scale || t.Precision-t.Scale > end.Precision-end.Scale):
		c.add(at, "", "field %q is %s, which does not fit into %s %s", d.name.s, typeName(t), p.systems[i], typeName(end))
	case t.Kind == schemas.KindDecimal && isInteger(end.Kind) && t.Scale > 0:
		c.add(at, "", "field %q is %s, %s holds whole numbers", d.name.s, typeName(t), where)
	case t.Kind == schemas.KindInt32 && end.Kind == schemas.KindInt16:
		c.add(at, "", "field %q is int32, %s is smaller", d.name.s, where)
	}
	if (t.Kind == schemas.KindTimestamp || t.Kind == schemas.KindTimestampTZ || t.Kind == schemas.KindTime) && t.Precision > end.Precision {
		c.add(at, fmt.Sprintf("give the field a precision of %d", end.Precision), "field %q keeps %d digits of a second, %s only %d", d.name.s, t.Precision, where, end.Precision)
	}
}
