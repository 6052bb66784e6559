package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

const kafkaVersion = "4.3.0"

// KafkaServer is a running Apache Kafka of one broker, without passwords.
type KafkaServer struct {
	// Brokers is what a client connects to: one "127.0.0.1:port".
	Brokers []string
	Version string

	machine *machine
}

// sharedKafka is the broker of this test binary.
var sharedKafka once[*KafkaServer]

// Kafka gives the Apache Kafka broker that this test binary shares. Topics, groups and
// transactional ids are everyone's: a test makes its own by names that no other uses.
func Kafka(t testing.TB) *KafkaServer {
	t.Helper()
	sharedKafka.Do(func() { sharedKafka.server, sharedKafka.err = startKafkaForTests() })
	if sharedKafka.err != nil {
		t.Fatal(sharedKafka.err)
	}
	return sharedKafka.server
}

// OwnKafka gives a broker of the test's own, which ends with the test and may be
// restarted and killed.
func OwnKafka(t testing.TB) *KafkaServer {
	t.Helper()
	k, err := startKafkaForTests()
	if err != nil {
		t.Fatal(err)
	}
	k.machine.own = true
	t.Cleanup(func() {
		if err := k.Stop(); err != nil {
			t.Errorf("stop Kafka: %v", err)
		}
	})
	return k
}

func startKafkaForTests() (*KafkaServer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	return StartKafka(ctx, "")
}

// StartKafka starts an Apache Kafka broker. dir is as with StartPostgres.
func StartKafka(ctx context.Context, dir string) (*KafkaServer, error) {
	java, libs, err := kafkaProgram()
	if err != nil {
		return nil, err
	}
	path, keep, err := folder(dir, "kafka")
	if err != nil {
		return nil, err
	}
	process, err := newProcess(path, syscall.SIGKILL, keep)
	if err != nil {
		return nil, err
	}
	k := &KafkaServer{Version: kafkaVersion, machine: &machine{
		label: "Kafka " + kafkaVersion, polite: syscall.SIGTERM, process: process,
	}}
	k.machine.ping = k.ping
	if err := k.run(ctx, java, libs); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	return k, nil
}

// Restart stops the broker in order and starts it again on the same port.
func (k *KafkaServer) Restart(t testing.TB) {
	t.Helper()
	k.machine.again(t, false)
}

// Kill ends the broker by SIGKILL and starts it again on the same port.
func (k *KafkaServer) Kill(t testing.TB) {
	t.Helper()
	k.machine.again(t, true)
}

// Stop ends a broker that StartKafka made. A temporary data folder goes with it.
func (k *KafkaServer) Stop() error { return k.machine.close() }

// kafkaProgram finds Java and the jars.
func kafkaProgram() (java, libs string, err error) {
	cache, err := CacheDir()
	if err != nil {
		return "", "", err
	}
	libs = filepath.Join(cache, "kafka-"+kafkaVersion)
	if _, err := find("Kafka", "kafka", filepath.Join(libs, "kafka_2.13-"+kafkaVersion+".jar")); err != nil {
		return "", "", err
	}
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
		if _, err := os.Stat(java); err == nil {
			return java, libs, nil
		}
	}
	if java, err = exec.LookPath("java"); err != nil {
		return "", "", missing("Java, which Kafka needs,", "java", "kafka")
	}
	return java, libs, nil
}

// run formats the folder when it is new, and starts the broker.
func (k *KafkaServer) run(ctx context.Context, java, libs string) error {
	dir := k.machine.process.dir
	data, properties := filepath.Join(dir, "data"), filepath.Join(dir, "server.properties")
	jvm := func(class string, args ...string) []string {
		// Quick to start rather than quick in the long run.
		argv := []string{java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
			"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", libs + "/*", class}
		return append(argv, args...)
	}
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		err := copyTemplate(ctx, "kafka-"+kafkaVersion, data, func(made string) error { return formatKafka(ctx, made, jvm) })
		if err != nil {
			return err
		}
	}
	var err error
	for range 3 {
		if err = k.configure(properties, data); err != nil {
			return err
		}
		k.machine.argv = jvm("kafka.Kafka", properties)
		if err = k.machine.begin(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

// configure writes the broker's settings with two free ports.
func (k *KafkaServer) configure(properties, data string) error {
	broker, err := freePort()
	if err != nil {
		return err
	}
	controller, err := freePort()
	if err != nil {
		return err
	}
	k.Brokers = []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(broker))}
	if err := os.WriteFile(properties, []byte(kafkaProperties(broker, controller, data)), 0o644); err != nil {
		return fmt.Errorf("settings of Kafka: %w", err)
	}
	return nil
}

// formatKafka makes the folder of a new cluster.
func formatKafka(ctx context.Context, data string, jvm func(class string, args ...string) []string) error {
	properties := data + ".properties"
	if err := os.WriteFile(properties, []byte(kafkaProperties(9092, 9093, data)), 0o644); err != nil {
		return err
	}
	defer os.Remove(properties)
	const clusterID = "c3RyYWl0LXRlc3QtZW52IQ" // 16 bytes in URL-safe base64
	return run(ctx, filepath.Dir(data), jvm("kafka.tools.StorageTool", "format", "-t", clusterID, "-c", properties)...)
}

// kafkaProperties are the settings of one broker that is its own controller.
func kafkaProperties(broker, controller int, data string) string {
	return strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", controller),
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", broker, controller),
		fmt.Sprintf("advertised.listeners=PLAINTEXT://127.0.0.1:%d", broker),
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + data,
		"num.partitions=1",
		"default.replication.factor=1",
		"offsets.topic.num.partitions=1",
		"offsets.topic.replication.factor=1",
		"transaction.state.log.num.partitions=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
		"log.cleaner.dedupe.buffer.size=16777216",
		"",
	}, "\n")
}

// ping asks for the metadata, which names the broker once it serves.
func (k *KafkaServer) ping(ctx context.Context) error {
	transport := &kafka.Transport{DialTimeout: time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(k.Brokers...), Timeout: 5 * time.Second, Transport: transport}
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return err
	}
	if len(meta.Brokers) == 0 {
		return errors.New("no broker in the metadata yet")
	}
	return nil
}
