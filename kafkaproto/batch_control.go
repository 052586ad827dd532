package kafkaproto

// ControlType is the kind of a control batch.
type ControlType int16

// Control types of partitions.
const (
	ControlAbort   ControlType = 0
	ControlCommit  ControlType = 1
	ControlUnknown ControlType = -1
)

// ControlBatch makes the batch that ends a transaction in a partition: one record, ControlCommit or ControlAbort.
func ControlBatch(t ControlType, producer ProducerID, epoch ProducerEpoch, coordinatorEpoch int32, now Timestamp) Batch {
	return nil
}

// ControlType reads what a control batch says, and the coordinator's epoch.
func (b Batch) ControlType() (t ControlType, coordinatorEpoch int32, err error) {
	return ControlUnknown, 0, nil
}
