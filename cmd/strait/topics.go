package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/strait-cdc/strait/internal/stream"
)

func topicsCommand(load loader) *cobra.Command {
	return &cobra.Command{
		Use:   "topics",
		Short: "List the topics and their partitions",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load()
			if err != nil {
				return err
			}
			cl, err := cfg.join()
			if err != nil {
				return err
			}
			topics, err := stream.Topics(cmd.Context(), cl.stream)
			if err != nil {
				return fmt.Errorf("topics: %w", err)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TOPIC\tPARTITIONS")
			for _, t := range topics {
				if !strings.HasPrefix(t.Name, "__") {
					fmt.Fprintf(w, "%s\t%d\n", t.Name, t.Partitions)
				}
			}
			return w.Flush()
		},
	}
}
