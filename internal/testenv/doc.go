// Package testenv gives tests, the demo and the benchmarks real servers:
// PostgreSQL, MariaDB, MySQL and Apache Kafka, each on a free port of 127.0.0.1,
// with its data in a folder of its own.
//
//	func TestApply(t *testing.T) {
//		crm := testenv.MariaDB(t)        // a fresh, empty database
//		erp := testenv.Postgres(t, "15") // another one
//		crm.Exec(t, `create table customer (id int primary key)`)
//		...
//	}
//
// One server of a kind and version serves a whole test binary; it starts with the
// first test that asks. What is private to a database is gone when the test
// ends; roles and replication origins belong to the whole server, so give them
// names of your own. A test that restarts or kills its server asks for a private
// one: OwnPostgres, OwnMariaDB, OwnMySQL, OwnKafka.
//
// No server outlives the process that started it, however that process ends:
// each has a watchdog (see watchdog.sh) that waits at the other end of a pipe.
//
// The programs come from the system and from the folder that CacheDir names; a
// missing one fails the test with the command that installs it.
package testenv
