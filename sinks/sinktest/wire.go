package sinktest

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Wire is a proxy that can break a connection at the very commit. It looks for
// a packet that holds nothing but the statement "commit" of either protocol, so
// the connection must not be encrypted.
type Wire struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	// mu guards armed and conns.
	mu    sync.Mutex
	armed Fault
	conns []net.Conn
}

// NewWire starts a proxy to host:port that lives as long as the test.
func NewWire(t testing.TB, target string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{target: target, listener: l}
	w.running.Add(1)
	go w.accept()
	t.Cleanup(func() {
		_ = l.Close()
		w.cut()
		w.running.Wait()
	})
	return w
}

// Addr is host:port for the client.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Arm breaks the connection at the next commit.
func (w *Wire) Arm(f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = f
}

func (w *Wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

func (w *Wire) accept() {
	defer w.running.Done()
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, client, server)
		w.mu.Unlock()
		w.running.Add(2)
		go w.pump(client, server, true)
		go w.pump(server, client, false)
	}
}

// pump copies one direction until an end closes or the fault strikes: before
// the commit is passed on, or when its answer arrives.
func (w *Wire) pump(from, to net.Conn, up bool) {
	defer w.running.Done()
	defer w.cut()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || w.strikes(buf[:n], up) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// committed stands for: the commit is on its way, break at the answer.
const committed = Done + 1

func (w *Wire) strikes(b []byte, up bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !up {
		return w.armed == committed
	}
	if w.armed == NoFault || !bytes.HasSuffix(b, []byte("\x03commit")) && !bytes.HasSuffix(b, []byte("\x0bcommit\x00")) {
		return false
	}
	if w.armed == Done {
		w.armed = committed
		return false
	}
	return true
}
