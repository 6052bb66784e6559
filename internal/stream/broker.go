package stream

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// BrokerConfig sets up the embedded broker.
type BrokerConfig struct {
	// Dir is where it keeps its log; created if missing.
	Dir string
	// Addr is host:port to listen on, port 0 for any; empty means 127.0.0.1:0.
	// Only loopback addresses are taken: there is no authentication.
	Addr string
	// NoSync leaves writing to the disk to the operating system: faster, and what
	// the machine held when the power failed is lost. Otherwise transactions are
	// synced when they commit, and other records within 100 ms. Killing the process
	// loses nothing either way.
	NoSync bool
	// Budget is how large the log may grow before it is complained about; 0 means
	// 512 MiB. The broker reads all of its log into memory when it starts.
	Budget int64
	// Log gets its messages; nil means slog.Default.
	Log *slog.Logger
}

// Broker is a Kafka broker inside this process, for one machine and for
// development: any Kafka client may use it. It is not made for surviving the
// loss of power; a real Kafka is one setting away.
type Broker struct {
	cfg     BrokerConfig
	cluster *kfake.Cluster
	txns    *txnLog
	lock    *os.File
	stop    chan struct{}
	done    sync.WaitGroup
}

// maxRecord is the largest record batch the embedded broker takes.
const maxRecord = 8 << 20

// StartBroker puts the log in order after whatever ended the last run, and
// starts to serve it. It refuses a log that has lost records.
func StartBroker(cfg BrokerConfig) (*Broker, error) {
	cfg.Addr = cmp.Or(cfg.Addr, "127.0.0.1:0")
	cfg.Budget = cmp.Or(cfg.Budget, 512<<20)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	port, err := loopbackPort(cfg.Addr)
	if err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg, stop: make(chan struct{})}
	if err := b.start(port); err != nil {
		b.release()
		return nil, fmt.Errorf("embedded broker in %s: %w", cfg.Dir, err)
	}
	b.done.Add(1)
	go b.remember()
	return b, nil
}

func loopbackPort(addr string) (int, error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, fmt.Errorf("embedded broker: address %q: %w", addr, err)
	}
	port, err := strconv.Atoi(p)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return 0, fmt.Errorf("embedded broker: address %q is not a loopback address such as 127.0.0.1:9092; it has no authentication, so it serves this machine only. Use a real Kafka for others", addr)
	}
	return port, nil
}

func (b *Broker) start(port int) error {
	if err := os.MkdirAll(b.logDir(), 0o755); err != nil {
		return err
	}
	if err := b.acquire(); err != nil {
		return err
	}
	if err := b.repair(); err != nil {
		return err
	}
	var err error
	if b.txns, err = openTxnLog(b.decisionsPath(), filepath.Join(b.logDir(), "partitions"), !b.cfg.NoSync); err != nil {
		return err
	}
	ready := make(chan struct{})
	defer close(ready) // with the hooks in place, or with the listener closed
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.Ports(port), kfake.ClusterID("strait"), kfake.DataDir(b.logDir()),
		kfake.DefaultNumPartitions(1), kfake.WithLogger(brokerLog{b.cfg.Log}),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			l, err := net.Listen(network, b.cfg.Addr)
			if err != nil {
				return nil, err
			}
			return guardListener{l, ready}, nil
		}),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes": strconv.Itoa(maxRecord), "transaction.max.timeout.ms": "3600000",
			"log.retention.ms": "-1", "log.retention.bytes": "-1", "log.segment.bytes": "16777216",
			"offsets.retention.minutes": "525600",
		}),
	}
	if b.cluster, err = kfake.NewCluster(opts...); err != nil {
		return err
	}
	b.hook()
	return nil
}

// acquire keeps a second process away from the directory.
func (b *Broker) acquire() error {
	f, err := os.OpenFile(filepath.Join(b.cfg.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("another process uses the directory: %w", err)
	}
	b.lock = f
	return nil
}

func (b *Broker) repair() error {
	decided, err := readDecisions(b.decisionsPath())
	if err != nil {
		return err
	}
	repaired, err := repairLog(b.logDir(), decided, !b.cfg.NoSync)
	if err != nil {
		return err
	}
	if repaired.completed+repaired.aborted > 0 {
		b.cfg.Log.Info("embedded broker: ended the transactions that were open", "markers of commits", repaired.completed, "of aborts", repaired.aborted)
	}
	had, err := readWatermarks(b.watermarksPath())
	if err != nil {
		return err
	}
	topics, err := b.topics()
	if err != nil {
		return err
	}
	return had.check(repaired.ends, topics)
}

// topics are those the broker knows of; nil if its list is not there.
func (b *Broker) topics() (map[string]bool, error) {
	raw, err := os.ReadFile(filepath.Join(b.logDir(), "topics.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list struct {
		Topics []struct{ Name string }
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("topics.json: %w", err)
	}
	out := map[string]bool{}
	for _, t := range list.Topics {
		out[t.Name] = true
	}
	return out, nil
}

func (b *Broker) logDir() string         { return filepath.Join(b.cfg.Dir, "log") }
func (b *Broker) decisionsPath() string  { return filepath.Join(b.cfg.Dir, "transactions") }
func (b *Broker) watermarksPath() string { return filepath.Join(b.cfg.Dir, "watermarks.json") }

// Addr is the address it listens on.
func (b *Broker) Addr() string { return b.cluster.ListenAddrs()[0] }

// Config is the Config for the embedded broker. Nothing is compressed: the log
// is read by this machine only, and small.
func (b *Broker) Config() Config {
	return Config{Brokers: []string{b.Addr()}, Replication: 1, Compression: "none", Log: b.cfg.Log}
}

// Disk is how many bytes the log takes and how many it should take at most.
func (b *Broker) Disk() (used, budget int64, err error) {
	err = filepath.WalkDir(b.logDir(), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil {
			used += info.Size()
		}
		return ignoreGone(err)
	})
	return used, b.cfg.Budget, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// remember syncs records that belong to no transaction, writes down every few seconds how far the partitions have come, for
// the check at the next start, and complains when the log outgrows its budget.
func (b *Broker) remember() {
	defer b.done.Done()
	sync, tick := time.NewTicker(100*time.Millisecond), time.NewTicker(10*time.Second)
	defer sync.Stop()
	defer tick.Stop()
	complained := false
	for {
		select {
		case <-b.stop:
			return
		case <-sync.C:
			if err := b.txns.flushLoose(); err != nil {
				b.cfg.Log.Error("embedded broker: log not synced", "err", err)
			}
			continue
		case <-tick.C:
		}
		if err := b.saveWatermarks(); err != nil {
			b.cfg.Log.Warn("embedded broker: watermarks not saved", "err", err)
		}
		used, budget, err := b.Disk()
		if err == nil && used > budget && !complained {
			complained = true
			b.cfg.Log.Warn("the log of the embedded broker is larger than its budget; it takes as much memory when it starts. Move to a real Kafka (kafka.brokers)", "bytes", used, "budget", budget)
		}
	}
}

func (b *Broker) saveWatermarks() error {
	parts, err := os.ReadDir(filepath.Join(b.logDir(), "partitions"))
	if err != nil {
		return ignoreGone(err)
	}
	marks := watermarks{}
	for _, p := range parts {
		i := strings.LastIndexByte(p.Name(), '-')
		if i < 0 {
			continue
		}
		topic, err1 := url.PathUnescape(p.Name()[:i])
		n, err2 := strconv.Atoi(p.Name()[i+1:])
		if err1 != nil || err2 != nil {
			continue
		}
		if info := b.cluster.PartitionInfo(topic, int32(n)); info != nil {
			marks[topic+p.Name()[i:]] = info.HighWatermark
		}
	}
	raw, err := json.Marshal(marks)
	if err != nil {
		return err
	}
	return writeAtomically(b.watermarksPath(), raw, !b.cfg.NoSync)
}

// Close stops serving. Transactions that are open are aborted by the next start.
func (b *Broker) Close() error {
	close(b.stop)
	b.done.Wait()
	err := b.saveWatermarks()
	b.release()
	return err
}

func (b *Broker) release() {
	if b.cluster != nil {
		b.cluster.Close()
	}
	if b.txns != nil {
		b.txns.close()
	}
	if b.lock != nil {
		b.lock.Close()
	}
}

// brokerLog passes the library's messages on.
type brokerLog struct{ log *slog.Logger }

// Logf is called by the library.
func (l brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error("embedded broker: " + fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		l.log.Warn("embedded broker: " + fmt.Sprintf(format, args...))
	}
}
