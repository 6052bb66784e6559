package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// How much there is before the start.
const (
	knownOnBoth  = 1500
	onlyInCRM    = 300
	onlyInERP    = 200
	seedProducts = 400
	seedOrders   = 300
)

// rows are those of a bulk insert, by table.
type rows map[string][][]any

func (r rows) add(table string, cells ...any) { r[table] = append(r[table], cells) }

// The columns of the bulk inserts, by table.
var (
	crmColumns = map[string]string{
		"accounts":          "id, name, phone, email, website, vat_id, industry, rating, status, payment_terms, credit_limit, erp_no",
		"account_addresses": "id, account_id, kind, street, city, zip, country",
		"contacts":          "id, account_id, first_name, last_name, email, phone, role",
		"products":          "sku, name, unit, list_price",
		"orders":            "id, account_id, status, customer_po, ordered_at, currency",
		"order_lines":       "id, order_id, product_id, position, qty, unit_price, discount",
	}
	erpColumns = map[string]string{
		"debtor":         "name1, tel, mail, vat_no, segment, pay_terms, credit_limit, open_amount, hold",
		"debtor_address": "debtor_id, art, street, town, postcode, iso2",
		"debtor_contact": "debtor_id, full_name, mail, tel, `function`",
		"item":           "item_no, descr, uom",
		"price":          "item_no, list, currency, amount",
		"stock":          "item_no, warehouse, on_hand, reserved",
	}
)

// seeding fills two empty databases.
type seeding struct {
	*maker
	w        *world
	crm, erp *side
	c, e     rows
	// erpCompanies are in the order of the debtors' keys.
	erpCompanies []company
}

// seed fills both databases; the same number gives the same records.
func seed(ctx context.Context, number uint64, crm, erp *side) (*world, error) {
	w := &world{known: knownOnBoth, onlyCRM: onlyInCRM, onlyERP: onlyInERP}
	s := &seeding{maker: w.maker(number, 0), w: w, crm: crm, erp: erp, c: rows{}, e: rows{}}
	s.customers()
	s.items()
	if err := s.write(ctx, erp, s.e, erpColumns, "debtor", "item"); err != nil {
		return nil, err
	}
	if err := s.numberDebtors(ctx); err != nil {
		return nil, err
	}
	if err := s.write(ctx, erp, s.e, erpColumns, "debtor_address", "debtor_contact", "price", "stock"); err != nil {
		return nil, err
	}
	if err := s.write(ctx, crm, s.c, crmColumns, "accounts", "account_addresses", "contacts", "products"); err != nil {
		return nil, err
	}
	if err := s.orders(ctx); err != nil {
		return nil, err
	}
	return w, s.write(ctx, crm, s.c, crmColumns, "orders", "order_lines")
}

func (s *seeding) write(ctx context.Context, to *side, from rows, columns map[string]string, tables ...string) error {
	for _, t := range tables {
		if err := to.insert(ctx, t, columns[t], from[t]); err != nil {
			return fmt.Errorf("%s: %s: %w", to.name, t, err)
		}
	}
	return nil
}

// howKnown is what the two records of one customer have in common.
type howKnown int

const (
	byVAT howKnown = iota
	byMailAndPhone
	byNumber
)

func (s *seeding) customers() {
	for i := range knownOnBoth {
		c := s.company()
		how := byVAT
		switch {
		case i == 0: // the story's
		case i%20 >= 17:
			how = byNumber
		case i%20 >= 12:
			how = byMailAndPhone
		}
		a := s.account(c, how, fmt.Sprintf("D%05d", i+1), i == 0 || s.IntN(20) > 0)
		a.debtor = int64(i + 1) // until numberDebtors
		s.w.accounts = append(s.w.accounts, a)
		s.debtor(c, how)
	}
	s.w.followed, s.w.accounts = s.w.accounts[0], s.w.accounts[1:]
	for range onlyInERP {
		s.debtor(s.company(), byVAT)
	}
	s.w.wantAccounts, s.w.wantDebtors = knownOnBoth+onlyInERP, knownOnBoth+onlyInERP
	for i := range onlyInCRM {
		s.w.add(s.account(s.company(), byVAT, "", i%5 < 2))
	}
}

// account is the CRM's record of a company. Without number it is not in the ERP.
func (s *seeding) account(c company, how howKnown, number string, customer bool) *account {
	id := s.uuid()
	status, vatID, erpNo := "lead", any(c.vat), any(nil)
	if customer {
		status = "customer"
	}
	name, phone, mail := c.name, s.typed(c.place, c.phone), c.email
	switch {
	case number == "":
	case how == byNumber:
		name, vatID, erpNo, mail = s.respelled(name), nil, number, s.mail("sales", c.slug)
	case how == byMailAndPhone:
		name, vatID = s.respelled(name), nil
	default:
		name = s.respelled(name)
		if s.IntN(3) == 0 {
			vatID = ascii(c.vat)
		}
	}
	s.c.add("accounts", id, name, phone, mail, "https://www."+c.slug+".example", vatID,
		pick(s.maker, []string{"Manufacturing", "Retail", "Wholesale", "Services", "Public"}), pick(s.maker, []string{"A", "B", "C"}), status, nil, nil, erpNo)
	country := countryNames[c.place.country]
	if s.IntN(4) == 0 {
		country = c.place.country
	}
	s.c.add("account_addresses", s.uuid(), id, "billing", c.street, c.place.city, c.zip, country)
	if s.IntN(4) == 0 {
		s.c.add("account_addresses", s.uuid(), id, "shipping", pick(s.maker, streets)+" 1", c.place.city, c.zip, country)
	}
	for _, p := range c.people {
		s.c.add("contacts", s.uuid(), id, p.first, p.last, p.email, s.typed(c.place, p.phone), p.role)
	}
	return &account{id: id, home: c.place, company: c, customer: customer}
}

// debtor is the ERP's record of a company; its children wait for its key.
func (s *seeding) debtor(c company, how howKnown) {
	vatNo := any(c.vat)
	if how == byMailAndPhone && s.IntN(2) == 0 {
		vatNo = nil
	}
	s.e.add("debtor", c.name, c.phone, c.email, vatNo, pick(s.maker, []string{"MFG", "RET", "SVC", "GOV"}), pick(s.maker, []int{0, 14, 30, 60}),
		strconv.Itoa(1000*s.IntN(50)), s.money(20000), "N")
	s.erpCompanies = append(s.erpCompanies, c)
}

// numberDebtors reads the keys that the ERP gave and adds what hangs on them.
func (s *seeding) numberDebtors(ctx context.Context) error {
	found, err := s.erp.texts(ctx, "select id, debtor_no from debtor order by id")
	if err != nil {
		return err
	}
	if len(found) != len(s.erpCompanies) {
		return fmt.Errorf("erp: %d debtors, not the %d written", len(found), len(s.erpCompanies))
	}
	for i, f := range found {
		id, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil || f[1] != fmt.Sprintf("D%05d", i+1) {
			return fmt.Errorf("erp: debtor %s has the number %s: %w", f[0], f[1], err)
		}
		s.w.debtors = append(s.w.debtors, id)
		c := s.erpCompanies[i]
		s.e.add("debtor_address", id, "R", c.street, c.place.city, c.zip, c.place.country)
		for _, p := range c.people[:1] {
			s.e.add("debtor_contact", id, p.last+", "+p.first, p.email, p.phone, p.role)
		}
	}
	s.w.followed.debtor = s.w.debtors[0]
	for _, a := range s.w.accounts {
		if a.debtor != 0 {
			a.debtor = s.w.debtors[a.debtor-1]
		}
	}
	s.w.debtors = s.w.debtors[1:] // the story's is left alone
	return nil
}

// items are the ERP's products; the CRM knows most of them, with older prices.
func (s *seeding) items() {
	for i := range seedProducts {
		p := product{sku: fmt.Sprintf("P-%05d", 10000+7*i), price: s.money(400)}
		name := fmt.Sprintf("%s %d mm", pick(s.maker, items), 5*(1+s.IntN(60)))
		uom := s.IntN(4)
		s.e.add("item", p.sku, name, []string{"ST", "KG", "M", "H"}[uom])
		s.e.add("price", p.sku, "A", "EUR", p.price)
		if s.IntN(3) == 0 {
			s.e.add("price", p.sku, "B", "EUR", s.money(300))
		}
		for _, place := range []string{"BER", "MUC"}[:1+s.IntN(2)] {
			s.e.add("stock", p.sku, place, strconv.Itoa(s.IntN(500)), strconv.Itoa(s.IntN(20)))
		}
		if i%10 > 0 {
			s.c.add("products", p.sku, name, []string{"piece", "kilogram", "metre", "hour"}[uom], s.money(400))
		}
		s.w.products = append(s.w.products, p)
	}
}

// orders adds those won before the start, now that the CRM has numbered its products.
func (s *seeding) orders(ctx context.Context) error {
	found, err := s.crm.texts(ctx, "select sku, id from products order by id")
	if err != nil {
		return err
	}
	ids := map[string]int{}
	for _, f := range found {
		if ids[f[0]], err = strconv.Atoi(f[1]); err != nil {
			return fmt.Errorf("crm: product %s: %w", f[0], err)
		}
	}
	for i := range s.w.products {
		p := &s.w.products[i]
		if p.crmID = ids[p.sku]; p.crmID != 0 {
			s.w.sellable = append(s.w.sellable, *p)
		}
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	for range seedOrders {
		a := s.w.forOrder(s.maker)
		o := order{id: s.uuid(), lines: 1 + s.IntN(5)}
		s.c.add("orders", o.id, a.id, "won", fmt.Sprintf("PO %d", s.next()), now.Add(-time.Duration(s.IntN(2000))*time.Hour), "EUR")
		for n := range o.lines {
			s.c.add("order_lines", s.orderLine(s.w, o.id, n+1)...)
		}
		s.w.orderWon(o)
	}
	return nil
}

// orderLine is the values of crmColumns["order_lines"].
func (m *maker) orderLine(w *world, orderID string, position int) []any {
	p := pick(m, w.sellable)
	return []any{m.uuid(), orderID, p.crmID, position, strconv.Itoa(1 + m.IntN(40)), p.price, strconv.Itoa(5 * m.IntN(4))}
}
