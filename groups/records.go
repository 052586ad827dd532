package groups

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// Versions of keys tell what a record is; those above are of newer kinds of groups.
const (
	offsetKeyVersion = 1 // 0 is the same
	groupKeyVersion  = 2
)

// Versions of values as Kafka 4.3.1 writes them.
const (
	offsetValueVersion       = 4
	offsetExpireValueVersion = 1 // the only one with a time of expiry
	groupValueVersion        = 3
	latestValueVersion       = 4 // that can be read
)

// groupRecord is a group as it is, with assignments from of, or those that it has if of is nil.
func groupRecord(g *group, of func(*member) []byte) machine.Record {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation, v.Protocol = groupValueVersion, g.protocolType, g.generation, g.protocol
	v.CurrentStateTimestamp = int64(g.stateAt)
	if g.leader != "" {
		v.Leader = &g.leader
	}
	v.Members = make([]kmsg.GroupMetadataValueMember, len(g.order))
	for i, mb := range g.order {
		w := &v.Members[i]
		w.MemberID, w.InstanceID, w.ClientID, w.ClientHost = mb.id, mb.instance, mb.clientID, mb.clientHost
		w.RebalanceTimeoutMillis, w.SessionTimeoutMillis = millis(mb.rebalanceTimeout), millis(mb.sessionTimeout)
		w.Subscription, w.Assignment = mb.metadata(g.protocol), mb.assignment
		if of != nil {
			w.Assignment = of(mb)
		}
	}
	return machine.Record{Key: groupKey(g.id), Value: v.AppendTo(nil)}
}

// newGroupRecord is a group of which nothing is known yet but that it exists.
func newGroupRecord(g *group) machine.Record {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.CurrentStateTimestamp = groupValueVersion, int64(g.stateAt)
	return machine.Record{Key: groupKey(g.id), Value: v.AppendTo(nil)}
}

func groupTombstone(id string) machine.Record { return machine.Record{Key: groupKey(id)} }

func groupKey(id string) []byte {
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: id}
	return k.AppendTo(make([]byte, 0, 4+len(id)))
}

func millis(d time.Duration) int32 { return int32(d.Milliseconds()) }

// committed is one committed offset with all that is known of it.
type committed struct {
	offset      kafkaproto.Offset
	leaderEpoch kafkaproto.LeaderEpoch
	metadata    string
	at          kafkaproto.Timestamp // when it was committed
	expire      kafkaproto.Timestamp // NoTimestamp: the group's retention counts
	topicID     kafkaproto.TopicID   // zero: unknown
	record      int64                // offset of the record that says so
}

// Sizes of records in a batch, at most, beside what is in them.
const (
	batchOverhead  = 128 // the batch's header and that of one record
	offsetOverhead = 72  // an offset's record, beside the strings in key and value
)

// appendOffset writes an offset's record behind buf, which should have room for it, and returns what is then filled.
func appendOffset(buf []byte, group, topic string, partition kafkaproto.PartitionID, c *committed) (machine.Record, []byte) {
	start := len(buf)
	buf = appendOffsetKey(buf, group, topic, partition)
	middle := len(buf)
	v := kmsg.OffsetCommitValue{
		Version: offsetValueVersion, Offset: int64(c.offset), LeaderEpoch: int32(c.leaderEpoch), Metadata: c.metadata,
		CommitTimestamp: int64(c.at), ExpireTimestamp: int64(c.expire), TopicID: c.topicID,
	}
	if c.expire != kafkaproto.NoTimestamp {
		v.Version = offsetExpireValueVersion
	}
	buf = v.AppendTo(buf)
	return machine.Record{Key: buf[start:middle:middle], Value: buf[middle:len(buf):len(buf)]}, buf
}

func appendOffsetKey(buf []byte, group, topic string, partition kafkaproto.PartitionID) []byte {
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: group, Topic: topic, Partition: int32(partition)}
	return k.AppendTo(buf)
}

func offsetTombstone(group, topic string, partition kafkaproto.PartitionID) machine.Record {
	return machine.Record{Key: appendOffsetKey(make([]byte, 0, 10+len(group)+len(topic)), group, topic, partition)}
}
