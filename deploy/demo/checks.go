package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// checkBusiness checks, with queries of the demo's own, what the two offices would
// complain about first.
func (d *demo) checkBusiness(ctx context.Context) error {
	d.view.say("The demo's own checks:")
	for _, check := range []func(context.Context) error{d.checkOrders, d.checkNumbers, d.checkTwins} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	for _, s := range d.story.late {
		d.fail("%s", s)
	}
	return nil
}

// checkOrders compares every won order with what the ERP made of it: once, and with
// all its lines.
func (d *demo) checkOrders(ctx context.Context) error {
	want, err := d.crmSide.texts(ctx, `select o.id, l.position, p.sku, l.qty, l.unit_price, l.discount from orders o
		join order_lines l on l.order_id = o.id join products p on p.id = l.product_id where o.status = 'won' order by o.id, l.position`)
	if err != nil {
		return err
	}
	got, err := d.erpSide.texts(ctx, `select o.ext_ref, l.pos, l.item_no, l.qty, l.price, l.discount from sales_order o
		join sales_order_line l on l.order_id = o.id order by o.ext_ref, l.pos`)
	if err != nil {
		return err
	}
	count, err := d.erpSide.texts(ctx, "select count(*), count(distinct ext_ref) from sales_order")
	if err != nil {
		return err
	}
	won := len(d.world.won)
	if count[0][0] != strconv.Itoa(won) || count[0][1] != count[0][0] {
		d.fail("%d orders were won, the ERP has %s, of %s references", won, count[0][0], count[0][1])
	}
	if a, b := orderLines(want), orderLines(got); a != b {
		d.fail("the lines of the orders differ: %s", firstDifference(a, b))
	}
	d.view.say("  %d orders with %d lines were won in the CRM; the ERP has %s with %d lines", won, len(want), count[0][0], len(got))
	return nil
}

// orderLines is a text of lines that is equal when they are.
func orderLines(rows [][]string) string {
	var b strings.Builder
	for _, r := range rows {
		for i := 3; i < len(r); i++ {
			if f, err := strconv.ParseFloat(r[i], 64); err == nil {
				r[i] = strconv.FormatFloat(f, 'f', 4, 64)
			}
		}
		fmt.Fprintln(&b, strings.Join(r, " "))
	}
	return b.String()
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("CRM %q, ERP %q", x[i], y[i])
		}
	}
	return fmt.Sprintf("%d lines in the CRM, %d in the ERP", len(x)-1, len(y)-1)
}

// checkNumbers compares how many records there are with how many there must be:
// what each office made, once on the other side.
func (d *demo) checkNumbers(ctx context.Context) error {
	w := d.world
	for _, c := range []struct {
		side  *side
		table string
		want  int
	}{{d.crmSide, "accounts", w.wantAccounts}, {d.erpSide, "debtor", w.wantDebtors}, {d.crmSide, "products", len(w.products)}, {d.erpSide, "item", len(w.products)}} {
		got, err := c.side.texts(ctx, "select count(*) from "+c.table)
		if err != nil {
			return err
		}
		if got[0][0] != strconv.Itoa(c.want) {
			d.fail("%s: %s rows in %s, there must be %d", c.side.name, got[0][0], c.table, c.want)
		}
		d.view.say("  %s: %s rows in %s, there must be %d", c.side.name, got[0][0], c.table, c.want)
	}
	return nil
}

// checkTwins looks for records linked or created twice.
func (d *demo) checkTwins(ctx context.Context) error {
	for _, c := range []struct {
		side  *side
		query string
		what  string
	}{
		{d.erpSide, "select vat_no from debtor where vat_no is not null group by vat_no having count(*) > 1", "debtors with the VAT number"},
		{d.crmSide, "select upper(vat_id) from accounts where vat_id is not null group by upper(vat_id) having count(*) > 1", "accounts with the VAT number"},
		{d.crmSide, "select erp_no from accounts where erp_no is not null group by erp_no having count(*) > 1", "accounts of the debtor"},
		{d.crmSide, "select hub from strait.link group by entity, hub having count(*) > 1", "CRM records with the link"},
		{d.erpSide, "select hub from strait.link group by entity, hub having count(*) > 1", "ERP records with the link"},
		{d.erpSide, "select native_key from strait.link group by entity, native_key having count(*) > 1", "links of the ERP record"},
	} {
		found, err := c.side.texts(ctx, c.query)
		if err != nil {
			return err
		}
		for _, f := range found {
			d.fail("there are several %s %s", c.what, f[0])
		}
	}
	return nil
}

// report prints what was done, and fails if it was nothing.
func (d *demo) report() {
	st := d.watch.totals()
	d.view.say("Edits of the offices:")
	for _, l := range d.counts.lines() {
		d.view.say("  %s", l)
	}
	d.view.say("Writes of strait, since it first started:")
	for _, f := range st.Flows {
		d.view.say("  %-22s %7d writes of %7d fields, %d missed, %d refused", f.Entity+" "+f.From+" → "+f.To, f.Applied, f.Fields, f.Missed, f.Refused)
		if f.Applied == 0 && (f.Entity != "product" || f.To == "crm") {
			d.fail("nothing was written: %s to %s", f.Entity, f.To)
		}
	}
	var conflicts int64
	for _, e := range st.Entities {
		conflicts += e.Conflicts
		if e.Parked > 0 {
			d.fail("%d of %s are parked", e.Parked, e.Entity)
		}
	}
	n, p50, p99 := d.story.quantiles()
	d.view.say("%d edits, %d conflicts recorded, strait killed %d times", d.counts.total(), conflicts, d.strait.killed())
	d.view.say("From an edit to its arrival on the other side: p50 %s, p99 %s (%d edits of the story)", millis(p50), millis(p99), n)
	if d.counts.total() == 0 || n == 0 {
		d.fail("the offices did nothing")
	}
	if k := d.strait.killed(); k != d.kills {
		d.fail("strait was killed %d times, not %d", k, d.kills)
	}
}
