package kafkaproto

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

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

// String is the uuid as Kafka prints it: 22 characters of base64url without padding.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseTopicID reads what String prints.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	if len(s) != 22 {
		return id, fmt.Errorf("topic id %q: want 22 characters of base64url", s)
	}
	if n, err := base64.RawURLEncoding.Strict().Decode(id[:], []byte(s)); err != nil || n != len(id) {
		return TopicID{}, fmt.Errorf("topic id %q is not base64url", s)
	}
	return id, nil
}
