package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// deleteUpTo asks for one partition's records below an offset to be deleted.
func (c *client) deleteUpTo(version int16, topic string, partition int32, offset int64) kmsg.DeleteRecordsResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = version, 5000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = topic
	t.Partitions = []kmsg.DeleteRecordsRequestTopicPartition{{Partition: partition, Offset: offset}}
	req.Topics = append(req.Topics, t)
	return ask[*kmsg.DeleteRecordsResponse](c, req).Topics[0].Partitions[0]
}

func TestDeleteRecordsMovesTheLogStart(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	c := b.dial()
	for range 9 {
		c.mustProduce("topic", 0, "value")
	}
	for version, step := range []struct{ offset, low int64 }{{2, 2}, {1, 2}, {-1, 9}} {
		got := c.deleteUpTo(int16(version), "topic", 0, step.offset)
		if got.ErrorCode != 0 || got.LowWatermark != step.low {
			t.Errorf("v%d: %+v, want %d", version, got, step.low)
		}
		if start := c.listed(7, "topic", -2).Offset; start != step.low {
			t.Errorf("the log starts at %d, want %d", start, step.low)
		}
	}
}

func TestDeleteRecordsRefusals(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	b.createTopic("compacted", 1, "cleanup.policy=compact")
	b.createTopic("both", 1, "cleanup.policy=compact,delete")
	b.createTopic("__consumer_offsets", 1)
	c := b.dial()
	c.mustProduce("topic", 0, "value")
	for _, r := range []struct {
		topic     string
		partition int32
		offset    int64
		want      *kafkaproto.Error
	}{
		{"topic", 0, 2, kafkaproto.ErrOffsetOutOfRange}, {"topic", 0, -2, kafkaproto.ErrOffsetOutOfRange},
		{"topic", 1, 0, kafkaproto.ErrUnknownTopicOrPartition}, {"absent", 0, 0, kafkaproto.ErrUnknownTopicOrPartition},
		{"compacted", 0, 0, kafkaproto.ErrPolicyViolation}, {"both", 0, 0, nil},
		{"__consumer_offsets", 0, 0, kafkaproto.ErrInvalidTopicException},
	} {
		got := c.deleteUpTo(2, r.topic, r.partition, r.offset)
		mustBeCode(t, r.topic, got.ErrorCode, r.want)
		if r.want != nil && got.LowWatermark != -1 {
			t.Errorf("%s: low watermark %d", r.topic, got.LowWatermark)
		}
	}
}
