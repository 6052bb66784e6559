package main

import (
	"context"
	"time"
)

// watch asks the server at intervals how much log it keeps for us and warns
// before it stops doing so. The returned function ends it.
func (r *runner) watch(ctx context.Context, s *SystemConfig, src source) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(time.Duration(s.StatusEvery))
		defer t.Stop()
		warned := ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				warned = r.look(ctx, s.name, src, warned)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// look reports once; a warning is logged when it is a new one.
func (r *runner) look(ctx context.Context, system string, src source, warned string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	kept, err := src.Retained(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.log.Warn("cannot see how much log the server keeps", "system", system, "reason", err)
		}
		return warned
	}
	r.metrics.Retained(system, kept.bytes, kept.limit)
	if kept.warning != "" && kept.warning != warned {
		r.log.Warn("the server will not keep its log for long", "system", system, "reason", kept.warning)
	}
	return kept.warning
}
