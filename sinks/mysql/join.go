package mysql

import "strings"

// maxJoin is how many updates one statement holds. The server tries one
// condition after the other for each row, so the cost of a row grows with it.
const maxJoin = 50

// update is the parts of an update statement.
type update struct {
	table           string
	columns, values []string
	key, where      string
	// rekeys says that the key itself is written, which cannot be joined: the server
	// assigns from left to right and would look for the new key.
	rekeys bool
}

// shape is the same for updates that can be one statement.
func (u *update) shape() string { return u.table + " " + strings.Join(u.columns, ", ") }

// join writes updates of one shape and of different rows as one statement:
//
//	update t set a = case when id = 1 then 'x' when id = 2 then 'y' end
//	where id = 1 and … or id = 2 and …
//
// All values of a column are literals of one type, so the case has that type
// too, and no row finds itself in two branches.
func join(list []*update) string {
	var b strings.Builder
	b.WriteString("update " + list[0].table + " set ")
	for i, column := range list[0].columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(column + " = ")
		if len(list) == 1 {
			b.WriteString(list[0].values[i])
			continue
		}
		b.WriteString("case")
		for _, u := range list {
			b.WriteString(" when " + u.key + " then " + u.values[i])
		}
		b.WriteString(" end")
	}
	b.WriteString(" where ")
	for i, u := range list {
		if i > 0 {
			b.WriteString(" or ")
		}
		b.WriteString(u.where)
	}
	return b.String()
}

// joined replaces runs of updates by joined ones. Inside a run updates may change
// places among each other as long as they concern different rows.
func joined(list []*statement) []*statement {
	var out []*statement
	open, rows := map[string]*statement{}, map[string]bool{}
	members := map[*statement][]*update{}
	flush := func() {
		clear(open)
		clear(rows)
	}
	for _, st := range list {
		u := st.update
		if u == nil || u.rekeys || rows[u.table+u.key] {
			flush()
		}
		if u == nil || u.rekeys {
			out = append(out, st)
			continue
		}
		rows[u.table+u.key] = true
		head := open[u.shape()]
		if head == nil || len(members[head]) == maxJoin {
			head = &statement{auto: -1}
			open[u.shape()] = head
			out = append(out, head)
		}
		members[head] = append(members[head], u)
		head.writes = append(head.writes, st.writes...)
	}
	for head, list := range members {
		head.text = join(list)
	}
	return out
}
