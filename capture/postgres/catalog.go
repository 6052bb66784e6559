package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/capture"
	"github.com/strait-cdc/strait/schemas"
)

// catalog reads the system catalog over one connection. It is used by one
// goroutine.
type catalog struct {
	conn *pgx.Conn
	// types are those that were met, by OID. A type that was dropped since stays.
	types      map[uint32]*typeInfo
	moneyScale int
}

func newCatalog(ctx context.Context, conn *pgx.Conn) (*catalog, error) {
	c := &catalog{conn: conn, types: map[uint32]*typeInfo{}}
	// Asked in the database's own locale; afterwards the format is that of C.
	if err := conn.QueryRow(ctx, "select scale(1::numeric::money::numeric)").Scan(&c.moneyScale); err != nil {
		return nil, fmt.Errorf("digits of money: %w", err)
	}
	if _, err := conn.Exec(ctx, "set lc_monetary = 'C'"); err != nil {
		return nil, fmt.Errorf("set lc_monetary: %w", err)
	}
	return c, nil
}

// tableInfo is what the catalog says of a table.
type tableInfo struct {
	oid         uint32
	name        schemas.TableName
	kind        byte // pg_class.relkind
	ident       byte // pg_class.relreplident
	persistence byte // pg_class.relpersistence
	partition   bool
	columns     []columnInfo
	primary     []string
	identity    []string   // of REPLICA IDENTITY USING INDEX
	unique      [][]string // keys that could stand for the primary key
}

type columnInfo struct {
	number    int
	name      string
	oid       uint32
	mod       int32
	notNull   bool
	generated bool
	hasDef    bool
	auto      bool
}

const tableQuery = `select c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relreplident::text, c.relpersistence::text, c.relispartition
from pg_class c join pg_namespace n on n.oid = c.relnamespace where `

// named is the tables of the names that exist.
func (c *catalog) named(ctx context.Context, names []schemas.TableName) ([]*tableInfo, error) {
	pairs := make([]string, len(names))
	for i, n := range names {
		pairs[i] = "(" + literal(n.Schema) + ", " + literal(n.Name) + ")"
	}
	return c.tables(ctx, tableQuery+"(n.nspname::text, c.relname::text) in ("+strings.Join(pairs, ", ")+") order by c.oid")
}

// all is the ordinary tables that are not the system's and not our own.
func (c *catalog) all(ctx context.Context) ([]*tableInfo, error) {
	return c.tables(ctx, tableQuery+`c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'
and n.nspname not in ('pg_catalog', 'information_schema', 'strait') and n.nspname not like 'pg\_%' order by 2, 3`)
}

// byOID is nil if there is no such table any more.
func (c *catalog) byOID(ctx context.Context, oid uint32) (*tableInfo, error) {
	ts, err := c.tables(ctx, tableQuery+"c.oid = "+strconv.FormatUint(uint64(oid), 10))
	if err != nil || len(ts) == 0 {
		return nil, err
	}
	return ts[0], nil
}

func (c *catalog) tables(ctx context.Context, query string) ([]*tableInfo, error) {
	rows, err := c.conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (*tableInfo, error) {
		t := &tableInfo{}
		var kind, ident, persistence string
		err := r.Scan(&t.oid, &t.name.Schema, &t.name.Name, &kind, &ident, &persistence, &t.partition)
		if err == nil {
			t.kind, t.ident, t.persistence = kind[0], ident[0], persistence[0]
		}
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	byOID := map[uint32]*tableInfo{}
	for _, t := range out {
		byOID[t.oid] = t
	}
	if err := c.columns(ctx, byOID); err != nil {
		return nil, fmt.Errorf("read catalog: columns: %w", err)
	}
	if err := c.keys(ctx, byOID); err != nil {
		return nil, fmt.Errorf("read catalog: keys: %w", err)
	}
	return out, nil
}

func oids[T any](m map[uint32]T) string {
	out := make([]string, 0, len(m))
	for oid := range m {
		out = append(out, strconv.FormatUint(uint64(oid), 10))
	}
	slices.Sort(out)
	return "'{" + strings.Join(out, ",") + "}'::oid[]"
}

func (c *catalog) columns(ctx context.Context, tables map[uint32]*tableInfo) error {
	rows, err := c.conn.Query(ctx, `select a.attrelid, a.attnum, a.attname::text, a.atttypid, a.atttypmod, a.attnotnull,
a.attgenerated <> '', a.atthasdef or a.attidentity <> '', a.attidentity <> '' or coalesce(pg_get_expr(d.adbin, d.adrelid), '') like 'nextval(%'
from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = any (`+oids(tables)+`) and a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum`)
	if err != nil {
		return err
	}
	var rel uint32
	var col columnInfo
	_, err = pgx.ForEachRow(rows, []any{&rel, &col.number, &col.name, &col.oid, &col.mod, &col.notNull, &col.generated, &col.hasDef, &col.auto}, func() error {
		tables[rel].columns = append(tables[rel].columns, col)
		return nil
	})
	return err
}

func (c *catalog) keys(ctx context.Context, tables map[uint32]*tableInfo) error {
	rows, err := c.conn.Query(ctx, `select i.indrelid, i.indisprimary, i.indisreplident,
i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and i.indexprs is null,
array(select k.n::int from unnest(i.indkey) with ordinality k (n, o) where k.o <= i.indnkeyatts order by k.o)
from pg_index i where i.indrelid = any (`+oids(tables)+`) order by i.indexrelid`)
	if err != nil {
		return err
	}
	var rel uint32
	var primary, identity, unique bool
	var numbers []int
	_, err = pgx.ForEachRow(rows, []any{&rel, &primary, &identity, &unique, &numbers}, func() error {
		t := tables[rel]
		names, notNull := t.named(numbers)
		switch {
		case names == nil:
		case primary:
			t.primary = names
		case unique && notNull:
			t.unique = append(t.unique, names)
		}
		if identity {
			t.identity = names
		}
		return nil
	})
	return err
}

// named turns column numbers into names; nil for an index on expressions.
func (t *tableInfo) named(numbers []int) (names []string, notNull bool) {
	notNull = true
	for _, n := range numbers {
		i := slices.IndexFunc(t.columns, func(c columnInfo) bool { return c.number == n })
		if i < 0 {
			return nil, false
		}
		names = append(names, t.columns[i].name)
		notNull = notNull && t.columns[i].notNull
	}
	return names, notNull
}

func (t *tableInfo) column(name string) *columnInfo {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	return nil
}

// firstUserOID is where the OIDs of what users make begin.
const firstUserOID = 16384

// load makes types known, with those that they are made of. Those of users are
// read again each time, for new labels of an enumeration.
func (c *catalog) load(ctx context.Context, want []uint32) error {
	for len(want) > 0 {
		missing := map[uint32]bool{}
		for _, oid := range want {
			if c.types[oid] == nil || oid >= firstUserOID {
				missing[oid] = true
			}
		}
		if len(missing) == 0 {
			return nil
		}
		found, err := c.readTypes(ctx, missing)
		if err != nil {
			return fmt.Errorf("read catalog: types: %w", err)
		}
		want = want[:0:0]
		for _, t := range found {
			c.types[t.oid] = t
			for _, part := range []uint32{t.base, t.elem} {
				if part != 0 {
					want = append(want, part)
				}
			}
		}
	}
	return nil
}

func (c *catalog) readTypes(ctx context.Context, want map[uint32]bool) ([]*typeInfo, error) {
	rows, err := c.conn.Query(ctx, `select t.oid, n.nspname::text, t.typname::text, t.typtype::text, t.typbasetype, t.typtypmod,
case when t.typcategory = 'A' and t.typlen = -1 and t.typtype = 'b' then t.typelem else 0 end,
array(select e.enumlabel::text from pg_enum e where e.enumtypid = t.oid order by e.enumsortorder)
from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.oid = any (`+oids(want)+`)`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (*typeInfo, error) {
		t := &typeInfo{}
		var kind string
		err := r.Scan(&t.oid, &t.schema, &t.name, &kind, &t.base, &t.baseMod, &t.elem, &t.labels)
		if err == nil {
			t.kind = kind[0]
		}
		return t, err
	})
}

// spell is the types as the server spells them.
func (c *catalog) spell(ctx context.Context, cols []relationColumn) ([]string, error) {
	if len(cols) == 0 {
		return nil, nil
	}
	calls := make([]string, len(cols))
	for i, col := range cols {
		calls[i] = fmt.Sprintf("format_type(%d, %d)", col.oid, col.mod)
	}
	var out []string
	if err := c.conn.QueryRow(ctx, "select array["+strings.Join(calls, ", ")+"]").Scan(&out); err != nil {
		return nil, fmt.Errorf("read catalog: types: %w", err)
	}
	return out, nil
}

// Catalog is the shapes of tables as a Source would report them; nil means all
// ordinary tables outside the system's schemas, without those that cannot be
// read (Check says why not).
func Catalog(ctx context.Context, url string, tables []schemas.TableName) ([]*schemas.Table, error) {
	conn, err := Config{URL: url, System: "the database"}.connectSQL(ctx)
	if err != nil {
		return nil, err
	}
	defer closeSQL(conn)
	c, err := newCatalog(ctx, conn)
	if err != nil {
		return nil, err
	}
	if tables == nil {
		return c.catalogAll(ctx)
	}
	infos, err := c.named(ctx, tables)
	if err != nil {
		return nil, err
	}
	var out []*schemas.Table
	var errs []error
	for _, name := range tables {
		i := slices.IndexFunc(infos, func(t *tableInfo) bool { return t.name == name })
		if i < 0 {
			errs = append(errs, noTable(name))
			continue
		}
		s, err := c.shape(ctx, infos[i].relation(), infos[i], nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, s.table)
	}
	return out, errors.Join(errs...)
}

func (c *catalog) catalogAll(ctx context.Context) ([]*schemas.Table, error) {
	infos, err := c.all(ctx)
	if err != nil {
		return nil, err
	}
	var out []*schemas.Table
	for _, t := range infos {
		s, err := c.shape(ctx, t.relation(), t, nil)
		if errors.Is(err, capture.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s.table)
	}
	return out, nil
}

func noTable(name schemas.TableName) error {
	return fmt.Errorf("%s: %w: there is no such table; correct the list of tables (names are case sensitive) or create it", name, capture.ErrUnsupported)
}
