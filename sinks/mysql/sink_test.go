//go:build !noservers

package mysql_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/sinks"
	"github.com/strait-cdc/strait/sinks/mysql"
	"github.com/strait-cdc/strait/sinks/sinktest"
)

func at(t testing.TB, server *testenv.Server, addr string) string {
	t.Helper()
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.RawQuery = addr, "tls=false"
	return u.String()
}

func open(t testing.TB, server *testenv.Server, addr, pipeline string, lane int) sinks.Sink {
	t.Helper()
	s, err := mysql.Open(context.Background(), mysql.Config{URL: at(t, server, addr), Pipeline: pipeline, Lane: lane})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func target(t testing.TB, server *testenv.Server) *sinktest.SQL {
	return &sinktest.SQL{DB: server.DB(), Addr: server.Addr(), Schema: server.Database,
		Connect: func(t testing.TB, addr, pipeline string, lane int) sinks.Sink {
			return open(t, server, addr, pipeline, lane)
		}}
}

// servers runs a test on both families.
func servers(t *testing.T, f func(t *testing.T, server *testenv.Server)) {
	t.Run("mariadb", func(t *testing.T) { f(t, testenv.MariaDB(t)) })
	t.Run("mysql", func(t *testing.T) { f(t, testenv.MySQL(t)) })
}

func TestSink(t *testing.T) {
	servers(t, func(t *testing.T, server *testenv.Server) { sinktest.Run(t, target(t, server)) })
}

func BenchmarkMariaDB(b *testing.B) { sinktest.Bench(b, target(b, testenv.MariaDB(b))) }
