package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/strait-cdc/strait/capture"
	capturemysql "github.com/strait-cdc/strait/capture/mysql"
	capturepg "github.com/strait-cdc/strait/capture/postgres"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/avro"
	"github.com/strait-cdc/strait/sinks"
	sinkmysql "github.com/strait-cdc/strait/sinks/mysql"
	sinkpg "github.com/strait-cdc/strait/sinks/postgres"
)

// target is a Sink that can try what it may do.
type target interface {
	sinks.Sink
	// Probe tries what is needed without doing it.
	Probe(ctx context.Context, needs []sinks.Need) ([]sinks.Problem, error)
}

// database is what the verbs need of one kind of database. A new kind is a new
// implementation and a case in driver.
type database interface {
	// Source opens the reader; a zero position begins with a snapshot.
	Source(ctx context.Context, tables []schemas.TableName, from schemas.Position, log *slog.Logger) (source, error)
	// Sink opens the writer.
	Sink(ctx context.Context, pipeline string, log *slog.Logger) (target, error)
	// Catalog is the shape of tables as they are now.
	Catalog(ctx context.Context, tables []schemas.TableName) ([]*schemas.Table, error)
	// ReadTables calls each with the rows of tables, all as of one moment, in the
	// order of the columns of the given shapes.
	ReadTables(ctx context.Context, tables []*schemas.Table, each func(*schemas.Table, schemas.Row) error) error
	// Check says what is wrong with the database as a source.
	Check(ctx context.Context, tables []schemas.TableName) ([]finding, error)
	// Connector is the name of Debezium's connector for this kind of database.
	Connector() string
}

// source is a Source that can say how its server keeps the log.
type source interface {
	capture.Source
	// Retained may be called while Read is waiting.
	Retained(ctx context.Context) (retained, error)
}

// retained is how a server keeps the log for us.
type retained struct {
	// bytes is the log from our position on, limit how much the server keeps at
	// most; 0 where there is no limit.
	bytes, limit int64
	// warning says that it will not be kept for long.
	warning string
}

// driver is the one place that knows which package serves which url.
func (s *SystemConfig) driver() database {
	if s.kind == "postgres" {
		return postgresDB{s}
	}
	return mysqlDB{s}
}

// url is the address with the password.
func (s *SystemConfig) url() string { return s.resolved.String() }

func (s *SystemConfig) database() string { return strings.Trim(s.resolved.Path, "/") }

type postgresDB struct{ *SystemConfig }

func (d postgresDB) config(tables []schemas.TableName, log *slog.Logger) capturepg.Config {
	return capturepg.Config{URL: d.url(), System: d.name, Slot: d.Slot, Publication: d.Publication, Tables: tables, Log: log}
}

func (d postgresDB) Source(ctx context.Context, tables []schemas.TableName, from schemas.Position, log *slog.Logger) (source, error) {
	src, err := capturepg.Open(ctx, d.config(tables, log), from)
	if err != nil {
		return nil, err
	}
	return postgresSource{src}, nil
}

type postgresSource struct{ *capturepg.Source }

// Retained warns when the server may drop the slot's log.
func (s postgresSource) Retained(ctx context.Context) (retained, error) {
	st, err := s.Status(ctx)
	r := retained{bytes: st.Retained}
	if st.Safe >= 0 {
		r.limit = st.Retained + st.Safe
	}
	switch {
	case err != nil || !st.Exists:
	case st.WALStatus == "lost":
		r.warning = "the slot is lost: " + st.Reason() + "; a new snapshot is needed"
	case st.WALStatus == "unreserved":
		r.warning = "the slot is about to be lost at the server's next checkpoint; raise max_slot_wal_keep_size"
	case r.limit > 0 && st.Retained > r.limit/2:
		r.warning = fmt.Sprintf("the slot holds more than half of the %d MB that max_slot_wal_keep_size allows; let strait catch up, or raise it", r.limit>>20)
	}
	return r, err
}

func (d postgresDB) Sink(ctx context.Context, pipeline string, log *slog.Logger) (target, error) {
	return sinkpg.Open(ctx, sinkpg.Config{URL: d.url(), Pipeline: pipeline, Log: log})
}

func (d postgresDB) Catalog(ctx context.Context, tables []schemas.TableName) ([]*schemas.Table, error) {
	return capturepg.Catalog(ctx, d.url(), tables)
}

func (d postgresDB) ReadTables(ctx context.Context, tables []*schemas.Table, each func(*schemas.Table, schemas.Row) error) error {
	return capturepg.ReadTables(ctx, d.url(), tables, each)
}

func (d postgresDB) Check(ctx context.Context, tables []schemas.TableName) ([]finding, error) {
	found, err := capturepg.Check(ctx, d.config(tables, nil))
	var out []finding
	for _, f := range found {
		out = append(out, finding{level(!f.Warning), d.name, f.What, f.Why, f.Cure})
	}
	return out, err
}

func (d postgresDB) Connector() string { return avro.PostgreSQL }

type mysqlDB struct{ *SystemConfig }

func (d mysqlDB) config(tables []schemas.TableName, log *slog.Logger) capturemysql.Config {
	return capturemysql.Config{URL: d.url(), System: d.name, Tables: tables, Log: log}
}

func (d mysqlDB) Source(ctx context.Context, tables []schemas.TableName, from schemas.Position, log *slog.Logger) (source, error) {
	src, err := capturemysql.Open(ctx, d.config(tables, log), from)
	if err != nil {
		return nil, err
	}
	return mysqlSource{src}, nil
}

type mysqlSource struct{ *capturemysql.Source }

// Retained warns when the next file that the server purges is one we need.
func (s mysqlSource) Retained(ctx context.Context) (retained, error) {
	st, err := s.Status(ctx)
	r := retained{bytes: int64(st.BehindBytes)}
	if err == nil && st.FilesLeft == 0 && st.Files > 1 {
		r.warning = fmt.Sprintf("the oldest binlog file, %s, is still needed: when it is purged, only a new snapshot helps; keep it, or let strait catch up", st.OldestFile)
	}
	return r, err
}

func (d mysqlDB) Sink(ctx context.Context, pipeline string, log *slog.Logger) (target, error) {
	return sinkmysql.Open(ctx, sinkmysql.Config{URL: d.url(), Pipeline: pipeline, Log: log})
}

func (d mysqlDB) Catalog(ctx context.Context, tables []schemas.TableName) ([]*schemas.Table, error) {
	return capturemysql.Catalog(ctx, d.url(), tables)
}

func (d mysqlDB) ReadTables(ctx context.Context, tables []*schemas.Table, each func(*schemas.Table, schemas.Row) error) error {
	return capturemysql.ReadTables(ctx, d.url(), tables, each)
}

func (d mysqlDB) Check(ctx context.Context, tables []schemas.TableName) ([]finding, error) {
	found, err := capturemysql.Check(ctx, d.config(tables, nil))
	var out []finding
	for _, f := range found {
		out = append(out, finding{level(f.Fatal), d.name, f.What, f.Why, f.Cure})
	}
	return out, err
}

func (d mysqlDB) Connector() string {
	if d.kind == "mariadb" {
		return avro.MariaDB
	}
	return avro.MySQL
}

// level is error for what would keep strait run from working.
func level(fatal bool) string {
	if fatal {
		return levelError
	}
	return levelWarning
}
