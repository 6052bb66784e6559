package stream

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// hook looks at some requests before the library carries them out. Requests are
// carried out one after the other, each with its hook.
func (b *Broker) hook() {
	on := func(key kmsg.Key, fn func(kmsg.Request) (kmsg.Response, error, bool)) {
		b.cluster.ControlKey(int16(key), fn)
	}
	on(kmsg.CreateTopics, func(r kmsg.Request) (kmsg.Response, error, bool) {
		keepWhole(r.(*kmsg.CreateTopicsRequest))
		return nil, nil, false
	})
	on(kmsg.Produce, func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.noteProduce(r.(*kmsg.ProduceRequest))
		return nil, nil, false
	})
	on(kmsg.EndTxn, func(r kmsg.Request) (kmsg.Response, error, bool) {
		req := r.(*kmsg.EndTxnRequest)
		if !req.Commit {
			b.txns.aborted(producerEpoch{req.ProducerID, req.ProducerEpoch})
			return nil, nil, false
		}
		err := b.txns.commit(producerEpoch{req.ProducerID, req.ProducerEpoch})
		if err == nil {
			return nil, nil, false
		}
		// The client does not know what became of it, and nor would anybody.
		b.cluster.KeepControl()
		b.cfg.Log.Error("embedded broker: transaction not committed", "err", err)
		return nil, err, true
	})
	// Deleting all records of a partition makes the library forget its offsets,
	// and compaction loses the partition if it is interrupted.
	for _, key := range []kmsg.Key{kmsg.DeleteRecords, kmsg.AlterConfigs, kmsg.IncrementalAlterConfigs} {
		on(key, func(kmsg.Request) (kmsg.Response, error, bool) {
			b.cluster.KeepControl()
			b.cfg.Log.Warn("embedded broker: refused to delete records or to change a topic's configuration", "request", key.Name())
			return nil, errors.New("not supported by the embedded broker"), true
		})
	}
}

// keepWhole makes a topic that is never trimmed nor compacted, whatever was
// asked for.
func keepWhole(req *kmsg.CreateTopicsRequest) {
	for i := range req.Topics {
		kept := req.Topics[i].Configs[:0]
		for _, c := range req.Topics[i].Configs {
			if c.Name != "cleanup.policy" && !strings.HasPrefix(c.Name, "retention.") && !strings.HasPrefix(c.Name, "segment.") {
				kept = append(kept, c)
			}
		}
		req.Topics[i].Configs = kept
	}
}

// noteProduce tells the transaction log what is about to be written.
func (b *Broker) noteProduce(req *kmsg.ProduceRequest) {
	for _, t := range req.Topics {
		topic := t.Topic
		if topic == "" { // new clients name topics by their id
			info := b.cluster.TopicIDInfo(t.TopicID)
			if info == nil {
				continue
			}
			topic = info.Topic
		}
		for _, p := range t.Partitions {
			by := noProducer
			if r := p.Records; req.TransactionID != nil && len(r) >= batchHeader {
				by = producerEpoch{int64(binary.BigEndian.Uint64(r[43:])), int16(binary.BigEndian.Uint16(r[51:]))}
			}
			b.txns.produced(by, tp{topic, p.Partition})
		}
	}
}
