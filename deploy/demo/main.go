// Command demo shows Strait at work: it starts a private CRM and a private ERP
// with a few thousand records, starts strait between them, lets two offices work
// and shows what happens. At the end it verifies that both sides agree, and ends
// with an error if one mapped field differs.
//
//	make demo
//	make demo FOR=40s CRM=postgres ERP=mysql KAFKA=real
//
// The way through it is demo.run. Who works on which side is in crm.go and erp.go,
// the process under test in strait.go, what must be true at the end in checks.go
// and replay.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	// length is how long the offices work; 0 means until a signal.
	length time.Duration
	// crm and erp are kinds of databases: mariadb, mysql or postgres.
	crm, erp string
	// kafka is empty for the embedded broker, "real" for an Apache Kafka of the
	// demo's own, else host:port.
	kafka string
	// rate is in edits per second of both offices together.
	rate float64
	seed uint64
	// kills is how often strait is killed while it works.
	kills int
	keep  bool
}

func main() { os.Exit(Main()) }

// Main runs the demo and returns the exit code.
func Main() int {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 2
	}
	stop := signals()
	d := &demo{options: o, view: newView(os.Stdout)}
	if err := d.run(stop); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("demo", flag.ExitOnError)
	f.DurationVar(&o.length, "for", 0, "how long the offices work; 0: until Ctrl-C")
	f.StringVar(&o.crm, "crm", "mariadb", "database of the CRM: mariadb, mysql or postgres")
	f.StringVar(&o.erp, "erp", "postgres", "database of the ERP: postgres, mysql or mariadb")
	f.StringVar(&o.kafka, "kafka", "", "host:port of a broker, or real for an Apache Kafka of the demo's own; empty: the embedded broker")
	f.Float64Var(&o.rate, "rate", 20, "edits per second of both offices together")
	f.Uint64Var(&o.seed, "seed", 1, "the records and edits are made from this number")
	f.IntVar(&o.kills, "kills", 0, "kill strait by SIGKILL so often while it works, and check the topics at the end")
	f.BoolVar(&o.keep, "keep", false, "keep the folder with strait's configuration, state and log")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for _, kind := range []string{o.crm, o.erp} {
		if kind != "mariadb" && kind != "mysql" && kind != "postgres" {
			return o, fmt.Errorf("database %q: use mariadb, mysql or postgres", kind)
		}
	}
	if f.NArg() > 0 || o.rate <= 0 || o.kills < 0 || o.length < 0 {
		return o, errors.New("wrong arguments; -h lists them")
	}
	return o, nil
}

// signals gives a context that the first signal ends; the second ends the process
// (the servers' watchdogs and the kernel clean up behind it).
func signals() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan os.Signal, 2)
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-got
		cancel()
		<-got
		fmt.Print("\x1b[?1049l\x1b[?25h")
		os.Exit(130)
	}()
	return ctx
}
