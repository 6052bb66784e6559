package ops

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// used is a Metrics in which every series has a value.
func used() *Metrics {
	m := NewMetrics("1.2.3")
	m.System("crm")
	m.System("erp")
	m.Flow("customer", "crm", "erp")
	m.Published(&schemas.Commit{System: "crm", Number: 1, Time: time.Now()}, time.Millisecond)
	m.Read("crm", 3)
	m.Folded(&schemas.Commit{System: "crm", Number: 1})
	m.Applied("erp", "customer", 2)
	m.Missed("erp", "customer")
	m.Refused("erp", "customer")
	m.Conflict("customer")
	m.Parked("customer", 4)
	m.Batch("erp", time.Millisecond)
	m.Planned("erp", 1)
	m.Linked("customer", true)
	m.Dirty(5)
	m.Retained("crm", 1000, 2000)
	m.Restarted("capture crm")
	return m
}

// TestDocsNameEveryMetric compares docs/metrics.md with what is registered:
// names, types and labels.
func TestDocsNameEveryMetric(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(strait_[a-z_]+)` \\| (\\w+) \\|([^|]*)\\| ([^|]+) \\|$").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = row[2] + " " + strings.ReplaceAll(strings.TrimSpace(row[3]), "`", "")
	}
	families, err := used().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	registered := map[string]bool{}
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "strait_") {
			continue
		}
		registered[name] = true
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		slices.Sort(labels)
		want := strings.ToLower(f.GetType().String()) + " " + strings.Join(labels, ", ")
		if got := documented[name]; strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s: docs/metrics.md says %q, the code %q", name, got, want)
		}
	}
	for name := range documented {
		if !registered[name] {
			t.Errorf("%s is in docs/metrics.md and not in the code", name)
		}
	}
}

func TestStatusArrangesTheSameNumbers(t *testing.T) {
	st, err := used().Status([]string{"crm", "erp"}, []FlowName{{"customer", [2]string{"crm", "erp"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := st.Systems[0].Changes, int64(3); got != want {
		t.Errorf("changes of crm: %d, want %d", got, want)
	}
	if st.Dirty != 5 {
		t.Errorf("dirty: %d, want 5", st.Dirty)
	}
	want := []FlowStatus{
		{Entity: "customer", From: "erp", To: "crm"},
		{Entity: "customer", From: "crm", To: "erp", Applied: 1, Fields: 2, Missed: 1, Refused: 1},
	}
	if !slices.Equal(st.Flows, want) {
		t.Errorf("flows:\n%+v\nwant\n%+v", st.Flows, want)
	}
	if want := []EntityStatus{{Entity: "customer", Conflicts: 1, Parked: 4, Created: 1}}; !slices.Equal(st.Entities, want) {
		t.Errorf("entities: %+v, want %+v", st.Entities, want)
	}
}

func TestLagIsTheAgeOfTheOldestCommitNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLagBook()
		lag := func() time.Duration { return b.systems["crm"].lag(time.Now()) }
		at := func(n int64) *schemas.Commit { return &schemas.Commit{System: "crm", Number: n, Time: time.Now()} }
		one := at(1)
		b.published(one, time.Now())
		time.Sleep(2 * time.Second)
		two := at(2)
		b.published(two, time.Now())
		time.Sleep(time.Second)
		if got := lag(); got != 3*time.Second {
			t.Errorf("nothing taken: %v, want 3s", got)
		}
		b.folded(one)
		if got := lag(); got != time.Second {
			t.Errorf("one taken: %v, want 1s", got)
		}
		b.folded(two)
		time.Sleep(time.Hour)
		if got := lag(); got != 0 {
			t.Errorf("all taken, an idle hour later: %v, want 0", got)
		}
		b.published(at(3), time.Now())
		time.Sleep(time.Second)
		if got := lag(); got != time.Second {
			t.Errorf("a commit after an idle hour: %v, want 1s", got)
		}
	})
}

func TestLagOfABacklogOfAnEarlierProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLagBook()
		old := time.Now().Add(-time.Minute)
		b.published(&schemas.Commit{System: "crm", Number: 100, Time: time.Now()}, time.Now())
		b.folded(&schemas.Commit{System: "crm", Number: 40, Time: old})
		if got := b.systems["crm"].lag(time.Now()); got != time.Minute {
			t.Errorf("got %v, want 1m", got)
		}
	})
}
