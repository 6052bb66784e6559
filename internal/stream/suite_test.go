package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

// runSuite is what every broker must give us. The embedded one and Apache Kafka
// both run it.
func runSuite(t *testing.T, cl *cluster) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"WholeCommitsInOrder", testWholeCommits},
		{"LostRepliesAndCutConnections", testFaults},
		{"WriterEndsAtEachStep", testEachStep},
		{"NewerWriterFencesOlder", testFence},
		{"OpenTransactionIsInvisible", testOpenTransaction},
		{"BigCommitInParts", testBigCommit},
		{"BacklogTakesFewRequests", testBacklog},
		{"ReadFromTheMiddle", testMiddle},
		{"WantedTopicsOnly", testWanted},
		{"SnapshotPhases", testPhases},
		{"DeletedRecordsAreAnError", testRetention},
		{"KcatReadsCommitted", testKcat},
		{"LogKeepsOrder", testLog},
		{"TailFollows", testTail},
		{"TooLargeRecord", testTooLarge},
		{"Compression", testCompression},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, cl) })
	}
}

func testWholeCommits(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(1)
	w := openWriter(t, cl.cfg, system)
	if _, ok := w.Last(); ok {
		t.Fatal("a new system has a last commit")
	}
	r := openReader(t, cl.cfg, system, nil, Start{})
	for i := range 40 {
		b := work.batch(1 + work.rng.IntN(20))
		c := mustWrite(t, w, b)
		got, changes := readCommit(t, r)
		if got.Number != int64(i+1) || got.Offset != c.Offset || got.Resume != b.Resume || got.Txns != 1 {
			t.Fatalf("commit %+v, written %+v", got, c)
		}
		if len(changes) != len(b.Changes) {
			t.Fatalf("%d changes, not %d", len(changes), len(b.Changes))
		}
		if o := changes[0].Txn.Origin; o != b.Changes[0].Txn.Origin {
			t.Fatalf("origin %v, not %v", o, b.Changes[0].Txn.Origin)
		}
	}
	// Batches of one call are one commit; one without changes is none, unless the log
	// has gone on.
	c := mustWrite(t, w, work.batch(3), work.batch(4))
	if c.Number != 41 || c.Txns != 2 {
		t.Fatalf("commit %+v", c)
	}
	if empty := mustWrite(t, w, &schemas.Batch{Txns: 1, Resume: c.Resume}); empty.Number != 0 {
		t.Fatalf("a batch without changes made commit %d", empty.Number)
	}
	c = mustWrite(t, w, &schemas.Batch{Resume: schemas.Position{Source: "test", End: c.Resume.End + 1}})
	if c.Number != 42 || len(c.Ranges) != 0 {
		t.Fatalf("a batch that moves the position: commit %+v", c)
	}
	readCommit(t, r)
	if got, changes := readCommit(t, r); got.Number != 42 || len(changes) != 0 {
		t.Fatalf("commit %+v with %d changes", got, len(changes))
	}
	again := openWriter(t, cl.cfg, system)
	last, ok := again.Last()
	if !ok || last.Number != 42 || last.LastSeq != c.LastSeq || last.Resume != c.Resume || last.Offset != c.Offset {
		t.Fatalf("read back %+v, written %+v", last, c)
	}
	mustWrite(t, again, work.batch(1))
	checkAll(t, cl.cfg, system, 43, work.n)
	if lag, err := r.Committed(testContext(t)); err != nil || lag.Number != 43 {
		t.Fatalf("last commit %d, %v", lag.Number, err)
	}
}

// testFaults cuts connections by chance, before requests are sent and before
// answers are read: everything arrives, once, in order.
func testFaults(t *testing.T, cl *cluster) {
	for seed := range uint64(2) {
		system, work := newSystem(), newWorkload(seed)
		bad := cl.cfg
		net := &network{rng: newWorkload(seed).rng, rate: 0.05}
		bad.dial = net.dial
		w := openWriter(t, bad, system)
		commits := 0
		for range 60 {
			b := work.batch(1 + work.rng.IntN(50))
			for {
				_, err := w.Write(testContext(t), b)
				if err == nil {
					break
				}
				// Recovery is the start path: ask what is durable, send the rest again.
				t.Logf("seed %d: %v", seed, err)
				w = openWriter(t, bad, system)
				if last, _ := w.Last(); last.Resume == b.Resume {
					break
				}
			}
			commits++
		}
		if net.cuts < 10 {
			t.Fatalf("seed %d: only %d cuts", seed, net.cuts)
		}
		checkAll(t, cl.cfg, system, commits, work.n)
		r := openReader(t, bad, system, nil, Start{})
		var n int64
		for range commits {
			_, changes := readCommit(t, r)
			for i := range changes {
				if n++; number(&changes[i]) != n {
					t.Fatalf("seed %d: change %d where %d was expected", seed, number(&changes[i]), n)
				}
			}
		}
	}
}

// testEachStep ends the network of a writer at its first, second… request, with
// the request lost and with the answer lost.
func testEachStep(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(7)
	mustWrite(t, openWriter(t, cl.cfg, system), work.batch(30)) // topics exist
	commits, unfinished, happened := 1, 0, 0
	for step := 1; ; step++ {
		finished := false
		for _, lost := range []bool{false, true} {
			bad := cl.cfg
			bad.RetryFor = time.Millisecond
			bad.dial = (&network{stopAt: step, lostReply: lost}).dial
			before := *work
			b := work.batch(30)
			w, err := OpenWriter(testContext(t), bad, system, testCodec{system})
			if err == nil {
				_, err = w.Write(testContext(t), b)
				w.c.close() // as a killed process would: no abort
			}
			finished = err == nil
			next := openWriter(t, cl.cfg, system)
			last, _ := next.Last()
			switch {
			case last.Resume == b.Resume:
				commits++
				if err != nil {
					happened++
				}
			case err == nil:
				t.Fatalf("step %d: a commit that was answered is gone", step)
			default:
				unfinished++
				work.n, work.pos = before.n, before.pos // and is made again, with other keys
			}
			next.Close()
		}
		if finished {
			break
		}
	}
	if unfinished < 8 || happened == 0 {
		t.Fatalf("%d steps without effect, %d with effect and without answer: the test does not reach what it is for", unfinished, happened)
	}
	checkAll(t, cl.cfg, system, commits, work.n)
}

func testFence(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(2)
	old := openWriter(t, cl.cfg, system)
	mustWrite(t, old, work.batch(2))
	open := work.batch(2)
	n, pos := work.n, work.pos
	open.Open, open.Resume = true, schemas.Position{}
	mustWrite(t, old, open)
	other := openWriter(t, cl.cfg, system+"b")
	mustWrite(t, other, open)
	openWriter(t, cl.cfg, system+"b")
	if _, err := other.Write(testContext(t), open); !errors.Is(err, ErrFenced) {
		t.Fatalf("the older writer, its transaction open, got %v", err)
	}
	newer := openWriter(t, cl.cfg, system)
	work.n, work.pos = n-2, pos-1
	mustWrite(t, newer, work.batch(2))
	if _, err := old.Write(testContext(t), newWorkload(3).batch(1)); !errors.Is(err, ErrFenced) {
		t.Fatalf("the older writer got %v", err)
	}
	if _, err := old.Write(testContext(t), newWorkload(3).batch(1)); !errors.Is(err, ErrFenced) {
		t.Fatalf("the older writer, asked again, got %v", err)
	}
	mustWrite(t, newer, work.batch(2))
	checkAll(t, cl.cfg, system, 3, work.n)
}

func testOpenTransaction(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(4)
	w := openWriter(t, cl.cfg, system)
	mustWrite(t, w, work.batch(5))
	n, pos := work.n, work.pos
	for range 3 {
		b := work.batch(50)
		b.Open, b.Resume, b.Txns = true, schemas.Position{}, 0
		if c := mustWrite(t, w, b); c.Number != 0 {
			t.Fatalf("commit %d of an open transaction", c.Number)
		}
	}
	impatient := cl.cfg
	impatient.settle = 100 * time.Millisecond // it stays open
	checkTopics(t, impatient, system, 5)
	w.c.close()                       // killed
	w = openWriter(t, cl.cfg, system) // aborts
	work.n, work.pos = n, pos         // and the source sends it again
	for i := range 3 {
		b := work.batch(50)
		if i < 2 {
			b.Open, b.Resume, b.Txns = true, schemas.Position{}, 0
		}
		c := mustWrite(t, w, b)
		if (c.Number != 0) != (i == 2) {
			t.Fatalf("part %d gave commit %d", i, c.Number)
		}
	}
	mustWrite(t, w, work.batch(5))
	checkAll(t, cl.cfg, system, 3, work.n)
}

func testBigCommit(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(5)
	w := openWriter(t, cl.cfg, system)
	for i := range 10 {
		b := work.batch(10_000)
		if i < 9 {
			b.Open, b.Resume, b.Txns = true, schemas.Position{}, 0
		}
		mustWrite(t, w, b)
	}
	r := openReader(t, cl.cfg, system, nil, Start{})
	parts, n := 0, 0
	for last := false; !last; {
		p, err := r.Next(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Changes) > partChanges {
			t.Fatalf("part of %d changes", len(p.Changes))
		}
		parts, n, last = parts+1, n+len(p.Changes), p.Last
	}
	if n != 100_000 || parts != 20 {
		t.Fatalf("%d changes in %d parts", n, parts)
	}
	checkAll(t, cl.cfg, system, 1, work.n)
}

// testBacklog reads many small commits: a request for each would be far too slow.
func testBacklog(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(6)
	w := openWriter(t, cl.cfg, system)
	const commits = 200
	for range commits {
		mustWrite(t, w, work.batch(2))
	}
	counted := cl.cfg
	n := &network{}
	counted.dial = n.dial
	r := openReader(t, counted, system, nil, Start{})
	for range commits {
		readCommit(t, r)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	t.Logf("%d requests", n.requests)
	if n.requests > 12 {
		t.Fatalf("%d requests for %d commits", n.requests, commits)
	}
}

func testMiddle(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(8)
	w := openWriter(t, cl.cfg, system)
	var written []schemas.Commit
	for range 10 {
		written = append(written, mustWrite(t, w, work.batch(20)))
	}
	from := written[4]
	r := openReader(t, cl.cfg, system, nil, Start{Offset: from.Offset})
	c, changes := readCommit(t, r)
	if c.Number != 5 || number(&changes[0]) != 81 {
		t.Fatalf("commit %d from change %d", c.Number, number(&changes[0]))
	}
	// In the middle of a commit: half of it has been read.
	half := changes[9].Seq
	r = openReader(t, cl.cfg, system, nil, Start{Offset: from.Offset, AfterSeq: half})
	c, changes = readCommit(t, r)
	if c.Number != 5 || len(changes) != 10 || changes[0].Seq <= half {
		t.Fatalf("commit %d, %d changes from seq %d", c.Number, len(changes), changes[0].Seq)
	}
	if c, changes = readCommit(t, r); c.Number != 6 || len(changes) != 20 {
		t.Fatalf("then commit %d with %d changes", c.Number, len(changes))
	}
	// Behind the end is an error, not a jump.
	r = openReader(t, cl.cfg, system, nil, Start{Offset: written[9].Offset + 1000})
	if _, err := r.Next(testContext(t)); !errors.Is(err, ErrOffsetLost) {
		t.Fatalf("behind the end: %v", err)
	}
}

func testWanted(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(9)
	w := openWriter(t, cl.cfg, system)
	var want [][]int64
	for range 20 {
		b := work.batch(10)
		var ns []int64
		for i := range b.Changes {
			if b.Changes[i].Table == testTables[1] {
				ns = append(ns, number(&b.Changes[i]))
			}
		}
		want = append(want, ns)
		mustWrite(t, w, b)
	}
	r := openReader(t, cl.cfg, system, func(topic string) bool { return strings.HasSuffix(topic, ".b") }, Start{})
	for _, ns := range want {
		_, changes := readCommit(t, r)
		var got []int64
		for i := range changes {
			got = append(got, number(&changes[i]))
		}
		if fmt.Sprint(got) != fmt.Sprint(ns) {
			t.Fatalf("got %v, want %v", got, ns)
		}
	}
	// A commit without anything wanted comes too: it moves the reader on.
	r = openReader(t, cl.cfg, system, func(string) bool { return false }, Start{})
	for i := range want {
		if c, changes := readCommit(t, r); c.Number != int64(i+1) || len(changes) != 0 {
			t.Fatalf("commit %d with %d changes", c.Number, len(changes))
		}
	}
}

func testPhases(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(10)
	w := openWriter(t, cl.cfg, system)
	c := mustWrite(t, w, &schemas.Batch{Phase: schemas.PhaseSnapshotFirst})
	if c.Number != 1 || c.Phase != schemas.PhaseSnapshotFirst || c.LastSeq >= c.FirstSeq {
		t.Fatalf("empty snapshot batch: %+v", c)
	}
	b := work.batch(3)
	b.Phase, b.Resume = schemas.PhaseSnapshot, schemas.Position{}
	last := work.batch(2)
	last.Phase = schemas.PhaseSnapshotLast
	c = mustWrite(t, w, b, last)
	if c.Phase != schemas.PhaseSnapshot|schemas.PhaseSnapshotLast || c.Resume != last.Resume {
		t.Fatalf("%+v", c)
	}
	if c = mustWrite(t, w, work.batch(1)); c.Phase != schemas.PhaseLog {
		t.Fatalf("phase %d of the log", c.Phase)
	}
	checkAll(t, cl.cfg, system, 3, work.n)
}

func testRetention(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(11)
	w := openWriter(t, cl.cfg, system)
	var commits []schemas.Commit
	for range 5 {
		commits = append(commits, mustWrite(t, w, work.batch(40)))
	}
	// The records of the second commit go, in one partition.
	g := commits[1].Ranges[0]
	cl.lose(t, g.Topic, int32(g.Partition), g.To)
	r := openReader(t, cl.cfg, system, nil, Start{Offset: commits[1].Offset})
	_, err := r.Next(testContext(t))
	if !errors.Is(err, ErrOffsetLost) || !strings.Contains(err.Error(), tp{g.Topic, int32(g.Partition)}.String()) {
		t.Fatalf("got %v", err)
	}
	// What is left can be read.
	r = openReader(t, cl.cfg, system, nil, Start{Offset: commits[2].Offset})
	for i := range 3 {
		if c, changes := readCommit(t, r); c.Number != int64(i+3) || len(changes) != 40 {
			t.Fatalf("commit %d with %d changes", c.Number, len(changes))
		}
	}
}

func testKcat(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(12)
	w := openWriter(t, cl.cfg, system)
	mustWrite(t, w, work.batch(300))
	aborted := newWorkload(13).batch(300)
	aborted.Open = true
	mustWrite(t, w, aborted)
	w.Close()
	w = openWriter(t, cl.cfg, system)
	mustWrite(t, w, work.batch(300))
	lines := 0
	for _, table := range testTables {
		var out, errs bytes.Buffer
		cmd := exec.CommandContext(testContext(t), "kcat", "-b", strings.Join(cl.cfg.Brokers, ","), "-C", "-t", schemas.TopicName(system, table.Name),
			"-X", "isolation.level=read_committed", "-e", "-q", "-f", "%k %S\n")
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("kcat: %v: %s", err, errs.String())
		}
		for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			if !strings.HasSuffix(line, " -1") { // a tombstone
				lines++
			}
		}
	}
	if int64(lines) != work.n {
		t.Fatalf("kcat reads %d changes, not %d", lines, work.n)
	}
}

func testLog(t *testing.T, cl *cluster) {
	topic := newSystem() + ".log"
	bad := cl.cfg
	bad.dial = (&network{rng: newWorkload(1).rng, rate: 0.03}).dial
	l, err := OpenLog(testContext(t), bad, topic)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const n = 200
	for i := range n {
		if err := l.Append(testContext(t), []byte(fmt.Sprint(i)), []byte(fmt.Sprintf("value %d", i))); err != nil {
			t.Fatal(err)
		}
	}
	i := 0
	err = l.Read(testContext(t), func(key, value []byte) error {
		if string(key) != fmt.Sprint(i) || string(value) != fmt.Sprintf("value %d", i) {
			return fmt.Errorf("record %d is %s=%s", i, key, value)
		}
		i++
		return nil
	})
	if err != nil || i != n {
		t.Fatalf("%d records, %v", i, err)
	}
	if err := l.Append(testContext(t), []byte("0"), nil); err != nil {
		t.Fatal(err)
	}
	i = 0
	if err := ReadTopic(testContext(t), cl.cfg, topic, func(_ int, _ int64, r *schemas.Record) error {
		if i++; i == n+1 && (r.Value != nil || string(r.Key) != "0") {
			return fmt.Errorf("tombstone came as %s=%q", r.Key, r.Value)
		}
		return nil
	}); err != nil || i != n+1 {
		t.Fatalf("%d records, %v", i, err)
	}
	if err := ReadTopic(testContext(t), cl.cfg, topic+".none", nil); err != nil {
		t.Fatalf("a topic that does not exist: %v", err)
	}
}

func testTail(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(14)
	w := openWriter(t, cl.cfg, system)
	first := work.batch(20)
	for i := range first.Changes {
		first.Changes[i].Table = testTables[0]
	}
	mustWrite(t, w, first)
	topic := schemas.TopicName(system, testTables[0].Name)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	seen := make(chan string, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- Tail(ctx, cl.cfg, topic, Latest, func(_ int, _ int64, r *schemas.Record) error {
			seen <- string(r.Key)
			return nil
		})
	}()
	// The tail may begin late: write until something arrives.
	deadline := time.After(20 * time.Second)
	for arrived := false; !arrived; {
		b := work.batch(1)
		b.Changes[0].Table = testTables[0]
		mustWrite(t, w, b)
		select {
		case <-seen:
			arrived = true
		case <-deadline:
			t.Fatal("nothing arrives")
		default:
		}
	}
	stop := errors.New("enough")
	n := 0
	err := Tail(testContext(t), cl.cfg, topic, Earliest, func(int, int64, *schemas.Record) error {
		if n++; n == 20 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatalf("tail from the start ended with %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("tail ended with %v", err)
	}
	if err := Tail(testContext(t), cl.cfg, topic+"x", Earliest, nil); err == nil {
		t.Fatal("a topic that does not exist can be tailed")
	}
	topics, err := Topics(testContext(t), cl.cfg)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, tc := range topics {
		found = found || tc == Topic{topic, 4}
	}
	if !found {
		t.Fatalf("%s is not among %v", topic, topics)
	}
}

func testTooLarge(t *testing.T, cl *cluster) {
	system, work := newSystem(), newWorkload(15)
	w := openWriter(t, cl.cfg, system)
	big := work.batch(1)
	big.Changes[0].Op = schemas.Insert
	big.Changes[0].After = schemas.Row{schemas.Text("k"), schemas.Int(1), schemas.Text(strings.Repeat("x", 3<<20))}
	mustWrite(t, w, big) // larger than what is collected for one request
	r := openReader(t, cl.cfg, system, nil, Start{})
	if c, changes := readCommit(t, r); c.Number != 1 || len(changes) != 1 {
		t.Fatalf("commit %d with %d changes", c.Number, len(changes))
	}
	huge := work.batch(1)
	huge.Changes[0].Op = schemas.Insert
	huge.Changes[0].After = schemas.Row{schemas.Text("k"), schemas.Int(1), schemas.Text(strings.Repeat("x", 9<<20))}
	_, err := w.Write(testContext(t), huge)
	if err == nil || !strings.Contains(err.Error(), "max.message.bytes") {
		t.Fatalf("got %v", err)
	}
}

func testCompression(t *testing.T, cl *cluster) {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		cfg := cl.cfg
		cfg.Compression = codec
		system, work := newSystem(), newWorkload(16)
		w := openWriter(t, cfg, system)
		mustWrite(t, w, work.batch(1))
		mustWrite(t, w, work.batch(3000))
		checkAll(t, cfg, system, 2, work.n)
	}
}
