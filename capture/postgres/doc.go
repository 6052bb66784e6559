// Package postgres reads a PostgreSQL database (14 and later) through a logical
// replication slot with the plugin pgoutput:
//
//	src, err := postgres.Open(ctx, postgres.Config{URL: url, System: "erp", Tables: tables}, last.Resume)
//
// Without a position Open makes the publication and the slot, and the Source
// begins with a snapshot taken at the very place in the log where the slot
// starts. With a position it goes on behind it, or says with
// capture.ErrPositionLost that the server no longer can.
//
// One goroutine owns the replication connection: it reads ahead by one batch,
// answers the server's keepalives, and reports what was acknowledged, whether or
// not anybody calls Read. A second connection reads the catalog.
//
// Non-obvious:
//   - A position is the end of a commit record. The server skips transactions
//     whose commit record starts before the position, so none comes twice.
//   - The slot is never advanced over something that is not in Kafka: where the
//     publication is idle an empty batch carries the position there first.
//     Hence confirmed_flush_lsn is never beyond the last commit, and if it is,
//     someone else has read the slot.
//   - The key of a table comes from the log (the flags of the Relation message),
//     the order of its columns and what may be NULL from the catalog, which may
//     be ahead of the log.
//   - Generated columns are not in the log of most versions; they are left out of
//     the snapshot and of the table's shape as well.
package postgres
