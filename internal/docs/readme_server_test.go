//go:build !noservers

package docs

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strait-cdc/strait/internal/testenv"
)

// example follows README.md block by block, as a reader would, in a folder that
// has bin/strait and two databases.
type example struct {
	t        *testing.T
	dir      string
	crm, erp *testenv.Server
	env      []string

	// running is strait run, nil before; ended is closed when it has ended.
	running *exec.Cmd
	ended   chan struct{}
	log     string
}

// TestReadmeExample runs what README.md shows between its headings "With two
// databases of your own" and "What it promises", then what stands under
// "Beginning anew", in the order of the page. What README.md says of the outcome
// is checked on the way.
func TestReadmeExample(t *testing.T) {
	x := &example{t: t, dir: t.TempDir(), crm: testenv.MariaDB(t), erp: testenv.Postgres(t, "15")}
	x.env = append(os.Environ(), "CRM_PASSWORD="+x.crm.Password, "ERP_PASSWORD="+x.erp.Password)
	if err := os.MkdirAll(filepath.Join(x.dir, "mapping"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Dir(buildStrait(t)), filepath.Join(x.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.stop)

	steps := x.steps()
	for _, b := range readPage(t, "README.md").blocks {
		if b.language == "text" {
			continue
		}
		i := slices.IndexFunc(steps, func(s step) bool { return s.block(b) })
		if i < 0 {
			t.Fatalf("README.md:%d: no test knows how to run this %s block, or it has been run already:\n%s", b.line, b.language, b.text())
		}
		if i > 0 {
			t.Fatalf("README.md:%d: this block comes before the one that begins with %q:\n%s", b.line, steps[0].first, b.text())
		}
		t.Logf("README.md:%d: %s", b.line, b.lines[0])
		steps[0].run(b)
		steps = steps[1:]
	}
	if len(steps) > 0 {
		t.Errorf("README.md has no block any more that begins with %q", steps[0].first)
	}
	x.anew()
}

// step is how one block is run; the block is known by its language and its
// first lines.
type step struct {
	language, first string
	run             func(b block)
}

func (s step) block(b block) bool {
	return b.language == s.language && strings.HasPrefix(b.text(), s.first)
}

// steps are the blocks of README.md in their order.
func (x *example) steps() []step {
	known := func(block) {} // by TestCommands
	return []step{
		{"sh", "make demo\n", known},
		{"sh", "make test\n", known},
		{"sql", "-- crm\ncreate table", func(b block) { x.crm.Exec(x.t, b.text()) }},
		{"sql", "-- erp\ncreate table", func(b block) { x.erp.Exec(x.t, b.text()) }},
		{"yaml", "systems:", func(b block) { x.configure(b.text()) }},
		{"yaml", "kind: Entity", func(b block) { x.write("mapping/customer.yaml", b.text()) }},
		{"sh", "make build\n", func(b block) { x.commands(b); x.linked() }},
		{"sql", "-- crm\nupdate", func(b block) { x.crm.Exec(x.t, b.text()) }},
		{"sql", "-- erp\nupdate", func(b block) { x.erp.Exec(x.t, b.text()) }},
		{"sh", "bin/strait verify\n", func(b block) { x.commands(b); x.edited() }},
		{"sql", "-- crm and erp\ndelete from strait.link", func(b block) {
			x.stop()
			x.crm.Exec(x.t, b.text())
			x.erp.Exec(x.t, b.text())
		}},
	}
}

func (x *example) write(name, text string) {
	x.t.Helper()
	if err := os.WriteFile(filepath.Join(x.dir, name), []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// configure puts the test's own servers and free ports in the place of those of
// the page.
func (x *example) configure(text string) {
	x.t.Helper()
	for from, to := range map[string]*testenv.Server{"mariadb://strait@127.0.0.1:3306/crm": x.crm, "postgres://strait@127.0.0.1:5432/erp": x.erp} {
		if !strings.Contains(text, from) {
			x.t.Fatalf("strait.yaml of README.md does not name %s", from)
		}
		u, err := url.Parse(to.URL())
		if err != nil {
			x.t.Fatal(err)
		}
		u.User = url.User(to.User)
		text = strings.Replace(text, from, u.String(), 1)
	}
	x.write("strait.yaml", text+"http: 127.0.0.1:0\nkafka: {embedded: {addr: \"127.0.0.1:0\"}}\nregistry: {listen: \"127.0.0.1:0\"}\n")
}

// commands runs the lines of a block. run goes on behind the others, and tail is
// ended when it has shown something.
func (x *example) commands(b block) {
	x.t.Helper()
	for _, line := range b.lines {
		switch {
		case line == "make build", strings.HasPrefix(line, "export CRM_PASSWORD="):
		case line == "bin/strait run":
			x.start()
		case strings.HasPrefix(line, "bin/strait tail crm.crm.accounts "):
			x.tail(strings.Fields(strings.Replace(line, "crm.crm.accounts", "crm."+x.crm.Database+".accounts", 1)))
		case line == "bin/strait check", line == "bin/strait verify":
			x.strait(strings.Fields(line)[1:]...)
		default:
			x.t.Fatalf("README.md: no test knows how to run %q", line)
		}
	}
}

func (x *example) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(x.dir, "bin", "strait"), args...)
	cmd.Dir, cmd.Env = x.dir, x.env
	return cmd
}

// strait runs a verb that ends by itself.
func (x *example) strait(args ...string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), 40*time.Second)
	defer cancel()
	out, err := x.command(ctx, args...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("strait %s: %v\n%s%s", strings.Join(args, " "), err, out, x.tailOfLog())
	}
	x.t.Logf("strait %s:\n%s", strings.Join(args, " "), out)
}

// start is strait run.
func (x *example) start() {
	x.t.Helper()
	x.log = filepath.Join(x.dir, "run.log")
	f, err := os.OpenFile(x.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		x.t.Fatal(err)
	}
	defer f.Close()
	x.running = x.command(context.WithoutCancel(x.t.Context()), "run")
	x.running.Stdout, x.running.Stderr = f, f
	// It ends with the test, however that ends.
	x.running.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := x.running.Start(); err != nil {
		x.t.Fatal(err)
	}
	x.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = cmd.Wait() // stop looks at the state
	}(x.running, x.ended)
}

// stop is Ctrl-C: strait run finishes what it holds and ends without an error.
func (x *example) stop() {
	if x.running == nil {
		return
	}
	cmd := x.running
	x.running = nil
	_ = cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-x.ended:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		<-x.ended
	}
	if !cmd.ProcessState.Success() {
		x.t.Errorf("strait run: %s\n%s", cmd.ProcessState, x.tailOfLog())
	}
}

// tail shows the record of the edit in the CRM and is ended by Ctrl-C.
func (x *example) tail(words []string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), 20*time.Second)
	defer cancel()
	cmd := x.command(ctx, words[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		x.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	found, lines := false, 0
	for s := bufio.NewScanner(out); !found && s.Scan(); lines++ {
		found = strings.Contains(s.Text(), `"sales@acme.example"`)
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); !found || err != nil {
		x.t.Errorf("%s: %v; the new address was shown: %t, after %d records", strings.Join(words, " "), err, found, lines)
	}
}

// linked: the records of Acme are one, Beta and Gamma are on both sides.
func (x *example) linked() {
	x.t.Helper()
	x.holds(x.crm, `select count(*) from accounts where name in ('Acme GmbH', 'Beta AG', 'Gamma KG')`, 3)
	x.holds(x.erp, `select count(*) from debtor where name1 in ('Acme GmbH', 'Beta AG', 'Gamma KG')`, 3)
	x.holds(x.crm, `select count(*) from strait.link where entity = 'customer' and status = 'live'`, 3)
}

// edited: the new address and the new name are on both sides, the limit is the
// ERP's, and the overruled one is in the log.
func (x *example) edited() {
	x.t.Helper()
	x.holds(x.crm, `select count(*) from accounts where email = 'sales@acme.example' and name = 'Acme Holding' and credit_limit = 5000`, 1)
	x.holds(x.erp, `select count(*) from debtor where mail = 'sales@acme.example' and name1 = 'Acme Holding' and credit_limit = 5000`, 1)
	log, err := os.ReadFile(x.log)
	if err != nil {
		x.t.Fatal(err)
	}
	if !strings.Contains(string(log), "msg=conflict") || !strings.Contains(string(log), "1000000") {
		x.t.Errorf("the log of strait run does not tell of the overruled limit\n%s", x.tailOfLog())
	}
}

// anew is the rest of "Beginning anew", which has no blocks: no state, another
// pipeline. Nothing is created twice, and the two sides go on.
func (x *example) anew() {
	x.t.Helper()
	if err := os.RemoveAll(filepath.Join(x.dir, "state")); err != nil {
		x.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(x.dir, "strait.yaml"))
	if err != nil {
		x.t.Fatal(err)
	}
	x.write("strait.yaml", "pipeline: second\n"+string(text))
	x.start()
	x.linkedAgain()
	x.erp.Exec(x.t, `update debtor set name1 = 'Gamma Holding' where vat_no = 'DE333'`)
	x.holds(x.crm, `select count(*) from accounts where name = 'Gamma Holding'`, 1)
	x.strait("verify")
}

func (x *example) linkedAgain() {
	x.t.Helper()
	for _, s := range []*testenv.Server{x.crm, x.erp} {
		x.holds(s, `select count(*) from strait.link where entity = 'customer' and status = 'live'`, 3)
	}
	x.holds(x.crm, `select count(*) from accounts`, 3)
	x.holds(x.erp, `select count(*) from debtor`, 3)
}

// holds waits until a count is what it should be.
func (x *example) holds(s *testenv.Server, query string, want int) {
	x.t.Helper()
	defer func() {
		if x.t.Failed() {
			x.t.Log(x.tailOfLog())
		}
	}()
	testenv.Eventually(x.t, 30*time.Second, func() error {
		var n int
		if err := s.DB().QueryRowContext(x.t.Context(), query).Scan(&n); err != nil || n != want {
			return fmt.Errorf("%s: %d, want %d (%v)", query, n, want, err)
		}
		return nil
	})
}

func (x *example) tailOfLog() string {
	raw, err := os.ReadFile(x.log)
	if err != nil {
		return ""
	}
	const most = 6000
	return "log of strait run:\n" + string(raw[max(0, len(raw)-most):])
}
