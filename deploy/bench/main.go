// Command bench measures Strait beside something else that does the same work in
// the same run: a server's own client, the best statement written by hand, the
// library that others use. What counts is the ratio; absolute figures belong to
// the machine.
//
//	make bench                              # all parts
//	make bench PARTS='capture-postgres avro'
//
// The parts are listed in parts. What is measured more than once is measured in
// turns, ours and the other, and the median counts. Work whose CPU time and memory
// matter runs in a process of its own: this program again, see child.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	// short runs everything in its smallest form, to see that it runs.
	short bool
	// reps is how often each of a pair is measured.
	reps  int
	parts []string
}

// part is a thing to measure.
type part struct {
	name string
	// about says in a sentence what is compared with what.
	about string
	run   func(ctx context.Context, b *bench) error
}

var parts = []part{
	{"capture-postgres", "The log of PostgreSQL into the embedded broker, beside `pg_recvlogical` writing the same publication (pgoutput) to /dev/null.", capturePostgres},
	{"capture-mysql", "The binlog of MariaDB into the embedded broker, beside `mariadb-binlog --raw --read-from-remote-server` copying the same files without looking into them.", captureMySQL},
	{"snapshot", "The first snapshot into the embedded broker, beside `COPY … TO STDOUT` by psql and `SELECT *` by the mariadb client, both to /dev/null.", snapshots},
	{"apply", "Batches of 500 through a sink, beside the best statements written by hand that write the same rows, links and progress row in one transaction.", applies},
	{"avro", "A row of 15 columns to Avro and back, on one core, beside goavro with the same schema.", avroRows},
}

func main() { os.Exit(Main()) }

// Main runs the benchmarks and returns the exit code.
func Main() int {
	if isChild() {
		return childMain()
	}
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := newBench(o, os.Stdout)
	if err == nil {
		err = b.run(ctx)
		err = errors.Join(err, b.close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.short, "short", false, "the smallest form of everything: it proves that it runs, the figures mean nothing")
	f.IntVar(&o.reps, "reps", 3, "how often each of a pair is measured; the median counts")
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "usage: bench [flags] [part…]")
		f.PrintDefaults()
		for _, p := range parts {
			fmt.Fprintf(f.Output(), "  %-17s %s\n", p.name, p.about)
		}
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.parts = f.Args()
	for _, name := range o.parts {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return o, fmt.Errorf("there is no part %q; -h lists them", name)
		}
	}
	if o.reps < 1 {
		return o, errors.New("-reps must be at least 1")
	}
	if o.short {
		o.reps = 1
	}
	return o, nil
}

func (o options) wants(name string) bool {
	return len(o.parts) == 0 || slices.Contains(o.parts, name)
}

// plain takes the Markdown out of a text for the terminal.
func plain(text string) string { return strings.ReplaceAll(text, "`", "") }
