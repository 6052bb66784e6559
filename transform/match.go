package transform

import (
	"fmt"
	"sort"
	"strings"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
	"github.com/strait-cdc/strait/transform/state"
)

// matchIndex moves the entries by which a root row is found by its match rules.
func (e *engine) matchIndex(tx state.Txn, u use, pk string, old, new *row) error {
	for ri, rule := range u.part.Match {
		was, had := matchOfRow(u, rule, old)
		is, has := matchOfRow(u, rule, new)
		if had == has && was == is {
			continue
		}
		if had {
			if err := tx.Delete(e.matchKey(u.entity, ri, u.side, was, pk)); err != nil {
				return err
			}
		}
		if has {
			if err := tx.Set(e.matchKey(u.entity, ri, u.side, is, pk), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *engine) matchKey(ent *mapping.Entity, rule, side int, text, pk string) []byte {
	return state.Key("k", ent.Name, ent.Root.Match[rule].ID, sideName(side), text, pk)
}

// matchOfRow computes a rule's value from a row alone: match fields read no joins
// and no references.
func matchOfRow(u use, rule mapping.MatchRule, r *row) (string, bool) {
	if r == nil {
		return "", false
	}
	vals := make([]schemas.Value, len(rule.Fields))
	for i, f := range rule.Fields {
		fs := u.part.Fields[f].Sides[u.side]
		if fs == nil {
			return "", false
		}
		v, err := fs.In(mapping.Env{Row: r.Values, Joined: make([][]schemas.Row, len(u.part.Sides[u.side].Joins))})
		if err != nil || v.IsNull() {
			return "", false
		}
		vals[i] = v
	}
	if rule.Unless != nil && rule.Unless(vals) {
		return "", false
	}
	return schemas.FormatKey(vals), true
}

// found is what looking for a half record's partner came to.
type found struct {
	// partner is the record to be linked with; nil: there is none.
	partner *record
	// kind and reason say why the record must wait: it is ambiguous, or its partner
	// is taken.
	kind, reason string
	waits        []wait
	rule         string
}

// findPartner looks for the record on the other side that a half record is the
// same as. A rule that finds more than one, on either side, links nothing.
func (e *engine) findPartner(tx state.Txn, s *subject) (found, error) {
	ent, side := s.entity, 1-s.rec.half()
	other := 1 - side
	for ri, rule := range ent.Root.Match {
		text, ok := matchText(rule, s.root.img[side])
		if !ok {
			continue
		}
		theirs, hidden, err := e.candidates(tx, ent, ri, other, text)
		if err != nil {
			return found{}, err
		}
		if hidden {
			s.hidden = append(s.hidden, rule.ID)
		}
		if len(theirs) == 0 {
			continue
		}
		ours, _, err := e.candidates(tx, ent, ri, side, text)
		if err != nil {
			return found{}, err
		}
		return e.judge(ent, rule, side, theirs, ours), nil
	}
	return found{}, nil
}

// judge decides over the records that a rule finds on both sides.
func (e *engine) judge(ent *mapping.Entity, rule mapping.MatchRule, side int, theirs, ours []*record) found {
	other := 1 - side
	var free, taken []*record
	for _, r := range theirs {
		if r.half() == side {
			free = append(free, r)
		} else {
			taken = append(taken, r)
		}
	}
	halves := 0
	for _, r := range ours {
		if r.half() == other {
			halves++
		}
	}
	f := found{rule: rule.ID}
	for _, r := range theirs {
		f.waits = append(f.waits, wait{ent.Name, ent.Systems[other], other, r.Keys[other]})
	}
	switch {
	case len(free) == 1 && halves <= 1 && free[0].Pending == [2]int64{}:
		f.partner = free[0]
	case len(free) == 1 && halves <= 1:
		f.kind, f.reason = "waiting", fmt.Sprintf("matches %s, which is being created on this side", side2key(ent, other, free[0]))
	case len(free) > 1:
		f.kind, f.reason = "ambiguous", fmt.Sprintf("rule %s finds more than one: %s; make them differ in what the rule compares", rule.ID, listKeys(ent, other, free))
	case halves > 1:
		f.kind, f.reason = "ambiguous", fmt.Sprintf("rule %s finds %s also for: %s", rule.ID, listKeys(ent, other, free), listKeys(ent, side, ours))
	default:
		f.kind, f.reason = "duplicate", fmt.Sprintf("rule %s finds %s, which is linked to another record: %s", rule.ID, listKeys(ent, other, taken), listKeys(ent, side, taken))
	}
	return f
}

func side2key(ent *mapping.Entity, side int, r *record) string {
	return ent.Systems[side] + ":" + r.Keys[side]
}

func listKeys(ent *mapping.Entity, side int, rs []*record) string {
	var out []string
	for _, r := range rs {
		if r.Keys[side] != "" {
			out = append(out, side2key(ent, side, r))
		}
	}
	sort.Strings(out)
	if len(out) > 5 {
		out = append(out[:5], fmt.Sprintf("and %d more", len(out)-5))
	}
	return strings.Join(out, ", ")
}

// candidates are the records whose root row on a side has a rule's value and is
// there, as far as we know; hidden says that there are others which do not count.
func (e *engine) candidates(tx state.Txn, ent *mapping.Entity, rule, side int, text string) (out []*record, hidden bool, err error) {
	p := state.Prefix("k", ent.Name, ent.Root.Match[rule].ID, sideName(side), text)
	var keys []string
	err = tx.Scan(p, func(k, _ []byte) (bool, error) {
		keys = append(keys, string(k[len(p):]))
		return len(keys) < 50, nil
	})
	if err != nil {
		return nil, false, err
	}
	sys := ent.Systems[side]
	t := e.tables[sys][ent.Root.Sides[side].Table.Name.String()]
	for _, pk := range keys {
		r, err := e.viewRow(tx, t, pk)
		if err != nil {
			return nil, false, err
		}
		if r == nil {
			continue
		}
		if !r.present(ent.Root.Sides[side]) {
			hidden = true
			continue
		}
		hub, err := e.hubOf(tx, ent.Name, sys, pk)
		if err != nil {
			return nil, false, err
		}
		rec, err := e.getRecord(tx, ent.Name, hub)
		if err != nil {
			return nil, false, err
		}
		if rec != nil {
			out = append(out, rec)
		}
	}
	return out, hidden, nil
}

// join makes one record of two halves; the partner's record is given up.
func (e *engine) join(tx state.Txn, s *subject, partner *record) error {
	side := s.rec.half()
	s.rec.Keys[side], s.rec.Linked[side] = partner.Keys[side], partner.Linked[side]
	if err := tx.Set(linkKey(s.entity.Name, s.entity.Systems[side], partner.Keys[side]), []byte(s.rec.Hub)); err != nil {
		return err
	}
	for name, items := range partner.Children {
		if s.rec.Children == nil {
			s.rec.Children = map[string][]*item{}
		}
		s.rec.Children[name] = append(s.rec.Children[name], items...)
	}
	for _, k := range [][]byte{recordKey(partner.Entity, partner.Hub), state.Key("g", partner.Entity, partner.Hub)} {
		if err := tx.Delete(k); err != nil {
			return err
		}
	}
	if err := e.clean(tx, unit{partner.Entity, partner.Hub}); err != nil {
		return err
	}
	e.obs.Linked(s.entity.Name, false)
	return e.unpark(tx, partner.Entity, partner.Hub)
}
