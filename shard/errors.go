package shard

import (
	"errors"

	"github.com/streambus/streambus/kafkaproto"
)

var (
	errOutOfStep = errors.New("the log's end is not where the machine's records were to go: somebody else wrote there")
	errSends     = errors.New("the machine sends messages, which nothing here delivers")
	errNowhere   = errors.New("no partition holds the log")
)

// coordinatorCode turns an error of the log into what a coordinator's client is told, as Kafka does
// (CoordinatorOperationExceptionHelper): clients of coordinators know other errors than producers. What is no error of
// the log's is UNKNOWN_SERVER_ERROR.
func coordinatorCode(err error) *kafkaproto.Error {
	switch kafkaproto.ErrorForCode(kafkaproto.Code(err)) {
	case kafkaproto.ErrUnknownTopicOrPartition, kafkaproto.ErrNotEnoughReplicas, kafkaproto.ErrNotEnoughReplicasAfterAppend,
		kafkaproto.ErrRequestTimedOut:
		return kafkaproto.ErrCoordinatorNotAvailable
	case kafkaproto.ErrNotLeaderOrFollower, kafkaproto.ErrKafkaStorageError, kafkaproto.ErrFencedLeaderEpoch,
		kafkaproto.ErrUnknownLeaderEpoch, kafkaproto.ErrUnknownTopicID, kafkaproto.ErrNotCoordinator:
		return kafkaproto.ErrNotCoordinator
	}
	if errors.Is(err, errOutOfStep) {
		return kafkaproto.ErrNotCoordinator
	}
	return kafkaproto.ErrUnknownServerError
}

// plain hides the Kafka code of an error and keeps its text.
type plain struct{ err error }

func (p plain) Error() string { return p.err.Error() }
