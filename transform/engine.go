package transform

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
	"github.com/strait-cdc/strait/transform/state"
)

// engine is the reconciler without goroutines: each of its methods is one
// transaction of the store. Fields below the store only mirror it; after an
// error the engine is thrown away and loaded again.
type engine struct {
	store    state.Store
	set      *mapping.Set
	entities map[string]*mapping.Entity
	tables   catalog
	pipeline string
	obs      Observer
	now      func() time.Time
	bounds   Bounds

	// rules are the rules of the protocol that a test may break, to see that it is
	// noticed. The zero value breaks none.
	broken breakage

	layouts layouts
	offsets map[string]offset
	// seen is the last batch of ours whose mark has been folded, by system.
	seen map[string]int64
	// next is the number of the next batch, answered the last answered one.
	next, answered map[string]int64
	hubs           uint64
	prefix         string
	queue          *queue
	// edited says that the change being folded is not ours.
	edited bool
	// blocked are due but must write to a system that takes no more now.
	blocked []*queued
}

// Bounds limit what is done at once.
type Bounds struct {
	// Intents is the most of one batch (default 500).
	Intents int
	// Batches is how many batches of one system may be unanswered (default 2).
	Batches int
	// Bytes is about the most one transaction of the store writes (default 3 MiB).
	Bytes int
}

// offset is how far a system has been folded.
type offset struct {
	// Commit is the offset of the commit record being or to be read next.
	Commit int64 `json:"commit"`
	// Seq is the last record folded.
	Seq uint64 `json:"seq"`
	// Number is that of the last commit begun; Mid says it is not folded whole.
	Number int64 `json:"number"`
	Mid    bool  `json:"mid"`
	// Gen counts the snapshots; Ready says that the last one is complete, Sweep
	// that rows it did not bring are still to be removed.
	Gen   int64 `json:"gen"`
	Ready bool  `json:"ready"`
	Sweep bool  `json:"sweep"`
	// Resume is the position of the last commit folded whole.
	Resume schemas.Position `json:"resume"`
	// Time is the commit time at the source of the last commit folded, µs.
	Time int64 `json:"time"`
}

// ErrState says that the state store and the databases do not belong together.
var ErrState = errors.New("state and databases do not fit together")

func newEngine(store state.Store, set *mapping.Set, pipeline, prefix string, now func() time.Time, obs Observer, b Bounds) (*engine, error) {
	if b.Intents == 0 {
		b.Intents = 500
	}
	if b.Batches == 0 {
		b.Batches = 2
	}
	if b.Bytes == 0 {
		b.Bytes = 3 << 20
	}
	if obs == nil {
		obs = NoObserver{}
	}
	tables, err := newCatalog(set)
	if err != nil {
		return nil, err
	}
	e := &engine{store: store, set: set, pipeline: pipeline, prefix: prefix, now: now, obs: obs, bounds: b, tables: tables,
		entities: map[string]*mapping.Entity{}, layouts: layouts{}, queue: newQueue()}
	for _, ent := range set.Entities {
		e.entities[ent.Name] = ent
	}
	return e, e.load()
}

// systems are the names of all systems, in the order of the mapping.
func (e *engine) systems() []string {
	var out []string
	have := map[string]bool{}
	for _, ent := range e.set.Entities {
		for _, s := range ent.Systems {
			if !have[s] {
				have[s] = true
				out = append(out, s)
			}
		}
	}
	return out
}

// load reads what the engine mirrors, and makes what a new store lacks.
func (e *engine) load() error {
	e.offsets, e.seen = map[string]offset{}, map[string]int64{}
	e.next, e.answered = map[string]int64{}, map[string]int64{}
	return e.store.Update(func(tx state.Txn) error {
		if err := e.loadIdentity(tx); err != nil {
			return err
		}
		for _, sys := range e.systems() {
			var off offset
			if _, err := getJSON(tx, state.Key("m", "offset", sys), &off); err != nil {
				return err
			}
			e.offsets[sys] = off
			for name, m := range map[string]map[string]int64{"seen": e.seen, "next": e.next, "answered": e.answered} {
				n, err := getInt(tx, state.Key("m", name, sys))
				if err != nil {
					return err
				}
				m[sys] = n
			}
			if e.next[sys] == 0 {
				e.next[sys] = 1
			}
			for _, t := range e.tables[sys] {
				b, err := json.Marshal(t.names)
				if err != nil {
					return err
				}
				if err := tx.Set(layoutKey(t.layout), b); err != nil {
					return err
				}
			}
		}
		return e.loadQueue(tx)
	})
}

func (e *engine) loadIdentity(tx state.Txn) error {
	b, err := tx.Get(state.Key("m", "pipeline"))
	if err != nil {
		return err
	}
	if b != nil && string(b) != e.pipeline {
		return fmt.Errorf("%w: the state folder belongs to pipeline %q, the configuration says %q; give each pipeline its own state folder", ErrState, b, e.pipeline)
	}
	if err := tx.Set(state.Key("m", "pipeline"), []byte(e.pipeline)); err != nil {
		return err
	}
	b, err = tx.Get(state.Key("m", "prefix"))
	if err != nil {
		return err
	}
	if b != nil {
		e.prefix = string(b)
	} else if err := tx.Set(state.Key("m", "prefix"), []byte(e.prefix)); err != nil {
		return err
	}
	n, err := getInt(tx, state.Key("m", "hubs"))
	e.hubs = uint64(n)
	return err
}

// newHub makes the id of a new entity or item.
func (e *engine) newHub(tx state.Txn) (string, error) {
	e.hubs++
	if err := setInt(tx, state.Key("m", "hubs"), int64(e.hubs)); err != nil {
		return "", err
	}
	return e.prefix + strconv.FormatUint(e.hubs, 36), nil
}

// start says where the reader of a system goes on.
func (e *engine) start(sys string) stream.Start {
	off := e.offsets[sys]
	return stream.Start{Offset: off.Commit, AfterSeq: off.Seq}
}

// ready says that planning may begin: every system's snapshot is complete and no
// commit is half folded.
func (e *engine) ready() bool {
	for _, sys := range e.systems() {
		if off := e.offsets[sys]; !off.Ready || off.Mid || off.Sweep {
			return false
		}
	}
	return true
}

func getJSON(tx state.Txn, key []byte, into any) (bool, error) {
	b, err := tx.Get(key)
	if err != nil || b == nil {
		return false, err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return false, fmt.Errorf("stored %q: %w", key, err)
	}
	return true, nil
}

func setJSON(tx state.Txn, key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Set(key, b)
}

func getInt(tx state.Txn, key []byte) (int64, error) {
	b, err := tx.Get(key)
	if err != nil || len(b) != 8 {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

func setInt(tx state.Txn, key []byte, n int64) error {
	return tx.Set(key, binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// batchKey sorts by number.
func batchKey(prefix, sys string, batch int64) []byte {
	return state.Key(prefix, sys, fmt.Sprintf("%016x", batch))
}
