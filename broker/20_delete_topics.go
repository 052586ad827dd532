package broker

// DeleteTopics (key 20, versions 0-6): by name, and from version 6 by name or id (KIP-516).
//
// With delete.topic.enable=false every topic is answered with TOPIC_DELETION_DISABLED, before version 3 with
// INVALID_REQUEST. A name or id that is there twice is INVALID_REQUEST, once. The records are gone for clients when the
// answer comes; their files go later.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func handleDeleteTopics(s *Server, r *request) {
	req := r.req.(*kmsg.DeleteTopicsRequest)
	topics := topicsToDelete(req)
	answers, err := s.deleteTopics(req, topics)
	resp := kmsg.NewPtrDeleteTopicsResponse()
	resp.Topics = []kmsg.DeleteTopicsResponseTopic{}
	answered := map[controller.DeleteTopic]bool{}
	for i, t := range topics {
		if answered[t] && t != (controller.DeleteTopic{}) {
			continue
		}
		answered[t] = true
		a := controller.DeleteTopicAnswer{Name: t.Name, ID: t.ID, Err: err}
		if err == nil {
			a = answers[i]
		}
		out := kmsg.NewDeleteTopicsResponseTopic()
		if a.Name != "" || givenByName(req, i) {
			out.Topic = &a.Name
		}
		if a.Name == "" && givenByName(req, i) && err == nil {
			a.Err = kafkaproto.ErrUnknownTopicOrPartition // the empty name is a name, of no topic
		}
		out.TopicID, out.ErrorCode, out.ErrorMessage = a.ID, kafkaproto.Code(a.Err), kafkaproto.Message(a.Err)
		resp.Topics = append(resp.Topics, out)
	}
	r.reply(resp)
}

func topicsToDelete(req *kmsg.DeleteTopicsRequest) []controller.DeleteTopic {
	var topics []controller.DeleteTopic
	for _, name := range req.TopicNames {
		topics = append(topics, controller.DeleteTopic{Name: name})
	}
	for i := range req.Topics {
		t := controller.DeleteTopic{ID: req.Topics[i].TopicID}
		if req.Topics[i].Topic != nil {
			t.Name = *req.Topics[i].Topic
		}
		topics = append(topics, t)
	}
	return topics
}

// givenByName says whether a row has a name and nothing else, be it the empty one.
func givenByName(req *kmsg.DeleteTopicsRequest, row int) bool {
	return req.Version < 6 || req.Topics[row].Topic != nil && req.Topics[row].TopicID == [16]byte{}
}

func (s *Server) deleteTopics(req *kmsg.DeleteTopicsRequest, topics []controller.DeleteTopic) ([]controller.DeleteTopicAnswer, error) {
	if !s.config.Bool("delete.topic.enable") {
		if req.Version < 3 {
			return nil, kafkaproto.ErrInvalidRequest.With("topic deletion is disabled")
		}
		return nil, kafkaproto.ErrTopicDeletionDisabled
	}
	if len(topics) == 0 {
		return nil, nil
	}
	answers, err := submit[[]controller.DeleteTopicAnswer](s, controller.DeleteTopics{Topics: topics}, req.TimeoutMillis)
	if err == nil && len(answers) != len(topics) {
		err = kafkaproto.ErrUnknownServerError
	}
	return answers, err
}
