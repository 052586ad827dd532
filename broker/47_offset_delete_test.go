package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func offsetDelete(group string, topics map[string][]int32) *kmsg.OffsetDeleteRequest {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	for name, partitions := range topics {
		topic := kmsg.OffsetDeleteRequestTopic{Topic: name}
		for _, p := range partitions {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: p})
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// deletions are the codes of an answer by topic, in the order of its partitions.
func deletions(resp *kmsg.OffsetDeleteResponse) map[string][]int16 {
	codes := map[string][]int16{}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			codes[topic.Topic] = append(codes[topic.Topic], p.ErrorCode)
		}
	}
	return codes
}

func TestOffsetDeleteForgetsWhatExistsAndNamesTheRest(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	b.mustCommit(c, "g", "t", 0, 1)
	b.mustCommit(c, "g", "t", 1, 2)
	b.mustCommit(c, "g", "other", 0, 3)
	resp := ask[*kmsg.OffsetDeleteResponse](c, offsetDelete("g", map[string][]int32{"t": {9, 0, -1}, "nowhere": {0}, "other": {0}}))
	mustBeCode(t, "top", resp.ErrorCode, nil)
	got := deletions(resp)
	if unknown := kafkaproto.ErrUnknownTopicOrPartition.Num; len(got) != 3 || len(got["t"]) != 3 || got["t"][0] != unknown || got["t"][1] != 0 ||
		got["t"][2] != unknown || got["nowhere"][0] != unknown || got["other"][0] != 0 {
		t.Errorf("%+v", resp)
	}
	for topic, want := range map[string]int64{"t": -1, "other": -1} {
		if got := b.committed(c, "g", topic, 0); got != want {
			t.Errorf("%s: %d", topic, got)
		}
	}
	if got := b.committed(c, "g", "t", 1); got != 2 {
		t.Errorf("the offset that nobody deleted is %d", got)
	}
}

func TestOffsetDeleteSparesTheTopicsOfLiveMembers(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	m := b.alone(c, "g")
	for _, topic := range []string{"t", "other"} {
		req := b.commitRequest(7, "g", topic, 0, 5)
		req.MemberID, req.Generation = m.id, m.generation
		mustBeCode(t, "commit", ask[*kmsg.OffsetCommitResponse](c, req).Topics[0].Partitions[0].ErrorCode, nil)
	}
	resp := ask[*kmsg.OffsetDeleteResponse](c, offsetDelete("g", map[string][]int32{"t": {0}, "other": {0}}))
	mustBeCode(t, "top", resp.ErrorCode, nil)
	mustBeCode(t, "subscribed", deletions(resp)["t"][0], kafkaproto.ErrGroupSubscribedToTopic)
	mustBeCode(t, "not subscribed", deletions(resp)["other"][0], nil)
	if got := b.committed(c, "g", "t", 0); got != 5 {
		t.Errorf("committed %d", got)
	}
}

func TestOffsetDeleteOfAGroupThatIsNotThereSaysSoAtTheTop(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	for group, want := range map[string]*kafkaproto.Error{"": kafkaproto.ErrInvalidGroupID, "absent": kafkaproto.ErrGroupIDNotFound} {
		resp := ask[*kmsg.OffsetDeleteResponse](c, offsetDelete(group, map[string][]int32{"t": {0}}))
		mustBeCode(t, group, resp.ErrorCode, want)
		if len(resp.Topics) != 0 {
			t.Errorf("%+v", resp)
		}
	}
}
