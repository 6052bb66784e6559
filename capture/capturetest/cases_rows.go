package capturetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/strait-cdc/strait/schemas"
)

func rowChanges(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	f.do(Insert("a", 1, "name", "it's", "n", 5))
	f.do(Insert("a", 2, "name", nil, "n", nil))
	f.do(Update("a", 1, "name", "żółw\t\\N\n", "n", -1))
	f.do(Update("a", 2, "n", 0))
	f.do(Delete("a", 1))
	f.fence()
	f.same("a")

	got := f.of("a")
	want := []string{"c 1 it's|5", "c 2 NULL|NULL", "u 1 żółw\t\\N\n|-1", "u 2 NULL|0", "d 1"}
	compare(t, changeLines(got), want)
	for i := range got {
		c := &got[i]
		if c.Table.Name != (schemas.TableName{Schema: db.Schema(), Name: "a"}) {
			t.Errorf("table %s", c.Table.Name)
		}
		if k := c.Table.Columns[0]; k.Nullable || k.Type.Kind != schemas.KindInt64 {
			t.Errorf("id is %+v", k)
		}
		if n := c.Table.Columns[1]; !n.Nullable || n.Type.Kind != schemas.KindText {
			t.Errorf("name is %+v", n)
		}
		if c.Before != nil && c.Op == schemas.Update {
			// A full image, or none at all without a change of key.
			if c.Before[1].IsUnchanged() && !c.Before[0].IsUnchanged() {
				t.Errorf("%s: before image of a key that did not change", ChangeText(c))
			}
		}
	}
}

// changeLines shows changes of a table of the form of Create: op, key, values
// after.
func changeLines(changes []schemas.Change) []string {
	var out []string
	for _, c := range changes {
		switch c.Op {
		case schemas.Truncate:
			out = append(out, "t")
		case schemas.Delete:
			out = append(out, "d "+c.Before[0].String())
		default:
			out = append(out, fmt.Sprintf("%c %s %s", c.Op, c.After[0], RowText(c.After[1].String(), c.After[2].String())))
		}
	}
	return out
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func keyChange(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	f.do(Insert("a", 1, "name", "x", "n", 1), Rekey("a", 1, 7), Update("a", 7, "name", "y"))
	f.do(Rekey("a", 7, 8))
	f.fence()
	f.same("a")

	got := f.of("a")
	compare(t, changeLines(got), []string{"c 1 x|1", "u 7 x|1", "u 7 y|1", "u 8 y|1"})
	for _, i := range []int{1, 3} {
		if got[i].Before == nil {
			t.Fatalf("%s: no before image", ChangeText(&got[i]))
		}
	}
	if a, b := got[1].Before[0].Int(), got[3].Before[0].Int(); a != 1 || b != 7 {
		t.Errorf("old keys %d and %d, want 1 and 7", a, b)
	}
}

func truncate(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	f.do(Insert("a", 1), Insert("a", 2))
	f.do(Truncate("a"))
	f.do(Insert("a", 1))
	f.fence()
	f.same("a")
	compare(t, changeLines(f.of("a")), []string{"c 1 NULL|NULL", "c 2 NULL|NULL", "t", "c 1 NULL|NULL"})
}

func transactions(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	do(t, db, Create("b"))
	f := follow(t, db, "a", "b")
	f.open("")
	f.snapshot()
	before := f.log.Txns
	for i := range int64(20) {
		f.do(Insert("a", i), Insert("b", i), Update("a", i, "n", i))
	}
	f.do(Many("a", 100, 100), Many("b", 100, 100))
	f.fence()
	f.same("a", "b")
	if got := f.log.Txns - before; got != 22 {
		t.Errorf("%d transactions, want 22", got)
	}
	sizes := map[string]int{}
	for _, c := range f.log.Changes {
		if c.Op != schemas.Snapshot {
			sizes[c.Txn.ID]++
		}
	}
	count := map[int]int{}
	for _, n := range sizes {
		count[n]++
	}
	if count[3] != 20 || count[200] != 1 || count[1] != 1 || len(sizes) != 22 {
		t.Errorf("transactions by size %v, want 20 of 3, 1 of 200, 1 of 1", count)
	}
}

func largeTransaction(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	f.do(Many("a", 0, h.Large))
	f.fence()
	f.same("a")
	got := f.of("a")
	if int64(len(got)) != h.Large {
		t.Fatalf("%d changes, want %d", len(got), h.Large)
	}
	if h.Large >= 50_000 && f.log.Pieces == 0 {
		t.Errorf("%d changes arrived as one batch", h.Large)
	}
	for i := range got {
		if got[i].Txn.ID != got[0].Txn.ID || got[i].Ordinal != int64(i) || got[i].After[0].Int() != int64(i) {
			t.Fatalf("change %d is number %d of %s: %s", i, got[i].Ordinal, got[i].Txn.ID, ChangeText(&got[i]))
		}
	}
}

func rollbacks(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	before := f.log.Txns
	f.do(Insert("a", 1), Many("a", 100, 50), Rollback())
	f.do(Insert("a", 2), Savepoint(), Insert("a", 3), Update("a", 2, "n", 9), RollbackTo(), Insert("a", 4))
	f.do(Insert("a", 5), Savepoint(), Insert("a", 6))
	f.fence()
	f.same("a")
	compare(t, changeLines(f.of("a")), []string{"c 2 NULL|NULL", "c 4 NULL|NULL", "c 5 NULL|NULL", "c 6 NULL|NULL"})
	if got := f.log.Txns - before; got != 3 {
		t.Errorf("%d transactions, want 3", got)
	}
	got := f.of("a")
	if got[0].Txn.ID != got[1].Txn.ID || got[2].Txn.ID != got[3].Txn.ID || got[0].Txn.ID == got[2].Txn.ID {
		t.Errorf("transactions %s %s %s %s", got[0].Txn.ID, got[1].Txn.ID, got[2].Txn.ID, got[3].Txn.ID)
	}
}

func origins(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	f.do(FirstMark("p:1", 41), Insert("a", 1), Insert("a", 2))
	f.do(Insert("a", 3))
	f.do(Mark("p:1", 42), Many("a", 100, 12_000))
	f.do(Insert("a", 4), Mark("p:1", 43))
	f.fence()
	f.same("a")
	for _, c := range f.of("a") {
		id, want := c.After[0].Int(), schemas.Origin{}
		switch {
		case id == 1 || id == 2:
			want = schemas.Origin{Pipeline: "p:1", Batch: 41}
		case id >= 100:
			want = schemas.Origin{Pipeline: "p:1", Batch: 42}
		}
		if c.Txn.Origin != want {
			t.Fatalf("row %d has the origin %q, want %q", id, c.Txn.Origin, want)
		}
	}
	if marks := f.of("progress"); len(marks) != 3 {
		t.Errorf("%d changes of strait.progress, want 3: our marks are published too", len(marks))
	}
}

func otherTables(t *testing.T, h Harness) {
	db := h.New(t)
	do(t, db, Create("a"))
	do(t, db, Create("other"))
	do(t, db, Insert("other", 1))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	f.do(Insert("other", 2), Insert("a", 1), Insert("other", 3))
	f.do(Insert("other", 4))
	f.fence()
	for _, c := range f.log.Changes {
		if c.Table.Name.Name == "other" {
			t.Errorf("%s", ChangeText(&c))
		}
	}
	f.same("a")
}

func columnsChange(t *testing.T, h Harness) {
	for _, late := range []bool{false, true} {
		name := "read as they change"
		if late {
			name = "read when all is over"
		}
		t.Run(name, func(t *testing.T) { columnsChangeRead(t, h, late) })
	}
}

// columnsChangeRead reads either between the steps or, with the catalog far ahead
// of the log, after the last one.
func columnsChangeRead(t *testing.T, h Harness, late bool) {
	db := h.New(t)
	do(t, db, Create("a"))
	f := follow(t, db, "a")
	f.open("")
	f.snapshot()
	for _, s := range []Stmt{
		Insert("a", 1, "name", "x", "n", 1),
		AddColumn("a", "extra"),
		Insert("a", 2, "name", "x", "n", 2, "extra", "e"),
		RenameColumn("a", "name", "title"),
		Insert("a", 3, "title", "t", "n", 3, "extra", "e"),
		DropColumn("a", "n"),
		Insert("a", 4, "title", "t", "extra", "e"),
		Delete("a", 1),
	} {
		f.do(s)
		if !late {
			f.fence()
		}
	}
	f.fence()
	var got []string
	for _, c := range f.of("a") {
		row := c.After
		if c.Op == schemas.Delete {
			row = c.Before
		}
		line := string(c.Op)
		for i, col := range c.Table.Columns {
			if v := row[i]; c.Op != schemas.Delete || slices.Contains(c.Table.Key, i) {
				line += " " + col.Name + "=" + v.String()
			}
		}
		got = append(got, line)
	}
	compare(t, got, []string{
		"c id=1 name=x n=1",
		"c id=2 name=x n=2 extra=e",
		"c id=3 title=t n=3 extra=e",
		"c id=4 title=t extra=e",
		"d id=1",
	})
	if _, err := Replay(f.log.Changes); err != nil {
		t.Error(err)
	}
}
