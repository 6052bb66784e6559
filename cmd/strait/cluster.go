package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/strait-cdc/strait/internal/ops"
	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas/registry"
)

// cluster is Kafka and the schema registry as one process uses them.
type cluster struct {
	stream stream.Config
	// registryURL is where the registry can be reached, by us and by others.
	registryURL string
	registry    registry.Registry

	// What this process runs itself, nil otherwise.
	broker  *stream.Broker
	builtin *registry.Builtin
	schemas *stream.Log
	http    *ops.Listener
}

// kafka is how to reach the cluster, without brokers if they are embedded.
func (c *Config) kafka(log *slog.Logger) (stream.Config, error) {
	k := c.Kafka
	sc := stream.Config{
		Brokers: k.Brokers, Partitions: k.Partitions, Replication: k.Replication, Compression: k.Compression, Retention: time.Duration(k.Retention),
		MaxMessage: k.MaxMessage, TxnTimeout: time.Duration(k.TxnTimeout),
		SASL: stream.SASL{Mechanism: k.SASL.Mechanism, User: k.SASL.User, Password: k.SASL.password}, Log: log,
	}
	if !k.TLS {
		return sc, nil
	}
	sc.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if k.CAFile != "" {
		pem, err := os.ReadFile(c.path(k.CAFile))
		if err != nil {
			return sc, fmt.Errorf("kafka.ca_file: %w", err)
		}
		sc.TLS.RootCAs = x509.NewCertPool()
		if !sc.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return sc, fmt.Errorf("kafka.ca_file: %s holds no certificate in PEM form", c.path(k.CAFile))
		}
	}
	return sc, nil
}

// start brings up what is embedded and connects to what is not. Close it even
// after an error.
func (c *Config) start(ctx context.Context, log *slog.Logger) (*cluster, error) {
	cl := &cluster{}
	var err error
	if cl.stream, err = c.kafka(log); err != nil {
		return cl, err
	}
	if len(cl.stream.Brokers) == 0 {
		cl.broker, err = stream.StartBroker(stream.BrokerConfig{Addr: c.Kafka.Embedded.Addr, Dir: c.Kafka.Embedded.Dir, Log: log})
		if err != nil {
			return cl, fmt.Errorf("embedded broker: %w", err)
		}
		embedded := cl.broker.Config()
		cl.stream.Brokers, cl.stream.Replication, cl.stream.Compression = embedded.Brokers, embedded.Replication, embedded.Compression
	}
	return cl, cl.startRegistry(ctx, c)
}

func (cl *cluster) startRegistry(ctx context.Context, c *Config) (err error) {
	if c.Registry.URL != "" {
		cl.registryURL = c.Registry.URL
		cl.registry, err = registry.NewClient(c.Registry.URL, registry.ClientOptions{})
		return err
	}
	if cl.schemas, err = stream.OpenLog(ctx, cl.stream, "_schemas"); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if cl.builtin, err = registry.NewBuiltin(ctx, cl.schemas); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	cl.registry = cl.builtin
	if cl.http, err = ops.Listen(c.Registry.Listen, cl.builtin.Handler()); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	cl.registryURL = "http://" + cl.http.Addr()
	return nil
}

// Close ends what this process runs itself.
func (cl *cluster) Close(ctx context.Context) error {
	var errs []error
	if cl.http != nil {
		errs = append(errs, cl.http.Close(ctx))
	}
	if cl.schemas != nil {
		errs = append(errs, cl.schemas.Close())
	}
	if cl.broker != nil {
		errs = append(errs, cl.broker.Close())
	}
	return errors.Join(errs...)
}

// joined is a cluster that another process runs, for reading.
type joined struct {
	stream      stream.Config
	registryURL string
}

// join finds the cluster: by the configuration, or by what the running strait
// has written into the state folder.
func (c *Config) join() (*joined, error) {
	sc, err := c.kafka(nil)
	if err != nil {
		return nil, err
	}
	j := &joined{sc, c.Registry.URL}
	if len(sc.Brokers) > 0 && j.registryURL != "" {
		return j, nil
	}
	info, err := runningProcess(c.State)
	if err != nil {
		return nil, err
	}
	if info == nil && len(sc.Brokers) == 0 {
		return nil, fmt.Errorf("strait is not running, and the broker is part of it; start it with: strait run --config %s", c.file)
	}
	if info != nil {
		j.stream.Brokers, j.registryURL = info.Brokers, info.Registry
	}
	return j, nil
}

// schemaReader is a registry with what has to be closed behind it.
type schemaReader struct {
	registry.Registry
	log *stream.Log
}

// Close ends the connection to the schemas topic, if there is one.
func (r *schemaReader) Close() error {
	if r.log == nil {
		return nil
	}
	return r.log.Close()
}

// reader is the registry for reading: by its URL, or from the topic _schemas
// where the registry inside a process is not running.
func (j *joined) reader(ctx context.Context) (*schemaReader, error) {
	if j.registryURL != "" {
		c, err := registry.NewClient(j.registryURL, registry.ClientOptions{})
		return &schemaReader{Registry: c}, err
	}
	log, err := stream.OpenLog(ctx, j.stream, "_schemas")
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	b, err := registry.NewBuiltin(ctx, log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("registry: %w", err), log.Close())
	}
	return &schemaReader{b, log}, nil
}
