// Package state is the reconciler's memory: an ordered store of keys and values
// with transactions that happen wholly or not at all and are on disk when they
// have returned. Badger is the store of production; Memory is one for
// simulations, and passes the same tests.
package state

import (
	"errors"
	"strings"
)

// Store is an ordered map from keys to values.
type Store interface {
	// Update runs fn in a transaction and makes its writes durable at once. An
	// error of fn undoes them; any other error leaves open whether they happened.
	Update(fn func(Txn) error) error
	// View runs fn on the present state; its writes are refused.
	View(fn func(Txn) error) error
	Close() error
}

// Txn reads its own writes. Slices handed out are valid until the transaction ends.
type Txn interface {
	// Get returns the value, nil if there is none.
	Get(key []byte) ([]byte, error)
	Set(key, value []byte) error
	Delete(key []byte) error
	// Scan calls each for the keys with the prefix in ascending order until it
	// returns false. The transaction's own writes so far are seen; each must not
	// write.
	Scan(prefix []byte, each func(key, value []byte) (bool, error)) error
	// Size is about how many bytes the transaction has written.
	Size() int
}

// ErrTooBig says that a transaction does not fit: do less at once.
var ErrTooBig = errors.New("state transaction too big")

// sep stands between the parts of a key and cannot be part of one.
const sep = "\x00"

// Key joins the parts of a key.
func Key(parts ...string) []byte {
	n := len(parts)
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n)
	for i, p := range parts {
		if i > 0 {
			b = append(b, 0)
		}
		if strings.Contains(p, sep) {
			p = strings.ReplaceAll(p, sep, "\x01")
		}
		b = append(b, p...)
	}
	return b
}

// Prefix is Key with a separator behind it: all keys that have the parts and more.
func Prefix(parts ...string) []byte { return append(Key(parts...), 0) }

// Rest is what follows a prefix in a key, by parts.
func Rest(key, prefix []byte) []string { return strings.Split(string(key[len(prefix):]), sep) }
