//go:build !noservers

package postgres_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/sinks"
	"github.com/strait-cdc/strait/sinks/postgres"
	"github.com/strait-cdc/strait/sinks/sinktest"
)

func at(t testing.TB, server *testenv.Server, addr string) string {
	t.Helper()
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.RawQuery = addr, "sslmode=disable"
	return u.String()
}

func open(t testing.TB, server *testenv.Server, addr, pipeline string, lane int) sinks.Sink {
	t.Helper()
	s, err := postgres.Open(context.Background(), postgres.Config{URL: at(t, server, addr), Pipeline: pipeline, Lane: lane})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func target(t testing.TB, server *testenv.Server) *sinktest.SQL {
	return &sinktest.SQL{DB: server.DB(), Addr: server.Addr(), Schema: "public", Postgres: true,
		Connect: func(t testing.TB, addr, pipeline string, lane int) sinks.Sink {
			return open(t, server, addr, pipeline, lane)
		}}
}

func TestSink(t *testing.T) {
	for _, version := range []string{"15", "18"} {
		t.Run(version, func(t *testing.T) { sinktest.Run(t, target(t, testenv.Postgres(t, version))) })
	}
}

func BenchmarkSink(b *testing.B) { sinktest.Bench(b, target(b, testenv.Postgres(b, "15"))) }
