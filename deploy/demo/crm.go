package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// crmEdits is the work of the CRM's office. Like real CRMs it saves one form in
// several transactions, saves whole rows, and saves what nobody changed.
var crmEdits = []edit{
	{"crm   phone", 10, func(c *clerk) error {
		a := c.w.account(c.maker, anyAccount)
		return c.crm.exec("update accounts set phone = ?, modified_at = ? where id = ?", c.typed(a.home, phoneAt(a.home, c.next())), now(), a.id)
	}},
	{"crm   e-mail", 8, func(c *clerk) error {
		a := c.w.account(c.maker, anyAccount)
		return c.crm.exec("update accounts set email = ?, modified_at = ? where id = ?", c.mail("Office", a.company.slug), now(), a.id)
	}},
	{"crm   name", 5, func(c *clerk) error {
		a := c.w.account(c.maker, anyAccount)
		name := fmt.Sprintf("%s %s %s %s", pick(c.maker, owners), pick(c.maker, trades), a.home.city, pick(c.maker, forms))
		return c.crm.exec("update accounts set name = ?, modified_at = ? where id = ?", name, now(), a.id)
	}},
	{"crm   industry", 3, func(c *clerk) error {
		a := c.w.account(c.maker, anyAccount)
		return c.crm.exec("update accounts set industry = ?, modified_at = ? where id = ?", pick(c.maker, []string{"Manufacturing", "Retail", "Services", "Public"}), now(), a.id)
	}},
	{"crm   whole row saved", 10, func(c *clerk) error { return c.saveForm(c.w.account(c.maker, anyAccount), true) }},
	{"crm   saved without a change", 8, func(c *clerk) error { return c.saveForm(c.w.account(c.maker, anyAccount), false) }},
	{"crm   contact added", 5, func(c *clerk) error {
		a := c.w.account(c.maker, anyAccount)
		return c.crm.exec("insert into contacts ("+crmColumns["contacts"]+") values (?, ?, ?, ?, ?, ?, ?)", c.contact(a)...)
	}},
	{"crm   contact changed", 7, func(c *clerk) error {
		return c.onContact(func(a *account, id string) error {
			return c.crm.exec("update contacts set phone = ?, role = ? where id = ?", c.typed(a.home, phoneAt(a.home, c.next())), pick(c.maker, roles), id)
		})
	}},
	{"crm   contact removed", 2, func(c *clerk) error {
		return c.onContact(func(_ *account, id string) error { return c.crm.exec("delete from contacts where id = ?", id) })
	}},
	{"crm   address changed", 5, func(c *clerk) error {
		a := c.w.account(c.maker, anyAccount)
		return c.crm.exec("update account_addresses set street = ? where account_id = ? and kind = 'billing'", fmt.Sprintf("%s %d", pick(c.maker, streets), c.IntN(200)), a.id)
	}},
	{"crm   customer deleted", 1, func(c *clerk) error {
		a := c.w.takeForDeletion(c.maker)
		if a == nil {
			return nil
		}
		return c.crm.exec("update accounts set deleted = ?, modified_at = ? where id = ?", true, now(), a.id)
	}},
	{"crm   new account", 4, (*clerk).newAccount},
	{"crm   lead made a customer", 3, func(c *clerk) error {
		a := c.w.promote(c.maker)
		if a == nil {
			return nil
		}
		return c.crm.exec("update accounts set status = 'customer', modified_at = ? where id = ?", now(), a.id)
	}},
	{"crm   order won", 14, func(c *clerk) error {
		a := c.w.forOrder(c.maker)
		_, err := c.order(a)
		return err
	}},
	{"crm   note, unmapped", 3, func(c *clerk) error {
		a := c.w.account(c.maker, anyAccount)
		return c.crm.exec("insert into notes (account_id, body) values (?, ?)", a.id, "Called, nobody there.")
	}},
}

// contact is the values of crmColumns["contacts"].
func (c *clerk) contact(a *account) []any {
	p := c.person(a.company)
	return []any{c.uuid(), a.id, p.first, p.last, p.email, c.typed(a.home, p.phone), p.role}
}

// onContact does something with some contact of some account.
func (c *clerk) onContact(do func(a *account, id string) error) error {
	a := c.w.account(c.maker, anyAccount)
	ctx, cancel := context.WithTimeout(context.Background(), editPatience)
	defer cancel()
	found, err := c.crm.texts(ctx, "select id from contacts where account_id = ? order by id", a.id)
	if err != nil || len(found) == 0 {
		return err
	}
	return do(a, pick(c.maker, found)[0])
}

// saveForm reads an account, as a form does when it opens, and then writes all of it
// back, whatever others have written in between.
func (c *clerk) saveForm(a *account, change bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), editPatience)
	defer cancel()
	var name string
	var phone, mail, site, vatID, industry, rating, terms, limit sql.NullString
	var hold sql.NullBool
	err := c.crm.db.QueryRowContext(ctx, c.crm.bind("select name, phone, email, website, vat_id, industry, rating, on_hold, payment_terms, credit_limit from accounts where id = ?"), a.id).
		Scan(&name, &phone, &mail, &site, &vatID, &industry, &rating, &hold, &terms, &limit)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if change {
		rating.String, phone.String = pick(c.maker, []string{"A", "B", "C"}), c.typed(a.home, phoneAt(a.home, c.next()))
		phone.Valid = true
	}
	return c.crm.in(func(t *tx) error {
		return t.exec("update accounts set name = ?, phone = ?, email = ?, website = ?, vat_id = ?, industry = ?, rating = ?, on_hold = ?, payment_terms = ?, credit_limit = ?, modified_at = ? where id = ?",
			name, phone, mail, site, vatID, industry, rating, hold, terms, limit, now(), a.id)
	})
}

// newAccount saves a new account the way CRMs do: one transaction for each row.
func (c *clerk) newAccount() error {
	co := c.company()
	a := &account{id: c.uuid(), home: co.place, company: co, customer: c.IntN(3) > 0}
	err := c.crm.exec("insert into accounts (id, name, phone, email, vat_id, industry, status) values (?, ?, ?, ?, ?, ?, 'lead')",
		a.id, co.name, c.typed(co.place, co.phone), co.email, co.vat, "Services")
	if err != nil {
		return err
	}
	err = c.crm.exec("insert into account_addresses ("+crmColumns["account_addresses"]+") values (?, ?, ?, ?, ?, ?, ?)",
		c.uuid(), a.id, "billing", co.street, co.place.city, co.zip, countryNames[co.place.country])
	if err != nil {
		return err
	}
	if err := c.crm.exec("insert into contacts ("+crmColumns["contacts"]+") values (?, ?, ?, ?, ?, ?, ?)", c.contact(a)...); err != nil {
		return err
	}
	if a.customer {
		if err := c.crm.exec("update accounts set status = 'customer', modified_at = ? where id = ?", now(), a.id); err != nil {
			return err
		}
	}
	c.w.add(a)
	return nil
}

// order writes an order as a draft, then its lines one by one, then wins it.
func (c *clerk) order(a *account) (order, error) {
	o := order{id: c.uuid(), lines: 1 + c.IntN(5), lost: c.IntN(8) == 0}
	err := c.crm.exec("insert into orders ("+crmColumns["orders"]+") values (?, ?, ?, ?, ?, ?)", o.id, a.id, "draft", fmt.Sprintf("PO %d", c.next()), time.Now().UTC().Truncate(time.Millisecond), "EUR")
	if err != nil {
		return o, err
	}
	for n := range o.lines {
		if err := c.crm.exec("insert into order_lines ("+crmColumns["order_lines"]+") values (?, ?, ?, ?, ?, ?, ?)", c.orderLine(c.w, o.id, n+1)...); err != nil {
			return o, err
		}
	}
	status := "won"
	if o.lost {
		status = "lost"
	}
	if err := c.crm.exec("update orders set status = ? where id = ?", status, o.id); err != nil {
		return o, err
	}
	if !o.lost {
		c.w.orderWon(o)
	}
	return o, nil
}
