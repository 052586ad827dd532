package broker

// OffsetDelete (key 47, version 0): forgets committed offsets of a group (KIP-496).
//
// A topic that a live member of the group is subscribed to is GROUP_SUBSCRIBED_TO_TOPIC. Partitions that don't exist are
// UNKNOWN_TOPIC_OR_PARTITION, and the rest is deleted. What concerns the group stands at the top, and then nothing else.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func handleOffsetDelete(s *Server, r *request) {
	req := r.req.(*kmsg.OffsetDeleteRequest)
	resp := kmsg.NewPtrOffsetDeleteResponse()
	if req.Group == "" {
		resp.ErrorCode = kafkaproto.ErrInvalidGroupID.Num
		r.reply(resp)
		return
	}
	input, rows := layOutDeletion(s.quorum.Image(), req, resp)
	s.askGroup(req.Group, input, func(value any, err error) {
		answers, err := answerOf[[]groups.OffsetCommitAnswer](value, err)
		if err == nil && len(answers) != len(rows) {
			err = kafkaproto.ErrUnknownServerError
		}
		if err != nil {
			resp.ErrorCode, resp.Topics = kafkaproto.Code(err), nil
			r.reply(resp)
			return
		}
		for i, row := range rows {
			row.ErrorCode = kafkaproto.Code(answers[i].Err)
		}
		r.reply(resp)
	})
}

// layOutDeletion makes a row for every partition of the request. What exists is asked of the coordinator, whose answers
// belong to rows.
func layOutDeletion(image *controller.Image, req *kmsg.OffsetDeleteRequest, resp *kmsg.OffsetDeleteResponse) (input groups.DeleteOffsets, rows []*kmsg.OffsetDeleteResponseTopicPartition) {
	input.Group = req.Group
	resp.Topics = make([]kmsg.OffsetDeleteResponseTopic, len(req.Topics))
	for i := range req.Topics {
		from, to := &req.Topics[i], &resp.Topics[i]
		to.Topic = from.Topic
		to.Partitions = make([]kmsg.OffsetDeleteResponseTopicPartition, len(from.Partitions))
		topic, err := findTopic(image, sessionKey{name: from.Topic})
		ask := groups.OffsetFetchTopic{Topic: from.Topic}
		for j, p := range from.Partitions {
			row := &to.Partitions[j]
			row.Partition = p.Partition
			if err != nil || !hasPartition(topic, p.Partition) {
				row.ErrorCode = kafkaproto.ErrUnknownTopicOrPartition.Num
				continue
			}
			ask.TopicID = topic.ID
			ask.Partitions = append(ask.Partitions, kafkaproto.PartitionID(p.Partition))
			rows = append(rows, row)
		}
		if len(ask.Partitions) > 0 {
			input.Topics = append(input.Topics, ask)
		}
	}
	return input, rows
}
