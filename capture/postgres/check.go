package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// Finding is something that stands in the way of capture, or soon may.
type Finding struct {
	// What names the setting, the role or the table.
	What string
	// Why says what is wrong with it, Cure what to do about it.
	Why, Cure string
	// Warning is true where capture works nevertheless.
	Warning bool
}

// Check looks at settings, role and tables without changing anything. The error
// is that of a connection that cannot be made or used.
func Check(ctx context.Context, cfg Config) ([]Finding, error) {
	tables := cfg.Tables
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	conn, err := cfg.connectSQL(ctx)
	if err != nil {
		return nil, err
	}
	defer closeSQL(conn)
	c, err := newCatalog(ctx, conn)
	if err != nil {
		return nil, err
	}
	out, err := c.checkServer(ctx, cfg)
	if err != nil {
		return nil, err
	}
	found, err := c.findings(ctx, tables)
	return append(out, found...), err
}

func (c *catalog) checkServer(ctx context.Context, cfg Config) ([]Finding, error) {
	var level, keep, user string
	var slots, slotsUsed, senders, sendersUsed int
	var replication, haveControl, mayCreate bool
	err := c.conn.QueryRow(ctx, `select current_setting('wal_level'), current_setting('max_slot_wal_keep_size'), current_user::text,
current_setting('max_replication_slots')::int, (select count(*) from pg_replication_slots)::int,
current_setting('max_wal_senders')::int, (select count(*) from pg_stat_replication)::int,
(select rolreplication or rolsuper from pg_roles where rolname = current_user)
	or exists (select from pg_roles where rolname = 'rds_replication' and pg_has_role(current_user, oid, 'member')),
to_regclass('strait.progress') is not null and to_regclass('strait.link') is not null,
has_database_privilege(current_database(), 'create')`).Scan(&level, &keep, &user, &slots, &slotsUsed, &senders, &sendersUsed, &replication, &haveControl, &mayCreate)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	st, err := cfg.status(ctx, c.conn)
	if err != nil {
		return nil, err
	}
	var out []Finding
	add := func(bad bool, f Finding) {
		if bad {
			out = append(out, f)
		}
	}
	add(level != "logical", Finding{What: "wal_level", Why: "it is " + level + ", so the log does not tell rows", Cure: "run: alter system set wal_level = 'logical', and restart the server"})
	add(!st.Exists && slotsUsed >= slots, Finding{What: "max_replication_slots", Why: fmt.Sprintf("all %d slots are taken", slots), Cure: "drop a slot that is not used (select slot_name from pg_replication_slots where not active), or raise max_replication_slots and restart the server"})
	add(!st.Active && sendersUsed >= senders, Finding{What: "max_wal_senders", Why: fmt.Sprintf("all %d are in use", senders), Cure: "raise max_wal_senders and restart the server"})
	add(!replication, Finding{What: "role " + user, Why: "it may not read the log", Cure: "run: alter role " + quote(user) + " replication"})
	add(!haveControl && !mayCreate, Finding{What: "schema strait", Why: "its tables are missing and the role may not make them", Cure: "let an owner of the database run: " + strings.Join(schemas.PostgresControlTables, "; ")})
	add(keep == "-1", Finding{What: "max_slot_wal_keep_size", Why: "without a limit a slot that is not read fills the disk", Cure: "run: alter system set max_slot_wal_keep_size = '50GB', and select pg_reload_conf()", Warning: true})
	add(st.WALStatus == "unreserved", Finding{What: "slot " + cfg.Slot, Why: "the server will soon remove log that is still needed", Cure: "start capture, or raise max_slot_wal_keep_size", Warning: true})
	add(st.WALStatus == "lost", Finding{What: "slot " + cfg.Slot, Why: "it was invalidated: " + st.Reason(), Cure: "take a new snapshot with: strait run --snapshot <system>"})
	return out, nil
}

// findings says what keeps tables from being read.
func (c *catalog) findings(ctx context.Context, names []schemas.TableName) ([]Finding, error) {
	if len(names) == 0 {
		return nil, nil
	}
	infos, err := c.named(ctx, names)
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, name := range names {
		i := slices.IndexFunc(infos, func(t *tableInfo) bool { return t.name == name })
		if i < 0 {
			out = append(out, Finding{What: name.String(), Why: "there is no such table", Cure: "correct the list of tables (names are case sensitive) or create it"})
			continue
		}
		found, err := c.tableFindings(ctx, infos[i])
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	twice, err := c.readTwice(ctx, infos)
	return append(out, twice...), err
}

func (c *catalog) tableFindings(ctx context.Context, t *tableInfo) ([]Finding, error) {
	what := t.name.String()
	switch {
	case t.kind != 'r' && t.kind != 'p':
		return []Finding{{What: what, Why: "it is not a table, so its rows are not in the log", Cure: "name the tables behind it"}}, nil
	case t.persistence != 'p':
		return []Finding{{What: what, Why: "it is unlogged or temporary, so its rows are not in the log", Cure: "run: alter table " + quoteTable(t.name) + " set logged"}}, nil
	}
	var out []Finding
	if f := identityFinding(t); f != nil {
		out = append(out, *f)
	}
	r := t.relation()
	var oids []uint32
	for _, col := range r.cols {
		oids = append(oids, col.oid)
	}
	if err := c.load(ctx, oids); err != nil {
		return nil, err
	}
	for _, col := range r.cols {
		if _, err := c.resolve(col.oid, col.mod); err != nil {
			out = append(out, Finding{What: what + ", column " + col.name, Why: err.Error(), Cure: cureType})
		}
	}
	return out, nil
}

// cureType is what to do about a type that is not supported.
const cureType = "remove the table from the list of tables, or move the column into another table; a column cannot be left out by itself"

// identityFinding says whether updates and deletes tell which row they are of.
func identityFinding(t *tableInfo) *Finding {
	for _, name := range t.primary {
		if c := t.column(name); c != nil && c.generated {
			return &Finding{What: t.name.String(), Why: "its primary key has the generated column " + name + ", which is not in the log", Cure: "give it a key of ordinary columns"}
		}
	}
	cure := "add a primary key, or run: alter table " + quoteTable(t.name) + " replica identity full"
	switch {
	case t.ident == 'n':
		return &Finding{What: t.name.String(), Why: "its replica identity is nothing, so updates and deletes do not tell the row", Cure: "run: alter table " + quoteTable(t.name) + " replica identity default (or full, without a primary key)"}
	case t.ident == 'd' && t.primary == nil:
		return &Finding{What: t.name.String(), Why: "it has no primary key, so updates and deletes do not tell the row", Cure: cure}
	case t.ident == 'i' && t.identity == nil:
		return &Finding{What: t.name.String(), Why: "the index of its replica identity is gone", Cure: cure}
	}
	return nil
}

// readTwice finds partitions in the list beside the table they belong to: their
// rows are in the log, and in its snapshot, as rows of that table.
func (c *catalog) readTwice(ctx context.Context, infos []*tableInfo) ([]Finding, error) {
	var out []Finding
	for _, t := range infos {
		if !t.partition {
			continue
		}
		rows, err := c.conn.Query(ctx, "select relid::oid from pg_partition_ancestors($1::oid::regclass) p (relid)", t.oid)
		if err != nil {
			return nil, fmt.Errorf("read catalog: partitions: %w", err)
		}
		var ancestor uint32
		for rows.Next() {
			if err := rows.Scan(&ancestor); err != nil {
				return nil, err
			}
			i := slices.IndexFunc(infos, func(o *tableInfo) bool { return o.oid == ancestor && o != t })
			if i >= 0 {
				out = append(out, Finding{What: t.name.String(), Why: "it is a partition of " + infos[i].name.String() + ", which is in the list too", Cure: "remove the partition from the list of tables"})
			}
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("read catalog: partitions: %w", err)
		}
	}
	return out, nil
}
