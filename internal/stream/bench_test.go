package stream

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/schemas"
)

// benchBatch is a transaction of records of 300 bytes.
func benchBatch(work *workload, changes int) *schemas.Batch {
	b := work.batch(changes)
	pad := schemas.Text(strings.Repeat("x", 300-9))
	for i := range b.Changes {
		c := &b.Changes[i]
		row := schemas.Row{schemas.Text(fmt.Sprintf("k%d", i)), schemas.Int(work.n), pad}
		c.Op, c.Before, c.After, c.Table = schemas.Insert, nil, row, testTables[0]
	}
	return b
}

func benchBroker(b *testing.B, sync bool) Config {
	br, err := StartBroker(BrokerConfig{Dir: b.TempDir(), NoSync: !sync, Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { br.Close() })
	return br.Config()
}

// BenchmarkWriter is the throughput and, with one change, the latency of a commit.
func BenchmarkWriter(b *testing.B) {
	for _, sync := range []bool{false, true} {
		for _, changes := range []int{1, 100, 2000, 8000} {
			b.Run(fmt.Sprintf("sync=%v/changes=%d", sync, changes), func(b *testing.B) {
				cfg := benchBroker(b, sync)
				w := openWriter(b, cfg, "bench")
				work := newWorkload(1)
				batch := benchBatch(work, changes)
				mustWrite(b, w, batch)
				b.SetBytes(int64(300 * changes))
				ctx := context.Background()
				for b.Loop() {
					if _, err := w.Write(ctx, batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(changes*b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

// BenchmarkReader is the throughput of reading a backlog.
func BenchmarkReader(b *testing.B) {
	cfg := benchBroker(b, false)
	w := openWriter(b, cfg, "bench")
	work := newWorkload(1)
	const commits, changes = 100, 1000
	for range commits {
		mustWrite(b, w, benchBatch(work, changes))
	}
	ctx := context.Background()
	n := 0
	for b.Loop() {
		r, err := OpenReader(ctx, cfg, "bench", testCodec{}, nil, Start{})
		if err != nil {
			b.Fatal(err)
		}
		for read := 0; read < commits; {
			p, err := r.Next(ctx)
			if err != nil {
				b.Fatal(err)
			}
			n += len(p.Changes)
			if p.Last {
				read++
			}
		}
		r.Close()
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkArrival is the time from before Write to the change in a waiting
// Reader.
func BenchmarkArrival(b *testing.B) {
	cfg := benchBroker(b, false)
	w := openWriter(b, cfg, "bench")
	work := newWorkload(1)
	r := openReader(b, cfg, "bench", nil, Start{})
	mustWrite(b, w, benchBatch(work, 1))
	ctx := context.Background()
	got := make(chan error)
	ask := make(chan struct{})
	go func() {
		defer close(got)
		for range ask {
			_, err := r.Next(ctx)
			got <- err
		}
	}()
	ask <- struct{}{}
	<-got
	batch := benchBatch(work, 1)
	for b.Loop() {
		ask <- struct{}{}
		if _, err := w.Write(ctx, batch); err != nil {
			b.Fatal(err)
		}
		if err := <-got; err != nil {
			b.Fatal(err)
		}
	}
	close(ask)
	<-got
}
