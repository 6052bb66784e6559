package transform

import (
	"encoding/json"
	"fmt"

	"github.com/strait-cdc/strait/schemas"
)

// record is what is remembered of one entity: the pairing of its records on both
// sides and what they agreed on. Half records have a key on one side only.
type record struct {
	Entity string `json:"entity"`
	Hub    string `json:"hub"`
	item
	// Children are the items of each child part, by its name, in order of hub id.
	Children map[string][]*item `json:"children,omitempty"`
	// Pending is the batch of each side that has not been answered yet, 0 for none.
	// While one is pending the entity is not planned.
	Pending [2]int64 `json:"pending"`
	// Miss remembers the last write to each side whose guard did not hold.
	Miss [2]*miss `json:"miss,omitempty"`
}

// item is one record of a part on both sides.
type item struct {
	ID string `json:"id"`
	// Keys are the native keys, empty where there is no row.
	Keys [2]string `json:"keys"`
	// Linked says that strait.link of that side holds the link.
	Linked [2]bool `json:"linked"`
	// Former says that strait.link of that side may still hold a row that is gone: it
	// is marked dead before another is made.
	Former [2]bool `json:"former"`
	// Dead says that the record was deleted; the link stays so that what still
	// arrives for it is never taken for a new record.
	Dead bool `json:"dead,omitempty"`
	// AtDeath tells on which side the record was left in place.
	AtDeath [2]bool `json:"atDeath,omitempty"`
	// Removed tells on which side we deleted the row; children that a user adds there
	// meanwhile go with it.
	Removed [2]bool `json:"removed"`
	// Undo holds what a deletion overwrote with its cells, so that a revival can put
	// it back.
	Undo [2][]schemas.Cell `json:"undo,omitempty"`
	// Fields are the agreed values by field name.
	Fields map[string]*fieldState `json:"fields,omitempty"`

	// paired says that the item has just taken over another item's row, whose link
	// is still to be pointed here.
	paired bool
}

// fieldState is what both sides last agreed on for one field.
type fieldState struct {
	// Agreed says that there is an agreed value V; without it the state only holds
	// a parked field.
	Agreed bool          `json:"a"`
	V      schemas.Value `json:"v"`
	// Edit is, for each side, the strait.seq of the last user's edit of the field that
	// was known there when the value was agreed. A higher one is a newer edit: commit
	// times are too coarse to tell (MariaDB's have whole seconds).
	Edit [2]uint64 `json:"e"`
	// By is the side the value came from, -1 when both held it.
	By int `json:"by"`
	// Wrote says that the value on that side was written by us.
	Wrote [2]bool `json:"w"`
	// Bounce counts how often what we wrote came back changed without a user's
	// edit; Back is the value that came last.
	Bounce int           `json:"b,omitempty"`
	Back   schemas.Value `json:"back,omitempty"`
	// Held says why the field is parked; HeldAt and HeldV are the edits and values it
	// was parked with: a newer edit or another value frees it.
	Held   string           `json:"held,omitempty"`
	HeldAt [2]uint64        `json:"heldAt"`
	HeldV  [2]schemas.Value `json:"heldV"`
}

// miss is a write that was not made. If its guard did not hold nothing is planned
// for that side before the mark of the batch has been folded; if the target
// refused it the same write is not sent again.
type miss struct {
	Batch   int64  `json:"batch"`
	Refused bool   `json:"refused,omitempty"`
	Guard   uint64 `json:"guard"`
	Tries   int    `json:"tries"`
	Why     string `json:"why"`
}

func (r *record) encode() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic("record cannot be encoded: " + err.Error())
	}
	return b
}

func decodeRecord(b []byte) (*record, error) {
	r := &record{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("stored record: %w", err)
	}
	return r, nil
}

// field returns the state of a field, made if there is none.
func (it *item) field(name string) *fieldState {
	if it.Fields == nil {
		it.Fields = map[string]*fieldState{}
	}
	fs := it.Fields[name]
	if fs == nil {
		fs = &fieldState{By: -1}
		it.Fields[name] = fs
	}
	return fs
}

// vacate makes an item half whose row on a side is gone for good; what was agreed
// about it is void.
func (it *item) vacate(side int) {
	it.Former[side] = it.Former[side] || it.Keys[side] != ""
	it.Keys[side], it.Linked[side], it.Fields = "", false, nil
}

// half is the side that has no key, -1 if both have one.
func (it *item) half() int {
	switch {
	case it.Keys[0] == "":
		return 0
	case it.Keys[1] == "":
		return 1
	}
	return -1
}

// Conflict is a decision that overruled a value a user had entered.
type Conflict struct {
	Entity string    `json:"entity"`
	Hub    string    `json:"hub"`
	Child  string    `json:"child,omitempty"`
	Item   string    `json:"item"`
	Keys   [2]string `json:"keys"`
	Field  string    `json:"field"`
	// Base is the value agreed before, Values are those of the two sides.
	Base   schemas.Value    `json:"base"`
	Values [2]schemas.Value `json:"values"`
	When   [2]int64         `json:"when"` // µs since the epoch, 0 unknown
	// Winner is the side whose value stands: 0 or 1.
	Winner int `json:"winner"`
	// Rule names what decided: owner, last_writer, tie, prefer_non_empty, initial,
	// deleted.
	Rule string `json:"rule"`
	// At is when it was recorded, µs since the epoch.
	At int64 `json:"at"`
}

// Parked is an entity that waits for a person or for another record.
type Parked struct {
	Entity string    `json:"entity"`
	Hub    string    `json:"hub"`
	Keys   [2]string `json:"keys"`
	// Kind is waiting, ambiguous, duplicate, refused, value, guard, review or held.
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
	Since  int64  `json:"since"` // µs since the epoch
}
