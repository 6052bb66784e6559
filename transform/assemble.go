package transform

import (
	"sort"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
	"github.com/strait-cdc/strait/transform/state"
)

// image is one record as one side holds it: its row under its overlay, and the
// canonical values of the part's fields.
type image struct {
	// exists says that there is a row; present that it counts as a record.
	exists, present bool
	// fresh says that the row is one we inserted and have not read back: the columns
	// that the server filled are not known.
	fresh bool
	env   mapping.Env
	// seq is the last change folded into the row.
	seq uint64
	// The following are by field. A value is known if the field exists on this side,
	// could be understood, and what it refers to is linked.
	values   []schemas.Value
	known    []bool
	when     []int64
	edit     []uint64
	problems []error
	// refs are, of a field that refers to an entity, the keys of that entity.
	refs [][2]string
	// waits are the rows whose link is missing, dead those whose record was deleted.
	waits, dead []wait
}

// wait names a row of an entity that is not linked yet; side is in the order of
// that entity's systems.
type wait struct {
	entity, system string
	side           int
	pk             string
}

// member is an item with its images: everything there is to decide about it.
type member struct {
	part *mapping.Part
	it   *item
	img  [2]*image
}

// subject is an entity with everything there is to decide about it. It is all
// that Reconcile sees.
type subject struct {
	entity   *mapping.Entity
	rec      *record
	root     *member
	children [][]*member // by child part
	// fenced says, for each side, that nothing is to be written there now: the mark of
	// a missed write, or of an insert whose row we do not know whole, is still to come.
	fenced [2]bool
	// noCreate says that the record must not be created on its empty side now: it may
	// be the same as one that is there.
	noCreate bool
	// hidden are the match rules by which a row on the empty side is found that does
	// not count: they cannot guard an insert there.
	hidden []string
}

// assemble builds the subject of a record from the rows of both sides. Child
// rows that the record does not know yet become items of their own.
func (e *engine) assemble(tx state.Txn, ent *mapping.Entity, rec *record) (*subject, error) {
	s := &subject{entity: ent, rec: rec}
	var err error
	if s.root, err = e.member(tx, ent, rec, ent.Root, &rec.item); err != nil {
		return nil, err
	}
	for i := range rec.Miss {
		m := rec.Miss[i]
		s.fenced[i] = m != nil && !m.Refused && e.seen[ent.Systems[i]] < m.Batch && !e.broken.noFence
	}
	for _, p := range ent.Children {
		if err := e.adoptChildren(tx, ent, p, rec); err != nil {
			return nil, err
		}
		var ms []*member
		for _, it := range rec.Children[p.Name] {
			m, err := e.member(tx, ent, rec, p, it)
			if err != nil {
				return nil, err
			}
			ms = append(ms, m)
		}
		s.children = append(s.children, pairChildren(rec, p, ms))
	}
	for side := range s.fenced {
		s.fenced[side] = s.fenced[side] || s.fresh(side)
	}
	return s, nil
}

// fresh says that a row of the subject on a side has not been read back.
func (s *subject) fresh(side int) bool {
	if s.root.img[side].fresh {
		return true
	}
	for _, ms := range s.children {
		for _, m := range ms {
			if m.img[side].fresh {
				return true
			}
		}
	}
	return false
}

// adoptChildren makes items of the child rows that belong to the record's rows
// and are not linked.
func (e *engine) adoptChildren(tx state.Txn, ent *mapping.Entity, p *mapping.Part, rec *record) error {
	for side, sys := range ent.Systems {
		ps := p.Sides[side]
		if ps == nil || rec.Keys[side] == "" {
			continue
		}
		t := e.tables[sys][ps.Table.Name.String()]
		keys, err := e.keysBy(tx, t, ps.Parent, rec.Keys[side])
		if err != nil {
			return err
		}
		sort.Strings(keys)
		name := ent.LinkName(p)
		for _, pk := range keys {
			hub, err := e.hubOf(tx, name, sys, pk)
			if err != nil {
				return err
			}
			if hub != "" {
				continue
			}
			if hub, err = e.newHub(tx); err != nil {
				return err
			}
			it := &item{ID: hub}
			it.Keys[side] = pk
			if err := tx.Set(linkKey(name, sys, pk), []byte(hub)); err != nil {
				return err
			}
			if rec.Children == nil {
				rec.Children = map[string][]*item{}
			}
			rec.Children[p.Name] = append(rec.Children[p.Name], it)
		}
	}
	return nil
}

func (e *engine) member(tx state.Txn, ent *mapping.Entity, rec *record, p *mapping.Part, it *item) (*member, error) {
	m := &member{part: p, it: it}
	for side := range m.img {
		img, err := e.image(tx, ent, rec, p, it, side)
		if err != nil {
			return nil, err
		}
		m.img[side] = img
	}
	return m, nil
}

func (e *engine) image(tx state.Txn, ent *mapping.Entity, rec *record, p *mapping.Part, it *item, side int) (*image, error) {
	img := &image{}
	ps := p.Sides[side]
	if ps == nil || it.Keys[side] == "" {
		return img, nil
	}
	t := e.tables[ent.Systems[side]][ps.Table.Name.String()]
	r, err := e.viewRow(tx, t, it.Keys[side])
	if err != nil || r == nil {
		return img, err
	}
	// A child row that was moved to another parent is no longer one of ours.
	if parent, _ := valuesOf(r.Values, ps.Parent); len(ps.Parent) > 0 && parent != rec.Keys[side] {
		return img, nil
	}
	img.exists, img.present, img.seq = true, r.present(ps), r.Seq
	img.fresh = r.Unknown != nil
	img.env.Row = r.Values
	if err := e.readJoins(tx, ent, ps, side, img, r); err != nil {
		return nil, err
	}
	return img, e.readFields(tx, ent, p, side, img, r)
}

// readJoins fills the joined rows; the age of a join is that of its youngest row.
func (e *engine) readJoins(tx state.Txn, ent *mapping.Entity, ps *mapping.PartSide, side int, img *image, r *row) error {
	for _, j := range ps.Joins {
		t := e.tables[ent.Systems[side]][j.Table.Name.String()]
		var rows []schemas.Row
		if vals, ok := valuesOf(r.Values, j.Own); ok {
			keys, err := e.keysBy(tx, t, j.Columns, vals)
			if err != nil {
				return err
			}
			sort.Strings(keys)
			for _, pk := range keys {
				jr, err := e.viewRow(tx, t, pk)
				if err != nil {
					return err
				}
				if jr != nil {
					rows = append(rows, jr.Values)
				}
			}
		}
		img.env.Joined = append(img.env.Joined, rows)
	}
	return nil
}

func (e *engine) readFields(tx state.Txn, ent *mapping.Entity, p *mapping.Part, side int, img *image, r *row) error {
	n := len(p.Fields)
	img.values, img.known, img.when, img.edit = make([]schemas.Value, n), make([]bool, n), make([]int64, n), make([]uint64, n)
	img.problems, img.refs = make([]error, n), make([][2]string, n)
	for i, f := range p.Fields {
		fs := f.Sides[side]
		if fs == nil {
			continue
		}
		unknown := false
		for _, c := range fs.Reads {
			img.when[i], img.edit[i] = max(img.when[i], r.When[c]), max(img.edit[i], r.Edit[c])
			unknown = unknown || r.Unknown != nil && r.Unknown[c]
		}
		if unknown {
			continue
		}
		v, err := fs.In(img.env)
		if err != nil {
			img.problems[i] = err
			continue
		}
		img.values[i], img.known[i] = v, true
		if f.Ref == "" || v.IsNull() {
			continue
		}
		if err := e.resolve(tx, ent, f, side, i, img); err != nil {
			return err
		}
	}
	return nil
}

// resolve turns the native key in a reference into the hub id behind it.
func (e *engine) resolve(tx state.Txn, ent *mapping.Entity, f *mapping.Field, side, i int, img *image) error {
	pk := img.values[i].Text()
	target := e.entities[f.Ref]
	refSide := sideOf(target, ent.Systems[side])
	hub, err := e.hubOf(tx, f.Ref, ent.Systems[side], pk)
	if err != nil {
		return err
	}
	var to pairing
	if hub != "" {
		if to, err = e.pairingOf(tx, f.Ref, hub); err != nil {
			return err
		}
	}
	keys := to.Keys
	w := wait{f.Ref, ent.Systems[side], refSide, pk}
	if keys[0] == "" || keys[1] == "" {
		img.known[i] = false
		img.waits = append(img.waits, w)
		return nil
	}
	img.values[i] = schemas.Text(hub)
	if to.Dead {
		// It may be compared, but no new row is to point to it.
		img.dead = append(img.dead, w)
		return nil
	}
	// In the order of this entity's sides, which need not be that of the target's.
	img.refs[i] = keys
	if refSide != side {
		img.refs[i] = [2]string{keys[1], keys[0]}
	}
	return nil
}

func sideOf(ent *mapping.Entity, system string) int {
	if ent.Systems[1] == system {
		return 1
	}
	return 0
}

// pairChildren puts items together that are the same record on both sides: by the
// first match rule whose fields are all present and equal, and only where it is
// one against one. The partner's item is given up.
func pairChildren(rec *record, p *mapping.Part, ms []*member) []*member {
	gone := map[*member]bool{}
	for _, rule := range p.Match {
		byKey := map[string][2][]*member{}
		for _, m := range ms {
			h := m.it.half()
			if h < 0 || gone[m] || m.it.Dead {
				continue
			}
			side := 1 - h
			if k, ok := matchText(rule, m.img[side]); ok {
				pair := byKey[k]
				pair[side] = append(pair[side], m)
				byKey[k] = pair
			}
		}
		for _, pair := range byKey {
			if len(pair[0]) != 1 || len(pair[1]) != 1 {
				continue
			}
			a, b := pair[0][0], pair[1][0]
			a.it.Keys[1], a.img[1], a.it.Linked[1] = b.it.Keys[1], b.img[1], b.it.Linked[1]
			a.it.paired = true
			gone[b] = true
		}
	}
	if len(gone) == 0 {
		return ms
	}
	kept, items := ms[:0:0], rec.Children[p.Name][:0:0]
	for _, m := range ms {
		if !gone[m] {
			kept, items = append(kept, m), append(items, m.it)
		}
	}
	rec.Children[p.Name] = items
	return kept
}

// matchText is the value by which a rule recognises a record.
func matchText(rule mapping.MatchRule, img *image) (string, bool) {
	if !img.present {
		return "", false
	}
	vals := make([]schemas.Value, len(rule.Fields))
	for i, f := range rule.Fields {
		if !img.known[f] || img.values[f].IsNull() {
			return "", false
		}
		vals[i] = img.values[f]
	}
	if rule.Unless != nil && rule.Unless(vals) {
		return "", false
	}
	return schemas.FormatKey(vals), true
}
