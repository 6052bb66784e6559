package testenv_test

import (
	"context"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/internal/testenv"
)

// A server that is not there must say how to get it, and never be passed over.
func TestMissingServerSaysHowToGetIt(t *testing.T) {
	t.Setenv("STRAIT_SERVERS", t.TempDir())
	ctx := context.Background()
	for name, start := range map[string]func() error{
		"postgresql-99": func() error { _, err := testenv.StartPostgres(ctx, "99", ""); return err },
		"mysql":         func() error { _, err := testenv.StartMySQL(ctx, ""); return err },
		"kafka":         func() error { _, err := testenv.StartKafka(ctx, ""); return err },
	} {
		if err := start(); err == nil || !strings.Contains(err.Error(), "deploy/dev/servers.sh "+name) {
			t.Errorf("%s: got %v, want the command that installs it", name, err)
		}
	}
}
