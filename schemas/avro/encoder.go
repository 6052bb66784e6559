package avro

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/registry"
)

// The connectors, as Debezium names them.
const (
	PostgreSQL = "postgresql"
	MySQL      = "mysql"
	MariaDB    = "mariadb"
)

// Source is what the source block says of every change of a system.
type Source struct {
	// System is the name of the system and the prefix of its topics.
	System string
	// Connector is PostgreSQL, MySQL or MariaDB.
	Connector string
	// Database is the database on PostgreSQL; elsewhere each table names its own.
	Database string
	// Version is ours.
	Version string
}

// Options change what an Encoder writes. The zero Options are Debezium's defaults.
type Options struct {
	// ProvideTransaction fills the transaction block of every record.
	ProvideTransaction bool
	// VerifyEvery decodes one of so many changes with goavro and compares; 0 is
	// 1000, a negative number switches it off.
	VerifyEvery int
	// RegistryTimeout bounds a call of the registry, made once per table shape;
	// 0 is 30 seconds.
	RegistryTimeout time.Duration
	// Now is the clock of ts_ms, ts_us, ts_ns and the record's timestamp.
	Now func() time.Time
}

func (o *Options) defaults() {
	if o.VerifyEvery == 0 {
		o.VerifyEvery = 1000
	}
	if o.RegistryTimeout == 0 {
		o.RegistryTimeout = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Encoder turns changes into records. It belongs to one goroutine. The bytes of
// the records stay valid until Reset.
type Encoder struct {
	reg  registry.Registry
	src  Source
	opts Options

	// programs by pointer, by content; last is that of the last change.
	programs map[*schemas.Table]*program
	byText   map[string]*program
	last     *program

	buf     []byte
	headers []schemas.Header
	// now is the clock, read again when untilNow changes have been written.
	now         time.Time
	untilNow    int
	untilVerify int
	shared      txnBytes

	// exact and keyOnly concern the record being written.
	exact   exact
	keyOnly bool

	// txn and the counts are those of the transaction block.
	txn    *schemas.Txn
	counts map[*layout]int64
}

// maxPrograms bounds what is remembered of shapes that are no longer in use.
const maxPrograms = 10000

// NewEncoder makes an Encoder of a system's changes.
func NewEncoder(reg registry.Registry, src Source, opts Options) *Encoder {
	opts.defaults()
	limits()
	return &Encoder{reg: reg, src: src, opts: opts, untilVerify: opts.VerifyEvery, programs: map[*schemas.Table]*program{},
		byText: map[string]*program{}, counts: map[*layout]int64{}}
}

// Reset takes back the memory of all records since the last Reset.
func (e *Encoder) Reset() {
	e.buf = e.buf[:0]
	clear(e.headers)
	e.headers = e.headers[:0]
	e.untilNow = 0
}

// Encode appends the records of one change to dst: one, with its tombstone two
// for a delete, three for a change of key.
func (e *Encoder) Encode(c *schemas.Change, dst []schemas.Record) ([]schemas.Record, error) {
	p, err := e.program(c.Table)
	if err != nil {
		return dst, fmt.Errorf("encode %s: %w", c.Table.Name, err)
	}
	first := len(dst)
	if dst, err = e.encode(p, c, dst); err != nil {
		return dst[:first], fmt.Errorf("encode %s %s of %s, key %s: %w", c.Op, c.Table.Name, txnID(c), keyText(c), err)
	}
	if e.untilVerify--; e.untilVerify == 0 {
		e.untilVerify = e.opts.VerifyEvery
		if err := e.verify(p, c, dst[first:]); err != nil {
			return dst[:first], fmt.Errorf("encode %s, key %s: bytes do not verify: %w", c.Table.Name, keyText(c), err)
		}
	}
	return dst, nil
}

func txnID(c *schemas.Change) string {
	if c.Txn == nil {
		return "no transaction"
	}
	return "transaction " + c.Txn.ID
}

// keyText names the row in a message.
func keyText(c *schemas.Change) string {
	row := c.After
	if row == nil {
		row = c.Before
	}
	if len(c.Table.Key) == 0 || len(row) != len(c.Table.Columns) {
		return "(none)"
	}
	return schemas.FormatKey(c.Table.KeyOf(row))
}

func (e *Encoder) encode(p *program, c *schemas.Change, dst []schemas.Record) ([]schemas.Record, error) {
	if err := check(c); err != nil {
		return dst, err
	}
	e.exact = nil
	e.tick()
	e.count(p, c)
	switch c.Op {
	case schemas.Truncate:
		value, err := e.envelope(p, c, byte(c.Op), nil, nil)
		return e.record(dst, p, c, nil, value), err
	case schemas.Delete:
		return e.delete(p, c, dst)
	case schemas.Update:
		if keyMoved(c) {
			return e.move(p, c, dst)
		}
	}
	key, err := e.key(p, c, c.After)
	if err != nil {
		return dst, err
	}
	before := c.Before
	if c.Op != schemas.Update {
		before = nil
	}
	value, err := e.envelope(p, c, byte(c.Op), before, known(c))
	if err != nil {
		return dst, err
	}
	dst = e.record(dst, p, c, key, value)
	if c.MovedFrom != nil && c.Op == schemas.Insert {
		err = e.otherKey(p, &dst[len(dst)-1], schemas.HeaderOldKey, c.MovedFrom)
	}
	return dst, err
}

// sameNow is how many changes share a reading of the clock, which costs more
// than the rest of a small record. Reset begins anew.
const sameNow = 16

func (e *Encoder) tick() {
	if e.untilNow == 0 {
		e.now, e.untilNow = e.opts.Now(), sameNow
	}
	e.untilNow--
}

// check refuses a change that is not one.
func check(c *schemas.Change) error {
	n := len(c.Table.Columns)
	switch {
	case c.Txn == nil:
		return fmt.Errorf("the change has no transaction")
	case c.Op == schemas.Truncate:
		return nil
	case c.Op == schemas.Delete:
		if len(c.Before) != n {
			return fmt.Errorf("the row before has %d values for %d columns", len(c.Before), n)
		}
		return nil
	case c.Op != schemas.Insert && c.Op != schemas.Update && c.Op != schemas.Snapshot:
		return fmt.Errorf("unknown operation %q", byte(c.Op))
	case len(c.After) != n:
		return fmt.Errorf("the row after has %d values for %d columns", len(c.After), n)
	case c.Before != nil && len(c.Before) != n:
		return fmt.Errorf("the row before has %d values for %d columns", len(c.Before), n)
	}
	return nil
}

// keyMoved says that an update changes the key.
func keyMoved(c *schemas.Change) bool {
	if c.Before == nil {
		return false
	}
	for _, k := range c.Table.Key {
		b, a := c.Before[k], c.After[k]
		if b != a && !b.IsUnchanged() && !a.IsUnchanged() {
			return true
		}
	}
	return false
}

func (e *Encoder) delete(p *program, c *schemas.Change, dst []schemas.Record) ([]schemas.Record, error) {
	key, err := e.key(p, c, c.Before)
	if err != nil {
		return dst, err
	}
	value, err := e.envelope(p, c, byte(schemas.Delete), c.Before, nil)
	if err != nil {
		return dst, err
	}
	dst = e.record(dst, p, c, key, value)
	dst = append(dst, schemas.Record{Topic: p.topic, Key: key, Time: e.now})
	if c.MovedTo == nil {
		return dst, nil
	}
	err = e.otherKey(p, &dst[len(dst)-2], schemas.HeaderNewKey, c.MovedTo)
	dst[len(dst)-1].Headers = dst[len(dst)-2].Headers
	return dst, err
}

// move writes a change of key as Debezium does: the old row is deleted, the new
// one created, and each record tells the other's key in a header.
func (e *Encoder) move(p *program, c *schemas.Change, dst []schemas.Record) ([]schemas.Record, error) {
	oldKey, err := e.key(p, c, c.Before)
	if err != nil {
		return dst, err
	}
	newKey, err := e.key(p, c, c.After)
	if err != nil {
		return dst, err
	}
	value, err := e.envelope(p, c, byte(schemas.Delete), c.Before, nil)
	if err != nil {
		return dst, err
	}
	dst = e.record(dst, p, c, oldKey, value)
	e.addHeader(&dst[len(dst)-1], schemas.HeaderNewKey, newKey)
	dst = append(dst, schemas.Record{Topic: p.topic, Key: oldKey, Time: e.now})
	e.addHeader(&dst[len(dst)-1], schemas.HeaderNewKey, newKey)
	if value, err = e.envelope(p, c, byte(schemas.Insert), nil, known(c)); err != nil {
		return dst, err
	}
	dst = e.record(dst, p, c, newKey, value)
	e.addHeader(&dst[len(dst)-1], schemas.HeaderOldKey, oldKey)
	return dst, nil
}

// known is the row after with the values the log left out taken from the row
// before, where that has them.
func known(c *schemas.Change) schemas.Row {
	if c.Before == nil {
		return c.After
	}
	row := c.After
	for i, v := range c.After {
		if !v.IsUnchanged() || c.Before[i].IsUnchanged() {
			continue
		}
		if &row[0] == &c.After[0] {
			row = append(schemas.Row(nil), c.After...)
		}
		row[i] = c.Before[i]
	}
	return row
}

// record appends a record with the headers that its value asked for.
func (e *Encoder) record(dst []schemas.Record, p *program, c *schemas.Change, key, value []byte) []schemas.Record {
	dst = append(dst, schemas.Record{Topic: p.topic, Key: key, Value: value, Time: e.now})
	r := &dst[len(dst)-1]
	if e.keyOnly {
		e.addHeader(r, HeaderBefore, keyOnlyText)
	}
	if e.exact != nil {
		text, err := json.Marshal(e.exact)
		if err == nil { // a Value always marshals
			e.addHeader(r, HeaderExact, text)
		}
		e.exact = nil
	}
	if !p.holdsID(c) {
		at := len(e.buf)
		e.buf = append(e.buf, c.Txn.ID...)
		e.addHeader(r, HeaderTxn, e.buf[at:len(e.buf):len(e.buf)])
	}
	return dst
}

var keyOnlyText = []byte("key")

// addHeader appends a header; the record's headers are always the last ones of
// the arena or none.
func (e *Encoder) addHeader(r *schemas.Record, key string, value []byte) {
	at := len(e.headers) - len(r.Headers)
	e.headers = append(e.headers, schemas.Header{Key: key, Value: value})
	r.Headers = e.headers[at:len(e.headers):len(e.headers)]
}

func (e *Encoder) otherKey(p *program, r *schemas.Record, header string, key []schemas.Value) error {
	if len(key) != len(p.keys) {
		return fmt.Errorf("the other key has %d values for %d fields", len(key), len(p.keys))
	}
	at := len(e.buf)
	e.buf = append(e.buf, p.keyFrame[:]...)
	for i, v := range key {
		if err := e.keyPart(p, p.table.Key[i], p.keys[i], v); err != nil {
			return err
		}
	}
	e.addHeader(r, header, e.buf[at:len(e.buf):len(e.buf)])
	return nil
}

// key writes the framed key of a row; nil for a table without one.
func (e *Encoder) key(p *program, c *schemas.Change, row schemas.Row) ([]byte, error) {
	if len(p.keys) == 0 {
		return nil, nil
	}
	at := len(e.buf)
	e.buf = append(e.buf, p.keyFrame[:]...)
	for i, k := range p.table.Key {
		v := row[k]
		if v.IsUnchanged() && c.Before != nil {
			v = c.Before[k]
		}
		if err := e.keyPart(p, k, p.keys[i], v); err != nil {
			return nil, err
		}
	}
	return e.buf[at:len(e.buf):len(e.buf)], nil
}

// keyPart writes one field of a key. A key must be the same bytes for the same
// row, always, so what has no Avro form is refused here.
func (e *Encoder) keyPart(p *program, column int, s *shape, v schemas.Value) error {
	if v.IsNull() && s.nullable {
		e.buf = append(e.buf, 0)
		return nil
	}
	if v.Storage() != s.store {
		return fmt.Errorf("key column %s: %s cannot be part of a key; choose another replica identity or key", p.table.Columns[column].Name, v)
	}
	if s.nullable {
		e.buf = append(e.buf, 2)
	}
	var ok bool
	if e.buf, ok = s.append(e.buf, &v); !ok {
		return fmt.Errorf("key column %s: %s has no exact Avro form and cannot be part of a key", p.table.Columns[column].Name, v)
	}
	return nil
}

// count advances the counts of the transaction block.
func (e *Encoder) count(p *program, c *schemas.Change) {
	if !e.opts.ProvideTransaction {
		return
	}
	if e.txn != c.Txn {
		e.txn = c.Txn
		clear(e.counts)
	}
	e.counts[p.layout]++
}
