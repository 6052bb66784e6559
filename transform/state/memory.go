package state

import (
	"errors"
	"sort"
	"strings"
	"sync"
)

// Memory is a store that forgets when the process ends.
type Memory struct {
	mu   sync.Mutex
	data map[string][]byte
	// keys holds the keys of data in order.
	keys []string
	// Fault, if set, is asked before each Update is made durable: whether it
	// happens, and what the caller is told.
	Fault func() (apply bool, err error)
}

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{data: map[string][]byte{}} }

// Update implements Store.
func (m *Memory) Update(fn func(Txn) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &memoryTxn{m: m, own: map[string][]byte{}}
	if err := fn(t); err != nil {
		return err
	}
	apply, err := true, error(nil)
	if m.Fault != nil {
		apply, err = m.Fault()
	}
	if apply {
		t.commit()
	}
	return err
}

// View implements Store.
func (m *Memory) View(fn func(Txn) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fn(&memoryTxn{m: m})
}

// Close implements Store; the data stays, so that the store can be used again as
// after a restart.
func (m *Memory) Close() error { return nil }

// memoryTxn keeps its writes apart until they are committed; nil is a deletion.
type memoryTxn struct {
	m    *Memory
	own  map[string][]byte
	size int
}

func (t *memoryTxn) commit() {
	added := false
	for k, v := range t.own {
		_, had := t.m.data[k]
		if v == nil {
			if had {
				delete(t.m.data, k)
				added = true
			}
			continue
		}
		t.m.data[k] = v
		if !had {
			added = true
		}
	}
	if added {
		t.m.keys = nil
	}
}

var errReadOnly = errors.New("state: write in a view")

func (t *memoryTxn) Get(key []byte) ([]byte, error) {
	if v, ok := t.own[string(key)]; ok {
		return v, nil
	}
	return t.m.data[string(key)], nil
}

func (t *memoryTxn) Set(key, value []byte) error {
	if t.own == nil {
		return errReadOnly
	}
	if value == nil {
		value = []byte{}
	}
	t.size += len(key) + len(value)
	t.own[string(key)] = append([]byte{}, value...)
	return nil
}

func (t *memoryTxn) Delete(key []byte) error {
	if t.own == nil {
		return errReadOnly
	}
	t.own[string(key)] = nil
	return nil
}

func (t *memoryTxn) Scan(prefix []byte, each func(key, value []byte) (bool, error)) error {
	p := string(prefix)
	var keys []string
	if t.m.keys == nil {
		t.m.keys = make([]string, 0, len(t.m.data))
		for k := range t.m.data {
			t.m.keys = append(t.m.keys, k)
		}
		sort.Strings(t.m.keys)
	}
	for i := sort.SearchStrings(t.m.keys, p); i < len(t.m.keys) && strings.HasPrefix(t.m.keys[i], p); i++ {
		if _, mine := t.own[t.m.keys[i]]; !mine {
			keys = append(keys, t.m.keys[i])
		}
	}
	n := len(keys)
	for k, v := range t.own {
		if v != nil && strings.HasPrefix(k, p) {
			keys = append(keys, k)
		}
	}
	if len(keys) > n {
		sort.Strings(keys)
	}
	for _, k := range keys {
		v, err := t.Get([]byte(k))
		if err != nil {
			return err
		}
		more, err := each([]byte(k), v)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (t *memoryTxn) Size() int { return t.size }
