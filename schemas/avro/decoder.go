package avro

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/registry"
)

// Decoder turns records back into changes. It may be used by many goroutines.
type Decoder struct {
	reg registry.Registry

	// mu guards plans.
	mu    sync.RWMutex
	plans map[planID]*plan

	// last is the transaction of the last change; changes of one share its Txn.
	last atomic.Pointer[lastTxn]
}

// planID names a table shape: schemas alone do not, as two tables whose names
// differ only in characters that Kafka refuses share a topic.
type planID struct {
	value, key   int32
	schema, name string
}

type lastTxn struct {
	id  txnKey
	txn schemas.Txn
}

// registryTimeout bounds a look-up of a schema, made once per id.
const registryTimeout = 30 * time.Second

// NewDecoder makes a Decoder that looks schemas up in reg.
func NewDecoder(reg registry.Registry) *Decoder {
	limits()
	return &Decoder{reg: reg, plans: map[planID]*plan{}}
}

// Decode fills c from a record; false says that the record is no change of a
// row or table (a tombstone, a message). Nothing of r is kept.
//
// The columns of c.Table have the kinds, precisions and labels that they were
// written with, and Generated, HasDefault, Auto, Length (but of bits) and Native
// are unset: they are not in the schema. Txn.Pos is left to the reader of the
// commit.
func (d *Decoder) Decode(r *schemas.Record, c *schemas.Change) (bool, error) {
	if r.Value == nil {
		return false, nil
	}
	ok, err := d.decode(r, c)
	if err != nil {
		return false, fmt.Errorf("decode a record of %s: %w", r.Topic, err)
	}
	return ok, nil
}

// schemaID reads the Confluent framing.
func schemaID(b []byte) (int32, error) {
	if len(b) < 5 || b[0] != 0 {
		return 0, fmt.Errorf("no Confluent framing: want a zero byte and a schema id in front")
	}
	return int32(binary.BigEndian.Uint32(b[1:5])), nil
}

func (d *Decoder) decode(r *schemas.Record, c *schemas.Change) (bool, error) {
	id, err := schemaID(r.Value)
	if err != nil {
		return false, err
	}
	pid := planID{value: id}
	if r.Key != nil {
		if pid.key, err = schemaID(r.Key); err != nil {
			return false, fmt.Errorf("key: %w", err)
		}
	}
	p, err := d.plan(pid)
	if err != nil {
		return false, err
	}
	*c = schemas.Change{}
	in := newReader(string(r.Value[5:]))
	defer in.done()
	var src source
	p.envelope(in, c, &src)
	if in.err == nil && in.i != len(in.s) {
		in.err = fmt.Errorf("%d bytes are left over", len(in.s)-in.i)
	}
	if in.err != nil {
		return false, in.err
	}
	in.settle()
	if c.Table, err = d.table(p, pid, &src); err != nil {
		return false, err
	}
	if c.Op == 'm' {
		return false, nil
	}
	return true, d.finish(r, c, p, &src)
}

// table is the table of a plan under the name that the source block gives.
func (d *Decoder) table(p *plan, pid planID, src *source) (*schemas.Table, error) {
	schema := src.schema
	if !p.pg {
		schema = src.db
	}
	if t := p.named.Load(); t != nil && t.Name.Schema == schema && t.Name.Name == src.table {
		return t, nil
	}
	pid.schema, pid.name = strings.Clone(schema), strings.Clone(src.table)
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.plans[pid]
	if known == nil {
		known = &plan{}
		known.named.Store(&schemas.Table{Name: schemas.TableName{Schema: pid.schema, Name: pid.name}, Columns: p.table.Columns, Key: p.table.Key})
		d.plans[pid] = known
	}
	t := known.named.Load()
	p.named.Store(t)
	return t, nil
}

// finish fills what stands in the headers and what belongs to the transaction.
func (d *Decoder) finish(r *schemas.Record, c *schemas.Change, p *plan, src *source) error {
	if c.Op == schemas.Snapshot {
		c.SnapshotMark = mark(src.snapshot)
	}
	c.LSN, c.Offset, c.RowNo = uint64(src.lsn), uint64(src.pos), src.row
	var origin, txn []byte
	var hasTxn bool
	for i := range r.Headers {
		h := &r.Headers[i]
		var err error
		switch h.Key {
		case schemas.HeaderSeq:
			if len(h.Value) != 8 {
				return fmt.Errorf("header %s: %d bytes, want 8", h.Key, len(h.Value))
			}
			c.Seq = binary.BigEndian.Uint64(h.Value)
		case schemas.HeaderOrigin:
			origin = h.Value
		case HeaderTxn:
			txn, hasTxn = h.Value, true
		case HeaderBefore:
			onlyKey(c)
		case HeaderExact:
			err = applyExact(h.Value, c)
		case schemas.HeaderNewKey:
			c.MovedTo, err = d.otherKey(h.Value)
		case schemas.HeaderOldKey:
			c.MovedFrom, err = d.otherKey(h.Value)
		}
		if err != nil {
			return err
		}
	}
	c.Txn = d.txn(c.Op, src, origin, txn, hasTxn)
	return nil
}

// onlyKey marks everything but the key of the row before as not known.
func onlyKey(c *schemas.Change) {
	for i := range c.Before {
		inKey := false
		for _, k := range c.Table.Key {
			inKey = inKey || k == i
		}
		if !inKey {
			c.Before[i] = schemas.Unchanged
		}
	}
}

// otherKey reads a framed key in a header. Debezium writes such headers with
// the worker's header converter, as text mostly; those are passed over.
func (d *Decoder) otherKey(b []byte) ([]schemas.Value, error) {
	id, err := schemaID(b)
	if err != nil {
		return nil, nil
	}
	p, err := d.plan(planID{key: id})
	if err != nil {
		return nil, err
	}
	return p.readKey(string(b[5:]))
}

// txnKey is what tells two transactions apart.
type txnKey struct {
	id     string
	xid    int64
	named  bool
	ns     int64
	commit uint64
	file   string
	server uint32
	thread uint32
	origin string
}

// txn is the transaction of a change; the changes of one share it.
func (d *Decoder) txn(op schemas.Op, src *source, origin, header []byte, hasHeader bool) *schemas.Txn {
	id := txnKey{id: src.gtid, xid: src.xid, named: src.hasXID, ns: src.nanos(), commit: src.commitLSN(), file: src.file,
		server: uint32(src.server), thread: uint32(src.thread)}
	switch {
	case hasHeader:
		id.id, id.named = string(header), false
	case op == schemas.Snapshot && id.id == "" && !src.hasXID:
		id.id = snapshotID
	}
	if len(origin) > 0 {
		id.origin = string(origin)
	}
	if last := d.last.Load(); last != nil && last.id == id {
		return &last.txn
	}
	id.id, id.file = strings.Clone(id.id), strings.Clone(id.file)
	next := &lastTxn{id: id, txn: schemas.Txn{ID: id.id, CommitLSN: id.commit, Time: src.time(), Origin: schemas.ParseOrigin(id.origin),
		File: id.file, ServerID: id.server, Thread: id.thread}}
	if id.named {
		next.txn.ID = strconv.FormatInt(id.xid, 10)
	}
	d.last.Store(next)
	return &next.txn
}

// mark is a snapshot mark as a constant, so that no record is held by it.
func mark(s string) string {
	for _, m := range [...]string{"true", "first", "first_in_data_collection", "last_in_data_collection", "last", "incremental"} {
		if s == m {
			return m
		}
	}
	return "true"
}

// plan finds or compiles the plan of two schema ids.
func (d *Decoder) plan(id planID) (*plan, error) {
	d.mu.RLock()
	p := d.plans[id]
	d.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	var value, key string
	var err error
	if id.value != 0 {
		if value, err = d.schema(id.value); err != nil {
			return nil, err
		}
	}
	if id.key != 0 {
		if key, err = d.schema(id.key); err != nil {
			return nil, err
		}
	}
	if p, err = newPlan(value, key); err != nil {
		return nil, fmt.Errorf("schemas %d and %d: %w", id.value, id.key, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.plans[id]; known != nil {
		return known, nil
	}
	if len(d.plans) >= maxPrograms {
		clear(d.plans)
	}
	d.plans[id] = p
	return p, nil
}

func (d *Decoder) schema(id int32) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), registryTimeout)
	defer cancel()
	text, err := d.reg.Schema(ctx, id)
	if err != nil {
		return "", fmt.Errorf("schema %d: %w", id, err)
	}
	return text, nil
}
