package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// Status is what the server says of the slot, for metrics and alarms.
type Status struct {
	// Exists is false if there is no slot of that name; the rest is zero then.
	Exists bool
	// Usable says that it is a logical slot of this database with our plugin.
	Usable bool
	// Active says that a connection reads it.
	Active bool
	// WALStatus is reserved, extended, unreserved (in danger) or lost.
	WALStatus string
	// Invalidation is the server's reason for a lost slot; 16 and later.
	Invalidation string
	// Retained is how many bytes of the log the server keeps for the slot, Safe how
	// many more it will; Safe is -1 without a limit (max_slot_wal_keep_size).
	Retained, Safe int64
	// Restart is where decoding would start, Confirmed what was acknowledged: LSNs.
	Restart, Confirmed uint64
}

// Reason is why the slot is lost, with the setting that did it.
func (s Status) Reason() string {
	switch s.Invalidation {
	case "":
		return "more log was needed than max_slot_wal_keep_size keeps"
	case "wal_removed":
		return "wal_removed: more log was needed than max_slot_wal_keep_size keeps"
	case "idle_timeout":
		return "idle_timeout: nobody read it for idle_replication_slot_timeout"
	}
	return s.Invalidation
}

// Status asks the server about the source's slot, over a connection of its own.
func (s *Source) Status(ctx context.Context) (Status, error) { return ReadStatus(ctx, s.cfg) }

// ReadStatus asks the server about the slot of the configuration.
func ReadStatus(ctx context.Context, cfg Config) (Status, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Status{}, err
	}
	conn, err := cfg.connectSQL(ctx)
	if err != nil {
		return Status{}, err
	}
	defer closeSQL(conn)
	return cfg.status(ctx, conn)
}

func (c Config) status(ctx context.Context, conn *pgx.Conn) (Status, error) {
	st := Status{Exists: true}
	var restart, confirmed string
	// Columns that newer versions have are read through JSON.
	err := conn.QueryRow(ctx, `select slot_type = 'logical' and plugin = 'pgoutput' and database = current_database() and not temporary,
active, coalesce(wal_status, 'lost'), coalesce(to_jsonb(s) ->> 'invalidation_reason', case when (to_jsonb(s) ->> 'conflicting')::bool then 'conflict' end, ''),
coalesce(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn), 0)::bigint,
coalesce(safe_wal_size, -1), coalesce(restart_lsn, '0/0')::text, coalesce(confirmed_flush_lsn, '0/0')::text
from pg_replication_slots s where slot_name = $1`, c.Slot).Scan(&st.Usable, &st.Active, &st.WALStatus, &st.Invalidation,
		&st.Retained, &st.Safe, &restart, &confirmed)
	if errors.Is(err, pgx.ErrNoRows) {
		return Status{}, nil
	}
	if err != nil {
		return st, fmt.Errorf("read slot %s: %w", c.Slot, err)
	}
	for text, lsn := range map[string]*uint64{restart: &st.Restart, confirmed: &st.Confirmed} {
		v, err := pglogrepl.ParseLSN(text)
		if err != nil {
			return st, fmt.Errorf("read slot %s: %w", c.Slot, err)
		}
		*lsn = uint64(v)
	}
	if st.Invalidation != "" {
		st.WALStatus = "lost"
	}
	return st, nil
}

// Drop removes slot and publication, so that the server keeps nothing for us any
// more. What is not there is no error.
func Drop(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	conn, err := cfg.connectSQL(ctx)
	if err != nil {
		return err
	}
	defer closeSQL(conn)
	if err := cfg.dropSlot(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "drop publication if exists "+quote(cfg.Publication)); err != nil {
		return fmt.Errorf("drop publication %s: %w", cfg.Publication, err)
	}
	return nil
}
