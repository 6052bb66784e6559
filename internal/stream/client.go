package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// tp is a topic-partition.
type tp struct {
	topic string
	part  int32
}

func (t tp) String() string { return t.topic + "/" + strconv.Itoa(int(t.part)) }

// client knows the brokers of a cluster and who leads what. It belongs to one
// Writer, Reader or call; nothing is shared behind their backs.
type client struct {
	cfg Config

	// mu guards the fields below. It is never held across I/O.
	mu         sync.Mutex
	conns      map[string]*conn
	brokers    map[int32]string  // address by id
	leaders    map[tp]int32      // broker id
	partitions map[string]int    // of the topics that have been asked for
	coord      map[string]string // address by transactional id
	controller int32
}

func newClient(cfg Config) (*client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &client{cfg: cfg, conns: map[string]*conn{}, brokers: map[int32]string{}, leaders: map[tp]int32{},
		partitions: map[string]int{}, coord: map[string]string{}}, nil
}

// close ends the connections. Nobody may be waiting for an answer.
func (c *client) close() {
	c.mu.Lock()
	conns := c.conns
	c.conns = map[string]*conn{}
	c.mu.Unlock()
	for _, n := range conns {
		n.close()
	}
}

func (c *client) call(ctx context.Context, addr string, req protocol.Message) (protocol.Message, error) {
	c.mu.Lock()
	n := c.conns[addr]
	if n == nil {
		n = &conn{cfg: &c.cfg, addr: addr}
		c.conns[addr] = n
	}
	c.mu.Unlock()
	return n.roundTrip(ctx, req)
}

// callAny asks whichever broker answers.
func (c *client) callAny(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	var errs []error
	for _, addr := range c.addresses() {
		res, err := c.call(ctx, addr, req)
		if err == nil {
			return res, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// addresses are all we know: the brokers found, then those configured.
func (c *client) addresses() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	seen := map[string]bool{}
	for _, a := range c.brokers {
		if !seen[a] {
			out, seen[a] = append(out, a), true
		}
	}
	for _, a := range c.cfg.Brokers {
		if !seen[a] {
			out, seen[a] = append(out, a), true
		}
	}
	return out
}

// describe asks for the topics (nil: all) and remembers brokers and leaders.
func (c *client) describe(ctx context.Context, topics []string) (*metadata.Response, error) {
	m, err := c.callAny(ctx, &metadata.Request{TopicNames: topics})
	if err != nil {
		return nil, err
	}
	res := m.(*metadata.Response)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.brokers = map[int32]string{}
	for _, b := range res.Brokers {
		c.brokers[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	c.controller = res.ControllerID
	for _, t := range res.Topics {
		if t.ErrorCode != 0 {
			delete(c.partitions, t.Name)
			continue
		}
		c.partitions[t.Name] = len(t.Partitions)
		for _, p := range t.Partitions {
			c.leaders[tp{t.Name, p.PartitionIndex}] = p.LeaderID
		}
	}
	return res, nil
}

// partitionsOf is the number of partitions of a topic; the error of a topic that
// does not exist is kafka.UnknownTopicOrPartition.
func (c *client) partitionsOf(ctx context.Context, topic string) (int, error) {
	c.mu.Lock()
	n := c.partitions[topic]
	c.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	res, err := c.describe(ctx, []string{topic})
	if err != nil {
		return 0, err
	}
	for _, t := range res.Topics {
		if t.Name == topic {
			return len(t.Partitions), errCode(t.ErrorCode)
		}
	}
	return 0, kafka.UnknownTopicOrPartition
}

// leader is the address of the broker that leads a partition.
func (c *client) leader(ctx context.Context, p tp) (string, error) {
	if addr, ok := c.knownLeader(p); ok {
		return addr, nil
	}
	if _, err := c.describe(ctx, []string{p.topic}); err != nil {
		return "", err
	}
	if addr, ok := c.knownLeader(p); ok {
		return addr, nil
	}
	return "", fmt.Errorf("%s: %w", p, kafka.LeaderNotAvailable)
}

func (c *client) knownLeader(p tp) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.leaders[p]
	addr := c.brokers[id]
	return addr, ok && addr != ""
}

// coordinator is the address of the broker that keeps the transactions of an id.
func (c *client) coordinator(ctx context.Context, txid string) (string, error) {
	c.mu.Lock()
	addr := c.coord[txid]
	c.mu.Unlock()
	if addr != "" {
		return addr, nil
	}
	m, err := c.callAny(ctx, &findcoordinator.Request{Key: txid, KeyType: 1})
	if err != nil {
		return "", err
	}
	res := m.(*findcoordinator.Response)
	if err := errCode(res.ErrorCode); err != nil {
		return "", err
	}
	addr = net.JoinHostPort(res.Host, strconv.Itoa(int(res.Port)))
	c.mu.Lock()
	c.coord[txid] = addr
	c.mu.Unlock()
	return addr, nil
}

// forget drops what an error says is out of date.
func (c *client) forget(s step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s&againLeader == againLeader {
		c.leaders = map[tp]int32{}
		c.partitions = map[string]int{}
	}
	if s&againCoordinator == againCoordinator {
		c.coord = map[string]string{}
	}
}

// retry calls try until it succeeds, fails for good, or RetryFor is over. The
// pauses begin at a millisecond, since most causes are gone by then (the
// markers of the last transaction, a topic just created), and double up to half
// a second.
func (c *client) retry(ctx context.Context, what string, try func() error) error {
	deadline := time.Now().Add(c.cfg.RetryFor)
	for pause := time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
		s := stepFor(err)
		if s == fatal || time.Now().After(deadline) {
			return fmt.Errorf("%s: %w", what, err)
		}
		c.forget(s)
		select {
		case <-time.After(pause/2 + rand.N(pause/2+1)):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
}
