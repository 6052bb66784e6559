package testenv

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// Postgres gives an empty database on the PostgreSQL server of a major version
// ("15", "18") that this test binary shares. It is dropped when the test ends.
func Postgres(t testing.TB, version string) *Server {
	t.Helper()
	return shared(t, "postgres"+version, func() (recipe, error) { return postgres(version, true) })
}

// MariaDB gives an empty database on the MariaDB server that this test binary
// shares. It is dropped when the test ends.
func MariaDB(t testing.TB) *Server {
	t.Helper()
	return shared(t, mariadbKind, mariadb)
}

// MySQL gives an empty database on the MySQL server that this test binary shares.
// It is dropped when the test ends.
func MySQL(t testing.TB) *Server {
	t.Helper()
	return shared(t, mysqlKind, mysqlRecipe)
}

// OwnPostgres gives an empty database on a PostgreSQL server of its own, which
// ends with the test and may be restarted and killed.
func OwnPostgres(t testing.TB, version string) *Server {
	t.Helper()
	return own(t, func() (recipe, error) { return postgres(version, false) })
}

// OwnMariaDB gives an empty database on a MariaDB server of its own, as OwnPostgres does.
func OwnMariaDB(t testing.TB) *Server {
	t.Helper()
	return own(t, mariadb)
}

// OwnMySQL gives an empty database on a MySQL server of its own, as OwnPostgres does.
func OwnMySQL(t testing.TB) *Server {
	t.Helper()
	return own(t, mysqlRecipe)
}

// once starts a shared server a single time; all who ask get it, or its error.
type once[S any] struct {
	sync.Once
	server S
	err    error
}

// servers holds the shared database servers. They live until the process ends.
var servers struct {
	sync.Mutex
	byName map[string]*once[*Server]
}

// shared starts the shared server when it is the first to ask, and makes a database.
func shared(t testing.TB, name string, recipeOf func() (recipe, error)) *Server {
	t.Helper()
	o := sharedNamed(name)
	o.Do(func() { o.server, o.err = startBy(recipeOf) })
	if o.err != nil {
		t.Fatal(o.err)
	}
	return database(t, o.server)
}

func sharedNamed(name string) *once[*Server] {
	servers.Lock()
	defer servers.Unlock()
	if servers.byName == nil {
		servers.byName = map[string]*once[*Server]{}
	}
	if servers.byName[name] == nil {
		servers.byName[name] = &once[*Server]{}
	}
	return servers.byName[name]
}

func own(t testing.TB, recipeOf func() (recipe, error)) *Server {
	t.Helper()
	s, err := startBy(recipeOf)
	if err != nil {
		t.Fatal(err)
	}
	s.machine.own = true
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop %s: %v", s.machine.label, err)
		}
	})
	return database(t, s)
}

func startBy(recipeOf func() (recipe, error)) (*Server, error) {
	r, err := recipeOf()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	return start(ctx, r, "")
}

// database makes an empty database that lives as long as the test.
func database(t testing.TB, server *Server) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s := server.view(nextName())
	admin := server.open(server.Database)
	defer admin.Close()
	if _, err := admin.ExecContext(ctx, "create database "+s.Database); err != nil {
		t.Fatalf("%s: create database: %v", s.machine.label, err)
	}
	t.Cleanup(func() {
		s.closeDB()
		if s.machine.own {
			return // the whole server goes
		}
		if err := s.drop(); err != nil {
			t.Errorf("%s: drop database %s: %v", s.machine.label, s.Database, err)
		}
	})
	return s
}

func (s *Server) drop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.Kind == postgresKind {
		return dropPostgres(ctx, s)
	}
	if err := dropMySQL(ctx, s); err != nil {
		return fmt.Errorf("%s: %w", s.Kind, err)
	}
	return nil
}
