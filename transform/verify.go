package transform

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

// SideData is what a verification reads from one database: all rows of the
// mapped tables, in the column order of the shapes that VerifyTables names, and
// all rows of strait.link.
type SideData struct {
	Rows  map[schemas.TableName][]schemas.Row
	Links []LinkRow
}

// LinkRow is a row of strait.link; Dead is its status.
type LinkRow struct {
	schemas.Link
	Dead bool
}

// FindingClass says what is wrong, or worth knowing, about a record.
type FindingClass string

// The classes. All but Ambiguous and Incomplete mean that the two databases
// disagree.
const (
	// Different: a field of a linked pair differs.
	Different FindingClass = "different"
	// Missing: the record should exist on the other side and does not.
	Missing FindingClass = "missing"
	// Gone: a live link points to a record that is not there.
	Gone FindingClass = "gone"
	// HalfLink: only one database has the link.
	HalfLink FindingClass = "half link"
	// Twice: two links point to the same record.
	Twice FindingClass = "linked twice"
	// NotLinked: two records match by a rule and are not linked.
	NotLinked FindingClass = "not linked"
	// Moved: the two records of a child pair belong to different parents.
	Moved FindingClass = "moved"
	// Unreadable: a value cannot be understood.
	Unreadable FindingClass = "unreadable"
	// Ambiguous: a record matches several; a person has to decide.
	Ambiguous FindingClass = "ambiguous"
	// Incomplete: a record lacks a required field and is not created on the other
	// side until it has one.
	Incomplete FindingClass = "incomplete"
)

// Finding is one thing a verification has seen.
type Finding struct {
	Class FindingClass `json:"class"`
	// Entity is the entity, with the child part behind a dot.
	Entity  string    `json:"entity"`
	Systems [2]string `json:"systems"`
	Hub     string    `json:"hub,omitempty"`
	// Keys are the native keys, empty where there is no record.
	Keys  [2]string `json:"keys"`
	Field string    `json:"field,omitempty"`
	// Values are the canonical values of a field that differs.
	Values [2]string `json:"values,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// Bad says that the databases disagree, not merely that somebody should look.
func (f *Finding) Bad() bool { return f.Class != Ambiguous && f.Class != Incomplete }

// String is the finding in a line.
func (f *Finding) String() string {
	var at []string
	for i, k := range f.Keys {
		if k != "" {
			at = append(at, f.Systems[i]+" "+k)
		}
	}
	s := fmt.Sprintf("%s: %s %s", f.Class, f.Entity, strings.Join(at, " = "))
	if f.Field != "" {
		s += fmt.Sprintf(": %s", f.Field)
	}
	if f.Class == Different {
		s += fmt.Sprintf(" is %q in %s and %q in %s", f.Values[0], f.Systems[0], f.Values[1], f.Systems[1])
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// VerifyCount is what was compared of one part of an entity.
type VerifyCount struct {
	Entity  string    `json:"entity"`
	Systems [2]string `json:"systems"`
	// Records are those that count as this entity on each side, Pairs the linked
	// ones that exist on both, Fields the fields compared.
	Records [2]int `json:"records"`
	Pairs   int    `json:"pairs"`
	Fields  int    `json:"fields"`
	// Alone are the records that the rules keep on one side.
	Alone [2]int `json:"alone"`
	// Kept are the records that stayed when their partner was deleted: the link is
	// dead.
	Kept [2]int `json:"kept"`
}

// VerifyReport is the result of a verification.
type VerifyReport struct {
	Counts   []VerifyCount `json:"counts"`
	Findings []Finding     `json:"findings"`
}

// Bad counts the findings that mean disagreement.
func (r *VerifyReport) Bad() int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Bad() {
			n++
		}
	}
	return n
}

// VerifyTables lists the tables that Verify needs, by system, each once.
func VerifyTables(set *mapping.Set) map[string][]*schemas.Table {
	out := map[string][]*schemas.Table{}
	add := func(sys string, t *schemas.Table) {
		same := func(have *schemas.Table) bool { return have.Name == t.Name }
		if !slices.ContainsFunc(out[sys], same) {
			out[sys] = append(out[sys], t)
		}
	}
	for _, e := range set.Entities {
		for _, p := range e.Parts() {
			for side, ps := range p.Sides {
				if ps == nil {
					continue
				}
				add(e.Systems[side], ps.Table)
				for _, j := range ps.Joins {
					add(e.Systems[side], j.Table)
				}
			}
		}
	}
	return out
}

// Verify compares the databases as they are, record by record and field by
// field, under the mapping. It uses nothing that Strait remembers but the
// links. What is on its way while the data are read shows as a finding: read
// again and see whether it stays.
func Verify(set *mapping.Set, data map[string]*SideData) *VerifyReport {
	v := &verifier{data: data, links: map[string]*linkBook{}, report: &VerifyReport{Findings: []Finding{}}}
	for sys, d := range data {
		v.links[sys] = newLinkBook(d.Links)
	}
	for _, e := range set.Entities {
		roots := v.part(e, e.Root, nil)
		for _, p := range e.Children {
			v.part(e, p, roots)
		}
	}
	slices.SortStableFunc(v.report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.Hub, b.Hub), cmp.Compare(a.Keys[0], b.Keys[0]), cmp.Compare(a.Keys[1], b.Keys[1]), cmp.Compare(a.Field, b.Field))
	})
	return v.report
}
