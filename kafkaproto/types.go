package kafkaproto

import "strconv"

// Offset is the position of a record in a partition, counted from 0. -1 stands for none.
type Offset int64

// LeaderEpoch counts the leaders of a partition. -1 stands for none.
type LeaderEpoch int32

// PartitionID is the number of a partition in its topic.
type PartitionID int32

// TopicID is a topic's uuid, as on the wire (KIP-516). The zero value stands for none.
type TopicID [16]byte

// TopicPartition names a partition by its topic's id, so that a topic made anew under an old name is another one.
type TopicPartition struct {
	Topic     TopicID
	Partition PartitionID
}

// ProducerID and ProducerEpoch identify a producer (KIP-98). -1 stands for none.
type (
	ProducerID    int64
	ProducerEpoch int16
)

// Timestamp is in milliseconds since 1970 in UTC. -1 stands for none.
type Timestamp int64

// None of each kind, as on the wire.
const (
	NoOffset        Offset        = -1
	NoLeaderEpoch   LeaderEpoch   = -1
	NoProducerID    ProducerID    = -1
	NoProducerEpoch ProducerEpoch = -1
	NoTimestamp     Timestamp     = -1
)

func (tp TopicPartition) String() string {
	return tp.Topic.String() + "-" + strconv.Itoa(int(tp.Partition))
}
