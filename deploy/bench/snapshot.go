package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/strait-cdc/strait/schemas"
)

func snapshots(ctx context.Context, b *bench) error {
	if err := snapshotPostgres(ctx, b); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if err := snapshotMySQL(ctx, b); err != nil {
		return fmt.Errorf("mariadb: %w", err)
	}
	return nil
}

func snapshotPostgres(ctx context.Context, b *bench) error {
	program, err := postgresProgram("psql")
	if err != nil {
		return err
	}
	s, err := b.postgresDB(ctx)
	if err != nil {
		return err
	}
	defer s.DB().Close()
	rows := b.size(400_000, 3000)
	if err := runAll(ctx, s, postgresTable, postgresRows("0", strconv.Itoa(rows), false), "vacuum analyze public.a", "checkpoint"); err != nil {
		return err
	}
	t := task{Kind: "postgres", URL: s.URL(), System: s.Database, Table: schemas.TableName{Schema: "public", Name: "a"}, Rows: rows, Slot: s.Database, Publication: "bench"}
	medians, err := inTurns(ctx, b.reps,
		func(ctx context.Context) (sample, error) { return b.strait(ctx, t) },
		func(ctx context.Context) (sample, error) {
			return peer(ctx, rows, "PGPASSWORD="+s.Password, program, "-X", "-q", "-d", postgresDSN(s), "-c", "copy public.a to stdout")
		})
	if err != nil {
		return err
	}
	b.add(pair("PostgreSQL", medians[0], medians[1], "rows/s", "COPY", goal{}))
	return (&slots{s: s}).drop(ctx)
}

func snapshotMySQL(ctx context.Context, b *bench) error {
	program, err := clientProgram("mariadb")
	if err != nil {
		return err
	}
	s, err := b.mariaDB(ctx)
	if err != nil {
		return err
	}
	defer s.DB().Close()
	rows := b.size(400_000, 3000)
	if err := runAll(ctx, s, mysqlTable, mysqlRows(rows, false)); err != nil {
		return err
	}
	t := task{Kind: "mysql", URL: s.URL(), System: s.Database, Table: schemas.TableName{Schema: s.Database, Name: "a"}, Rows: rows}
	medians, err := inTurns(ctx, b.reps,
		func(ctx context.Context) (sample, error) { return b.strait(ctx, t) },
		func(ctx context.Context) (sample, error) {
			return peer(ctx, rows, "MYSQL_PWD="+s.Password, program, "--no-defaults", "--host="+s.Host, "--port="+strconv.Itoa(s.Port), "--user="+s.User,
				"--quick", "--batch", "--skip-column-names", "-e", "select * from a", s.Database)
		})
	if err != nil {
		return err
	}
	b.add(pair("MariaDB", medians[0], medians[1], "rows/s", "SELECT", goal{}))
	return nil
}
