package schemas

// The control tables, in each database that we read or write. Both the reader
// and the sink of a system make them if they are missing, whichever comes
// first, so their shape is fixed here.
//
// strait.progress has one row for each lane of a pipeline; the first statement
// of every apply transaction writes it, which is also the mark by which a reader
// recognises our own transactions. strait.link says which record of ours is
// which row of theirs; status is live or dead.
//
// The statements can be repeated. Two clients that run them at the same moment
// may collide on PostgreSQL (SQLSTATE 23505 or 42P07): run them again. On
// PostgreSQL the first one needs CREATE on the database even where the schema
// exists: look with to_regclass('strait.progress') and to_regclass('strait.link')
// before running them.
var (
	// PostgresControlTables makes them on PostgreSQL.
	PostgresControlTables = []string{
		`create schema if not exists strait`,
		`create table if not exists strait.progress (
	pipeline text not null,
	lane integer not null,
	epoch bigint not null,
	batch bigint not null,
	answers text,
	at timestamptz not null default now(),
	primary key (pipeline, lane)
)`,
		`create table if not exists strait.link (
	entity varchar(100) not null,
	native_key varchar(255) not null,
	hub varchar(64) not null,
	status varchar(16) not null default 'live',
	batch bigint not null default 0,
	primary key (entity, native_key),
	unique (entity, hub)
)`,
	}
	// MySQLControlTables makes them on MySQL and MariaDB.
	MySQLControlTables = []string{
		"create database if not exists strait character set utf8mb4 collate utf8mb4_bin",
		`create table if not exists strait.progress (
	pipeline varchar(100) not null,
	lane int not null,
	epoch bigint not null,
	batch bigint not null,
	answers mediumtext,
	at datetime(6) not null default current_timestamp(6),
	primary key (pipeline, lane)
) engine=InnoDB character set utf8mb4 collate utf8mb4_bin`,
		`create table if not exists strait.link (
	entity varchar(100) not null,
	native_key varchar(255) not null,
	hub varchar(64) not null,
	status varchar(16) not null default 'live',
	batch bigint not null default 0,
	primary key (entity, native_key),
	unique key link_hub (entity, hub)
) engine=InnoDB character set utf8mb4 collate utf8mb4_bin`,
	}
)

// The columns of strait.progress that a reader needs for the mark.
const (
	ProgressPipeline = "pipeline"
	ProgressBatch    = "batch"
)
