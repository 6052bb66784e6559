package mysql

import (
	"context"
	"fmt"

	"github.com/strait-cdc/strait/schemas"
)

// Status is how far a Source is behind its server, and how much of the log the
// server still has.
type Status struct {
	// End is where the server's log ends now, Read where the Source has read to,
	// Acked what is durable.
	End, Read, Acked schemas.Position
	// BehindBytes is the log between Acked (or Read before the first Ack) and End.
	BehindBytes uint64
	// Files and Bytes are the log that the server keeps, from OldestFile on.
	Files      int
	Bytes      uint64
	OldestFile string
	// FilesLeft is how many of the files before the one we need are still kept: at 0
	// the next one to be purged is ours.
	FilesLeft int
}

// Status asks the server. It may be called while Read is waiting.
func (s *Source) Status(ctx context.Context) (Status, error) {
	at, set, err := endOfLog(ctx, s.db, s.server)
	if err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	files, err := binlogFiles(ctx, s.db)
	if err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	st := Status{End: native{at: at, gtid: set}.position(s.source), Files: len(files)}
	needed := s.progress(&st)
	for i, f := range files {
		st.Bytes += f.size
		if i == 0 {
			st.OldestFile = f.name
		}
		switch {
		case f.name == needed.file:
			st.FilesLeft = i
			st.BehindBytes += f.size - min(f.size, needed.offset)
		case st.BehindBytes > 0 || i > 0 && files[i-1].name == needed.file:
			st.BehindBytes += f.size
		}
	}
	return st, nil
}

// progress fills in how far we are, and is the place whose file is still needed.
func (s *Source) progress(st *Status) place {
	s.mu.Lock()
	st.Acked = s.acked
	q := s.queue
	s.mu.Unlock()
	at := s.start.at
	if q != nil {
		q.mu.Lock()
		at = q.at
		st.Read = q.reached().position(s.source)
		q.mu.Unlock()
	}
	if n, err := parseNative(st.Acked.Native); err == nil {
		return n.startsAt()
	}
	return at
}
