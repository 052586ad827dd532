package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func growRequest(version int16, topics ...kmsg.CreatePartitionsRequestTopic) *kmsg.CreatePartitionsRequest {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.Topics, req.TimeoutMillis = version, topics, 5000
	return req
}

func grow(name string, count int32, assignment ...[]int32) kmsg.CreatePartitionsRequestTopic {
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = name, count
	for _, replicas := range assignment {
		a := kmsg.NewCreatePartitionsRequestTopicAssignment()
		a.Replicas = replicas
		t.Assignment = append(t.Assignment, a)
	}
	return t
}

func TestCreatePartitionsAnswersForEveryTopic(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	for version := range int16(4) {
		name := "v" + string(rune('0'+version))
		b.createTopic(name, 1)
		b.createTopic("same-"+name, 4)
		topics := ask[*kmsg.CreatePartitionsResponse](c, growRequest(version,
			grow(name, 4), grow("same-"+name, 4), grow("absent", 2), grow("twice", 2), grow("twice", 3))).Topics
		if len(topics) != 4 {
			t.Fatalf("v%d: %d rows", version, len(topics))
		}
		for i, want := range []*kafkaproto.Error{nil, kafkaproto.ErrInvalidPartitions, kafkaproto.ErrUnknownTopicOrPartition, kafkaproto.ErrInvalidRequest} {
			mustBeCode(t, topics[i].Topic, topics[i].ErrorCode, want)
		}
		if topic, _ := b.quorum.Image().Topic(name); len(topic.Partitions) != 4 || topic.Partitions[3].Leader != 1 {
			t.Errorf("v%d: %d partitions", version, len(topic.Partitions))
		}
	}
}

func TestCreatePartitionsValidateOnlyChangesNothing(t *testing.T) {
	b := startServer(t, nil)
	b.createTopic("topic", 1)
	req := growRequest(3, grow("topic", 2))
	req.ValidateOnly = true
	mustBeCode(t, "topic", ask[*kmsg.CreatePartitionsResponse](b.dial(), req).Topics[0].ErrorCode, nil)
	if topic, _ := b.quorum.Image().Topic("topic"); len(topic.Partitions) != 1 {
		t.Error("it grew")
	}
}

func TestCreatePartitionsTakesAssignments(t *testing.T) {
	b := startServer(t, nil)
	b.createTopic("good", 1)
	b.createTopic("few", 1)
	topics := ask[*kmsg.CreatePartitionsResponse](b.dial(), growRequest(3, grow("good", 3, []int32{1}, []int32{1}), grow("few", 3, []int32{1}))).Topics
	mustBeCode(t, "good", topics[0].ErrorCode, nil)
	mustBeCode(t, "few", topics[1].ErrorCode, kafkaproto.ErrInvalidReplicaAssignment)
}
