package avro

import (
	"encoding/json"
	"fmt"

	"github.com/strait-cdc/strait/schemas"
)

// The headers of this package. Consumers written for Debezium ignore them.
const (
	// HeaderExact holds, as JSON, the values that the Avro form cannot hold, by
	// row and column: {"after":{"price":"t:NaN"}}. In the record itself such a
	// column is null (or zero, where it cannot be null).
	HeaderExact = "strait.exact"
	// HeaderBefore is "key" where of the row before only the key is known.
	HeaderBefore = "strait.before"
	// HeaderTxn is the id of the source transaction where the source block has no
	// field for it.
	HeaderTxn = "strait.txn"
)

const (
	sideBefore = "before"
	sideAfter  = "after"
)

// exact is the content of HeaderExact.
type exact map[string]map[string]schemas.Value

func (x *exact) put(side, column string, v schemas.Value) {
	if *x == nil {
		*x = exact{}
	}
	if (*x)[side] == nil {
		(*x)[side] = map[string]schemas.Value{}
	}
	(*x)[side][column] = v
}

// applyExact puts the exact values into the rows of a decoded change.
func applyExact(text []byte, c *schemas.Change) error {
	var x exact
	if err := json.Unmarshal(text, &x); err != nil {
		return fmt.Errorf("header %s: %w", HeaderExact, err)
	}
	for side, values := range x {
		row := c.Before
		if side == sideAfter {
			row = c.After
		}
		for name, v := range values {
			i := c.Table.Column(name)
			if i < 0 || i >= len(row) {
				return fmt.Errorf("header %s: no column %s in the %s of %s", HeaderExact, name, side, c.Table.Name)
			}
			row[i] = v
		}
	}
	return nil
}
