package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func (c *client) endOfEpoch(version int16, topic string, partition, current, asked int32) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version, req.ReplicaID = version, -1
	t := kmsg.NewOffsetForLeaderEpochRequestTopic()
	t.Topic = topic
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = partition, current, asked
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return ask[*kmsg.OffsetForLeaderEpochResponse](c, req).Topics[0].Partitions[0]
}

func TestOffsetForLeaderEpochAnswersWithTheEndOfTheEpoch(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	c := b.dial()
	c.mustProduce("topic", 0, "a", "b")
	for version := range int16(5) {
		got := c.endOfEpoch(version, "topic", 0, -1, 0)
		mustBeCode(t, "epoch 0", got.ErrorCode, nil)
		if got.EndOffset != 2 || version >= 1 && got.LeaderEpoch != 0 {
			t.Errorf("v%d: %+v", version, got)
		}
	}
}

func TestOffsetForLeaderEpochOfAnUnknownEpochIsMinusOne(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	got := b.dial().endOfEpoch(4, "topic", 0, 0, 7)
	if got.ErrorCode != 0 || got.EndOffset != -1 || got.LeaderEpoch != -1 {
		t.Errorf("%+v", got)
	}
}

func TestOffsetForLeaderEpochRefusals(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	b.newEpoch("topic")
	c := b.dial()
	for _, r := range []struct {
		topic              string
		partition, current int32
		want               *kafkaproto.Error
	}{
		{"topic", 0, 0, kafkaproto.ErrFencedLeaderEpoch}, {"topic", 0, 9, kafkaproto.ErrUnknownLeaderEpoch},
		{"topic", 0, -1, nil}, {"topic", 1, -1, kafkaproto.ErrUnknownTopicOrPartition}, {"absent", 0, -1, kafkaproto.ErrUnknownTopicOrPartition},
	} {
		got := c.endOfEpoch(4, r.topic, r.partition, r.current, 0)
		mustBeCode(t, r.topic, got.ErrorCode, r.want)
		if r.want != nil && (got.EndOffset != -1 || got.LeaderEpoch != -1 || got.Partition != r.partition) {
			t.Errorf("%+v", got)
		}
	}
}

func TestEpochsInMetadataListOffsetsAndOffsetForLeaderEpochAgree(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	c := b.dial()
	c.mustProduce("topic", 0, "a", "b")
	epoch := b.newEpoch("topic")
	c.mustProduce("topic", 0, "c")
	if got := ask[*kmsg.MetadataResponse](c, metadataFor(12, "topic")).Topics[0].Partitions[0].LeaderEpoch; got != epoch {
		t.Errorf("Metadata: %d, want %d", got, epoch)
	}
	if got := c.listed(7, "topic", -1); got.LeaderEpoch != epoch || got.Offset != 3 {
		t.Errorf("ListOffsets: %+v, want epoch %d", got, epoch)
	}
	if got := c.listed(7, "topic", -2); got.LeaderEpoch != 0 {
		t.Errorf("ListOffsets earliest: %+v", got)
	}
	if got := c.endOfEpoch(4, "topic", 0, epoch, 0); got.EndOffset != 2 || got.LeaderEpoch != 0 {
		t.Errorf("end of epoch 0: %+v", got)
	}
	if got := c.endOfEpoch(4, "topic", 0, epoch, epoch); got.EndOffset != 3 || got.LeaderEpoch != epoch {
		t.Errorf("end of epoch %d: %+v", epoch, got)
	}
}
