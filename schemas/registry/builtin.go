package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Log is where a Builtin keeps its schemas: an ordered log of records, the topic
// _schemas. Several processes may append to it.
type Log interface {
	// Append makes one record durable; a nil value takes the key's record back.
	Append(ctx context.Context, key, value []byte) error
	// Read gives all records from the start to the present end, in order. The
	// bytes belong to the log.
	Read(ctx context.Context, each func(key, value []byte) error) error
}

// Builtin is a schema registry in our own process. Ids come from the content of
// a schema, so two processes over one log never disagree about them.
//
// Register takes every schema: the table has already changed, and capture must
// not stop because a reader of old schemas might. Only schemas that arrive over
// HTTP are held to the subject's compatibility, BACKWARD unless configured.
type Builtin struct {
	log Log

	// mu guards state. It is held across calls of the log by those who change it.
	mu    sync.Mutex
	state *state
}

// NewBuiltin reads the log.
func NewBuiltin(ctx context.Context, log Log) (*Builtin, error) {
	b := &Builtin{log: log, state: newState()}
	if err := b.refresh(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// refresh reads the log again. mu is held, but by NewBuiltin.
func (b *Builtin) refresh(ctx context.Context) error {
	next := newState()
	if err := b.log.Read(ctx, next.apply); err != nil {
		return fmt.Errorf("schema registry: read the log: %w", err)
	}
	b.state = next
	return nil
}

// Register implements Registry.
func (b *Builtin) Register(ctx context.Context, subject, schema string) (int32, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, err := b.register(ctx, subject, schema, false)
	if err != nil {
		return 0, fmt.Errorf("schema registry: subject %s: %w", subject, err)
	}
	return v.ID, nil
}

// errIncompatible is what a guarded registration meets.
type errIncompatible struct{ reasons []string }

func (e *errIncompatible) Error() string {
	return fmt.Sprintf("Schema being registered is incompatible with an earlier schema; %v", e.reasons)
}

// maxRaces bounds how often a version may be lost to another process.
const maxRaces = 10

// register adds a schema to a subject, unless it is there. Another process may
// take the same version at the same time; the log decides, and the loser tries
// the next one.
func (b *Builtin) register(ctx context.Context, subject, schema string, guarded bool) (schemaValue, error) {
	if subject == "" {
		return schemaValue{}, errors.New("the subject has no name")
	}
	text, err := canonical(schema)
	if err != nil {
		return schemaValue{}, err
	}
	if _, err := parse(schema); err != nil {
		return schemaValue{}, err
	}
	if v, ok := b.find(subject, text, false); ok {
		return v, nil
	}
	for range maxRaces {
		if err := b.refresh(ctx); err != nil {
			return schemaValue{}, err
		}
		if err := b.repair(ctx); err != nil {
			return schemaValue{}, err
		}
		if v, ok := b.find(subject, text, false); ok {
			return v, nil
		}
		if guarded {
			if why := compatible(b.level(subject), schema, b.texts(subject)); why != nil {
				return schemaValue{}, &errIncompatible{why}
			}
		}
		v := schemaValue{Subject: subject, Version: b.state.next(subject), ID: b.idFor(text), Schema: schema}
		if err := b.append(ctx, schemaKey{typeSchema, subject, v.Version, 1}, v); err != nil {
			return schemaValue{}, err
		}
	}
	return schemaValue{}, fmt.Errorf("other processes took the next version %d times", maxRaces)
}

// repair gives schemas that another process wrote over a version of their own,
// before compaction takes them away with their ids.
func (b *Builtin) repair(ctx context.Context) error {
	for _, v := range b.state.lost {
		text, err := canonical(v.Schema)
		if err != nil {
			continue
		}
		if _, ok := b.find(v.Subject, text, true); ok {
			continue
		}
		v.Version = b.state.next(v.Subject)
		if err := b.append(ctx, schemaKey{typeSchema, v.Subject, v.Version, 1}, v); err != nil {
			return err
		}
	}
	return nil
}

// append writes a record and reads the log again, so that the state is what the
// log says and not what we hoped.
func (b *Builtin) append(ctx context.Context, key, value any) error {
	var raw []byte
	if value != nil {
		raw = marshal(value)
	}
	if err := b.log.Append(ctx, marshal(key), raw); err != nil {
		return fmt.Errorf("append to the log: %w", err)
	}
	return b.refresh(ctx)
}

// find looks for a schema in a subject, newest version first.
func (b *Builtin) find(subject, text string, deleted bool) (schemaValue, bool) {
	list := b.state.versions(subject, deleted)
	for i := len(list) - 1; i >= 0; i-- {
		if c, err := canonical(list[i].Schema); err == nil && c == text {
			return list[i], true
		}
	}
	return schemaValue{}, false
}

// idFor is the id a schema has or will have.
func (b *Builtin) idFor(text string) int32 {
	if id, ok := b.state.canonical[text]; ok {
		return id
	}
	id := contentID(text)
	for {
		if _, taken := b.state.schemas[id]; !taken {
			return id
		}
		id = nextID(id)
	}
}

func (b *Builtin) level(subject string) string {
	if l := b.state.config[subject]; l != "" {
		return l
	}
	if l := b.state.config[""]; l != "" {
		return l
	}
	return levelBackward
}

func (b *Builtin) texts(subject string) []string {
	var out []string
	for _, v := range b.state.versions(subject, false) {
		out = append(out, v.Schema)
	}
	return out
}

// Schema implements Registry.
func (b *Builtin) Schema(ctx context.Context, id int32) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if text, ok := b.state.schemas[id]; ok {
		return text, nil
	}
	if err := b.refresh(ctx); err != nil {
		return "", err
	}
	if text, ok := b.state.schemas[id]; ok {
		return text, nil
	}
	return "", fmt.Errorf("schema registry: id %d: %w", id, ErrNotFound)
}
