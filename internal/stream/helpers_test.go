package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strait-cdc/strait/schemas"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// cluster is what the suite runs on.
type cluster struct {
	cfg Config
	// lose deletes the records of a partition before an offset.
	lose func(t *testing.T, topic string, part int32, before int64)
}

var systems atomic.Int64

// newSystem is a name that no other test uses.
func newSystem() string { return fmt.Sprintf("s%d-%d", time.Now().UnixNano()%1e9, systems.Add(1)) }

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// The codec of the tests: the value of a record is its op and an int.
type testCodec struct{ system string }

func testTable(name string) *schemas.Table {
	return &schemas.Table{Name: schemas.TableName{Schema: "app", Name: name}, Columns: []schemas.Column{
		{Name: "id", Type: schemas.Type{Kind: schemas.KindText}}, {Name: "n", Type: schemas.Type{Kind: schemas.KindInt64}}}, Key: []int{0}}
}

func (c testCodec) Encode(ch *schemas.Change, dst []schemas.Record) ([]schemas.Record, error) {
	row := ch.After
	if ch.Op == schemas.Delete {
		row = ch.Before
	}
	topic := schemas.TopicName(c.system, ch.Table.Name)
	key := []byte(row[0].Text())
	v := binary.BigEndian.AppendUint64([]byte{byte(ch.Op)}, row[1].Uint())
	if len(row) > 2 {
		v = append(v, row[2].Text()...)
	}
	dst = append(dst, schemas.Record{Topic: topic, Key: key, Value: v})
	if ch.Op == schemas.Delete {
		dst = append(dst, schemas.Record{Topic: topic, Key: key})
	}
	return dst, nil
}

func (testCodec) Reset() {}

func (testCodec) Decode(r *schemas.Record, c *schemas.Change) (bool, error) {
	if r.Value == nil {
		return false, nil
	}
	if len(r.Value) < 9 {
		return false, errors.New("short")
	}
	row := schemas.Row{schemas.Text(string(r.Key)), schemas.Int(int64(binary.BigEndian.Uint64(r.Value[1:])))}
	c.Op = schemas.Op(r.Value[0])
	c.Txn = &schemas.Txn{}
	for _, h := range r.Headers {
		if h.Key == schemas.HeaderOrigin {
			c.Txn.Origin = schemas.ParseOrigin(string(h.Value))
		}
	}
	if c.Op == schemas.Delete {
		c.Before = row
	} else {
		c.After = row
	}
	return true, nil
}

// workload makes batches in which each change has the next number.
type workload struct {
	rng *rand.Rand
	n   int64
	pos uint64
}

func newWorkload(seed uint64) *workload { return &workload{rng: rand.New(rand.NewPCG(seed, 1))} }

var testTables = []*schemas.Table{testTable("a"), testTable("b"), testTable("c")}

// batch makes one transaction of so many changes.
func (w *workload) batch(changes int) *schemas.Batch {
	w.pos++
	pos := schemas.Position{Source: "test", End: w.pos}
	txn := &schemas.Txn{ID: fmt.Sprint(w.pos), Pos: pos, Time: time.UnixMilli(int64(w.pos))}
	if w.pos%3 == 0 {
		txn.Origin = schemas.Origin{Pipeline: "p", Batch: int64(w.pos)}
	}
	b := &schemas.Batch{Txns: 1, Resume: pos}
	for range changes {
		w.n++
		row := schemas.Row{schemas.Text(fmt.Sprintf("key-%d", w.rng.IntN(1000))), schemas.Int(w.n)}
		c := schemas.Change{Op: schemas.Insert, Table: testTables[w.rng.IntN(len(testTables))], After: row, Txn: txn}
		if w.rng.IntN(5) == 0 {
			c.Op, c.Before, c.After = schemas.Delete, row, nil
		}
		b.Changes = append(b.Changes, c)
	}
	return b
}

// number is what the workload gave to a change.
func number(c *schemas.Change) int64 {
	if c.Op == schemas.Delete {
		return c.Before[1].Int()
	}
	return c.After[1].Int()
}

func openWriter(t testing.TB, cfg Config, system string) *Writer {
	t.Helper()
	w, err := OpenWriter(testContext(t), cfg, system, testCodec{system})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func mustWrite(t testing.TB, w *Writer, bs ...*schemas.Batch) schemas.Commit {
	t.Helper()
	c, err := w.Write(testContext(t), bs...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openReader(t testing.TB, cfg Config, system string, want func(string) bool, from Start) *Reader {
	t.Helper()
	r, err := OpenReader(testContext(t), cfg, system, testCodec{}, want, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// readCommit reads one whole commit.
func readCommit(t testing.TB, r *Reader) (schemas.Commit, []schemas.Change) {
	t.Helper()
	var all []schemas.Change
	for {
		p, err := r.Next(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Changes...)
		if p.Last {
			return *p.Commit, all
		}
	}
}

// checkAll reads n commits and expects the numbers 1 to last in order, once.
func checkAll(t testing.TB, cfg Config, system string, commits int, last int64) {
	t.Helper()
	r := openReader(t, cfg, system, nil, Start{})
	var n int64
	for i := range commits {
		c, changes := readCommit(t, r)
		if c.Number != int64(i+1) {
			t.Fatalf("commit %d where %d was expected", c.Number, i+1)
		}
		var seq uint64
		for j := range changes {
			if got := number(&changes[j]); got != n+1 {
				t.Fatalf("commit %d: change %d where %d was expected", c.Number, got, n+1)
			}
			if changes[j].Seq <= seq {
				t.Fatalf("commit %d: seq %d behind %d", c.Number, changes[j].Seq, seq)
			}
			seq = changes[j].Seq
			n++
		}
	}
	if n != last {
		t.Fatalf("%d changes, not %d", n, last)
	}
	checkTopics(t, cfg, system, last)
}

// checkTopics expects each number once in the data topics, read_committed.
func checkTopics(t testing.TB, cfg Config, system string, last int64) {
	t.Helper()
	var got []int64
	for _, table := range testTables {
		err := ReadTopic(testContext(t), cfg, schemas.TopicName(system, table.Name), func(_ int, _ int64, r *schemas.Record) error {
			if age := time.Since(r.Time); age > time.Hour || age < -time.Minute {
				return fmt.Errorf("a record of %s: retention goes by that", r.Time)
			}
			if r.Value != nil {
				got = append(got, int64(binary.BigEndian.Uint64(r.Value[1:])))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(got)
	for i, n := range got {
		if n != int64(i+1) {
			t.Fatalf("topics hold %d as number %d of %d: lost or twice", n, i+1, len(got))
		}
	}
	if int64(len(got)) != last {
		t.Fatalf("topics hold %d changes, not %d", len(got), last)
	}
}

var errInjected = errors.New("injected fault")

// network is a dial function whose connections break, by chance or at a given
// request, and which counts requests.
type network struct {
	mu       sync.Mutex
	rng      *rand.Rand
	rate     float64 // of calls of Read and Write
	requests int
	cuts     int // by chance
	// stopAt: with this request the network ends; before it is sent, or with
	// lostReply behind it.
	stopAt    int
	lostReply bool
	stopped   bool
}

func (n *network) dial(ctx context.Context, proto, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return nil, errInjected
	}
	c, err := (&net.Dialer{}).DialContext(ctx, proto, addr)
	if err != nil {
		return nil, err
	}
	return &brokenConn{Conn: c, net: n}, nil
}

type brokenConn struct {
	net.Conn
	net *network
}

func (n *network) chance() bool {
	cut := n.rate > 0 && n.rng.Float64() < n.rate
	if cut {
		n.cuts++
	}
	return cut
}

func (c *brokenConn) Write(p []byte) (int, error) {
	c.net.mu.Lock()
	n := c.net
	n.requests++
	stop := n.stopAt > 0 && n.requests >= n.stopAt
	cut := n.chance()
	half := n.rng != nil && n.rng.IntN(2) == 0
	if stop {
		n.stopped = true
	}
	n.mu.Unlock()
	if stop && n.lostReply && n.requests == n.stopAt {
		written, err := c.Conn.Write(p)
		return written, err
	}
	if stop || cut {
		if half {
			c.Conn.Write(p[:len(p)/2])
		}
		c.Conn.Close()
		return 0, errInjected
	}
	return c.Conn.Write(p)
}

func (c *brokenConn) Read(p []byte) (int, error) {
	c.net.mu.Lock()
	stopped, cut := c.net.stopped, c.net.chance()
	c.net.mu.Unlock()
	if stopped || cut {
		// The request may have been carried out: wait for the answer, then lose it.
		c.Conn.Read(p)
		c.Conn.Close()
		return 0, errInjected
	}
	return c.Conn.Read(p)
}
