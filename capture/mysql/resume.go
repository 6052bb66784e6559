package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/strait-cdc/strait/schemas"
)

// verify sees that a position can be trusted: that the server is the one it came
// from, still has the log from there on, and had reached the same transactions
// at that place. File names repeat after a restore or RESET MASTER; GTIDs do not.
func verify(ctx context.Context, db *sql.DB, s *server, from schemas.Position) (native, error) {
	n, err := parseNative(from.Native)
	if err != nil {
		return n, lost("position %q: %v", from.Native, err)
	}
	if n.at.end() != from.End {
		return n, lost("position %q does not belong to the number %d", from.Native, from.End)
	}
	source, err := s.source(ctx, db, false)
	if err != nil {
		return n, err
	}
	if source != from.Source {
		return n, lost("the position comes from the server %s, this one is %s", from.Source, source)
	}
	files, err := binlogFiles(ctx, db)
	if err != nil {
		return n, err
	}
	for _, p := range []place{n.startsAt(), n.at} {
		if err := inFiles(files, p); err != nil {
			return n, err
		}
	}
	if s.mariadb {
		return n, verifyMariadb(ctx, db, n)
	}
	return n, verifyMySQL(ctx, db, n)
}

func inFiles(files []binlogFile, p place) error {
	for _, f := range files {
		if f.name != p.file {
			continue
		}
		if f.size < p.offset {
			return lost("the binlog file %s has %d bytes, the position is at %d: the server lost the end of its log", f.name, f.size, p.offset)
		}
		return nil
	}
	if len(files) == 0 {
		return lost("the server has no binlog files")
	}
	return lost("the binlog file %s is gone; the server has %s to %s: keep them longer (binlog_expire_logs_seconds)", p.file, files[0].name, files[len(files)-1].name)
}

func verifyMariadb(ctx context.Context, db *sql.DB, n native) error {
	var got sql.NullString
	if err := db.QueryRowContext(ctx, "select binlog_gtid_pos(?, ?)", n.at.file, n.at.offset).Scan(&got); err != nil {
		return lost("the server cannot read its log at %s: %v", n.at, err)
	}
	if !got.Valid {
		return lost("the server finds nothing in its log at %s", n.at)
	}
	have, err := parseMariadbSet(got.String)
	if err != nil {
		return err
	}
	want, err := parseMariadbSet(n.gtid)
	if err != nil {
		return lost("%v", err)
	}
	if have.String() != want.String() {
		return lost("at %s the log of the server has reached gtid %s, the position says %s: it is another log", n.at, have, want)
	}
	return nil
}

// verifyMySQL compares the sets of transactions, and looks at the event behind the
// position: after RESET the same server counts from 1 again, so that its new
// transactions have the names of the old ones.
func verifyMySQL(ctx context.Context, db *sql.DB, n native) error {
	next, err := gtidAt(ctx, db, n.at)
	if err != nil || n.gtid == "" {
		return err
	}
	if next != "" {
		var known bool
		if err := db.QueryRowContext(ctx, "select gtid_subset(?, ?)", next, n.gtid).Scan(&known); err != nil {
			return fmt.Errorf("compare gtid sets: %w", err)
		}
		if known {
			return lost("behind %s the log has the transaction %s, which the position contains: the server's log was reset", n.at, next)
		}
	}
	var executed bool
	var missing, purged string
	err = db.QueryRowContext(ctx, "select gtid_subset(?, @@global.gtid_executed), gtid_subtract(?, @@global.gtid_executed), gtid_subtract(@@global.gtid_purged, ?)",
		n.gtid, n.gtid, n.gtid).Scan(&executed, &missing, &purged)
	if err != nil {
		return fmt.Errorf("compare gtid sets: %w", err)
	}
	if !executed {
		return lost("the server has never executed the transactions %s, which the position contains: it is another log", oneLine(missing))
	}
	if purged != "" {
		return lost("the server has purged the transactions %s, which the position does not contain", oneLine(purged))
	}
	return nil
}

// gtidAt is the transaction that begins at a place, "" at the end of the log and
// where there are no GTIDs. It fails with ErrPositionLost where no event begins.
func gtidAt(ctx context.Context, db *sql.DB, at place) (string, error) {
	rows, err := db.QueryContext(ctx, fmt.Sprintf("show binlog events in '%s' from %d limit 1", strings.ReplaceAll(at.file, "'", "''"), at.offset))
	name := ""
	if err == nil {
		err = eachRow(rows, func(v map[string]string) error {
			if strings.HasPrefix(v["event_type"], "Gtid") {
				name = strings.Trim(after(v["info"], "="), " '")
			}
			return nil
		})
	}
	if isError(err, errSpecificDenied) {
		return "", fmt.Errorf("look into the binlog: %w; grant replication slave on *.* to the user of the capture", err)
	}
	if isError(err, errCommandFailed) {
		return "", lost("no transaction begins at %s: %v", at, err)
	}
	if err != nil {
		return "", fmt.Errorf("look into the binlog: %w", err)
	}
	return name, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), "") }
