package sinktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
)

// Run puts a Target's sinks through everything that a Sink must do.
func Run(t *testing.T, target Target) {
	for _, c := range []struct {
		name string
		f    func(*suite)
	}{
		{"start fences", startFences}, {"insert and replay", insertAndReplay}, {"batch numbers", batchNumbers},
		{"lost reply", lostReply}, {"guards", guards}, {"equal values are found", equalValues}, {"isolation", isolation},
		{"constraints", constraints}, {"absent", absent}, {"document", document}, {"links", links}, {"many links", manyLinks},
		{"trigger", trigger}, {"odd names", oddNames}, {"order", order}, {"no key", noKey}, {"senseless intents", senseless}, {"mixed", mixed}, {"user at work", userAtWork},
	} {
		t.Run(c.name, func(t *testing.T) {
			target.Reset(t)
			s := &suite{T: t, target: target, pipeline: fmt.Sprintf("p%x", rand.Uint64()), entity: fmt.Sprintf("e%x", rand.Uint64())}
			s.open()
			c.f(s)
		})
	}
}

// suite is one test with a sink of its own.
type suite struct {
	*testing.T
	target           Target
	pipeline, entity string
	sink             sinks.Sink
	arm              func(Fault)
	batch            int64
}

var ctx = context.Background()

// open opens and starts a sink in place of the one there was.
func (s *suite) open() schemas.Progress {
	s.Helper()
	if s.sink != nil {
		_ = s.sink.Close()
	}
	s.sink, s.arm = s.target.Open(s.T, s.pipeline, 3)
	sink := s.sink
	s.Cleanup(func() { _ = sink.Close() })
	refused := errors.New("does not fit")
	if _, err := sink.Start(ctx, func(schemas.Progress) error { return refused }); !errors.Is(err, refused) {
		s.Fatalf("a claim that was not accepted: %v", err)
	}
	p, err := sink.Start(ctx, Anyone)
	if err != nil {
		s.Fatal(err)
	}
	return p
}

// apply sends the next batch.
func (s *suite) apply(intents ...schemas.Intent) []schemas.Answer {
	s.Helper()
	s.batch++
	answers, err := s.sink.Apply(ctx, s.batch, intents)
	if err != nil {
		s.Fatal(err)
	}
	if len(answers) != len(intents) {
		s.Fatalf("%d answers for %d intents", len(answers), len(intents))
	}
	for i, a := range answers {
		if a.ID != intents[i].ID {
			s.Fatalf("answer %d is of %q, want %q", i, a.ID, intents[i].ID)
		}
	}
	return answers
}

// want checks outcomes: a for applied, m for missed, r for refused.
func (s *suite) want(answers []schemas.Answer, outcomes string) {
	s.Helper()
	var got strings.Builder
	for _, a := range answers {
		got.WriteByte("?amr"[a.Outcome])
	}
	if got.String() == outcomes {
		return
	}
	for i, a := range answers {
		if i >= len(outcomes) || got.String()[i] != outcomes[i] {
			s.Fatalf("outcomes %.200s, want %.200s; the first that differs: %+v", &got, outcomes, a)
		}
	}
}

// value checks one value in the target.
func (s *suite) value(table string, key any, column, want string) {
	s.Helper()
	if got := s.target.Read(s.T, table)[fmt.Sprint(key)][column]; got != want {
		s.Fatalf("%s %v %s = %q, want %q", table, key, column, got, want)
	}
}

func (s *suite) count(table string, want int) {
	s.Helper()
	if got := len(s.target.Read(s.T, table)); got != want {
		s.Fatalf("%s has %d rows, want %d", table, got, want)
	}
}

// allLinks reads the links of the test's entity: "native=hub status".
func (s *suite) allLinks() map[string]string {
	s.Helper()
	out := map[string]string{}
	err := s.sink.(interface {
		Links(context.Context, func(schemas.Link, string) error) error
	}).Links(ctx, func(l schemas.Link, status string) error {
		if l.Entity == s.entity {
			out[l.NativeKey] = l.Hub + " " + status
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return out
}

func (s *suite) wantLinks(want map[string]string) {
	s.Helper()
	if got := s.allLinks(); !reflect.DeepEqual(got, want) {
		s.Fatalf("links %v, want %v", got, want)
	}
}

func txt(v string) schemas.Value { return schemas.Text(v) }
func num(v int64) schemas.Value  { return schemas.Int(v) }

// cells makes cells of name and value in turn.
func cells(pairs ...any) []schemas.Cell {
	var out []schemas.Cell
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, schemas.Cell{Column: pairs[i].(string), Value: pairs[i+1].(schemas.Value)})
	}
	return out
}

func intent(id string, writes ...schemas.Write) schemas.Intent {
	return schemas.Intent{ID: id, Writes: writes}
}

func (s *suite) write(kind schemas.WriteKind, table string, key, set, guard []schemas.Cell) schemas.Write {
	return schemas.Write{Kind: kind, Table: s.target.Name(table), Key: key, Set: set, Guard: guard}
}

// customer inserts a customer whose key is generated and linked to the hub id.
func (s *suite) newCustomer(hub, name string, email schemas.Value) schemas.Write {
	w := s.write(schemas.WriteInsert, customer, cells("id", schemas.Null), cells("name", txt(name), "email", email), nil)
	if hub != "" {
		w.Link = &schemas.Link{Entity: s.entity, Hub: hub}
	}
	if !email.IsNull() {
		w.Absent = [][]schemas.Cell{cells("email", email)}
	}
	return w
}

func (s *suite) rename(id schemas.Value, from, to string) schemas.Write {
	return s.write(schemas.WriteUpdate, customer, cells("id", id), cells("name", txt(to)), cells("name", txt(from)))
}

// have makes customers as a user: id 1, 2, … with the names given.
func (s *suite) have(names ...string) {
	s.Helper()
	for i, n := range names {
		s.target.Insert(s.T, customer, map[string]schemas.Value{"id": num(int64(i + 1)), "name": txt(n), "email": txt(fmt.Sprintf("u%d@x", i+1))})
	}
}

func startFences(s *suite) {
	s.have("ann", "bob")
	old := s.sink
	s.sink = nil
	if p := s.open(); p.Epoch != 2 || p.Batch != 0 {
		s.Fatalf("progress %+v, want epoch 2, batch 0", p)
	}
	_, err := old.Apply(ctx, 1, []schemas.Intent{intent("a", s.rename(num(1), "ann", "eve"))})
	if !errors.Is(err, sinks.ErrFenced) {
		s.Fatalf("the older owner got %v, want ErrFenced", err)
	}
	s.value(customer, 1, "name", "ann")
	s.want(s.apply(intent("a", s.rename(num(1), "ann", "eve"))), "a")
	if p := s.open(); p.Epoch != 3 || p.Batch != 1 || p.At.IsZero() {
		s.Fatalf("progress %+v, want epoch 3, batch 1 and a time", p)
	}
}

func insertAndReplay(s *suite) {
	s.have("ann")
	batch := []schemas.Intent{
		intent("new", s.newCustomer("h1", "carl", txt("carl@x"))),
		intent("missed", s.rename(num(1), "bob", "eve")),
		intent("refused", s.newCustomer("h2", strings.Repeat("x", 21), schemas.Null)),
		intent("made", s.rename(num(1), "ann", "anna")),
		intent("half", s.newCustomer("h3", "dora", txt("dora@x")), s.rename(num(1), "nobody", "x")),
	}
	first := s.apply(batch...)
	s.want(first, "amram")
	if first[4].Write != 1 || first[1].Reason == "" || !strings.Contains(first[2].Reason, "name") && !strings.Contains(first[2].Reason, "20") {
		s.Fatalf("answers %+v", first)
	}
	id := first[0].Keys["h1"]
	s.value(customer, id, "name", "carl")
	s.wantLinks(map[string]string{id: "h1 live"})
	s.batch--
	again := s.apply(batch...)
	if !reflect.DeepEqual(first, again) {
		s.Fatalf("sent again\n%+v, first\n%+v", again, first)
	}
	s.open()
	s.batch--
	if again = s.apply(batch...); !reflect.DeepEqual(first, again) {
		s.Fatalf("after a restart\n%+v, first\n%+v", again, first)
	}
	s.count(customer, 2)
}

func batchNumbers(s *suite) {
	s.want(s.apply(), "")
	s.want(s.apply(), "")
	for _, n := range []int64{1, 4} {
		_, err := s.sink.Apply(ctx, n, []schemas.Intent{intent("x", s.newCustomer("h", "x", schemas.Null))})
		if err == nil || errors.Is(err, sinks.ErrFenced) || !strings.Contains(err.Error(), "different installations") {
			s.Fatalf("batch %d after 2: %v", n, err)
		}
		s.open()
	}
	s.count(customer, 0)
	one := intent("x", s.newCustomer("h", "x", schemas.Null))
	if _, err := s.sink.Apply(ctx, 3, []schemas.Intent{one, one}); err == nil {
		s.Fatal("two intents of one id were taken")
	}
}

// lostReply breaks the connection at the commit, in both flavours.
func lostReply(s *suite) {
	s.have("ann")
	for i, f := range []Fault{NotDone, Done} {
		name := fmt.Sprint("c", i)
		batch := []schemas.Intent{
			intent("new", s.newCustomer("h"+name, name, txt(name+"@x"))),
			intent("missed", s.rename(num(1), "bob", "eve")),
			intent("refused", s.newCustomer("r"+name, strings.Repeat("x", 21), schemas.Null)),
		}
		s.batch++
		s.arm(f)
		if _, err := s.sink.Apply(ctx, s.batch, batch); err == nil {
			s.Fatal("the commit was broken and no error came")
		}
		if _, err := s.sink.Apply(ctx, s.batch, batch); err == nil {
			s.Fatal("a broken sink must not go on")
		}
		p := s.open()
		wantBatch, wantRows := s.batch-1, 1+i
		if f == Done {
			wantBatch, wantRows = s.batch, 2+i
		}
		if p.Batch != wantBatch {
			s.Fatalf("fault %d: progress at %d, want %d", f, p.Batch, wantBatch)
		}
		s.count(customer, wantRows)
		s.batch--
		answers := s.apply(batch...)
		s.want(answers, "amr")
		s.value(customer, answers[0].Keys["h"+name], "name", name)
		s.count(customer, 2+i)
	}
}

func guards(s *suite) {
	s.have("abc", "Abc ", "x", "x")
	s.target.Set(s.T, customer, num(3), "credit", txt("10.50"))
	s.target.Set(s.T, customer, num(3), "email", schemas.Null)
	set := cells("note", txt("hit"))
	g := func(id int64, column string, v schemas.Value) schemas.Write {
		return s.write(schemas.WriteUpdate, customer, cells("id", num(id)), set, cells(column, v))
	}
	for i, c := range []struct {
		w    schemas.Write
		want string
	}{
		{g(1, "name", txt("ABC")), "m"}, {g(1, "name", txt("abc ")), "m"}, {g(1, "name", txt("ab")), "m"}, {g(1, "name", txt("äbc")), "m"}, {g(1, "name", txt("abc")), "a"},
		{g(2, "name", txt("Abc")), "m"}, {g(2, "name", txt("Abc ")), "a"},
		{g(3, "email", txt("")), "m"}, {g(3, "email", schemas.Null), "a"}, {g(4, "email", schemas.Null), "m"},
		{g(3, "credit", txt("10.51")), "m"}, {g(3, "credit", txt("10.50")), "a"}, {g(4, "credit", schemas.Null), "a"},
		{g(9, "name", txt("x")), "m"},
		{s.write(schemas.WriteUpdate, customer, cells("id", schemas.Null), set, nil), "m"},
		{s.write(schemas.WriteDelete, customer, cells("id", num(4)), nil, cells("name", txt("X"))), "m"},
		{s.write(schemas.WriteDelete, customer, cells("id", num(4)), nil, cells("name", txt("x"), "note", txt("hit"))), "a"},
		{s.write(schemas.WriteDelete, customer, cells("id", num(4)), nil, nil), "m"},
		{s.write(schemas.WriteCheck, customer, cells("id", num(3)), nil, nil), "a"},
		{s.write(schemas.WriteCheck, customer, cells("id", num(3)), nil, cells("credit", txt("77.00"))), "m"},
		{s.write(schemas.WriteCheck, customer, cells("id", num(4)), nil, nil), "m"},
	} {
		s.want(s.apply(intent(fmt.Sprint("alone", i), c.w)), c.want)
	}
	// The same in bulk: statements that carry many rows must compare alike.
	s.target.Reset(s.T)
	var batch []schemas.Intent
	want := ""
	for i := range 40 {
		name := fmt.Sprint("n", i)
		s.target.Insert(s.T, customer, map[string]schemas.Value{"id": num(int64(i + 1)), "name": txt(name)})
		outcome := []string{"a", "m", "m", "a"}[i%4]
		guard := map[string]string{"a": name, "m": []string{strings.ToUpper(name), name + " "}[i%2]}[outcome]
		batch = append(batch, intent(name, s.rename(num(int64(i+1)), guard, name+"!")))
		want += outcome
	}
	s.want(s.apply(batch...), want)
	for i := range 40 {
		s.value(customer, i+1, "name", fmt.Sprint("n", i)+map[bool]string{true: "!"}[want[i] == 'a'])
	}
}

func equalValues(s *suite) {
	s.have("ann", "bob", "cid", "dan", "eve", "fay")
	var batch []schemas.Intent
	for i, n := range []string{"ann", "bob", "cid", "dan", "eve", "fay"} {
		batch = append(batch, intent(n, s.rename(num(int64(i+1)), n, n)))
	}
	s.want(s.apply(batch...), "aaaaaa")
	s.want(s.apply(batch[0]), "a")
}

func isolation(s *suite) {
	s.have("ann", "bob", "cid")
	answers := s.apply(
		intent("1", s.rename(num(1), "ann", "ANN"), s.rename(num(2), "bob", "BOB")),
		intent("2", s.rename(num(1), "ANN", "x"), s.rename(num(2), "wrong", "y")),
		intent("3", s.rename(num(2), "wrong", "y"), s.rename(num(1), "ANN", "x")),
		intent("4", s.rename(num(1), "ANN", "x"), s.newCustomer("", strings.Repeat("y", 30), schemas.Null), s.rename(num(3), "cid", "x")),
		intent("5", s.rename(num(3), "cid", "CID")),
	)
	s.want(answers, "ammra")
	if answers[1].Write != 1 || answers[2].Write != 0 || answers[3].Write != 1 {
		s.Fatalf("writes named: %+v", answers)
	}
	for i, n := range []string{"ANN", "BOB", "CID"} {
		s.value(customer, i+1, "name", n)
	}
}

func constraints(s *suite) {
	s.have("ann", "bob", "cid")
	s.target.Insert(s.T, contact, map[string]schemas.Value{"customer_id": num(3), "phone": txt("1")})
	unguarded := s.newCustomer("h1", "dup", txt("u1@x"))
	unguarded.Absent = nil
	child := func(customer schemas.Value) schemas.Write {
		return s.write(schemas.WriteInsert, contact, cells("id", schemas.Null), cells("customer_id", customer), nil)
	}
	answers := s.apply(
		intent("ok1", s.rename(num(1), "ann", "ANN")),
		intent("unique", unguarded),
		intent("unique update", s.write(schemas.WriteUpdate, customer, cells("id", num(1)), cells("email", txt("u2@x")), nil)),
		intent("foreign key", child(num(77))),
		intent("not null", child(schemas.Null)),
		intent("null", s.write(schemas.WriteUpdate, customer, cells("id", num(1)), cells("name", schemas.Null), nil)),
		intent("long", s.rename(num(1), "ANN", strings.Repeat("ü", 21))),
		intent("fits", s.rename(num(2), "bob", strings.Repeat("ü", 20))),
		intent("referenced", s.write(schemas.WriteDelete, customer, cells("id", num(3)), nil, nil)),
		intent("no column", s.write(schemas.WriteUpdate, customer, cells("id", num(1)), cells("colour", txt("red")), nil)),
		intent("no table", s.write(schemas.WriteUpdate, "nowhere", cells("id", num(1)), cells("colour", txt("red")), nil)),
		intent("ok2", s.rename(num(3), "cid", "CID")),
	)
	s.want(answers, "amrrrrrarrra")
	for i, word := range map[int]string{1: "email", 2: "email", 3: "customer_id", 4: "customer_id", 5: "name", 6: "name", 9: "colour", 10: "nowhere"} {
		if !strings.Contains(answers[i].Reason, word) {
			s.Errorf("the reason of %q does not name %s: %s", answers[i].ID, word, answers[i].Reason)
		}
	}
	s.count(customer, 3)
	s.count(contact, 1)
	s.wantLinks(map[string]string{})
}

func absent(s *suite) {
	s.have("ann")
	s.target.Set(s.T, customer, num(1), "credit", schemas.Null)
	with := func(alternatives ...[]schemas.Cell) schemas.Write {
		w := s.newCustomer("", "new", schemas.Null)
		w.Absent = alternatives
		return w
	}
	s.want(s.apply(
		intent("1", with(cells("name", txt("ann")))),
		intent("2", with(cells("name", txt("bob")), cells("email", txt("u1@x")))),
		intent("3", with(cells("name", txt("ann"), "credit", schemas.Null))),
		intent("4", with(cells("name", txt("ann"), "credit", txt("1.00")), cells("name", txt("bob")))),
		intent("5", with(cells("name", txt("new")))),
		intent("6", with()),
		intent("7", with(cells("note", schemas.Null))),
	), "mmmamam")
	s.count(customer, 3)
}

func document(s *suite) {
	s.have("ann")
	doc := func(n int, phone string) schemas.Intent {
		line := func(phone string, i int) schemas.Write {
			w := s.write(schemas.WriteInsert, contact, cells("id", schemas.Null), cells("customer_id", schemas.Null, "phone", txt(phone)), nil)
			w.From = map[string]int{"customer_id": 0}
			w.Link = &schemas.Link{Entity: s.entity + "-line", Hub: fmt.Sprintf("l%d-%d", n, i)}
			return w
		}
		second := line("2", 2)
		second.Set = second.Set[1:] // the column of From need not be among the cells
		return intent(fmt.Sprint("doc", n), s.newCustomer(fmt.Sprint("h", n), fmt.Sprint("doc", n), txt(fmt.Sprint("doc", n, "@x"))), line(phone, 1), second,
			s.write(schemas.WriteUpdate, customer, cells("id", num(1)), cells("note", txt(fmt.Sprint(n))), nil))
	}
	var batch []schemas.Intent
	for n := range 12 {
		batch = append(batch, doc(n, "1"))
	}
	batch[5] = doc(5, strings.Repeat("9", 21))
	answers := s.apply(batch...)
	s.want(answers, "aaaaaraaaaaa")
	if answers[5].Write != 1 {
		s.Fatalf("refused write %d, want 1: %s", answers[5].Write, answers[5].Reason)
	}
	s.count(customer, 12)
	s.count(contact, 22)
	rows := s.target.Read(s.T, contact)
	for n, a := range answers {
		if n == 5 {
			continue
		}
		for i := 1; i <= 2; i++ {
			line := rows[a.Keys[fmt.Sprintf("l%d-%d", n, i)]]
			if line["customer_id"] != a.Keys[fmt.Sprint("h", n)] || line["phone"] != fmt.Sprint(i) {
				s.Fatalf("line %d of document %d is %v, keys %v", i, n, line, a.Keys)
			}
		}
		s.value(customer, a.Keys[fmt.Sprint("h", n)], "name", fmt.Sprint("doc", n))
	}
	s.batch--
	if again := s.apply(batch...); !reflect.DeepEqual(again, answers) {
		s.Fatalf("sent again\n%+v, first\n%+v", again, answers)
	}
}

func links(s *suite) {
	link := func(kind schemas.WriteKind, native, hub string) schemas.Write {
		return schemas.Write{Kind: kind, Link: &schemas.Link{Entity: s.entity, Hub: hub, NativeKey: native}}
	}
	one := func(kind schemas.WriteKind, native, hub string) schemas.Intent {
		return intent(fmt.Sprint(kind, native, hub), link(kind, native, hub))
	}
	s.want(s.apply(
		one(schemas.WriteLink, "1", "a"), one(schemas.WriteLink, "2", "b"),
		one(schemas.WriteLink, "1", "x"),                                   // its row is taken
		one(schemas.WriteLink, "9", "b"),                                   // its row has a new key
		one(schemas.WriteLink, "A", "c"), one(schemas.WriteLink, "a", "C"), // not the same
	), "aaraaa")
	s.wantLinks(map[string]string{"1": "a live", "9": "b live", "A": "c live", "a": "C live"})
	s.want(s.apply(one(schemas.WriteLink, "2", "b")), "a")
	answers := s.apply(one(schemas.WriteLink, "1", "a"), one(schemas.WriteLink, "2", "x"), one(schemas.WriteUnlink, "2", "b"), one(schemas.WriteUnlink, "", "nobody"))
	s.want(answers, "araa")
	if !strings.Contains(answers[1].Reason, "already linked") {
		s.Fatal(answers[1].Reason)
	}
	s.wantLinks(map[string]string{"1": "a live", "2": "b dead", "A": "c live", "a": "C live"})
	// A dead link gives way: to another record of ours, or to another row of theirs.
	s.want(s.apply(one(schemas.WriteLink, "2", "x"), one(schemas.WriteUnlink, "1", "a")), "aa")
	s.want(s.apply(one(schemas.WriteLink, "7", "a"), one(schemas.WriteUnlink, "A", "c"), one(schemas.WriteLink, "A", "c")), "aaa")
	s.wantLinks(map[string]string{"2": "x live", "7": "a live", "A": "c live", "a": "C live"})
	// A refused link undoes the rows of its intent, an intent that misses sets no link.
	s.have("ann")
	s.want(s.apply(
		intent("taken", s.newCustomer("a", "new", schemas.Null)),
		intent("missed", s.rename(num(1), "bob", "x"), link(schemas.WriteLink, "50", "fifty")),
		intent("no key", link(schemas.WriteLink, "", "sixty")),
		intent("dropped", s.write(schemas.WriteDelete, customer, cells("id", num(1)), nil, cells("name", txt("ann"))), link(schemas.WriteUnlink, "7", "a")),
	), "rmra")
	s.count(customer, 0)
	s.wantLinks(map[string]string{"2": "x live", "7": "a dead", "A": "c live", "a": "C live"})
}

func manyLinks(s *suite) {
	var batch []schemas.Intent
	for i := range 3000 {
		batch = append(batch, intent(fmt.Sprint(i), schemas.Write{Kind: schemas.WriteLink, Link: &schemas.Link{Entity: s.entity, Hub: fmt.Sprint("h", i), NativeKey: fmt.Sprint(i)}}))
	}
	s.want(s.apply(batch...), strings.Repeat("a", 3000))
	batch[1234].Writes[0].Link = &schemas.Link{Entity: s.entity, Hub: "other", NativeKey: "1234"}
	s.want(s.apply(batch...), strings.Repeat("a", 1234)+"r"+strings.Repeat("a", 3000-1235))
	if n := len(s.allLinks()); n != 3000 {
		s.Fatalf("%d links", n)
	}
}

func trigger(s *suite) {
	s.have("ann", "bob")
	s.want(s.apply(intent("1", s.rename(num(1), "ann", "eve")), intent("2", s.rename(num(2), "bob", "bob"))), "aa")
	s.value(customer, 1, "stamp", "1")
	s.value(customer, 2, "stamp", "0")
}

func oddNames(s *suite) {
	text := "a'b\"c\\d\n\r\t\x1a%_`$1 ? @x 日本 🎉 -- /* ; */"
	w := s.write(schemas.WriteInsert, odd, cells(oddKey, txt("k/1")), cells(oddSelect, txt(text), oddDash, txt("")), nil)
	w.Absent = [][]schemas.Cell{cells(oddKey, txt("k/1"))}
	w.Link = &schemas.Link{Entity: s.entity, Hub: "h"}
	answers := s.apply(intent("1", w))
	s.want(answers, "a")
	s.wantLinks(map[string]string{"k%2F1": "h live"})
	s.value(odd, "k/1", oddSelect, text)
	s.want(s.apply(intent("2", s.write(schemas.WriteUpdate, odd, cells(oddKey, txt("k/1")), cells(oddDash, txt(text), oddSelect, schemas.Null), cells(oddSelect, txt(text), oddDash, txt("")))),
		intent("3", s.write(schemas.WriteUpdate, odd, cells(oddKey, txt("K/1")), cells(oddDash, txt("no")), nil)),
		intent("4", s.write(schemas.WriteUpdate, odd, cells(oddKey, txt("k/1 ")), cells(oddDash, txt("no")), nil))), "amm")
	s.value(odd, "k/1", oddDash, text)
	s.value(odd, "k/1", oddSelect, "NULL")
}

// order has intents that depend on each other: they are applied as listed.
func order(s *suite) {
	s.have("ann", "bob")
	s.want(s.apply(
		intent("1", s.rename(num(1), "ann", "a1")),
		intent("2", s.rename(num(1), "a1", "a2")),
		intent("3", s.write(schemas.WriteUpdate, customer, cells("id", num(1)), cells("note", txt("x")), cells("name", txt("a2")))),
		intent("4", s.rename(num(1), "a2", "a3")),
		intent("5", s.write(schemas.WriteUpdate, customer, cells("id", num(2)), cells("email", txt("free@x")), cells("email", txt("u2@x")))),
		intent("6", s.write(schemas.WriteUpdate, customer, cells("id", num(1)), cells("email", txt("u2@x")), nil)),
		intent("7", s.write(schemas.WriteDelete, customer, cells("id", num(2)), nil, nil)),
		intent("8", s.newCustomer("h", "again", txt("free@x"))),
		intent("9", s.rename(num(1), "ann", "no")),
	), "aaaaaaaam")
	s.value(customer, 1, "name", "a3")
	s.value(customer, 1, "email", "u2@x")
	s.count(customer, 2)
}

// noKey has a key that is none: writing to several rows is never what was meant.
func noKey(s *suite) {
	s.have("ann", "ann", "bob", "cid", "dan", "eve", "fay")
	set := func(name string) schemas.Intent {
		return intent(name, s.write(schemas.WriteUpdate, customer, cells("name", txt(name)), cells("note", txt("hit")), nil))
	}
	s.want(s.apply(set("ann")), "r")
	s.want(s.apply(set("bob"), set("ann"), set("cid"), set("dan"), set("eve"), set("fay")), "araaaa")
	s.want(s.apply(intent("delete", s.write(schemas.WriteDelete, customer, cells("name", txt("ann")), nil, nil))), "r")
	s.value(customer, 1, "note", "NULL")
	s.count(customer, 7)
}

// senseless intents are refused one by one, and stop nobody.
func senseless(s *suite) {
	s.have("ann")
	from := s.newCustomer("", "x", schemas.Null)
	from.From = map[string]int{"note": 3}
	unknown := s.rename(num(1), "ann", "x")
	unknown.Set[0].Value = schemas.Unchanged
	s.want(s.apply(
		intent("from", from), intent("kind", schemas.Write{Table: s.target.Name(customer)}),
		intent("no key", s.write(schemas.WriteDelete, customer, nil, nil, nil)),
		intent("no link", schemas.Write{Kind: schemas.WriteLink}),
		intent("nothing"),
		intent("ok", s.rename(num(1), "ann", "eve")),
	), "rrrraa")
	s.count(customer, 1)
	if _, fake := s.target.(*MapTarget); !fake {
		s.want(s.apply(intent("unknown", unknown)), "r")
	}
}

// mixed sends 1000 intents of all kinds and follows them in a model.
func mixed(s *suite) {
	seed := rand.Uint64()
	s.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	const n = 60
	names := map[int]string{}
	for i := 1; i <= n; i++ {
		names[i] = fmt.Sprint("n", i)
		s.target.Insert(s.T, customer, map[string]schemas.Value{"id": num(int64(i)), "name": txt(names[i]), "email": txt(fmt.Sprintf("m%d@x", i))})
	}
	emails := map[string]bool{}
	want := ""
	var batch []schemas.Intent
	for i := range 1000 {
		id, o := 1+r.IntN(n), "a"
		guard, next := names[id], fmt.Sprint("v", i)
		if r.IntN(8) == 0 {
			guard, o = "wrong", "m"
		}
		w := []schemas.Write{s.rename(num(int64(id)), guard, next)}
		switch r.IntN(10) {
		case 0:
			email := fmt.Sprintf("e%d@x", r.IntN(40))
			w = append(w, s.newCustomer(fmt.Sprint("h", i), "new", txt(email)))
			if o == "a" && emails[email] {
				o = "m"
			}
			emails[email] = emails[email] || o == "a"
		case 1:
			w = append(w, s.newCustomer("", strings.Repeat("l", 21), schemas.Null))
			if o == "a" {
				o = "r"
			}
		case 2:
			w = append(w, schemas.Write{Kind: schemas.WriteLink, Link: &schemas.Link{Entity: s.entity, Hub: fmt.Sprint("x", i), NativeKey: fmt.Sprint("x", i)}})
		case 3:
			w[0].Set = append(w[0].Set, cells("note", txt(next))...)
		}
		if o == "a" {
			names[id] = next
		}
		want += o
		batch = append(batch, intent(fmt.Sprint(i), w...))
	}
	answers := s.apply(batch...)
	s.want(answers, want)
	for id, name := range names {
		s.value(customer, id, "name", name)
	}
	live := 0
	for _, on := range emails {
		if on {
			live++
		}
	}
	s.count(customer, n+live)
	s.open()
	s.batch--
	if again := s.apply(batch...); !reflect.DeepEqual(again, answers) {
		s.Fatal("sent again: other answers")
	}
}

// userAtWork has a user hold a row that a batch writes to.
func userAtWork(s *suite) {
	l, ok := s.target.(Locker)
	if !ok {
		return
	}
	s.have("ann", "bob", "cid")
	end := l.Lock(s.T, customer, num(2), "name", txt("user"))
	type result struct {
		answers []schemas.Answer
		err     error
	}
	done := make(chan result, 1)
	go func() {
		a, err := s.sink.Apply(ctx, 1, []schemas.Intent{
			intent("1", s.rename(num(1), "ann", "ANN"), s.rename(num(2), "bob", "BOB")),
			intent("2", s.rename(num(3), "cid", "CID")),
		})
		done <- result{a, err}
	}()
	for !l.Waiting(s.T) {
		select {
		case r := <-done:
			s.Fatalf("the sink did not wait for the user: %+v", r)
		default:
		}
	}
	end()
	r := <-done
	if r.err != nil {
		s.Fatal(r.err)
	}
	s.want(r.answers, "ma")
	for i, n := range []string{"ann", "user", "CID"} {
		s.value(customer, i+1, "name", n)
	}
}
