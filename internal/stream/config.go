package stream

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Config says which Kafka to use and how. The zero values are good defaults
// for everything but Brokers.
type Config struct {
	// Brokers are host:port addresses to find the cluster by.
	Brokers []string
	// Partitions of a data topic that we create; 0 means 4.
	Partitions int
	// Replication of a topic that we create; 0 leaves it to the broker.
	Replication int
	// Retention of a data topic that we create; 0 leaves it to the broker,
	// negative means for ever. The commits topic is always kept for ever.
	Retention time.Duration
	// Compression of what we write: none, gzip, snappy, lz4, zstd. Empty means
	// lz4.
	Compression string
	// MaxMessage is the max.message.bytes of a topic that we create, and the
	// largest batch that is sent; 0 means 8 MiB.
	MaxMessage int
	// TxnTimeout is how long a Kafka transaction, and so a source transaction on
	// its way through, may stay open; 0 means 15 minutes, the most that a broker
	// allows unless its transaction.max.timeout.ms is raised.
	TxnTimeout time.Duration
	// RetryFor bounds how long one step is tried again before it is given up; 0
	// means 30 seconds.
	RetryFor time.Duration
	// TLS, if not nil, encrypts the connections.
	TLS *tls.Config
	// SASL, if Mechanism is not empty, authenticates them.
	SASL SASL
	// Log gets what an operator may want to know; nil means slog.Default.
	Log *slog.Logger

	// dial replaces the network in tests.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// settle is how long ReadTopic waits for markers that are on their way.
	settle time.Duration
}

// SASL is how to authenticate.
type SASL struct {
	// Mechanism is plain, scram-sha-256 or scram-sha-512.
	Mechanism string
	User      string
	Password  string
}

// withDefaults checks a Config and fills in what is left out.
func (c Config) withDefaults() (Config, error) {
	if len(c.Brokers) == 0 {
		return c, fmt.Errorf("kafka: no brokers given; set kafka.brokers to a list of host:port")
	}
	if c.Partitions < 0 || c.Replication < 0 || c.MaxMessage < 0 || c.TxnTimeout < 0 || c.RetryFor < 0 {
		return c, fmt.Errorf("kafka: partitions, replication, sizes and timeouts cannot be negative")
	}
	c.Partitions = cmp.Or(c.Partitions, 4)
	c.MaxMessage = cmp.Or(c.MaxMessage, 8<<20)
	c.TxnTimeout = cmp.Or(c.TxnTimeout, 15*time.Minute)
	c.RetryFor = cmp.Or(c.RetryFor, 30*time.Second)
	c.settle = cmp.Or(c.settle, 5*time.Second)
	c.Compression = cmp.Or(c.Compression, "lz4")
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.dial == nil {
		c.dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if _, err := c.codec(); err != nil {
		return c, err
	}
	_, err := c.mechanism()
	return c, err
}

func (c Config) codec() (compress.Compression, error) {
	var out compress.Compression
	switch c.Compression {
	case "none", "gzip", "snappy", "lz4", "zstd":
		return out, out.UnmarshalText([]byte(c.Compression))
	}
	return out, fmt.Errorf("kafka: compression %q is none of none, gzip, snappy, lz4, zstd", c.Compression)
}

func (c Config) mechanism() (sasl.Mechanism, error) {
	switch strings.ToLower(c.SASL.Mechanism) {
	case "":
		return nil, nil
	case "plain":
		return plain.Mechanism{Username: c.SASL.User, Password: c.SASL.Password}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, c.SASL.User, c.SASL.Password)
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, c.SASL.User, c.SASL.Password)
	}
	return nil, fmt.Errorf("kafka: SASL mechanism %q is none of plain, scram-sha-256, scram-sha-512", c.SASL.Mechanism)
}
