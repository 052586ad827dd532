package broker

// OffsetForLeaderEpoch (key 23, versions 0-4): where a leader epoch ended (KIP-101, KIP-279), by which followers and
// consumers (KIP-320) find out how much of what they have was cut off.
//
// From version 1 the answer names the largest epoch at or below the one asked; from 2 the request says which epoch it
// believes to be current, and gets FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH if it isn't. An epoch that the log does
// not know is -1 at offset -1, without an error. The replica id of version 3 is not looked at.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func handleOffsetForLeaderEpoch(s *Server, r *request) {
	req := r.req.(*kmsg.OffsetForLeaderEpochRequest)
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	image := s.quorum.Image()
	for i := range req.Topics {
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		topic.Topic = req.Topics[i].Topic
		for _, p := range req.Topics[i].Partitions {
			if req.Version < 2 {
				p.CurrentLeaderEpoch = int32(kafkaproto.NoLeaderEpoch)
			}
			topic.Partitions = append(topic.Partitions, s.endOfEpoch(image, topic.Topic, p))
		}
		resp.Topics = append(resp.Topics, topic)
	}
	r.reply(resp)
}

func (s *Server) endOfEpoch(image *controller.Image, topic string, p kmsg.OffsetForLeaderEpochRequestTopicPartition) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	out := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
	out.Partition, out.LeaderEpoch, out.EndOffset = p.Partition, -1, -1
	part, err := s.findPartition(image, sessionKey{name: topic, partition: p.Partition})
	if err == nil {
		end, endErr := part.EpochEnd(kafkaproto.LeaderEpoch(p.CurrentLeaderEpoch), kafkaproto.LeaderEpoch(p.LeaderEpoch))
		if err = endErr; err == nil {
			out.LeaderEpoch, out.EndOffset = int32(end.Epoch), int64(end.End)
		}
	}
	out.ErrorCode = kafkaproto.Code(err)
	return out
}
