package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/createtopics"
)

// topicKind says how a topic that we create is set up.
type topicKind uint8

const (
	dataTopic topicKind = iota
	commitsTopic
	compactTopic
)

// ensureTopic returns the number of partitions of a topic and creates it if it is
// missing. A topic that exists is taken as it is. partitions 0 means the
// configured number.
func (c *client) ensureTopic(ctx context.Context, topic string, kind topicKind, partitions int) (n int, err error) {
	err = c.retry(ctx, "topic "+topic, func() error {
		n, err = c.partitionsOf(ctx, topic)
		if !errors.Is(err, kafka.UnknownTopicOrPartition) {
			return err
		}
		if err := c.createTopic(ctx, topic, kind, partitions); err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			return err
		}
		return kafka.UnknownTopicOrPartition // seen with the next round, or one of those after it
	})
	return n, err
}

func (c *client) createTopic(ctx context.Context, topic string, kind topicKind, partitions int) error {
	if partitions == 0 {
		partitions = c.cfg.Partitions
	}
	replication := int16(c.cfg.Replication)
	if replication == 0 {
		replication = -1
	}
	rt := createtopics.RequestTopic{Name: topic, NumPartitions: int32(partitions), ReplicationFactor: replication, Configs: c.topicConfig(kind)}
	addr, err := c.controllerAddr(ctx)
	if err != nil {
		return err
	}
	m, err := c.call(ctx, addr, &createtopics.Request{Topics: []createtopics.RequestTopic{rt}, TimeoutMs: int32(brokerTimeout.Milliseconds())})
	if err != nil {
		return err
	}
	for _, t := range m.(*createtopics.Response).Topics {
		if t.ErrorCode != 0 {
			return fmt.Errorf("create: %s: %w", t.ErrorMessage, kafka.Error(t.ErrorCode))
		}
	}
	return nil
}

func (c *client) topicConfig(kind topicKind) []createtopics.RequestConfig {
	out := []createtopics.RequestConfig{{Name: "max.message.bytes", Value: strconv.Itoa(c.cfg.MaxMessage)}}
	add := func(name, value string) { out = append(out, createtopics.RequestConfig{Name: name, Value: value}) }
	switch {
	case kind == compactTopic:
		add("cleanup.policy", "compact")
	case kind == commitsTopic || c.cfg.Retention < 0:
		add("cleanup.policy", "delete")
		add("retention.ms", "-1")
		add("retention.bytes", "-1")
	case c.cfg.Retention > 0:
		add("cleanup.policy", "delete")
		add("retention.ms", strconv.FormatInt(c.cfg.Retention.Milliseconds(), 10))
	}
	return out
}

func (c *client) controllerAddr(ctx context.Context) (string, error) {
	if _, err := c.describe(ctx, []string{}); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if addr, ok := c.brokers[c.controller]; ok {
		return addr, nil
	}
	return "", fmt.Errorf("controller: %w", kafka.BrokerNotAvailable)
}

// Topic is a topic of the cluster.
type Topic struct {
	Name       string
	Partitions int
}

// Topics lists the topics of the cluster by name, without Kafka's own.
func Topics(ctx context.Context, cfg Config) ([]Topic, error) {
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var out []Topic
	err = c.retry(ctx, "list topics", func() error {
		res, err := c.describe(ctx, nil)
		if err != nil {
			return err
		}
		out = out[:0]
		for _, t := range res.Topics {
			if !t.IsInternal && t.ErrorCode == 0 {
				out = append(out, Topic{t.Name, len(t.Partitions)})
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}
