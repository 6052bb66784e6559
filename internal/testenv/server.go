package testenv

import (
	"context"
	"database/sql"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"
)

// The superuser of each server. The password has the characters that a URL must
// encode, so that code that glues URLs together is found out.
const (
	superuser = "strait"
	password  = "p@ss:word/1"
)

// Server is a database on a running database server, seen by its superuser.
type Server struct {
	// Kind is "postgres", "mariadb" or "mysql".
	Kind string
	// Version is as the program says it: "15.13", "10.11.11", "9.7.0".
	Version string
	Host    string
	Port    int
	// Socket is the Unix socket: the folder of it for PostgreSQL, its path for the others.
	// It is empty when the path would be too long.
	Socket                   string
	User, Password, Database string

	machine *machine

	// opening guards db, which DB opens.
	opening sync.Mutex
	db      *sql.DB
}

// URL is the form in which Strait's configuration names the database:
// postgres://user:password@127.0.0.1:port/database, or mysql:// or mariadb://.
func (s *Server) URL() string { return s.urlOf(s.Database) }

func (s *Server) urlOf(database string) string {
	u := url.URL{Scheme: s.Kind, User: url.UserPassword(s.User, s.Password), Host: s.Addr(), Path: "/" + database}
	return u.String()
}

// Addr is "host:port", for Proxy.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// DB is a handle for the database as superuser. It is opened by the first call and
// closed when the test ends. On MySQL and MariaDB one call may hold several statements.
func (s *Server) DB() *sql.DB {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.db == nil {
		s.db = s.open(s.Database)
	}
	return s.db
}

// open makes a handle for a database; it connects when it is used.
func (s *Server) open(database string) *sql.DB {
	if s.Kind == postgresKind {
		db, err := sql.Open("pgx", s.urlOf(database)+"?sslmode=disable")
		if err != nil {
			panic("testenv: our own PostgreSQL URL does not parse: " + err.Error())
		}
		return db
	}
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", s.Addr(), s.User, s.Password, database
	cfg.MultiStatements, cfg.AllowNativePasswords = true, true
	cfg.Logger = &mysql.NopLogger{} // a starting server refuses connections; that is no news
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		panic("testenv: our own MySQL settings are refused: " + err.Error())
	}
	return sql.OpenDB(connector)
}

// Exec runs statements in order on one connection and fails the test on an error.
// One string may hold several; PostgreSQL runs those in one transaction.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	ctx := context.Background()
	conn, err := s.DB().Conn(ctx)
	if err != nil {
		t.Fatalf("%s %s: connect: %v", s.Kind, s.Version, err)
	}
	defer conn.Close()
	for _, statement := range statements {
		if err := s.exec(ctx, conn, statement); err != nil {
			t.Fatalf("%s %s: %v\n%s", s.Kind, s.Version, err, statement)
		}
	}
}

// execer is a *sql.DB or a *sql.Conn.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (s *Server) exec(ctx context.Context, db execer, statement string) error {
	var args []any
	if s.Kind == postgresKind {
		args = append(args, pgx.QueryExecModeSimpleProtocol) // allows several statements
	}
	_, err := db.ExecContext(ctx, statement, args...)
	return err
}

// closeDB closes what DB opened.
func (s *Server) closeDB() {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.db != nil {
		_ = s.db.Close()
		s.db = nil
	}
}

// Restart stops the server in order and starts it again with the same data and
// port. Only a private server (OwnPostgres …) can be restarted.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.machine.again(t, false)
}

// Kill ends all of the server's processes by SIGKILL and starts it again with the
// same data and port, after its own crash recovery. Only a private server can be killed.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.machine.again(t, true)
}

// Stop ends a server that one of the Start functions made. A temporary data folder
// goes with it. The servers that tests get are stopped by themselves.
func (s *Server) Stop() error {
	s.closeDB()
	return s.machine.close()
}
