package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks/internal/apply"
)

func sqlState(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// classify turns what the server answered to a write into what the engine acts
// on. Classes are those of the manual's appendix "PostgreSQL Error Codes".
func classify(err error, index int) error {
	var pe *pgconn.PgError
	if err == nil || !errors.As(err, &pe) || pe.SeverityUnlocalized == "FATAL" || pe.SeverityUnlocalized == "PANIC" {
		return err
	}
	switch {
	case pe.Code == "40001", pe.Code == "40P01", pe.Code == "55P03":
		return &apply.Retry{Err: err}
	case refusable(pe.Code):
		return &apply.Fault{
			Index:     index,
			Table:     schemas.TableName{Schema: pe.SchemaName, Name: pe.TableName},
			Duplicate: pe.Code == "23505",
			Stale:     stale(pe),
			Reason:    reason(pe),
		}
	}
	return err
}

// refusable lists the classes that speak of the statement and its values: data,
// constraint, syntax or access rule, raised by a trigger, and the like. What is
// not here (no resources, read-only server, internal error) stops the lane
// instead of refusing one intent after the other.
func refusable(code string) bool {
	switch code[:2] {
	case "09", "0A", "20", "21", "22", "23", "26", "27", "2F", "38", "39", "42", "44", "54", "P0", "XX":
		return code != "XX001" && code != "XX002"
	case "25":
		return false
	}
	return code == "55000" || code == "55006"
}

// stale are the answers of a server whose table is not what the catalog said.
func stale(pe *pgconn.PgError) bool {
	switch pe.Code {
	case "42703", "42P01", "42804", "42704", "42846":
		return true
	}
	return pe.Code == "0A000" && strings.Contains(pe.Message, "cached plan")
}

func reason(pe *pgconn.PgError) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)", pe.Message, pe.Code)
	for _, part := range []struct{ name, value string }{
		{"table", join(pe.SchemaName, pe.TableName)}, {"column", pe.ColumnName}, {"constraint", pe.ConstraintName}, {"detail", pe.Detail}, {"hint", pe.Hint},
	} {
		if part.value != "" {
			fmt.Fprintf(&b, "; %s: %s", part.name, part.value)
		}
	}
	if pe.Code == "42501" {
		b.WriteString("; grant the right to strait's user, then let it be tried again")
	}
	return b.String()
}

func join(schema, table string) string {
	if table == "" {
		return ""
	}
	return schema + "." + table
}

// advise adds what cures an error that stops the lane.
func advise(err error) error {
	switch sqlState(err) {
	case "25006":
		return fmt.Errorf("%w: the server is read-only, a standby perhaps: give the address of the primary", err)
	case "42501":
		return fmt.Errorf("%w: let an administrator run: create schema strait authorization <strait's user>", err)
	case "55P03":
		return fmt.Errorf("%w: see who holds the lock with: select * from pg_stat_activity where wait_event_type = 'Lock'", err)
	case "57014":
		return fmt.Errorf("%w: a statement ran for longer than %s; an index on the key or match columns may be missing", err, statementTimeout)
	case "53100":
		return fmt.Errorf("%w: the server's disk is full", err)
	}
	return err
}
