package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// ErrFenced says that a newer Writer of the same system has taken over: stop,
// and do not start again by yourself.
var ErrFenced = errors.New("a newer writer of this system has taken over")

// ErrOffsetLost says that the broker no longer has what was to be read: deleted
// by retention, or lost together with the broker's disk. Reading on behind the
// gap would lose changes without a trace, so only an operator decides.
var ErrOffsetLost = errors.New("offset no longer in the topic")

// step is what may be tried again after an answer: the same bytes, after looking
// up what the answer says is out of date.
type step uint8

const (
	fatal step = 0
	again step = 1
	// againLeader: the leader has moved, or the topic is not known there yet.
	againLeader step = again | 2
	// againCoordinator: the coordinator has moved.
	againCoordinator step = again | 4
)

// stepFor sorts errors. Whatever is no answer of a broker is a broken
// connection: nobody knows whether the request was carried out, and sending the
// same bytes again is right in either case.
func stepFor(err error) step {
	if errors.Is(err, errPermanent) {
		return fatal
	}
	var code kafka.Error
	if !errors.As(err, &code) {
		if errors.Is(err, context.Canceled) || errors.Is(err, ErrOffsetLost) {
			return fatal
		}
		return againLeader | againCoordinator
	}
	switch code {
	case kafka.UnknownTopicOrPartition, kafka.LeaderNotAvailable, kafka.NotLeaderForPartition,
		kafka.ReplicaNotAvailable, kafka.NetworkException, kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch,
		kafka.BrokerNotAvailable, kafka.NotController, kafka.KafkaStorageError, kafka.OffsetNotAvailable, kafka.ListenerNotFound:
		return againLeader
	case kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup, kafka.GroupLoadInProgress, kafka.TransactionCoordinatorFenced:
		return againCoordinator
	case kafka.RequestTimedOut, kafka.NotEnoughReplicas, kafka.NotEnoughReplicasAfterAppend, kafka.ConcurrentTransactions, operationNotAttempted:
		return again
	}
	return fatal
}

// operationNotAttempted stands beside the partitions of a request that failed
// because of another partition; the client library has another name for it.
const operationNotAttempted = kafka.Error(55)

// errPermanent marks errors that no repetition cures although no broker said so.
var errPermanent = errors.New("not to be tried again")

type permanent struct{ err error }

func (p permanent) Error() string   { return p.err.Error() }
func (p permanent) Unwrap() []error { return []error{p.err, errPermanent} }

// errCode is the error of an answer, nil for 0.
func errCode(code int16) error {
	if code == 0 {
		return nil
	}
	return kafka.Error(code)
}

// fenced turns the two answers that mean a newer producer into ErrFenced.
func fenced(err error) error {
	if errors.Is(err, kafka.InvalidProducerEpoch) || errors.Is(err, kafka.ProducerFenced) {
		return fmt.Errorf("%w (%w)", ErrFenced, err)
	}
	return err
}
