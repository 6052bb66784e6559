package sinktest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/strait-cdc/strait/schemas"
)

// Bench measures a Target: guarded updates and documents of one customer with
// three contacts, in batches of several sizes. The unit is rows a second, the
// progress row not counted.
func Bench(b *testing.B, target Target) {
	for _, size := range []int{1, 500} {
		b.Run(fmt.Sprintf("update%d", size), func(b *testing.B) { benchUpdates(b, target, size) })
		b.Run(fmt.Sprintf("document%d", size), func(b *testing.B) { benchDocuments(b, target, size) })
	}
}

func benchSuite(b *testing.B, target Target) *suite {
	target.Reset(b)
	s := &suite{target: target, pipeline: fmt.Sprintf("b%x", rand.Uint64()), entity: fmt.Sprintf("b%x", rand.Uint64())}
	s.sink, _ = target.Open(b, s.pipeline, 0)
	b.Cleanup(func() { _ = s.sink.Close() })
	if _, err := s.sink.Start(ctx, Anyone); err != nil {
		b.Fatal(err)
	}
	return s
}

func (s *suite) bench(b *testing.B, intents []schemas.Intent) {
	s.batch++
	answers, err := s.sink.Apply(ctx, s.batch, intents)
	if err != nil {
		b.Fatal(err)
	}
	for _, a := range answers {
		if a.Outcome != schemas.Applied {
			b.Fatalf("%+v", a)
		}
	}
}

func benchUpdates(b *testing.B, target Target, size int) {
	s := benchSuite(b, target)
	const rows = 2000
	var load []schemas.Intent
	for i := range rows {
		w := s.newCustomer("", "n0", schemas.Null)
		w.Key[0].Value = num(int64(i + 1))
		load = append(load, intent(fmt.Sprint(i), w))
	}
	s.bench(b, load)
	versions := make([]int, rows)
	b.ResetTimer()
	for n := range b.N {
		var batch []schemas.Intent
		for i := range size {
			id := (n*size + i) % rows
			versions[id]++
			w := s.rename(num(int64(id+1)), fmt.Sprint("n", versions[id]-1), fmt.Sprint("n", versions[id]))
			w.Set = append(w.Set, cells("credit", txt("12.50"))...)
			batch = append(batch, intent(fmt.Sprint(i), w))
		}
		s.bench(b, batch)
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
}

func benchDocuments(b *testing.B, target Target, size int) {
	s := benchSuite(b, target)
	b.ResetTimer()
	for n := range b.N {
		var batch []schemas.Intent
		for i := range size {
			hub := fmt.Sprintf("%d-%d", n, i)
			in := intent(hub, s.newCustomer(hub, hub, txt(hub+"@x")))
			for l := range 3 {
				w := s.write(schemas.WriteInsert, contact, cells("id", schemas.Null), cells("phone", txt("1")), nil)
				w.From = map[string]int{"customer_id": 0}
				w.Link = &schemas.Link{Entity: s.entity + "l", Hub: fmt.Sprint(hub, "-", l)}
				in.Writes = append(in.Writes, w)
			}
			batch = append(batch, in)
		}
		s.bench(b, batch)
	}
	b.ReportMetric(float64(b.N*size*4)/b.Elapsed().Seconds(), "rows/s")
}
