// Package stream is the way through Kafka: exactly-once publishing of changes
// with their Commit, reading whole commits, and the embedded broker. Nothing
// outside this package knows a Kafka client.
//
//	w, err := stream.OpenWriter(ctx, cfg, "crm", encoder) // fences an older one
//	last, _ := w.Last()                                   // where capture goes on
//	commit, err := w.Write(ctx, batch)                    // durable when it returns
//
//	r, err := stream.OpenReader(ctx, cfg, "crm", decoder, nil, stream.Start{})
//	part, err := r.Next(ctx)                              // whole commits, in order
//
// # The picture
//
// A Writer puts the records of some source transactions and one Commit record
// into one Kafka transaction. The Commit names, for each topic-partition, the
// offsets that belong to it. A Reader follows the commits topic and reads
// exactly those offsets, merged by strait.seq. So the commits topic alone says
// what was published: for our readers, where capture resumes, and where a DBA
// replays from. Everyone else reads the data topics with read_committed.
//
//	writer.go  txn.go  produce.go  batch.go   encode, send, decide
//	reader.go  source.go  commits.go          whole commits, fetched ahead
//	fetch.go  records.go  tail.go             one fetch, committed records, topics as they are
//	appender.go                               compacted topics beside the stream
//	client.go  conn.go  topics.go  errors.go  brokers, leaders, what to try again
//	broker.go  guard.go  hooks.go             the embedded broker and its guard rails
//	txnlog.go  recover.go                     what makes its transactions whole
//
// # A commit, step by step
//
//  1. Partitions, the commits topic among them, are added to the transaction.
//  2. The records go out, all partitions of a broker in one request; the answers
//     tell the offsets. Large transactions repeat steps 1 and 2.
//  3. The Commit record goes out, with those offsets.
//  4. The transaction is ended. From here on it is durable and visible.
//
// After a failure in 1 to 3 nothing is visible, and the next OpenWriter aborts
// what is left. After a failure in 4 nobody knows: the next OpenWriter waits for
// the broker's verdict, reads the last commit back and goes on behind it. So a
// Writer never repairs itself: an error ends it, and the start path is recovery.
//
// # Non-obvious
//
//   - The record batches are our own. The client library can send no producer
//     id, so it could neither deduplicate nor take part in a transaction.
//   - All partitions of a broker go into one request, and one request is in
//     flight. Two of them at once make Kafka answer NOT_ENOUGH_REPLICAS over and
//     over, since each check of the transaction throws the other out; and with two
//     connections the order is anybody's guess.
//   - A retry sends the same bytes. Encoding again would give them other
//     sequence numbers, and the broker could not see that it has them already.
//   - Of the client library only single requests are used, on connections of our
//     own. Its pool looks up the coordinator before each request of a
//     transaction, learns of new topics when it likes, and picks any idle
//     connection. Its reader jumps over deleted records in silence and shows
//     markers as messages.
//   - Data is fetched without regard to transactions. A commit that is visible is
//     decided, so its offsets are; waiting for the marker of each partition would
//     only cost time. The commits topic itself is read committed, and what was
//     aborted is dropped here: brokers send it.
//   - Offsets that are gone are ErrOffsetLost, never a jump to what is there.
//   - Kafka writes the markers of a transaction behind the answer to its end.
//     Until then the next transaction is refused (CONCURRENT_TRANSACTIONS): tried
//     again after a millisecond. ReadTopic waits for them, too.
//   - The time of a record is when it was sent. Retention goes by it: a change that
//     waited in the source's log for longer than the topic keeps records would be
//     deleted as soon as it is there, and brokers refuse times in the future.
//   - A record is at most kafka.max_message, and batches stay under 900 KiB unless
//     one record is larger: topics of others take about a megabyte.
//
// # The embedded broker
//
// It is franz-go's kfake behind guard rails, for one machine and for development.
// It listens on loopback only; each request is looked at before kfake allocates
// what it claims to need. Kfake has no transaction log and, killed at the wrong
// moment, comes back with half a transaction; txnLog decides each commit durably
// first, and repairLog completes or aborts on start, from the batches themselves.
// Topics are never trimmed or compacted: kfake forgets the offsets of an empty
// partition, and a compaction that is interrupted loses it. How far each
// partition had come is remembered outside its log, and a log that is shorter is
// refused.
//
// It reads the whole log into memory when it starts, and nothing takes records
// away: BrokerConfig.Budget is where it begins to complain.
package stream
