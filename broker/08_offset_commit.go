package broker

// OffsetCommit (key 8, versions 0-10): stores how far a group has read.
//
// Versions 0 and 1, which Kafka 4 no longer has, are stored like the rest: 0 names no member, so it is a simple consumer's;
// 1 gives each offset its own commit time. Versions 2-4 say how long the offsets are to be kept, which from 5 on is the
// broker's to decide (KIP-211). Leader epochs (KIP-320) from 6, group instance ids (KIP-345) from 7, member epochs
// (KIP-848) in the generation's place from 9, topic ids (KIP-516) at 10.
//
// Partitions that don't exist are UNKNOWN_TOPIC_OR_PARTITION, ids UNKNOWN_TOPIC_ID, and the rest is committed; only if
// something is left the coordinator is asked at all. The empty group id is a group like any other here, as in Kafka. Any
// offset is accepted, a negative one too: -1 reads as none. The answer keeps the request's order.

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func handleOffsetCommit(s *Server, r *request) {
	req := r.req.(*kmsg.OffsetCommitRequest)
	c := offsetCommit{req: req, resp: kmsg.NewPtrOffsetCommitResponse()}
	c.layOut(s.quorum.Image())
	if len(c.rows) == 0 {
		r.reply(c.resp)
		return
	}
	s.askGroup(req.Group, c.input(), func(value any, err error) {
		answers, err := answerOf[[]groups.OffsetCommitAnswer](value, err)
		if err == nil && len(answers) != len(c.rows) {
			err = kafkaproto.ErrUnknownServerError
		}
		for i, row := range c.rows {
			rowErr := err
			if err == nil {
				rowErr = answers[i].Err
			}
			row.ErrorCode = kafkaproto.Code(rowErr)
		}
		r.reply(c.resp)
	})
}

// offsetCommit is one OffsetCommit request under way: rows are those of the response that the coordinator decides, offsets
// what it is asked for each.
type offsetCommit struct {
	req     *kmsg.OffsetCommitRequest
	resp    *kmsg.OffsetCommitResponse
	rows    []*kmsg.OffsetCommitResponseTopicPartition
	offsets []groups.CommitOffset
}

// layOut makes the response with a row for every partition, and finds the topics.
func (c *offsetCommit) layOut(image *controller.Image) {
	count := 0
	for i := range c.req.Topics {
		count += len(c.req.Topics[i].Partitions)
	}
	all := make([]kmsg.OffsetCommitResponseTopicPartition, count)
	c.rows = make([]*kmsg.OffsetCommitResponseTopicPartition, 0, count)
	c.offsets = make([]groups.CommitOffset, 0, count)
	c.resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(c.req.Topics))
	n := 0
	for i := range c.req.Topics {
		from, to := &c.req.Topics[i], &c.resp.Topics[i]
		to.Topic, to.TopicID = from.Topic, from.TopicID
		to.Partitions = all[n : n+len(from.Partitions) : n+len(from.Partitions)]
		n += len(from.Partitions)
		topic, err := findTopic(image, sessionKey{byID: c.req.Version >= 10, id: from.TopicID, name: from.Topic})
		for j := range from.Partitions {
			to.Partitions[j].Partition = from.Partitions[j].Partition
			c.add(topic, err, &from.Partitions[j], &to.Partitions[j])
		}
	}
}

func (c *offsetCommit) add(topic *controller.Topic, err error, p *kmsg.OffsetCommitRequestTopicPartition, row *kmsg.OffsetCommitResponseTopicPartition) {
	if err == nil && !hasPartition(topic, p.Partition) {
		err = kafkaproto.ErrUnknownTopicOrPartition
	}
	if err != nil {
		row.ErrorCode = kafkaproto.Code(err)
		return
	}
	o := groups.CommitOffset{
		Topic: topic.Name, TopicID: topic.ID, Partition: kafkaproto.PartitionID(p.Partition),
		Offset: kafkaproto.Offset(p.Offset), LeaderEpoch: kafkaproto.NoLeaderEpoch, Metadata: p.Metadata,
	}
	if c.req.Version >= 6 {
		o.LeaderEpoch = kafkaproto.LeaderEpoch(p.LeaderEpoch)
	}
	if c.req.Version == 1 && p.Timestamp >= 0 {
		at := kafkaproto.Timestamp(p.Timestamp)
		o.Timestamp = &at
	}
	c.rows = append(c.rows, row)
	c.offsets = append(c.offsets, o)
}

// input asks for what was found.
func (c *offsetCommit) input() groups.OffsetCommit {
	input := groups.OffsetCommit{
		Group: c.req.Group, MemberID: c.req.MemberID, InstanceID: c.req.InstanceID, Generation: c.req.Generation,
		Retention: -1, Offsets: c.offsets, KnowsGroupIDNotFound: c.req.Version >= 9,
	}
	if c.req.Version == 0 {
		input.MemberID, input.Generation = "", -1
	}
	if c.req.Version >= 2 && c.req.Version <= 4 && c.req.RetentionTimeMillis >= 0 {
		input.Retention = time.Duration(min(c.req.RetentionTimeMillis, maxRetentionMillis)) * time.Millisecond
	}
	return input
}

// maxRetentionMillis keeps what a client may ask for within a time.Duration; it is a hundred years.
const maxRetentionMillis = int64(100 * 365 * 24 * time.Hour / time.Millisecond)

func hasPartition(topic *controller.Topic, partition int32) bool {
	return partition >= 0 && int(partition) < len(topic.Partitions)
}
