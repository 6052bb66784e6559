package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform"
	"github.com/strait-cdc/strait/transform/mapping"
)

const (
	// inFlight is how old a finding must be to count: a change that is on its way
	// looks like a difference for as long as it takes.
	inFlight = 5 * time.Second
	// shownFindings bounds the findings that are printed; --json has all.
	shownFindings = 50
)

func verifyCommand(load loader) *cobra.Command {
	var wait time.Duration
	var only []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare the two databases, record by record and field by field, under the mapping",
		Long: `Verify reads the mapped tables and strait.link of both databases and compares
them under the mapping. It needs neither Kafka nor a running strait.

A change on its way looks like a difference, so what differs is read again until
--wait is over; what has then been the same for 5 seconds (or for all of a shorter
--wait) is reported. The exit code is 1 if the databases disagree.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load()
			if err != nil {
				return err
			}
			v, err := cfg.newVerification(cmd.Context(), only)
			if err != nil {
				return err
			}
			report, err := v.until(cmd.Context(), wait)
			if err != nil {
				return err
			}
			if err := printReport(cmd.OutOrStdout(), report, asJSON); err != nil {
				return err
			}
			if report.Bad() > 0 {
				return errFindings
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long differences may take to go away")
	cmd.Flags().StringSliceVar(&only, "entity", nil, "compare only these entities")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the whole report as JSON")
	return cmd
}

// verification is a mapping with the databases to compare.
type verification struct {
	set  *mapping.Set
	read func(ctx context.Context) (map[string]*transform.SideData, error)
}

func (c *Config) newVerification(ctx context.Context, only []string) (*verification, error) {
	docs, err := c.loadMapping()
	if err != nil {
		return nil, err
	}
	for _, name := range only {
		if !slices.Contains(docs.EntityNames(), name) {
			return nil, fmt.Errorf("--entity %s: the mapping has %s", name, strings.Join(docs.EntityNames(), ", "))
		}
	}
	set, err := c.compile(ctx, docs)
	if err != nil {
		return nil, err
	}
	if len(only) > 0 {
		set = &mapping.Set{Entities: slices.DeleteFunc(slices.Clone(set.Entities), func(e *mapping.Entity) bool { return !slices.Contains(only, e.Name) })}
	}
	tables := transform.VerifyTables(set)
	return &verification{set, func(ctx context.Context) (map[string]*transform.SideData, error) { return c.readSides(ctx, tables) }}, nil
}

// until verifies again and again until nothing is found or the wait is over.
func (v *verification) until(ctx context.Context, wait time.Duration) (*transform.VerifyReport, error) {
	began := time.Now()
	seen := map[transform.Finding]time.Time{}
	for {
		data, err := v.read(ctx)
		if err != nil {
			return nil, err
		}
		report := transform.Verify(v.set, data)
		now := time.Now()
		seen = stillThere(seen, report, now)
		if report.Bad() == 0 || now.Sub(began) >= wait {
			dropYoung(report, seen, now.Add(-min(inFlight, wait)))
			return report, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(time.Second, max(wait-time.Since(began), 0))):
		}
	}
}

// stillThere says since when each finding of a report has been the same.
func stillThere(seen map[transform.Finding]time.Time, r *transform.VerifyReport, now time.Time) map[transform.Finding]time.Time {
	out := make(map[transform.Finding]time.Time, len(r.Findings))
	for _, f := range r.Findings {
		since, ok := seen[f]
		if !ok {
			since = now
		}
		out[f] = since
	}
	return out
}

// dropYoung leaves out what may still be on its way.
func dropYoung(r *transform.VerifyReport, seen map[transform.Finding]time.Time, before time.Time) {
	r.Findings = slices.DeleteFunc(r.Findings, func(f transform.Finding) bool { return f.Bad() && seen[f].After(before) })
}

// readSides reads both databases at about the same time.
func (c *Config) readSides(ctx context.Context, tables map[string][]*schemas.Table) (map[string]*transform.SideData, error) {
	systems := c.systems()
	sides := make([]*transform.SideData, len(systems))
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range systems {
		g.Go(func() (err error) {
			sides[i], err = readSide(ctx, s, tables[s.name])
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := map[string]*transform.SideData{}
	for i, s := range systems {
		out[s.name] = sides[i]
	}
	return out, nil
}

// readSide reads one database at one moment.
func readSide(ctx context.Context, s *SystemConfig, tables []*schemas.Table) (*transform.SideData, error) {
	db := s.driver()
	links, err := db.Catalog(ctx, []schemas.TableName{schemas.LinkTable})
	if err != nil {
		return nil, fmt.Errorf("%w; without links nothing can be compared: let strait run work first", err)
	}
	d := &transform.SideData{Rows: map[schemas.TableName][]schemas.Row{}}
	err = db.ReadTables(ctx, append(links, tables...), func(t *schemas.Table, r schemas.Row) error {
		if t == links[0] {
			d.Links = append(d.Links, linkOf(t, r))
			return nil
		}
		d.Rows[t.Name] = append(d.Rows[t.Name], r)
		return nil
	})
	return d, err
}

// linkOf is a row of strait.link, whose columns schemas.PostgresControlTables and
// its twin fix.
func linkOf(t *schemas.Table, r schemas.Row) transform.LinkRow {
	text := func(column string) string { return r[t.Column(column)].Text() }
	return transform.LinkRow{Link: schemas.Link{Entity: text("entity"), Hub: text("hub"), NativeKey: text("native_key")}, Dead: text("status") == "dead"}
}

func printReport(w io.Writer, r *transform.VerifyReport, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range r.Counts {
		fmt.Fprintf(t, "%s\t%d in %s\t%d in %s\t%d linked\t%d fields compared%s\n", c.Entity, c.Records[0], c.Systems[0], c.Records[1], c.Systems[1], c.Pairs, c.Fields, oneSided(c))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range r.Findings {
		if i == shownFindings {
			fmt.Fprintf(w, "… and %d more; --json shows all\n", len(r.Findings)-shownFindings)
			break
		}
		fmt.Fprintln(w, r.Findings[i].String())
	}
	bad := r.Bad()
	_, err := fmt.Fprintf(w, "%s, %s\n", plural(bad, "difference", "differences"), plural(len(r.Findings)-bad, "record to look at", "records to look at"))
	return err
}

// oneSided says what exists on one side for a reason.
func oneSided(c transform.VerifyCount) string {
	var out string
	for side, sys := range c.Systems {
		if n := c.Alone[side]; n > 0 {
			out += fmt.Sprintf(", %d only in %s by the rules", n, sys)
		}
		if n := c.Kept[side]; n > 0 {
			out += fmt.Sprintf(", %d kept in %s after a deletion", n, sys)
		}
	}
	return out
}

func plural(n int, one, many string) string {
	switch n {
	case 0:
		return "no " + many
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
