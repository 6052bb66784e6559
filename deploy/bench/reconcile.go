package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// reconcileGoal is in entities per second and core.
const reconcileGoal = 20_000

var benchLine = regexp.MustCompile(`(?m)^Benchmark(\w+?)(?:-\d+)?\s.*?\s([\d.e+]+) entities/s`)

// reconciles runs the benchmarks of package transform, which exports nothing to
// measure its inside by.
func reconciles(ctx context.Context, b *bench) error {
	args := []string{
		"test", "github.com/strait-cdc/strait/transform", "-tags", "noservers", "-run", "^$", "-bench", "^Benchmark(Reconcile|Assemble|Steps)$", "-cpu", "1",
		"-count", strconv.Itoa(b.reps), "-benchtime", map[bool]string{false: "1s", true: "100x"}[b.short],
	}
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	found := map[string][]sample{}
	for _, m := range benchLine.FindAllStringSubmatch(string(out), -1) {
		rate, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return fmt.Errorf("go test -bench: %q: %w", m[0], err)
		}
		found[m[1]] = append(found[m[1]], sample{rate: rate})
	}
	for _, w := range []struct {
		name, what string
		goal       goal
	}{
		{"Reconcile", "Reconcile alone", goal{min: 1}},
		{"Assemble", "the same with reading the rows and the record from a store in memory", goal{}},
		{"Steps", "the whole step: fold the change, plan, persist, settle, fold the echo; store in memory", goal{}},
	} {
		if len(found[w.name]) == 0 {
			return fmt.Errorf("Benchmark%s gave no figure: %s", w.name, out)
		}
		rate := sample{rate: median(found[w.name], func(s sample) float64 { return s.rate })}
		b.add(pair(w.what, rate, sample{rate: reconcileGoal}, "entities/s", "goal", w.goal))
	}
	return nil
}
