package stream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/strait-cdc/strait/schemas"
)

// TestGuard: what is no Kafka request ends its connection and nothing else.
func TestGuard(t *testing.T) {
	b := startBroker(t, t.TempDir())
	request := func(size, key, version int) string {
		var h [12]byte
		binary.BigEndian.PutUint32(h[:], uint32(size))
		binary.BigEndian.PutUint16(h[4:], uint16(key))
		binary.BigEndian.PutUint16(h[6:], uint16(version))
		return string(h[:])
	}
	versions := request(10, 18, 0) + "\x00\x00" // ApiVersions: a good one
	for name, bytes := range map[string]string{
		"http":             "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"tls":              "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"unknown key":      request(8, 93, 0),
		"unknown version":  request(8, 18, 31),
		"too small":        request(7, 18, 0),
		"too large":        request(65<<20, 18, 0),
		"after a good one": versions + request(8, 4711, 0),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			if rest, ok := strings.CutPrefix(bytes, versions); ok {
				answer := make([]byte, 4)
				if _, err := c.Write([]byte(versions)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, answer); err != nil {
					t.Fatalf("a good request: %v", err)
				}
				if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(answer))); err != nil {
					t.Fatal(err)
				}
				bytes = rest
			}
			if _, err := c.Write([]byte(bytes)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(c)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("the connection stays open")
			}
			if len(answer) > 0 {
				t.Fatalf("answer of %d bytes", len(answer))
			}
		})
	}
	system := newSystem()
	mustWrite(t, openWriter(t, b.Config(), system), newWorkload(1).batch(5)) // it is alive
}

func TestLoopbackOnly(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:0": true, "localhost:9092": true, "[::1]:9092": true,
		"0.0.0.0:9092": false, ":9092": false, "192.168.1.1:9092": false, "example.com:1": false, "127.0.0.1": false,
	} {
		if _, err := loopbackPort(addr); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// TestFixedPortAndRestart: clients find the broker again where it was.
func TestFixedPortAndRestart(t *testing.T) {
	dir, work, system := t.TempDir(), newWorkload(1), newSystem()
	b, err := StartBroker(BrokerConfig{Dir: dir, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	addr := b.Addr()
	w := openWriter(t, b.Config(), system)
	r := openReader(t, b.Config(), system, nil, Start{})
	mustWrite(t, w, work.batch(10))
	readCommit(t, r)
	if used, budget, err := b.Disk(); err != nil || used < 1000 || budget != 512<<20 {
		t.Fatalf("disk %d of %d, %v", used, budget, err)
	}
	b.Close()
	if b, err = StartBroker(BrokerConfig{Dir: dir, Addr: addr, Log: quiet}); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	w = openWriter(t, b.Config(), system)
	mustWrite(t, w, work.batch(10))
	if c, changes := readCommit(t, r); c.Number != 2 || len(changes) != 10 {
		t.Fatalf("the old reader gets commit %d with %d changes", c.Number, len(changes))
	}
}

// TestKeepsWhole: no topic is trimmed or compacted behind our back.
func TestKeepsWhole(t *testing.T) {
	b := startBroker(t, t.TempDir())
	l, err := OpenLog(testContext(t), b.Config(), "compacted")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if conf := b.cluster.TopicInfo("compacted").Configs; conf["cleanup.policy"] != nil || conf["max.message.bytes"] == nil {
		t.Fatalf("configuration %v", conf)
	}
}

// TestManyBrokers: partitions on several brokers, and leaders that move.
func TestManyBrokers(t *testing.T) {
	cl, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	cfg := Config{Brokers: cl.ListenAddrs()[:1], Replication: 1, Log: quiet}
	system, work := newSystem(), newWorkload(3)
	w := openWriter(t, cfg, system)
	r := openReader(t, cfg, system, nil, Start{})
	for i := range 20 {
		mustWrite(t, w, work.batch(40))
		if c, changes := readCommit(t, r); c.Number != int64(i+1) || len(changes) != 40 {
			t.Fatalf("commit %d with %d changes", c.Number, len(changes))
		}
		cl.ShufflePartitionLeaders()
		if i%5 == 0 {
			cl.RehashCoordinators()
		}
	}
	checkAll(t, cfg, system, 20, work.n)
}

func TestTLSAndSASL(t *testing.T) {
	cert := selfSigned(t)
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	cl, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "anna", "secret"), kfake.Superuser("SCRAM-SHA-256", "bert", "secret"), kfake.Superuser("SCRAM-SHA-512", "carl", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	base := Config{Brokers: cl.ListenAddrs(), Replication: 1, TLS: &tls.Config{RootCAs: pool}, RetryFor: time.Second, Log: quiet}
	for _, s := range []SASL{{"plain", "anna", "secret"}, {"scram-sha-256", "bert", "secret"}, {"SCRAM-SHA-512", "carl", "secret"}} {
		cfg, system, work := base, newSystem(), newWorkload(1)
		cfg.SASL = s
		mustWrite(t, openWriter(t, cfg, system), work.batch(10))
		checkAll(t, cfg, system, 1, work.n)
		cfg.SASL.Password = "hunter2"
		_, err := OpenWriter(testContext(t), cfg, system, testCodec{})
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), s.User) {
			t.Errorf("wrong password: %v", err)
		}
	}
	unknown := base
	unknown.TLS = &tls.Config{}
	start := time.Now()
	if _, err := OpenWriter(context.Background(), unknown, "x", testCodec{}); err == nil || time.Since(start) > 900*time.Millisecond {
		t.Errorf("an unknown certificate: %v after %s", err, time.Since(start))
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(crand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// TestZombie: what a fenced writer asks for decides nothing for the one after it.
func TestZombie(t *testing.T) {
	dir := t.TempDir()
	b, err := StartBroker(BrokerConfig{Dir: dir, NoSync: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	old := openWriter(t, b.Config(), "crash")
	first := childWork(1)
	first.Open = true
	mustWrite(t, old, first)
	newer := openWriter(t, b.Config(), "crash")
	open := childWork(1)
	open.Open = true
	mustWrite(t, newer, open)
	if err := old.txn.end(testContext(t), true); !errors.Is(err, ErrFenced) {
		t.Fatalf("the zombie's commit: %v", err)
	}
	if c := mustWrite(t, newer, &schemas.Batch{Txns: 1, Resume: childWork(1).Resume}); c.Number != 1 {
		t.Fatalf("commit %d", c.Number)
	}
	for _, w := range []*Writer{old, newer} {
		w.c.close()
	}
	lines, err := readDecisions(b.decisionsPath())
	if err != nil || len(lines[producerEpoch{newer.txn.p.id, newer.txn.p.epoch}]) == 0 {
		t.Fatalf("no decision on the commit: %v, %v", lines, err)
	}
	b.Close()
	checkAfterCrash(t, dir, 1)
}
