package main

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// account is a customer that the CRM's office can work on.
type account struct {
	id   string
	home place
	// debtor is the ERP's key of the same customer, 0 where the ERP did not know it
	// before the start.
	debtor   int64
	company  company
	customer bool // and not a lead
	ordered  bool
}

// product is what an order can be for.
type product struct {
	sku   string
	crmID int // 0: the CRM did not know it before the start
	price string
}

// order is an order of the CRM: won, unless lost.
type order struct {
	id    string
	lines int
	lost  bool
}

// world is what the offices know, and what the databases must hold at the end
// because of it.
type world struct {
	known, onlyCRM, onlyERP int
	products                []product
	// sellable are the products that were in the CRM before the start.
	sellable []product
	// debtors are the keys that the ERP's office works on.
	debtors []int64
	// followed is the customer of the story; the offices leave it alone.
	followed *account

	last atomic.Int64 // for makers

	// mu guards the fields below.
	mu sync.Mutex
	// accounts are those not deleted.
	accounts []*account
	won      []order
	// wantAccounts and wantDebtors are how many rows there must be in the end.
	wantAccounts, wantDebtors int
}

func (w *world) maker(seed, who uint64) *maker {
	return &maker{rand.New(rand.NewPCG(seed, who)), func() int { return int(w.last.Add(1)) }}
}

func (w *world) wonOrders() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.won)
}

// account picks one that satisfies want, or nil after some tries.
func (w *world) account(m *maker, want func(*account) bool) *account {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range 200 {
		if a := pick(m, w.accounts); want(a) {
			return a
		}
	}
	return nil
}

func (w *world) add(a *account) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accounts = append(w.accounts, a)
	w.wantAccounts++
	if a.customer {
		w.wantDebtors++
	}
}

// takeForDeletion removes an account without orders that both sides know.
func (w *world) takeForDeletion(m *maker) *account {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range 200 {
		i := m.IntN(len(w.accounts))
		if a := w.accounts[i]; a.debtor != 0 && !a.ordered {
			w.accounts = append(w.accounts[:i], w.accounts[i+1:]...)
			return a
		}
	}
	return nil
}

// forOrder picks a customer, and marks it so that nobody deletes it.
func (w *world) forOrder(m *maker) *account {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range 200 {
		if a := pick(m, w.accounts); a.customer {
			a.ordered = true
			return a
		}
	}
	return nil
}

func (w *world) orderWon(o order) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.won = append(w.won, o)
}

func (w *world) newDebtor(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.debtors = append(w.debtors, id)
	w.wantAccounts++
	w.wantDebtors++
}

func (w *world) debtor(m *maker) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return pick(m, w.debtors)
}

// promote makes a lead a customer, as far as the world goes.
func (w *world) promote(m *maker) *account {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range 200 {
		if a := pick(m, w.accounts); !a.customer && a.debtor == 0 {
			a.customer = true
			w.wantDebtors++
			return a
		}
	}
	return nil
}
