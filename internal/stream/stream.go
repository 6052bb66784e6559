package stream

import "github.com/strait-cdc/strait/schemas"

// Encoder turns a change into the records that Kafka holds: one, or with its
// tombstone two, or three for a change of key.
type Encoder interface {
	// Encode appends the records of one change to dst. Their bytes stay valid until
	// Reset. The headers of stream's own (seq, origin) are not among them.
	Encode(c *schemas.Change, dst []schemas.Record) ([]schemas.Record, error)
	Reset()
}

// Decoder turns a record back into a change.
type Decoder interface {
	// Decode fills c; it reports false for a record that is no change (a tombstone).
	// The bytes of r are not kept.
	Decode(r *schemas.Record, c *schemas.Change) (bool, error)
}

// Start says where a Reader begins.
type Start struct {
	// Offset is that of the commit record to read next in <system>.commits.
	Offset int64
	// AfterSeq leaves out the records up to it, of a commit read in parts.
	AfterSeq uint64
}

// Part is a whole commit, or a piece of a large one.
type Part struct {
	Commit *schemas.Commit
	// Changes are in the order of strait.seq.
	Changes []schemas.Change
	// Last says that the commit ends here.
	Last bool
	// Seq is that of the last record read, whether it was a change or not.
	Seq uint64
}
