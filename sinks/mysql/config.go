package mysql

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// Config says where a Sink writes and as what.
type Config struct {
	// URL is mysql:// or mariadb://user:password@host:port/database. The parameter
	// tls (true, skip-verify, preferred) is understood; default preferred.
	URL string
	// Pipeline and Lane name the row of strait.progress.
	Pipeline string
	Lane     int
	// LockTimeout is how long one of our statements waits for a lock that a user
	// holds, in whole seconds; 3 s when zero.
	LockTimeout time.Duration
	// Log gets warnings about the server's settings; slog.Default() when nil.
	Log *slog.Logger
}

func (c *Config) complete() error {
	if c.Pipeline == "" || len(c.Pipeline) > 100 {
		return fmt.Errorf("pipeline name %q: 1 to 100 bytes are needed", c.Pipeline)
	}
	if c.LockTimeout <= 0 {
		c.LockTimeout = 3 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}

// silence bounds how long the server may leave a statement unanswered.
const silence = 60 * time.Second

func (c *Config) driverConfig() (*driver.Config, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "mysql" && u.Scheme != "mariadb" || u.Hostname() == "" {
		return nil, fmt.Errorf("database url: it cannot be read; the form is mysql://user:password@host:port/database")
	}
	d := driver.NewConfig()
	d.Net, d.Addr = "tcp", net.JoinHostPort(u.Hostname(), port(u))
	d.User = u.User.Username()
	d.Passwd, _ = u.User.Password()
	d.DBName = strings.TrimPrefix(u.Path, "/")
	d.TLSConfig = u.Query().Get("tls")
	if d.TLSConfig == "" {
		d.TLSConfig = "preferred"
	}
	d.ClientFoundRows = true // a write of an equal value is no missed guard
	d.MultiStatements = true // see Session.Do
	d.InterpolateParams = true
	d.ParseTime, d.Loc = true, time.UTC
	d.MaxAllowedPacket = 0 // ask the server
	d.Timeout, d.ReadTimeout, d.WriteTimeout = 10*time.Second, silence, silence
	d.Logger = &driver.NopLogger{}
	d.ConnectionAttributes = "program_name:strait"
	if err := d.Apply(driver.Charset("utf8mb4", "")); err != nil {
		return nil, err
	}
	return d, nil
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "3306"
}

// settings fix everything in the session that changes what a text means or that
// lets the server change a value without an error. Of the server's own modes
// those stay that make it stricter about dates. NO_AUTO_VALUE_ON_ZERO: a key of
// 0 is 0. Read committed locks the rows that are written and no gaps between
// them, which users would run into.
func (c *Config) settings(global string) []string {
	modes := []string{"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES", "NO_ENGINE_SUBSTITUTION", "NO_AUTO_VALUE_ON_ZERO", "ERROR_FOR_DIVISION_BY_ZERO"}
	for _, m := range strings.Split(global, ",") {
		if m == "NO_ZERO_DATE" || m == "NO_ZERO_IN_DATE" {
			modes = append(modes, m)
		}
	}
	seconds := max(int64(c.LockTimeout/time.Second), 1)
	return []string{
		fmt.Sprintf("set session sql_mode = '%s', time_zone = '+00:00', innodb_lock_wait_timeout = %d, lock_wait_timeout = %d", strings.Join(modes, ","), seconds, 2*seconds),
		"set session foreign_key_checks = 1, unique_checks = 1, sql_safe_updates = 0, sql_notes = 1, max_error_count = 64, autocommit = 1",
		"set session transaction isolation level read committed",
	}
}
