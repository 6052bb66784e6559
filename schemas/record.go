package schemas

import "time"

// Record is what Kafka holds. A nil Value is a tombstone; a nil Key is a record
// of a table without key.
type Record struct {
	Topic      string
	Key, Value []byte
	Headers    []Header
	Time       time.Time
}

// Header is a header of a Record.
type Header struct {
	Key   string
	Value []byte
}

// The headers of ours, and Debezium's for a change of key.
const (
	HeaderSeq    = "strait.seq"    // 8 bytes, big-endian
	HeaderOrigin = "strait.origin" // text of Origin; absent when zero
	HeaderNewKey = "__debezium.newkey"
	HeaderOldKey = "__debezium.oldkey"
)

// CommitsTopic is the topic of a system's Commit records.
func CommitsTopic(system string) string { return system + ".commits" }

// TopicName is the topic of a table: characters that Kafka does not allow become
// an underscore, as in Debezium.
func TopicName(system string, table TableName) string {
	b := []byte(system + "." + table.Schema + "." + table.Name)
	out := b[:0]
	for _, r := range string(append([]byte(nil), b...)) {
		if r < 0x80 && (r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			out = append(out, byte(r))
		} else {
			out = append(out, '_')
		}
	}
	if len(out) > 249 {
		out = out[:249]
	}
	return string(out)
}
