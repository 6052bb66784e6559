package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// Finding is something about a server that stands in the way of capturing it, or
// will one day.
type Finding struct {
	// Fatal says that Open would fail.
	Fatal bool
	// What is wrong, why it matters, and the statement or setting that cures it.
	What, Why, Cure string
}

// String is the finding in one line.
func (f Finding) String() string { return f.What + ": " + f.Why + "; cure: " + f.Cure }

// settings are what a server must be set to.
var settings = []struct {
	name, want, why, cure string
	mayLack               bool // older servers do not know it and behave as wanted
}{
	{"log_bin", "ON", "without a binlog there is nothing to read", "set log_bin in the server's configuration and restart it", false},
	{"binlog_format", "ROW", "changes logged as statements cannot be followed", "set global binlog_format = ROW; and in the configuration; sessions that are open keep their own", true},
	{"binlog_row_image", "FULL", "rows logged in part cannot be published", "set global binlog_row_image = FULL; and in the configuration", false},
	{"binlog_row_metadata", "FULL", "without the names of the columns a row cannot be read after its table has changed", "set global binlog_row_metadata = FULL; and in the configuration", false},
	{"binlog_row_value_options", "", "JSON columns logged in part cannot be published", "set global binlog_row_value_options = ''; and in the configuration", true},
}

// findings are the settings that are not as they must be.
func (s *server) findings() []Finding {
	var out []Finding
	for _, w := range settings {
		got, known := s.vars[w.name]
		if strings.EqualFold(got, w.want) || !known && w.mayLack {
			continue
		}
		out = append(out, Finding{Fatal: true, What: fmt.Sprintf("%s is %q, must be %q", w.name, got, w.want), Why: w.why, Cure: w.cure})
	}
	return out
}

// fit is an error if the server is not set as it must be.
func (s *server) fit() error {
	if f := s.findings(); len(f) > 0 {
		texts := make([]string, len(f))
		for i := range f {
			texts[i] = f[i].String()
		}
		return unsupported("%s", strings.Join(texts, " | "))
	}
	return nil
}

// minRetention is below what a weekend's outage takes.
const minRetention = 3 * 24 * time.Hour

// Check looks at a server without writing to it. The findings are empty where all
// is well; an error says that it could not look.
func Check(ctx context.Context, cfg Config) ([]Finding, error) {
	db, t, err := connect(ctx, cfg.URL)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	s, err := identify(ctx, db)
	if err != nil {
		return nil, err
	}
	out := append(s.findings(), s.retention()...)
	out = append(out, s.durability()...)
	privileges, err := s.privileges(ctx, db)
	if err != nil {
		return nil, err
	}
	out = append(out, privileges...)
	tables, err := checkTables(ctx, db, s, cfg, t)
	return append(out, tables...), err
}

func (s *server) retention() []Finding {
	seconds, _ := strconv.ParseInt(s.vars["binlog_expire_logs_seconds"], 10, 64)
	if seconds == 0 {
		days, _ := strconv.ParseFloat(s.vars["expire_logs_days"], 64)
		seconds = int64(days * 86400)
	}
	kept := time.Duration(seconds) * time.Second
	if kept == 0 || kept >= minRetention {
		return nil
	}
	return []Finding{{What: fmt.Sprintf("the binlog is kept for %s", kept), Why: "a longer outage means a new snapshot",
		Cure: "set global binlog_expire_logs_seconds = 604800; and in the configuration"}}
}

func (s *server) durability() []Finding {
	var out []Finding
	for _, name := range []string{"sync_binlog", "innodb_flush_log_at_trx_commit"} {
		if v, ok := s.vars[name]; ok && v != "1" {
			out = append(out, Finding{What: name + " is " + v, Why: "after a crash the server may lack transactions that were published already",
				Cure: "set global " + name + " = 1; and in the configuration"})
		}
	}
	return out
}

// privileges tries what Open does, as far as it can be tried without an effect.
func (s *server) privileges(ctx context.Context, db querier) ([]Finding, error) {
	var out []Finding
	if _, err := binlogFiles(ctx, db); err != nil && !isError(err, errNoBinaryLogging) {
		if !isError(err, errSpecificDenied) {
			return nil, err
		}
		out = append(out, Finding{Fatal: true, What: "no right to see the binlog files", Why: "the position of a snapshot is read from there",
			Cure: map[bool]string{true: "grant binlog monitor on *.* to the user", false: "grant replication client on *.* to the user"}[s.mariadb]})
	}
	granted, roles, err := grants(ctx, db)
	if err != nil {
		return nil, err
	}
	if roles {
		return out, nil // what a role grants is not listed; Open will tell
	}
	has := func(names ...string) bool {
		for _, n := range append(names, "ALL PRIVILEGES ON *.*") {
			if strings.Contains(granted, n) {
				return true
			}
		}
		return false
	}
	if !has("REPLICATION SLAVE") {
		out = append(out, Finding{Fatal: true, What: "no right to read the binlog", Why: "capture reads it as a replica does", Cure: "grant replication slave on *.* to the user"})
	}
	if !s.mariadb && !has("RELOAD", "FLUSH_TABLES") {
		out = append(out, Finding{What: "no right to lock all tables for a moment", Why: "a snapshot then locks the captured tables one by one, and needs the right lock tables on them",
			Cure: "grant reload on *.* to the user"})
	}
	return out, nil
}

// grants is the text of all grants in upper case, and whether roles are among them.
func grants(ctx context.Context, db querier) (text string, roles bool, err error) {
	rows, err := db.QueryContext(ctx, "show grants")
	if err != nil {
		return "", false, fmt.Errorf("grants: %w", err)
	}
	defer rows.Close()
	var all strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return "", false, fmt.Errorf("grants: %w", err)
		}
		// What stands behind IDENTIFIED is not ours to see.
		line, _, _ = strings.Cut(line, " IDENTIFIED ")
		roles = roles || !strings.Contains(line, " ON ")
		all.WriteString(strings.ToUpper(line) + "\n")
	}
	return all.String(), roles, rows.Err()
}

func checkTables(ctx context.Context, db querier, s *server, cfg Config, t target) ([]Finding, error) {
	cs, err := loadCharsets(ctx, db, s.mariadb)
	if err != nil {
		return nil, err
	}
	tables := cfg.Tables
	if len(tables) == 0 {
		if tables, err = baseTables(ctx, db, t.database); err != nil {
			return nil, err
		}
	}
	var out []Finding
	for _, name := range tables {
		f, err := checkTable(ctx, db, cs, name)
		if err != nil {
			return nil, err
		}
		out = append(out, f...)
	}
	return out, nil
}

func checkTable(ctx context.Context, db querier, cs *charsets, name schemas.TableName) ([]Finding, error) {
	lt, err := lookUp(ctx, db, cs, name)
	if errors.Is(err, errNoTable) {
		return []Finding{{Fatal: true, What: "table " + name.String() + " is not there", Why: "it is configured", Cure: "create it, grant select on it, or leave it out"}}, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := lt.table(); err != nil {
		what, cure, _ := strings.Cut(err.Error(), "; ")
		return []Finding{{Fatal: true, What: what, Why: "its rows cannot be captured", Cure: strings.TrimPrefix(cure, "cure: ")}}, nil
	}
	return nil, nil
}
