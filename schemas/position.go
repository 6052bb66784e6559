package schemas

import "fmt"

// Position is a place in a system's log between two transactions: everything up
// to it has been read. Positions of one Source are ordered by End.
//
// A position never lies inside a transaction and never contains the transaction
// being read; see ErrPositionLost in package capture for what happens when the
// server no longer has it.
type Position struct {
	// Source is the identity of the server's log: system identifier and timeline
	// on PostgreSQL, server uuid (or what stands for it) on MySQL and MariaDB.
	// Positions of different sources cannot be compared.
	Source string `json:"source"`
	// End is the end of the last transaction: the LSN behind its commit on
	// PostgreSQL; on MySQL and MariaDB the number of the binlog file in the upper
	// 32 bits and the offset in it in the lower.
	End uint64 `json:"end"`
	// Native is the same place in the server's own words (an LSN, or file:offset
	// with the GTID set), for people and for resuming.
	Native string `json:"native"`
}

// IsZero says that there is no position yet: start with a snapshot.
func (p Position) IsZero() bool { return p.Source == "" && p.End == 0 }

// String shows the position to an operator.
func (p Position) String() string {
	if p.IsZero() {
		return "(none)"
	}
	if p.Native != "" {
		return p.Native
	}
	return fmt.Sprintf("%s@%d", p.Source, p.End)
}
