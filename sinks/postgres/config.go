package postgres

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config says where a Sink writes and as what.
type Config struct {
	// URL is postgres://user:password@host:port/database.
	URL string
	// Pipeline and Lane name the row of strait.progress.
	Pipeline string
	Lane     int
	// LockTimeout is how long one of our statements waits for a lock that a user
	// holds; 3 s when zero.
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

// statementTimeout stops a statement that does not wait for a lock but runs for
// long, such as a lookup without an index.
const statementTimeout = 60 * time.Second

// connConfig fixes everything in the session that changes what a text means.
// synchronous_commit is set again in each transaction: a setting of the role
// must not acknowledge what a crash can take back.
func (c *Config) connConfig() (*pgx.ConnConfig, error) {
	pc, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("database url: it cannot be read; the form is postgres://user:password@host:port/database")
	}
	ms := func(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }
	for k, v := range map[string]string{
		"application_name": "strait",
		"TimeZone":         "UTC", "DateStyle": "ISO, MDY", "IntervalStyle": "postgres",
		"bytea_output": "hex", "extra_float_digits": "3", "standard_conforming_strings": "on", "lc_monetary": "C",
		"default_transaction_isolation": "read committed",
		"lock_timeout":                  ms(c.LockTimeout),
		"statement_timeout":             ms(statementTimeout), "idle_in_transaction_session_timeout": ms(2 * statementTimeout),
	} {
		pc.RuntimeParams[k] = v
	}
	if pc.ConnectTimeout == 0 {
		pc.ConnectTimeout = 10 * time.Second
	}
	return pc, nil
}
