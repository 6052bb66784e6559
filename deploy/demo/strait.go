package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/strait-cdc/strait/deploy/examples"
	"github.com/strait-cdc/strait/internal/ops"
)

// strait is the process between the two sides: built, configured, started, and
// now and then killed.
type strait struct {
	dir    string // holds the program, strait.yaml, the mapping and the state
	spawn  chan spawned
	client http.Client

	// mu guards the fields below.
	mu      sync.Mutex
	process *process
	kills   int
}

// process is one life of strait.
type process struct {
	cmd *exec.Cmd
	// ended is closed when it has; err is why.
	ended chan struct{}
	err   error
	// wanted says that we ended it ourselves.
	wanted bool
}

// spawned asks the thread that starts processes for one.
type spawned struct {
	cmd *exec.Cmd
	err chan error
}

// runInfo is the file state/run.json, of a running process.
type runInfo struct {
	PID      int      `json:"pid"`
	Brokers  []string `json:"brokers"`
	Registry string   `json:"registry"`
	HTTP     string   `json:"http"`
}

func buildStrait(ctx context.Context, dir string) (*strait, error) {
	s := &strait{dir: dir, spawn: make(chan spawned), client: http.Client{Timeout: 2 * time.Second}}
	out, err := exec.CommandContext(ctx, "go", "build", "-o", s.program(), "github.com/strait-cdc/strait/cmd/strait").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	go s.spawner()
	return s, nil
}

// spawner starts processes from one thread that lives as long as the demo: the
// kernel ends a child when the thread that started it ends, so that nothing is
// left behind if the demo is killed.
func (s *strait) spawner() {
	runtime.LockOSThread()
	for p := range s.spawn {
		p.err <- p.cmd.Start()
	}
}

func (s *strait) program() string { return filepath.Join(s.dir, "strait") }
func (s *strait) config() string  { return filepath.Join(s.dir, "strait.yaml") }
func (s *strait) logFile() string { return filepath.Join(s.dir, "strait.log") }

// configure writes strait.yaml, the mapping and the passwords.
func (s *strait) configure(crm, erp *side, brokers []string) error {
	if err := os.CopyFS(filepath.Join(s.dir, "mapping"), examples.Mapping()); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("pipeline: demo\nstate: state\nmapping: mapping\nhttp: 127.0.0.1:0\nregistry: {listen: \"127.0.0.1:0\"}\n")
	if len(brokers) > 0 {
		fmt.Fprintf(&b, "kafka: {brokers: [%q]}\n", strings.Join(brokers, `", "`))
	} else {
		b.WriteString("kafka: {embedded: {addr: \"127.0.0.1:0\"}}\n")
	}
	b.WriteString("systems:\n")
	for _, side := range []*side{crm, erp} {
		server := side.database
		u := url.URL{Scheme: server.Kind, User: url.User(server.User), Host: server.Addr(), Path: "/" + server.Database}
		fmt.Fprintf(&b, "  %s: {url: %q, password_file: %s.password, status_every: 2s}\n", side.name, u.String(), side.name)
		if err := os.WriteFile(filepath.Join(s.dir, side.name+".password"), []byte(server.Password+"\n"), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(s.config(), []byte(b.String()), 0o600)
}

// command runs a verb to its end and gives what it says.
func (s *strait) command(ctx context.Context, verb string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.program(), append([]string{verb, "--config", s.config()}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a ^C is for the demo
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// start begins a life of strait run.
func (s *strait) start() error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p := &process{cmd: exec.Command(s.program(), "run", "--config", s.config()), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := spawned{p.cmd, make(chan error)}
	s.spawn <- started
	if err := <-started.err; err != nil {
		return fmt.Errorf("start strait: %w", err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.ended) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
	return nil
}

func (s *strait) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// kill ends it as a loss of the machine would, and waits for its end.
func (s *strait) kill() {
	p := s.current()
	if p == nil {
		return
	}
	s.mu.Lock()
	p.wanted = true
	s.mu.Unlock()
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.ended
}

// addKill counts a life that was ended for the sake of the show.
func (s *strait) addKill() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills++
	return s.kills
}

func (s *strait) killed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kills
}

// stop ends it in order.
func (s *strait) stop() error {
	p := s.current()
	s.mu.Lock()
	p.wanted = true
	s.mu.Unlock()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(40 * time.Second):
		return errors.New("it did not end within 40 s of SIGTERM")
	}
}

// guard returns an error when strait ends by itself.
func (s *strait) guard(ctx context.Context) error {
	for {
		p := s.current()
		select {
		case <-ctx.Done():
			return nil
		case <-p.ended:
		}
		s.mu.Lock()
		wanted := p.wanted
		s.mu.Unlock()
		if !wanted {
			return fmt.Errorf("strait run ended by itself: %w", p.err)
		}
		select { // the killer starts it again
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// info is run.json of the life that runs now.
func (s *strait) info() (runInfo, error) {
	var i runInfo
	b, err := os.ReadFile(filepath.Join(s.dir, "state", "run.json"))
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return i, err
	}
	if p := s.current(); p == nil || p.cmd.Process.Pid != i.PID {
		return i, errors.New("strait is just starting")
	}
	return i, nil
}

// get asks the running process.
func (s *strait) get(path string) (int, []byte, error) {
	i, err := s.info()
	if err != nil {
		return 0, nil, err
	}
	resp, err := s.client.Get(i.HTTP + path)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// status asks for /status, of the life with the given process id.
func (s *strait) status() (pid int, st ops.Status, err error) {
	i, err := s.info()
	if err != nil {
		return 0, st, err
	}
	code, b, err := s.get("/status")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("/status: %d %s", code, b)
	}
	if err != nil {
		return 0, st, err
	}
	return i.PID, st, json.Unmarshal(b, &st)
}

// waitReady waits for /readyz.
func (s *strait) waitReady(ctx context.Context) error {
	for {
		code, body, err := s.get("/readyz")
		if err == nil && code == http.StatusOK {
			return nil
		}
		select {
		case <-s.current().ended:
			return fmt.Errorf("strait run ended: %w\n%s", s.current().err, s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("strait run is not ready: %w %s\n%s", errors.Join(ctx.Err(), err), body, s.logTail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// logTail is the end of strait's log.
func (s *strait) logTail() string {
	b, _ := os.ReadFile(s.logFile())
	all := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-25):], []byte("\n")))
}
