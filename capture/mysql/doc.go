// Package mysql reads MySQL (8.0 and later) and MariaDB (10.6 and later): a
// consistent snapshot first, then the binlog from exactly the place the
// snapshot was taken at.
//
// Open checks that the server logs whole rows with their description
// (binlog_row_image=FULL, binlog_row_metadata=FULL), makes the control tables,
// and starts one goroutine that receives the binlog and decodes it. Read hands
// out whole transactions. A broken connection is an error of Read: close the
// Source and Open it again at the last durable position.
//
// The binlog describes its own rows, so no statement is ever parsed to learn
// the shape of a table: each TABLE_MAP event carries names, types, signs,
// character sets, labels and primary key. What it lacks (defaults, generated
// columns, unique keys that stand in for a primary key) is looked up in
// information_schema, and is left out for a column that no longer has the type
// the log says.
//
// A position is the end of a transaction, file and offset, together with the
// GTID set reached there; Open verifies both before it trusts them.
//
// The go-mysql library supplies connection and authentication, and decodes
// tagged GTIDs. The rest of the log is decoded here, straight into our own
// types: see dump.go for the wire, events.go for the envelope of an event,
// reader.go for transactions, rows.go for rows and types.go for types.
package mysql
