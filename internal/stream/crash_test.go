package stream

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// childDir in the environment makes this program a broker with a writer, to be
// killed.
const childDir = "STRAIT_STREAM_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const childBatch = 12

// childWork is the batch of a position, the same in every life.
func childWork(pos uint64) *schemas.Batch {
	w := newWorkload(pos)
	w.pos, w.n = pos-1, int64(pos-1)*childBatch
	return w.batch(childBatch)
}

// child publishes commit after commit, some of them in pieces, and says so.
func child(dir string) error {
	b, err := StartBroker(BrokerConfig{Dir: dir, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	ctx := context.Background()
	w, err := OpenWriter(ctx, b.Config(), "crash", testCodec{"crash"})
	if err != nil {
		return err
	}
	last, _ := w.Last()
	for pos := last.Resume.End + 1; ; pos++ {
		work := childWork(pos)
		if pos%3 == 0 {
			first := &schemas.Batch{Changes: work.Changes[:5], Open: true}
			work.Changes = work.Changes[5:]
			if _, err := w.Write(ctx, first); err != nil {
				return err
			}
		}
		if _, err := w.Write(ctx, work); err != nil {
			return err
		}
		fmt.Println("commit", pos)
	}
}

// TestKilledBroker kills broker and writer together at moments chosen by a seed.
// What read_committed shows must be each change once, whatever the moment.
func TestKilledBroker(t *testing.T) {
	dir, seed := t.TempDir(), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	acked := uint64(0)
	for range 16 {
		acked = runChild(t, dir, acked, 1+rng.IntN(12), time.Duration(rng.IntN(6000))*time.Microsecond)
	}
	checkAfterCrash(t, dir, acked)
}

// runChild lets the child commit so many times and a little longer, and kills it.
func runChild(t *testing.T, dir string, acked uint64, commits int, more time.Duration) uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var messages bytes.Buffer
	cmd.Stderr = &messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	defer watchdog.Stop()
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		var pos uint64
		if _, err := fmt.Sscanf(lines.Text(), "commit %d", &pos); err != nil {
			t.Fatalf("child: %s", lines.Text())
		}
		if pos <= acked {
			t.Fatalf("commit %d again, %d was acknowledged", pos, acked)
		}
		acked = pos
		if n == commits {
			time.AfterFunc(more, func() { cmd.Process.Kill() })
		}
	}
	cmd.Wait()
	if s := messages.String(); s != "" {
		t.Log(s)
	}
	return acked
}

func checkAfterCrash(t *testing.T, dir string, acked uint64) {
	t.Helper()
	b := startBroker(t, dir)
	w := openWriter(t, b.Config(), "crash")
	last, ok := w.Last()
	if !ok || last.Resume.End < acked {
		t.Fatalf("commit %d was acknowledged, the last one is %d", acked, last.Resume.End)
	}
	mustWrite(t, w, childWork(last.Resume.End+1)) // what is decided moves on
	checkAll(t, b.Config(), "crash", int(last.Number)+1, int64(last.Resume.End+1)*childBatch)
}

// brokenDir is a directory as a killed broker leaves it: three commits, and the
// last of them with its markers in only some partitions, or in none.
func brokenDir(t *testing.T, keep func(i int) bool, decided bool) (dir string, partitions int) {
	t.Helper()
	dir = t.TempDir()
	b, err := StartBroker(BrokerConfig{Dir: dir, NoSync: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	w := openWriter(t, b.Config(), "crash")
	var last schemas.Commit
	for pos := range uint64(3) {
		last = mustWrite(t, w, childWork(pos+1))
	}
	w.c.close()
	b.Close()
	os.Remove(b.watermarksPath())
	lines, err := os.ReadFile(b.decisionsPath())
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(lines, []byte("\n")); n != 3 {
		t.Fatalf("%d decisions on 3 commits", n)
	}
	if !decided {
		lines = lines[:bytes.LastIndexByte(lines[:len(lines)-1], '\n')+1]
	}
	if err := os.WriteFile(b.decisionsPath(), append(lines, `{"pid":1,"ep`...), 0o644); err != nil {
		t.Fatal(err)
	}
	names := []string{"crash.commits-0"}
	for _, g := range last.Ranges {
		names = append(names, fmt.Sprintf("%s-%d", g.Topic, g.Partition))
	}
	for i, name := range names {
		if !keep(i) {
			cutLastBatch(t, filepath.Join(b.logDir(), "partitions", name), true)
		}
	}
	return dir, len(names)
}

// cutLastBatch removes the last batch of a partition, or only its index entry.
func cutLastBatch(t *testing.T, dir string, data bool) {
	t.Helper()
	os.Remove(filepath.Join(dir, "snapshot.json"))
	seg := filepath.Join(dir, "0.dat")
	b, err := os.ReadFile(seg)
	if err != nil {
		t.Fatal(err)
	}
	at, size := 0, 0
	for rest := b; len(rest) > 0; rest = rest[size:] {
		h, ok, err := readHead(rest)
		if err != nil || !ok {
			t.Fatalf("%s: %v", seg, err)
		}
		at, size = len(b)-len(rest), h.size
	}
	if data {
		if err := os.Truncate(seg, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "0.idx"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "0.idx"), info.Size()-15); err != nil {
		t.Fatal(err)
	}
}

// TestHalfWrittenMarkers: decided is decided in all partitions, even if the
// marker of the commits topic, or all of them, are missing.
func TestHalfWrittenMarkers(t *testing.T) {
	for name, keep := range map[string]func(int) bool{
		"none written":     func(int) bool { return false },
		"commits first":    func(i int) bool { return i == 0 },
		"commits last":     func(i int) bool { return i != 0 },
		"every second one": func(i int) bool { return i%2 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := brokenDir(t, keep, true)
			checkAfterCrash(t, dir, 3)
		})
	}
}

// TestUndecidedIsAborted: the transaction was open; its records stay invisible
// for ever, also when the same producer commits and the broker is killed again.
func TestUndecidedIsAborted(t *testing.T) {
	dir, _ := brokenDir(t, func(int) bool { return false }, false)
	b, err := StartBroker(BrokerConfig{Dir: dir, NoSync: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	w := openWriter(t, b.Config(), "crash")
	if last, _ := w.Last(); last.Resume.End != 2 {
		t.Fatalf("last commit %d", last.Resume.End)
	}
	checkTopics(t, b.Config(), "crash", 2*childBatch)
	mustWrite(t, w, childWork(3))
	checkTopics(t, b.Config(), "crash", 3*childBatch)
	w.c.close()
	b.Close()
	checkAfterCrash(t, dir, 3)
}

// TestLostIndexEntry: a batch whose index entry was not written any more belongs
// to its transaction all the same.
func TestLostIndexEntry(t *testing.T) {
	dir, _ := brokenDir(t, func(int) bool { return false }, false)
	parts, err := filepath.Glob(filepath.Join(dir, "log", "partitions", "crash.app*"))
	if err != nil || len(parts) == 0 {
		t.Fatal(parts, err)
	}
	for _, p := range parts {
		cutLastBatch(t, p, false)
	}
	checkAfterCrash(t, dir, 2)
}

// TestOpenTransactionAtClose: a broker that is stopped in good order with a
// transaction open does not let it out later.
func TestOpenTransactionAtClose(t *testing.T) {
	dir := t.TempDir()
	b, err := StartBroker(BrokerConfig{Dir: dir, NoSync: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	w := openWriter(t, b.Config(), "crash")
	mustWrite(t, w, childWork(1))
	open := childWork(2)
	open.Open = true
	mustWrite(t, w, open)
	b.Close()
	for range 2 {
		if b, err = StartBroker(BrokerConfig{Dir: dir, NoSync: true, Log: quiet}); err != nil {
			t.Fatal(err)
		}
		checkTopics(t, b.Config(), "crash", childBatch) // nothing is open any more
		b.Close()
	}
	checkAfterCrash(t, dir, 1)
}

func TestRefusesLostRecords(t *testing.T) {
	dir := t.TempDir()
	b, err := StartBroker(BrokerConfig{Dir: dir, NoSync: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, openWriter(t, b.Config(), "crash"), childWork(1))
	if _, err := StartBroker(BrokerConfig{Dir: dir, Log: quiet}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("a second broker in the directory: %v", err)
	}
	b.Close()
	cutLastBatch(t, filepath.Join(dir, "log", "partitions", "crash.commits-0"), true)
	if _, err := StartBroker(BrokerConfig{Dir: dir, Log: quiet}); err == nil || !strings.Contains(err.Error(), "has lost records") {
		t.Fatalf("a log that is shorter than it was: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	if _, err := StartBroker(BrokerConfig{Dir: dir, Log: quiet}); err == nil || !strings.Contains(err.Error(), "has lost records") {
		t.Fatalf("a log that is gone: %v", err)
	}
}
