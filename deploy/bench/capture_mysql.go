package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	capturemysql "github.com/strait-cdc/strait/capture/mysql"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/schemas"
)

const mysqlTable = `create table a (id bigint auto_increment primary key, c1 int, c2 int, c3 bigint, c4 text, c5 text, c6 text, c7 varchar(40),
	c8 timestamp(6) null, c9 datetime(6), c10 decimal(12,2), c11 decimal(12,2), c12 tinyint(1), c13 char(36), c14 date) engine=InnoDB default charset=utf8mb4`

// mysqlRows inserts n rows.
func mysqlRows(n int, wide bool) string {
	text := "concat('more text ', seq)"
	if wide {
		text = "repeat(md5(seq), 128)"
	}
	return fmt.Sprintf(`insert into a (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14) select seq %% 100, seq %% 7, seq * 1000, 'some text', %s, null, 'name',
		now(6), now(6), 12.5, seq %% 1000, 1, '6f1c9d1e-2b3a-4c5d-8e9f-0123456789ab', current_date from seq_1_to_%d`, text, n)
}

func captureMySQL(ctx context.Context, b *bench) error {
	program, err := clientProgram("mariadb-binlog")
	if err != nil {
		return err
	}
	for _, l := range b.backlogs(goal{min: 0.25}) {
		s, err := b.mariaDB(ctx)
		if err != nil {
			return err
		}
		if err := b.mysqlBacklog(ctx, s, program, l); err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}
	}
	return nil
}

// clientProgram finds a client of MariaDB.
func clientProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not there; install it with: deploy/dev/servers.sh mariadb", name)
	}
	return path, nil
}

func (b *bench) mysqlBacklog(ctx context.Context, s *testenv.Server, program string, l backlog) error {
	defer s.DB().Close()
	t := task{Kind: "mysql", URL: s.URL(), System: s.Database, Table: schemas.TableName{Schema: s.Database, Name: "a"}, Rows: l.rows}
	if err := runAll(ctx, s, mysqlTable); err != nil {
		return err
	}
	src, err := capturemysql.Open(ctx, t.mysql(), schemas.Position{})
	if err != nil {
		return err
	}
	for t.From.IsZero() {
		first, err := src.Read(ctx)
		if err != nil {
			return err
		}
		t.From = first.Resume
	}
	if err := src.Close(); err != nil {
		return err
	}
	before, err := binlogs(ctx, s)
	if err != nil {
		return err
	}
	fill := fmt.Sprintf("begin not atomic declare i int default 0; while i < %d do start transaction; %s; commit; set i = i + 1; end while; end", l.rows/l.per, mysqlRows(l.per, l.wide))
	if err := runAll(ctx, s, "set global sync_binlog = 0, global innodb_flush_log_at_trx_commit = 0", fill, "flush binary logs",
		"set global sync_binlog = 1, global innodb_flush_log_at_trx_commit = 1"); err != nil {
		return err
	}
	after, err := binlogs(ctx, s)
	if err != nil {
		return err
	}
	// The file that our position is in, and all but the one that is empty now.
	files := after[len(before)-1 : len(after)-1]
	medians, err := inTurns(ctx, b.reps,
		func(ctx context.Context) (sample, error) { return b.strait(ctx, t) },
		func(ctx context.Context) (sample, error) {
			dir, err := b.tempDir()
			if err != nil {
				return sample{}, err
			}
			defer os.RemoveAll(dir)
			argv := append([]string{program, "--no-defaults", "--read-from-remote-server", "--raw", "--host=" + s.Host, "--port=" + strconv.Itoa(s.Port),
				"--user=" + s.User, "--result-file=" + dir + "/"}, files...)
			return peer(ctx, l.rows, "MYSQL_PWD="+s.Password, argv...)
		})
	if err != nil {
		return err
	}
	b.add(pair(l.what, medians[0], medians[1], "rows/s", "mariadb-binlog", l.goal))
	return nil
}

// binlogs are the server's files, the oldest first.
func binlogs(ctx context.Context, s *testenv.Server) ([]string, error) {
	rows, err := s.DB().QueryContext(ctx, "show binary logs")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		var size int64
		if err := rows.Scan(&name, &size); err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, rows.Err()
}
