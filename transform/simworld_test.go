package transform

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
)

// simTable makes a table of text columns whose first is the key.
func simTable(schema, name string, cols ...string) *schemas.Table {
	t := &schemas.Table{Name: schemas.TableName{Schema: schema, Name: name}, Key: []int{0}}
	for i, c := range cols {
		t.Columns = append(t.Columns, schemas.Column{Name: c, Type: schemas.Type{Kind: schemas.KindText}, Nullable: i > 0, HasDefault: i == 0})
	}
	return t
}

// withDefault gives the last column a default of the server's, which an insert of
// ours leaves out and therefore does not know.
func withDefault(t *schemas.Table) *schemas.Table {
	t.Columns[len(t.Columns)-1].HasDefault = true
	return t
}

var (
	simAlive = schemas.Text("0") // the default of accounts.deleted, and of debtor.state
	simGone  = schemas.Text("1")
)

var simTables = [2]map[string]*schemas.Table{
	{
		"accounts": withDefault(simTable("crm", "accounts", "id", "name", "f", "g", "deleted")),
		"contacts": simTable("crm", "contacts", "id", "account_id", "kind", "v"),
		"orders":   simTable("crm", "orders", "id", "no", "account_id", "status"),
	},
	{
		"accounts": withDefault(simTable("erp", "debtor", "id", "name1", "ff", "gg", "state")),
		"contacts": simTable("erp", "debtor_contact", "id", "debtor_id", "art", "vv"),
		"orders":   simTable("erp", "sales_order", "id", "ext", "debtor_id", "state"),
	},
}

var simProgress = &schemas.Table{Name: schemas.ProgressTable, Key: []int{0}, Columns: []schemas.Column{{Name: "pipeline"}, {Name: "batch"}}}

func simPart(name, kind string, parent int) *mapping.Part {
	p := &mapping.Part{Name: name}
	for side := range p.Sides {
		ps := &mapping.PartSide{Table: simTables[side][kind], OtherDeleted: mapping.DeleteRule{Action: mapping.DeleteRemove}}
		ps.Create = func(mapping.Env) (bool, error) { return true, nil }
		if parent > 0 {
			ps.Parent = []int{parent}
		}
		p.Sides[side] = ps
	}
	return p
}

// simField maps column col on both sides to the same text; the second side holds
// it in brackets, so that raw values never agree by chance.
func simField(p *mapping.Part, name string, col int, owner mapping.Owner) *mapping.Field {
	f := &mapping.Field{Name: name, Owner: owner}
	for side := range f.Sides {
		f.Sides[side] = &mapping.FieldSide{Reads: []int{col}, Writes: []int{col},
			In: func(env mapping.Env) (schemas.Value, error) {
				v := env.Row[col]
				if side == 1 && !v.IsNull() {
					return schemas.Text(strings.Trim(v.Text(), "[]")), nil
				}
				return v, nil
			},
			Out: func(v schemas.Value, _ mapping.Env) ([]schemas.Value, error) {
				if side == 1 && !v.IsNull() {
					v = schemas.Text("[" + v.Text() + "]")
				}
				return []schemas.Value{v}, nil
			}}
	}
	p.Fields = append(p.Fields, f)
	return f
}

func simRef(p *mapping.Part, name, entity string, col int, owner mapping.Owner) {
	f := simField(p, name, col, owner)
	f.Ref = entity
	for side := range f.Sides {
		f.Sides[side].In = func(env mapping.Env) (schemas.Value, error) { return env.Row[col], nil }
		f.Sides[side].Out = func(v schemas.Value, _ mapping.Env) ([]schemas.Value, error) { return []schemas.Value{v}, nil }
	}
}

// simMapping is customers with contacts, and orders that refer to customers.
func simMapping() *mapping.Set {
	root := simPart("", "accounts", 0)
	simField(root, "name", 1, mapping.OwnerBoth)
	simField(root, "f", 2, mapping.OwnerBoth)
	simField(root, "g", 3, mapping.OwnerFirst)
	root.Match = []mapping.MatchRule{{ID: "name", Fields: []int{0}}}
	// The CRM deletes softly: a row with deleted = 1 does not count.
	crm := root.Sides[0]
	crm.Where = func(r schemas.Row) (bool, error) { return r[4] != simGone, nil }
	crm.WhereColumns = []int{4}
	crm.Defaults = []mapping.Default{{Column: 4, Value: func(mapping.Env) (schemas.Value, error) { return simAlive, nil }}}
	crm.OtherDeleted = mapping.DeleteRule{Action: mapping.DeleteSet, Set: []mapping.Default{{Column: 4, Value: func(mapping.Env) (schemas.Value, error) { return simGone, nil }}}}
	child := simPart("contacts", "contacts", 1)
	simField(child, "kind", 2, mapping.OwnerBoth)
	simField(child, "v", 3, mapping.OwnerBoth)
	child.Match = []mapping.MatchRule{{ID: "kind", Fields: []int{0}}}
	order := simPart("", "orders", 0)
	simField(order, "no", 1, mapping.OwnerFirst)
	simRef(order, "customer", "customer", 2, mapping.OwnerFirst)
	simField(order, "status", 3, mapping.OwnerSecond)
	order.Match = []mapping.MatchRule{{ID: "no", Fields: []int{0}}}
	order.Sides[0].Create = nil
	systems := [2]string{"crm", "erp"}
	return &mapping.Set{Entities: []*mapping.Entity{
		{Name: "customer", Systems: systems, Root: root, Children: []*mapping.Part{child}, Quiet: 3 * time.Millisecond, MaxQuiet: 20 * time.Millisecond},
		{Name: "order", Systems: systems, Root: order},
	}}
}

// simTxn is one transaction in a system's log.
type simTxn struct {
	changes []schemas.Change
	txn     *schemas.Txn
}

// simSystem is a database: rows, a log, and what a sink keeps in it.
type simSystem struct {
	side   int
	name   string
	rows   map[string]map[string]schemas.Row // by kind and key
	next   int
	log    []simTxn
	read   int // transactions made commits of
	commit []stream.Part
	seq    uint64
	batch  int64
	answer map[int64][]schemas.Answer
	links  map[string]string // entity and hub to key
	// ends are the values of deleted rows, by kind and key, when a user deleted them.
	ends map[string]schemas.Row
}

func newSimSystem(side int, name string) *simSystem {
	s := &simSystem{side: side, name: name, rows: map[string]map[string]schemas.Row{}, answer: map[int64][]schemas.Answer{},
		links: map[string]string{}, ends: map[string]schemas.Row{}}
	for k := range simTables[side] {
		s.rows[k] = map[string]schemas.Row{}
	}
	return s
}

func (s *simSystem) kindOf(n schemas.TableName) string {
	for k, t := range simTables[s.side] {
		if t.Name == n {
			return k
		}
	}
	panic("no table " + n.String())
}

func (s *simSystem) keys(kind string) []string { return slices.Sorted(maps.Keys(s.rows[kind])) }

// text is a cell as both sides would call it.
func (s *simSystem) text(v schemas.Value) string { return strings.Trim(v.Text(), "[]") }

// raw is how this side holds a text.
func (s *simSystem) raw(t string) schemas.Value {
	if s.side == 1 {
		t = "[" + t + "]"
	}
	return schemas.Text(t)
}

// record adds a change of a row to the transaction and to the table.
func (s *simSystem) record(tx *simTxn, op schemas.Op, kind, pk string, r schemas.Row) {
	ch := schemas.Change{Op: op, Table: simTables[s.side][kind], Txn: tx.txn}
	if op == schemas.Delete {
		ch.Before = make(schemas.Row, len(ch.Table.Columns))
		for i := range ch.Before {
			ch.Before[i] = schemas.Unchanged
		}
		ch.Before[0] = schemas.Text(pk)
		delete(s.rows[kind], pk)
	} else {
		ch.After = slices.Clone(r)
		s.rows[kind][pk] = slices.Clone(r)
	}
	tx.changes = append(tx.changes, ch)
}

// capture makes a commit of the next n transactions, as the stream would hold it.
func (s *simSystem) capture(n int, phase schemas.Phase) bool {
	n = min(n, len(s.log)-s.read)
	if n == 0 && phase == schemas.PhaseLog {
		return false
	}
	c := &schemas.Commit{System: s.name, Number: int64(len(s.commit) + 1), Phase: phase, Txns: n, FirstSeq: s.seq + 1, Offset: int64(len(s.commit)) * 2}
	p := stream.Part{Commit: c, Last: true}
	for _, tx := range s.log[s.read : s.read+n] {
		for _, ch := range tx.changes {
			s.seq++
			ch.Seq = s.seq
			p.Changes = append(p.Changes, ch)
		}
	}
	s.read += n
	c.LastSeq, p.Seq = s.seq, s.seq
	s.commit = append(s.commit, p)
	return true
}

// after is the part a reader gets that starts there.
func (s *simSystem) after(st stream.Start) *stream.Part {
	for i := range s.commit {
		if s.commit[i].Commit.Offset < st.Offset {
			continue
		}
		p := s.commit[i]
		p.Changes = nil
		for _, ch := range s.commit[i].Changes {
			if ch.Seq > st.AfterSeq {
				ch.After, ch.Before = slices.Clone(ch.After), slices.Clone(ch.Before)
				p.Changes = append(p.Changes, ch)
			}
		}
		return &p
	}
	return nil
}

// simWorld is everything, deterministic from one seed.
type simWorld struct {
	r     *rand.Rand
	sys   [2]*simSystem
	clock time.Time
	n     int
	prev  map[string]string // a value to the one it was typed over
	// overwritten are the values that we wrote over or deleted unseen by the author of
	// what took their place: each needs a conflict record.
	overwritten map[string]string
	// lost are all values that we wrote over.
	lost  map[string]bool
	story []string
	// partner finds the key that a row's record has on the other side, in the
	// reconciler's store.
	partner func(entity, system, pk, other string) string
	// trigger, if set, is what a database does to a row that we write; refuse and miss
	// are what it will not take.
	trigger func(s *simSystem, kind string, r schemas.Row)
	refuse  func(s *simSystem, in *schemas.Intent) string
	miss    func(s *simSystem, in *schemas.Intent) bool
	// writes counts the intents that changed a business table.
	writes int
}

func (w *simWorld) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

func (w *simWorld) value(prefix string) string {
	w.n++
	return fmt.Sprintf("%s%d", prefix, w.n)
}

// seen says that the author of a value knew an older one.
func (w *simWorld) seen(old, by string) bool {
	for v := by; v != ""; v = w.prev[v] {
		if v == old {
			return true
		}
	}
	return false
}

// sim columns that hold users' values, by kind.
var simValues = map[string][]int{"accounts": {2, 3}, "contacts": {3}, "orders": {3}}

// user does something in one of the offices.
func (w *simWorld) user() {
	s := w.sys[w.r.Intn(2)]
	w.clock = w.clock.Add(time.Duration(w.r.Intn(4)) * time.Millisecond)
	tx := simTxn{txn: &schemas.Txn{ID: fmt.Sprint(s.name, len(s.log)), Time: w.clock}}
	switch x := w.r.Float64(); {
	case x < 0.15:
		w.newAccount(s, &tx)
	case x < 0.30:
		w.newContact(s, &tx)
	case x < 0.38:
		w.newOrder(s, &tx)
	case x < 0.88:
		w.edit(s, &tx)
	default:
		w.remove(s, &tx)
	}
	if len(tx.changes) > 0 {
		s.log = append(s.log, tx)
	}
}

func (w *simWorld) insert(s *simSystem, tx *simTxn, kind string, cells ...schemas.Value) {
	s.next++
	pk := fmt.Sprintf("%s%d", s.name, s.next)
	r := append(schemas.Row{schemas.Text(pk)}, cells...)
	s.record(tx, schemas.Insert, kind, pk, r)
	w.tell("user: %s inserts %s %v", s.name, kind, r)
}

func (s *simSystem) has(kind string, match func(schemas.Row) bool) bool {
	for _, r := range s.rows[kind] {
		if match(r) {
			return true
		}
	}
	return false
}

func (w *simWorld) newAccount(s *simSystem, tx *simTxn) {
	name := s.raw(string("KLMN"[w.r.Intn(4)]))
	if s.taken(name) {
		return
	}
	w.insert(s, tx, "accounts", name, s.raw(w.value("f")), s.raw(w.value("g")), simAlive)
}

// taken says that a living account has the name.
func (s *simSystem) taken(name schemas.Value) bool {
	return s.has("accounts", func(r schemas.Row) bool { return r[1] == name && r[4] != simGone })
}

// living are the keys of the rows that are not softly deleted.
func (s *simSystem) living(kind string) []string {
	return slices.DeleteFunc(s.keys(kind), func(pk string) bool {
		return kind == "accounts" && s.hidden(pk) || kind == "contacts" && s.hidden(s.rows[kind][pk][1].Text())
	})
}

func (w *simWorld) newContact(s *simSystem, tx *simTxn) {
	keys := s.living("accounts")
	if len(keys) == 0 {
		return
	}
	parent := schemas.Text(keys[w.r.Intn(len(keys))])
	kind := s.raw(string("xyz"[w.r.Intn(3)]))
	if s.has("contacts", func(r schemas.Row) bool { return r[1] == parent && r[2] == kind }) {
		return
	}
	w.insert(s, tx, "contacts", parent, kind, s.raw(w.value("v")))
}

func (w *simWorld) newOrder(s *simSystem, tx *simTxn) {
	keys := s.living("accounts")
	if s.side != 0 || len(keys) == 0 {
		return
	}
	w.insert(s, tx, "orders", s.raw(w.value("no")), schemas.Text(keys[w.r.Intn(len(keys))]), schemas.Null)
}

func (w *simWorld) pick(s *simSystem) (kind, pk string) {
	kinds := []string{"accounts", "accounts", "contacts", "orders"}
	kind = kinds[w.r.Intn(len(kinds))]
	keys := s.living(kind)
	if len(keys) == 0 {
		return "", ""
	}
	return kind, keys[w.r.Intn(len(keys))]
}

func (w *simWorld) edit(s *simSystem, tx *simTxn) {
	kind, pk := w.pick(s)
	if kind == "" {
		return
	}
	r := slices.Clone(s.rows[kind][pk])
	col := simValues[kind][w.r.Intn(len(simValues[kind]))]
	if w.r.Float64() > 0.15 { // otherwise a save that changes nothing
		v := w.value(string("?nfgv"[col]))
		w.prev[v] = s.text(r[col])
		r[col] = s.raw(v)
	}
	s.record(tx, schemas.Update, kind, pk, r)
	w.tell("user: %s sets %s %v", s.name, kind, r)
}

func (w *simWorld) remove(s *simSystem, tx *simTxn) {
	kind, pk := w.pick(s)
	if kind == "" || kind == "orders" {
		return
	}
	if kind == "accounts" && s.has("orders", func(o schemas.Row) bool { return o[2].Text() == pk }) {
		return
	}
	if s.side == 0 && kind == "accounts" {
		w.softDelete(s, tx, pk)
		return
	}
	if kind == "accounts" {
		for _, c := range s.keys("contacts") {
			if s.rows["contacts"][c][1].Text() == pk {
				w.removeRow(s, tx, "contacts", c)
			}
		}
	}
	w.removeRow(s, tx, kind, pk)
}

// softDelete hides an account, or shows one again that was hidden before.
func (w *simWorld) softDelete(s *simSystem, tx *simTxn, pk string) {
	for _, old := range s.keys("accounts") {
		r := slices.Clone(s.rows["accounts"][old])
		// Not one with orders: these keep pointing to the row that was removed in the ERP,
		// which a foreign key would have forbidden.
		ordered := s.has("orders", func(o schemas.Row) bool { return o[2].Text() == old })
		if r[4] == simGone && !ordered && !s.taken(r[1]) && w.r.Intn(3) == 0 {
			r[4] = simAlive
			w.tell("user: %s shows %v again", s.name, r)
			s.record(tx, schemas.Update, "accounts", old, r)
			return
		}
	}
	r := slices.Clone(s.rows["accounts"][pk])
	s.ends["accounts"+pk] = slices.Clone(r)
	r[4] = simGone
	w.tell("user: %s hides %v", s.name, r)
	s.record(tx, schemas.Update, "accounts", pk, r)
	for _, c := range s.keys("contacts") {
		if cr := s.rows["contacts"][c]; cr[1].Text() == pk {
			s.ends["contacts"+c] = slices.Clone(cr)
		}
	}
}

func (w *simWorld) removeRow(s *simSystem, tx *simTxn, kind, pk string) {
	w.tell("user: %s deletes %s %v", s.name, kind, s.rows[kind][pk])
	s.ends[kind+pk] = s.rows[kind][pk]
	s.record(tx, schemas.Delete, kind, pk, nil)
}

// apply is the sink: one transaction, progress first, every guard checked.
func (w *simWorld) apply(s *simSystem, batch int64, intents []schemas.Intent) ([]schemas.Answer, error) {
	if batch <= s.batch {
		return s.answer[batch], nil
	}
	if batch != s.batch+1 {
		return nil, fmt.Errorf("%s: batch %d after %d", s.name, batch, s.batch)
	}
	w.clock = w.clock.Add(time.Millisecond)
	tx := simTxn{txn: &schemas.Txn{ID: fmt.Sprint("batch", batch), Time: w.clock, Origin: schemas.Origin{Pipeline: "p", Batch: batch}}}
	tx.changes = append(tx.changes, schemas.Change{Op: schemas.Update, Table: simProgress, Txn: tx.txn, After: schemas.Row{schemas.Text("p"), schemas.Int(batch)}})
	var out []schemas.Answer
	for i := range intents {
		out = append(out, w.intent(s, &tx, &intents[i]))
	}
	s.batch, s.answer[batch] = batch, out
	s.log = append(s.log, tx)
	return out, nil
}

func (w *simWorld) intent(s *simSystem, tx *simTxn, in *schemas.Intent) schemas.Answer {
	a := schemas.Answer{ID: in.ID, Outcome: schemas.Applied, Keys: map[string]string{}}
	if w.refuse != nil {
		if why := w.refuse(s, in); why != "" {
			return schemas.Answer{ID: in.ID, Outcome: schemas.Refused, Reason: why}
		}
	}
	if w.miss != nil && w.miss(s, in) {
		return schemas.Answer{ID: in.ID, Outcome: schemas.Missed}
	}
	gone := map[string]bool{} // rows that an earlier write of the intent deletes
	for i := range in.Writes {
		if in.Writes[i].Kind == schemas.WriteDelete {
			gone[in.Writes[i].Key[0].Value.Text()] = true
		}
		if !s.allowed(&in.Writes[i], gone) {
			w.tell("%s misses %s at write %d", s.name, in.ID, i)
			return schemas.Answer{ID: in.ID, Outcome: schemas.Missed, Write: i}
		}
	}
	if s.side == 1 {
		if i, why := s.foreignKeys(in, gone); why != "" {
			w.tell("%s refuses %s: %s", s.name, in.ID, why)
			return schemas.Answer{ID: in.ID, Outcome: schemas.Refused, Write: i, Reason: why}
		}
	}
	made := make([]string, len(in.Writes))
	for i := range in.Writes {
		w.do(s, tx, &in.Writes[i], i, made, a.Keys)
	}
	return a
}

// foreignKeys are those of the ERP; the CRM has none.
func (s *simSystem) foreignKeys(in *schemas.Intent, gone map[string]bool) (int, string) {
	for i, wr := range in.Writes {
		if !wr.Kind.Business() {
			continue
		}
		kind := s.kindOf(wr.Table)
		if wr.Kind == schemas.WriteDelete && kind == "accounts" && s.referred(wr.Key[0].Value, gone) {
			return i, "violates foreign key: still referred to"
		}
		for _, c := range wr.Set {
			if c.Column == "debtor_id" && s.rows["accounts"][c.Value.Text()] == nil {
				return i, "violates foreign key: no such debtor"
			}
		}
	}
	return 0, ""
}

// referred says that rows other than those point to an account.
func (s *simSystem) referred(key schemas.Value, but map[string]bool) bool {
	return s.has("contacts", func(r schemas.Row) bool { return r[1] == key && !but[r[0].Text()] }) ||
		s.has("orders", func(r schemas.Row) bool { return r[2] == key })
}

func (s *simSystem) allowed(wr *schemas.Write, gone map[string]bool) bool {
	switch wr.Kind {
	case schemas.WriteUpdate, schemas.WriteDelete, schemas.WriteCheck:
		kind := s.kindOf(wr.Table)
		r, ok := s.rows[kind][wr.Key[0].Value.Text()]
		return ok && holds(simTables[s.side][kind], r, wr.Guard)
	case schemas.WriteInsert:
		kind := s.kindOf(wr.Table)
		for _, alt := range wr.Absent {
			if s.has(kind, func(r schemas.Row) bool {
				return !gone[r[0].Text()] && holds(simTables[s.side][kind], r, alt)
			}) {
				return false
			}
		}
	}
	return true
}

func holds(t *schemas.Table, r schemas.Row, cells []schemas.Cell) bool {
	for _, c := range cells {
		if r[t.Column(c.Column)] != c.Value {
			return false
		}
	}
	return true
}

func (w *simWorld) do(s *simSystem, tx *simTxn, wr *schemas.Write, i int, made []string, keys map[string]string) {
	switch wr.Kind {
	case schemas.WriteLink:
		s.links[wr.Link.Entity+"/"+wr.Link.Hub] = wr.Link.NativeKey
		return
	case schemas.WriteUnlink:
		delete(s.links, wr.Link.Entity+"/"+wr.Link.Hub)
		return
	case schemas.WriteCheck:
		return
	}
	kind := s.kindOf(wr.Table)
	t := simTables[s.side][kind]
	if wr.Kind == schemas.WriteDelete {
		pk := wr.Key[0].Value.Text()
		w.deleted(s, kind, pk)
		w.tell("strait: %s deletes %s %v", s.name, kind, s.rows[kind][pk])
		s.record(tx, schemas.Delete, kind, pk, nil)
		return
	}
	op, r := schemas.Update, make(schemas.Row, len(t.Columns))
	var pk string
	if wr.Kind == schemas.WriteInsert {
		op = schemas.Insert
		if kind == "accounts" {
			r[4] = simAlive
		}
		s.next++
		pk = fmt.Sprintf("%s%d", s.name, s.next)
		made[i], keys[wr.Link.Hub] = pk, pk
		r[0] = schemas.Text(pk)
		for col, from := range wr.From {
			r[t.Column(col)] = schemas.Text(made[from])
		}
		s.links[wr.Link.Entity+"/"+wr.Link.Hub] = pk
	} else {
		pk = wr.Key[0].Value.Text()
		copy(r, s.rows[kind][pk])
	}
	if kind == "accounts" && len(wr.Set) == 1 && wr.Set[0].Column == "deleted" && wr.Set[0].Value == simGone {
		w.deleted(s, kind, pk)
		for _, c := range s.keys("contacts") {
			if s.rows["contacts"][c][1].Text() == pk {
				// Whether its value is lost shows in the end: a user may still see to it.
				for v := s.text(s.rows["contacts"][c][3]); v != ""; v = w.prev[v] {
					w.lost[v] = true
				}
			}
		}
	}
	for _, c := range wr.Set {
		col := t.Column(c.Column)
		if col == 4 {
			r[col] = c.Value
			continue
		}
		if wr.Kind == schemas.WriteUpdate && !r[col].IsNull() {
			w.overwrote(s, s.text(r[col]), s.text(c.Value))
		}
		r[col] = c.Value
	}
	if w.trigger != nil {
		w.trigger(s, kind, r)
	}
	w.writes++
	w.tell("strait: %s writes %s %v", s.name, kind, r)
	s.record(tx, op, kind, pk, r)
}

func (w *simWorld) overwrote(s *simSystem, old, by string) {
	w.lost[old] = true
	if !w.seen(old, by) {
		w.overwritten[old] = fmt.Sprintf("%s: %s overwritten by %s", s.name, old, by)
	}
}

// deleted looks whether who deleted the record on the other side had seen the
// values that we now delete here.
func (w *simWorld) deleted(s *simSystem, kind, pk string) {
	entity := map[string]string{"accounts": "customer", "contacts": "customer.contacts", "orders": "order"}[kind]
	other := w.sys[1-s.side]
	end := other.ends[kind+w.partner(entity, s.name, pk, other.name)]
	for _, col := range simValues[kind] {
		v := s.rows[kind][pk][col]
		if v.IsNull() {
			continue
		}
		w.lost[s.text(v)] = true
		if end == nil || !w.seen(s.text(v), other.text(end[col])) {
			w.overwritten[s.text(v)] = fmt.Sprintf("%s: %s deleted unseen", s.name, s.text(v))
		}
	}
}

// hidden says that an account is there and softly deleted.
func (s *simSystem) hidden(pk string) bool {
	r := s.rows["accounts"][pk]
	return r != nil && r[4] == simGone
}

// buried are the contacts of accounts that are softly deleted in the end.
func (s *simSystem) buried() (out []string) {
	for _, c := range s.keys("contacts") {
		if s.side == 0 && s.hidden(s.rows["contacts"][c][1].Text()) {
			out = append(out, c)
		}
	}
	return out
}

// image is the business content of a side, in words that both sides share.
func (s *simSystem) image() []string {
	var out []string
	name := map[string]string{}
	for pk, r := range s.rows["accounts"] {
		if r[4] == simGone {
			continue
		}
		name[pk] = s.text(r[1])
		out = append(out, fmt.Sprintf("account %s f=%s g=%s", s.text(r[1]), s.text(r[2]), s.text(r[3])))
	}
	for _, r := range s.rows["contacts"] {
		if s.side == 0 && s.hidden(r[1].Text()) {
			continue
		}
		out = append(out, fmt.Sprintf("contact of %s %s=%s", name[r[1].Text()], s.text(r[2]), s.text(r[3])))
	}
	for _, r := range s.rows["orders"] {
		if name[r[2].Text()] == "" || s.side == 0 && s.hidden(r[2].Text()) {
			continue // its customer was deleted meanwhile: it waits, and says so
		}
		out = append(out, fmt.Sprintf("order %s of %s status=%s", s.text(r[1]), name[r[2].Text()], s.text(r[3])))
	}
	sort.Strings(out)
	return out
}
