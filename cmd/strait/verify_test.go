package main

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform"
	"github.com/strait-cdc/strait/transform/mapping"
)

// oneEntity has a single table with a name on both sides, read only on crm.
func oneEntity() *mapping.Set {
	text := schemas.Type{Kind: schemas.KindText}
	table := func(schema string) *schemas.Table {
		return &schemas.Table{Name: schemas.TableName{Schema: schema, Name: "t"}, Key: []int{0}, Columns: []schemas.Column{{Name: "id", Type: text}, {Name: "name", Type: text}}}
	}
	side := &mapping.FieldSide{Reads: []int{1}, Writes: []int{1}, In: func(e mapping.Env) (schemas.Value, error) { return e.Row[1], nil }}
	return &mapping.Set{Entities: []*mapping.Entity{{
		Name: "customer", Systems: [2]string{"crm", "erp"},
		Root: &mapping.Part{
			Fields: []*mapping.Field{{Name: "name", Type: text, Sides: [2]*mapping.FieldSide{side, side}}},
			Sides:  [2]*mapping.PartSide{{Table: table("a")}, {Table: table("b")}},
		},
	}}}
}

// sides gives crm and erp one linked record with these names.
func sides(crm, erp string) map[string]*transform.SideData {
	one := func(schema, name string) *transform.SideData {
		return &transform.SideData{
			Rows:  map[schemas.TableName][]schemas.Row{{Schema: schema, Name: "t"}: {{schemas.Text("1"), schemas.Text(name)}}},
			Links: []transform.LinkRow{{Link: schemas.Link{Entity: "customer", Hub: "h", NativeKey: "1"}}},
		}
	}
	return map[string]*transform.SideData{"crm": one("a", crm), "erp": one("b", erp)}
}

func TestVerifyWaitsForWhatIsOnItsWay(t *testing.T) {
	tests := []struct {
		name string
		wait time.Duration
		// erp is what erp holds after so long, crm holds "new".
		erp      func(after time.Duration) string
		bad      int
		atLeast  time.Duration
		lessThan time.Duration
	}{
		{"equal at once", 30 * time.Second, func(time.Duration) string { return "new" }, 0, 0, time.Second},
		{"equal after three seconds", 30 * time.Second, func(d time.Duration) string {
			if d < 3*time.Second {
				return "old"
			}
			return "new"
		}, 0, 3 * time.Second, 5 * time.Second},
		{"never equal", 30 * time.Second, func(time.Duration) string { return "old" }, 1, 30 * time.Second, 32 * time.Second},
		{"another value every second", 30 * time.Second, func(d time.Duration) string { return d.Truncate(time.Second).String() }, 0, 30 * time.Second, 32 * time.Second},
		{"no wait", 0, func(time.Duration) string { return "old" }, 1, 0, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				v := &verification{oneEntity(), func(context.Context) (map[string]*transform.SideData, error) {
					return sides("new", tt.erp(time.Since(began))), nil
				}}
				r, err := v.until(t.Context(), tt.wait)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); r.Bad() != tt.bad || took < tt.atLeast || took >= tt.lessThan {
					t.Errorf("%d differences after %v, want %d after %v to %v", r.Bad(), took, tt.bad, tt.atLeast, tt.lessThan)
				}
			})
		})
	}
}

func TestReportForAPerson(t *testing.T) {
	var b bytes.Buffer
	if err := printReport(&b, transform.Verify(oneEntity(), sides("Acme", "ACME")), false); err != nil {
		t.Fatal(err)
	}
	want := `customer  1 in crm  1 in erp  1 linked  1 fields compared
different: customer crm 1 = erp 1: name is "Acme" in crm and "ACME" in erp
1 difference, no records to look at
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
