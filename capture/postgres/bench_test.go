//go:build !noservers

package postgres

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/capture/capturetest"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

// benchRows is how many rows of 15 columns the log holds, in transactions of ten.
const benchRows = 200_000

// BenchmarkLog reads a backlog, beside pg_recvlogical reading the same one.
func BenchmarkLog(b *testing.B) {
	s := testenv.Postgres(b, "15")
	db := &database{capturetest.SQL{DB: s.DB()}, s, Config{URL: s.URL(), System: s.Database}}
	run := func(q string) {
		if _, err := db.DB.Exec(q); err != nil {
			b.Fatal(err)
		}
	}
	run("create table a (id int primary key, c1 int, c2 int, c3 bigint, c4 text, c5 text, c6 text, c7 varchar(40), c8 timestamptz, c9 timestamp, c10 numeric(12,2), c11 numeric(12,2), c12 bool, c13 uuid, c14 date)")
	cfg := db.config("", "a")
	src, err := Open(b.Context(), cfg, schemas.Position{})
	if err != nil {
		b.Fatal(err)
	}
	first, err := src.Read(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	src.Close()
	name := src.cfg.Slot
	run("select pg_copy_logical_replication_slot('" + name + "', '" + name + "_copy')")
	run(fmt.Sprintf(`do $$ begin for i in 0..%d loop insert into public.a select i * 10 + g, g, i, i * 1000, 'some text', 'more text ' || i, null, 'name', now(), now(), 12.5, i, true, gen_random_uuid(), current_date from generate_series(0, 9) g; commit; end loop; end $$`, benchRows/10-1))

	b.Run("source", func(b *testing.B) {
		for b.Loop() {
			src, err := Open(b.Context(), cfg, first.Resume)
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for n < benchRows {
				batch, err := src.Read(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				n += len(batch.Changes)
			}
			src.Close()
		}
		b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("pg_recvlogical", func(b *testing.B) {
		program, err := exec.LookPath("/usr/lib/postgresql/15/bin/pg_recvlogical")
		if err != nil {
			b.Skip("left out: ", err)
		}
		var end string
		if err := db.DB.QueryRow("select pg_current_wal_lsn()").Scan(&end); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
			defer cancel()
			c := exec.CommandContext(ctx, program, "-d", strings.Replace(cfg.URL, "postgres://", "postgresql://", 1), "-S", name+"_copy", "--start", "-E", end,
				"-o", "proto_version=1", "-o", "publication_names="+src.cfg.Publication, "-f", "/dev/null")
			if out, err := c.CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		}
		b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
