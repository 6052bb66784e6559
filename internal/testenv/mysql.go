package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

const (
	mariadbKind = "mariadb"
	mysqlKind   = "mysql"
)

// StartMariaDB starts a MariaDB server, the system's. dir is as with StartPostgres.
func StartMariaDB(ctx context.Context, dir string) (*Server, error) {
	r, err := mariadb()
	if err != nil {
		return nil, err
	}
	return start(ctx, r, dir)
}

func mariadb() (recipe, error) {
	install, err := find("MariaDB", "mariadb", "/usr/bin/mariadb-install-db")
	if err != nil {
		return recipe{}, err
	}
	program, err := find("MariaDB", "mariadb", "/usr/sbin/mariadbd")
	if err != nil {
		return recipe{}, err
	}
	initialise := func(ctx context.Context, data string) error {
		return withSQL(data, createSuperuser("mysql_native_password"), func(file string) error {
			return run(ctx, filepath.Dir(data), install, "--no-defaults", "--datadir="+data, "--skip-test-db",
				"--auth-root-authentication-method=normal", "--extra-file="+file, "--innodb-log-file-size=32M")
		})
	}
	return recipe{
		kind: mariadbKind, label: "MariaDB", polite: syscall.SIGTERM, quick: syscall.SIGKILL, version: "select version()",
		fill: func(ctx context.Context, data string) error {
			return copyTemplate(ctx, "mariadb", data, func(dir string) error { return initialise(ctx, dir) })
		},
		argv: func(s *Server, data string) []string {
			return append(binlogArgv([]string{program, "--no-defaults"}, s, data),
				"--innodb-log-file-size=32M", "--gtid-strict-mode=ON", "--sync-binlog=1", "--log-slave-updates=ON")
		},
	}, nil
}

// StartMySQL starts the MySQL server of the cache. dir is as with StartPostgres.
func StartMySQL(ctx context.Context, dir string) (*Server, error) {
	r, err := mysqlRecipe()
	if err != nil {
		return nil, err
	}
	return start(ctx, r, dir)
}

func mysqlRecipe() (recipe, error) {
	program, err := mysqlCommand()
	if err != nil {
		return recipe{}, err
	}
	initialise := func(ctx context.Context, data string) error {
		return withSQL(data, createSuperuser("caching_sha2_password"), func(file string) error {
			argv := append(slices.Clone(program), "--initialize-insecure", "--datadir="+data, "--init-file="+file, "--innodb-redo-log-capacity=64M")
			if err := run(ctx, filepath.Dir(data), argv...); err != nil {
				return err
			}
			// The server's UUID: each copy makes its own.
			return os.Remove(filepath.Join(data, "auto.cnf"))
		})
	}
	return recipe{
		kind: mysqlKind, label: "MySQL", polite: syscall.SIGTERM, quick: syscall.SIGKILL, version: "select version()",
		fill: func(ctx context.Context, data string) error {
			return copyTemplate(ctx, "mysql", data, func(dir string) error { return initialise(ctx, dir) })
		},
		argv: func(s *Server, data string) []string {
			return append(binlogArgv(slices.Clone(program), s, data),
				"--innodb-redo-log-capacity=64M", "--gtid-mode=ON", "--enforce-gtid-consistency=ON")
		},
	}, nil
}

// mysqlCommand is the start of a command line for the fetched MySQL. It was built for
// a newer system, whose own loader and libraries lie beside it.
func mysqlCommand() ([]string, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	root := filepath.Join(cache, "mysql")
	mysqld, err := find("MySQL", "mysql", filepath.Join(root, "usr/sbin/mysqld"))
	if err != nil {
		return nil, err
	}
	loader := glob(root, "usr/lib*/ld-linux*.so.*", "usr/lib/*-linux-gnu/ld-linux*.so.*")
	libraries := glob(root, "usr/lib/*-linux-gnu")
	if loader == "" || libraries == "" {
		return nil, missing("MySQL", root+"/usr/lib", "mysql")
	}
	share := filepath.Join(root, "usr/share/mysql")
	return []string{
		loader, "--library-path", libraries, mysqld, "--no-defaults", "--basedir=" + filepath.Join(root, "usr"),
		"--lc-messages-dir=" + share, "--character-sets-dir=" + filepath.Join(share, "charsets"),
		"--plugin-dir=" + filepath.Join(root, "usr/lib/mysql/plugin"), "--secure-file-priv=NULL", "--mysqlx=OFF",
	}, nil
}

// glob gives the first match below root.
func glob(root string, patterns ...string) string {
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// binlogArgv adds the settings that MariaDB and MySQL have in common: durable and
// replicating as in production, but small.
func binlogArgv(argv []string, s *Server, data string) []string {
	port := strconv.Itoa(s.Port)
	return append(argv,
		"--datadir="+data, "--socket="+s.Socket, "--port="+port, "--bind-address=127.0.0.1", "--skip-name-resolve",
		"--pid-file="+filepath.Join(filepath.Dir(data), "pid"),
		// A port is unique on the machine, and so is the server id made from it.
		"--server-id="+port, "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL",
		"--character-set-server=utf8mb4", "--default-time-zone=+00:00", "--local-infile=ON",
		"--innodb-buffer-pool-size=64M", "--max-connections=200",
	)
}

// createSuperuser is the statements for the user that all else is done as. The
// initialising server has not read its grants before the first of them.
func createSuperuser(plugin string) string {
	return fmt.Sprintf("FLUSH PRIVILEGES;\nCREATE USER '%s'@'%%' IDENTIFIED %s;\nGRANT ALL ON *.* TO '%s'@'%%' WITH GRANT OPTION;\n",
		superuser, identified(plugin), superuser)
}

func identified(plugin string) string {
	if plugin == "mysql_native_password" { // MariaDB's grammar
		return "BY '" + password + "'"
	}
	return "WITH " + plugin + " BY '" + password + "'"
}

// withSQL calls use with a file of statements beside the data folder.
func withSQL(data, statements string, use func(file string) error) error {
	file := data + ".sql"
	if err := os.WriteFile(file, []byte(statements), 0o644); err != nil {
		return err
	}
	defer os.Remove(file)
	return use(file)
}

// dropMySQL removes a test's database and the sessions that may hold locks on it.
func dropMySQL(ctx context.Context, s *Server) error {
	admin := s.open("")
	defer admin.Close()
	rows, err := admin.QueryContext(ctx, "select id from information_schema.processlist where db = ?", s.Database)
	if err != nil {
		return err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		_, _ = admin.ExecContext(ctx, fmt.Sprintf("kill %d", id)) // it may have gone by itself
	}
	if _, err := admin.ExecContext(ctx, "set session lock_wait_timeout = 30"); err != nil {
		return err
	}
	if _, err := admin.ExecContext(ctx, fmt.Sprintf("drop database `%s`", s.Database)); err != nil {
		return err
	}
	return rows.Err()
}
