package capturetest

import (
	"fmt"
	"slices"

	"github.com/strait-cdc/strait/schemas"
)

// Log stands for Kafka in the tests of a Source: it keeps whole transactions and
// the Resume of the last batch, and holds every batch against the contract.
type Log struct {
	// Changes are those of whole transactions, in order.
	Changes []schemas.Change
	// Resume is where a new Source has to go on.
	Resume schemas.Position
	// Txns is the sum of Batch.Txns, Pieces the number of open batches.
	Txns, Pieces int
	// InSnapshot says that a snapshot began and did not end.
	InSnapshot bool

	// open holds the pieces of a transaction that has not ended.
	open []schemas.Change
	// next is the ordinal that the next change of the open transaction must have.
	nextOrdinal int64
	nextTxn     string
}

// Add takes a batch as the stream's writer would. The error names the rule of
// the contract that the batch breaks.
func (l *Log) Add(b *schemas.Batch) error {
	if err := l.check(b); err != nil {
		return err
	}
	if b.Phase&schemas.PhaseSnapshotFirst != 0 {
		l.Changes, l.open, l.InSnapshot = nil, nil, true
	}
	l.open = append(l.open, b.Changes...)
	l.Txns += b.Txns
	if b.Open {
		l.Pieces++
		return nil
	}
	l.Changes = append(l.Changes, l.open...)
	l.open = nil
	if b.Phase&schemas.PhaseSnapshotLast != 0 {
		l.InSnapshot = false
	}
	if !b.Resume.IsZero() {
		l.Resume = b.Resume
	}
	return nil
}

// Crash forgets what a crash of the process forgets: an unfinished transaction,
// and an unfinished snapshot as a whole.
func (l *Log) Crash() {
	l.open, l.nextTxn, l.nextOrdinal = nil, "", 0
	if l.InSnapshot {
		*l = Log{}
	}
}

// LogMark is a place in a Log to go back to.
type LogMark struct {
	changes int
	resume  schemas.Position
}

// Mark remembers the present end.
func (l *Log) Mark() LogMark { return LogMark{len(l.Changes), l.Resume} }

// Back cuts the log at a mark, as if what came later had never been committed.
func (l *Log) Back(m LogMark) {
	l.Crash()
	l.Changes, l.Resume = slices.Clip(l.Changes[:m.changes]), m.resume
}

func (l *Log) check(b *schemas.Batch) error {
	last := b.Phase&schemas.PhaseSnapshotLast != 0
	switch {
	case b.Open && !b.Resume.IsZero():
		return fmt.Errorf("an open batch has the resume %s", b.Resume)
	case b.Open && b.Phase.IsSnapshot():
		return fmt.Errorf("a snapshot batch is open")
	case b.Phase.IsSnapshot() && !last && !b.Resume.IsZero():
		return fmt.Errorf("a snapshot batch before the last has the resume %s", b.Resume)
	case b.Phase.IsSnapshot() && b.Phase&schemas.PhaseSnapshotFirst == 0 && !l.InSnapshot:
		return fmt.Errorf("a snapshot goes on that did not begin")
	case !b.Open && (!b.Phase.IsSnapshot() || last) && (b.Resume.Source == "" || b.Resume.End == 0):
		return fmt.Errorf("a closed batch has no resume (%+v)", b.Resume)
	case !b.Open && !b.Phase.IsSnapshot() && b.Resume.End < l.Resume.End:
		return fmt.Errorf("resume goes back from %s to %s", l.Resume, b.Resume)
	case !b.Open && !b.Phase.IsSnapshot() && b.Txns > 0 && b.Resume.End == l.Resume.End:
		return fmt.Errorf("transactions end but resume stays at %s", l.Resume)
	}
	if b.Phase&schemas.PhaseSnapshotFirst != 0 {
		l.nextTxn = ""
	}
	ended := map[*schemas.Txn]bool{}
	for i := range b.Changes {
		c := &b.Changes[i]
		if err := l.checkChange(b, c); err != nil {
			return fmt.Errorf("change %d of %d (%s): %w", i, len(b.Changes), ChangeText(c), err)
		}
		ended[c.Txn] = true
	}
	if b.Open || b.Phase.IsSnapshot() {
		return nil
	}
	for txn := range ended {
		if txn.Pos.End <= l.Resume.End || txn.Pos.End > b.Resume.End || txn.Pos.Source != b.Resume.Source {
			return fmt.Errorf("transaction %s at %+v is not within (%s, %s]", txn.ID, txn.Pos, l.Resume, b.Resume)
		}
	}
	l.nextTxn, l.nextOrdinal = "", 0
	return nil
}

func (l *Log) checkChange(b *schemas.Batch, c *schemas.Change) error {
	if c.Table == nil || c.Txn == nil || c.Txn.ID == "" {
		return fmt.Errorf("no table or no transaction")
	}
	if c.Txn.Time.IsZero() {
		return fmt.Errorf("no commit time")
	}
	if b.Phase.IsSnapshot() != (c.Op == schemas.Snapshot) || b.Phase.IsSnapshot() != (c.SnapshotMark != "") {
		return fmt.Errorf("phase %d, op %s, mark %q", b.Phase, c.Op, c.SnapshotMark)
	}
	if c.Txn.ID != l.nextTxn {
		l.nextTxn, l.nextOrdinal = c.Txn.ID, 0
	}
	if c.Ordinal != l.nextOrdinal {
		return fmt.Errorf("ordinal %d, want %d", c.Ordinal, l.nextOrdinal)
	}
	l.nextOrdinal++
	for _, r := range []schemas.Row{c.Before, c.After} {
		if r != nil && len(r) != len(c.Table.Columns) {
			return fmt.Errorf("%d values for %d columns", len(r), len(c.Table.Columns))
		}
	}
	hasBefore, hasAfter := c.Before != nil, c.After != nil
	var ok bool
	switch c.Op {
	case schemas.Insert, schemas.Snapshot:
		ok = !hasBefore && hasAfter
	case schemas.Update:
		ok = hasAfter
	case schemas.Delete:
		ok = hasBefore && !hasAfter
	case schemas.Truncate:
		ok = !hasBefore && !hasAfter
	}
	if !ok {
		return fmt.Errorf("before %t, after %t", hasBefore, hasAfter)
	}
	return nil
}

// ChangeText shows a change in messages of tests.
func ChangeText(c *schemas.Change) string {
	table := "?"
	if c.Table != nil {
		table = c.Table.Name.String()
	}
	return fmt.Sprintf("%s %s %v -> %v", c.Op, table, c.Before, c.After)
}
