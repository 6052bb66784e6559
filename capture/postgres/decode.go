package postgres

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/strait-cdc/strait/schemas"
)

// decoder turns the messages of pgoutput, version 1 of its protocol
// (https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html),
// into batches. It is used by one goroutine.
type decoder struct {
	arena
	// identity is Position.Source; from is the end of the last transaction that is
	// durable: what ended up to it is left out.
	identity string
	from     uint64
	shapes   map[uint32]*shape
	// relation makes the shape of a table that the log describes anew.
	relation func(r relation, old *shape) (*shape, error)
	// put hands over a batch; it may wait. The changes of a batch that is not Open
	// are good only during the call.
	put func(b *schemas.Batch, bytes int) error

	// The transaction under way, nil between two. A piece that was handed over keeps
	// its Txn; the next piece has a copy, so nobody sees one change.
	txn     *schemas.Txn
	skip    bool
	ordinal int64
	changes []schemas.Change
	bytes   int
	// pieces says that a piece of the transaction has been handed over.
	pieces bool
	// end is the end of the last transaction that was read.
	end uint64
}

// message takes one message of the log that starts at lsn.
func (d *decoder) message(lsn uint64, data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("empty message at %s", pglogrepl.LSN(lsn))
	}
	c := cursor{b: data[1:]}
	var err error
	switch data[0] {
	case 'B':
		d.begin(&c)
	case 'C':
		err = d.commit(&c)
	case 'R':
		err = d.describe(&c)
	case 'I', 'U', 'D':
		err = d.row(lsn, data[0], &c)
	case 'T':
		err = d.truncate(lsn, &c)
	case 'O', 'Y', 'M':
		// Origin, type and logical messages carry no rows.
	default:
		err = fmt.Errorf("unknown message %q", data[0])
	}
	if err == nil && c.bad {
		err = fmt.Errorf("message %q of %d bytes is cut short", data[0], len(data))
	}
	if err != nil {
		return fmt.Errorf("log at %s: %w", pglogrepl.LSN(lsn), err)
	}
	return nil
}

func (d *decoder) begin(c *cursor) {
	final, at, xid := c.u64(), c.u64(), c.u32()
	d.txn = &schemas.Txn{ID: fmt.Sprint(xid), CommitLSN: final, Time: instant(at)}
	// The commit record starts at final: one that starts before a place where
	// another ended has ended before it, too.
	d.skip = final < d.from
	d.ordinal, d.pieces = 0, false
}

// instant turns microseconds since 2000 into a time.
func instant(us uint64) time.Time {
	const untilY2K = 946684800_000_000
	return time.UnixMicro(int64(us) + untilY2K).UTC()
}

func (d *decoder) commit(c *cursor) error {
	c.skip(1 + 8)
	end := c.u64()
	c.skip(8) // the time, which begin has told
	if c.bad || d.txn == nil {
		c.bad = true
		return nil
	}
	txn := d.txn
	d.txn, d.end = nil, end
	if d.skip || len(d.changes) == 0 && !d.pieces {
		return nil
	}
	txn.Pos = position(d.identity, end)
	b := &schemas.Batch{Changes: d.changes, Txns: 1, Resume: txn.Pos}
	bytes := d.bytes
	d.changes, d.bytes = d.changes[:0], 0
	return d.put(b, bytes)
}

func position(identity string, end uint64) schemas.Position {
	return schemas.Position{Source: identity, End: end, Native: pglogrepl.LSN(end).String()}
}

// piece hands over what there is of a transaction that is too large to wait for.
func (d *decoder) piece() error {
	b := &schemas.Batch{Changes: d.changes, Open: true}
	bytes := d.bytes
	next := *d.txn
	d.txn, d.changes, d.bytes, d.pieces = &next, nil, 0, true
	return d.put(b, bytes)
}

func (d *decoder) describe(c *cursor) error {
	r := relation{oid: c.u32()}
	r.name.Schema, r.name.Name, r.ident = c.text(), c.text(), c.u8()
	if r.name.Schema == "" {
		r.name.Schema = "pg_catalog"
	}
	for range c.u16() {
		if c.bad {
			return nil
		}
		flags, name := c.u8(), c.text()
		r.cols = append(r.cols, relationColumn{name, c.u32(), int32(c.u32()), flags&1 != 0})
	}
	if c.bad {
		return nil
	}
	s, err := d.relation(r, d.shapes[r.oid])
	if err != nil {
		return err
	}
	d.shapes[r.oid] = s
	return nil
}

func (d *decoder) shapeOf(oid uint32) (*shape, error) {
	if s := d.shapes[oid]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("a change of the relation %d, which was not described", oid)
}

func (d *decoder) row(lsn uint64, kind byte, c *cursor) error {
	if d.skip {
		return nil
	}
	oid := c.u32()
	s, err := d.shapeOf(oid)
	if err != nil {
		return err
	}
	before := len(c.b)
	ch := schemas.Change{LSN: lsn}
	switch kind {
	case 'I':
		ch.Op = schemas.Insert
	case 'U':
		ch.Op = schemas.Update
	case 'D':
		ch.Op = schemas.Delete
	}
	tuple := c.u8()
	if tuple == 'K' || tuple == 'O' {
		if ch.Before, err = d.tuple(s, c, tuple == 'K'); err != nil {
			return err
		}
		tuple = 0
		if kind == 'U' {
			tuple = c.u8()
		}
	}
	if tuple == 'N' {
		if ch.After, err = d.tuple(s, c, false); err != nil {
			return err
		}
	} else if kind != 'D' {
		c.bad = true
	}
	if c.bad {
		return nil
	}
	complete(&ch)
	ch.Table = d.shapes[oid].table // reading may have found a newer one
	return d.add(ch, before)
}

// complete fills the row after from the row before where the log left a value
// out, and drops a row before that says nothing: a key that did not change.
func complete(c *schemas.Change) {
	if c.Op != schemas.Update || c.Before == nil {
		return
	}
	for i, v := range c.After {
		if v.IsUnchanged() {
			c.After[i] = c.Before[i]
		}
	}
	for i, v := range c.Before {
		if !v.IsUnchanged() && v != c.After[i] {
			return
		}
	}
	for _, v := range c.Before {
		if v.IsUnchanged() {
			c.Before = nil
			return
		}
	}
}

func (d *decoder) add(ch schemas.Change, bytes int) error {
	if d.txn == nil {
		return fmt.Errorf("a change outside of a transaction")
	}
	if d.ordinal == 0 {
		d.txn.Origin = d.origin(&ch)
	}
	ch.Txn, ch.Ordinal = d.txn, d.ordinal
	d.ordinal++
	d.changes = append(d.changes, ch)
	d.bytes += bytes
	if len(d.changes) >= maxChanges || d.bytes >= maxBytes {
		return d.piece()
	}
	return nil
}

// origin is the mark of our own apply transactions: their first change is one of
// strait.progress.
func (d *decoder) origin(ch *schemas.Change) schemas.Origin {
	if ch.Table.Name != schemas.ProgressTable || ch.After == nil {
		return schemas.Origin{}
	}
	p, b := ch.Table.Column(schemas.ProgressPipeline), ch.Table.Column(schemas.ProgressBatch)
	if p < 0 || b < 0 {
		return schemas.Origin{}
	}
	return schemas.Origin{Pipeline: ch.After[p].Text(), Batch: ch.After[b].Int()}
}

// tuple reads a row. In a key tuple the other columns are not known.
func (d *decoder) tuple(s *shape, c *cursor, keyOnly bool) (schemas.Row, error) {
	n := int(c.u16())
	if c.bad || n != len(s.cols) {
		return nil, fmt.Errorf("a row of %d values for %s with %d columns", n, s.table.Name, len(s.cols))
	}
	row := d.arena.row(n)
	for i := range n {
		switch c.u8() {
		case 'n':
			// NULL is the zero Value.
		case 'u':
			row[i] = schemas.Unchanged
		case 't':
			v, err := d.value(s, i, c.bytes(int(c.u32())))
			if err != nil {
				return nil, err
			}
			row[i] = v
		default:
			c.bad = true
			return nil, nil
		}
	}
	if keyOnly {
		keepKey(s, row)
	}
	return row, nil
}

// keepKey marks what is not known in a key tuple, where the server sends NULL.
// Parts of an identity that are not of the key are known as well.
func keepKey(s *shape, row schemas.Row) {
	for i, v := range row {
		if v.IsNull() {
			row[i] = schemas.Unchanged
		}
	}
}

func (d *decoder) value(s *shape, i int, b []byte) (schemas.Value, error) {
	v, err := s.cols[i].parse(&d.arena, b)
	if err != nil {
		return v, fmt.Errorf("column %s.%s: %w", s.table.Name, s.table.Columns[i].Name, err)
	}
	if labels := s.cols[i].labels; labels != nil && !labels[v.Text()] {
		return v, d.newLabel(s, i, v.Text())
	}
	return v, nil
}

// newLabel reads the shape again: a label that was added to an enumeration is not
// announced in the log.
func (d *decoder) newLabel(s *shape, i int, label string) error {
	r := s.relation
	next, err := d.relation(r, s)
	if err != nil {
		return err
	}
	// One that has been renamed since is not in the catalog; it is not asked for again.
	for _, known := range []*shape{s, next} {
		if l := known.cols[i].labels; l != nil {
			l[label] = true
		}
	}
	d.shapes[r.oid] = next
	return nil
}

func (d *decoder) truncate(lsn uint64, c *cursor) error {
	n := c.u32()
	c.skip(1)
	for range n {
		oid := c.u32()
		if c.bad || d.skip {
			return nil
		}
		s, err := d.shapeOf(oid)
		if err != nil {
			return err
		}
		if err := d.add(schemas.Change{Op: schemas.Truncate, Table: s.table, LSN: lsn}, 0); err != nil {
			return err
		}
	}
	return nil
}

// cursor reads a message. Beyond its end it gives zeros and is bad.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.bad, c.b = true, nil
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) skip(n int) { c.bytes(n) }

func (c *cursor) u8() byte {
	if b := c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// text reads up to a zero byte.
func (c *cursor) text() string {
	for i, b := range c.b {
		if b == 0 {
			s := string(c.b[:i])
			c.b = c.b[i+1:]
			return s
		}
	}
	c.bad, c.b = true, nil
	return ""
}
