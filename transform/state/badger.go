package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	return tooBig(s.db.Update(func(t *badger.Txn) error { return fn(&badgerTxn{t: t}) }))
}

func (s *badgerStore) View(fn func(Txn) error) error {
	return s.db.View(func(t *badger.Txn) error { return fn(&badgerTxn{t: t}) })
}

func (s *badgerStore) Close() error { return s.db.Close() }

func tooBig(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return ErrTooBig
	}
	return err
}

type badgerTxn struct {
	t    *badger.Txn
	size int
}

func (t *badgerTxn) Get(key []byte) ([]byte, error) {
	it, err := t.t.Get(key)
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
	return tooBig(t.t.Set(key, value))
}

func (t *badgerTxn) Delete(key []byte) error {
	t.size += len(key) + 16
	return tooBig(t.t.Delete(key))
}

func (t *badgerTxn) Scan(prefix []byte, each func(key, value []byte) (bool, error)) error {
	it := t.t.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 16})
	defer it.Close()
	for it.Seek(prefix); it.ValidForPrefix(prefix); it.Next() {
		v, err := it.Item().ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("state scan: %w", err)
		}
		more, err := each(it.Item().KeyCopy(nil), v)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (t *badgerTxn) Size() int { return t.size }
