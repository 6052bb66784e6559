package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

const (
	// mostTick is how often at least a stream looks at the clock, which is the longest
	// that an acknowledgement waits before the server is told.
	mostTick = time.Second
	// mostStatus is the longest between two reports to the server.
	mostStatus = 10 * time.Second
	// checkTables is how often a stream makes sure that all tables are still published.
	checkTables = 20 * time.Second
	// leap is how much of the server's log may pass before the position is carried on
	// without waiting for Heartbeat.
	leap = 16 << 20
)

// stream is the state of reading the log.
type stream struct {
	*Source
	ctx context.Context
	dec *decoder

	tickEvery   time.Duration
	statusEvery time.Duration
	checkEvery  time.Duration
	silence     time.Duration // without a word from the server: the connection is dead
	// sent is the end of the last batch handed over; seen is how far the server has
	// got with all that comes before read.
	sent, seen uint64
	// received is what the server is told to have reached us, reported what it was
	// told to be durable.
	received, reported uint64

	lastStatus, lastHeard, lastBatch, lastCheck time.Time
	heard                                       bool // since the last tick
}

// stream reads the log from a position until the context ends or the connection
// does.
func (s *Source) stream(ctx context.Context, snap *snapshot, from uint64) error {
	timeout, err := s.serverTimeout(ctx)
	if err != nil {
		return err
	}
	if err := s.startReplication(ctx, from); err != nil {
		return err
	}
	now := time.Now()
	st := &stream{Source: s, ctx: ctx, sent: from, seen: from, received: from, silence: s.cfg.silence, checkEvery: checkTables,
		lastStatus: now, lastHeard: now, lastBatch: now, lastCheck: now}
	if timeout <= 0 {
		timeout = st.silence
	}
	// The server gives up after timeout, and asks when half of it is over.
	st.statusEvery = min(mostStatus, timeout/4, st.silence/4)
	st.tickEvery = min(mostTick, st.statusEvery)
	st.dec = &decoder{identity: s.identity, from: from, shapes: map[uint32]*shape{}, relation: st.relation, put: st.put}
	if snap != nil {
		st.dec.shapes = snap.shapes
	}
	return st.run()
}

// serverTimeout is wal_sender_timeout, 0 for none.
func (s *Source) serverTimeout(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.silence)
	defer cancel()
	var ms int64
	if err := s.sql.QueryRow(ctx, "select setting::bigint from pg_settings where name = 'wal_sender_timeout'").Scan(&ms); err != nil {
		return 0, fmt.Errorf("read wal_sender_timeout: %w", err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// startReplication starts the slot. It may still belong to a connection of ours
// that the server has not given up yet.
func (s *Source) startReplication(ctx context.Context, from uint64) error {
	options := pglogrepl.StartReplicationOptions{PluginArgs: []string{
		"proto_version '1'",
		// The name is a list of identifiers: without quotes it would be folded.
		"publication_names " + literal(quote(s.cfg.Publication)),
	}}
	deadline := time.Now().Add(s.cfg.busyWait)
	for {
		starting, cancel := context.WithTimeout(ctx, s.cfg.silence)
		err := pglogrepl.StartReplication(starting, s.repl, quote(s.cfg.Slot), pglogrepl.LSN(from), options)
		cancel()
		switch {
		case err == nil:
			return nil
		case code(err) != "55006":
			return fmt.Errorf("start slot %s at %s: %w", s.cfg.Slot, pglogrepl.LSN(from), lost(err))
		case time.Now().After(deadline):
			return fmt.Errorf("start slot %s: %w; another instance reads it: stop that one, or wait until the server has given it up", s.cfg.Slot, err)
		}
		// The server answers an error with ReadyForQuery.
		if err := s.drainReady(ctx); err != nil {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Source) drainReady(ctx context.Context) error {
	for {
		msg, err := s.repl.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		if _, ok := msg.(*pgproto3.ReadyForQuery); ok {
			return nil
		}
	}
}

// lost recognises the errors that say that the log is gone.
func lost(err error) error {
	switch code(err) {
	case "55000", "58P01", "42704":
		return fmt.Errorf("%w: %w; take a new snapshot with: strait run --snapshot <system>", capture.ErrPositionLost, err)
	}
	return err
}

// run receives until the end. The deadline of the connection is the clock: also
// while data keeps coming, a read after it is refused once.
func (s *stream) run() error {
	conn := s.repl.Conn()
	conn.SetReadDeadline(time.Now().Add(s.tickEvery))
	for {
		if s.ctx.Err() != nil {
			_ = s.status(false) // the last word, if it is still heard
			return s.ctx.Err()
		}
		msg, err := s.repl.ReceiveMessage(context.Background())
		if err != nil {
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				return fmt.Errorf("read the log: %w", err)
			}
			conn.SetReadDeadline(time.Now().Add(s.tickEvery))
			if err := s.tick(); err != nil {
				return err
			}
			continue
		}
		s.heard = true
		switch msg := msg.(type) {
		case *pgproto3.CopyData:
			if err := s.copyData(msg.Data); err != nil {
				return err
			}
		case *pgproto3.ErrorResponse:
			return fmt.Errorf("read the log: %w", lost(pgconn.ErrorResponseToPgError(msg)))
		case *pgproto3.CopyDone, *pgproto3.CommandComplete:
			return fmt.Errorf("the server has ended the log's connection; it is being shut down")
		}
	}
}

func (s *stream) copyData(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	switch b[0] {
	case pglogrepl.XLogDataByteID:
		if len(b) < 25 {
			return fmt.Errorf("message of the log of %d bytes", len(b))
		}
		lsn := binary.BigEndian.Uint64(b[1:])
		s.received = max(s.received, lsn)
		return s.dec.message(lsn, b[25:])
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		k, err := pglogrepl.ParsePrimaryKeepaliveMessage(b[1:])
		if err != nil {
			return err
		}
		return s.keepalive(k)
	}
	return nil
}

// keepalive notes how far the server has got. It comes in order with the log, so
// what was committed before that place has been read.
func (s *stream) keepalive(k pglogrepl.PrimaryKeepaliveMessage) error {
	s.received = max(s.received, uint64(k.ServerWALEnd))
	if s.dec.txn == nil {
		s.seen = max(s.seen, uint64(k.ServerWALEnd))
	}
	if k.ReplyRequested {
		return s.status(false)
	}
	return nil
}

// tick does what depends on the clock: at least once a second.
func (s *stream) tick() error {
	now := time.Now()
	if s.heard {
		s.heard, s.lastHeard = false, now
	} else if now.Sub(s.lastHeard) > s.silence {
		return fmt.Errorf("the server has said nothing for %s: the connection is dead", s.silence)
	}
	if s.acked.Load() != s.reported || now.Sub(s.lastStatus) >= s.statusEvery {
		// The answer tells how far the server has got, and that it is there.
		if err := s.status(true); err != nil {
			return err
		}
	}
	s.carryOn(now)
	if now.Sub(s.lastCheck) < s.checkEvery {
		return nil
	}
	s.lastCheck = now
	ctx, cancel := context.WithTimeout(s.ctx, s.silence)
	defer cancel()
	return s.checkPublication(ctx)
}

// carryOn offers an empty batch while the tables are idle and the server's log is
// not, so that the slot does not hold it back. If the reader is busy there is no
// need.
func (s *stream) carryOn(now time.Time) {
	if s.dec.txn != nil {
		return
	}
	s.seen = max(s.seen, s.dec.end)
	if s.seen <= s.sent || now.Sub(s.lastBatch) < s.cfg.Heartbeat && s.seen-s.sent < leap {
		return
	}
	if s.queue.offer(&schemas.Batch{Resume: position(s.identity, s.seen)}, 0) {
		s.sent, s.lastBatch = s.seen, now
	}
}

// put hands over a batch and, while nobody reads, keeps the connection alive: the
// server listens also while it cannot send.
func (s *stream) put(b *schemas.Batch, bytes int) error {
	if !s.queue.offer(b, bytes) {
		if err := s.wait(b, bytes); err != nil {
			return err
		}
	}
	s.sent, s.lastBatch = max(s.sent, b.Resume.End), time.Now()
	return nil
}

func (s *stream) wait(b *schemas.Batch, bytes int) error {
	ticker := time.NewTicker(s.tickEvery)
	defer ticker.Stop()
	for !s.queue.offer(b, bytes) {
		select {
		case <-s.queue.drained:
		case <-s.ctx.Done():
			return s.ctx.Err()
		case now := <-ticker.C:
			// Nothing is received meanwhile; that is not the server's silence.
			s.lastHeard = now
			if s.acked.Load() != s.reported || now.Sub(s.lastStatus) >= s.statusEvery {
				if err := s.status(false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// status reports what is durable. The server keeps its log from there on.
func (s *stream) status(reply bool) error {
	flushed := s.acked.Load()
	s.repl.Conn().SetWriteDeadline(time.Now().Add(s.silence))
	err := pglogrepl.SendStandbyStatusUpdate(s.ctx, s.repl, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: pglogrepl.LSN(max(s.received, flushed)),
		WALFlushPosition: pglogrepl.LSN(flushed),
		WALApplyPosition: pglogrepl.LSN(flushed),
		ReplyRequested:   reply,
	})
	if err != nil {
		return fmt.Errorf("report to the server: %w", err)
	}
	s.reported, s.lastStatus = flushed, time.Now()
	return nil
}

// relation makes the shape of a table that the log describes, with what the
// catalog says of it now.
func (s *stream) relation(r relation, old *shape) (*shape, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.silence)
	defer cancel()
	info, err := s.catalog.byOID(ctx, r.oid)
	if err != nil {
		return nil, err
	}
	return s.catalog.shape(ctx, r, info, old)
}
