// Package sinks carries planned writes to a database: guarded, marked, and each
// exactly once. Its subpackages know the databases; here is the contract.
package sinks

import (
	"context"
	"errors"

	"github.com/strait-cdc/strait/schemas"
)

// Sink writes to one database.
type Sink interface {
	// Start claims the lane: it makes the control tables if they are missing, sets
	// the epoch of the lane one higher, so that an older owner is refused from now
	// on, and returns the last batch that was applied. accept sees the row before the
	// claim is made, and its error prevents it: an owner who does not fit must not
	// stop the one who does.
	Start(ctx context.Context, accept func(schemas.Progress) error) (schemas.Progress, error)
	// Apply executes the intents in one transaction whose first statement writes
	// the progress row (epoch, batch); the answers are added to that row before it
	// commits. Batches of a lane are numbered from 1 without a gap. A batch that
	// was applied before is not applied again: its answers are read from the
	// progress row and from strait.link.
	//
	// An error means that the outcome is not known: close, open, Start, and send
	// the same batch again.
	Apply(ctx context.Context, batch int64, intents []schemas.Intent) ([]schemas.Answer, error)
	Close() error
}

// ErrFenced says that a newer owner has taken the lane: stop.
var ErrFenced = errors.New("a newer instance has taken over")
