package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/strait-cdc/strait/schemas"
)

// Config says what to read.
type Config struct {
	// URL is mysql://user:password@host:port/database, or mariadb://… for
	// MariaDB; user and password may be percent-encoded. The parameter tls is
	// false (the default), preferred, true or skip-verify.
	URL string
	// System names the database in topics and messages.
	System string
	// Tables are the tables to capture; Schema is the database. Empty: all base
	// tables of the URL's database, with those made later. The control tables
	// are always captured as well.
	Tables []schemas.TableName
	// ServerID is what we register with the server as, unlike that of any other
	// server or replica. 0: derived from System and checked to be unused.
	ServerID uint32
	// Log receives what an operator may want to know; nil: slog.Default().
	Log *slog.Logger
	// LockWait bounds each try to take the short global read lock that starts a
	// snapshot on MySQL. 0: 3 seconds. MariaDB needs no lock.
	LockWait time.Duration
}

const (
	// heartbeat is how often the server speaks when its log does not grow, and
	// silence how long we wait for a word before the connection counts as dead.
	heartbeat = 5 * time.Second
	silence   = 30 * time.Second

	dialTimeout = 10 * time.Second
)

// target is a parsed URL.
type target struct {
	flavor   string // "mysql" or "mariadb", as the URL says
	addr     string
	user     string
	password string
	database string
	tls      string
}

func parseURL(raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse repeats the URL, password included.
		return target{}, errors.New("database url: not of the form mysql://user:password@host:port/database")
	}
	t := target{flavor: u.Scheme, user: u.User.Username(), database: strings.TrimPrefix(u.Path, "/")}
	if u.Scheme != "mysql" && u.Scheme != "mariadb" {
		return target{}, fmt.Errorf("database url: scheme %q: want mysql or mariadb", u.Scheme)
	}
	t.password, _ = u.User.Password()
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	t.addr = net.JoinHostPort(u.Hostname(), port)
	for k, v := range u.Query() {
		if k != "tls" {
			return target{}, fmt.Errorf("database url: unknown parameter %q; known: tls", k)
		}
		t.tls = v[0]
	}
	switch t.tls {
	case "", "false", "preferred", "true", "skip-verify":
	default:
		return target{}, fmt.Errorf("database url: tls=%q: want false, preferred, true or skip-verify", t.tls)
	}
	return t, nil
}

func (t target) port() uint16 {
	_, p, _ := net.SplitHostPort(t.addr)
	n, _ := strconv.ParseUint(p, 10, 16)
	return uint16(n)
}

// tlsConfig is nil where the connection is not encrypted.
func (t target) tlsConfig() *tls.Config {
	host, _, _ := net.SplitHostPort(t.addr)
	switch t.tls {
	case "true":
		return &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	case "skip-verify":
		return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	}
	return nil
}

// open makes a pool whose sessions speak UTC and send each text in its own
// character set, so that a row of a snapshot has the very bytes that the log
// would have.
func (t target) open(params map[string]string) (*sql.DB, error) {
	c := driver.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = t.user, t.password, "tcp", t.addr, t.database
	c.Timeout = dialTimeout
	c.InterpolateParams = true
	c.TLSConfig = t.tls
	c.Params = map[string]string{"time_zone": "'+00:00'", "sql_mode": "''"}
	for k, v := range params {
		c.Params[k] = v
	}
	c.Logger = &driver.NopLogger{}
	conn, err := driver.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("database url: %w", err)
	}
	db := sql.OpenDB(conn)
	db.SetMaxIdleConns(2)
	db.SetConnMaxIdleTime(time.Minute)
	return db, nil
}

// connect opens the pool and sees that the server answers.
func connect(ctx context.Context, raw string) (*sql.DB, target, error) {
	t, err := parseURL(raw)
	if err != nil {
		return nil, t, err
	}
	db, err := t.open(nil)
	if err != nil {
		return nil, t, err
	}
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, t, fmt.Errorf("connect to %s: %w", t.addr, err)
	}
	return db, t, nil
}

func (c Config) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.Default()
}
