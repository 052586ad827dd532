package broker

// DeleteRecords (key 21, versions 0-2): moves log start offsets up (KIP-107). -1 stands for the high watermark.
//
// The low watermark of an answer is the log start offset on all replicas; with replicas on other nodes it would have to
// wait for them, which comes with replication. A topic that is only compacted is POLICY_VIOLATION, the coordinators'
// topics are INVALID_TOPIC_EXCEPTION, as in Kafka.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func handleDeleteRecords(s *Server, r *request) {
	req := r.req.(*kmsg.DeleteRecordsRequest)
	resp := kmsg.NewPtrDeleteRecordsResponse()
	image := s.quorum.Image()
	for i := range req.Topics {
		topic := kmsg.NewDeleteRecordsResponseTopic()
		topic.Topic = req.Topics[i].Topic
		for _, p := range req.Topics[i].Partitions {
			out := kmsg.NewDeleteRecordsResponseTopicPartition()
			low, err := s.deleteRecords(image, sessionKey{name: topic.Topic, partition: p.Partition}, kafkaproto.Offset(p.Offset))
			out.Partition, out.LowWatermark, out.ErrorCode = p.Partition, int64(low), kafkaproto.Code(err)
			topic.Partitions = append(topic.Partitions, out)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	r.reply(resp)
}

func (s *Server) deleteRecords(image *controller.Image, key sessionKey, upTo kafkaproto.Offset) (kafkaproto.Offset, error) {
	part, err := s.findPartition(image, key)
	switch {
	case err != nil:
		return kafkaproto.NoOffset, err
	case controller.InternalTopic(key.name):
		return kafkaproto.NoOffset, kafkaproto.ErrInvalidTopicException
	}
	low, err := part.DeleteRecords(upTo)
	if err != nil {
		return kafkaproto.NoOffset, err
	}
	return low, nil
}
