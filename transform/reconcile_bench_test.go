package transform

import (
	"fmt"
	"slices"
	"testing"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/state"
)

// benchCustomers is how many customers with three contacts there are.
const benchCustomers = 200

// benchSim has customers that are linked and equal on both sides.
func benchSim(b *testing.B) *sim {
	b.Helper()
	s := emptySim(1, breakage{}, simMapping())
	for side, sys := range s.sys {
		for c := range benchCustomers {
			var tx simTxn
			pk := fmt.Sprintf("%c%d", "ce"[side], c)
			sys.record(&tx, schemas.Insert, "accounts", pk, schemas.Row{schemas.Text(pk), sys.raw(fmt.Sprint("name", c)), sys.raw("f"), sys.raw("g"), simAlive})
			for k := range 3 {
				child := fmt.Sprint(pk, ".", k)
				sys.record(&tx, schemas.Insert, "contacts", child, schemas.Row{schemas.Text(child), schemas.Text(pk), sys.raw(fmt.Sprint("kind", k)), sys.raw("v")})
			}
		}
		s.snapshot(sys)
	}
	if !s.rest() {
		b.Fatal("never at rest")
	}
	return s
}

// benchHubs are the hub ids of the customers.
func benchHubs(b *testing.B, s *sim) (hubs []string) {
	b.Helper()
	err := s.store.View(func(tx state.Txn) error {
		for c := range benchCustomers {
			hub, err := s.engine.hubOf(tx, "customer", "crm", fmt.Sprint("c", c))
			if err != nil {
				return err
			}
			if hub != "" {
				hubs = append(hubs, hub)
			}
		}
		return nil
	})
	if err != nil || len(hubs) != benchCustomers {
		b.Fatalf("%d customers: %v", len(hubs), err)
	}
	return hubs
}

// benchSubject is a customer of which the CRM's user has edited one field.
func (s *sim) benchSubject(tx state.Txn, hub string) (*subject, error) {
	ent := s.engine.entities["customer"]
	rec, err := s.engine.getRecord(tx, "customer", hub)
	if err != nil {
		return nil, err
	}
	sub, err := s.engine.assemble(tx, ent, rec)
	if err != nil {
		return nil, err
	}
	img := sub.root.img[0]
	img.values[1] = schemas.Text("edited")
	img.edit[1] += 1_000_000
	return sub, nil
}

func mustPlanOne(b *testing.B, p *Plan) {
	b.Helper()
	if len(p.Writes[0]) != 0 || len(p.Writes[1]) != 1 || len(p.Parks) != 0 {
		b.Fatalf("the plan is %+v", p)
	}
}

// BenchmarkReconcile decides over customers with three contacts, one field edited.
func BenchmarkReconcile(b *testing.B) {
	s := benchSim(b)
	var subjects []*subject
	err := s.store.View(func(tx state.Txn) error {
		for _, hub := range benchHubs(b, s) {
			sub, err := s.benchSubject(tx, hub)
			if err != nil {
				return err
			}
			subjects = append(subjects, sub)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		mustPlanOne(b, Reconcile(subjects[i%len(subjects)]))
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entities/s")
}

// BenchmarkAssemble is BenchmarkReconcile with reading the record and its rows.
func BenchmarkAssemble(b *testing.B) {
	s := benchSim(b)
	hubs := benchHubs(b, s)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		err := s.store.View(func(tx state.Txn) error {
			sub, err := s.benchSubject(tx, hubs[i%len(hubs)])
			if err == nil {
				mustPlanOne(b, Reconcile(sub))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entities/s")
}

// BenchmarkSteps is the whole engine between two databases of maps: all customers
// are edited and brought to rest again.
func BenchmarkSteps(b *testing.B) {
	s := benchSim(b)
	crm := s.sys[0]
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s.clock = s.clock.Add(1_000_000)
		for c := range benchCustomers {
			tx := simTxn{txn: &schemas.Txn{ID: "user", Time: s.clock}}
			pk := fmt.Sprint("c", c)
			r := slices.Clone(crm.rows["accounts"][pk])
			r[2] = crm.raw(fmt.Sprint("f", n))
			crm.record(&tx, schemas.Update, "accounts", pk, r)
			crm.log = append(crm.log, tx)
		}
		n++
		if !s.rest() {
			b.Fatal("never at rest")
		}
	}
	if got, want := s.sys[1].text(s.sys[1].rows["accounts"]["e7"][2]), fmt.Sprint("f", n-1); got != want {
		b.Fatalf("the ERP has %q, want %q", got, want)
	}
	b.ReportMetric(float64(b.N*benchCustomers)/b.Elapsed().Seconds(), "entities/s")
}
