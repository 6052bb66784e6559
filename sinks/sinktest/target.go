package sinktest

import (
	"testing"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/sinks"
)

// Target is a database with the tables of the suite, as its users see it.
type Target interface {
	// Reset empties the tables of the suite, making them if need be.
	Reset(t testing.TB)
	// Open opens a sink. arm breaks the connection at the next commit: NotDone before
	// the server has seen it, Done after it has answered.
	Open(t testing.TB, pipeline string, lane int) (s sinks.Sink, arm func(Fault))
	// Name is the full name of a table of the suite.
	Name(table string) schemas.TableName
	// Insert, Set and Delete are writes of a user, each its own transaction. The row
	// is found by the first column of the table.
	Insert(t testing.TB, table string, row map[string]schemas.Value)
	Set(t testing.TB, table string, key schemas.Value, column string, v schemas.Value)
	Delete(t testing.TB, table string, key schemas.Value)
	// Read gives a table by its first column: all values as text, NULL as "NULL".
	Read(t testing.TB, table string) map[string]map[string]string
}

// Locker is a Target whose users can hold locks.
type Locker interface {
	Target
	// Lock begins a transaction of a user that sets a column; end commits it.
	Lock(t testing.TB, table string, key schemas.Value, column string, v schemas.Value) (end func())
	// Waiting tells whether a sink is waiting for a lock at this moment.
	Waiting(t testing.TB) bool
}

// The tables of the suite. All names are used as they are written.
const (
	// customer: id (generated), name varchar(20) not null, email varchar(60) unique,
	// credit decimal(10,2), note text, stamp int not null default 0. A trigger
	// counts the changes of name in stamp.
	customer = "customer"
	// contact: id (generated), customer_id int not null references customer, phone varchar(20).
	contact = "contact"
	// odd has the names that quoting must survive, and a key that its owner makes.
	odd = "Odd-Table x"
)

// The columns of odd; oddKey is varchar(40), the others are text.
const (
	oddKey    = "Key Column"
	oddSelect = "select"
	oddDash   = "mixed-Case \"q' `b"
)

func tables(name func(string) schemas.TableName) []*schemas.Table {
	text := func(n int) schemas.Type { return schemas.Type{Kind: schemas.KindText, Length: n} }
	integer := schemas.Type{Kind: schemas.KindInt32}
	return []*schemas.Table{
		{Name: name(customer), Key: []int{0}, Columns: []schemas.Column{
			{Name: "id", Type: integer, Auto: true, HasDefault: true}, {Name: "name", Type: text(20)}, {Name: "email", Type: text(60), Nullable: true},
			{Name: "credit", Type: schemas.Type{Kind: schemas.KindDecimal, Precision: 10, Scale: 2}, Nullable: true}, {Name: "note", Type: text(0), Nullable: true},
			{Name: "stamp", Type: integer, HasDefault: true}}},
		{Name: name(contact), Key: []int{0}, Columns: []schemas.Column{
			{Name: "id", Type: integer, Auto: true, HasDefault: true}, {Name: "customer_id", Type: integer}, {Name: "phone", Type: text(20), Nullable: true}}},
		{Name: name(odd), Key: []int{0}, Columns: []schemas.Column{
			{Name: oddKey, Type: text(40)}, {Name: oddSelect, Type: text(0), Nullable: true}, {Name: oddDash, Type: text(0), Nullable: true}}},
	}
}

// Anyone accepts every claim of a lane.
func Anyone(schemas.Progress) error { return nil }
