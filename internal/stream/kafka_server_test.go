//go:build !noservers

package stream

import (
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/strait-cdc/strait/internal/testenv"
)

func TestApacheKafka(t *testing.T) {
	cfg := Config{Brokers: testenv.Kafka(t).Brokers, Replication: 1, Log: quiet}
	runSuite(t, &cluster{cfg: cfg, lose: func(t *testing.T, topic string, part int32, before int64) {
		deleteRecords(t, cfg, tp{topic, part}, before)
	}})
}

// BenchmarkApacheKafka is the throughput and, with one change, the latency of a
// commit.
func BenchmarkApacheKafka(b *testing.B) {
	cfg := Config{Brokers: testenv.Kafka(b).Brokers, Replication: 1, Compression: "none", Log: quiet}
	for _, changes := range []int{1, 200, 6000} {
		b.Run(fmt.Sprintf("changes=%d", changes), func(b *testing.B) {
			w := openWriter(b, cfg, newSystem())
			batch := benchBatch(newWorkload(1), changes)
			mustWrite(b, w, batch)
			for b.Loop() {
				if _, err := w.Write(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(changes*b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// deleteRecords does what retention does, at once.
func deleteRecords(t *testing.T, cfg Config, p tp, before int64) {
	t.Helper()
	c, err := newClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	addr, err := c.leader(testContext(t), p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.call(testContext(t), addr, &deleteRequest{p, before}); err != nil {
		t.Fatal(err)
	}
}

type deleteRequest struct {
	tp     tp
	before int64
}

func (*deleteRequest) ApiKey() protocol.ApiKey                 { return protocol.DeleteRecords }
func (*deleteRequest) Required(map[protocol.ApiKey]int16) bool { return true }

func (r *deleteRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	b := make([]byte, 4)
	b = binary.BigEndian.AppendUint16(b, uint16(protocol.DeleteRecords))
	b = binary.BigEndian.AppendUint16(b, 1)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = appendString(b, clientID)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = appendString(b, r.tp.topic)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(r.tp.part))
	b = binary.BigEndian.AppendUint64(b, uint64(r.before))
	b = binary.BigEndian.AppendUint32(b, 10_000)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := rw.Write(b); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(rw, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(rw, answer); err != nil {
		return nil, err
	}
	if code := binary.BigEndian.Uint16(answer[len(answer)-2:]); code != 0 {
		return nil, fmt.Errorf("delete records: code %d", code)
	}
	return r, nil
}
