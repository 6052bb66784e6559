package avro

import (
	"context"
	"fmt"
	"sync"

	"github.com/strait-cdc/strait/schemas/registry"
)

// memory is a registry for tests. Ids may be given beforehand.
type memory struct {
	mu       sync.Mutex
	ids      map[string]int32
	texts    map[int32]string
	subjects map[string]string
}

var _ registry.Registry = (*memory)(nil)

func newMemory() *memory {
	return &memory{ids: map[string]int32{}, texts: map[int32]string{}, subjects: map[string]string{}}
}

func (m *memory) Register(_ context.Context, subject, schema string) (int32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, ok := m.ids[schema]
	if !ok {
		id = int32(len(m.ids) + 1000)
		m.ids[schema], m.texts[id] = id, schema
	}
	m.subjects[subject] = schema
	return id, nil
}

func (m *memory) Schema(_ context.Context, id int32) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.texts[id]; ok {
		return s, nil
	}
	return "", fmt.Errorf("id %d: %w", id, registry.ErrNotFound)
}
