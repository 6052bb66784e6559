// Package consumers holds the tests that other people's clients read our topics
// with nothing but their own defaults: Python's confluent-kafka with its Avro
// deserializer and our registry, kcat, and the calls that Java's clients make of a
// registry. What they read is held against what SQL said when the row was
// written, over the embedded broker and over Apache Kafka.
//
// Python's packages are those of requirements.txt, in a virtual environment
// beside the cached servers.
package consumers
