package ops

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Signals ends the returned context on the first SIGINT or SIGTERM, so that what
// is held can be finished. On the second one, or when grace is over, it calls
// leave: everything is safe to drop. release gives the signals back and waits.
func Signals(ctx context.Context, log *slog.Logger, grace time.Duration, leave func()) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-stop:
			return
		case sig := <-ch:
			log.Info("stopping; once more to drop what is held", "signal", sig.String())
			cancel()
		}
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-stop:
			return
		case <-ch:
			log.Warn("second signal: leaving at once")
		case <-t.C:
			log.Warn("not stopped in time: leaving", "after", grace)
		}
		leave()
	}()
	return ctx, func() {
		signal.Stop(ch)
		close(stop)
		<-done
		cancel()
	}
}
