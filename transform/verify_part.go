package transform

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

// linkBook is the links of one database.
type linkBook struct {
	byHub, byKey map[[2]string]LinkRow // by entity and hub or native key
	hubs         map[string][]string   // the hubs of live links by entity
	twice        []LinkRow
}

func newLinkBook(rows []LinkRow) *linkBook {
	b := &linkBook{byHub: map[[2]string]LinkRow{}, byKey: map[[2]string]LinkRow{}, hubs: map[string][]string{}}
	for _, l := range rows {
		key, hub := [2]string{l.Entity, l.NativeKey}, [2]string{l.Entity, l.Hub}
		_, a := b.byKey[key]
		_, c := b.byHub[hub]
		if a || c {
			b.twice = append(b.twice, l)
			continue
		}
		b.byKey[key], b.byHub[hub] = l, l
		if !l.Dead {
			b.hubs[l.Entity] = append(b.hubs[l.Entity], l.Hub)
		}
	}
	return b
}

type verifier struct {
	data   map[string]*SideData
	links  map[string]*linkBook
	report *VerifyReport
}

// sighting is a record of a part on one side, with the canonical values of its
// fields (nil: not on this side, or unreadable).
type sighting struct {
	key, parent string
	env         mapping.Env
	values      []*schemas.Value
}

// partCheck is the comparison of one part.
type partCheck struct {
	*verifier
	e       *mapping.Entity
	p       *mapping.Part
	name    string
	records [2]map[string]*sighting
	// roots are those of the entity when the part is a child.
	roots *partCheck
	count VerifyCount
	// paired marks the records of live links, so that the rest are those without.
	paired [2]map[string]bool
}

func (v *verifier) part(e *mapping.Entity, p *mapping.Part, roots *partCheck) *partCheck {
	c := &partCheck{verifier: v, e: e, p: p, name: e.LinkName(p), roots: roots}
	c.count = VerifyCount{Entity: c.name, Systems: e.Systems}
	if p.Sides[0] == nil || p.Sides[1] == nil {
		return c
	}
	for side := range p.Sides {
		c.read(side)
		c.paired[side] = map[string]bool{}
		c.count.Records[side] = len(c.records[side])
		for _, l := range v.links[e.Systems[side]].twice {
			if l.Entity == c.name {
				c.find(Finding{Class: Twice, Hub: l.Hub, Keys: keyAt(side, l.NativeKey)})
			}
		}
	}
	c.compareLinks()
	c.lookForMissing()
	v.report.Counts = append(v.report.Counts, c.count)
	return c
}

func (c *partCheck) find(f Finding) {
	f.Entity, f.Systems = c.name, c.e.Systems
	c.report.Findings = append(c.report.Findings, f)
}

func keyAt(side int, key string) (k [2]string) {
	k[side] = key
	return k
}

// read collects the records of one side: the rows that count, of a child only
// those whose root counts.
func (c *partCheck) read(side int) {
	ps, d := c.p.Sides[side], c.data[c.e.Systems[side]]
	joins := make([]map[string][]schemas.Row, len(ps.Joins))
	for i, j := range ps.Joins {
		joins[i] = groupRows(d.Rows[j.Table.Name], j)
	}
	c.records[side] = map[string]*sighting{}
	for _, row := range d.Rows[ps.Table.Name] {
		f := &sighting{key: schemas.FormatKey(ps.Table.KeyOf(row)), env: mapping.Env{Row: row}}
		if !c.counts(side, ps, f) {
			continue
		}
		for i, j := range ps.Joins {
			var rows []schemas.Row
			if at, ok := valuesOf(row, j.Own); ok {
				rows = joins[i][at]
			}
			f.env.Joined = append(f.env.Joined, rows)
		}
		c.canonical(side, f)
		c.records[side][f.key] = f
	}
}

func (c *partCheck) counts(side int, ps *mapping.PartSide, f *sighting) bool {
	if ps.Where != nil {
		ok, err := ps.Where(f.env.Row)
		if err != nil {
			c.find(Finding{Class: Unreadable, Keys: keyAt(side, f.key), Detail: err.Error()})
		}
		if err != nil || !ok {
			return false
		}
	}
	if c.roots == nil {
		return true
	}
	parent, ok := valuesOf(f.env.Row, ps.Parent)
	f.parent = parent
	return ok && c.roots.records[side][parent] != nil
}

// groupRows puts the rows of a joined table in order of their keys by the values
// of the columns of the join.
func groupRows(rows []schemas.Row, j mapping.Join) map[string][]schemas.Row {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b schemas.Row) int {
		return cmp.Compare(schemas.FormatKey(j.Table.KeyOf(a)), schemas.FormatKey(j.Table.KeyOf(b)))
	})
	out := map[string][]schemas.Row{}
	for _, r := range rows {
		if at, ok := valuesOf(r, j.Columns); ok {
			out[at] = append(out[at], r)
		}
	}
	return out
}

// canonical reads the fields of a record. Keys of other entities become the hub
// ids of their records, where they are linked.
func (c *partCheck) canonical(side int, f *sighting) {
	f.values = make([]*schemas.Value, len(c.p.Fields))
	for i, field := range c.p.Fields {
		fs := field.Sides[side]
		if fs == nil || fs.In == nil {
			continue
		}
		v, err := fs.In(f.env)
		if err != nil {
			c.find(Finding{Class: Unreadable, Keys: keyAt(side, f.key), Field: field.Name, Detail: err.Error()})
			continue
		}
		if field.Ref != "" && !v.IsNull() {
			if l, ok := c.links[c.e.Systems[side]].byKey[[2]string{field.Ref, v.String()}]; ok {
				v = schemas.Text(l.Hub)
			} else {
				v = schemas.Text(fmt.Sprintf("%s %s, not linked", field.Ref, v))
			}
		}
		f.values[i] = &v
	}
}

// compareLinks goes through the live links of both databases.
func (c *partCheck) compareLinks() {
	a, b := c.links[c.e.Systems[0]], c.links[c.e.Systems[1]]
	hubs := slices.Concat(a.hubs[c.name], b.hubs[c.name])
	slices.Sort(hubs)
	for _, hub := range slices.Compact(hubs) {
		at := [2]string{c.name, hub}
		la, okA := a.byHub[at]
		lb, okB := b.byHub[at]
		keys := [2]string{la.NativeKey, lb.NativeKey}
		for side, k := range keys {
			c.paired[side][k] = true
		}
		if !okA || !okB || la.Dead != lb.Dead {
			c.find(Finding{Class: HalfLink, Hub: hub, Keys: keys, Detail: halfLink(c.e.Systems, okA && !la.Dead)})
			continue
		}
		c.comparePair(hub, keys)
	}
}

func halfLink(systems [2]string, first bool) string {
	if first {
		return "only " + systems[0] + " has a live link"
	}
	return "only " + systems[1] + " has a live link"
}

func (c *partCheck) comparePair(hub string, keys [2]string) {
	x, y := c.records[0][keys[0]], c.records[1][keys[1]]
	if x == nil || y == nil {
		if c.parentsGone(keys) {
			return // said of the root already
		}
		c.find(Finding{Class: Gone, Hub: hub, Keys: keys, Detail: goneFrom(c.e.Systems, x == nil, y == nil)})
		return
	}
	c.count.Pairs++
	c.compareParents(hub, x, y)
	for i, field := range c.p.Fields {
		a, b := x.values[i], y.values[i]
		if a == nil || b == nil || !written(field) {
			continue
		}
		c.count.Fields++
		if *a != *b {
			c.find(Finding{Class: Different, Hub: hub, Keys: keys, Field: field.Name, Values: [2]string{a.String(), b.String()}})
		}
	}
}

// parentsGone says that no live root could hold either record of a child pair:
// children of a record that is gone on a side are not looked at.
func (c *partCheck) parentsGone(keys [2]string) bool {
	if c.roots == nil {
		return false
	}
	for side, key := range keys {
		f := c.records[side][key]
		if f != nil && c.roots.records[side][f.parent] != nil && c.roots.whole(side, f.parent) {
			return false
		}
	}
	return true
}

// whole says that a root is linked live and its partner is there.
func (c *partCheck) whole(side int, key string) bool {
	l, ok := c.links[c.e.Systems[side]].byKey[[2]string{c.name, key}]
	if !ok || l.Dead {
		return false
	}
	other, ok := c.links[c.e.Systems[1-side]].byHub[[2]string{c.name, l.Hub}]
	return ok && !other.Dead && c.records[1-side][other.NativeKey] != nil
}

func goneFrom(systems [2]string, first, second bool) string {
	switch {
	case first && second:
		return "no longer in " + systems[0] + " nor in " + systems[1]
	case first:
		return "not in " + systems[0]
	}
	return "not in " + systems[1]
}

// written says that a field is kept equal at all.
func written(f *mapping.Field) bool {
	return f.Sides[0] != nil && f.Sides[1] != nil && len(f.Sides[0].Writes)+len(f.Sides[1].Writes) > 0
}

func (c *partCheck) compareParents(hub string, x, y *sighting) {
	if c.roots == nil {
		return
	}
	a := c.links[c.e.Systems[0]].byKey[[2]string{c.e.Name, x.parent}]
	b := c.links[c.e.Systems[1]].byKey[[2]string{c.e.Name, y.parent}]
	if a.Hub != b.Hub {
		c.find(Finding{Class: Moved, Hub: hub, Keys: [2]string{x.key, y.key}, Detail: "belongs to " + x.parent + " in " + c.e.Systems[0] + " and to " + y.parent + " in " + c.e.Systems[1]})
	}
}

// lookForMissing goes through the records without a link.
func (c *partCheck) lookForMissing() {
	index := [2][]map[string][]*sighting{c.matchIndex(0), c.matchIndex(1)}
	for side := range c.records {
		keys := make([]string, 0, len(c.records[side]))
		for k := range c.records[side] {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			f := c.records[side][k]
			l, linked := c.links[c.e.Systems[side]].byKey[[2]string{c.name, k}]
			if l.Dead {
				c.count.Kept[side]++
			}
			if linked || c.roots != nil && !c.roots.whole(side, f.parent) {
				continue
			}
			c.alone(side, f, index)
		}
	}
}

// alone says what a record without a link means.
func (c *partCheck) alone(side int, f *sighting, index [2][]map[string][]*sighting) {
	for r := range c.p.Match {
		at := c.matchKey(side, r, f)
		if at == "" {
			continue
		}
		there := index[1-side][r][at]
		if len(there) == 0 {
			continue
		}
		free, here := c.free(1-side, there), c.free(side, index[side][r][at])
		if len(free) != 1 || len(here) > 1 {
			c.find(Finding{Class: Ambiguous, Keys: keyAt(side, f.key), Detail: fmt.Sprintf("rule %s: matches %s in %s", c.p.Match[r].ID, keysOf(there), c.e.Systems[1-side])})
			return
		}
		if side == 0 { // said once for the pair
			c.find(Finding{Class: NotLinked, Keys: [2]string{f.key, free[0].key}, Detail: "equal by rule " + c.p.Match[r].ID})
		}
		return
	}
	c.perhapsMissing(side, f)
}

// free leaves out the records that have a link.
func (c *partCheck) free(side int, fs []*sighting) []*sighting {
	var out []*sighting
	for _, f := range fs {
		if !c.paired[side][f.key] {
			out = append(out, f)
		}
	}
	return out
}

func (c *partCheck) perhapsMissing(side int, f *sighting) {
	create := c.p.Sides[1-side].Create
	if create == nil {
		c.count.Alone[side]++
		return
	}
	want, err := create(f.env)
	switch lacks := c.lacks(f); {
	case err != nil:
		c.find(Finding{Class: Unreadable, Keys: keyAt(side, f.key), Detail: err.Error()})
	case !want:
		c.count.Alone[side]++
	case lacks != "":
		c.find(Finding{Class: Incomplete, Keys: keyAt(side, f.key), Field: lacks, Detail: "required and empty"})
	default:
		c.find(Finding{Class: Missing, Keys: keyAt(side, f.key), Detail: "not in " + c.e.Systems[1-side]})
	}
}

// lacks names a required field without a value.
func (c *partCheck) lacks(f *sighting) string {
	for i, field := range c.p.Fields {
		if v := f.values[i]; field.Required && v != nil && (v.IsNull() || *v == schemas.Text("")) {
			return field.Name
		}
	}
	return ""
}

// matchIndex finds records by the values of each match rule.
func (c *partCheck) matchIndex(side int) []map[string][]*sighting {
	out := make([]map[string][]*sighting, len(c.p.Match))
	for r := range c.p.Match {
		out[r] = map[string][]*sighting{}
		for _, f := range c.records[side] {
			if at := c.matchKey(side, r, f); at != "" {
				out[r][at] = append(out[r][at], f)
			}
		}
	}
	return out
}

// matchKey is the text of a rule's values, of a child with its parent's hub id;
// empty where the rule does not apply.
func (c *partCheck) matchKey(side, rule int, f *sighting) string {
	m := &c.p.Match[rule]
	values := make([]schemas.Value, 0, len(m.Fields)+1)
	for _, i := range m.Fields {
		v := f.values[i]
		if v == nil || v.IsNull() {
			return ""
		}
		values = append(values, *v)
	}
	if len(values) == 0 || m.Unless != nil && m.Unless(values) {
		return ""
	}
	if c.roots != nil {
		l := c.links[c.e.Systems[side]].byKey[[2]string{c.e.Name, f.parent}]
		values = append(values, schemas.Text(l.Hub))
	}
	return schemas.FormatKey(values)
}

func keysOf(fs []*sighting) string {
	var keys []string
	for _, f := range fs {
		keys = append(keys, f.key)
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}
