package shard

import (
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// Host holds the shards of one topic that this node leads.
type Host struct {
	o Options
}

// NewHost makes a Host without shards: Apply brings them.
func NewHost(o Options) *Host { return &Host{o: o} }

// Apply follows the metadata: it begins to load the shards whose partitions this node now leads, and ends those that it
// leads no more. It waits for no load.
func (h *Host) Apply(next *controller.Image, c controller.Changes) {}

// Submit gives an input to the shard of a partition. done is called once, from any goroutine, perhaps before Submit
// returns, and must not block. Errors beside the machine's own: NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS,
// COORDINATOR_NOT_AVAILABLE (the topic is missing, too much waits, or the records were not replicated in time).
func (h *Host) Submit(partition int32, input any, done func(value any, err error)) {
	done(nil, kafkaproto.ErrCoordinatorNotAvailable)
}

// AppendMarker ends a producer's transaction in a partition: the marker goes through the shard's loop like an input, so
// that it stands in the log behind everything that was decided before it.
func (h *Host) AppendMarker(partition int32, p machine.Producer, coordinatorEpoch int32, commit bool, done func(error)) {
	done(kafkaproto.ErrCoordinatorNotAvailable)
}

// Each gives an input to every shard on this node and collects what they answer, in the order of partitions. While one is
// being loaded the answer is COORDINATOR_LOAD_IN_PROGRESS.
func (h *Host) Each(input any, done func(values []any, err error)) {
	done(nil, kafkaproto.ErrCoordinatorNotAvailable)
}

// Partitions is how many partitions the topic has; not ok while it does not exist.
func (h *Host) Partitions() (n int32, ok bool) { return 0, false }

// Close ends all shards: what waits is answered with NOT_COORDINATOR.
func (h *Host) Close() {}
