package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	capturemysql "github.com/strait-cdc/strait/capture/mysql"
	capturepg "github.com/strait-cdc/strait/capture/postgres"
	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/avro"
	"github.com/strait-cdc/strait/schemas/registry"
)

// replay is the topics of one system read from their beginning, as any consumer
// with read_committed would.
type replay struct {
	side *side
	dec  *avro.Decoder
	// seqs counts each strait.seq, over all topics of the system.
	seqs map[uint64]int
	// changes are those of the topic that is being read.
	changes         []schemas.Change
	records, topics int
}

// checkTopics replays the topics of both systems: no strait.seq is there twice or
// missing, no change comes before the state it changes, and the last change of each
// row is the row as it is in the database.
func (d *demo) checkTopics(ctx context.Context) error {
	info, err := d.strait.info()
	if err != nil {
		return err
	}
	reg, err := registry.NewClient(info.Registry, registry.ClientOptions{})
	if err != nil {
		return err
	}
	cfg := stream.Config{Brokers: info.Brokers, Log: slog.New(slog.DiscardHandler)}
	topics, err := stream.Topics(ctx, cfg)
	if err != nil {
		return err
	}
	for _, s := range []*side{d.crmSide, d.erpSide} {
		r := &replay{side: s, dec: avro.NewDecoder(reg), seqs: map[uint64]int{}}
		for _, t := range topics {
			if !strings.HasPrefix(t.Name, s.name+".") || t.Name == schemas.CommitsTopic(s.name) {
				continue
			}
			wrong, err := r.topic(ctx, cfg, t.Name)
			if err != nil {
				return fmt.Errorf("topic %s: %w", t.Name, err)
			}
			d.failures = append(d.failures, wrong...)
		}
		d.failures = append(d.failures, r.sequence()...)
		d.view.say("  %s: %d records in %d topics replayed, read_committed, and compared with the tables", s.name, r.records, r.topics)
	}
	return nil
}

// topic reads one topic and compares it with its table.
func (r *replay) topic(ctx context.Context, cfg stream.Config, topic string) (wrong []string, err error) {
	r.topics++
	r.changes = r.changes[:0]
	err = stream.ReadTopic(ctx, cfg, topic, func(_ int, offset int64, rec *schemas.Record) error {
		r.records++
		var c schemas.Change
		isChange, err := r.dec.Decode(rec, &c)
		if err != nil {
			return fmt.Errorf("offset %d: %w", offset, err)
		}
		r.seqs[seqOf(rec)]++
		if isChange && (c.Before != nil || c.After != nil) {
			r.changes = append(r.changes, c)
		}
		return nil
	})
	if err != nil || len(r.changes) == 0 {
		return nil, err
	}
	slices.SortStableFunc(r.changes, func(a, b schemas.Change) int { return int(int64(a.Seq) - int64(b.Seq)) })
	held, wrong := r.fold(topic)
	rows, err := r.rows(ctx, r.changes[0].Table.Name)
	return append(wrong, compareRows(topic, held, rows)...), err
}

func seqOf(rec *schemas.Record) uint64 {
	for _, h := range rec.Headers {
		if h.Key == schemas.HeaderSeq && len(h.Value) == 8 {
			var n uint64
			for _, b := range h.Value {
				n = n<<8 | uint64(b)
			}
			return n
		}
	}
	return 0
}

// heldRow is a row as its changes left it: the values by column.
type heldRow map[string]schemas.Value

func named(t *schemas.Table, r schemas.Row, under heldRow) heldRow {
	out := heldRow{}
	for i := range t.Columns {
		v := r[i]
		if v.IsUnchanged() {
			v = under[t.Columns[i].Name]
		}
		out[t.Columns[i].Name] = v
	}
	return out
}

// fold applies the changes in order. A change that is there twice, or missing, is
// seen where the log says what was there before.
func (r *replay) fold(topic string) (map[string]heldRow, []string) {
	held, wrong := map[string]heldRow{}, []string{}
	for i := range r.changes {
		c := &r.changes[i]
		row := c.After
		if row == nil {
			row = c.Before
		}
		key := schemas.FormatKey(c.Table.KeyOf(row))
		if what := impossible(c, held[key]); what != "" {
			wrong = append(wrong, fmt.Sprintf("%s: seq %d, %s of %s: %s", topic, c.Seq, c.Op, key, what))
		}
		if c.After == nil {
			delete(held, key)
		} else {
			held[key] = named(c.Table, c.After, held[key])
		}
	}
	return held, wrong
}

// impossible says why a change cannot follow what is held; empty if it can.
func impossible(c *schemas.Change, was heldRow) string {
	switch {
	case c.Op == schemas.Snapshot:
		return ""
	case c.Op == schemas.Insert && was != nil:
		return "the row was there already"
	case c.Op != schemas.Insert && was == nil:
		return "the row was not there"
	case c.Op != schemas.Update || c.Before == nil:
		return ""
	}
	for name, v := range named(c.Table, c.Before, was) {
		if v != was[name] {
			return fmt.Sprintf("%s was %s before it, not %s", name, was[name], v)
		}
	}
	return ""
}

// rows reads a table as the capture would.
func (r *replay) rows(ctx context.Context, name schemas.TableName) (map[string]heldRow, error) {
	out := map[string]heldRow{}
	each := func(t *schemas.Table, row schemas.Row) error {
		out[schemas.FormatKey(t.KeyOf(row))] = named(t, row, nil)
		return nil
	}
	url, names := r.side.database.URL(), []schemas.TableName{name}
	catalog, read := capturemysql.Catalog, capturemysql.ReadTables
	if r.side.server.Kind == "postgres" {
		catalog, read = capturepg.Catalog, capturepg.ReadTables
	}
	tables, err := catalog(ctx, url, names)
	if err != nil {
		return nil, err
	}
	return out, read(ctx, url, tables, each)
}

func compareRows(topic string, held, rows map[string]heldRow) (wrong []string) {
	for key, row := range rows {
		h, ok := held[key]
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s: the row %s is not in the topic", topic, key))
		}
		for name, v := range row {
			if ok && h[name] != v {
				wrong = append(wrong, fmt.Sprintf("%s: %s of %s is %s in the topic and %s in the table", topic, name, key, h[name], v))
			}
		}
	}
	for key := range held {
		if _, ok := rows[key]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s: the row %s is in the topic but not in the table", topic, key))
		}
	}
	return wrong[:min(len(wrong), 10)]
}

// sequence says what is wrong with the numbers of the records.
func (r *replay) sequence() (wrong []string) {
	var highest uint64
	for seq, n := range r.seqs {
		if n > 1 {
			wrong = append(wrong, fmt.Sprintf("%s: strait.seq %d is there %d times", r.side.name, seq, n))
		}
		highest = max(highest, seq)
	}
	if uint64(len(r.seqs)) != highest {
		wrong = append(wrong, fmt.Sprintf("%s: the highest strait.seq is %d, but there are %d", r.side.name, highest, len(r.seqs)))
	}
	return wrong[:min(len(wrong), 10)]
}
