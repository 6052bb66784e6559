package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is a line of the table: ours, what it is beside, and the ratio.
type row struct {
	part string
	// what names the workload.
	what       string
	ours, peer string
	// ratio is ours to the peer's, or to the limit.
	ratio float64
	goal  goal
	// cpu is in seconds for a million rows, of our process and of the peer's; memory
	// is our peak.
	cpu, memory string
}

// goal bounds a ratio; the zero goal is none.
type goal struct {
	min, max float64
	// text is the goal in its own unit, where that is not the ratio's.
	text string
}

func (g goal) String() string {
	switch {
	case g.text != "":
		return g.text
	case g.min > 0:
		return fmt.Sprintf("≥ %.2g", g.min)
	case g.max > 0:
		return fmt.Sprintf("≤ %.2g", g.max)
	}
	return ""
}

func (g goal) set() bool { return g.min > 0 || g.max > 0 }

func (r row) met() bool {
	return (r.goal.min == 0 || r.ratio >= r.goal.min) && (r.goal.max == 0 || r.ratio <= r.goal.max)
}

// verdict is the goal with what became of it.
func (r row) verdict() string {
	switch {
	case !r.goal.set():
		return ""
	case r.met():
		return r.goal.String() + ", met"
	}
	return r.goal.String() + ", **missed**"
}

func (r row) cells() []string {
	return []string{r.what, r.ours, r.peer, fmt.Sprintf("%.2f", r.ratio), r.verdict(), r.cpu, r.memory}
}

var header = []string{"what", "strait", "beside it", "ratio", "goal", "CPU s per million rows: strait / beside", "peak memory"}

// printTable writes rows for a terminal.
func printTable(out io.Writer, rows []row) {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "  "+strings.Join(header, "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, "  "+strings.ReplaceAll(strings.Join(r.cells(), "\t"), "*", ""))
	}
	_ = w.Flush()
}

// sample is one measurement.
type sample struct {
	// rate is in rows, or what else is counted, per second.
	rate float64
	// cpu is in seconds for a million rows; 0 where it was not measured.
	cpu float64
	// peak is the most memory, in bytes; 0 where it was not measured.
	peak float64
}

func newSample(rows int, took, cpu time.Duration, peak int64) sample {
	return sample{rate: float64(rows) / took.Seconds(), cpu: cpu.Seconds() * 1e6 / float64(rows), peak: float64(peak)}
}

// inTurns measures each of runs reps times, in turns, so that what else the machine
// does falls on all of them, and gives the medians.
func inTurns(ctx context.Context, reps int, runs ...func(context.Context) (sample, error)) ([]sample, error) {
	all := make([][]sample, len(runs))
	for n := range reps {
		for i := range runs {
			// Whoever was first is last the next time.
			at := (i + n) % len(runs)
			s, err := runs[at](ctx)
			if err != nil {
				return nil, err
			}
			all[at] = append(all[at], s)
		}
	}
	out := make([]sample, len(runs))
	for i, ss := range all {
		out[i] = sample{
			rate: median(ss, func(s sample) float64 { return s.rate }),
			cpu:  median(ss, func(s sample) float64 { return s.cpu }),
			peak: median(ss, func(s sample) float64 { return s.peak }),
		}
	}
	return out, nil
}

func median(ss []sample, of func(sample) float64) float64 {
	var vs []float64
	for _, s := range ss {
		vs = append(vs, of(s))
	}
	slices.SortFunc(vs, cmp.Compare)
	if n := len(vs); n%2 == 0 {
		return (vs[n/2-1] + vs[n/2]) / 2
	}
	return vs[len(vs)/2]
}

// pair is the row of two samples.
func pair(what string, ours, peer sample, unit, peerName string, g goal) row {
	r := row{
		what: what, ours: thousands(ours.rate) + " " + unit, peer: peerName + " " + thousands(peer.rate) + " " + unit,
		ratio: ours.rate / peer.rate, goal: g,
	}
	if ours.cpu > 0 {
		r.cpu = fmt.Sprintf("%.1f / %.1f", ours.cpu, peer.cpu)
	}
	if ours.peak > 0 {
		r.memory = fmt.Sprintf("%.0f MB", ours.peak/(1<<20))
	}
	return r
}

// thousands shows a number to three digits, with commas.
func thousands(v float64) string {
	unit := 1.0
	for v/unit >= 1000 {
		unit *= 10
	}
	digits := fmt.Sprintf("%.0f", float64(int64(v/unit+0.5))*unit)
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
