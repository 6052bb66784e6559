package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Loop is work that goes on until its context ends. Run opens what it needs,
// works, and closes everything before it returns: starting again is the only
// repair.
type Loop struct {
	Name string
	Run  func(ctx context.Context) error
}

// Verdict says what the error of a loop means for its future.
type Verdict uint8

// The verdicts.
const (
	// Again: close, wait, open, run.
	Again Verdict = iota
	// Stop: starting again does not cure it. The loop stays stopped with its
	// reason in the health report; the other loops go on.
	Stop
	// Leave: somebody else has taken over. All loops end.
	Leave
)

// Supervisor runs loops and starts a failed one again.
type Supervisor struct {
	Log     *slog.Logger
	Health  *Health
	Metrics *Metrics
	// Judge says what an error means; nil: Again for every error.
	Judge func(error) Verdict
	// MinWait is the pause after a first failure; it doubles with each further one
	// up to MaxWait, less a random part of up to half of it, so that loops that
	// failed together do not return together. Defaults: 500 ms and 30 s.
	MinWait, MaxWait time.Duration
	// Healthy is how long a loop must have run for its failure to count as a first
	// one. Default: one minute.
	Healthy time.Duration
}

// Run starts the loops and waits for all of them. It returns nil when ctx has
// ended, and the reasons when every loop has stopped for good or one of them
// was told to leave.
func (s *Supervisor) Run(ctx context.Context, loops ...Loop) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(loops))
	var wg sync.WaitGroup
	for i, l := range loops {
		wg.Go(func() {
			errs[i] = s.keep(ctx, l)
			if errs[i] != nil && s.judge(errs[i]) == Leave {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// keep runs one loop until ctx ends (nil) or starting again is no use.
func (s *Supervisor) keep(ctx context.Context, l Loop) error {
	c := s.Health.Component(l.Name)
	for failures := 0; ; failures++ {
		c.Set(Starting, "")
		began := time.Now()
		err := l.Run(ctx)
		if ctx.Err() != nil {
			s.ended(c, l, err)
			return nil
		}
		if err == nil {
			err = errors.New("ended without an error, although nobody asked it to")
		}
		if v := s.judge(err); v != Again {
			c.Set(Stopped, err.Error())
			s.Log.Error("loop stopped for good", "loop", l.Name, "reason", err)
			return fmt.Errorf("%s: %w", l.Name, err)
		}
		if time.Since(began) >= s.healthy() {
			failures = 0
		}
		wait := s.pause(failures)
		c.Set(Waiting, err.Error())
		s.Metrics.Restarted(l.Name)
		s.Log.Warn("loop failed, starting it again", "loop", l.Name, "reason", err, "in", wait.Round(time.Millisecond), "failures", failures+1)
		if !sleep(ctx, wait) {
			c.Set(Stopped, "told to stop")
			return nil
		}
	}
}

// ended notes the end that was asked for. What a loop says while it is being
// stopped is of interest only where it is not the stopping itself.
func (s *Supervisor) ended(c *Component, l Loop, err error) {
	c.Set(Stopped, "told to stop")
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Log.Info("loop stopped", "loop", l.Name, "with", err)
		return
	}
	s.Log.Debug("loop stopped", "loop", l.Name)
}

func (s *Supervisor) judge(err error) Verdict {
	if s.Judge == nil {
		return Again
	}
	return s.Judge(err)
}

func (s *Supervisor) healthy() time.Duration { return orDefault(s.Healthy, time.Minute) }

// pause is the wait after so many failures in a row before this one.
func (s *Supervisor) pause(failures int) time.Duration {
	shortest, longest := orDefault(s.MinWait, 500*time.Millisecond), orDefault(s.MaxWait, 30*time.Second)
	wait := shortest
	for i := 0; i < failures && wait < longest; i++ {
		wait *= 2
	}
	wait = min(wait, longest)
	return wait - rand.N(wait/2+1)
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// sleep waits and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
