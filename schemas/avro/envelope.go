package avro

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/linkedin/goavro/v2"

	"github.com/strait-cdc/strait/schemas"
)

// program is everything about a table's records that does not change from one
// change to the next: schemas, ids, shapes, and the constant bytes.
type program struct {
	table *schemas.Table
	*layout
	pg bool
	// valueFrame and keyFrame are the Confluent framing: zero, schema id.
	valueFrame, keyFrame [5]byte
	// zeros and placeholders are the bytes of a column without a value.
	zeros, placeholders [][]byte
	inKey               []bool
	// head is version, connector and name; database and where are the other
	// constant parts of the source block.
	head, database, where []byte
	// valueCodec and keyCodec check what we write.
	valueCodec, keyCodec *goavro.Codec
}

// program finds or makes the program of a table.
func (e *Encoder) program(t *schemas.Table) (*program, error) {
	if p := e.last; p != nil && p.table == t {
		return p, nil
	}
	p := e.programs[t]
	if p == nil {
		l, err := newLayout(e.src, t)
		if err != nil {
			return nil, err
		}
		content := l.topic + "\n" + t.Name.String() + "\n" + l.key + "\n" + l.value
		if known := e.byText[content]; known != nil {
			same := *known
			same.table = t
			p = &same
		} else if p, err = e.compile(t, l); err != nil {
			return nil, err
		}
		if len(e.programs) >= maxPrograms {
			clear(e.programs)
			clear(e.byText)
		}
		e.programs[t], e.byText[content] = p, p
	}
	e.last = p
	return p, nil
}

// compile registers the schemas and proves the program against goavro.
func (e *Encoder) compile(t *schemas.Table, l *layout) (*program, error) {
	p := &program{table: t, layout: l, pg: e.src.Connector == PostgreSQL}
	var err error
	if p.valueCodec, err = goavro.NewCodec(l.value); err != nil {
		return nil, fmt.Errorf("the value schema is not legal Avro: %w", err)
	}
	if l.key != "" {
		if p.keyCodec, err = goavro.NewCodec(l.key); err != nil {
			return nil, fmt.Errorf("the key schema is not legal Avro: %w", err)
		}
	}
	p.constants(e.src)
	if err := e.selfCheck(p); err != nil {
		return nil, fmt.Errorf("the program does not agree with goavro: %w", err)
	}
	if l.key != "" {
		if p.keyFrame, err = e.register(l.topic+"-key", l.key); err != nil {
			return nil, err
		}
	}
	p.valueFrame, err = e.register(l.topic+"-value", l.value)
	return p, err
}

func (e *Encoder) register(subject, schema string) (frame [5]byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.opts.RegistryTimeout)
	defer cancel()
	id, err := e.reg.Register(ctx, subject, schema)
	if err != nil {
		return frame, fmt.Errorf("register %s: %w", subject, err)
	}
	binary.BigEndian.PutUint32(frame[1:], uint32(id))
	return frame, nil
}

func (p *program) constants(src Source) {
	t := p.table
	p.inKey = make([]bool, len(t.Columns))
	for _, k := range t.Key {
		p.inKey[k] = true
	}
	for _, s := range p.columns {
		zero, hold := s.zero(), []byte(nil)
		if s.placeholders() {
			hold = s.unchanged()
			if s.nullable {
				hold = append([]byte{2}, hold...)
			}
		}
		if s.nullable {
			zero = []byte{0}
		}
		p.zeros, p.placeholders = append(p.zeros, zero), append(p.placeholders, hold)
	}
	p.head = appendString(appendString(appendString(nil, src.Version), src.Connector), src.System)
	if p.pg {
		p.database = appendString(nil, src.Database)
		p.where = appendString(appendString(nil, t.Name.Schema), t.Name.Name)
		return
	}
	p.database = appendString(nil, t.Name.Schema)
	p.where = appendString([]byte{2}, t.Name.Name)
}

// envelope writes the framed value of a record.
func (e *Encoder) envelope(p *program, c *schemas.Change, op byte, before, after schemas.Row) ([]byte, error) {
	e.keyOnly = before != nil && p.onlyKey(before)
	at := len(e.buf)
	b := append(e.buf, p.valueFrame[:]...)
	b, err := e.row(b, p, before, sideBefore)
	if err != nil {
		return nil, err
	}
	if b, err = e.row(b, p, after, sideAfter); err != nil {
		return nil, err
	}
	b = e.source(b, p, c)
	b = e.block(b, p, c)
	b = append(b, 2, op)
	ns := e.now.UnixNano()
	b = appendLong(append(b, 2), floorDiv(ns, 1e6))
	b = appendLong(append(b, 2), floorDiv(ns, 1e3))
	b = appendLong(append(b, 2), ns)
	e.buf = b
	return b[at:len(b):len(b)], nil
}

// onlyKey says that of a row before nothing but the key is known.
func (p *program) onlyKey(row schemas.Row) bool {
	seen := false
	for i := range row {
		if p.inKey[i] == row[i].IsUnchanged() {
			return false
		}
		seen = seen || !p.inKey[i]
	}
	return seen
}

// row writes an optional row.
func (e *Encoder) row(b []byte, p *program, row schemas.Row, side string) ([]byte, error) {
	if row == nil {
		return append(b, 0), nil
	}
	b = append(b, 2)
	for i, s := range p.columns {
		v := &row[i]
		if v.Storage() == s.store {
			at := len(b)
			if s.nullable {
				b = append(b, 2)
			}
			if s.form == formLong || s.form == formStampMicro {
				b = appendLong(b, v.Int())
				continue
			}
			var ok bool
			if b, ok = s.append(b, v); ok {
				continue
			}
			b = b[:at]
			if s.form == formDecimal && !special(v.Text()) {
				return b, fmt.Errorf("column %s: %q is no plain number of %d digits, %d of them after the point", p.table.Columns[i].Name, v.Text(), s.typ.Precision, s.typ.Scale)
			}
			b = e.inexact(b, p, i, *v, side)
			continue
		}
		var err error
		if b, err = e.absent(b, p, i, *v, side); err != nil {
			return b, err
		}
	}
	return b, nil
}

func special(s string) bool { return s == "NaN" || s == "Infinity" || s == "-Infinity" }

// inexact writes null or zero and keeps the value for the header.
func (e *Encoder) inexact(b []byte, p *program, i int, v schemas.Value, side string) []byte {
	e.exact.put(side, p.table.Columns[i].Name, v)
	return append(b, p.zeros[i]...)
}

// absent writes a column that is NULL or whose value is not known.
func (e *Encoder) absent(b []byte, p *program, i int, v schemas.Value, side string) ([]byte, error) {
	s := p.columns[i]
	switch {
	case v.IsNull() && s.nullable:
		return append(b, 0), nil
	case v.IsNull():
		return e.inexact(b, p, i, v, side), nil
	case !v.IsUnchanged():
		return b, fmt.Errorf("column %s: %s is not a value of kind %s", p.table.Columns[i].Name, v, s.typ.Kind)
	case side == sideBefore && e.keyOnly:
		return append(b, p.zeros[i]...), nil
	case p.placeholders[i] != nil:
		return append(b, p.placeholders[i]...), nil
	}
	return e.inexact(b, p, i, v, side), nil
}

// streaming is the snapshot field of a change from the log.
var streaming = appendString([]byte{0}, "false")

// txnBytes are the parts of the source block that the changes of a transaction
// to one table share.
type txnBytes struct {
	txn    schemas.Txn
	layout *layout
	// head reaches to the database, tail from ts_us to the transaction's id;
	// commit is the beginning of the sequence.
	head, commit, tail []byte
}

// source writes the source block.
func (e *Encoder) source(b []byte, p *program, c *schemas.Change) []byte {
	x := &e.shared
	if x.layout != p.layout || x.txn != *c.Txn {
		x.fill(p, c.Txn)
	}
	b = append(b, x.head...)
	switch {
	case c.Op != schemas.Snapshot:
		b = append(b, streaming...)
	case c.SnapshotMark == "":
		b = appendString(append(b, 0), "true")
	default:
		b = appendString(append(b, 0), c.SnapshotMark)
	}
	b = append(b, p.database...)
	if !p.pg {
		b = append(append(b, 0), x.tail...)
		return sourceBinlog(b, c)
	}
	b = x.sequence(b, c)
	b = append(b, x.tail...)
	if c.LSN != 0 {
		b = appendLong(append(b, 2), int64(c.LSN))
	} else {
		b = append(b, 0)
	}
	return append(b, 0, 0, 0) // xmin, origin, origin_lsn
}

// fill makes the bytes of a transaction and a table.
func (x *txnBytes) fill(p *program, txn *schemas.Txn) {
	x.txn, x.layout = *txn, p.layout
	ns, known := nanos(txn.Time)
	x.head = appendLong(append(x.head[:0], p.head...), floorDiv(ns, 1e6))
	if known {
		x.tail = appendLong(append(x.tail[:0], 2), floorDiv(ns, 1e3))
		x.tail = appendLong(append(x.tail, 2), ns)
	} else {
		x.tail = append(x.tail[:0], 0, 0)
	}
	x.tail = append(x.tail, p.where...)
	if !p.pg {
		x.tail = binlogTxn(x.tail, txn)
		return
	}
	if id, ok := xid(txn.ID); ok {
		x.tail = appendLong(append(x.tail, 2), id)
	} else {
		x.tail = append(x.tail, 0)
	}
	x.commit = append(x.commit[:0], `[null,"`...)
	if txn.CommitLSN != 0 {
		x.commit = append(strconv.AppendUint(append(x.commit[:0], `["`...), txn.CommitLSN, 10), `","`...)
	}
}

// nanos are those of a commit time; none is known of the zero time.
func nanos(t time.Time) (int64, bool) {
	if t.IsZero() {
		return 0, false
	}
	return t.UnixNano(), true
}

// sequence is the LSN of the commit and of the change, as JSON text.
func (x *txnBytes) sequence(b []byte, c *schemas.Change) []byte {
	if x.txn.CommitLSN == 0 && c.LSN == 0 {
		return append(b, 0)
	}
	b = append(b, 2, 0)
	at := len(b)
	b = strconv.AppendUint(append(b, x.commit...), c.LSN, 10)
	b = append(b, `"]`...)
	b[at-1] = byte(len(b)-at) << 1
	return b
}

// xid reads a transaction id that is a plain number.
func xid(s string) (int64, bool) {
	if s == "" || len(s) > 18 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	return number(s)
}

// binlogTxn writes server_id, gtid and file.
func binlogTxn(b []byte, x *schemas.Txn) []byte {
	b = appendLong(b, int64(x.ServerID))
	if gtid(x) {
		b = appendString(append(b, 2), x.ID)
	} else {
		b = append(b, 0)
	}
	return appendString(b, x.File)
}

// sourceBinlog writes pos, row, thread and query.
func sourceBinlog(b []byte, c *schemas.Change) []byte {
	b = appendLong(b, int64(c.Offset))
	b = appendLong(b, int64(c.RowNo))
	if c.Txn.Thread != 0 {
		b = appendLong(append(b, 2), int64(c.Txn.Thread))
	} else {
		b = append(b, 0)
	}
	return append(b, 0) // query
}

// snapshotID is the id of the transaction that reads a snapshot.
const snapshotID = "snapshot"

// gtid says that a transaction's id is a GTID, not a place in a file.
func gtid(x *schemas.Txn) bool {
	return x.ID != "" && x.ID != snapshotID && (x.File == "" || !strings.HasPrefix(x.ID, x.File))
}

// holdsID says that a reader finds the transaction's id in the source block.
func (p *program) holdsID(c *schemas.Change) bool {
	switch id := c.Txn.ID; {
	case id == "" || id == snapshotID:
		return (id == snapshotID) == (c.Op == schemas.Snapshot)
	case p.pg:
		_, ok := xid(id)
		return ok
	}
	return gtid(c.Txn)
}

// block writes the transaction block.
func (e *Encoder) block(b []byte, p *program, c *schemas.Change) []byte {
	if !e.opts.ProvideTransaction || c.Op == schemas.Snapshot {
		return append(b, 0)
	}
	b = appendString(append(b, 2), c.Txn.ID)
	b = appendLong(b, c.Ordinal+1)
	return appendLong(b, e.counts[p.layout])
}
