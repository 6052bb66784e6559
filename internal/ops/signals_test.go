package ops

import (
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"
)

func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not happen", what)
	}
}

func TestFirstSignalEndsTheContextSecondLeaves(t *testing.T) {
	left := make(chan struct{})
	ctx, release := Signals(t.Context(), slog.New(slog.DiscardHandler), time.Hour, func() { close(left) })
	defer release()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wait(t, "the end of the context", ctx.Done())
	select {
	case <-left:
		t.Fatal("left on the first signal")
	default:
	}
	if err := self.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	wait(t, "leaving", left)
}

func TestGraceIsBounded(t *testing.T) {
	left := make(chan struct{})
	ctx, release := Signals(t.Context(), slog.New(slog.DiscardHandler), time.Millisecond, func() { close(left) })
	defer release()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wait(t, "the end of the context", ctx.Done())
	wait(t, "leaving after the grace", left)
}
