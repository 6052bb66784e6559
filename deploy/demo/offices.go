package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// clerks is how many people work in each office, and how many pairs of them meet on
// one customer.
const clerks = 3

// counts is what the offices did, by kind of edit.
type counts struct {
	mu    sync.Mutex
	edits map[string]int
	sum   int
}

func newCounts() *counts { return &counts{edits: map[string]int{}} }

func (c *counts) add(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.edits[kind]++
	c.sum++
}

func (c *counts) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sum
}

// lines lists the counts.
func (c *counts) lines() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for kind, n := range c.edits {
		out = append(out, fmt.Sprintf("%-32s %6d", kind, n))
	}
	slices.Sort(out)
	return out
}

// edit is a kind of work with its share.
type edit struct {
	kind  string
	share int
	do    func(*clerk) error
}

// clerk is somebody at work.
type clerk struct {
	*maker
	*offices
}

// offices are the people on both sides.
type offices struct {
	w        *world
	crm, erp *side
	counts   *counts
	seed     uint64
}

func newOffices(w *world, crm, erp *side, c *counts, seed uint64) *offices {
	return &offices{w, crm, erp, c, seed}
}

// work lets everybody work until ctx ends. rate is in edits per second of all.
func (o *offices) work(ctx context.Context, rate float64) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, office := range []struct {
		share float64
		edits []edit
	}{{0.5, crmEdits}, {0.42, erpEdits}, {0.04, crossingEdits}} { // a crossing is two edits
		jobs := make(chan struct{}, clerks)
		g.Go(func() error { pace(ctx, rate*office.share, jobs); return nil })
		for n := range clerks {
			c := &clerk{o.w.maker(o.seed, uint64(100*(i+1)+n)), o}
			g.Go(func() error { return c.work(ctx, jobs, office.edits) })
		}
	}
	return g.Wait()
}

// pace gives out jobs at a rate; what nobody is free to take is dropped.
func pace(ctx context.Context, rate float64, jobs chan<- struct{}) {
	t := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			select {
			case jobs <- struct{}{}:
			default:
			}
		}
	}
}

func (c *clerk) work(ctx context.Context, jobs <-chan struct{}, edits []edit) error {
	sum := 0
	for _, e := range edits {
		sum += e.share
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-jobs:
		}
		n := c.IntN(sum)
		for _, e := range edits {
			if n -= e.share; n >= 0 {
				continue
			}
			if err := e.do(c); err != nil {
				return fmt.Errorf("an office cannot work: %s: %w", e.kind, err)
			}
			c.counts.add(e.kind)
			break
		}
	}
}

// crossingEdits happen on both sides at the same moment, to the same customer.
var crossingEdits = []edit{
	{"both  different fields at once", 2, func(c *clerk) error {
		a := c.w.account(c.maker, isKnown)
		return atOnce(
			func() error {
				return c.crm.exec("update accounts set email = ?, modified_at = ? where id = ?", c.mail("office", a.company.slug), now(), a.id)
			},
			func() error {
				return c.erp.exec("update debtor set tel = ?, credit_limit = ? where id = ?", phoneAt(a.home, c.next()), c.money(50000), a.debtor)
			})
	}},
	{"both  the same field at once", 1, func(c *clerk) error {
		a := c.w.account(c.maker, isKnown)
		one, other := c.typed(a.home, phoneAt(a.home, c.next())), phoneAt(a.home, c.next())
		return atOnce(
			func() error {
				return c.crm.exec("update accounts set phone = ?, modified_at = ? where id = ?", one, now(), a.id)
			},
			func() error { return c.erp.exec("update debtor set tel = ? where id = ?", other, a.debtor) })
	}},
	{"both  the same contact at once", 1, func(c *clerk) error {
		a := c.w.account(c.maker, isKnown)
		p := a.company.people[0] // the one that both sides have had from the start
		return atOnce(
			func() error {
				return c.crm.exec("update contacts set phone = ? where account_id = ? and email = ?", c.typed(a.home, phoneAt(a.home, c.next())), a.id, p.email)
			},
			func() error {
				return c.erp.exec("update debtor_contact set `function` = ? where debtor_id = ? and mail = ?", pick(c.maker, roles), a.debtor, p.email)
			})
	}},
}

func isKnown(a *account) bool { return a.debtor != 0 }

func anyAccount(*account) bool { return true }

// atOnce lets two people do something at the same moment.
func atOnce(one, other func() error) error {
	g := errgroup.Group{}
	g.Go(one)
	g.Go(other)
	return g.Wait()
}

// now is the time as the CRM's forms write it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
