package schemas

import "strings"

// TableName names a table inside a system: the schema on PostgreSQL, the
// database on MySQL and MariaDB, and the table.
type TableName struct {
	Schema, Name string
}

// String is schema.table.
func (n TableName) String() string { return n.Schema + "." + n.Name }

// ParseTableName reads schema.table; without a dot the schema is the default.
func ParseTableName(s, defaultSchema string) TableName {
	if schema, name, ok := strings.Cut(s, "."); ok {
		return TableName{schema, name}
	}
	return TableName{defaultSchema, s}
}

// Column is one column of a table.
type Column struct {
	Name string
	Type Type
	// Nullable is true where the column may hold NULL.
	Nullable bool
	// Generated is true where the server computes the value and refuses a write.
	Generated bool
	// HasDefault is true where an insert may leave the column out although it is
	// not nullable: a default, a sequence, auto_increment.
	HasDefault bool
	// Auto is true where the server numbers the column itself: auto_increment,
	// identity, a default of nextval.
	Auto bool
}

// Table is the shape of a table at some position of the log. A Table is never
// changed once it is in use: a column added in the source makes a new one, so
// two pointers tell two shapes apart.
type Table struct {
	Name    TableName
	Columns []Column
	// Key holds the indexes into Columns of the primary key (or of the unique key
	// that takes its place), in the order of the key. Empty: no key.
	Key []int
}

// Column returns the index of a column by name, -1 if there is none.
func (t *Table) Column(name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// KeyOf is the key values of a row, in the order of the key.
func (t *Table) KeyOf(r Row) []Value {
	out := make([]Value, len(t.Key))
	for i, k := range t.Key {
		out[i] = r[k]
	}
	return out
}
