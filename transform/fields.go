package transform

import (
	"fmt"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

// update collects the columns to be written to one row.
type update struct {
	row     schemas.Row // as it will be
	set     map[int]bool
	order   []int
	effects []effect
}

// fields merges the fields of a record that is there on both sides.
func (p *planner) fields(part *mapping.Part, m *member) {
	var ups [2]*update
	for side := range ups {
		ups[side] = &update{row: append(schemas.Row(nil), m.img[side].env.Row...), set: map[int]bool{}}
	}
	for i, f := range part.Fields {
		if f.Sides[0] == nil || f.Sides[1] == nil {
			continue
		}
		p.field(part, m, i, f, &ups)
	}
	for side, up := range ups {
		ps := part.Sides[side]
		if len(up.order) == 0 {
			continue
		}
		if part != p.s.entity.Root {
			p.checkRoot(side)
		}
		row := m.img[side].env.Row
		w := schemas.Write{Kind: schemas.WriteUpdate, Table: ps.Table.Name, Key: keyCells(ps, row)}
		for _, c := range whereCells(ps, row) {
			if !up.set[ps.Table.Column(c.Column)] {
				w.Guard = append(w.Guard, c)
			}
		}
		for _, c := range up.order {
			w.Set = append(w.Set, cell(ps, c, up.row))
			w.Guard = append(w.Guard, cell(ps, c, row))
		}
		p.write(side, w)
		p.plan.Effects[side] = append(p.plan.Effects[side], up.effects...)
	}
}

// field compares one field with what was agreed and decides whose value stands.
func (p *planner) field(part *mapping.Part, m *member, i int, f *mapping.Field, ups *[2]*update) {
	a, b := m.img[0], m.img[1]
	for side, img := range m.img {
		if img.problems[i] != nil {
			p.hold(part, m, i, f, fmt.Sprintf("the value in %s cannot be understood: %v", p.s.entity.Systems[side], img.problems[i]), "value")
			return
		}
	}
	if !a.known[i] || !b.known[i] {
		if waits := append(append([]wait(nil), a.waits...), b.waits...); len(waits) > 0 {
			p.plan.Waits = append(p.plan.Waits, waits...)
			p.park("waiting", "%s.%s refers to a record that is not linked yet: %s", p.name(part, m), f.Name, showWaits(waits))
		}
		return
	}
	edit := [2]uint64{a.edit[i], b.edit[i]}
	if a.values[i] == b.values[i] {
		agree(m.it, f.Name, a.values[i], edit)
		return
	}
	if fs := m.it.Fields[f.Name]; fs != nil && fs.Held != "" {
		if fs.HeldAt == edit && fs.HeldV == [2]schemas.Value{a.values[i], b.values[i]} {
			p.park("held", "%s.%s: %s", p.name(part, m), f.Name, fs.Held)
			return
		}
		fs.Held = ""
	}
	win, rule, conflict := p.decide(m, i, f)
	if win < 0 {
		p.hold(part, m, i, f, rule, "review")
		return
	}
	p.take(part, m, i, f, win, rule, conflict, ups[1-win])
}

// agree notes that both sides hold a value.
func agree(it *item, name string, v schemas.Value, edit [2]uint64) {
	fs := it.field(name)
	if fs.Agreed && fs.V == v && fs.Edit == edit && fs.Held == "" {
		return
	}
	same := fs.Agreed && fs.V == v
	*fs = fieldState{Agreed: true, V: v, Edit: edit, By: fs.By, Wrote: fs.Wrote, Bounce: fs.Bounce, Back: fs.Back}
	if !same {
		fs.By = -1
		fs.Wrote, fs.Bounce, fs.Back = [2]bool{}, 0, schemas.Null
	}
}

// decide says which side's value of a field stands (-1: a person must say) and by
// which rule, and whether a value that somebody entered is overruled.
func (p *planner) decide(m *member, i int, f *mapping.Field) (win int, rule string, conflict bool) {
	when, edit := [2]int64{m.img[0].when[i], m.img[1].when[i]}, [2]uint64{m.img[0].edit[i], m.img[1].edit[i]}
	vals := [2]schemas.Value{m.img[0].values[i], m.img[1].values[i]}
	fs := m.it.Fields[f.Name]
	if fs == nil || !fs.Agreed {
		return decideFirst(f, vals, when)
	}
	moved := [2]bool{vals[0] != fs.V, vals[1] != fs.V}
	for side := range moved {
		if moved[side] && bounced(fs, side, vals[side], edit) {
			return -1, fmt.Sprintf("the two sides write this value differently: %s was written to %s and came back as %s", show(f, fs.V), p.s.entity.Systems[side], show(f, vals[side])), false
		}
	}
	if owner := ownerOf(f); owner >= 0 {
		// What a trigger of ours changed on the other side was entered by nobody.
		return owner, "owner", moved[1-owner] && edit[1-owner] > fs.Edit[1-owner]
	}
	if moved[0] != moved[1] {
		if moved[0] {
			return 0, "edit", false
		}
		return 1, "edit", false
	}
	return decideBoth(f, vals, when)
}

// bounced counts a value of ours that came back changed without a user's edit;
// the second time it reports true.
func bounced(fs *fieldState, side int, v schemas.Value, edit [2]uint64) bool {
	if edit[0] > fs.Edit[0] || edit[1] > fs.Edit[1] {
		fs.Bounce, fs.Back = 0, schemas.Null
		return false
	}
	if !fs.Wrote[side] {
		return false
	}
	if fs.Bounce == 0 || fs.Back != v {
		fs.Bounce++
		fs.Back = v
	}
	return fs.Bounce >= 2
}

func ownerOf(f *mapping.Field) int { return int(f.Owner) - 1 }

// decideFirst decides where nothing has been agreed yet: a value beats none, also
// an owner's (who has said nothing cannot overrule), an owner beats the other, then
// the policy.
func decideFirst(f *mapping.Field, vals [2]schemas.Value, when [2]int64) (int, string, bool) {
	for side := range vals {
		if vals[1-side].IsNull() {
			return side, "initial", false
		}
	}
	if owner := ownerOf(f); owner >= 0 {
		return owner, "owner", true
	}
	if f.Policy == mapping.Review {
		return -1, "both sides hold a value and none has been agreed", false
	}
	if when[0] == 0 || when[1] == 0 {
		return f.Tie, "initial", true
	}
	return later(f, when)
}

// decideBoth decides where both sides moved away from what was agreed.
func decideBoth(f *mapping.Field, vals [2]schemas.Value, when [2]int64) (int, string, bool) {
	switch f.Policy {
	case mapping.Review:
		return -1, "both sides changed it", false
	case mapping.PreferNonEmpty:
		for side := range vals {
			if vals[1-side].IsNull() {
				return side, "prefer_non_empty", true
			}
		}
	}
	return later(f, when)
}

// later is the last writer. A server that tells commit times in whole seconds
// (MariaDB) does not say which edit of the same second came first: a tie.
func later(f *mapping.Field, when [2]int64) (int, string, bool) {
	const second = 1_000_000
	whole := when[0]%second == 0 || when[1]%second == 0
	switch {
	case whole && when[0]/second == when[1]/second:
		return f.Tie, "tie", true
	case when[0] > when[1]:
		return 0, "last_writer", true
	case when[1] > when[0]:
		return 1, "last_writer", true
	}
	return f.Tie, "tie", true
}

// take plans the winner's value for the losing side.
func (p *planner) take(part *mapping.Part, m *member, i int, f *mapping.Field, win int, rule string, conflict bool, up *update) {
	lose := 1 - win
	fs, ps := f.Sides[lose], part.Sides[lose]
	v := m.img[win].values[i]
	if f.Ref != "" && !v.IsNull() && m.img[win].refs[i] == [2]string{} {
		p.refersToDead(part, m, f, m.img[win])
		return
	}
	if len(fs.Writes) == 0 || ps.ReadOnly {
		return
	}
	cells, err := p.out(f, lose, v, m.img[win].refs[i], mapping.Env{Row: up.row, Joined: m.img[lose].env.Joined})
	if err != nil {
		p.hold(part, m, i, f, fmt.Sprintf("%s does not fit into %s: %v", show(f, v), p.s.entity.Systems[lose], err), "value")
		return
	}
	changed := false
	for k, c := range fs.Writes {
		changed = changed || up.set[c]
		if up.row[c] == cells[k] {
			continue
		}
		changed = true
		up.row[c] = cells[k]
		if !up.set[c] {
			up.set[c] = true
			up.order = append(up.order, c)
		}
	}
	if !changed {
		p.hold(part, m, i, f, fmt.Sprintf("%s is written to %s as what is there already, yet reads differently", show(f, v), p.s.entity.Systems[lose]), "value")
		return
	}
	e := effect{Kind: effectAgree, Child: part.Name, Item: m.it.ID, Field: f.Name, V: v, By: win,
		Edit: [2]uint64{m.img[0].edit[i], m.img[1].edit[i]}}
	if conflict {
		var base schemas.Value
		if st := m.it.Fields[f.Name]; st != nil {
			base = st.V
		}
		e.Conflict = p.conflict(part, m, f, base, rule, win)
		e.Conflict.Values = [2]schemas.Value{m.img[0].values[i], m.img[1].values[i]}
		e.Conflict.When = [2]int64{m.img[0].when[i], m.img[1].when[i]}
	}
	up.effects = append(up.effects, e)
}

// refersToDead parks a record that should be pointed to one that was deleted, until
// that comes back or the reference changes.
func (p *planner) refersToDead(part *mapping.Part, m *member, f *mapping.Field, img *image) {
	p.plan.Waits = append(p.plan.Waits, img.dead...)
	p.park("waiting", "%s.%s refers to a record that was deleted: %s", p.name(part, m), f.Name, showWaits(img.dead))
}

// out gives the cells of a canonical value; a reference becomes the native key of
// that side.
func (p *planner) out(f *mapping.Field, side int, v schemas.Value, refs [2]string, env mapping.Env) ([]schemas.Value, error) {
	if f.Ref != "" && !v.IsNull() {
		v = schemas.Text(refs[side])
	}
	return f.Sides[side].Out(v, env)
}

// hold parks one field until a user edits it again; the others go on.
func (p *planner) hold(part *mapping.Part, m *member, i int, f *mapping.Field, why, kind string) {
	fs := m.it.field(f.Name)
	fs.Held = why
	fs.HeldAt, fs.HeldV = [2]uint64{}, [2]schemas.Value{}
	for side, img := range m.img {
		if img.exists {
			fs.HeldAt[side], fs.HeldV[side] = img.edit[i], img.values[i]
		}
	}
	if kind != "review" {
		kind = "held"
	}
	p.park(kind, "%s.%s: %s", p.name(part, m), f.Name, why)
}

func show(f *mapping.Field, v schemas.Value) string {
	s := v.String()
	if len(s) > 80 {
		s = s[:77] + "..."
	}
	return fmt.Sprintf("%q", s)
}

func showWaits(ws []wait) string {
	out := ""
	for i, w := range ws {
		if i > 0 {
			out += ", "
		}
		out += w.entity + " " + w.system + ":" + w.pk
	}
	return out
}
