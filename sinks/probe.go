package sinks

import "github.com/strait-cdc/strait/schemas"

// Need is what a mapping may do to a table.
type Need struct {
	Table schemas.TableName
	// Columns may be updated, and set on an insert.
	Columns        []string
	Insert, Delete bool
}

// Problem is a Need that the database does not grant.
type Problem struct {
	// What was tried, the server's Reason, and the Cure: a statement for the
	// database's administrator.
	What, Reason, Cure string
}
