package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
)

// batchBytes is how many bytes of records are collected for one batch: below the
// 1,048,588 that topics we have not created take by default.
const batchBytes = 900 << 10

// initProducer gets the number and epoch to write with. With a transactional id
// this fences whoever had it before and ends its open transaction: when the
// answer is there, so are the markers.
func (c *client) initProducer(ctx context.Context, txid string) (p producer, err error) {
	req := &initproducerid.Request{TransactionalID: txid, ProducerID: -1, ProducerEpoch: -1}
	if txid != "" {
		req.TransactionTimeoutMs = int32(c.cfg.TxnTimeout.Milliseconds())
	}
	err = c.retry(ctx, "init producer "+txid, func() error {
		var m protocol.Message
		if txid == "" {
			m, err = c.callAny(ctx, req)
		} else {
			m, err = c.callCoordinator(ctx, txid, req)
		}
		if err != nil {
			return err
		}
		res := m.(*initproducerid.Response)
		p = producer{id: res.ProducerID, epoch: res.ProducerEpoch, transactional: txid != ""}
		return errCode(res.ErrorCode)
	})
	if errors.Is(err, kafka.InvalidTransactionTimeout) {
		err = fmt.Errorf("%w: the broker allows no transaction of %s; raise its transaction.max.timeout.ms or lower kafka.txn_timeout", err, c.cfg.TxnTimeout)
	}
	return p, err
}

func (c *client) callCoordinator(ctx context.Context, txid string, req protocol.Message) (protocol.Message, error) {
	addr, err := c.coordinator(ctx, txid)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, addr, req)
}

// produce sends sealed batches, at most one of each topic-partition, until each
// is stored, and sets their base. What failed is sent again as the same bytes:
// the broker knows a repetition by producer, epoch and sequence, and answers
// with the offset of the first time.
func (c *client) produce(ctx context.Context, txid string, batches []*batch) error {
	left := batches
	return c.retry(ctx, "produce", func() error {
		var err error
		left, err = c.produceOnce(ctx, txid, left)
		return err
	})
}

// produceOnce sends one request to each broker that leads some of the batches
// and returns the batches that are still to be sent.
func (c *client) produceOnce(ctx context.Context, txid string, batches []*batch) ([]*batch, error) {
	byLeader := map[string][]*batch{}
	for _, b := range batches {
		addr, err := c.leader(ctx, b.tp)
		if err != nil {
			return batches, err
		}
		byLeader[addr] = append(byLeader[addr], b)
	}
	var mu sync.Mutex
	var left []*batch
	var worst error
	err := eachBroker(byLeader, func(addr string, of []*batch) error {
		m, err := c.call(ctx, addr, produceRequest(txid, of))
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			left = append(left, of...)
			return err
		}
		unsent, err := settle(m.(*produce.Response), of)
		left = append(left, unsent...)
		if err != nil && (worst == nil || stepFor(worst) != fatal) {
			worst = err
		}
		return nil
	})
	if worst != nil && (err == nil || stepFor(worst) == fatal) {
		err = worst
	}
	return left, err
}

func produceRequest(txid string, batches []*batch) *rawproduce.Request {
	req := &rawproduce.Request{TransactionalID: txid, Acks: -1, Timeout: int32(brokerTimeout.Milliseconds())}
	at := map[string]int{}
	for _, b := range batches {
		i, ok := at[b.tp.topic]
		if !ok {
			i = len(req.Topics)
			at[b.tp.topic] = i
			req.Topics = append(req.Topics, rawproduce.RequestTopic{Topic: b.tp.topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions,
			rawproduce.RequestPartition{Partition: b.tp.part, RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(b.wire)}})
	}
	return req
}

// settle reads the answer: it sets the base of what is stored and returns what
// is not, with the error that matters most.
func settle(res *produce.Response, batches []*batch) (left []*batch, err error) {
	answers := map[tp]produce.ResponsePartition{}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			answers[tp{t.Topic, p.Partition}] = p
		}
	}
	for _, b := range batches {
		p, ok := answers[b.tp]
		if ok && p.ErrorCode == 0 {
			b.base = p.BaseOffset
			continue
		}
		left = append(left, b)
		code := error(kafka.Unknown)
		if ok {
			code = refusal(b, kafka.Error(p.ErrorCode), p.ErrorMessage)
		}
		if err == nil || stepFor(code) == fatal {
			err = code
		}
	}
	return left, err
}

func refusal(b *batch, code kafka.Error, message string) error {
	switch code {
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge:
		return fmt.Errorf("%s takes no batch of %d bytes (%d records): %w; raise max.message.bytes of the topic", b.tp, len(b.wire)-4, b.count, code)
	case kafka.TopicAuthorizationFailed:
		return fmt.Errorf("%s: %w; grant Write and Describe on the topic", b.tp, code)
	}
	if message = strings.TrimSpace(message); message != "" {
		return fmt.Errorf("%s: %s: %w", b.tp, message, code)
	}
	return fmt.Errorf("%s: %w", b.tp, code)
}
