package transform

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
	"github.com/strait-cdc/strait/transform/state"
)

// story is a scripted schedule without faults.
type story struct {
	*sim
	t *testing.T
}

func newStory(t *testing.T, change func(set *mapping.Set)) *story {
	set := simMapping()
	if change != nil {
		change(set)
	}
	return &story{emptySim(1, breakage{}, set), t}
}

// begin takes the first snapshots and links what belongs together.
func (s *story) begin() {
	s.t.Helper()
	for _, sys := range s.sys {
		s.snapshot(sys)
	}
	s.settle()
}

func (s *story) settle() {
	s.t.Helper()
	if !s.rest() {
		s.t.Fatalf("never at rest:\n%s\n%s", strings.Join(s.story(), "\n"), s.dump())
	}
}

func (s *story) story() []string { return s.sim.story }

// do is one transaction of a user.
func (s *story) do(side int, f func(tx *simTxn)) {
	s.clock = s.clock.Add(1000000)
	tx := simTxn{txn: &schemas.Txn{ID: "user", Time: s.clock}}
	f(&tx)
	s.sys[side].log = append(s.sys[side].log, tx)
}

// insert adds a row; texts are in the words of both sides, "" is NULL, a text that
// begins with = is taken as it is.
func (s *story) insert(side int, kind, pk string, texts ...string) {
	s.do(side, func(tx *simTxn) {
		r := schemas.Row{schemas.Text(pk)}
		for _, t := range texts {
			r = append(r, s.cell(side, t))
		}
		if kind == "accounts" {
			r = append(r, simAlive)
		}
		s.sys[side].record(tx, schemas.Insert, kind, pk, r)
	})
}

func (s *story) cell(side int, t string) schemas.Value {
	if t == "" {
		return schemas.Null
	}
	if raw, ok := strings.CutPrefix(t, "="); ok {
		return schemas.Text(raw)
	}
	return s.sys[side].raw(t)
}

func (s *story) set(side int, kind, pk string, col int, text string) {
	s.do(side, func(tx *simTxn) {
		r := slices.Clone(s.sys[side].rows[kind][pk])
		r[col] = s.cell(side, text)
		s.sys[side].record(tx, schemas.Update, kind, pk, r)
	})
}

func (s *story) delete(side int, kind, pk string) {
	s.do(side, func(tx *simTxn) { s.sys[side].record(tx, schemas.Delete, kind, pk, nil) })
}

func (s *story) want(side int, lines ...string) {
	s.t.Helper()
	if got := s.sys[side].image(); fmt.Sprint(got) != fmt.Sprint(lines) {
		s.t.Fatalf("%s holds\n  %s\nwant\n  %s\n%s\n%s", s.sys[side].name, strings.Join(got, "\n  "), strings.Join(lines, "\n  "), strings.Join(s.story(), "\n"), s.dump())
	}
}

func (s *story) both(lines ...string) {
	s.t.Helper()
	s.want(0, lines...)
	s.want(1, lines...)
}

func (s *story) parked() (kinds []string) {
	_ = s.store.View(func(tx state.Txn) error {
		return tx.Scan(state.Prefix("p"), func(_, v []byte) (bool, error) {
			var p Parked
			_ = unmarshal(v, &p)
			kinds = append(kinds, p.Kind+": "+p.Reason)
			return true, nil
		})
	})
	return kinds
}

func (s *story) wantParked(want string) {
	s.t.Helper()
	got := s.parked()
	if want == "" && len(got) == 0 || want != "" && len(got) > 0 && strings.Contains(strings.Join(got, "\n"), want) {
		return
	}
	s.t.Fatalf("parked: %q, want %q", got, want)
}

func (s *story) conflicts() (out []Conflict) {
	_ = s.store.View(func(tx state.Txn) error {
		return tx.Scan(state.Prefix("c"), func(_, v []byte) (bool, error) {
			var c Conflict
			_ = unmarshal(v, &c)
			out = append(out, c)
			return true, nil
		})
	})
	return out
}

func TestInitialMerge(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f-crm", "")
	s.insert(1, "accounts", "e1", "K", "f-erp", "g-erp")
	s.insert(1, "accounts", "e2", "L", "f2", "g2")
	s.begin()
	// f has no owner: the tie goes to the first side; g belongs to the CRM, which has
	// none, and an empty value overrules nothing.
	s.both("account K f=f-crm g=g-erp", "account L f=f2 g=g2")
	if c := s.conflicts(); len(c) != 1 || c[0].Rule != "initial" {
		t.Fatalf("conflicts: %+v", c)
	}
	if s.writes != 3 { // f to the ERP, g and L to the CRM
		t.Fatalf("%d writes, want 2", s.writes)
	}
}

func TestNoOpSaveMakesNoWrite(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.begin()
	before := s.writes
	s.set(0, "accounts", "c1", 2, "f1")
	s.settle()
	if s.writes != before {
		t.Fatalf("a save that changed nothing was written %d times", s.writes-before)
	}
	s.set(0, "accounts", "c1", 2, "f2")
	s.settle()
	if s.writes != before+1 {
		t.Fatalf("an edit was written %d times", s.writes-before)
	}
	s.both("account K f=f2 g=g1")
}

func TestCrossingEditsOfDifferentFieldsBothStay(t *testing.T) {
	s := newStory(t, func(set *mapping.Set) { set.Entities[0].Root.Fields[2].Owner = mapping.OwnerBoth })
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.begin()
	pk := s.sys[1].keys("accounts")[0]
	s.set(0, "accounts", "c1", 2, "f-new")
	s.set(1, "accounts", pk, 3, "g-new")
	s.settle()
	s.both("account K f=f-new g=g-new")
	if c := s.conflicts(); len(c) != 0 {
		t.Fatalf("conflicts: %+v", c)
	}
}

func TestLaterWriterWinsAndTheLoserIsRecorded(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.begin()
	pk := s.sys[1].keys("accounts")[0]
	s.set(0, "accounts", "c1", 2, "early")
	s.set(1, "accounts", pk, 2, "late")
	s.settle()
	s.both("account K f=late g=g1")
	c := s.conflicts()
	if len(c) != 1 || c[0].Rule != "last_writer" || c[0].Values[0] != schemas.Text("early") || c[0].Base != schemas.Text("f1") {
		t.Fatalf("conflicts: %+v", c)
	}
}

func TestReviewHoldsTheFieldAndLetsTheOthersGo(t *testing.T) {
	s := newStory(t, func(set *mapping.Set) {
		set.Entities[0].Root.Fields[1].Policy = mapping.Review
		set.Entities[0].Root.Fields[2].Owner = mapping.OwnerBoth
	})
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.begin()
	pk := s.sys[1].keys("accounts")[0]
	s.set(0, "accounts", "c1", 2, "a")
	s.set(1, "accounts", pk, 2, "b")
	s.set(1, "accounts", pk, 3, "g2")
	s.settle()
	s.want(0, "account K f=a g=g2")
	s.want(1, "account K f=b g=g2")
	s.wantParked("both sides changed it")
	s.set(1, "accounts", pk, 2, "a")
	s.settle()
	s.both("account K f=a g=g2")
	s.wantParked("")
}

func TestPingPongStops(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.begin()
	// Both databases insist on their own spelling of f.
	s.trigger = func(sys *simSystem, kind string, r schemas.Row) {
		if kind == "accounts" {
			r[2] = sys.raw(sys.text(r[2]) + "-" + sys.name)
		}
	}
	before := s.writes
	s.set(0, "accounts", "c1", 2, "f2")
	s.settle()
	s.wantParked("write this value differently")
	if n := s.writes - before; n > 2 {
		t.Fatalf("%d writes before it stopped", n)
	}
	// A user's edit frees the field again.
	s.trigger = nil
	s.set(0, "accounts", "c1", 2, "f3")
	s.settle()
	s.both("account K f=f3 g=g1")
	s.wantParked("")
}

func TestTargetMayNormaliseOnce(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.begin()
	s.trigger = func(sys *simSystem, kind string, r schemas.Row) {
		if kind == "accounts" && sys.side == 1 {
			r[2] = sys.raw(strings.ToUpper(sys.text(r[2])))
		}
	}
	s.set(0, "accounts", "c1", 2, "abc")
	s.settle()
	s.both("account K f=ABC g=g1")
	s.wantParked("")
}

func TestChangeOfKeyKeepsTheLink(t *testing.T) {
	s := newStory(t, nil)
	s.insert(1, "accounts", "e1", "K", "f1", "g1")
	s.begin()
	before := s.writes
	s.do(1, func(tx *simTxn) {
		sys := s.sys[1]
		r := slices.Clone(sys.rows["accounts"]["e1"])
		sys.record(tx, schemas.Delete, "accounts", "e1", nil)
		tx.changes[0].MovedTo = []schemas.Value{schemas.Text("e9")}
		r[0] = schemas.Text("e9")
		sys.record(tx, schemas.Insert, "accounts", "e9", r)
		tx.changes[1].MovedFrom = []schemas.Value{schemas.Text("e1")}
	})
	s.settle()
	if s.writes != before {
		t.Fatalf("a change of key made %d writes on the other side", s.writes-before)
	}
	s.set(1, "accounts", "e9", 2, "f2")
	s.settle()
	s.both("account K f=f2 g=g1")
	if len(s.sys[0].rows["accounts"]) != 1 {
		t.Fatal("the record exists twice")
	}
}

func TestNewSnapshotRemovesWhatItDidNotBring(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.insert(0, "accounts", "c2", "L", "f2", "g2")
	s.begin()
	s.both("account K f=f1 g=g1", "account L f=f2 g=g2")
	// c2 was deleted while nobody looked.
	crm := s.sys[0]
	delete(crm.rows["accounts"], "c2")
	tx := simTxn{txn: &schemas.Txn{ID: "snapshot", Time: s.clock}}
	crm.record(&tx, schemas.Snapshot, "accounts", "c1", crm.rows["accounts"]["c1"])
	crm.log = append(crm.log, tx)
	crm.capture(1, schemas.PhaseSnapshotFirst|schemas.PhaseSnapshotLast)
	s.settle()
	s.both("account K f=f1 g=g1")
}

func TestDeleteRules(t *testing.T) {
	gone := func(rule mapping.DeleteRule) func(*mapping.Set) {
		return func(set *mapping.Set) { set.Entities[0].Root.Sides[1].OtherDeleted = rule }
	}
	start := func(t *testing.T, rule mapping.DeleteRule) *story {
		s := newStory(t, gone(rule))
		s.insert(0, "accounts", "c1", "K", "f1", "g1")
		s.begin()
		s.delete(0, "accounts", "c1")
		s.settle()
		return s
	}
	t.Run("remove", func(t *testing.T) {
		start(t, mapping.DeleteRule{Action: mapping.DeleteRemove}).both()
	})
	t.Run("keep", func(t *testing.T) {
		s := start(t, mapping.DeleteRule{Action: mapping.DeleteKeep})
		s.want(0)
		s.want(1, "account K f=f1 g=g1")
		// An edit of what was kept is not a new record.
		s.set(1, "accounts", s.sys[1].keys("accounts")[0], 2, "f2")
		s.settle()
		s.want(0)
	})
	t.Run("restore", func(t *testing.T) {
		start(t, mapping.DeleteRule{Action: mapping.DeleteRestore}).both("account K f=f1 g=g1")
	})
	t.Run("review", func(t *testing.T) {
		s := start(t, mapping.DeleteRule{Action: mapping.DeleteReview})
		s.wantParked("was deleted in crm")
		s.want(1, "account K f=f1 g=g1")
	})
	t.Run("set", func(t *testing.T) {
		set := mapping.DeleteRule{Action: mapping.DeleteSet, Set: []mapping.Default{{Column: 3, Value: func(mapping.Env) (schemas.Value, error) {
			return schemas.Text("[gone]"), nil
		}}}}
		s := start(t, set)
		s.want(0)
		s.want(1, "account K f=f1 g=gone")
		s.wantParked("")
	})
}

func TestAmbiguousIsReportedAndNotLinked(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.insert(0, "accounts", "c2", "K", "f2", "g2")
	s.insert(1, "accounts", "e1", "K", "f1", "g1")
	s.begin()
	s.wantParked("ambiguous")
	if s.writes != 0 {
		t.Fatal("something was written")
	}
	s.set(0, "accounts", "c2", 1, "L")
	s.settle()
	s.wantParked("")
	s.both("account K f=f1 g=g1", "account L f=f2 g=g2")
}

func TestRefusedParksAloneAndIsNotSentAgain(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.insert(0, "accounts", "c2", "L", "f2", "g2")
	s.begin()
	asked := 0
	s.refuse = func(sys *simSystem, in *schemas.Intent) string {
		for _, w := range in.Writes {
			for _, c := range w.Set {
				if c.Value.Text() == "[bad]" {
					asked++
					return "value too long for type character varying(3)"
				}
			}
		}
		return ""
	}
	s.set(0, "accounts", "c1", 2, "bad")
	s.set(0, "accounts", "c2", 2, "good")
	s.settle()
	s.wantParked("value too long")
	s.want(1, "account K f=f1 g=g1", "account L f=good g=g2")
	if asked != 1 {
		t.Fatalf("sent %d times", asked)
	}
	s.set(0, "accounts", "c1", 2, "fine")
	s.settle()
	s.wantParked("")
	s.both("account K f=fine g=g1", "account L f=good g=g2")
}

func TestGuardThatNeverHoldsIsParked(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.begin()
	tries := 0
	s.miss = func(*simSystem, *schemas.Intent) bool { tries++; return true }
	s.set(0, "accounts", "c1", 2, "f2")
	s.settle()
	s.wantParked("compares a value differently")
	if tries != 1 {
		t.Fatalf("tried %d times", tries)
	}
}

func TestOrderWaitsForItsCustomer(t *testing.T) {
	s := newStory(t, func(set *mapping.Set) { set.Entities[0].Root.Fields[1].Required = true })
	s.begin()
	s.insert(0, "accounts", "c1", "K", "", "g1") // f is required and missing
	s.insert(0, "orders", "o1", "no1", "=c1", "")
	s.settle()
	s.want(1)
	s.wantParked("not linked yet: customer crm:c1")
	s.set(0, "accounts", "c1", 2, "f1")
	s.settle()
	s.both("account K f=f1 g=g1", "order no1 of K status=")
	s.wantParked("")
}

func TestReconcileIsPure(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.begin()
	s.set(0, "accounts", "c1", 2, "f2")
	s.read(0)
	var plans []string
	for range 3 {
		_ = s.store.View(func(tx state.Txn) error {
			return tx.Scan(state.Prefix("e", "customer"), func(_, v []byte) (bool, error) {
				rec, err := decodeRecord(v)
				if err != nil {
					t.Fatal(err)
				}
				sub, err := s.engine.assemble(tx, s.sim.set.Entities[0], rec)
				if err != nil {
					t.Fatal(err)
				}
				p := Reconcile(sub)
				plans = append(plans, fmt.Sprint(len(p.Writes[0]), len(p.Writes[1]), p.Guards, p.Writes[1][0].Set))
				return true, nil
			})
		})
	}
	if plans[0] != plans[1] || plans[1] != plans[2] || !strings.HasPrefix(plans[0], "0 1 ") {
		t.Fatalf("plans differ: %q", plans)
	}
}

func TestRevivalTakesTheDeletionBack(t *testing.T) {
	s := newStory(t, func(set *mapping.Set) {
		// In the ERP a record counts while gg is not [gone]; a deletion in the CRM sets it.
		side := set.Entities[0].Root.Sides[1]
		side.Where = func(r schemas.Row) (bool, error) { return r[3].Text() != "[gone]", nil }
		side.WhereColumns = []int{3}
		side.OtherDeleted = mapping.DeleteRule{Action: mapping.DeleteSet, Set: []mapping.Default{{Column: 3, Value: func(mapping.Env) (schemas.Value, error) {
			return schemas.Text("[gone]"), nil
		}}}}
		crm := set.Entities[0].Root.Sides[0]
		crm.Where = func(r schemas.Row) (bool, error) { return r[2].Text() != "deleted", nil }
		crm.WhereColumns = []int{2}
	})
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.begin()
	s.set(0, "accounts", "c1", 2, "deleted")
	s.settle()
	s.want(1, "account K f=f1 g=gone")
	s.set(0, "accounts", "c1", 2, "f2")
	s.settle()
	s.both("account K f=f2 g=g1")
	s.wantParked("")
	if len(s.sys[1].rows["accounts"]) != 1 {
		t.Fatal("the record exists twice")
	}
}

func TestLinksOfChildrenDieWithTheirParent(t *testing.T) {
	s := newStory(t, nil)
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.insert(0, "contacts", "c2", "=c1", "x", "v1")
	s.begin()
	s.do(1, func(tx *simTxn) {
		erp := s.sys[1]
		erp.record(tx, schemas.Delete, "contacts", erp.keys("contacts")[0], nil)
		erp.record(tx, schemas.Delete, "accounts", erp.keys("accounts")[0], nil)
	})
	s.settle()
	s.both()
	for _, sys := range s.sys {
		if len(sys.links) != 0 {
			t.Errorf("%s still holds the links %v", sys.name, sys.links)
		}
	}
}

// A column that only the rule for creating reads matters too.
func TestRecordThatBecomesWorthCreating(t *testing.T) {
	s := newStory(t, func(set *mapping.Set) {
		side := set.Entities[0].Root.Sides[1]
		side.Create = func(other mapping.Env) (bool, error) { return other.Row[4] == schemas.Text("customer"), nil }
		side.CreateColumns = []int{4}
		crm := set.Entities[0].Root.Sides[0]
		crm.Where, crm.WhereColumns, crm.Defaults = nil, nil, nil
	})
	s.insert(0, "accounts", "c1", "K", "f1", "g1")
	s.begin()
	s.want(1)
	s.set(0, "accounts", "c1", 4, "=customer")
	s.settle()
	s.both("account K f=f1 g=g1")
}

func TestWholeSecondsDoNotDecide(t *testing.T) {
	f := &mapping.Field{Tie: 1}
	for _, c := range []struct {
		when [2]int64
		win  int
		rule string
	}{
		{[2]int64{10_000_000, 10_500_000}, 1, "tie"},
		{[2]int64{10_700_000, 10_000_000}, 1, "tie"},
		{[2]int64{10_700_000, 10_600_000}, 0, "last_writer"},
		{[2]int64{11_000_000, 10_900_000}, 0, "last_writer"},
		{[2]int64{10_700_000, 10_700_000}, 1, "tie"},
	} {
		if win, rule, _ := later(f, c.when); win != c.win || rule != c.rule {
			t.Errorf("%v: side %d by %s, want %d by %s", c.when, win, rule, c.win, c.rule)
		}
	}
}
