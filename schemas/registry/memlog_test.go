package registry

import (
	"context"
	"errors"
	"sync"
)

// memLog is a Log in memory. Fault, if set, is asked before each append: it says
// whether the record is written, and what the caller is told.
type memLog struct {
	mu      sync.Mutex
	records [][2][]byte
	fault   func() (write bool, err error)
	// before runs ahead of an append, as another process would.
	before func()
}

func (l *memLog) Append(_ context.Context, key, value []byte) error {
	l.mu.Lock()
	hook := l.before
	l.before = nil
	l.mu.Unlock()
	if hook != nil {
		hook()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	write, err := true, error(nil)
	if l.fault != nil {
		write, err = l.fault()
	}
	if write {
		l.records = append(l.records, [2][]byte{append([]byte(nil), key...), append([]byte(nil), value...)})
	}
	return err
}

func (l *memLog) Read(_ context.Context, each func(key, value []byte) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.records {
		if err := each(r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

// compact keeps the last record of each key, as the topic's cleanup does.
func (l *memLog) compact() {
	last := map[string]int{}
	for i, r := range l.records {
		last[string(r[0])] = i
	}
	var kept [][2][]byte
	for i, r := range l.records {
		if last[string(r[0])] == i {
			kept = append(kept, r)
		}
	}
	l.records = kept
}

var errLost = errors.New("connection lost")
