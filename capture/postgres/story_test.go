//go:build !noservers

package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/capture/capturetest"
	"github.com/strait-cdc/strait/schemas"
)

const patience = 60 * time.Second

// reader reads a source into a log that holds it against the contract.
type reader struct {
	*Source
	t   *testing.T
	db  *database
	cfg Config
	log capturetest.Log
	// fences counts the rows of the table fence.
	fences int
}

// read opens a source for the tables and reads the snapshot.
func (d *database) read(t *testing.T, tables ...string) *reader {
	t.Helper()
	d.exec(t, "create table fence (id int primary key)")
	r := &reader{t: t, db: d, cfg: d.config("", append(tables, "fence")...)}
	r.open()
	t.Cleanup(func() {
		if r.Source != nil {
			r.close()
		}
	})
	for r.log.Resume.IsZero() {
		r.next()
	}
	return r
}

func (r *reader) open() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if r.Source, err = Open(ctx, r.cfg, r.log.Resume); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) close() {
	if err := r.Source.Close(); err != nil {
		r.t.Error(err)
	}
	r.Source = nil
	r.log.Crash()
}

func (r *reader) next() *schemas.Batch {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := r.Read(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.log.Add(b); err != nil {
		r.t.Fatal(err)
	}
	return b
}

// fence reads up to now.
func (r *reader) fence() {
	r.t.Helper()
	r.fences++
	r.db.exec(r.t, fmt.Sprintf("insert into fence values (%d)", r.fences))
	for {
		if n := len(r.log.Changes); n > 0 {
			if c := &r.log.Changes[n-1]; c.Table.Name.Name == "fence" && c.After[0].Int() == int64(r.fences) {
				return
			}
		}
		r.next()
	}
}

// story is what was read of tables other than the fence, one line a change.
func (r *reader) story() []string {
	var out []string
	for i := range r.log.Changes {
		if c := &r.log.Changes[i]; c.Table.Name.Name != "fence" {
			out = append(out, line(c))
		}
	}
	return out
}

// line shows a change: op, table, key columns, before, after.
func line(c *schemas.Change) string {
	s := string(c.Op) + " " + c.Table.Name.Name + "("
	for i, k := range c.Table.Key {
		if i > 0 {
			s += ","
		}
		s += c.Table.Columns[k].Name
	}
	return s + ")" + side(" before", c.Table, c.Before) + side(" after", c.Table, c.After)
}

func side(title string, t *schemas.Table, row schemas.Row) string {
	if row == nil {
		return ""
	}
	for i, v := range row {
		text := v.String()
		if v.IsUnchanged() {
			text = "~"
		} else if len(text) > 20 {
			text = fmt.Sprintf("%s…%d", text[:3], len(text))
		}
		title += " " + t.Columns[i].Name + "=" + text
	}
	return title
}

func wantStory(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
