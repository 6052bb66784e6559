package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	postgresKind = "postgres"
	// postgresStop is a fast shutdown, postgresQuit an immediate one; both give the
	// shared memory back (https://www.postgresql.org/docs/current/server-shutdown.html).
	postgresStop = syscall.SIGINT
	postgresQuit = syscall.SIGQUIT
)

// StartPostgres starts a PostgreSQL server of a major version ("15", "18"). With dir ""
// its data is in a temporary folder that Stop removes; otherwise in dir, which is
// kept, and used again when it already holds data.
func StartPostgres(ctx context.Context, version, dir string) (*Server, error) {
	r, err := postgres(version, false)
	if err != nil {
		return nil, err
	}
	return start(ctx, r, dir)
}

// postgres is the recipe. Servers made from the template have one system identifier
// in common, so only shared ones are: a private server is another system.
func postgres(version string, template bool) (recipe, error) {
	bin, err := postgresBin(version)
	if err != nil {
		return recipe{}, err
	}
	initialise := func(ctx context.Context, data string) error { return initdb(ctx, bin, data) }
	fill := initialise
	if template {
		fill = func(ctx context.Context, data string) error {
			return copyTemplate(ctx, "postgresql-"+version, data, func(dir string) error { return initialise(ctx, dir) })
		}
	}
	return recipe{
		kind: postgresKind, label: "PostgreSQL " + version, admin: "postgres",
		fill: fill, polite: postgresStop, quick: postgresQuit, version: "show server_version",
		argv: func(s *Server, data string) []string { return postgresArgv(filepath.Join(bin, "postgres"), s, data) },
	}, nil
}

// postgresBin finds the programs of a version: Debian's, else the fetched ones.
func postgresBin(version string) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	name := "postgresql-" + version
	path, err := find("PostgreSQL "+version, name,
		filepath.Join("/usr/lib/postgresql", version, "bin", "initdb"),
		filepath.Join(cache, name, "bin", "initdb"))
	return filepath.Dir(path), err
}

func initdb(ctx context.Context, bin, data string) error {
	pw := data + ".password"
	if err := os.WriteFile(pw, []byte(password+"\n"), 0o644); err != nil {
		return err
	}
	defer os.Remove(pw)
	return run(ctx, filepath.Dir(data), filepath.Join(bin, "initdb"), "-D", data, "-U", superuser,
		"--pwfile", pw, "-A", "scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
}

// postgresArgv has the settings: durable as in production, but small.
func postgresArgv(program string, s *Server, data string) []string {
	argv := []string{program, "-D", data}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.Port), "unix_socket_directories=" + s.Socket,
		"wal_level=logical", "max_wal_senders=30", "max_replication_slots=30", "max_prepared_transactions=10",
		"track_commit_timestamp=on", "max_connections=200", "shared_buffers=64MB", "max_wal_size=256MB",
		"dynamic_shared_memory_type=mmap", // in the data folder, so that it goes with it
		"timezone=UTC", "log_timezone=UTC", "lc_messages=C",
	} {
		argv = append(argv, "-c", setting)
	}
	return argv
}

// dropPostgres removes a test's database with what holds on to it: prepared
// transactions, replication slots and sessions.
func dropPostgres(ctx context.Context, s *Server) error {
	if err := rollbackPrepared(ctx, s); err != nil {
		return err
	}
	admin := s.open("postgres")
	defer admin.Close()
	if err := dropSlots(ctx, admin, s.Database); err != nil {
		return err
	}
	_, err := admin.ExecContext(ctx, fmt.Sprintf("drop database %q with (force)", s.Database))
	return err
}

// dropSlots drops the replication slots of a database. A walsender that was told to
// end holds its slot for a moment.
func dropSlots(ctx context.Context, admin *sql.DB, database string) error {
	for {
		_, err := admin.ExecContext(ctx, "select pg_terminate_backend(active_pid) from pg_replication_slots where database = $1 and active", database)
		if err != nil {
			return err
		}
		_, err = admin.ExecContext(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1", database)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("drop replication slots: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// rollbackPrepared ends prepared transactions, which only their own database can.
func rollbackPrepared(ctx context.Context, s *Server) error {
	db := s.open(s.Database)
	defer db.Close()
	rows, err := db.QueryContext(ctx, "select format('rollback prepared %L', gid) from pg_prepared_xacts where database = current_database()")
	if err != nil {
		return err
	}
	defer rows.Close()
	var statements []string
	for rows.Next() {
		var statement string
		if err := rows.Scan(&statement); err != nil {
			return err
		}
		statements = append(statements, statement)
	}
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return rows.Err()
}
