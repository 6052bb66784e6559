package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// badgerStore keeps everything below the value threshold in the LSM tree and
// syncs each transaction: the value log's order against the tree has cost others
// data in power failures.
type badgerStore struct{ db *badger.DB }

// Open opens or makes the store in a folder. Only one process may have it open.
func Open(dir string) (Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	opts := badger.DefaultOptions(filepath.Clean(dir)).
		WithLogger(nil).
		WithSyncWrites(true).
		WithMemTableSize(64 << 20).
		WithNumMemtables(2).
		WithNumLevelZeroTables(3).
		WithNumLevelZeroTablesStall(8).
		WithNumCompactors(2).
		WithValueThreshold(1 << 20).
		WithValueLogFileSize(64 << 20).
		WithBlockCacheSize(16 << 20).
		WithIndexCacheSize(16 << 20).
		WithCompression(0).
		WithDetectConflicts(false)
	db, err := badger.Open(opts)
	if err != nil {
		return nil, fmt.Errorf("state folder %s: %w (is another strait running on it? is the disk full?)", dir, err)
	}
	return &badgerStore{db}, nil
}

func (s *badgerStore) Update(fn func(Txn) error) error {
	return tooBig(s.db.Update(func(t *badger.Txn) error {
		// What was there before is read through a transaction that has written
		// nothing: an iterator of one that has sorts all of its writes first.
		past := s.db.NewTransaction(false)
		defer past.Discard()
		return fn(&badgerTxn{past: past, t: t, own: map[string][]byte{}})
	}))
}

func (s *badgerStore) View(fn func(Txn) error) error {
	return s.db.View(func(t *badger.Txn) error { return fn(&badgerTxn{past: t, t: t}) })
}

func (s *badgerStore) Close() error { return s.db.Close() }

func tooBig(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return ErrTooBig
	}
	return err
}

// badgerTxn keeps its writes beside Badger's, in order, so that it can read them.
type badgerTxn struct {
	// past reads the state before the transaction, t takes the writes.
	past, t *badger.Txn
	// own are the values written, nil for a deletion; keys are theirs in order.
	own  map[string][]byte
	keys keyList
	size int
}

func (t *badgerTxn) Get(key []byte) ([]byte, error) {
	if v, ok := t.own[string(key)]; ok {
		return bytes.Clone(v), nil
	}
	it, err := t.past.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state get: %w", err)
	}
	// An empty value is not an absent one.
	return it.ValueCopy([]byte{})
}

func (t *badgerTxn) Set(key, value []byte) error {
	t.size += len(key) + len(value) + 16
	if value == nil {
		value = []byte{}
	}
	return t.wrote(key, value, t.t.Set(key, value))
}

func (t *badgerTxn) Delete(key []byte) error {
	t.size += len(key) + 16
	return t.wrote(key, nil, t.t.Delete(key))
}

// wrote remembers a write that Badger took.
func (t *badgerTxn) wrote(key, value []byte, err error) error {
	if err != nil {
		return tooBig(err)
	}
	k := string(key)
	if _, had := t.own[k]; !had {
		t.keys.add(k)
	}
	t.own[k] = value
	return nil
}

func (t *badgerTxn) Scan(prefix []byte, each func(key, value []byte) (bool, error)) error {
	it := t.past.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	it.Seek(prefix)
	// Two ordered runs, merged; of a key in both the own value counts.
	for k := range t.keys.from(string(prefix)) {
		if !strings.HasPrefix(k, string(prefix)) {
			break
		}
		for ; it.ValidForPrefix(prefix) && string(it.Item().Key()) < k; it.Next() {
			if more, err := visit(it.Item(), each); err != nil || !more {
				return err
			}
		}
		if it.ValidForPrefix(prefix) && string(it.Item().Key()) == k {
			it.Next()
		}
		if v := t.own[k]; v != nil {
			if more, err := each([]byte(k), bytes.Clone(v)); err != nil || !more {
				return err
			}
		}
	}
	for ; it.ValidForPrefix(prefix); it.Next() {
		if more, err := visit(it.Item(), each); err != nil || !more {
			return err
		}
	}
	return nil
}

func visit(item *badger.Item, each func(key, value []byte) (bool, error)) (bool, error) {
	v, err := item.ValueCopy(nil)
	if err != nil {
		return false, fmt.Errorf("state scan: %w", err)
	}
	return each(item.KeyCopy(nil), v)
}

func (t *badgerTxn) Size() int { return t.size }
