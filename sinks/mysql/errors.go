package mysql

import (
	"errors"
	"fmt"

	driver "github.com/go-sql-driver/mysql"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks/internal/apply"
)

func number(err error) uint16 {
	var me *driver.MySQLError
	if errors.As(err, &me) {
		return me.Number
	}
	return 0
}

// classify turns what the server answered to a write into what the engine acts
// on. What is no answer of the server stays as it is: the outcome is unknown.
func classify(err error, index int) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, driver.ErrPktTooLarge) {
		return apply.Refuse(index, "the row is larger than max_allowed_packet: raise it on the server")
	}
	n := number(err)
	switch {
	case n == 0 || stops(n):
		return err
	case n == 1205 || n == 1213 || n == 3572:
		return &apply.Retry{Err: err}
	}
	return &apply.Fault{
		Index:     index,
		Duplicate: n == 1062 || n == 1586 || n == 1169,
		Stale:     n == 1054 || n == 1146 || n == 1136,
		Reason:    reason(err, n),
	}
}

// stops are the errors that speak of the server, not of the statement: memory,
// disk, shutdown, read-only, killed, not ready. They stop the lane instead of
// refusing one intent after the other.
func stops(n uint16) bool {
	switch n {
	case 1021, 1028, 1030, 1037, 1038, 1040, 1041, 1047, 1053, 1114, 1129, 1152, 1180, 1181, 1184, 1196, 1197, 1290, 1317, 1792, 1836, 1927, 1969, 1977, 3024, 3032, 3100, 3101:
		return true
	}
	return false
}

func reason(err error, n uint16) string {
	s := err.Error()
	switch n {
	case 1142, 1143:
		s += "; grant the right to strait's user, then let it be tried again"
	}
	return s
}

// ofLinks says that an error concerns strait.link and so no row of the intent.
func ofLinks(err error) error {
	var f *apply.Fault
	if errors.As(err, &f) {
		f.Table = schemas.LinkTable
	}
	return err
}

// unlessRetry is for our own tables: whatever is wrong with them is no answer
// to an intent.
func unlessRetry(err error) error {
	var c *apply.Retry
	if errors.As(classify(err, -1), &c) {
		return c
	}
	return err
}

// advise adds what cures an error that stops the lane.
func advise(err error) error {
	switch number(err) {
	case 1290, 1836:
		return fmt.Errorf("%w: the server is read-only, a replica perhaps: give the address of the primary", err)
	case 1044, 1142:
		return fmt.Errorf("%w: let an administrator run: grant create, select, insert, update, delete on strait.* to <strait's user>", err)
	case 1205:
		return fmt.Errorf("%w: see who holds the lock with: select * from information_schema.innodb_trx", err)
	case 1021, 1114:
		return fmt.Errorf("%w: the server's disk or tablespace is full", err)
	}
	return err
}
