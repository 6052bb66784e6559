// Package mapping is the language that says what a business entity is on each
// side: YAML documents, parsed strictly, checked against the catalogs of both
// databases, and compiled into the functions that the reconciler calls.
package mapping

import (
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// Set is all compiled mapping documents of one installation.
type Set struct {
	Entities []*Entity
}

// Entity is a business object that lives on two sides.
type Entity struct {
	Name string
	// Systems are the names of the two sides. All arrays of two below are in this
	// order.
	Systems [2]string
	// Root is the entity's own record.
	Root *Part
	// Children are the collections that belong to it and are written with it.
	Children []*Part
	// Quiet is how long an entity must have been left alone before it is
	// reconciled; MaxQuiet bounds the wait under a steady stream of edits.
	Quiet, MaxQuiet time.Duration
}

// Part is a kind of record with its fields: the root of an entity or one of its
// child collections.
type Part struct {
	// Name is empty for the root.
	Name   string
	Fields []*Field
	// Match are the rules by which a record of one side is recognised on the
	// other, tried in order. Matching of children is among those of one parent.
	Match []MatchRule
	Sides [2]*PartSide
}

// MatchRule links two records whose fields are all present and all equal.
type MatchRule struct {
	ID     string
	Fields []int // indexes into Part.Fields
	// Unless lists values of a field that never match ("n/a", "info@…").
	Unless func(values []schemas.Value) bool
}

// PartSide is where a part lives on one side.
type PartSide struct {
	// Table is the shape the mapping was compiled against; rows handed to the
	// functions below are in the order of its columns.
	Table *schemas.Table
	// Parent are, for a child, the columns that hold the key of the root row.
	Parent []int
	// Joins are further rows that expressions may read.
	Joins []Join
	// Where says whether the row counts as a record of this entity (nil: always).
	// A row that stops counting is a deletion, one that starts again a revival.
	Where func(row schemas.Row) (bool, error)
	// WhereColumns are the columns that Where reads.
	WhereColumns []int
	// Key says how the key of a new row is made.
	Key KeyRule
	// Defaults are the cells of an insert that no field gives.
	Defaults []Default
	// Create says whether a record that exists only on the other side is created
	// here; nil: never. It is asked with the other side's row.
	Create func(other Env) (bool, error)
	// CreateColumns are the columns of the other side's row that Create reads.
	CreateColumns []int
	// OtherDeleted is what happens here when the record is deleted on the other side.
	OtherDeleted DeleteRule
	// ReadOnly says that nothing is ever written to this table.
	ReadOnly bool
}

// KeyRule says how the key of a new row is made.
type KeyRule uint8

// The rules.
const (
	// KeyByDatabase leaves the key out of the insert.
	KeyByDatabase KeyRule = iota
	// KeyUUID makes a random UUID in text.
	KeyUUID
	// KeyHex17 makes 17 hex digits, EspoCRM's form.
	KeyHex17
	// KeyFromFields has a natural key that fields write.
	KeyFromFields
)

// Default is a value for a column. For PartSide.Defaults the Env is that of the
// other side's row, for the cells of a DeleteRule that of the row to be changed.
type Default struct {
	Column int
	Value  func(env Env) (schemas.Value, error)
}

// Join is a set of rows beside a record: stock rows of an item, say.
type Join struct {
	Name  string
	Table *schemas.Table
	// Columns of the joined table and of the record's own table that must be equal.
	Columns, Own []int
}

// DeleteAction is what a deletion on one side means for the other.
type DeleteAction uint8

// The actions.
const (
	// DeleteKeep leaves the record alone; the link is dead.
	DeleteKeep DeleteAction = iota
	// DeleteRemove deletes the row and its children.
	DeleteRemove
	// DeleteSet writes the cells of DeleteRule.Set.
	DeleteSet
	// DeleteRestore creates the record again on the side where it was deleted.
	DeleteRestore
	// DeleteReview parks the entity for a person to decide.
	DeleteReview
)

// DeleteRule is an action with its cells.
type DeleteRule struct {
	Action DeleteAction
	Set    []Default
	// Undo are the cells that take back Set, for a record that is revived on the
	// side where it had been deleted.
	Undo []Default
}

// Owner says whose edits of a field count.
type Owner uint8

// The owners.
const (
	// OwnerBoth lets both sides edit; Policy decides a conflict.
	OwnerBoth Owner = iota
	// OwnerFirst and OwnerSecond: that side wins, an edit of the other is written
	// back and recorded.
	OwnerFirst
	OwnerSecond
)

// Policy decides when both sides changed a field since they agreed.
type Policy uint8

// The policies.
const (
	// LastWriter takes the later commit time; Field.Tie where they are equal.
	LastWriter Policy = iota
	// Review parks the field until a person decides.
	Review
	// PreferNonEmpty takes the value that is not empty, else as LastWriter.
	PreferNonEmpty
)

// Field is one property of a record.
type Field struct {
	Name string
	// Type is that of the canonical value. Two canonical values are the same
	// exactly when == says so.
	Type schemas.Type
	// Ref names the entity that the field points to. Its FieldSide values are
	// native keys in the text form of schemas.FormatKey; the reconciler turns them
	// into hub ids and back.
	Ref    string
	Owner  Owner
	Policy Policy
	// Tie is the side (0 or 1) that wins where Policy cannot tell.
	Tie int
	// Sides are nil where the field does not exist.
	Sides [2]*FieldSide
	// Required says that no record is created without a value.
	Required bool
	// Source is file:line:column of the field, for messages.
	Source string
}

// FieldSide is how a field is read from and written to a row.
type FieldSide struct {
	// Reads are the columns of the part's table that In looks at; ReadsJoins the
	// joins, by index.
	Reads, ReadsJoins []int
	// Writes are the columns that Out gives values for, in its order; empty: the
	// field is never written on this side. On the side that owns the field they
	// serve only the insert of a record that was born on the other side.
	Writes []int
	// In gives the canonical value. An error parks the record: the value cannot be
	// understood.
	In func(env Env) (schemas.Value, error)
	// Out gives the cells for Writes. It sees the present row, so that a part of a
	// column (a key in a JSON text) can be replaced. An error parks the record: the
	// value does not fit. In(Out(v)) == v for every v that Out accepts.
	//
	// Out is not asked for a NULL on an insert whose columns may be left out (they
	// are nullable or have a default). Fields that share a column (parts of a text,
	// keys of a JSON text) are written one after the other in the order of
	// Part.Fields, each seeing the row as the ones before left it.
	Out func(v schemas.Value, env Env) ([]schemas.Value, error)
}

// Env is what the functions of a PartSide see.
type Env struct {
	// Row is the record's row in the order of PartSide.Table.Columns; on an insert
	// all NULL.
	Row schemas.Row
	// Joined are the rows of each Join, in its order.
	Joined [][]schemas.Row
}

// Parts are the root and the children.
func (e *Entity) Parts() []*Part { return append([]*Part{e.Root}, e.Children...) }

// LinkName is the name under which the links of a part are kept: the entity's,
// with the child's behind a dot.
func (e *Entity) LinkName(p *Part) string {
	if p.Name == "" {
		return e.Name
	}
	return e.Name + "." + p.Name
}
