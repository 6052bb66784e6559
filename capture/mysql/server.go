package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/strait-cdc/strait/schemas"
)

// server is what we need to know of the server itself.
type server struct {
	mariadb  bool
	version  string
	vars     map[string]string
	serverID uint64
}

// serverVariables are the settings that decide what the log holds.
var serverVariables = []string{"log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata", "binlog_row_value_options",
	"server_id", "server_uuid", "gtid_mode", "binlog_expire_logs_seconds", "expire_logs_days", "log_slave_updates", "log_replica_updates",
	"sync_binlog", "innodb_flush_log_at_trx_commit", "binlog_encryption", "encrypt_binlog"}

func identify(ctx context.Context, db querier) (*server, error) {
	s := &server{vars: map[string]string{}}
	rows, err := db.QueryContext(ctx, "show global variables where variable_name in ('version', '"+strings.Join(serverVariables, "', '")+"')")
	if err != nil {
		return nil, fmt.Errorf("server variables: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return nil, fmt.Errorf("server variables: %w", err)
		}
		s.vars[strings.ToLower(k)] = v
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("server variables: %w", err)
	}
	s.version = s.vars["version"]
	s.mariadb = strings.Contains(s.version, "MariaDB")
	s.serverID, _ = strconv.ParseUint(s.vars["server_id"], 10, 64)
	return s, nil
}

func (s *server) connector() string {
	if s.mariadb {
		return "mariadb"
	}
	return "mysql"
}

// hasGTIDs says that every transaction has one.
func (s *server) hasGTIDs() bool { return s.mariadb || s.vars["gtid_mode"] == "ON" }

// identityTable holds what MariaDB does not have: a name for the data of a server
// that survives restarts and is another one on another data directory. MySQL has
// its server_uuid. A replica has a copy of the row, so the server_id is part of
// the identity; a dump restored elsewhere has one too, and is told apart by
// comparing the GTID at the position.
const identityTable = "create table if not exists strait.server (id char(36) character set ascii not null primary key) engine=InnoDB"

// source is the identity of the server's log, as in Position.Source. create says
// that a missing one may be made.
func (s *server) source(ctx context.Context, db *sql.DB, create bool) (string, error) {
	if !s.mariadb {
		if s.vars["server_uuid"] == "" {
			return "", errors.New("the server does not tell its server_uuid")
		}
		return "mysql:" + s.vars["server_uuid"], nil
	}
	id, err := readIdentity(ctx, db)
	if err != nil {
		return "", err
	}
	if id == "" && create {
		if id, err = makeIdentity(ctx, db); err != nil {
			return "", fmt.Errorf("identity of the server: %w; grant create, select, insert, update on strait.* to the user of the capture", err)
		}
	}
	return "mariadb:" + strconv.FormatUint(s.serverID, 10) + ":" + id, nil
}

// readIdentity is "" where there is none yet.
func readIdentity(ctx context.Context, db *sql.DB) (string, error) {
	var id string
	err := db.QueryRowContext(ctx, "select min(id) from strait.server having min(id) is not null").Scan(&id)
	if errors.Is(err, sql.ErrNoRows) || isError(err, errNoSuchTable, errUnknownDatabase, errTableDenied) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("identity of the server: %w", err)
	}
	return id, nil
}

func makeIdentity(ctx context.Context, db *sql.DB) (string, error) {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	id := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	if _, err := db.ExecContext(ctx, identityTable); err != nil {
		return "", err
	}
	// Of two that start at once both end up with the smaller one.
	if _, err := db.ExecContext(ctx, "insert into strait.server (id) select ? from dual where not exists (select 1 from strait.server)", id); err != nil {
		return "", err
	}
	return readIdentity(ctx, db)
}

// The server's errors that we act on.
const (
	errDBAccessDenied  = 1044
	errUnknownDatabase = 1049
	errParse           = 1064
	errTableDenied     = 1142
	errNoSuchTable     = 1146
	errCommandFailed   = 1220
	errLockWaitTimeout = 1205
	errSpecificDenied  = 1227
	errXARecoverDenied = 1401
	errNoBinaryLogging = 1381
)

func isError(err error, codes ...uint16) bool {
	var me *driver.MySQLError
	if !errors.As(err, &me) {
		return false
	}
	for _, c := range codes {
		if me.Number == c {
			return true
		}
	}
	return false
}

// makeControlTables makes the control tables unless they are there.
func makeControlTables(ctx context.Context, db *sql.DB) error {
	var n int
	err := db.QueryRowContext(ctx, "select count(*) from information_schema.tables where table_schema = 'strait' and table_name in ('progress', 'link')").Scan(&n)
	if err != nil {
		return fmt.Errorf("control tables: %w", err)
	}
	if n == 2 {
		return nil
	}
	for _, ddl := range schemas.MySQLControlTables {
		if _, err := db.ExecContext(ctx, ddl); err != nil {
			return fmt.Errorf("control tables: %w; grant create, select, insert, update on strait.* to the user of the capture, or run as an administrator: %s", err, ddl)
		}
	}
	return nil
}

// binlogFile is a line of SHOW BINARY LOGS.
type binlogFile struct {
	name string
	size uint64
}

func binlogFiles(ctx context.Context, db querier) ([]binlogFile, error) {
	rows, err := db.QueryContext(ctx, "show binary logs")
	if err != nil {
		return nil, fmt.Errorf("binlog files: %w; grant replication client on *.* (MariaDB: binlog monitor) to the user of the capture", err)
	}
	var out []binlogFile
	err = eachRow(rows, func(v map[string]string) error {
		size, err := strconv.ParseUint(v["file_size"], 10, 64)
		out = append(out, binlogFile{v["log_name"], size})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("binlog files: %w", err)
	}
	return out, nil
}

// endOfLog is where the log ends now, with the GTID set there (MySQL only).
func endOfLog(ctx context.Context, db querier, s *server) (place, string, error) {
	rows, err := db.QueryContext(ctx, "show binary log status")
	if isError(err, errParse) {
		rows, err = db.QueryContext(ctx, "show master status")
	}
	if err != nil {
		return place{}, "", fmt.Errorf("end of the binlog: %w; grant replication client on *.* (MariaDB: binlog monitor) to the user of the capture", err)
	}
	var at place
	var set string
	err = eachRow(rows, func(v map[string]string) error {
		offset, err := strconv.ParseUint(v["position"], 10, 64)
		if err != nil {
			return err
		}
		set = strings.Join(strings.Fields(v["executed_gtid_set"]), "")
		at, err = newPlace(v["file"], offset)
		return err
	})
	if err != nil {
		return place{}, "", fmt.Errorf("end of the binlog: %w", err)
	}
	if at.file == "" {
		return place{}, "", unsupported("the binlog is off; cure: set log_bin in the server's configuration and restart it")
	}
	return at, set, nil
}

// eachRow calls f with each row, by column name in lower case. It closes rows.
func eachRow(rows *sql.Rows, f func(map[string]string) error) error {
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]sql.NullString, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		row := make(map[string]string, len(names))
		for i, n := range names {
			row[strings.ToLower(n)] = values[i].String
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// replicaID is the server id to register with: the configured one, or one derived
// from the system's name that no replica uses now.
func (s *server) replicaID(ctx context.Context, db querier, cfg Config) (uint32, error) {
	used := map[uint64]bool{s.serverID: true}
	rows, err := db.QueryContext(ctx, "show replicas")
	if isError(err, errParse) {
		rows, err = db.QueryContext(ctx, "show slave hosts")
	}
	switch {
	case err == nil:
		err = eachRow(rows, func(v map[string]string) error {
			id, err := strconv.ParseUint(v["server_id"], 10, 32)
			used[id] = true
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("replicas: %w", err)
		}
	case isError(err, errSpecificDenied, errDBAccessDenied):
		// Without the privilege to see the others we rely on the derived number.
	default:
		return 0, fmt.Errorf("replicas: %w", err)
	}
	if cfg.ServerID != 0 {
		if uint64(cfg.ServerID) == s.serverID {
			return 0, fmt.Errorf("server id %d is that of the server itself; configure another one", cfg.ServerID)
		}
		return cfg.ServerID, nil
	}
	h := fnv.New32a()
	h.Write([]byte("strait/" + cfg.System + "/" + cfg.URL[strings.LastIndexByte(cfg.URL, '@')+1:]))
	id := h.Sum32()>>2 | 1<<30
	for used[uint64(id)] {
		id++
	}
	return id, nil
}

// replicaUUID is the name under which MySQL knows us beside the number: a second
// capture of the same system ends the dump of the first.
func replicaUUID(id uint32) string { return fmt.Sprintf("73747261-6974-4000-8000-0000%08x", id) }
