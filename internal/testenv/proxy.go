package testenv

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// FaultProxy is a TCP proxy between a client and a server whose network a test
// can break.
type FaultProxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	// mu guards the fields below.
	mu      sync.Mutex
	pairs   map[*pair]struct{}
	refuse  bool
	stalled bool
	closed  bool
	// moved is signalled when stalled or closed changes or a pair is cut.
	moved *sync.Cond
}

// pair is one connection through the proxy.
type pair struct {
	client, server net.Conn
	cut            bool
}

// Proxy starts a proxy to target ("host:port") that lives as long as the test.
func Proxy(t testing.TB, target string) *FaultProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy to %s: %v", target, err)
	}
	p := &FaultProxy{target: target, listener: l, pairs: map[*pair]struct{}{}}
	p.moved = sync.NewCond(&p.mu)
	p.running.Add(1)
	go p.accept()
	t.Cleanup(p.close)
	return p
}

// Addr is the address, "127.0.0.1:port", that the client connects to.
func (p *FaultProxy) Addr() string { return p.listener.Addr().String() }

// Cut breaks all connections at once, both ways, with a reset. New ones are served.
func (p *FaultProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pr := range p.pairs {
		pr.sever()
	}
	p.moved.Broadcast()
}

// Stall with true holds back all bytes, both ways, without breaking anything: a
// network that swallows packets. With false they flow on, none of them lost.
func (p *FaultProxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = on
	p.moved.Broadcast()
}

// Refuse with true resets each new connection; those that exist are kept.
func (p *FaultProxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

func (p *FaultProxy) close() {
	p.mu.Lock()
	p.closed = true
	for pr := range p.pairs {
		pr.sever()
	}
	p.moved.Broadcast()
	p.mu.Unlock()
	_ = p.listener.Close()
	p.running.Wait()
}

func (p *FaultProxy) accept() {
	defer p.running.Done()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		p.running.Add(1)
		go p.serve(client)
	}
}

// serve carries one connection until either side or a fault ends it.
func (p *FaultProxy) serve(client net.Conn) {
	defer p.running.Done()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	pr := &pair{client: client, server: server}
	if !p.add(pr) {
		pr.sever()
		return
	}
	var both sync.WaitGroup
	both.Add(2)
	go func() { defer both.Done(); p.carry(pr, server, client) }()
	go func() { defer both.Done(); p.carry(pr, client, server) }()
	both.Wait()
	_ = client.Close()
	_ = server.Close()
	p.mu.Lock()
	delete(p.pairs, pr)
	p.mu.Unlock()
}

func (p *FaultProxy) add(pr *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse || p.closed {
		return false
	}
	p.pairs[pr] = struct{}{}
	return true
}

// carry copies bytes one way and passes on the end of the stream.
func (p *FaultProxy) carry(pr *pair, dst, src net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if !p.pass(pr) {
			return
		}
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				_ = src.Close()
				return
			}
		}
		if errors.Is(err, io.EOF) {
			_ = dst.(*net.TCPConn).CloseWrite()
			return
		}
		if err != nil {
			reset(dst)
			return
		}
	}
}

// pass waits while the proxy is stalled. It reports false for a cut connection.
func (p *FaultProxy) pass(pr *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled && !p.closed && !pr.cut {
		p.moved.Wait()
	}
	return !pr.cut && !p.closed
}

func (pr *pair) sever() {
	pr.cut = true
	reset(pr.client)
	reset(pr.server)
}

// reset closes a connection so that the other end sees an error, not an end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
