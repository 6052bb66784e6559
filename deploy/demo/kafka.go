package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/strait-cdc/strait/internal/stream"
)

// unusedBroker refuses a broker that holds the topics of another run: their
// positions belong to databases that are gone.
func unusedBroker(ctx context.Context, brokers []string) error {
	topics, err := stream.Topics(ctx, stream.Config{Brokers: brokers, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("kafka at %s: %w", strings.Join(brokers, ", "), err)
	}
	for _, t := range topics {
		if strings.HasPrefix(t.Name, "crm.") || strings.HasPrefix(t.Name, "erp.") {
			return fmt.Errorf("kafka at %s has the topic %s of another run; delete them with: kafka-topics.sh --bootstrap-server %s --delete --topic '(crm|erp)[.].*'",
				brokers[0], t.Name, brokers[0])
		}
	}
	return nil
}
