package shard

import (
	"errors"
	"fmt"
	"testing"

	"github.com/streambus/streambus/kafkaproto"
)

func TestErrorsOfTheLogBecomeThoseOfCoordinators(t *testing.T) {
	for _, c := range []struct {
		err  error
		want *kafkaproto.Error
	}{
		{kafkaproto.ErrNotLeaderOrFollower, kafkaproto.ErrNotCoordinator},
		{kafkaproto.ErrKafkaStorageError.With("disk %d", 3), kafkaproto.ErrNotCoordinator},
		{kafkaproto.ErrFencedLeaderEpoch, kafkaproto.ErrNotCoordinator},
		{kafkaproto.ErrUnknownLeaderEpoch, kafkaproto.ErrNotCoordinator},
		{fmt.Errorf("batch: %w", errOutOfStep), kafkaproto.ErrNotCoordinator},
		{kafkaproto.ErrUnknownTopicOrPartition, kafkaproto.ErrCoordinatorNotAvailable},
		{kafkaproto.ErrNotEnoughReplicas, kafkaproto.ErrCoordinatorNotAvailable},
		{kafkaproto.ErrRequestTimedOut, kafkaproto.ErrCoordinatorNotAvailable},
		{kafkaproto.ErrRecordListTooLarge, kafkaproto.ErrUnknownServerError},
		{kafkaproto.ErrMessageTooLarge, kafkaproto.ErrUnknownServerError},
		{errors.New("a bug"), kafkaproto.ErrUnknownServerError},
	} {
		if got := coordinatorCode(c.err); got != c.want {
			t.Errorf("%v becomes %s, want %s", c.err, got.Name, c.want.Name)
		}
	}
}
