package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startPatience bounds a start with its initialisation on a busy machine.
	startPatience = 3 * time.Minute
	// stopPatience bounds an orderly stop; force follows.
	stopPatience = 30 * time.Second
)

// machine is a server's program with its folder: what can be started, stopped,
// killed and started again.
type machine struct {
	// label names it in errors: "PostgreSQL 15".
	label string
	// argv and env are its command.
	argv, env []string
	// polite ends it in order.
	polite syscall.Signal
	// ping reports nil when it serves.
	ping func(ctx context.Context) error
	// own says that one test has it for itself.
	own bool

	// life guards process while it is started and stopped.
	life    sync.Mutex
	process *process
}

// folder makes the folder of a server. With dir "" it is a new temporary one;
// another is the caller's, and kept when the server stops.
func folder(dir, name string) (path string, keep bool, err error) {
	if dir == "" {
		path, err = os.MkdirTemp("", "strait-"+name+"-")
	} else {
		path, keep, err = dir, true, os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = account().own(path)
	}
	if err != nil {
		return "", false, fmt.Errorf("folder for %s: %w", name, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", false, fmt.Errorf("folder for %s: %w", name, err)
	}
	if err := account().reaches(path); err != nil {
		if !keep {
			os.Remove(path)
		}
		return "", false, err
	}
	return path, keep, nil
}

// begin starts the process and waits until it serves.
func (m *machine) begin(ctx context.Context) error {
	if err := m.process.start(m.argv, m.env); err != nil {
		return fmt.Errorf("start %s: %w", m.label, err)
	}
	for {
		err := m.try(ctx)
		if err == nil {
			return nil
		}
		if !m.process.alive() {
			m.process.end(syscall.SIGKILL, 0)
			return fmt.Errorf("start %s: it ended: %s", m.label, m.process.logTail())
		}
		select {
		case <-ctx.Done():
			m.process.end(syscall.SIGKILL, 0)
			return fmt.Errorf("start %s: %w; last error: %w; its log: %s", m.label, ctx.Err(), err, m.process.logTail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// try pings once. An answer does not count when the process has ended: it would be
// that of a stranger on the port.
func (m *machine) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := m.ping(ctx); err != nil {
		return err
	}
	if !m.process.alive() {
		return fmt.Errorf("%s has ended, another server answers on its port", m.label)
	}
	return nil
}

func (m *machine) again(t testing.TB, crash bool) {
	t.Helper()
	if !m.own {
		t.Fatalf("%s is shared by the tests of this package; ask for a private one: testenv.Own…", m.label)
	}
	m.life.Lock()
	defer m.life.Unlock()
	m.end(crash)
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	if err := m.begin(ctx); err != nil {
		t.Fatalf("start again: %v", err)
	}
}

func (m *machine) end(crash bool) {
	if crash {
		m.process.end(syscall.SIGKILL, 0)
	} else {
		m.process.end(m.polite, stopPatience)
	}
}

// close ends everything. Data that is kept is closed in order, other data need not be.
func (m *machine) close() error {
	m.life.Lock()
	defer m.life.Unlock()
	sig := syscall.SIGKILL
	if m.process.keep || m.polite == postgresStop {
		sig = m.polite // PostgreSQL leaves shared memory behind when killed
	}
	return m.process.close(sig, stopPatience)
}
