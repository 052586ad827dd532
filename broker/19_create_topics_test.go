package broker

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func createRequest(version int16, topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.Topics, req.TimeoutMillis = version, topics, 5000
	return req
}

func newTopicRequest(name string, partitions int32, replicas int16, configs ...string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	for i := 0; i+1 < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		t.Configs = append(t.Configs, c)
	}
	return t
}

func TestCreateTopicsInEveryVersion(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	for version := range int16(8) {
		name := "v" + string(rune('0'+version))
		resp := ask[*kmsg.CreateTopicsResponse](c, createRequest(version, newTopicRequest(name, 2, 1, "retention.ms", "1000")))
		out := resp.Topics[0]
		mustBeCode(t, name, out.ErrorCode, nil)
		topic, ok := b.quorum.Image().Topic(name)
		if !ok || len(topic.Partitions) != 2 {
			t.Fatalf("v%d: %v", version, topic)
		}
		if version >= 5 && (out.NumPartitions != 2 || out.ReplicationFactor != 1) {
			t.Errorf("v%d: %d partitions, %d replicas", version, out.NumPartitions, out.ReplicationFactor)
		}
		if version >= 7 && out.TopicID != topic.ID {
			t.Errorf("v%d: id %v", version, out.TopicID)
		}
	}
}

func TestCreateTopicsMinusOneMeansTheBrokersDefaults(t *testing.T) {
	b := startServer(t, nil)
	out := ask[*kmsg.CreateTopicsResponse](b.dial(), createRequest(7, newTopicRequest("default", -1, -1))).Topics[0]
	mustBeCode(t, "default", out.ErrorCode, nil)
	if out.NumPartitions != 1 || out.ReplicationFactor != 1 {
		t.Errorf("%d partitions, %d replicas", out.NumPartitions, out.ReplicationFactor)
	}
}

func TestCreateTopicsAnswersWithEffectiveConfigs(t *testing.T) {
	b := startServer(t, nil, withConfig("message.max.bytes=5000"))
	out := ask[*kmsg.CreateTopicsResponse](b.dial(), createRequest(5, newTopicRequest("topic", 1, 1, "retention.ms", "1000"))).Topics[0]
	got := map[string]kmsg.CreateTopicsResponseTopicConfig{}
	for _, c := range out.Configs {
		got[c.Name] = c
	}
	if len(got) != 33 {
		t.Errorf("%d configs", len(got))
	}
	for name, want := range map[string]struct {
		value  string
		source int8
	}{
		"retention.ms": {"1000", 1}, "max.message.bytes": {"5000", 4}, "segment.bytes": {"1073741824", 5}, "cleanup.policy": {"delete", 5},
	} {
		c := got[name]
		if c.Value == nil || *c.Value != want.value || c.Source != want.source || c.ReadOnly || c.IsSensitive {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestCreateTopicsValidateOnlyValidatesAndCreatesNothing(t *testing.T) {
	b := startServer(t, nil)
	b.createTopic("there", 1)
	req := createRequest(7,
		newTopicRequest("good", 3, 1), newTopicRequest("there", 1, 1), newTopicRequest("a/b", 1, 1),
		newTopicRequest("config", 1, 1, "segment.bytes", "1"), newTopicRequest("replicas", 1, 3), newTopicRequest("partitions", 0, 1))
	req.ValidateOnly = true
	topics := ask[*kmsg.CreateTopicsResponse](b.dial(), req).Topics
	for i, want := range []*kafkaproto.Error{
		nil, kafkaproto.ErrTopicAlreadyExists, kafkaproto.ErrInvalidTopicException, kafkaproto.ErrInvalidConfig,
		kafkaproto.ErrInvalidReplicationFactor, kafkaproto.ErrInvalidPartitions,
	} {
		mustBeCode(t, topics[i].Topic, topics[i].ErrorCode, want)
		if want != nil && (topics[i].ErrorMessage == nil || topics[i].NumPartitions != -1) {
			t.Errorf("%s: %+v", topics[i].Topic, topics[i])
		}
	}
	if topics[0].NumPartitions != 3 || b.quorum.Image().NumTopics() != 1 {
		t.Errorf("%d partitions, %d topics", topics[0].NumPartitions, b.quorum.Image().NumTopics())
	}
}

func TestCreateTopicsRefusesConfigsAsKafkaDoes(t *testing.T) {
	b := startServer(t, nil)
	null := newTopicRequest("null", 1, 1)
	null.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}
	topics := ask[*kmsg.CreateTopicsResponse](b.dial(), createRequest(7,
		newTopicRequest("unknown", 1, 1, "nonsense", "1"), null,
		newTopicRequest("together", 1, 1, "min.compaction.lag.ms", "9", "max.compaction.lag.ms", "8"),
		newTopicRequest("fine", 1, 1, "remote.storage.enable", "false", "leader.replication.throttled.replicas", "*"),
	)).Topics
	for _, out := range topics[:3] {
		mustBeCode(t, out.Topic, out.ErrorCode, kafkaproto.ErrInvalidConfig)
	}
	mustBeCode(t, "fine", topics[3].ErrorCode, nil)
}

func TestCreateTopicsDuplicateNameIsRefusedOnce(t *testing.T) {
	b := startServer(t, nil)
	topics := ask[*kmsg.CreateTopicsResponse](b.dial(), createRequest(4,
		newTopicRequest("twice", 1, 1), newTopicRequest("once", 1, 1), newTopicRequest("twice", 2, 1))).Topics
	if len(topics) != 2 {
		t.Fatalf("%d rows", len(topics))
	}
	mustBeCode(t, "twice", topics[0].ErrorCode, kafkaproto.ErrInvalidRequest)
	mustBeCode(t, "once", topics[1].ErrorCode, nil)
}

func TestCreateTopicsTakesAssignments(t *testing.T) {
	b := startServer(t, nil)
	b.addBroker(2, false, plaintext("two", 9092))
	assigned := func(name string, partitions int32, replicas ...[]int32) kmsg.CreateTopicsRequestTopic {
		topic := newTopicRequest(name, partitions, -1)
		for i, r := range replicas {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = int32(i), r
			topic.ReplicaAssignment = append(topic.ReplicaAssignment, a)
		}
		return topic
	}
	topics := ask[*kmsg.CreateTopicsResponse](b.dial(), createRequest(7,
		assigned("good", -1, []int32{2, 1}, []int32{1, 2}), assigned("both", 2, []int32{1}, []int32{1}), assigned("absent", -1, []int32{7}))).Topics
	mustBeCode(t, "good", topics[0].ErrorCode, nil)
	if topics[0].NumPartitions != 2 || topics[0].ReplicationFactor != 2 {
		t.Errorf("%+v", topics[0])
	}
	mustBeCode(t, "both", topics[1].ErrorCode, kafkaproto.ErrInvalidRequest)
	mustBeCode(t, "absent", topics[2].ErrorCode, kafkaproto.ErrInvalidReplicaAssignment)
	topic, _ := b.quorum.Image().Topic("good")
	if topic.Partitions[0].Leader != 2 {
		t.Errorf("leader %d", topic.Partitions[0].Leader)
	}
}

func TestCreateTopicsTimesOutWhenNobodyDecides(t *testing.T) {
	b := startServer(t, nil)
	b.server.quorum = stuckQuorum{b.quorum}
	req := createRequest(7, newTopicRequest("late", 1, 1))
	req.TimeoutMillis = 20
	start := time.Now()
	out := ask[*kmsg.CreateTopicsResponse](b.dial(), req).Topics[0]
	mustBeCode(t, "late", out.ErrorCode, kafkaproto.ErrRequestTimedOut)
	if time.Since(start) > 10*time.Second {
		t.Error("it took", time.Since(start))
	}
}

// stuckQuorum never decides.
type stuckQuorum struct{ Quorum }

func (stuckQuorum) Submit(ctx context.Context, _ controller.Command) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
