package schemas

import "time"

// Commit is one or more whole source transactions made durable in Kafka at
// once: the record of the one-partition topic <system>.commits, in JSON. The
// last one is the resume point of capture; each one is a consistent cut for
// every reader.
type Commit struct {
	System string `json:"system"`
	// Number counts the commits of a system from 1 without a gap.
	Number int64 `json:"number"`
	// Resume is where capture goes on after this commit. It is the zero Position
	// while a snapshot is under way.
	Resume Position `json:"resume"`
	// FirstSeq and LastSeq are the range of strait.seq of the records, both
	// inclusive; LastSeq < FirstSeq when there is none.
	FirstSeq uint64 `json:"firstSeq"`
	LastSeq  uint64 `json:"lastSeq"`
	Txns     int    `json:"txns"`
	Phase    Phase  `json:"phase"`
	// Ranges tells which offsets hold the records.
	Ranges []Range `json:"ranges"`
	// Time is the commit time of the last source transaction, At when the commit
	// was sent to Kafka.
	Time time.Time `json:"time"`
	At   time.Time `json:"at"`
	// Offset is the commit's own offset in the commits topic; set by readers.
	Offset int64 `json:"-"`
}

// Range is the offsets [From, To) of one topic-partition.
type Range struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}
