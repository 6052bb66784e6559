package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
)

const (
	dialTimeout = 5 * time.Second
	// requestTimeout is how long an answer may take; a broker is told to give up
	// earlier, so that its own verdict arrives.
	requestTimeout = 30 * time.Second
	brokerTimeout  = 20 * time.Second
	clientID       = "strait"
)

// conn is the one connection to a broker: one request in flight at a time, which
// is what keeps the order of produce requests.
type conn struct {
	cfg  *Config
	addr string

	// mu is held from sending a request until its answer has been read, and
	// guards pc.
	mu sync.Mutex
	pc *protocol.Conn
}

// roundTrip sends a request and waits for its answer. After an error the
// connection is closed: what may still come in on it belongs to nobody.
func (c *conn) roundTrip(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.pc == nil {
		pc, err := c.open(ctx)
		if err != nil {
			return nil, fmt.Errorf("broker %s: %w", c.addr, err)
		}
		c.pc = pc
	}
	res, err := exchange(ctx, c.pc, req, requestTimeout)
	if err != nil {
		c.pc.Close()
		c.pc = nil
		return nil, fmt.Errorf("broker %s: %w", c.addr, err)
	}
	return res, nil
}

// exchange is one request and its answer under a deadline; the end of ctx
// interrupts it.
func exchange(ctx context.Context, pc *protocol.Conn, req protocol.Message, limit time.Duration) (protocol.Message, error) {
	pc.SetDeadline(time.Now().Add(limit))
	stop := context.AfterFunc(ctx, func() { pc.SetDeadline(time.Unix(1, 0)) })
	res, err := pc.RoundTrip(req)
	if !stop() && err == nil {
		err = ctx.Err() // the deadline is in the past now: do not use it again
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return res, err
}

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pc != nil {
		c.pc.Close()
		c.pc = nil
	}
}

// open connects: TCP, TLS, the versions of both sides, SASL.
func (c *conn) open(ctx context.Context) (*protocol.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := c.cfg.dial(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	if nc, err = c.encrypt(ctx, nc); err != nil {
		return nil, err
	}
	pc := protocol.NewConn(nc, clientID)
	if err := c.introduce(ctx, pc); err != nil {
		pc.Close()
		return nil, err
	}
	return pc, nil
}

func (c *conn) encrypt(ctx context.Context, nc net.Conn) (net.Conn, error) {
	if c.cfg.TLS == nil {
		return nc, nil
	}
	conf := c.cfg.TLS.Clone()
	if conf.ServerName == "" {
		conf.ServerName, _, _ = net.SplitHostPort(c.addr)
	}
	tc := tls.Client(nc, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		var bad *tls.CertificateVerificationError
		if errors.As(err, &bad) {
			err = permanent{err}
		}
		return nil, fmt.Errorf("tls: %w", err)
	}
	return tc, nil
}

func (c *conn) introduce(ctx context.Context, pc *protocol.Conn) error {
	m, err := exchange(ctx, pc, &apiversions.Request{}, dialTimeout)
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) && c.cfg.TLS == nil {
			return fmt.Errorf("%w; does the broker expect TLS?", err)
		}
		return err
	}
	res := m.(*apiversions.Response)
	if res.ErrorCode != 0 {
		return kafka.Error(res.ErrorCode)
	}
	versions := make(map[protocol.ApiKey]int16, len(res.ApiKeys))
	for _, k := range res.ApiKeys {
		key := protocol.ApiKey(k.ApiKey)
		if key == protocol.Fetch && (k.MinVersion > fetchVersion || k.MaxVersion < fetchVersion) {
			return permanent{fmt.Errorf("the broker speaks Fetch v%d to v%d, not v%d; Kafka 2.3 or later is needed", k.MinVersion, k.MaxVersion, fetchVersion)}
		}
		versions[key] = key.SelectVersion(k.MinVersion, k.MaxVersion)
	}
	pc.SetVersions(versions)
	mech, err := c.cfg.mechanism()
	if err != nil || mech == nil {
		return err
	}
	if err := authenticate(ctx, pc, c.addr, mech); err != nil {
		return fmt.Errorf("sasl %s as user %q: %w", mech.Name(), c.cfg.SASL.User, err)
	}
	return nil
}

func authenticate(ctx context.Context, pc *protocol.Conn, addr string, mech sasl.Mechanism) error {
	m, err := exchange(ctx, pc, &saslhandshake.Request{Mechanism: mech.Name()}, dialTimeout)
	if err != nil {
		return err
	}
	if err := errCode(m.(*saslhandshake.Response).ErrorCode); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(addr)
	sess, out, err := mech.Start(sasl.WithMetadata(ctx, &sasl.Metadata{Host: host}))
	for done := false; err == nil && !done; {
		if m, err = exchange(ctx, pc, &saslauthenticate.Request{AuthBytes: out}, dialTimeout); err != nil {
			return err
		}
		res := m.(*saslauthenticate.Response)
		if err := errCode(res.ErrorCode); err != nil {
			return err
		}
		done, out, err = sess.Next(ctx, res.AuthBytes)
	}
	return err
}
