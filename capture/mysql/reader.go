package mysql

import (
	"context"
	"fmt"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// transaction is the one being read. Its parts are used again for the next.
type transaction struct {
	// open says that a transaction has begun and not ended.
	open bool
	// standalone says that the group ends with its only statement (MariaDB).
	standalone bool
	// begun says that the group ends with an event of its own (XID, COMMIT …).
	begun bool
	// xa says that the group may end prepared, so that nothing of it may go out.
	xa   bool
	gtid gtid
	// earlier are the names of the transactions that this one was joined to.
	earlier  []gtid
	start    place
	time     time.Time
	thread   uint32
	serverID uint32
	// txn is made with the first change that we capture.
	txn     *schemas.Txn
	changes []schemas.Change
	bytes   int
	ordinal int64
	// rows counts the row images of all tables: the mark must be the first.
	rows int
	// inPieces says that a part of the changes has been handed out already.
	inPieces bool
	// savepoints are the ordinals at which savepoints were set.
	savepoints []savepoint
}

type savepoint struct {
	name    string
	ordinal int64
}

func (t *transaction) reset() {
	clear(t.changes)
	*t = transaction{changes: t.changes[:0], savepoints: t.savepoints[:0]}
}

// reader turns events into transactions. It is owned by one goroutine.
type reader struct {
	dump     *dump
	queue    *queue
	shapes   *shapes
	prepared prepared
	// databases and tables are the names of what is captured, in lower case, for
	// statements that are logged as text.
	databases, tables map[string]bool
	// from is where reading resumes: what ended up to there is dropped.
	from schemas.Position
	// resume is the same, as the server says it.
	resume native

	// file and at are where the event being read ends; start is where it begins.
	at    place
	start uint64
	made  uint32 // when the file was begun, in Unix seconds
	t     transaction
	arena rowArena
	// beyond holds back the ends of transactions behind the highest offset that a
	// position can name, until the next file begins.
	beyond bool
}

// run reads until something fails, and leaves the reason in the queue.
func (r *reader) run(ctx context.Context) {
	for {
		e, err := r.dump.next()
		if err == nil {
			err = r.event(ctx, e)
		}
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			} else {
				err = fmt.Errorf("at %s: %w", r.at, err)
			}
			r.queue.fail(err)
			return
		}
	}
}

// event takes in one event of the log.
func (r *reader) event(ctx context.Context, e event) error {
	r.advance(e)
	switch e.kind {
	case rotateEvent:
		return r.rotate(ctx, e)
	case formatDescriptionEvent:
		return r.newFile(e)
	case heartbeatEvent, heartbeatEventV2:
		r.queue.tick()
		return nil
	case transactionPayload:
		return r.payload(ctx, e)
	}
	return r.logged(ctx, e)
}

// advance moves on to the end of the event. An event in the log ends at logPos,
// whose upper half we count; where it does not say, at the sum of the sizes.
func (r *reader) advance(e event) {
	r.start = r.at.offset
	switch {
	case e.artificial() || e.kind == heartbeatEvent || e.kind == heartbeatEventV2 || e.kind == rotateEvent:
	case e.logPos != 0:
		next := r.at.offset&^maxOffset | uint64(e.logPos)
		if next < r.at.offset {
			next += 1 << 32
		}
		r.at.offset = next
		if next >= uint64(e.size) {
			r.start = next - uint64(e.size)
		}
	case e.kind != formatDescriptionEvent: // without logPos it is a copy, sent first
		r.at.offset += uint64(e.size)
	}
}

// newFile takes in the format description, which is the first event of a file and
// is sent as well when reading starts inside it.
func (r *reader) newFile(e event) error {
	r.made = e.timestamp
	if e.logPos != 0 {
		r.shapes.forgetIDs()
	}
	if from := r.resume; from.made != 0 && from.at.file == r.at.file && from.made != r.made {
		return lost("the binlog file %s was begun at %s, the one that the position %s is in at %s: the server's log was reset",
			r.at.file, unixTime(r.made), from.at, unixTime(from.made))
	}
	return nil
}

func unixTime(s uint32) string { return time.Unix(int64(s), 0).UTC().Format(time.RFC3339) }

// greet reads up to the first format description, so that a server which cannot
// send the log from the wanted place is found out at once.
func (r *reader) greet(ctx context.Context) error {
	for {
		e, err := r.dump.next()
		if err != nil {
			return err
		}
		if err := r.event(ctx, e); err != nil {
			return err
		}
		if e.kind == formatDescriptionEvent {
			return nil
		}
	}
}

func (r *reader) rotate(ctx context.Context, e event) error {
	next, err := e.rotate()
	if err != nil {
		return err
	}
	r.at = next
	if r.beyond {
		r.beyond = false
		return r.fold(ctx)
	}
	return nil
}

// logged handles an event that is part of a transaction; those inside a payload
// come here too.
func (r *reader) logged(ctx context.Context, e event) error {
	switch e.kind {
	case mariadbGTIDEvent:
		g, flags, err := e.mariadbGTID()
		if err != nil {
			return err
		}
		err = r.begin(e, g, 0, flags&flagStandalone != 0)
		r.t.xa = r.t.xa || flags&flagPreparedXA != 0
		return err
	case gtidEvent, anonymousGTIDEvent, gtidTaggedEvent:
		g, us, err := e.mysqlGTID()
		if err != nil {
			return err
		}
		return r.begin(e, g, us, false)
	case queryEvent, queryCompressedEvent, executeLoadEvent:
		return r.query(ctx, e)
	case tableMapEvent:
		return r.shapes.learn(ctx, e.body)
	case xidEvent:
		return r.commit(ctx)
	case xaPrepareEvent:
		return r.xaPrepare(ctx, e)
	case partialUpdateRows:
		return unsupported("a change of a JSON column was logged in part: set global binlog_row_value_options = '', find the session that sets it, and take a new snapshot")
	case incidentEvent:
		return lost("the server says that events are missing from its log (an incident event)")
	case 20, 21, 22:
		return unsupported("rows events in the format of MySQL 5.1.17 and earlier")
	}
	if form, ok := rowsForms[e.kind]; ok {
		return r.rows(ctx, e, form)
	}
	return nil
}

func (r *reader) payload(ctx context.Context, e event) error {
	events, err := e.payload()
	if err != nil {
		return err
	}
	for _, inner := range events {
		if err := r.logged(ctx, inner); err != nil {
			return err
		}
	}
	return nil
}

// begin starts a transaction. us is its commit time in microseconds, 0 if the
// server says only seconds.
func (r *reader) begin(e event, g gtid, us uint64, standalone bool) error {
	begun := g.mariadb && !standalone // MySQL says BEGIN
	if r.beyond {
		// Held back with the ones before it: one transaction to our readers.
		r.t.open, r.t.standalone, r.t.begun = true, standalone, begun
		r.t.earlier = append(r.t.earlier, r.t.gtid)
		r.t.gtid = g
		return nil
	}
	r.t.reset()
	t := &r.t
	t.open, t.standalone, t.begun, t.gtid, t.serverID = true, standalone, begun, g, e.serverID
	t.start = place{file: r.at.file, number: r.at.number, offset: r.start}
	t.time = time.Unix(int64(e.timestamp), 0).UTC()
	if us != 0 {
		t.time = time.UnixMicro(int64(us)).UTC()
	}
	return nil
}

func (r *reader) query(ctx context.Context, e event) error {
	q, err := e.query()
	if err != nil {
		return err
	}
	r.t.thread = q.thread
	s := classify(q.text, q.database)
	if e.kind == executeLoadEvent {
		s = statement{kind: stmtDML}
	}
	switch s.kind {
	case stmtBegin, stmtXAOther:
		if !r.t.open {
			if err := r.begin(e, gtid{}, 0, false); err != nil {
				return err
			}
		}
		r.t.begun = true
		r.t.xa = r.t.xa || s.kind == stmtXAOther
		return nil
	case stmtCommit:
		return r.commit(ctx)
	case stmtRollback:
		return r.rollback(ctx)
	case stmtSavepoint:
		r.t.savepoints = append(r.t.savepoints, savepoint{s.name, r.t.ordinal})
		return nil
	case stmtRollbackTo:
		return r.rollbackTo(s.name)
	case stmtRelease:
		return nil
	case stmtXACommit, stmtXARollback:
		return r.xaEnd(ctx, s)
	case stmtDML:
		if concerns(q, r.databases, r.tables) {
			return unsupported("a change was logged as the statement instead of as rows: %.120q; set global binlog_format = ROW, find the session that sets another one, and take a new snapshot", q.text)
		}
		return r.statementEnds(ctx, e)
	case stmtTruncate:
		return r.truncate(ctx, e, s.table)
	}
	r.shapes.forget()
	return r.statementEnds(ctx, e)
}

// statementEnds ends the group of a statement that is a transaction by itself:
// without a BEGIN in front of it there is no COMMIT behind it.
func (r *reader) statementEnds(ctx context.Context, e event) error {
	if !r.t.begun {
		return r.commit(ctx)
	}
	return nil
}

func (r *reader) rollback(ctx context.Context) error {
	if r.t.inPieces {
		return unsupported("a transaction of more than %d changes ends with a rollback in the log (it mixed tables with and without transactions)", batchChanges)
	}
	r.t.changes, r.t.bytes, r.t.txn = r.t.changes[:0], 0, nil
	return r.commit(ctx)
}

func (r *reader) rollbackTo(name string) error {
	for i := len(r.t.savepoints) - 1; i >= 0; i-- {
		if r.t.savepoints[i].name != name {
			continue
		}
		drop := r.t.ordinal - r.t.savepoints[i].ordinal
		if drop > int64(len(r.t.changes)) {
			return unsupported("a rollback to a savepoint takes back more than %d changes (it mixed tables with and without transactions)", batchChanges)
		}
		r.t.changes = r.t.changes[:int64(len(r.t.changes))-drop]
		r.t.ordinal -= drop
		r.t.savepoints = r.t.savepoints[:i+1]
		return nil
	}
	return nil
}

// truncate publishes the emptying of a table.
func (r *reader) truncate(ctx context.Context, e event, name schemas.TableName) error {
	if r.shapes.wants(name) && !r.skipping() {
		table, err := r.shapes.last(ctx, name)
		if err != nil {
			return err
		}
		if table != nil {
			c := r.add(schemas.Truncate, table)
			c.Offset = r.start
		}
	}
	r.t.rows++
	return r.statementEnds(ctx, e)
}

// skipping says that the event is before the place to resume at, read only for
// the sake of a prepared XA transaction. As that place is the end of a
// transaction, no transaction is partly before it.
func (r *reader) skipping() bool { return r.at.end() <= r.from.End }

// rows takes in a rows event.
func (r *reader) rows(ctx context.Context, e event, form rowsForm) error {
	id, err := rowsTable(e)
	if err != nil {
		return err
	}
	first := r.t.rows == 0
	r.t.rows++
	sh := r.shapes.byID[id]
	if sh == nil {
		if id&0xffffff == 0xffffff {
			return nil // a dummy that only ends a statement
		}
		return fmt.Errorf("binlog: rows of table id %d, which was not described", id)
	}
	if !sh.captured() || r.skipping() && !r.t.xa {
		return nil
	}
	re, err := parseRows(e, form, sh)
	if err != nil {
		return err
	}
	if err := r.decode(ctx, re); err != nil {
		return err
	}
	if first && sh.progress != nil && r.t.txn != nil {
		r.t.txn.Origin = sh.origin(r.t.changes)
	}
	return nil
}

func (r *reader) decode(ctx context.Context, re rowsEvent) error {
	b := re.rows
	for row := int32(0); b != ""; row++ {
		size := len(b)
		op, before, after, rest, err := re.shape.readChange(re.op, b, &r.arena)
		if err != nil {
			return err
		}
		b = rest
		if op == 0 {
			continue
		}
		c := r.add(op, re.shape.table)
		c.Before, c.After, c.Offset, c.RowNo = before, after, r.start, row
		r.t.bytes += size - len(b)
		if err := r.spill(ctx); err != nil {
			return err
		}
	}
	return nil
}

// spill hands out a piece of a transaction that is too large to be held whole.
func (r *reader) spill(ctx context.Context) error {
	t := &r.t
	if t.xa {
		return r.boundXA()
	}
	// The first rows event of a transaction is always held whole, for its origin.
	if len(t.changes) < batchChanges && t.bytes < batchBytes || t.rows == 1 && t.bytes < 4*batchBytes {
		return nil
	}
	t.inPieces = true
	return r.queue.putPiece(ctx, t)
}

// add appends a change to the transaction.
func (r *reader) add(op schemas.Op, table *schemas.Table) *schemas.Change {
	t := &r.t
	if t.txn == nil {
		t.txn = &schemas.Txn{Time: t.time, File: r.at.file, ServerID: t.serverID, Thread: t.thread, ID: t.gtid.String()}
		if t.gtid.isZero() {
			t.txn.ID = t.start.String()
		}
	}
	t.changes = append(t.changes, schemas.Change{Op: op, Table: table, Txn: t.txn, Ordinal: t.ordinal})
	t.ordinal++
	return &t.changes[len(t.changes)-1]
}

// commit ends the transaction: only here does the position move past it.
func (r *reader) commit(ctx context.Context) error {
	r.t.open = false
	if r.at.offset > maxOffset {
		// The file goes on behind what a position can name. Such a file is over its
		// size, so the next one follows at once; until then nothing ends.
		r.beyond = true
		return nil
	}
	return r.fold(ctx)
}

func (r *reader) fold(ctx context.Context) error {
	defer r.t.reset()
	if r.skipping() {
		return nil
	}
	return r.queue.put(ctx, &r.t, native{at: r.at, made: r.made, xa: r.prepared.oldest()})
}
