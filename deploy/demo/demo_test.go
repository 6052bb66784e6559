package main

import (
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/internal/ops"
	"github.com/strait-cdc/strait/schemas"
)

func TestSpellingsOfOneValue(t *testing.T) {
	w := &world{}
	m := w.maker(1, 1)
	for range 200 {
		c := m.company()
		if typed := m.typed(c.place, c.phone); !same(typed, c.phone) {
			t.Errorf("%q and %q are the same number", typed, c.phone)
		}
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"47000.00", "47000", true}, {"47000.00", "47001", false},
		{"true", "1", true}, {"N", "0", true}, {"J", "0", false},
		{"Office.1@x.example", "office.1@x.example", true}, {"+49301", "+49302", false},
	} {
		if same(c.a, c.b) != c.same {
			t.Errorf("same(%q, %q) is not %v", c.a, c.b, c.same)
		}
	}
}

func TestMadeValuesOccurOnce(t *testing.T) {
	w := &world{}
	a, b := w.maker(1, 1), w.maker(1, 2)
	seen := map[string]bool{}
	for range 500 {
		for _, m := range []*maker{a, b} {
			c := m.company()
			for _, v := range []string{m.uuid(), c.vat, c.email, c.phone, c.people[0].email, c.people[0].phone} {
				if seen[v] {
					t.Fatalf("%q occurs twice", v)
				}
				seen[v] = true
			}
		}
	}
}

var thing = &schemas.Table{Name: schemas.TableName{Schema: "s", Name: "thing"}, Key: []int{0}, Columns: []schemas.Column{{Name: "id"}, {Name: "v"}}}

func change(seq uint64, op schemas.Op, before, after string) schemas.Change {
	row := func(v string) schemas.Row {
		if v == "" {
			return nil
		}
		return schemas.Row{schemas.Int(1), schemas.Text(v)}
	}
	return schemas.Change{Op: op, Table: thing, Seq: seq, Before: row(before), After: row(after)}
}

func TestReplayFindsWhatIsThereTwiceOrMissing(t *testing.T) {
	insert, first, second := change(1, schemas.Insert, "", "a"), change(2, schemas.Update, "a", "b"), change(3, schemas.Update, "b", "c")
	gone := change(4, schemas.Delete, "c", "")
	for _, c := range []struct {
		name    string
		changes []schemas.Change
		wrong   string
	}{
		{"whole", []schemas.Change{insert, first, second}, ""},
		{"deleted", []schemas.Change{insert, first, second, gone}, ""},
		{"insert twice", []schemas.Change{insert, insert, first}, "was there already"},
		{"update twice", []schemas.Change{insert, first, first}, "v was b before it, not a"},
		{"update missing", []schemas.Change{insert, second}, "v was a before it, not b"},
		{"insert missing", []schemas.Change{first}, "was not there"},
		{"delete twice", []schemas.Change{insert, first, second, gone, gone}, "was not there"},
	} {
		r := &replay{changes: c.changes}
		_, wrong := r.fold("t")
		if got := strings.Join(wrong, "\n"); c.wrong == "" && got != "" || !strings.Contains(got, c.wrong) {
			t.Errorf("%s: %q, want %q", c.name, got, c.wrong)
		}
	}
}

func TestReplayComparesWithTheTable(t *testing.T) {
	row := func(v string) heldRow { return heldRow{"v": schemas.Text(v)} }
	for _, c := range []struct {
		held, rows map[string]heldRow
		wrong      string
	}{
		{map[string]heldRow{"1": row("a")}, map[string]heldRow{"1": row("a")}, ""},
		{map[string]heldRow{"1": row("a")}, map[string]heldRow{"1": row("b")}, "is a in the topic and b in the table"},
		{map[string]heldRow{}, map[string]heldRow{"1": row("b")}, "not in the topic"},
		{map[string]heldRow{"1": row("a")}, map[string]heldRow{}, "not in the table"},
	} {
		if got := strings.Join(compareRows("t", c.held, c.rows), "\n"); c.wrong == "" && got != "" || !strings.Contains(got, c.wrong) {
			t.Errorf("%q, want %q", got, c.wrong)
		}
	}
	r := &replay{side: &side{name: "crm"}, seqs: map[uint64]int{1: 1, 2: 2, 4: 1}}
	if got := strings.Join(r.sequence(), "\n"); !strings.Contains(got, "2 is there 2 times") || !strings.Contains(got, "highest strait.seq is 4") {
		t.Errorf("sequence: %q", got)
	}
}

func TestTotalsSurviveTheProcess(t *testing.T) {
	w := newWatcher(nil)
	life := func(applied int64) ops.Status {
		return ops.Status{Ready: true, Systems: []ops.SystemStatus{{Commits: applied}}, Flows: []ops.FlowStatus{{Applied: applied}}, Entities: []ops.EntityStatus{{Conflicts: applied, Parked: 1}}}
	}
	w.see(1, life(3))
	w.see(1, life(5))
	w.see(2, life(2))
	if got := w.totals(); got.Flows[0].Applied != 7 || got.Systems[0].Commits != 7 || got.Entities[0].Conflicts != 7 || got.Entities[0].Parked != 1 {
		t.Errorf("totals %+v", got)
	}
	if moving(life(2), life(2)) || !moving(life(2), life(3)) {
		t.Error("moving is what differs, and only that")
	}
}

func TestKillsAreSpreadOverTheRun(t *testing.T) {
	d := &demo{options: options{kills: 10, length: time.Minute, seed: 1}}
	var sum time.Duration
	pauses := d.killTimes()
	for _, p := range pauses {
		if p < 0 {
			t.Fatalf("pause %s", p)
		}
		sum += p
	}
	if len(pauses) != 10 || sum > time.Minute || sum < 10*time.Second {
		t.Errorf("%d kills within %s", len(pauses), sum)
	}
}

func TestClipIsAsWideAsTheTerminal(t *testing.T) {
	if got := clip("Müller → ERP", 8); got != "Müller …" {
		t.Errorf("%q", got)
	}
	if got := clip("short", 8); got != "short" {
		t.Errorf("%q", got)
	}
}
