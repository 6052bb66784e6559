package apply

import (
	"context"
	"fmt"

	"github.com/strait-cdc/strait/schemas"
)

// Session is one connection to a target. A *Fault returned by one of its
// methods is an answer to what was asked, and leaves the transaction fit for
// Undo; a *Retry says that the server has given up the whole transaction; any
// other error leaves the outcome unknown.
type Session interface {
	Begin(ctx context.Context) error
	// Mark writes the progress row: false when the row is not at batch-1 under
	// epoch.
	Mark(ctx context.Context, epoch, batch int64) (bool, error)
	// State reads the progress row.
	State(ctx context.Context) (State, error)
	SaveAnswers(ctx context.Context, text string) error
	Commit(ctx context.Context) error
	Rollback(ctx context.Context) error

	Savepoint(ctx context.Context) error
	// Undo goes back to the savepoint and ends it.
	Undo(ctx context.Context) error
	Release(ctx context.Context) error

	// Do executes writes of rows, in an order that gives the same answers as
	// theirs, and returns one Done for each.
	Do(ctx context.Context, writes []Write) ([]Done, error)
	// Check makes the server examine now what it would examine at the commit.
	Check(ctx context.Context) error
	// Forget drops what is known of the tables' shapes.
	Forget()

	// ReadLinks finds the links of an entity by native key or by hub id.
	ReadLinks(ctx context.Context, entity string, natives, hubs []string) ([]LinkRow, error)
	// WriteLinks first deletes, then inserts, then sets the status.
	WriteLinks(ctx context.Context, remove, add, status []LinkRow) error
}

// State is the progress row. Found is false when there is none.
type State struct {
	Found        bool
	Epoch, Batch int64
	Answers      string
}

// Write is an insert, update, delete or check with the keys of earlier inserts
// filled in.
type Write struct {
	schemas.Write
	// Where names the write in messages.
	Where string
}

// Done is what became of a write.
type Done struct {
	// Rows is how many rows it found (update, delete, check) or made (insert).
	Rows int64
	// Key is the key of an inserted row, in the order of Write.Key.
	Key []schemas.Value
}

// LinkRow is a row of strait.link.
type LinkRow struct {
	schemas.Link
	Dead  bool
	Batch int64
}

// Fault says that the target does not take a write, for a reason that sending
// it again would not cure.
type Fault struct {
	// Index is the write in Do's list, -1 when the server did not tell.
	Index int
	// Table is the table that the server named, if it did.
	Table schemas.TableName
	// Duplicate is a violation of a unique index.
	Duplicate bool
	// Stale says that the table may have changed its shape since it was read.
	Stale bool
	// Again asks for the same group once more: the session will write it in another
	// way, until the next Release.
	Again  bool
	Reason string
}

func (f *Fault) Error() string { return f.Reason }

// Refuse makes the Fault of a write that is not even sent.
func Refuse(index int, format string, args ...any) *Fault {
	return &Fault{Index: index, Reason: fmt.Sprintf(format, args...)}
}

// Retry says that the server has ended the transaction, or made us end it,
// without having done anything: a deadlock, a lock that took too long.
type Retry struct{ Err error }

func (r *Retry) Error() string { return r.Err.Error() }
func (r *Retry) Unwrap() error { return r.Err }
