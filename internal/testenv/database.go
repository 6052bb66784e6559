package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// recipe says how servers of one kind and version are made.
type recipe struct {
	kind, label string
	// admin is the database that is always there.
	admin string
	// fill initialises the data folder.
	fill func(ctx context.Context, data string) error
	// argv is the command; the server has its Port and Socket.
	argv func(s *Server, data string) []string
	// polite ends it in order, quick is what its watchdog sends.
	polite, quick syscall.Signal
	// version asks a running server.
	version string
}

// start makes a running server by a recipe, in dir or in a temporary folder.
func start(ctx context.Context, r recipe, dir string) (*Server, error) {
	path, keep, err := folder(dir, r.kind)
	if err != nil {
		return nil, err
	}
	process, err := newProcess(path, r.quick, keep)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Kind: r.kind, Host: "127.0.0.1", User: superuser, Password: password, Database: r.admin,
		machine: &machine{label: r.label, polite: r.polite, process: process},
	}
	if err := s.run(ctx, r); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// run initialises the data folder when it is new, and starts the server; a few times,
// since a free port may be taken before the server has it.
func (s *Server) run(ctx context.Context, r recipe) error {
	data := filepath.Join(s.machine.process.dir, "data")
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		if err := r.fill(ctx, data); err != nil {
			return fmt.Errorf("initialise %s: %w", r.label, err)
		}
	}
	s.Socket = s.socket()
	s.machine.ping = s.ping
	var err error
	for range 3 {
		if s.Port, err = freePort(); err != nil {
			return err
		}
		s.machine.argv = r.argv(s, data)
		if err = s.machine.begin(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return err
	}
	return s.askVersion(ctx, r.version)
}

// socket is the place of the Unix socket, if its path is short enough for one.
func (s *Server) socket() string {
	const most = 107 // sizeof(sockaddr_un.sun_path) - 1
	path := filepath.Join(s.machine.process.dir, ".s.PGSQL.65535.lock")
	switch {
	case len(path) > most:
		return ""
	case s.Kind == postgresKind:
		return s.machine.process.dir
	default:
		return filepath.Join(s.machine.process.dir, "socket")
	}
}

func (s *Server) ping(ctx context.Context) error {
	db := s.open(s.Database)
	defer db.Close()
	return db.PingContext(ctx)
}

func (s *Server) askVersion(ctx context.Context, query string) error {
	db := s.open(s.Database)
	defer db.Close()
	if err := db.QueryRowContext(ctx, query).Scan(&s.Version); err != nil {
		return fmt.Errorf("version of %s: %w", s.machine.label, err)
	}
	// "15.13 (Debian 15.13-0+deb12u1)", "10.11.11-MariaDB-0+deb12u1-log"
	s.Version, _, _ = strings.Cut(strings.ReplaceAll(s.Version, "-", " "), " ")
	return nil
}

// view is the same server with another database, and a handle of its own.
func (s *Server) view(database string) *Server {
	return &Server{
		Kind: s.Kind, Version: s.Version, Host: s.Host, Port: s.Port, Socket: s.Socket,
		User: s.User, Password: s.Password, Database: database, machine: s.machine,
	}
}

// names numbers the databases of a process, so that none is met twice.
var names struct {
	sync.Mutex
	last int
}

func nextName() string {
	names.Lock()
	defer names.Unlock()
	names.last++
	return fmt.Sprintf("test_%d", names.last)
}
