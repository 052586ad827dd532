package broker

// OffsetFetch (key 9, versions 0-10): the offsets that groups have committed.
//
// A null list of topics asks for all offsets there are (from version 2). Errors of the whole group stand at the top from 2
// to 7, at the group from 8, and before 2 in every partition. Leader epochs (KIP-320) from 5, stable offsets only
// (KIP-447) from 7, many groups at once (KIP-709) from 8, members of KIP-848 from 9, topic ids (KIP-516) at 10.
//
// Whether a topic exists is not asked, as in Kafka: what was never committed is offset -1 without an error. Only an id that
// no topic has is UNKNOWN_TOPIC_ID, and a topic without an id is left out of "all" at version 10, which has no place for
// its name.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func handleOffsetFetch(s *Server, r *request) {
	req := r.req.(*kmsg.OffsetFetchRequest)
	if req.Version < 8 {
		s.fetchOffsetsOfOne(r, req)
		return
	}
	resp := kmsg.NewPtrOffsetFetchResponse()
	resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(req.Groups))
	g := gather(r, resp, len(req.Groups))
	image := s.quorum.Image()
	for i := range req.Groups {
		s.fetchOffsets(image, req, &req.Groups[i], &resp.Groups[i], g.done)
	}
	g.done()
}

// fetchOffsets asks for one group, fills its place in the response and calls done.
func (s *Server) fetchOffsets(image *controller.Image, req *kmsg.OffsetFetchRequest, from *kmsg.OffsetFetchRequestGroup, to *kmsg.OffsetFetchResponseGroup, done func()) {
	to.Group = from.Group
	input := groups.OffsetFetch{
		Group: from.Group, MemberEpoch: -1, All: from.Topics == nil, RequireStable: req.RequireStable,
	}
	if req.Version >= 9 {
		input.MemberID, input.MemberEpoch = from.MemberID, from.MemberEpoch
	}
	var unknown []kmsg.OffsetFetchResponseGroupTopic
	for i := range from.Topics {
		t := &from.Topics[i]
		topic, err := findTopic(image, sessionKey{byID: req.Version >= 10, id: t.TopicID, name: t.Topic})
		switch {
		case err == nil:
			input.Topics = append(input.Topics, fetchTopic(topic.Name, topic.ID, t.Partitions))
		case req.Version < 10:
			input.Topics = append(input.Topics, fetchTopic(t.Topic, kafkaproto.TopicID{}, t.Partitions))
		default:
			unknown = append(unknown, unknownOffsets(t, err))
		}
	}
	s.askGroup(from.Group, input, func(value any, err error) {
		answer, err := answerOf[groups.OffsetFetchAnswer](value, err)
		to.ErrorCode = kafkaproto.Code(err)
		if err == nil {
			to.Topics = append(fetchedTopics(image, req.Version, answer.Topics), unknown...)
		}
		done()
	})
}

func fetchTopic(name string, id kafkaproto.TopicID, partitions []int32) groups.OffsetFetchTopic {
	t := groups.OffsetFetchTopic{Topic: name, TopicID: id, Partitions: make([]kafkaproto.PartitionID, len(partitions))}
	for i, p := range partitions {
		t.Partitions[i] = kafkaproto.PartitionID(p)
	}
	return t
}

func unknownOffsets(t *kmsg.OffsetFetchRequestGroupTopic, err error) kmsg.OffsetFetchResponseGroupTopic {
	out := kmsg.OffsetFetchResponseGroupTopic{TopicID: t.TopicID}
	none := ""
	for _, p := range t.Partitions {
		out.Partitions = append(out.Partitions, kmsg.OffsetFetchResponseGroupTopicPartition{
			Partition: p, Offset: -1, LeaderEpoch: -1, Metadata: &none, ErrorCode: kafkaproto.Code(err),
		})
	}
	return out
}

// fetchedTopics writes what the coordinator knows. A topic's id may be missing there: of offsets that were committed before
// there were ids, or by other software.
func fetchedTopics(image *controller.Image, version int16, answers []groups.FetchedTopic) []kmsg.OffsetFetchResponseGroupTopic {
	topics := make([]kmsg.OffsetFetchResponseGroupTopic, 0, len(answers))
	for i := range answers {
		a := &answers[i]
		if version >= 10 && a.TopicID == (kafkaproto.TopicID{}) {
			topic, ok := image.Topic(a.Topic)
			if !ok {
				continue
			}
			a.TopicID = topic.ID
		}
		out := kmsg.OffsetFetchResponseGroupTopic{Topic: a.Topic, TopicID: a.TopicID}
		out.Partitions = make([]kmsg.OffsetFetchResponseGroupTopicPartition, len(a.Partitions))
		for j := range a.Partitions {
			p := &a.Partitions[j]
			out.Partitions[j] = kmsg.OffsetFetchResponseGroupTopicPartition{
				Partition: int32(p.Partition), Offset: int64(p.Offset), LeaderEpoch: int32(p.LeaderEpoch),
				Metadata: p.Metadata, ErrorCode: kafkaproto.Code(p.Err),
			}
			if p.Metadata == nil {
				out.Partitions[j].Metadata = new(string)
			}
		}
		topics = append(topics, out)
	}
	return topics
}

// fetchOffsetsOfOne serves the versions that have one group, by asking as version 8 does and writing the answer as they
// have it.
func (s *Server) fetchOffsetsOfOne(r *request, req *kmsg.OffsetFetchRequest) {
	group := kmsg.OffsetFetchRequestGroup{Group: req.Group}
	if req.Topics != nil || req.Version < 2 {
		group.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, len(req.Topics))
	}
	for i := range req.Topics {
		group.Topics[i].Topic, group.Topics[i].Partitions = req.Topics[i].Topic, req.Topics[i].Partitions
	}
	answer := new(kmsg.OffsetFetchResponseGroup)
	s.fetchOffsets(s.quorum.Image(), req, &group, answer, func() {
		resp := kmsg.NewPtrOffsetFetchResponse()
		resp.ErrorCode = answer.ErrorCode
		if answer.ErrorCode != 0 && req.Version < 2 {
			for i := range group.Topics {
				t := unknownOffsets(&group.Topics[i], kafkaproto.ErrorForCode(answer.ErrorCode))
				t.Topic = group.Topics[i].Topic
				answer.Topics = append(answer.Topics, t)
			}
		}
		resp.Topics = make([]kmsg.OffsetFetchResponseTopic, len(answer.Topics))
		for i := range answer.Topics {
			from, to := &answer.Topics[i], &resp.Topics[i]
			to.Topic = from.Topic
			to.Partitions = make([]kmsg.OffsetFetchResponseTopicPartition, len(from.Partitions))
			for j := range from.Partitions {
				to.Partitions[j] = kmsg.OffsetFetchResponseTopicPartition(from.Partitions[j])
			}
		}
		r.reply(resp)
	})
}
