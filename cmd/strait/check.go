package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/schemas/registry"
	"github.com/strait-cdc/strait/sinks"
	"github.com/strait-cdc/strait/transform/mapping"
)

// finding is one thing that check has to say.
type finding struct {
	// Level is error (strait run would not work) or warning.
	Level string `json:"level"`
	// Where is a system, mapping, kafka, registry or configuration.
	Where string `json:"where"`
	What  string `json:"what"`
	// Why says what would go wrong, Cure what to do; both may be empty where What
	// says it.
	Why  string `json:"why,omitempty"`
	Cure string `json:"cure,omitempty"`
}

const (
	levelError   = "error"
	levelWarning = "warning"
)

func checkCommand(load loader) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "See whether everything is in place: configuration, databases, mapping, privileges, Kafka",
		Long: `Check connects to both databases, looks at their settings, checks the mapping
against their tables and tries in transactions that are rolled back whether the
planned writes are allowed. It changes nothing. The exit code is 1 if anything
would keep strait run from working.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load()
			if err != nil {
				return err
			}
			findings := cfg.check(cmd.Context())
			if err := printFindings(cmd.OutOrStdout(), findings, asJSON); err != nil {
				return err
			}
			for _, f := range findings {
				if f.Level == levelError {
					return errFindings
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}

// check looks at everything and stops at nothing.
func (c *Config) check(ctx context.Context) []finding {
	out := c.checkPasswords()
	docs, err := c.loadMapping()
	out = append(out, mappingFindings(err)...)
	reachable := true
	for _, s := range c.systems() {
		var tables []schemas.TableName
		if docs != nil {
			tables = docs.TablesOf(s.name, s.Schema)
		}
		found, err := s.driver().Check(ctx, tables)
		if err != nil {
			reachable = false
			out = append(out, finding{Level: levelError, Where: s.name, What: err.Error()})
		}
		out = append(out, found...)
	}
	if docs != nil && reachable {
		out = append(out, c.checkWrites(ctx, docs)...)
	}
	return append(out, c.checkStream(ctx)...)
}

func (c *Config) checkPasswords() []finding {
	var out []finding
	for _, s := range c.systems() {
		if s.passwordInConfig {
			out = append(out, finding{levelWarning, s.name, "the password is in " + c.file, "whoever reads the file can write to the database", "use password_env or password_file"})
		}
	}
	return out
}

// mappingFindings is one finding for each problem.
func mappingFindings(err error) []finding {
	var all mapping.Errors
	if !errors.As(err, &all) {
		if err == nil {
			return nil
		}
		return []finding{{Level: levelError, Where: "mapping", What: strings.TrimPrefix(err.Error(), "mapping: ")}}
	}
	var out []finding
	for _, p := range all {
		out = append(out, finding{Level: levelError, Where: "mapping", What: p.String()})
	}
	return out
}

// checkWrites compiles the mapping and tries what it would write.
func (c *Config) checkWrites(ctx context.Context, docs *mapping.Docs) []finding {
	set, err := c.compile(ctx, docs)
	if err != nil {
		return mappingFindings(err)
	}
	needs := writesOf(set)
	var out []finding
	for _, s := range c.systems() {
		problems, err := c.probe(ctx, s, needs[s.name])
		if err != nil {
			out = append(out, finding{Level: levelError, Where: s.name, What: "writing cannot be tried: " + err.Error()})
		}
		for _, p := range problems {
			out = append(out, finding{levelError, s.name, p.What, p.Reason, p.Cure})
		}
	}
	return out
}

func (c *Config) probe(ctx context.Context, s *SystemConfig, needs []sinks.Need) ([]sinks.Problem, error) {
	sink, err := s.driver().Sink(ctx, c.Pipeline, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	return sink.Probe(ctx, needs)
}

// writesOf lists by system what the mapping may do to which table.
func writesOf(set *mapping.Set) map[string][]sinks.Need {
	out := map[string][]sinks.Need{}
	for _, e := range set.Entities {
		for _, p := range e.Parts() {
			for side, ps := range p.Sides {
				if ps == nil || ps.ReadOnly {
					continue
				}
				out[e.Systems[side]] = append(out[e.Systems[side]], need(p, side))
			}
		}
	}
	return out
}

func need(p *mapping.Part, side int) sinks.Need {
	ps := p.Sides[side]
	n := sinks.Need{Table: ps.Table.Name, Insert: ps.Create != nil, Delete: ps.OtherDeleted.Action == mapping.DeleteRemove}
	seen := map[int]bool{}
	add := func(cols ...int) {
		for _, c := range cols {
			if !seen[c] {
				seen[c] = true
				n.Columns = append(n.Columns, ps.Table.Columns[c].Name)
			}
		}
	}
	for _, f := range p.Fields {
		if fs := f.Sides[side]; fs != nil {
			add(fs.Writes...)
		}
	}
	for _, d := range ps.OtherDeleted.Set {
		add(d.Column)
	}
	return n
}

// checkStream sees whether the brokers and the registry answer; what is embedded
// needs no check.
func (c *Config) checkStream(ctx context.Context) []finding {
	var out []finding
	if len(c.Kafka.Brokers) > 0 {
		sc, err := c.kafka(slog.New(slog.DiscardHandler))
		if err == nil {
			_, err = stream.Topics(ctx, sc)
		}
		if err != nil {
			out = append(out, finding{Level: levelError, Where: "kafka", What: err.Error(), Cure: "see that the brokers " + strings.Join(c.Kafka.Brokers, ", ") + " can be reached from here"})
		}
	}
	if c.Registry.URL != "" {
		client, err := registry.NewClient(c.Registry.URL, registry.ClientOptions{Tries: 1})
		if err == nil {
			_, err = client.Schema(ctx, 1)
		}
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			out = append(out, finding{Level: levelError, Where: "registry", What: err.Error()})
		}
	}
	return out
}

func printFindings(w io.Writer, findings []finding, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if findings == nil {
			findings = []finding{}
		}
		return e.Encode(findings)
	}
	errs := 0
	for _, f := range findings {
		if f.Level == levelError {
			errs++
		}
		fmt.Fprintf(w, "%s: %s: %s\n", f.Level, f.Where, f.What)
		for _, l := range []string{f.Why, f.Cure} {
			if l != "" {
				fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(l, "\n", "\n    "))
			}
		}
	}
	_, err := fmt.Fprintf(w, "%s, %s\n", plural(errs, "error", "errors"), plural(len(findings)-errs, "warning", "warnings"))
	return err
}
