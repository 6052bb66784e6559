package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/strait-cdc/strait/internal/testenv"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// postgresHand sends each batch in one round trip.
type postgresHand struct{ conn *pgx.Conn }

func openPostgresHand(ctx context.Context, s *testenv.Server) (byHand, error) {
	conn, err := pgx.Connect(ctx, s.URL()+"?sslmode=disable")
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "insert into strait.progress (pipeline, lane, epoch, batch) values ('hand', 0, 1, 0)")
	return &postgresHand{conn}, err
}

func (h *postgresHand) close() error { return h.conn.Close(context.Background()) }

// send runs statements as one transaction behind that of the progress row, and
// wants the last to have touched so many rows.
func (h *postgresHand) send(ctx context.Context, batch int64, want int, statement string, args ...any) error {
	p := &pgx.Batch{}
	p.Queue("update strait.progress set batch = $1, at = clock_timestamp() where pipeline = 'hand' and lane = 0 and epoch = 1 and batch = $1 - 1", batch)
	p.Queue(statement, args...)
	results := h.conn.SendBatch(ctx, p)
	for _, want := range []int{1, want} {
		tag, err := results.Exec()
		if err == nil && tag.RowsAffected() != int64(want) {
			err = fmt.Errorf("by hand: %d rows, want %d", tag.RowsAffected(), want)
		}
		if err != nil {
			_ = results.Close()
			return err
		}
	}
	return results.Close()
}

func (h *postgresHand) updates(ctx context.Context, batch int64, ids []int64, old, name []string) error {
	return h.send(ctx, batch, len(ids), `update customer c set name = v.name, credit = 12.50 from unnest($1::bigint[], $2::text[], $3::text[]) v(id, old, name)
where c.id = v.id and c.name is not distinct from v.old`, ids, old, name)
}

func (h *postgresHand) documents(ctx context.Context, batch int64, hubs []string) error {
	return h.send(ctx, batch, len(hubs)*contacts, `with c as (
	insert into customer (name, email) select h, h || '@example.com' from unnest($1::text[]) h returning id, name
), l as (
	insert into strait.link (entity, native_key, hub, batch) select 'customer', id::text, name, $2 from c
), k as (
	insert into contact (customer_id, phone) select id, '+4930123456' from c, generate_series(1, $3) returning id
) insert into strait.link (entity, native_key, hub, batch) select 'customer.contacts', id::text, 'k' || id, $2 from k`, hubs, batch, contacts)
}

// mysqlHand writes each statement for all rows.
type mysqlHand struct {
	db   *sql.DB
	conn *sql.Conn
}

func openMySQLHand(ctx context.Context, s *testenv.Server) (byHand, error) {
	db := s.DB()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	_, err = conn.ExecContext(ctx, "insert into strait.progress (pipeline, lane, epoch, batch) values ('hand', 0, 1, 0)")
	return &mysqlHand{db, conn}, err
}

func (h *mysqlHand) close() error { return h.conn.Close() }

// in runs f in a transaction whose first statement writes the progress row.
func (h *mysqlHand) in(ctx context.Context, batch int64, f func() error) error {
	if err := h.exec(ctx, 1, fmt.Sprintf("begin; update strait.progress set batch = %d, at = now(6) where pipeline = 'hand' and lane = 0 and epoch = 1 and batch = %d - 1", batch, batch)); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	_, err := h.conn.ExecContext(ctx, "commit")
	return err
}

func (h *mysqlHand) exec(ctx context.Context, want int, statement string) error {
	done, err := h.conn.ExecContext(ctx, statement)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n != int64(want) {
		return fmt.Errorf("by hand: %d rows, want %d: %w", n, want, err)
	}
	return nil
}

// ids runs an insert that returns the keys it made.
func (h *mysqlHand) ids(ctx context.Context, statement string) ([]int64, error) {
	rows, err := h.conn.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

func (h *mysqlHand) updates(ctx context.Context, batch int64, ids []int64, old, name []string) error {
	statement := "update (with v (id, old, name) as (values " + tuples(len(ids), func(i int) string {
		return strconv.FormatInt(ids[i], 10) + ",'" + old[i] + "','" + name[i] + "'"
	}) + ") select * from v) v straight_join customer c on c.id = v.id set c.name = v.name, c.credit = 12.50 where c.name <=> v.old"
	return h.in(ctx, batch, func() error { return h.exec(ctx, len(ids), statement) })
}

func (h *mysqlHand) documents(ctx context.Context, batch int64, hubs []string) error {
	return h.in(ctx, batch, func() error {
		customers, err := h.ids(ctx, "insert into customer (name, email) values "+tuples(len(hubs), func(i int) string {
			return "'" + hubs[i] + "','" + hubs[i] + "@example.com'"
		})+" returning id")
		if err != nil {
			return err
		}
		made, err := h.ids(ctx, "insert into contact (customer_id, phone) values "+tuples(len(hubs)*contacts, func(i int) string {
			return strconv.FormatInt(customers[i/contacts], 10) + ",'+4930123456'"
		})+" returning id")
		if err != nil {
			return err
		}
		return h.exec(ctx, len(hubs)*(1+contacts), "insert into strait.link (entity, native_key, hub, batch) values "+tuples(len(hubs), func(i int) string {
			return fmt.Sprintf("'customer','%d','%s',%d", customers[i], hubs[i], batch)
		})+","+tuples(len(made), func(i int) string {
			return fmt.Sprintf("'customer.contacts','%d','k%d',%d", made[i], made[i], batch)
		}))
	})
}

// tuples is n rows of values.
func tuples(n int, values func(i int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("(" + values(i) + ")")
	}
	return b.String()
}
