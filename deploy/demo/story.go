package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// storyPace is the pause between two edits of the followed customer.
	storyPace = 700 * time.Millisecond
	// arrivalPatience bounds the way of one edit to the other side; a process that
	// is killed and started meanwhile is part of it.
	arrivalPatience = 45 * time.Second
	// look is how often the story looks whether an edit has arrived.
	look = 10 * time.Millisecond
	// remembered is how many lines of the story the view can show.
	remembered = 40
)

// story follows one customer: it edits it now and then on one side and measures
// when the edit is on the other. Nobody else touches this customer.
type story struct {
	*clerk
	a    *account
	view *view

	mu    sync.Mutex
	lines []string
	took  []time.Duration
	late  []string
}

func newStory(w *world, crm, erp *side, c *counts, v *view) *story {
	o := newOffices(w, crm, erp, c, 0)
	return &story{clerk: &clerk{w.maker(1, 99), o}, a: w.followed, view: v}
}

func (s *story) who() string {
	return fmt.Sprintf("%s (account %s…, debtor %d)", s.a.company.name, s.a.id[:8], s.a.debtor)
}

// chapter is one edit of the story.
type chapter struct {
	kind string
	do   func(*story, context.Context) error
}

var chapters = []chapter{
	{"story phone", func(s *story, ctx context.Context) error {
		e164 := phoneAt(s.a.home, s.next())
		return s.fromCRM(ctx, "phone", s.typed(s.a.home, e164), "tel", e164)
	}},
	{"story credit limit", func(s *story, ctx context.Context) error {
		limit := strconv.Itoa(500 * (1 + s.IntN(200)))
		return s.fromERP(ctx, "credit_limit", limit, "credit_limit", limit)
	}},
	{"story both, different fields", (*story).differentFields},
	{"story order", (*story).anOrder},
	{"story e-mail", func(s *story, ctx context.Context) error {
		mail := s.mail("office", s.a.company.slug)
		return s.fromCRM(ctx, "email", mail, "mail", mail)
	}},
	{"story hold", func(s *story, ctx context.Context) error {
		was, err := s.read(ctx, s.erp, "hold")
		if err != nil {
			return err
		}
		now, there := "J", "1"
		if was == "J" {
			now, there = "N", "0"
		}
		return s.fromERP(ctx, "hold", now, "on_hold", there)
	}},
	{"story both, the same field", (*story).sameField},
	{"story name", func(s *story, ctx context.Context) error {
		name := fmt.Sprintf("%s %s %d", pick(s.maker, owners), pick(s.maker, trades), s.next())
		return s.fromCRM(ctx, "name", name, "name1", name)
	}},
	{"story telephone", func(s *story, ctx context.Context) error {
		e164 := phoneAt(s.a.home, s.next())
		return s.fromERP(ctx, "tel", e164, "phone", e164)
	}},
}

// run tells chapter after chapter until ctx ends; a chapter that has begun is told
// to its end.
func (s *story) run(ctx context.Context) error {
	for n := 0; ; n++ {
		ch := chapters[n%len(chapters)]
		inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), arrivalPatience)
		err := ch.do(s, inner)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			s.miss("%s: not arrived after %s", ch.kind, arrivalPatience)
		case err != nil:
			return fmt.Errorf("%s: %w", ch.kind, err)
		default:
			s.counts.add(ch.kind)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(storyPace):
		}
	}
}

func (s *story) fromCRM(ctx context.Context, column, value, there, want string) error {
	return s.across(ctx, s.crm, s.erp, column, value, there, want)
}

func (s *story) fromERP(ctx context.Context, column, value, there, want string) error {
	return s.across(ctx, s.erp, s.crm, column, value, there, want)
}

// across edits a column on one side and waits for the value on the other.
func (s *story) across(ctx context.Context, from, to *side, column, value, there, want string) error {
	if err := s.write(from, column, value); err != nil {
		return err
	}
	at := time.Now()
	s.tell(at, from, "%s → %s", column, value)
	got, err := s.arrives(ctx, to, there, want)
	if err != nil {
		return err
	}
	s.arrived(at, to, "%s = %s", there, got)
	return nil
}

func (s *story) write(on *side, column, value string) error {
	if on == s.crm {
		return on.exec("update accounts set "+column+" = ?, modified_at = ? where id = ?", value, now(), s.a.id)
	}
	return on.exec("update debtor set "+column+" = ? where id = ?", value, s.a.debtor)
}

func (s *story) read(ctx context.Context, on *side, column string) (string, error) {
	var v sql.NullString
	query, key := "select "+column+" from debtor where id = ?", any(s.a.debtor)
	if on == s.crm {
		query, key = "select "+column+" from accounts where id = ?", s.a.id
	}
	err := on.db.QueryRowContext(ctx, on.bind(query), key).Scan(&v)
	return v.String, err
}

// arrives waits until a column holds a value, in whatever spelling.
func (s *story) arrives(ctx context.Context, on *side, column, want string) (got string, err error) {
	return got, until(ctx, func() (bool, error) {
		got, err = s.read(ctx, on, column)
		return same(got, want), err
	})
}

// until asks again and again.
func until(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
}

// same compares two spellings: of a telephone number, a decimal, a truth, an
// address or a name.
func same(a, b string) bool {
	return a == b || spelled(a) == spelled(b)
}

var truths = map[string]string{"true": "1", "false": "0", "J": "1", "N": "0", "1": "1", "0": "0"}

func spelled(s string) string {
	if t, ok := truths[s]; ok {
		return t
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && !strings.HasPrefix(s, "+") && !strings.HasPrefix(s, "0") {
		return strconv.FormatFloat(f, 'f', 4, 64)
	}
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" /()-", r) {
			return -1
		}
		return r
	}, s)
	if strings.HasPrefix(digits, "0") && len(digits) > 4 {
		return "+49" + digits[1:]
	}
	return strings.ToLower(digits)
}

// differentFields is the crossing that loses nothing.
func (s *story) differentFields(ctx context.Context) error {
	mail, limit := s.mail("office", s.a.company.slug), strconv.Itoa(500*(1+s.IntN(200)))
	err := atOnce(func() error { return s.write(s.crm, "email", mail) }, func() error { return s.write(s.erp, "credit_limit", limit) })
	if err != nil {
		return err
	}
	at := time.Now()
	s.tell(at, s.crm, "email → %s, while in the ERP credit_limit → %s", mail, limit)
	if _, err := s.arrives(ctx, s.erp, "mail", mail); err != nil {
		return err
	}
	if _, err := s.arrives(ctx, s.crm, "credit_limit", limit); err != nil {
		return err
	}
	s.arrived(at, s.erp, "both edits are on both sides")
	return nil
}

// sameField is the crossing that the rule decides.
func (s *story) sameField(ctx context.Context) error {
	one, other := phoneAt(s.a.home, s.next()), phoneAt(s.a.home, s.next())
	err := atOnce(func() error { return s.write(s.crm, "phone", one) }, func() error { return s.write(s.erp, "tel", other) })
	if err != nil {
		return err
	}
	at := time.Now()
	s.tell(at, s.crm, "phone → %s, while in the ERP tel → %s", one, other)
	var left, right string
	err = until(ctx, func() (bool, error) {
		if left, err = s.read(ctx, s.crm, "phone"); err != nil {
			return false, err
		}
		right, err = s.read(ctx, s.erp, "tel")
		return same(left, right), err
	})
	if err != nil {
		return err
	}
	winner := s.crm
	if same(left, other) {
		winner = s.erp
	}
	s.arrived(at, winner, "its value stays on both sides: %s", right)
	return nil
}

// anOrder is won in the CRM; its number comes back from the ERP.
func (s *story) anOrder(ctx context.Context) error {
	o, err := s.order(s.a)
	if err != nil {
		return err
	}
	at := time.Now()
	if o.lost {
		s.tell(at, s.crm, "an order is lost, which stays here")
		return nil
	}
	s.tell(at, s.crm, "an order of %s is won", lines(o.lines))
	var id, no string
	err = until(ctx, func() (bool, error) {
		found, err := s.erp.texts(ctx, "select o.id, o.order_no, count(*) from sales_order o join sales_order_line l on l.order_id = o.id where o.ext_ref = ? group by o.id, o.order_no", o.id)
		if err != nil || len(found) == 0 {
			return false, err
		}
		id, no = found[0][0], found[0][1]
		if found[0][2] != strconv.Itoa(o.lines) {
			s.miss("the order %s is in the ERP with %s of its %d lines", no, found[0][2], o.lines)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	s.arrived(at, s.erp, "order %s with %s", no, lines(o.lines))
	if err := s.orderHas(ctx, o.id, "erp_order_no", no); err != nil {
		return err
	}
	s.tell(time.Now(), s.crm, "erp_order_no = %s  (%s later)", no, millis(time.Since(at)))
	return s.confirm(ctx, o.id, id)
}

// confirm moves the order on in the ERP.
func (s *story) confirm(ctx context.Context, crmID, erpID string) error {
	if err := s.erp.exec("update sales_order set status = 'SHIPPED' where id = ?", erpID); err != nil {
		return err
	}
	at := time.Now()
	s.tell(at, s.erp, "the order is shipped")
	if err := s.orderHas(ctx, crmID, "erp_status", "shipped"); err != nil {
		return err
	}
	s.arrived(at, s.crm, "erp_status = shipped")
	return nil
}

func (s *story) orderHas(ctx context.Context, id, column, want string) error {
	return until(ctx, func() (bool, error) {
		found, err := s.crm.texts(ctx, "select "+column+" from orders where id = ?", id)
		return err == nil && len(found) == 1 && found[0][0] == want, err
	})
}

func lines(n int) string {
	if n == 1 {
		return "1 line"
	}
	return fmt.Sprintf("%d lines", n)
}

func (s *story) tell(at time.Time, where *side, format string, args ...any) {
	line := fmt.Sprintf("%s  %s  %s", at.Format("15:04:05.0"), where.upper(), fmt.Sprintf(format, args...))
	s.mu.Lock()
	s.lines = append(s.lines, line)
	s.lines = s.lines[max(0, len(s.lines)-remembered):]
	s.mu.Unlock()
	s.view.line(line)
}

// arrived tells it with the time that it took.
func (s *story) arrived(since time.Time, where *side, format string, args ...any) {
	took := time.Since(since)
	s.tell(time.Now(), where, format+"  (%s later)", append(args, millis(took))...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, took)
}

func (s *story) miss(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, fmt.Sprintf(format, args...))
}

// last are the newest lines.
func (s *story) last(n int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines[max(0, len(s.lines)-n):])
}

// quantiles are the median and the 99th of a hundred of the times.
func (s *story) quantiles() (n int, p50, p99 time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.took) == 0 {
		return 0, 0, 0
	}
	t := slices.Clone(s.took)
	slices.Sort(t)
	return len(t), t[len(t)/2], t[len(t)*99/100]
}

func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
