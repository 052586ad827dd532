package broker

// ListOffsets (key 2, versions 0-11): offsets by time, and the ends of partitions.
//
// Version 0 answers with a list of at most max_num_offsets offsets, newest first. Kafka's lists had the base offsets of
// segments, which StreamBus has none of; the list here has the offset that later versions answer and the log start.
// Isolation (KIP-98) from 2, leader epochs (KIP-320) from 4, OFFSET_NOT_AVAILABLE (KIP-207) from 5 and LEADER_NOT_AVAILABLE
// before, -3 for the record with the highest timestamp (KIP-734) from 7, -4 for the local log start (KIP-405) from 8, -5
// for the last tiered offset (KIP-1005) from 9, -6 for the first one not tiered (KIP-1023) from 11; a special timestamp in
// an older version is UNSUPPORTED_VERSION. A partition that is named twice is INVALID_REQUEST,
// once.
//
// The timeout of version 10 is for searches in tiered data; there is nothing tiered to search yet.

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

func handleListOffsets(s *Server, r *request) {
	req := r.req.(*kmsg.ListOffsetsRequest)
	resp := kmsg.NewPtrListOffsetsResponse()
	l := listing{s: s, req: req, image: s.quorum.Image(), twice: namedTwice(req)}
	for i := range req.Topics {
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			if p := &req.Topics[i].Partitions[j]; !l.answered(topic.Topic, p.Partition) {
				topic.Partitions = append(topic.Partitions, l.partition(topic.Topic, p))
			}
		}
		resp.Topics = append(resp.Topics, topic)
	}
	r.reply(resp)
}

// listing is one ListOffsets request under way.
type listing struct {
	s     *Server
	req   *kmsg.ListOffsetsRequest
	image *controller.Image
	twice map[sessionKey]bool
	given map[sessionKey]bool // partitions named twice that have their one answer
}

// answered says whether a partition that is named more than once has been answered before.
func (l *listing) answered(topic string, partition int32) bool {
	key := sessionKey{name: topic, partition: partition}
	if !l.twice[key] {
		return false
	}
	if l.given == nil {
		l.given = map[sessionKey]bool{}
	}
	before := l.given[key]
	l.given[key] = true
	return before
}

// namedTwice finds the partitions that a request names more than once. Version 0 did not mind.
func namedTwice(req *kmsg.ListOffsetsRequest) map[sessionKey]bool {
	if req.Version == 0 {
		return nil
	}
	seen := map[sessionKey]bool{} // true: more than once
	for i := range req.Topics {
		for _, p := range req.Topics[i].Partitions {
			key := sessionKey{name: req.Topics[i].Topic, partition: p.Partition}
			_, again := seen[key]
			seen[key] = again
		}
	}
	return seen
}

func (l *listing) partition(topic string, p *kmsg.ListOffsetsRequestTopicPartition) kmsg.ListOffsetsResponseTopicPartition {
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition, out.Offset, out.Timestamp, out.LeaderEpoch = p.Partition, -1, -1, -1
	out.OldStyleOffsets = []int64{}
	result, part, err := l.find(sessionKey{name: topic, partition: p.Partition}, p)
	switch {
	case errors.Is(err, kafkaproto.ErrOffsetNotAvailable) && l.req.Version < 5:
		err = kafkaproto.ErrLeaderNotAvailable
		fallthrough
	case err != nil:
		out.ErrorCode = kafkaproto.Code(err)
	case l.req.Version == 0:
		out.OldStyleOffsets = oldStyleOffsets(part, p, result.Offset)
	default:
		out.Offset, out.Timestamp, out.LeaderEpoch = int64(result.Offset), int64(result.Timestamp), int32(result.LeaderEpoch)
	}
	return out
}

func (l *listing) find(key sessionKey, p *kmsg.ListOffsetsRequestTopicPartition) (r partition.ListResult, part *partition.Partition, err error) {
	if l.twice[key] {
		return r, nil, kafkaproto.ErrInvalidRequest
	}
	if p.Timestamp < 0 && l.req.Version < sinceVersion(p.Timestamp) {
		return r, nil, kafkaproto.ErrUnsupportedVersion
	}
	if part, err = l.s.findPartition(l.image, key); err != nil {
		return r, nil, err
	}
	current := kafkaproto.LeaderEpoch(p.CurrentLeaderEpoch)
	if l.req.Version < 4 {
		current = kafkaproto.NoLeaderEpoch
	}
	r, err = part.ListOffset(partition.ListRequest{
		Timestamp: p.Timestamp, ReadCommitted: l.req.IsolationLevel == 1 && l.req.Version >= 2, CurrentLeaderEpoch: current,
		Replica: l.req.ReplicaID >= 0,
	})
	return r, part, err
}

// sinceVersion is the first version in which a negative timestamp means something; beyond all versions for those that
// never do.
func sinceVersion(timestamp int64) int16 {
	switch timestamp {
	case partition.LatestTimestamp, partition.EarliestTimestamp:
		return 0
	case partition.MaxTimestamp:
		return 7
	case partition.EarliestLocalTimestamp:
		return 8
	case partition.LatestTieredTimestamp:
		return 9
	case partition.EarliestPendingUploadTimestamp:
		return 11
	}
	return 1 << 14
}

// oldStyleOffsets makes the list of version 0. A time asks for offsets before it: none if the log begins after it, and the
// end if everything is older.
func oldStyleOffsets(part *partition.Partition, p *kmsg.ListOffsetsRequestTopicPartition, found kafkaproto.Offset) []int64 {
	status := part.Status()
	if found < 0 {
		found = status.HighWatermark
	}
	list := []int64{}
	if p.Timestamp >= 0 && found <= status.Start {
		return list
	}
	if p.MaxNumOffsets > 0 {
		list = append(list, int64(found))
	}
	if p.MaxNumOffsets > 1 && found > status.Start {
		list = append(list, int64(status.Start))
	}
	return list
}
