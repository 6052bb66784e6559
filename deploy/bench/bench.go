package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/strait-cdc/strait/internal/testenv"
)

// bench is one run: its servers and what it has found.
type bench struct {
	options
	out  io.Writer
	dir  string
	rows []row
	// facts are what a part has to say beside its rows, by part.
	facts map[string][]string

	part     string
	postgres *testenv.Server
	mariadb  *testenv.Server
	started  time.Time
	names    int
}

func newBench(o options, out io.Writer) (*bench, error) {
	dir, err := os.MkdirTemp("", "strait-bench-")
	if err != nil {
		return nil, err
	}
	return &bench{options: o, out: out, dir: dir, facts: map[string][]string{}, started: time.Now()}, nil
}

func (b *bench) run(ctx context.Context) error {
	for _, p := range parts {
		if !b.wants(p.name) {
			continue
		}
		began, first := time.Now(), len(b.rows)
		b.part = p.name
		fmt.Fprintf(b.out, "%s: %s\n", p.name, plain(p.about))
		if err := p.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		printTable(b.out, b.rows[first:])
		for _, f := range b.facts[p.name] {
			fmt.Fprintln(b.out, "  "+plain(f))
		}
		fmt.Fprintf(b.out, "  (%.0f s)\n\n", time.Since(began).Seconds())
	}
	return nil
}

// add takes a row of the table.
func (b *bench) add(r row) {
	r.part = b.part
	b.rows = append(b.rows, r)
}

// fact adds a sentence below the table of the part.
func (b *bench) fact(format string, args ...any) {
	b.facts[b.part] = append(b.facts[b.part], fmt.Sprintf(format, args...))
}

// size is n, or the small form of it.
func (b *bench) size(n, small int) int {
	if b.short {
		return small
	}
	return n
}

// tempDir makes a folder that goes with the run.
func (b *bench) tempDir() (string, error) { return os.MkdirTemp(b.dir, "") }

// name gives a name that was not used before, for databases and systems.
func (b *bench) name(prefix string) string {
	b.names++
	return fmt.Sprintf("%s%d", prefix, b.names)
}

// postgresDB gives an empty database on a PostgreSQL server of the run's own.
func (b *bench) postgresDB(ctx context.Context) (s *testenv.Server, err error) {
	if b.postgres == nil {
		if b.postgres, err = testenv.StartPostgres(ctx, postgresVersion, ""); err != nil {
			return nil, err
		}
	}
	return b.database(ctx, b.postgres)
}

// mariaDB gives an empty database on a MariaDB server of the run's own.
func (b *bench) mariaDB(ctx context.Context) (s *testenv.Server, err error) {
	if b.mariadb == nil {
		if b.mariadb, err = testenv.StartMariaDB(ctx, ""); err != nil {
			return nil, err
		}
	}
	return b.database(ctx, b.mariadb)
}

func (b *bench) database(ctx context.Context, server *testenv.Server) (*testenv.Server, error) {
	name := b.name("bench")
	if _, err := server.DB().ExecContext(ctx, "create database "+name); err != nil {
		return nil, err
	}
	return &testenv.Server{
		Kind: server.Kind, Version: server.Version, Host: server.Host, Port: server.Port, Socket: server.Socket,
		User: server.User, Password: server.Password, Database: name,
	}, nil
}

// close stops the servers and removes what was written.
func (b *bench) close() error {
	var errs []error
	for _, s := range []*testenv.Server{b.postgres, b.mariadb} {
		if s != nil {
			errs = append(errs, s.Stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// postgresVersion is the server that is measured, and whose client is the peer.
const postgresVersion = "15"

// postgresProgram finds a client of the same version.
func postgresProgram(name string) (string, error) {
	cache, err := testenv.CacheDir()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{"/usr/lib/postgresql/" + postgresVersion, filepath.Join(cache, "postgresql-"+postgresVersion)} {
		path := filepath.Join(dir, "bin", name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s of PostgreSQL %s is not there; install it with: deploy/dev/servers.sh postgresql-%s", name, postgresVersion, postgresVersion)
}

// runAll runs statements on one connection.
func runAll(ctx context.Context, s *testenv.Server, statements ...string) error {
	conn, err := s.DB().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(statement[:min(len(statement), 60)]), err)
		}
	}
	return nil
}
