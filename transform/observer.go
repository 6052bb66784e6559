package transform

import "github.com/strait-cdc/strait/schemas"

// Observer is told what the reconciler does, for metrics and displays. It is
// called from the reconciler's own goroutine and must not wait.
type Observer interface {
	// Folded: a commit of a system has been folded whole.
	Folded(system string, c *schemas.Commit)
	// Planned: intents of a batch have been written down.
	Planned(system string, intents int)
	// Applied: an intent was written; fields is how many business columns it set.
	Applied(system, entity string, fields int)
	// Missed: a guard did not hold, nothing was written.
	Missed(system, entity string)
	// Refused: the target would not take it.
	Refused(system, entity, key, reason string)
	// Conflict: a value was overruled.
	Conflict(c *Conflict)
	// Parked: an entity waits; Unparked: it no longer does.
	Parked(p *Parked)
	Unparked(entity, hub string)
	// Linked: two records were found to be the same, or one was created for the other.
	Linked(entity string, created bool)
	// Dirty is how many entities wait to be reconciled.
	Dirty(n int)
}

// NoObserver ignores everything.
type NoObserver struct{}

// Folded ignores a commit.
func (NoObserver) Folded(string, *schemas.Commit) {}

// Planned ignores a plan.
func (NoObserver) Planned(string, int) {}

// Applied ignores a write.
func (NoObserver) Applied(string, string, int) {}

// Missed ignores a miss.
func (NoObserver) Missed(string, string) {}

// Refused ignores a refusal.
func (NoObserver) Refused(string, string, string, string) {}

// Conflict ignores a conflict.
func (NoObserver) Conflict(*Conflict) {}

// Parked ignores a parked entity.
func (NoObserver) Parked(*Parked) {}

// Unparked ignores a freed entity.
func (NoObserver) Unparked(string, string) {}

// Linked ignores a link.
func (NoObserver) Linked(string, bool) {}

// Dirty ignores a number.
func (NoObserver) Dirty(int) {}
