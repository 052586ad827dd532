package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func deleteRequest(version int16, names ...string) *kmsg.DeleteTopicsRequest {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = version, 5000
	if version < 6 {
		req.TopicNames = names
		return req
	}
	for _, name := range names {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	return req
}

func TestDeleteTopicsByNameInEveryVersion(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	for version := range int16(7) {
		b.createTopic("gone", 1)
		topics := ask[*kmsg.DeleteTopicsResponse](c, deleteRequest(version, "gone", "absent", "twice", "twice")).Topics
		if len(topics) != 3 {
			t.Fatalf("v%d: %d rows", version, len(topics))
		}
		mustBeCode(t, "gone", topics[0].ErrorCode, nil)
		mustBeCode(t, "absent", topics[1].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
		mustBeCode(t, "twice", topics[2].ErrorCode, kafkaproto.ErrInvalidRequest)
		if *topics[0].Topic != "gone" || b.quorum.Image().NumTopics() != 0 {
			t.Errorf("v%d: %+v", version, topics[0])
		}
	}
}

func TestDeleteTopicsByID(t *testing.T) {
	b := startServer(t, nil)
	topic, other := b.createTopic("topic", 1), b.createTopic("other", 1)
	req := deleteRequest(6, "other")
	for _, id := range []kafkaproto.TopicID{topic.ID, {9, 9}, {}, other.ID} {
		row := kmsg.NewDeleteTopicsRequestTopic()
		row.TopicID = id
		req.Topics = append(req.Topics, row)
	}
	both := kmsg.NewDeleteTopicsRequestTopic()
	both.Topic, both.TopicID = kmsg.StringPtr("third"), [16]byte{3}
	req.Topics = append(req.Topics, both)
	topics := ask[*kmsg.DeleteTopicsResponse](b.dial(), req).Topics
	mustBeCode(t, "by name", topics[0].ErrorCode, nil)
	mustBeCode(t, "by id", topics[1].ErrorCode, nil)
	if topics[1].Topic == nil || *topics[1].Topic != "topic" || topics[1].TopicID != topic.ID {
		t.Errorf("%+v", topics[1])
	}
	mustBeCode(t, "unknown id", topics[2].ErrorCode, kafkaproto.ErrUnknownTopicID)
	if topics[2].Topic != nil {
		t.Errorf("%+v", topics[2])
	}
	mustBeCode(t, "neither", topics[3].ErrorCode, kafkaproto.ErrInvalidRequest)
	mustBeCode(t, "id of a name that was there", topics[4].ErrorCode, kafkaproto.ErrInvalidRequest)
	mustBeCode(t, "both", topics[5].ErrorCode, kafkaproto.ErrInvalidRequest)
}

func TestDeleteTopicsCanBeForbidden(t *testing.T) {
	b := startServer(t, nil, withConfig("delete.topic.enable=false"))
	b.createTopic("kept", 1)
	c := b.dial()
	for version := range int16(7) {
		out := ask[*kmsg.DeleteTopicsResponse](c, deleteRequest(version, "kept")).Topics[0]
		want := kafkaproto.ErrTopicDeletionDisabled
		if version < 3 {
			want = kafkaproto.ErrInvalidRequest
		}
		mustBeCode(t, "kept", out.ErrorCode, want)
	}
	if b.quorum.Image().NumTopics() != 1 {
		t.Error("it was deleted")
	}
}

func TestDeleteTopicsEmptyNameIsUnknown(t *testing.T) {
	b := startServer(t, nil)
	for version := range int16(7) {
		out := ask[*kmsg.DeleteTopicsResponse](b.dial(), deleteRequest(version, "")).Topics[0]
		mustBeCode(t, "empty name", out.ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
		if out.Topic == nil || *out.Topic != "" {
			t.Errorf("v%d: name %v", version, out.Topic)
		}
	}
}
