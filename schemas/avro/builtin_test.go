package avro

import (
	"context"
	"testing"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/registry"
)

// sliceLog is the log of a built-in registry.
type sliceLog [][2][]byte

func (l *sliceLog) Append(_ context.Context, key, value []byte) error {
	*l = append(*l, [2][]byte{key, value})
	return nil
}

func (l *sliceLog) Read(_ context.Context, each func(key, value []byte) error) error {
	for _, r := range *l {
		if err := each(r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

// TestBuiltin: our schemas pass the built-in registry, a table that loses a
// column included, and another process with only the log reads the records.
func TestBuiltin(t *testing.T) {
	log := &sliceLog{}
	reg, err := registry.NewBuiltin(context.Background(), log)
	if err != nil {
		t.Fatal(err)
	}
	enc := NewEncoder(reg, Source{System: "crm-prod", Connector: MySQL}, Options{VerifyEvery: 1})
	tab, row := wideTable()
	short := *tab
	short.Columns = tab.Columns[:9]
	records, err := enc.Encode(&schemas.Change{Op: schemas.Insert, Table: tab, Txn: pgTxn(), After: row}, nil)
	if err == nil {
		records, err = enc.Encode(&schemas.Change{Op: schemas.Insert, Table: &short, Txn: pgTxn(), After: row[:9]}, records)
	}
	if err != nil {
		t.Fatal(err)
	}
	other, err := registry.NewBuiltin(context.Background(), log)
	if err != nil {
		t.Fatal(err)
	}
	dec := NewDecoder(other)
	for i, n := range []int{len(row), 9} {
		var c schemas.Change
		decodeInto(t, dec, records[i], &c)
		if len(c.After) != n || c.After[8] != row[8] {
			t.Errorf("got %v", c.After)
		}
	}
	if len(*log) != 3 {
		t.Errorf("%d records in the log, want a key and two values", len(*log))
	}
}
