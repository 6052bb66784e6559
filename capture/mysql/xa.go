package mysql

import (
	"context"

	"github.com/strait-cdc/strait/schemas"
)

// An XA transaction is two groups in the log: its rows end with XA PREPARE, and
// later, perhaps after a restart of everything, XA COMMIT or XA ROLLBACK decides.
// The rows are held until then. As the position moves on past the first group, a
// Position names the start of the oldest one that is undecided, and reading
// resumes there: what ended before the position is then passed over, except for
// rows that are still prepared.

// prepared are the XA transactions that are undecided, by XID.
type prepared map[string]heldXA

type heldXA struct {
	start   place
	txn     *schemas.Txn
	changes []schemas.Change
	bytes   int
}

// heldBytes bounds the rows of one XA transaction, which have to be held in
// memory until it ends.
const heldBytes = 256 << 20

// oldest is where the oldest of them starts, nil if there is none.
func (p prepared) oldest() *place {
	var first *place
	for _, h := range p {
		if first == nil || h.start.end() < first.end() {
			first = &h.start
		}
	}
	return first
}

func (r *reader) boundXA() error {
	if r.t.bytes > heldBytes {
		return unsupported("an XA transaction of more than %d MB: such transactions are held in memory until they are committed", heldBytes>>20)
	}
	return nil
}

// xaPrepare ends the first group. With one phase it is the commit itself.
func (r *reader) xaPrepare(ctx context.Context, e event) error {
	xid, onePhase, err := e.xaPrepare()
	if err != nil {
		return err
	}
	if onePhase {
		return r.commit(ctx)
	}
	r.prepared[xid] = heldXA{start: r.t.start, txn: r.t.txn, changes: append([]schemas.Change(nil), r.t.changes...), bytes: r.t.bytes}
	r.t.changes, r.t.txn, r.t.bytes = r.t.changes[:0], nil, 0
	return r.commit(ctx)
}

// xaEnd is the second group: it makes the rows happen, or not.
func (r *reader) xaEnd(ctx context.Context, s statement) error {
	h, ok := r.prepared[s.name]
	delete(r.prepared, s.name)
	switch {
	case !ok && s.kind == stmtXACommit && !r.t.begun && !r.skipping():
		return lost("the XA transaction %s was prepared before reading began, so its rows are unknown", s.name)
	case ok && s.kind == stmtXACommit && len(h.changes) > 0 && !r.skipping():
		// To our readers it is the transaction that commits here.
		h.txn.ID, h.txn.Time = r.t.gtid.String(), r.t.time
		if r.t.gtid.isZero() {
			h.txn.ID = r.t.start.String()
		}
		r.t.txn, r.t.changes, r.t.bytes = h.txn, h.changes, h.bytes
	}
	return r.commit(ctx)
}
