// Package capture reads a database's log into the stream: a snapshot first,
// then the log, without a gap. Its subpackages know the databases; here is what
// they have in common and the loop that drives them.
package capture

import (
	"context"
	"errors"

	"github.com/strait-cdc/strait/schemas"
)

// Source reads one database: first its snapshot if it was opened without a
// position, then its log for ever.
type Source interface {
	// Read returns the next whole transactions: it waits for one and then takes
	// what has already arrived, up to a bound, without a timer. Memory of a Batch
	// belongs to the caller. Read is called by one goroutine.
	Read(ctx context.Context) (*schemas.Batch, error)
	// Ack says that everything up to pos is durable in Kafka: the server may
	// forget its log up to there. It may be called while Read is waiting.
	Ack(ctx context.Context, pos schemas.Position) error
	// Close ends the connection and waits for what was started.
	Close() error
}

// ErrPositionLost says that the server no longer has the log we must resume
// from, or is not the server the position came from. Only a new snapshot helps.
var ErrPositionLost = errors.New("position no longer in the log")

// ErrUnsupported says that the database is set up in a way that would lose
// changes, or holds a type that is not known. Restarting does not cure it.
var ErrUnsupported = errors.New("not supported")
