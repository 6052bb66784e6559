package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

const (
	redrawEvery = 250 * time.Millisecond
	// plainEvery is how often a line of numbers comes where there is no terminal.
	plainEvery = 5 * time.Second
)

// view shows what happens: on a terminal a picture that is drawn again and again
// while the offices work, elsewhere plain lines.
type view struct {
	out      *os.File
	terminal bool
	title    string

	// mu guards out and drawing.
	mu sync.Mutex
	// drawing says that the picture has the screen.
	drawing bool
}

func newView(out *os.File) *view {
	v := &view{out: out}
	info, err := out.Stat()
	term := os.Getenv("TERM")
	if err == nil && info.Mode()&os.ModeCharDevice != 0 && term != "" && term != "dumb" {
		_, err := unix.IoctlGetWinsize(int(out.Fd()), unix.TIOCGWINSZ)
		v.terminal = err == nil
	}
	return v
}

// say prints a line outside of the picture.
func (v *view) say(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.out, format+"\n", args...)
}

// block prints what a command said.
func (v *view) block(title, text string) {
	v.say("%s", title)
	for l := range strings.Lines(text) {
		v.say("  %s", strings.TrimRight(l, "\n"))
	}
}

// line is one of the story; the picture shows it by itself.
func (v *view) line(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.drawing {
		fmt.Fprintln(v.out, text)
	}
}

// live shows the work until ctx ends.
func (v *view) live(ctx context.Context, d *demo) {
	if !v.terminal {
		v.plain(ctx, d)
		return
	}
	v.screen(true)
	defer v.screen(false)
	began := time.Now()
	t := time.NewTicker(redrawEvery)
	defer t.Stop()
	for {
		v.draw(d, time.Since(began))
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// screen takes the alternate screen or gives it back.
func (v *view) screen(take bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drawing = take
	if take {
		fmt.Fprint(v.out, "\x1b[?1049h\x1b[?25l\x1b[2J")
	} else {
		fmt.Fprint(v.out, "\x1b[?25h\x1b[?1049l")
	}
}

// draw writes the picture over the last one.
func (v *view) draw(d *demo, ran time.Duration) {
	wide, high := v.size()
	all := v.picture(d, ran)
	for _, l := range d.story.last(max(3, high-len(all)-2)) {
		all = append(all, "  "+l)
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, l := range all[:min(len(all), high-1)] {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(clip(l, wide) + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprint(v.out, b.String())
}

// size is that of the terminal, or a small one.
func (v *view) size() (wide, high int) {
	w, err := unix.IoctlGetWinsize(int(v.out.Fd()), unix.TIOCGWINSZ)
	if err != nil || w.Col == 0 || w.Row == 0 {
		return 80, 24
	}
	return int(w.Col), int(w.Row)
}

// clip cuts a line to a width; all that is shown is one column wide.
func clip(s string, wide int) string {
	if utf8.RuneCountInString(s) <= wide {
		return s
	}
	return string([]rune(s)[:max(wide-1, 0)]) + "…"
}

// picture is the upper part: one line for each flow.
func (v *view) picture(d *demo, ran time.Duration) []string {
	st := d.watch.totals()
	state := "ready"
	if !st.Ready {
		state = "catching up"
	}
	if k := d.strait.killed(); k > 0 {
		state += fmt.Sprintf(", killed %d×", k)
	}
	out := []string{
		"Strait   " + v.title,
		fmt.Sprintf("%s of work, %d edits, strait %s, %d entities in work.   Ctrl-C ends it.", clock(ran), d.counts.total(), state, st.Dirty),
		"",
		fmt.Sprintf("  %-22s %8s %10s %9s %9s %7s %7s", "flow", "lag", "fields/s", "fields", "writes", "missed", "refused"),
	}
	for i, f := range st.Flows {
		out = append(out, fmt.Sprintf("  %-22s %7.2fs %10.1f %9d %9d %7d %7d", f.Entity+" "+f.From+" → "+f.To, f.LagSeconds, d.watch.rate(i), f.Fields, f.Applied, f.Missed, f.Refused))
	}
	out = append(out, "", fmt.Sprintf("  %-22s %8s %10s %9s %9s", "entity", "linked", "created", "conflicts", "parked"))
	for _, e := range st.Entities {
		out = append(out, fmt.Sprintf("  %-22s %8d %10d %9d %9d", e.Entity, e.Matched, e.Created, e.Conflicts, e.Parked))
	}
	return append(out, "", "  The story of "+d.story.who())
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// plain prints a line of numbers now and then; the story prints its own.
func (v *view) plain(ctx context.Context, d *demo) {
	began := time.Now()
	t := time.NewTicker(plainEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		st := d.watch.totals()
		var fields, writes, conflicts, parked int64
		for _, f := range st.Flows {
			fields, writes = fields+f.Fields, writes+f.Applied
		}
		for _, e := range st.Entities {
			conflicts, parked = conflicts+e.Conflicts, parked+e.Parked
		}
		var lag []string
		for _, s := range st.Systems {
			lag = append(lag, fmt.Sprintf("%s %.2f s", s.Name, s.LagSeconds))
		}
		v.say("%s  %d edits, %d writes of %d fields, %d conflicts, %d parked, lag %s, %d waiting", clock(time.Since(began)), d.counts.total(), writes, fields, conflicts, parked, strings.Join(lag, " "), st.Dirty)
	}
}
