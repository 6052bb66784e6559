package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
)

// burst is how many items one booking moves.
const burst = 12

// erpEdits is the work of the ERP's office.
var erpEdits = []edit{
	{"erp   credit limit", 10, func(c *clerk) error {
		return c.erp.exec("update debtor set credit_limit = ? where id = ?", c.money(60000), c.w.debtor(c.maker))
	}},
	{"erp   payment terms", 5, func(c *clerk) error {
		return c.erp.exec("update debtor set pay_terms = ? where id = ?", pick(c.maker, []int{0, 14, 30, 60}), c.w.debtor(c.maker))
	}},
	{"erp   hold", 4, func(c *clerk) error {
		return c.erp.exec("update debtor set hold = case when hold = 'J' then 'N' else 'J' end where id = ?", c.w.debtor(c.maker))
	}},
	{"erp   open amount", 12, func(c *clerk) error {
		return c.erp.exec("update debtor set open_amount = ? where id = ?", c.money(20000), c.w.debtor(c.maker))
	}},
	{"erp   telephone", 7, func(c *clerk) error {
		return c.erp.exec("update debtor set tel = ? where id = ?", phoneAt(pick(c.maker, places), c.next()), c.w.debtor(c.maker))
	}},
	{"erp   mail", 5, func(c *clerk) error {
		return c.erp.exec("update debtor set mail = ? where id = ?", c.mail("einkauf", "kunde"), c.w.debtor(c.maker))
	}},
	{"erp   name", 3, func(c *clerk) error {
		name := fmt.Sprintf("%s %s %s", pick(c.maker, owners), pick(c.maker, trades), pick(c.maker, forms))
		return c.erp.exec("update debtor set name1 = ? where id = ?", name, c.w.debtor(c.maker))
	}},
	{"erp   address", 3, func(c *clerk) error {
		return c.erp.exec("update debtor_address set street = ? where debtor_id = ? and art = 'R'", fmt.Sprintf("%s %d", pick(c.maker, streets), c.IntN(200)), c.w.debtor(c.maker))
	}},
	{"erp   new debtor", 3, (*clerk).newDebtor},
	{"erp   prices changed", 4, func(c *clerk) error {
		return c.erp.in(func(t *tx) error {
			for _, sku := range c.someItems() {
				if err := t.exec("update price set amount = ? where item_no = ? and list = 'A' and currency = 'EUR'", c.money(400), sku); err != nil {
					return err
				}
			}
			return nil
		})
	}},
	{"erp   stock moved", 14, func(c *clerk) error {
		return c.erp.in(func(t *tx) error {
			for _, sku := range c.someItems() {
				// Taken and reserved in two statements, as bookings are.
				if err := t.exec("update stock set on_hand = on_hand + ? where item_no = ?", strconv.Itoa(c.IntN(21)-8), sku); err != nil {
					return err
				}
				if err := t.exec("update stock set reserved = ? where item_no = ?", strconv.Itoa(c.IntN(20)), sku); err != nil {
					return err
				}
			}
			return nil
		})
	}},
	{"erp   order moved on", 18, (*clerk).moveOrder},
	{"erp   invoice", 6, func(c *clerk) error {
		return c.onOrder("invoice_state <> 'F' and status <> 'NEW'", func(id string) error {
			return c.erp.exec("update sales_order set invoice_state = case when invoice_state = 'N' then 'P' else 'F' end where id = ?", id)
		})
	}},
}

// someItems are neighbours in the catalogue, in its order.
func (c *clerk) someItems() []string {
	var out []string
	for i, from := 0, c.IntN(len(c.w.products)-burst); i < burst; i++ {
		out = append(out, c.w.products[from+i].sku)
	}
	return out
}

// newDebtor is one transaction, as in an ERP.
func (c *clerk) newDebtor() error {
	co := c.company()
	var id int64
	err := c.erp.in(func(t *tx) error {
		err := t.exec("insert into debtor (name1, tel, mail, vat_no, segment, credit_limit) values (?, ?, ?, ?, ?, ?)", co.name, co.phone, co.email, co.vat, "SVC", "5000")
		if err != nil {
			return err
		}
		if err := t.QueryRowContext(t.ctx, t.side.bind("select id from debtor where vat_no = ?"), co.vat).Scan(&id); err != nil {
			return err
		}
		if err := t.exec("insert into debtor_address (debtor_id, art, street, town, postcode, iso2) values (?, 'R', ?, ?, ?, ?)", id, co.street, co.place.city, co.zip, co.place.country); err != nil {
			return err
		}
		p := co.people[0]
		return t.exec("insert into debtor_contact (debtor_id, full_name, mail, tel, `function`) values (?, ?, ?, ?, ?)", id, p.last+", "+p.first, p.email, p.phone, p.role)
	})
	if err != nil {
		return err
	}
	c.w.newDebtor(id)
	return nil
}

// next state of an order.
var orderSteps = map[string]string{"NEW": "CONFIRMED", "CONFIRMED": "PICKED", "PICKED": "SHIPPED"}

func (c *clerk) moveOrder() error {
	return c.onOrder("status <> 'SHIPPED'", func(id string) error {
		return c.erp.in(func(t *tx) error {
			var status string
			if err := t.QueryRowContext(t.ctx, t.side.bind("select status from sales_order where id = ? for update"), id).Scan(&status); err != nil {
				return err
			}
			if orderSteps[status] == "" {
				return nil // a colleague was faster
			}
			return t.exec("update sales_order set status = ? where id = ?", orderSteps[status], id)
		})
	})
}

// onOrder does something with one of the orders that satisfy a condition.
func (c *clerk) onOrder(where string, do func(id string) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), editPatience)
	defer cancel()
	from := c.IntN(c.w.wonOrders() + 1)
	var id string
	err := c.erp.db.QueryRowContext(ctx, c.erp.bind("select id from sales_order where id >= ? and "+where+" order by id limit 1"), from).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return do(id)
}
