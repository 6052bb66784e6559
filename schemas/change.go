package schemas

import (
	"strconv"
	"strings"
	"time"
)

// Op is what happened to a row; its letter is Debezium's.
type Op byte

// The operations.
const (
	Insert   Op = 'c'
	Update   Op = 'u'
	Delete   Op = 'd'
	Snapshot Op = 'r'
	// Truncate concerns the whole table: both rows are absent. It is published,
	// never applied.
	Truncate Op = 't'
)

// String is the operation's name.
func (o Op) String() string {
	switch o {
	case Insert:
		return "insert"
	case Update:
		return "update"
	case Delete:
		return "delete"
	case Snapshot:
		return "snapshot"
	case Truncate:
		return "truncate"
	}
	return "op " + string(rune(o))
}

// Origin says who wrote a transaction. The zero Origin is a user or an
// application; otherwise it is one of our own apply batches, recognised by the
// row of strait.progress that each of them writes first.
type Origin struct {
	Pipeline string
	Batch    int64
}

// IsZero says that the transaction is not ours.
func (o Origin) IsZero() bool { return o == Origin{} }

// String is pipeline:batch, the form in the header strait.origin.
func (o Origin) String() string {
	if o.IsZero() {
		return ""
	}
	return o.Pipeline + ":" + strconv.FormatInt(o.Batch, 10)
}

// ParseOrigin reads what String wrote; anything else is the zero Origin.
func ParseOrigin(s string) Origin {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return Origin{}
	}
	n, err := strconv.ParseInt(s[i+1:], 10, 64)
	if err != nil {
		return Origin{}
	}
	return Origin{Pipeline: s[:i], Batch: n}
}

// ProgressTable and its columns are the universal mark: each apply transaction
// writes this row first, so the first change of one of our transactions is a
// change of this table. The schema (database on MySQL) is always "strait".
var (
	ProgressTable = TableName{"strait", "progress"}
	LinkTable     = TableName{"strait", "link"}
)

// Txn is what all changes of one source transaction share. Readers fill it at
// the transaction's start; Pos may still be unknown (zero) then and is set
// before the Batch that holds the transaction's end is returned.
type Txn struct {
	// ID is the server's: xid on PostgreSQL, GTID on MySQL and MariaDB (or
	// file:offset of its start where there are no GTIDs). Snapshot: "snapshot".
	ID string
	// Pos is the transaction's end in the log.
	Pos Position
	// CommitLSN is PostgreSQL's LSN of the commit record, known from the start.
	CommitLSN uint64
	// Time is the commit time at the source.
	Time time.Time
	// Origin is ours or zero.
	Origin Origin
	// File, ServerID and Thread are for MySQL's and MariaDB's source block.
	File     string
	ServerID uint32
	Thread   uint32
}

// Change is one row change of one table.
type Change struct {
	Op    Op
	Table *Table
	// Before is the row before: nil on Insert and Snapshot, and where the log does
	// not carry it (Update under PostgreSQL's default replica identity). Where only
	// the key is known the other columns are Unchanged.
	Before Row
	// After is the row after: nil on Delete. Large values that the statement did
	// not touch may be Unchanged.
	After Row
	Txn   *Txn
	// Ordinal counts the changes of the transaction from 0.
	Ordinal int64
	// LSN is PostgreSQL's LSN of this change; Offset and RowNo are MySQL's event
	// start in File and the row's index inside the event. For the source block.
	LSN    uint64
	Offset uint64
	RowNo  int32
	// MovedTo is set by a reader of the stream on the Delete that is the first half
	// of a change of key: the new key. MovedFrom is set on the Insert that is the
	// second half: the old key. A Source reports a change of key as one Update
	// whose Before holds the old key.
	MovedTo, MovedFrom []Value
	// Seq is strait.seq of the record, set by a reader of the stream.
	Seq uint64
	// SnapshotMark is true, first, first_in_data_collection, last_in_data_collection
	// or last during a snapshot, and empty in the log.
	SnapshotMark string
}

// Phase says which part of a system's life a Batch or Commit belongs to.
type Phase uint8

// The phases. A snapshot is a run of Batches that starts with one of
// PhaseSnapshotFirst and ends with one of PhaseSnapshotLast; one Batch may be
// both (First|Last).
const (
	PhaseLog           Phase = 0
	PhaseSnapshot      Phase = 1
	PhaseSnapshotFirst Phase = 2
	PhaseSnapshotLast  Phase = 4
)

// IsSnapshot says that the changes are rows read from tables, not from the log.
func (p Phase) IsSnapshot() bool { return p != PhaseLog }

// Batch is what a Source reads at once: whole transactions, unless Open.
type Batch struct {
	Changes []Change
	// Txns counts the transactions that end in this batch.
	Txns int
	// Resume is where reading may start again once this batch is durable. It is
	// zero while Open, and during a snapshot before its last batch.
	Resume Position
	// Open says that the last transaction goes on in the next batch. What belongs
	// to an open transaction becomes visible only with its end.
	Open  bool
	Phase Phase
}
