package ops

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errGone   = errors.New("server gone")
	errLost   = errors.New("position lost")
	errFenced = errors.New("fenced")
)

func judge(err error) Verdict {
	switch {
	case errors.Is(err, errLost):
		return Stop
	case errors.Is(err, errFenced):
		return Leave
	}
	return Again
}

func newSupervisor(log *bytes.Buffer) *Supervisor {
	return &Supervisor{
		Log: slog.New(slog.NewTextHandler(log, nil)), Health: NewHealth(), Metrics: NewMetrics("test"), Judge: judge,
		MinWait: time.Second, MaxWait: 8 * time.Second,
	}
}

func TestFailedLoopIsStartedAgainLaterAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSupervisor(&log)
		ctx, cancel := context.WithCancel(t.Context())
		var starts []time.Time
		err := s.Run(ctx, Loop{"capture crm", func(context.Context) error {
			starts = append(starts, time.Now())
			if len(starts) == 7 {
				cancel()
			}
			return errGone
		}})
		if err != nil {
			t.Fatalf("ended with %v, want nil after being told to stop", err)
		}
		most := []time.Duration{1, 2, 4, 8, 8, 8}
		for i, m := range most {
			got := starts[i+1].Sub(starts[i])
			if got < m*time.Second/2 || got > m*time.Second {
				t.Errorf("pause %d was %v, want between half of %v and all of it", i, got, m*time.Second)
			}
		}
		if n := strings.Count(log.String(), `reason="server gone"`); n != 6 {
			t.Errorf("the reason is in the log %d times, want 6:\n%s", n, log.String())
		}
		v, _ := s.Metrics.values()
		if got := v.count("strait_restarts_total", "capture crm"); got != 6 {
			t.Errorf("restarts counted: %d, want 6", got)
		}
	})
}

func TestHealthyMinuteForgetsEarlierFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSupervisor(new(bytes.Buffer))
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		var failed, again time.Time
		_ = s.Run(ctx, Loop{"l", func(ctx context.Context) error {
			n++
			switch n {
			case 5:
				time.Sleep(time.Minute)
				failed = time.Now()
			case 6:
				again = time.Now()
				cancel()
			}
			return errGone
		}})
		if wait := again.Sub(failed); wait > time.Second {
			t.Errorf("waited %v after a healthy minute, want at most the first pause of 1s", wait)
		}
	})
}

func TestLoopThatCannotBeCuredStopsAloneAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSupervisor(new(bytes.Buffer))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- s.Run(ctx,
				Loop{"capture erp", func(context.Context) error { return errLost }},
				Loop{"reconcile", func(ctx context.Context) error {
					s.Health.Component("reconcile").Set(Running, "")
					<-ctx.Done()
					return ctx.Err()
				}})
		}()
		synctest.Wait()
		ready, parts := s.Health.Report()
		if ready || parts[0].State != Stopped || parts[0].Reason != "position lost" || parts[1].State != Running {
			t.Errorf("health is %v %+v", ready, parts)
		}
		cancel()
		if err := <-ended; !errors.Is(err, errLost) {
			t.Errorf("ended with %v, want the reason of the stopped loop", err)
		}
	})
}

func TestAllLoopsStoppedEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSupervisor(new(bytes.Buffer))
		stop := func(context.Context) error { return errLost }
		err := s.Run(t.Context(), Loop{"a", stop}, Loop{"b", stop})
		if err == nil || err.Error() != "a: position lost\nb: position lost" {
			t.Errorf("got %v", err)
		}
	})
}

func TestFencedLoopEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSupervisor(new(bytes.Buffer))
		err := s.Run(t.Context(),
			Loop{"reconcile", func(context.Context) error { return errFenced }},
			Loop{"capture", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
		if !errors.Is(err, errFenced) || strings.Contains(err.Error(), "capture") {
			t.Errorf("got %v, want only the fenced loop", err)
		}
	})
}

func TestStopDuringPauseDoesNotWaitForItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSupervisor(new(bytes.Buffer))
		s.MinWait, s.MaxWait = time.Hour, time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Run(ctx, Loop{"l", func(context.Context) error { return errGone }}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestLoopThatJustEndsIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSupervisor(&log)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_ = s.Run(ctx, Loop{"l", func(context.Context) error { return nil }})
		if !strings.Contains(log.String(), "nobody asked it to") {
			t.Errorf("log: %s", log.String())
		}
	})
}
