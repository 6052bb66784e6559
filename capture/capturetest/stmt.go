package capturetest

import (
	"fmt"
	"strconv"
	"strings"
)

// Stmt is a statement of a story, in terms that an SQL server and the in-memory
// database both understand. Make it with the functions below.
//
// Every table of a story has the columns of Create: id bigint (the key), name
// varchar(100), n int.
type Stmt struct {
	kind    stmtKind
	table   string
	id, to  int64
	column  string
	renamed string
	cells   []cell
}

type cell struct {
	column string
	value  any // nil, string, int64
}

type stmtKind uint8

const (
	stmtCreate stmtKind = iota
	stmtInsert
	stmtUpdate
	stmtRekey
	stmtDelete
	stmtTruncate
	stmtAddColumn
	stmtDropColumn
	stmtRenameColumn
	stmtSavepoint
	stmtRollbackTo
	stmtRollback
	stmtMany
)

// Create makes a table of three columns: id, name, n.
func Create(table string) Stmt { return Stmt{kind: stmtCreate, table: table} }

// Insert adds a row; cells are pairs of column and value (nil, a string, an int).
func Insert(table string, id int64, cells ...any) Stmt {
	return Stmt{kind: stmtInsert, table: table, id: id, cells: pairs(cells)}
}

// Update sets cells of a row.
func Update(table string, id int64, cells ...any) Stmt {
	return Stmt{kind: stmtUpdate, table: table, id: id, cells: pairs(cells)}
}

// Rekey changes the key of a row.
func Rekey(table string, id, to int64) Stmt {
	return Stmt{kind: stmtRekey, table: table, id: id, to: to}
}

// Delete removes a row.
func Delete(table string, id int64) Stmt { return Stmt{kind: stmtDelete, table: table, id: id} }

// Truncate empties a table; a transaction of its own.
func Truncate(table string) Stmt { return Stmt{kind: stmtTruncate, table: table} }

// AddColumn adds a column varchar(20) without default; a transaction of its own.
func AddColumn(table, column string) Stmt {
	return Stmt{kind: stmtAddColumn, table: table, column: column}
}

// DropColumn removes a column; a transaction of its own.
func DropColumn(table, column string) Stmt {
	return Stmt{kind: stmtDropColumn, table: table, column: column}
}

// RenameColumn renames a column; a transaction of its own.
func RenameColumn(table, column, to string) Stmt {
	return Stmt{kind: stmtRenameColumn, table: table, column: column, renamed: to}
}

// Savepoint and RollbackTo enclose statements that leave nothing behind.
func Savepoint() Stmt { return Stmt{kind: stmtSavepoint} }

// RollbackTo takes back everything since Savepoint.
func RollbackTo() Stmt { return Stmt{kind: stmtRollbackTo} }

// Rollback is the last statement of a transaction that does not commit.
func Rollback() Stmt { return Stmt{kind: stmtRollback} }

// Many inserts count rows from the id up, with the name "row <id>" and n the id.
func Many(table string, id, count int64) Stmt {
	return Stmt{kind: stmtMany, table: table, id: id, to: id + count}
}

// FirstMark inserts the row of strait.progress, Mark updates it, both for lane 0.
// The first statement of a transaction, they make it one of ours.
func FirstMark(pipeline string, batch int64) Stmt {
	return Stmt{kind: stmtInsert, table: "strait.progress", id: -1,
		cells: pairs([]any{"pipeline", pipeline, "lane", 0, "epoch", 1, "batch", batch})}
}

// Mark is described with FirstMark.
func Mark(pipeline string, batch int64) Stmt {
	return Stmt{kind: stmtUpdate, table: "strait.progress", id: -1, column: pipeline,
		cells: pairs([]any{"batch", batch})}
}

func pairs(in []any) []cell {
	var out []cell
	for i := 0; i+1 < len(in); i += 2 {
		v := in[i+1]
		if n, ok := v.(int); ok {
			v = int64(n)
		}
		out = append(out, cell{in[i].(string), v})
	}
	return out
}

// Many is sent in pieces, so that no statement is too long for a server.
const manyPerStatement = 2000

// SQL is the statement in the dialect that PostgreSQL, MySQL and MariaDB share.
func (s Stmt) SQL() []string {
	switch s.kind {
	case stmtCreate:
		return []string{"create table " + s.table + " (id bigint not null primary key, name varchar(100), n int)"}
	case stmtInsert:
		return []string{s.insertSQL()}
	case stmtUpdate:
		return []string{s.updateSQL()}
	case stmtRekey:
		return []string{fmt.Sprintf("update %s set id = %d where id = %d", s.table, s.to, s.id)}
	case stmtDelete:
		return []string{fmt.Sprintf("delete from %s where id = %d", s.table, s.id)}
	case stmtTruncate:
		return []string{"truncate table " + s.table}
	case stmtAddColumn:
		return []string{"alter table " + s.table + " add column " + s.column + " varchar(20)"}
	case stmtDropColumn:
		return []string{"alter table " + s.table + " drop column " + s.column}
	case stmtRenameColumn:
		return []string{"alter table " + s.table + " rename column " + s.column + " to " + s.renamed}
	case stmtSavepoint:
		return []string{"savepoint a"}
	case stmtRollbackTo:
		return []string{"rollback to savepoint a"}
	case stmtRollback:
		return []string{"rollback"}
	}
	return s.manySQL()
}

func (s Stmt) insertSQL() string {
	var cols, vals []string
	if s.id >= 0 {
		cols, vals = []string{"id"}, []string{strconv.FormatInt(s.id, 10)}
	}
	for _, c := range s.cells {
		cols, vals = append(cols, c.column), append(vals, literal(c.value))
	}
	return fmt.Sprintf("insert into %s (%s) values (%s)", s.table, strings.Join(cols, ", "), strings.Join(vals, ", "))
}

func (s Stmt) updateSQL() string {
	var sets []string
	for _, c := range s.cells {
		sets = append(sets, c.column+" = "+literal(c.value))
	}
	where := "id = " + strconv.FormatInt(s.id, 10)
	if s.id < 0 {
		where = "pipeline = " + literal(s.column)
	}
	return fmt.Sprintf("update %s set %s where %s", s.table, strings.Join(sets, ", "), where)
}

func (s Stmt) manySQL() []string {
	var out []string
	for from := s.id; from < s.to; from += manyPerStatement {
		var b strings.Builder
		fmt.Fprintf(&b, "insert into %s (id, name, n) values ", s.table)
		for id := from; id < min(from+manyPerStatement, s.to); id++ {
			if id > from {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "(%d, 'row %d', %d)", id, id, id)
		}
		out = append(out, b.String())
	}
	return out
}

func literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return "'" + strings.ReplaceAll(fmt.Sprint(v), "'", "''") + "'"
}
