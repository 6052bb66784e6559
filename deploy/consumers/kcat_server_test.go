//go:build !noservers

package consumers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/schemas"
)

// kcatFormat shows a record in a way that can be read back whatever bytes it holds:
// topic, partition, offset and the lengths, then key, value and headers.
const (
	kcatFormat = `%t %p %o %K %S %k%s|%h` + "\n"
	committed  = "isolation.level=read_committed"
)

func kcat(t *testing.T, argv ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Fatal("kcat is not installed; install it with: deploy/dev/servers.sh kcat (make servers installs all)")
	}
	return run(t, nil, append([]string{"kcat", "-q", "-b"}, argv...)...)
}

// seen is a record as bytes. Of headers, kcat prints values only up to a zero byte,
// so only their names are here.
type seen struct {
	topic      string
	partition  int
	offset     int64
	key, value string
	tombstone  bool
	headers    string
}

func (s seen) String() string {
	return fmt.Sprintf("%s[%d]@%d key %x value %x tombstone %t headers %s", s.topic, s.partition, s.offset, s.key, s.value, s.tombstone, s.headers)
}

// readWithUs is what our own reader sees of a topic.
func readWithUs(t *testing.T, cfg stream.Config, topic string) []seen {
	t.Helper()
	var out []seen
	err := stream.ReadTopic(t.Context(), cfg, topic, func(partition int, offset int64, r *schemas.Record) error {
		s := seen{topic: topic, partition: partition, offset: offset, key: string(r.Key), value: string(r.Value), tombstone: r.Value == nil}
		var names []string
		for _, h := range r.Headers {
			names = append(names, h.Key)
		}
		s.headers = strings.Join(names, ",")
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// parseKcat reads what kcat printed in kcatFormat.
func parseKcat(t *testing.T, out []byte) []seen {
	t.Helper()
	var all []seen
	for len(out) > 0 {
		fields := bytes.SplitN(out, []byte(" "), 6)
		if len(fields) < 6 {
			t.Fatalf("kcat printed %q", out)
		}
		n := make([]int, 4)
		for i := range n {
			var err error
			if n[i], err = strconv.Atoi(string(fields[i+1])); err != nil {
				t.Fatalf("kcat printed %q: %v", out, err)
			}
		}
		s := seen{topic: string(fields[0]), partition: n[0], offset: int64(n[1]), tombstone: n[3] < 0}
		key, value := max(n[2], 0), max(n[3], 0)
		rest := fields[5]
		if len(rest) < key+value {
			t.Fatalf("kcat printed %q", out)
		}
		s.key, s.value = string(rest[:key]), string(rest[key:key+value])
		headers, next, _ := bytes.Cut(rest[key+value+1:], []byte("\n"))
		var names []string
		for h := range strings.SplitSeq(string(headers), ",") {
			name, _, _ := strings.Cut(h, "=")
			names = append(names, name)
		}
		s.headers = strings.Join(names, ",")
		all, out = append(all, s), next
	}
	return all
}

func sorted(all []seen) []seen {
	slices.SortFunc(all, func(a, b seen) int {
		if a.topic != b.topic {
			return strings.Compare(a.topic, b.topic)
		}
		if a.partition != b.partition {
			return a.partition - b.partition
		}
		return int(a.offset - b.offset)
	})
	return all
}

func sameRecords(t *testing.T, who string, got, want []seen) {
	t.Helper()
	got, want = sorted(got), sorted(want)
	if len(got) != len(want) {
		t.Errorf("%s reads %d records, there are %d", who, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s reads\n\t%s\nwhere we read\n\t%s", who, got[i], want[i])
		}
	}
}

// checkKcat reads all topics with kcat: one by one, all of them as a group, and
// without regard to transactions. want counts the records of each topic.
func checkKcat(t *testing.T, c *cluster, group string, want map[string]int, aborted []string) {
	t.Helper()
	brokers := strings.Join(c.Brokers, ",")
	var list struct {
		Topics []struct {
			Topic      string `json:"topic"`
			Partitions []struct {
				Leader int `json:"leader"`
			} `json:"partitions"`
		} `json:"topics"`
	}
	if err := json.Unmarshal(kcat(t, brokers, "-L", "-J"), &list); err != nil {
		t.Fatal(err)
	}
	partitions := map[string]int{}
	for _, topic := range list.Topics {
		partitions[topic.Topic] = len(topic.Partitions)
	}
	var all []seen
	var topics []string
	for topic, n := range want {
		if partitions[topic] != 4 {
			t.Errorf("kcat lists %d partitions of %s", partitions[topic], topic)
		}
		ours := readWithUs(t, c.Config, topic)
		if len(ours) != n {
			t.Errorf("%s holds %d records, want %d", topic, len(ours), n)
		}
		sameRecords(t, "kcat -C "+topic, parseKcat(t, kcat(t, brokers, "-C", "-t", topic, "-o", "beginning", "-e", "-X", committed, "-f", kcatFormat)), ours)
		all, topics = append(all, ours...), append(topics, topic)
	}
	for _, topic := range aborted {
		n := bytes.Count(kcat(t, brokers, "-C", "-t", topic, "-o", "beginning", "-e", "-X", "isolation.level=read_uncommitted", "-f", "%p\n"), []byte("\n"))
		if n != want[topic]+ghosts {
			t.Errorf("%s holds %d records with those aborted, want %d: was there nothing to hide?", topic, n, want[topic]+ghosts)
		}
	}
	member := append([]string{brokers, "-G", group, "-e", "-X", committed, "-X", "auto.offset.reset=earliest", "-f", kcatFormat}, topics...)
	sameRecords(t, "kcat -G", parseKcat(t, kcat(t, member...)), all)
	if again := kcat(t, member...); len(again) > 0 {
		t.Errorf("kcat -G reads again what it has committed: %.300q", again)
	}
}
