package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// killer ends strait by SIGKILL at random moments and starts it again at once.
func (d *demo) killer(ctx context.Context) error {
	for _, pause := range d.killTimes() {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		d.strait.kill()
		if err := d.strait.start(); err != nil {
			return err
		}
		n := d.strait.addKill()
		d.view.line(fmt.Sprintf("%s  ---  strait killed (%d of %d) and started again", time.Now().Format("15:04:05.0"), n, d.kills))
	}
	return nil
}

// killTimes are the pauses between the kills: random over the length of the run, or
// some seconds each where it has no end.
func (d *demo) killTimes() []time.Duration {
	span := d.length - d.length/10
	if span == 0 {
		span = time.Duration(d.kills) * 5 * time.Second
	}
	r := rand.New(rand.NewPCG(d.seed, 7))
	var at []time.Duration
	for range d.kills {
		at = append(at, time.Duration(r.Int64N(int64(span))))
	}
	slices.Sort(at)
	for i := len(at) - 1; i > 0; i-- {
		at[i] -= at[i-1]
	}
	return at
}
