package testenv_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/strait-cdc/strait/internal/testenv"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// client is a connection that says lines and hears their echo.
type client struct {
	net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &client{c, bufio.NewReader(c)}
}

func (c *client) say(line string) (string, error) {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	return c.hear(10 * time.Second)
}

func (c *client) hear(patience time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c.lines.ReadString('\n')
}

func wantEcho(t *testing.T, c *client) {
	t.Helper()
	if got, err := c.say("hello"); got != "hello\n" || err != nil {
		t.Fatalf("got %q, %v, want the echo", got, err)
	}
}

func TestProxyCutBreaksWhatIsAndServesWhatComes(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p := testenv.Proxy(t, echo(t))
	first := dial(t, p.Addr())
	wantEcho(t, first)
	p.Cut()
	if got, err := first.say("still there?"); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %q, %v from a cut connection, want a broken one", got, err)
	}
	wantEcho(t, dial(t, p.Addr()))
}

func TestProxyStallHoldsBackAndLosesNothing(t *testing.T) {
	p := testenv.Proxy(t, echo(t))
	c := dial(t, p.Addr())
	wantEcho(t, c)
	p.Stall(true)
	if _, err := io.WriteString(c, "late\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.hear(50 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %q, %v while stalled, want nothing", got, err)
	}
	p.Stall(false)
	if got, err := c.hear(10 * time.Second); got != "late\n" || err != nil {
		t.Errorf("got %q, %v after the stall, want what was held back", got, err)
	}
}

func TestProxyCutEndsAStalledConnection(t *testing.T) {
	p := testenv.Proxy(t, echo(t))
	c := dial(t, p.Addr())
	wantEcho(t, c)
	p.Stall(true)
	p.Cut()
	if got, err := c.hear(10 * time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %q, %v, want a broken connection", got, err)
	}
}

func TestProxyRefusesNewConnectionsOnly(t *testing.T) {
	p := testenv.Proxy(t, echo(t))
	old := dial(t, p.Addr())
	wantEcho(t, old)
	p.Refuse(true)
	if got, err := dial(t, p.Addr()).say("hello"); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %q, %v, want a refused connection", got, err)
	}
	wantEcho(t, old)
	p.Refuse(false)
	wantEcho(t, dial(t, p.Addr()))
}
