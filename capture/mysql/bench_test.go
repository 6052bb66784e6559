//go:build !noservers

package mysql_test

import (
	"context"
	"testing"
	"time"

	"github.com/strait-cdc/strait/capture/mysql"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

const benchTable = `create table a (id bigint auto_increment primary key, a int not null, b bigint, c varchar(50), d varchar(100), e decimal(12,2),
	f datetime(6), g date, h timestamp null, i tinyint, j double, k char(10), l text, m enum('x','y'), n int unsigned)`

const benchRow = `insert into a (a, b, c, d, e, f, g, h, i, j, k, l, m, n) values (1, 2, 'name', 'somebody@example.com', 12.50,
	'2024-05-06 07:08:09.123456', '2024-05-06', '2024-05-06 07:08:09', 1, 1.5, 'char', 'a text of some length', 'x', 7)`

// fill doubles the row until there are 1<<doublings; all but the first few of the
// transactions are large.
func fill(b *testing.B, s *testenv.Server, doublings int) int {
	s.Exec(b, benchRow)
	for range doublings {
		s.Exec(b, "insert into a (a, b, c, d, e, f, g, h, i, j, k, l, m, n) select a, b, c, d, e, f, g, h, i, j, k, l, m, n from a")
	}
	return 1 << doublings
}

// readRows opens a source and reads n changes of the table a.
func readRows(b *testing.B, cfg mysql.Config, from schemas.Position, n int) schemas.Position {
	src, err := mysql.Open(context.Background(), cfg, from)
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for {
		batch, err := src.Read(ctx)
		if err != nil {
			b.Fatal(err)
		}
		n -= len(batch.Changes)
		if n <= 0 && !batch.Resume.IsZero() {
			return batch.Resume
		}
	}
}

func BenchmarkLog(b *testing.B) {
	for _, server := range []func(testing.TB) *testenv.Server{testenv.MariaDB, testenv.MySQL} {
		s := server(b)
		b.Run(s.Kind, func(b *testing.B) {
			s.Exec(b, "drop table if exists a", benchTable)
			cfg := mysql.Config{URL: s.URL(), System: "bench"}
			from := readRows(b, cfg, schemas.Position{}, 0)
			n := fill(b, s, 18)
			b.ReportAllocs()
			for b.Loop() {
				readRows(b, cfg, from, n)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for _, server := range []func(testing.TB) *testenv.Server{testenv.MariaDB, testenv.MySQL} {
		s := server(b)
		b.Run(s.Kind, func(b *testing.B) {
			s.Exec(b, "drop table if exists a", benchTable)
			n := fill(b, s, 17)
			cfg := mysql.Config{URL: s.URL(), System: "bench"}
			b.ReportAllocs()
			for b.Loop() {
				readRows(b, cfg, schemas.Position{}, n)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
