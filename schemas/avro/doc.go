// Package avro turns changes into records that any consumer written for Debezium
// reads, and back. NewEncoder makes an Encoder for one system, NewDecoder a
// Decoder for all; both need a registry.Registry.
//
// A record is Debezium's envelope in Avro with Confluent's framing: a zero byte,
// the schema's id, the Avro bytes. Schema text, field order and bytes are those
// of Debezium 3.6; the tests hold them against recordings of it.
//
// # The law
//
// What is decoded is what was encoded, for every kind and every value. Where a
// value has no exact form in Debezium's types, the record shows null (zero in a
// column that cannot be null), as Debezium does, and the header strait.exact
// holds the value: NaN and the infinities in decimals, arrays of several
// dimensions or other lower bounds, a text that happens to be Debezium's
// placeholder, an unchanged value in a column without a placeholder. The header
// strait.before says that of a row before only the key is known. A key has to be
// the same bytes for the same row always, so a key value without an exact form
// is an error that names table, column and key.
//
// Two things are normal forms, not losses: a snapshot mark that is empty comes
// back as "true", and a value after an update that the log left out is taken
// from the row before if that has it.
//
// # Where we differ from Debezium
//
// Only where its defaults lose something:
//
//   - bigint unsigned is a decimal(20,0), not a long that turns negative;
//   - numeric without a scale keeps the zeros at its end;
//   - interval is its ISO 8601 text, not microseconds of average months;
//   - timetz keeps its offset;
//   - infinite dates and timestamps are the least and greatest number of their
//     type, of which every reader knows that it is no date;
//   - labels of an enum are never escaped in values;
//   - items of enum arrays may be null, as in the database;
//   - column defaults are not in the schema, so that a consumer's NULL stays NULL;
//   - column names that Avro refuses are adjusted, and two that would become one
//     name are told apart by a number instead of stopping the capture;
//   - a decimal's Avro precision is at least its scale;
//   - properties strait.* say what Debezium's do not: the kind, precision, scale,
//     labels and column name, and only where they are needed.
//
// # How it works
//
// For each table shape the schema is written once, parsed by goavro, and proven:
// generated rows go through the program and come back through goavro and through
// our decoder. From then on one change in a thousand is decoded with goavro and
// compared; a difference is an error. A schema of somebody else is read by name,
// field by field, and types that we never write go through goavro and appear as
// JSON.
package avro
