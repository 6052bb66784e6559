package postgres

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// Config says what to read.
type Config struct {
	// URL is postgres://user:password@host:port/database. The role needs the
	// attribute REPLICATION and SELECT on the tables; to make the publication it has
	// to own them, and to make the schema strait it needs CREATE on the database.
	URL string
	// System is the name of the database in Strait.
	System string
	// Slot and Publication default to strait_<system>.
	Slot, Publication string
	// Tables is the list of tables to read; strait.progress and strait.link are
	// always read as well.
	Tables []schemas.TableName
	// SnapshotRows is the number of rows in a batch of the snapshot; default 5000.
	SnapshotRows int
	// Heartbeat is how often an empty batch carries the position on while none of
	// the tables change but the server writes its log; default 10 s.
	Heartbeat time.Duration
	// Log takes what an operator may want to know; default slog.Default().
	Log *slog.Logger

	// silence is how long the server may say nothing before its connection is taken
	// for dead; set by tests.
	silence time.Duration
	// busyWait is how long the slot may still belong to a connection that has ended;
	// set by tests.
	busyWait time.Duration
}

// Bounds of a batch from the log.
const (
	maxChanges = 5000
	maxBytes   = 4 << 20
)

var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// withDefaults fills in what is not set, and refuses what cannot work.
func (c Config) withDefaults() (Config, error) {
	name := "strait_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(c.System))
	if c.Slot == "" {
		c.Slot = name
	}
	if c.Publication == "" {
		c.Publication = name
	}
	if c.SnapshotRows <= 0 {
		c.SnapshotRows = 5000
	}
	if c.Heartbeat <= 0 {
		c.Heartbeat = 10 * time.Second
	}
	if c.silence <= 0 {
		c.silence = 60 * time.Second
	}
	if c.busyWait <= 0 {
		c.busyWait = 15 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Log = c.Log.With("system", c.System, "slot", c.Slot)
	c.Tables = withControl(c.Tables)
	if !slotName.MatchString(c.Slot) {
		return c, fmt.Errorf("slot %q: %w: a slot's name has at most 63 lower case letters, digits and underscores; set slot", c.Slot, capture.ErrUnsupported)
	}
	if len(c.Publication) > 63 {
		return c, fmt.Errorf("publication %q: %w: a name has at most 63 bytes; set publication", c.Publication, capture.ErrUnsupported)
	}
	return c, nil
}

// withControl adds the control tables and leaves out what is named twice.
func withControl(tables []schemas.TableName) []schemas.TableName {
	var out []schemas.TableName
	for _, t := range append(slices.Clone(tables), schemas.ProgressTable, schemas.LinkTable) {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}
