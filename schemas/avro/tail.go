package avro

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// JSON shows a record to a person, on one line: topic, operation, key, rows,
// where it comes from, and our headers. Decimals and big numbers are texts, dates
// and times ISO 8601, bytes 0x….
func (d *Decoder) JSON(r *schemas.Record) ([]byte, error) {
	var c schemas.Change
	ok, err := d.Decode(r, &c)
	if err != nil {
		return nil, err
	}
	w := &jsonWriter{}
	w.WriteByte('{')
	w.member("topic", r.Topic)
	if !ok {
		w.member("tombstone", r.Value == nil)
		return w.end(d, r)
	}
	w.member("op", c.Op.String())
	if len(c.Table.Key) > 0 {
		row := c.After
		if row == nil {
			row = c.Before
		}
		if row != nil {
			w.name("key")
			w.row(c.Table, row, c.Table.Key)
		}
	}
	w.optionalRow(sideBefore, c.Table, c.Before)
	w.optionalRow(sideAfter, c.Table, c.After)
	w.origin(&c)
	return w.end(nil, r)
}

// jsonWriter writes an object member by member.
type jsonWriter struct {
	bytes.Buffer
	inside bool
}

func (w *jsonWriter) name(n string) {
	if w.inside {
		w.WriteByte(',')
	}
	w.inside = true
	w.Write(jsonText(n))
	w.WriteByte(':')
}

func (w *jsonWriter) member(n string, v any) {
	w.name(n)
	switch x := v.(type) {
	case string:
		w.Write(jsonText(x))
	case bool:
		w.WriteString(strconv.FormatBool(x))
	case uint64:
		w.WriteString(strconv.FormatUint(x, 10))
	}
}

func jsonText(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil { // a string always encodes
		return []byte(`""`)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// end closes the object; of a tombstone it shows the key first.
func (w *jsonWriter) end(d *Decoder, r *schemas.Record) ([]byte, error) {
	if d != nil && r.Key != nil {
		if err := w.tombstoneKey(d, r.Key); err != nil {
			return nil, err
		}
	}
	w.WriteByte('}')
	return w.Bytes(), nil
}

func (w *jsonWriter) tombstoneKey(d *Decoder, key []byte) error {
	id, err := schemaID(key)
	if err != nil {
		return err
	}
	p, err := d.plan(planID{key: id})
	if err != nil {
		return err
	}
	values, err := p.readKey(string(key[5:]))
	if err != nil {
		return err
	}
	w.name("key")
	w.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			w.WriteByte(',')
		}
		w.Write(jsonText(p.keyNames[i]))
		w.WriteByte(':')
		w.value(&p.keys[i].typ, v)
	}
	w.WriteByte('}')
	return nil
}

func (w *jsonWriter) optionalRow(name string, t *schemas.Table, row schemas.Row) {
	if row == nil {
		return
	}
	w.name(name)
	w.row(t, row, nil)
}

// row writes all columns of a row, or those of an index.
func (w *jsonWriter) row(t *schemas.Table, row schemas.Row, only []int) {
	if only == nil {
		only = make([]int, len(row))
		for i := range only {
			only[i] = i
		}
	}
	w.WriteByte('{')
	for n, i := range only {
		if n > 0 {
			w.WriteByte(',')
		}
		w.Write(jsonText(t.Columns[i].Name))
		w.WriteByte(':')
		w.value(&t.Columns[i].Type, row[i])
	}
	w.WriteByte('}')
}

func (w *jsonWriter) value(t *schemas.Type, v schemas.Value) {
	switch v.Storage() {
	case schemas.StoreNull:
		w.WriteString("null")
	case schemas.StoreInt:
		w.integer(t, v)
	case schemas.StoreFloat:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			w.Write(jsonText(pgFloat(f, 64)))
			return
		}
		w.WriteString(v.String())
	case schemas.StoreBytes:
		if t.Kind == schemas.KindBits {
			w.Write(jsonText(bitsText(v.Text(), t.Length)))
			return
		}
		w.Write(jsonText(v.String()))
	default:
		w.Write(jsonText(v.String()))
	}
}

func (w *jsonWriter) integer(t *schemas.Type, v schemas.Value) {
	i := v.Int()
	switch t.Kind {
	case schemas.KindBool:
		w.WriteString(strconv.FormatBool(v.Bool()))
		return
	case schemas.KindDate, schemas.KindTimestamp, schemas.KindTimestampTZ, schemas.KindTime:
		w.Write(jsonText(isoText(t, i)))
		return
	}
	w.WriteString(strconv.FormatInt(i, 10))
}

// isoText is a date or time in ISO 8601.
func isoText(t *schemas.Type, i int64) string {
	if t.Kind != schemas.KindTime {
		switch i {
		case schemas.InfinityPlus:
			return plusText
		case schemas.InfinityMinus:
			return minusText
		}
	}
	switch t.Kind {
	case schemas.KindDate:
		return string(appendDate(nil, i))
	case schemas.KindTimestampTZ:
		return string(appendZoned(nil, i, 0))
	case schemas.KindTime:
		if i < 0 {
			return "-" + string(appendClock(nil, -i, 0))
		}
		return string(appendClock(nil, i, 0))
	}
	s := string(appendZoned(nil, i, 0))
	return s[:len(s)-1]
}

// origin writes where the change comes from.
func (w *jsonWriter) origin(c *schemas.Change) {
	if c.Txn.ID != "" {
		w.member("txn", c.Txn.ID)
	}
	if !c.Txn.Time.IsZero() {
		w.member("time", c.Txn.Time.UTC().Format(time.RFC3339Nano))
	}
	switch {
	case c.LSN != 0:
		w.member("lsn", fmt.Sprintf("%X/%X", c.LSN>>32, uint32(c.LSN)))
	case c.Txn.File != "":
		w.member("pos", c.Txn.File+":"+strconv.FormatUint(c.Offset, 10))
	}
	if c.SnapshotMark != "" {
		w.member("snapshot", c.SnapshotMark)
	}
	if c.Seq != 0 {
		w.member("seq", c.Seq)
	}
	if !c.Txn.Origin.IsZero() {
		w.member("origin", c.Txn.Origin.String())
	}
}
