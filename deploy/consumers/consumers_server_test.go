//go:build !noservers

package consumers

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/strait-cdc/strait/internal/stream"
	"github.com/strait-cdc/strait/internal/testenv"
)

// runs counts the stories told in this process.
var runs atomic.Int64

// TestConsumers tells a story in SQL to two databases, captures it, and has other
// people's clients read what there is in Kafka.
func TestConsumers(t *testing.T) {
	interpreter := python(t)
	for _, k := range []struct {
		name  string
		start func(t *testing.T) stream.Config
	}{
		{"embedded", embedded},
		{"kafka", func(t *testing.T) stream.Config { return stream.Config{Brokers: testenv.Kafka(t).Brokers} }},
	} {
		t.Run(k.name, func(t *testing.T) {
			run := strconv.FormatInt(runs.Add(1), 10)
			c := newCluster(t, k.start(t))
			sides := []*side{newPostgres(t, run), newMariaDB(t, run)}
			want := map[string][]record{}
			var topics, aborted []string
			for _, s := range sides {
				p := &pipe{side: s, cluster: c}
				p.capture()
				for topic, records := range s.want {
					want[topic] = records
					topics = append(topics, topic)
				}
				aborted = append(aborted, s.topic(s.table("everything")))
			}
			t.Run("python", func(t *testing.T) {
				got := readWithPython(t, interpreter, strings.Join(c.Brokers, ","), c.url, "python"+run, topics)
				for _, topic := range topics {
					sameStory(t, topic, got[topic], want[topic])
				}
				checkCalls(t, c)
			})
			t.Run("kcat", func(t *testing.T) {
				counts := map[string]int{}
				for topic, records := range want {
					counts[topic] = len(records)
				}
				checkKcat(t, c, "kcat"+run, counts, aborted)
			})
			t.Run("registry", func(t *testing.T) {
				for _, topic := range topics {
					checkJavaCalls(t, c, topic)
				}
			})
		})
	}
}

func embedded(t *testing.T) stream.Config {
	t.Helper()
	b, err := stream.StartBroker(stream.BrokerConfig{Dir: t.TempDir(), NoSync: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b.Config()
}

// sameStory compares the records of a topic in the order of strait.seq with what SQL
// said. Rows of the snapshot may come in any order.
func sameStory(t *testing.T, topic string, got, want []record) {
	t.Helper()
	slices.SortFunc(got, func(a, b record) int { return cmp.Compare(a.Seq, b.Seq) })
	n := 0
	for n < len(got) && got[n].Op == "r" {
		n++
	}
	slices.SortFunc(got[:n], byKey)
	if len(got) != len(want) {
		t.Errorf("%s: %d records, SQL says %d", topic, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i].Seq == 0 || i > 0 && got[i].Seq == got[i-1].Seq {
			t.Errorf("%s: record %d has strait.seq %d", topic, i, got[i].Seq)
		}
		g := got[i]
		g.Seq = 0
		if !reflect.DeepEqual(g, want[i]) {
			t.Errorf("%s: record %d is read as\n\t%s\nSQL says\n\t%s", topic, i, show(g), show(want[i]))
		}
	}
}

func show(r record) string {
	text, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
