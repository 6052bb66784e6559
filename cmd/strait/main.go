// Command strait keeps two databases in agreement, both ways, from their own
// logs. Each verb has a file; what the verbs share is in config.go (strait.yaml),
// systems.go (which package serves which kind of database) and cluster.go
// (Kafka and the registry).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
)

// errFindings ends a verb that has said everything already: the exit code is 1
// and nothing more is printed.
var errFindings = errors.New("there are findings")

func main() { os.Exit(Main()) }

// Main runs the verb of the command line and returns the exit code.
func Main() int {
	return execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
}

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errFindings) {
		fmt.Fprintf(stderr, "strait: %v\n", err)
	}
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "strait",
		Short:         "Strait keeps two databases in agreement, both ways, from their own logs",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	var file string
	root.PersistentFlags().StringVarP(&file, "config", "c", "strait.yaml", "configuration file")
	load := func() (*Config, error) { return LoadConfig(file) }
	root.AddCommand(checkCommand(load), runCommand(load), verifyCommand(load), tailCommand(load), topicsCommand(load), versionCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// loader reads the configuration that --config names.
type loader func() (*Config, error)

// logger writes to standard error as the configuration says.
func (c *Config) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // checked by checkLog
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
