package kafkaproto

import (
	"encoding/binary"
	"errors"
)

// ControlType is the kind of a control batch.
type ControlType int16

// Control types of partitions. The log of Kafka's own quorum has more, which no client topic holds.
const (
	ControlUnknown ControlType = -1
	ControlAbort   ControlType = 0
	ControlCommit  ControlType = 1
)

var errControlBatch = errors.New("control batch is malformed")

// ControlBatch makes the batch that ends a transaction in a partition: one record, whose key is version and type and
// whose value is version and the coordinator's epoch (KIP-98). Offset and leader epoch are the log's to stamp.
func ControlBatch(t ControlType, producer ProducerID, epoch ProducerEpoch, coordinatorEpoch int32, now Timestamp) Batch {
	var key [4]byte
	binary.BigEndian.PutUint16(key[2:], uint16(t))
	var value [6]byte
	binary.BigEndian.PutUint32(value[2:], uint32(coordinatorEpoch))
	bb := NewBuilder()
	bb.ProducerID, bb.ProducerEpoch = producer, epoch
	bb.Transactional, bb.Control = true, true
	bb.Append(Record{Timestamp: now, Key: key[:], Value: value[:]})
	b, err := bb.Batch()
	if err != nil {
		panic(err) // without a codec there is nothing to fail
	}
	return b
}

// ControlType reads what a control batch says, and the epoch of the coordinator that wrote it. A type from the future
// is ControlUnknown without an error, and so is the marker of which compaction has left the header.
func (b Batch) ControlType() (t ControlType, coordinatorEpoch int32, err error) {
	if b.IsControl() && b.NumRecords() == 0 && len(b.RecordBytes()) == 0 {
		return ControlUnknown, -1, nil
	}
	var raw rawRecord
	if !b.IsControl() || b.Codec() != CodecNone || !parseRecord(b.RecordBytes(), &raw) || len(raw.key) < 4 {
		return ControlUnknown, -1, ErrCorruptMessage.With("%w", errControlBatch)
	}
	switch t = ControlType(binary.BigEndian.Uint16(raw.key[2:])); t {
	case ControlAbort, ControlCommit:
	default:
		return ControlUnknown, -1, nil
	}
	if len(raw.value) < 6 {
		return ControlUnknown, -1, ErrCorruptMessage.With("%w", errControlBatch)
	}
	return t, int32(binary.BigEndian.Uint32(raw.value[2:])), nil
}
