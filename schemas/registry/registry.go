// Package registry keeps Avro schemas under ids and subjects, as a Confluent
// schema registry does.
//
// There are two: Client speaks to a registry that is already there, and Builtin
// is one inside our own process. Builtin keeps its schemas in a Log, the topic
// _schemas in Confluent's own record format, and serves Confluent's HTTP API so
// that any consumer's client reads from it. Both are safe for concurrent use.
package registry

import (
	"context"
	"errors"
)

// Registry gives schemas ids.
type Registry interface {
	// Register gives the id of a schema under a subject, registering it if it is
	// new there. Asking again is cheap.
	Register(ctx context.Context, subject, schema string) (int32, error)
	// Schema gives the text that was registered under an id.
	Schema(ctx context.Context, id int32) (string, error)
}

// ErrNotFound says that the registry knows no schema with that id.
var ErrNotFound = errors.New("schema not found")
