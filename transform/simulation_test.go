package transform

import (
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strait-cdc/strait/schemas"
	"github.com/strait-cdc/strait/transform/mapping"
	"github.com/strait-cdc/strait/transform/state"
)

var (
	simSeeds = flag.Int("sim.seeds", 1000, "how many schedules TestSimulation runs")
	simSeed  = flag.Int64("sim.seed", 0, "run one schedule and tell its story")
)

// sim runs the real engine and its real store format in a simWorld.
type sim struct {
	*simWorld
	store  *state.Memory
	set    *mapping.Set
	engine *engine
	broken breakage
	faults bool
	// stuck is a reason to park that must never come up here.
	stuck string
	NoObserver
}

// Parked implements Observer. Both sides compare texts alike here, so a guard that
// seems never to hold is a mistake of ours.
func (s *sim) Parked(p *Parked) {
	if p.Kind == "guard" || p.Kind == "held" || p.Kind == "value" {
		s.stuck = p.Reason
	}
}

func newSim(seed int64, broken breakage) *sim {
	s := emptySim(seed, broken, simMapping())
	for range s.r.Intn(8) {
		s.user()
	}
	for _, sys := range s.sys {
		s.snapshot(sys)
	}
	s.faults = true
	return s
}

// emptySim is two empty systems before their snapshot.
func emptySim(seed int64, broken breakage, set *mapping.Set) *sim {
	w := &simWorld{r: rand.New(rand.NewSource(seed)), clock: time.UnixMilli(1_000_000), prev: map[string]string{}, overwritten: map[string]string{}, lost: map[string]bool{}}
	w.sys[0], w.sys[1] = newSimSystem(0, "crm"), newSimSystem(1, "erp")
	s := &sim{simWorld: w, store: state.NewMemory(), broken: broken, set: set}
	s.store.Fault = s.fault
	w.partner = s.keyOf
	s.restart()
	return s
}

func (s *sim) keyOf(entity, system, pk, other string) (key string) {
	p := state.Prefix("l", entity, other)
	_ = s.store.View(func(tx state.Txn) error {
		hub, _ := s.engine.hubOf(tx, entity, system, pk)
		return tx.Scan(p, func(k, v []byte) (bool, error) {
			if string(v) == hub && hub != "" {
				key = string(k[len(p):])
			}
			return true, nil
		})
	})
	return key
}

// snapshot gives the rows that are there as the first commit of a system.
func (s *sim) snapshot(sys *simSystem) {
	sys.log, sys.read = nil, 0
	tx := simTxn{txn: &schemas.Txn{ID: "snapshot", Time: s.clock}}
	for kind := range simTables[sys.side] {
		for _, pk := range sys.keys(kind) {
			sys.record(&tx, schemas.Snapshot, kind, pk, sys.rows[kind][pk])
		}
	}
	sys.log = append(sys.log, tx)
	sys.capture(1, schemas.PhaseSnapshot|schemas.PhaseSnapshotFirst|schemas.PhaseSnapshotLast)
}

var errSim = errors.New("simulated fault")

func (s *sim) fault() (bool, error) {
	if s.faults && s.r.Float64() < 0.03 {
		return s.r.Intn(2) == 0, errSim
	}
	return true, nil
}

// restart is a crash: nothing but the store survives.
func (s *sim) restart() {
	f := s.faults
	s.faults = false
	e, err := newEngine(s.store, s.set, "p", "h", func() time.Time { return s.clock }, s, Bounds{Intents: 3, Batches: 2})
	if err != nil {
		panic(err)
	}
	s.faults = f
	e.broken = s.broken
	s.engine = e
}

// step runs one transaction of the engine; a failed one is a crash.
func (s *sim) step(in stepInput, plan bool) {
	if err := s.engine.step(in, plan); err != nil {
		if !errors.Is(err, errSim) {
			panic(err)
		}
		s.tell("crash in a transaction of the store")
		s.restart()
	}
}

func (s *sim) read(side int) {
	sys := s.sys[side]
	p := sys.after(s.engine.start(sys.name))
	if p == nil && sys.capture(1+s.r.Intn(3), schemas.PhaseLog) {
		p = sys.after(s.engine.start(sys.name))
	}
	if p == nil {
		return
	}
	s.tell("fold %s commit %d", sys.name, p.Commit.Number)
	if n := len(p.Changes); n > 1 && s.r.Float64() < 0.3 { // a large commit comes in parts
		cut := 1 + s.r.Intn(n-1)
		p.Changes, p.Last, p.Seq = p.Changes[:cut], false, p.Changes[cut-1].Seq
	}
	s.step(stepInput{parts: []part{{sys.name, p}}}, s.r.Intn(3) == 0)
}

func (s *sim) write(side int) {
	sys := s.sys[side]
	out := s.engine.outstanding(sys.name)
	if len(out) == 0 {
		return
	}
	x := s.r.Float64()
	if s.faults && x < 0.1 {
		return // it failed and did not happen
	}
	var intents []schemas.Intent
	_ = s.store.View(func(tx state.Txn) error {
		batch, err := s.engine.batch(tx, sys.name, out[0])
		for _, p := range batch {
			intents = append(intents, p.Intent)
		}
		return err
	})
	answers, err := s.apply(sys, out[0], intents)
	if err != nil {
		panic(err)
	}
	if s.faults && x < 0.25 {
		s.tell("%s: the answer to batch %d is lost", sys.name, out[0])
		return // it failed but did happen
	}
	s.step(stepInput{answers: []answer{{sys.name, out[0], answers}}}, false)
}

func (s *sim) random(users bool) {
	switch x := s.r.Float64(); {
	case users && x < 0.25:
		s.user()
	case x < 0.45:
		s.read(0)
	case x < 0.65:
		s.read(1)
	case x < 0.80:
		s.clock = s.clock.Add(time.Duration(s.r.Intn(5)) * time.Millisecond)
		s.step(stepInput{}, true)
	case x < 0.99:
		s.write(s.r.Intn(2))
	default:
		s.tell("crash")
		s.restart()
	}
}

// rest lets everything run out without users; it reports whether it came to rest.
func (s *sim) rest() bool {
	for range 400 {
		for range 20 {
			s.random(false)
		}
		if s.quiet() {
			return true
		}
	}
	return false
}

func (s *sim) quiet() bool {
	for _, sys := range s.sys {
		if sys.read < len(sys.log) || sys.after(s.engine.start(sys.name)) != nil || len(s.engine.outstanding(sys.name)) > 0 {
			return false
		}
	}
	return len(s.engine.queue.items) == 0 && len(s.engine.blocked) == 0
}

// run is one schedule; it returns what is wrong, or nothing.
func (s *sim) run() (wrong string) {
	defer func() {
		if r := recover(); r != nil {
			wrong = fmt.Sprint("panic: ", r)
		}
	}()
	for range 100 {
		s.random(true)
	}
	if !s.rest() {
		return "never at rest"
	}
	if s.stuck != "" {
		return "parked without need: " + s.stuck
	}
	return s.check()
}

func (s *sim) check() string {
	if a, b := s.sys[0].image(), s.sys[1].image(); fmt.Sprint(a) != fmt.Sprint(b) {
		return fmt.Sprintf("diverged:\n  crm %s\n  erp %s", strings.Join(a, ", "), strings.Join(b, ", "))
	}
	known, wrong := map[string]bool{}, ""
	_ = s.store.View(func(tx state.Txn) error {
		_ = tx.Scan(state.Prefix("c"), func(_, v []byte) (bool, error) {
			var c Conflict
			_ = unmarshal(v, &c)
			loser := c.Values[1-c.Winner].Text()
			known[loser] = true
			// What goes with a deleted record is recorded with it, also if a user sees to it
			// later; an overruled value must have been overwritten.
			if c.Rule != "deleted" && (c.Field == "f" || c.Field == "g" || c.Field == "v") && !s.lost[loser] {
				wrong = fmt.Sprintf("a conflict about %s is recorded, but it never was overwritten", loser)
			}
			return true, nil
		})
		_ = tx.Scan(state.Prefix("p"), func(_, v []byte) (bool, error) {
			var k Parked
			_ = unmarshal(v, &k)
			if k.Entity != "order" || k.Kind != "waiting" && k.Kind != "refused" {
				wrong = "parked at rest: " + string(v)
			}
			return true, nil
		})
		_ = tx.Scan(state.Prefix("e"), func(_, v []byte) (bool, error) {
			r, _ := decodeRecord(v)
			if r.Pending != [2]int64{} {
				wrong = "pending at rest: " + string(v)
			}
			return true, nil
		})
		return nil
	})
	for _, c := range s.sys[0].buried() {
		r := s.sys[0].rows["contacts"][c]
		if s.sys[0].ends["accounts"+r[1].Text()] == nil { // we did it, no user
			s.deleted(s.sys[0], "contacts", c)
		}
	}
	for v, what := range s.overwritten {
		if !known[v] {
			return "lost without a record: " + what
		}
	}
	for _, sys := range s.sys {
		if d := duplicates(sys); d != "" {
			return d
		}
	}
	return wrong
}

// duplicates finds records that are there twice, or linked twice.
func duplicates(s *simSystem) string {
	seen := map[string]bool{}
	for _, line := range s.image() {
		id := strings.Split(line, " f=")[0]
		id = strings.Split(id, " status=")[0]
		if i := strings.LastIndex(id, "="); i > 0 {
			id = id[:i]
		}
		if seen[id] {
			return s.name + ": twice: " + id
		}
		seen[id] = true
	}
	return ""
}

// TestSimulation runs random schedules of edits, crossing writes, crashes at each
// persisted step in both flavours, and delays. At rest both sides must be equal, no
// value may be lost without a record, nothing may exist twice or be in flight.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		s := newSim(*simSeed, breakage{})
		wrong := s.run()
		t.Log(strings.Join(s.story, "\n"))
		if wrong != "" {
			t.Log(s.dump())
		}
		if wrong != "" {
			t.Fatal(wrong)
		}
		return
	}
	start := time.Now()
	if seed, wrong := hunt(*simSeeds, breakage{}); wrong != "" {
		t.Fatalf("seed %d: %s\nrun again with: make sim SEED=%d", seed, wrong, seed)
	}
	per := float64(*simSeeds) / time.Since(start).Seconds() / float64(runtime.GOMAXPROCS(0))
	t.Logf("%d schedules, %.0f a second and core", *simSeeds, per)
}

// dump is the reconciler's records and the sides' rows, for a story gone wrong.
func (s *sim) dump() string {
	var b strings.Builder
	_ = s.store.View(func(tx state.Txn) error {
		for _, p := range []string{"e", "p", "i", "c"} {
			_ = tx.Scan(state.Prefix(p), func(k, v []byte) (bool, error) {
				fmt.Fprintf(&b, "%q %s\n", k, v)
				return true, nil
			})
		}
		return nil
	})
	for _, sys := range s.sys {
		fmt.Fprintf(&b, "%s %v\n", sys.name, sys.rows)
	}
	return b.String()
}

// hunt runs schedules until one goes wrong.
func hunt(seeds int, broken breakage) (int64, string) {
	var mu sync.Mutex
	var found int64
	var what string
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1)
				mu.Lock()
				stop := found != 0 && found < seed || seed > int64(seeds)
				mu.Unlock()
				if stop {
					return
				}
				if wrong := newSim(seed, broken).run(); wrong != "" {
					mu.Lock()
					if found == 0 || seed < found {
						found, what = seed, wrong
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return found, what
}

// TestSimulationCatches breaks the rules of the protocol one by one; each must be
// noticed within the stated number of schedules.
func TestSimulationCatches(t *testing.T) {
	for name, c := range map[string]struct {
		broken breakage
		seeds  int
	}{
		"agreed at plan":   {breakage{agreedAtPlan: true}, 200},
		"missed forgotten": {breakage{missedForgotten: true}, 200},
		"no block":         {breakage{noBlock: true}, 2000},
		"overlay kept":     {breakage{overlayKept: true}, 200},
		"no overlay":       {breakage{noOverlay: true}, 200},
		"no fence":         {breakage{noFence: true}, 200},
		"conflict at plan": {breakage{conflictAtPlan: true}, 500},
	} {
		t.Run(name, func(t *testing.T) {
			seed, wrong := hunt(c.seeds, c.broken)
			if wrong == "" {
				t.Fatalf("not noticed in %d schedules", c.seeds)
			}
			t.Logf("noticed at seed %d: %s", seed, wrong)
		})
	}
}
