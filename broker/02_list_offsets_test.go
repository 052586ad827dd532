package broker

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

func listRequest(version int16, topic string, timestamps ...int64) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = version, -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for i, timestamp := range timestamps {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.MaxNumOffsets, p.CurrentLeaderEpoch = int32(i), timestamp, 10, -1
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// listed asks for one timestamp of partition 0.
func (c *client) listed(version int16, topic string, timestamp int64) kmsg.ListOffsetsResponseTopicPartition {
	c.t.Helper()
	resp := ask[*kmsg.ListOffsetsResponse](c, listRequest(version, topic, timestamp))
	return resp.Topics[0].Partitions[0]
}

// produceAt writes one batch whose records have these timestamps.
func (c *client) produceAt(topic string, codec kafkaproto.Codec, timestamps ...int64) {
	c.t.Helper()
	b := kafkaproto.NewBuilder()
	b.Codec = codec
	for i, ts := range timestamps {
		b.Append(kafkaproto.Record{OffsetDelta: int32(i), Timestamp: kafkaproto.Timestamp(ts), Value: []byte("value")})
	}
	batch, err := b.Batch()
	must(c.t, err)
	resp := ask[*kmsg.ProduceResponse](c, produceRequest(topic, 0, batch))
	mustBeCode(c.t, "produce", resp.Topics[0].Partitions[0].ErrorCode, nil)
}

func TestListOffsetsEndsInEveryVersion(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	c := b.dial()
	c.mustProduce("topic", 0, "a", "b", "c")
	for version := int16(1); version <= 11; version++ {
		latest, earliest := c.listed(version, "topic", -1), c.listed(version, "topic", -2)
		mustBeCode(t, "latest", latest.ErrorCode, nil)
		if latest.Offset != 3 || latest.Timestamp != -1 || earliest.Offset != 0 || earliest.Timestamp != -1 {
			t.Errorf("v%d: latest %+v, earliest %+v", version, latest, earliest)
		}
		if want := map[bool]int32{true: 0, false: -1}[version >= 4]; latest.LeaderEpoch != want {
			t.Errorf("v%d: leader epoch %d", version, latest.LeaderEpoch)
		}
	}
}

func TestListOffsetsVersion0AnswersWithLists(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	c := b.dial()
	c.produceAt("topic", kafkaproto.CodecNone, 100, 200, 300)
	for timestamp, want := range map[int64][]int64{-1: {3, 0}, -2: {0}, 150: {1, 0}, 50: {}, 9999: {3, 0}} {
		if got := c.listed(0, "topic", timestamp); got.ErrorCode != 0 || !slices.Equal(got.OldStyleOffsets, want) {
			t.Errorf("%d: %+v, want %v", timestamp, got, want)
		}
	}
	req := listRequest(0, "topic", -1)
	req.Topics[0].Partitions[0].MaxNumOffsets = 1
	if got := ask[*kmsg.ListOffsetsResponse](c, req).Topics[0].Partitions[0].OldStyleOffsets; !slices.Equal(got, []int64{3}) {
		t.Errorf("one offset: %v", got)
	}
	mustBeCode(t, "-3", c.listed(0, "topic", -3).ErrorCode, kafkaproto.ErrUnsupportedVersion)
}

func TestListOffsetsWithoutAMatchIsMinusOne(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	b.createTopic("empty", 1)
	c := b.dial()
	c.produceAt("topic", kafkaproto.CodecNone, 100, 200)
	for version := int16(1); version <= 11; version++ {
		for _, topic := range []string{"topic", "empty"} {
			got := c.listed(version, topic, 201)
			if got.ErrorCode != 0 || got.Offset != -1 || got.Timestamp != -1 || got.LeaderEpoch != -1 {
				t.Errorf("v%d %s: %+v", version, topic, got)
			}
		}
	}
}

func TestListOffsetsFindsTheRecordInsideACompressedBatch(t *testing.T) {
	b := startBroker(t)
	c := b.dial()
	for _, codec := range []kafkaproto.Codec{kafkaproto.CodecNone, kafkaproto.CodecGzip, kafkaproto.CodecSnappy, kafkaproto.CodecLZ4, kafkaproto.CodecZstd} {
		topic := fmt.Sprintf("codec-%d", codec)
		b.createTopic(topic, 1)
		c.produceAt(topic, codec, 100, 300, 200, 400)
		c.produceAt(topic, codec, 500, 600)
		for timestamp, want := range map[int64][2]int64{0: {0, 100}, 100: {0, 100}, 101: {1, 300}, 301: {3, 400}, 401: {4, 500}, 600: {5, 600}} {
			got := c.listed(7, topic, timestamp)
			if got.ErrorCode != 0 || got.Offset != want[0] || got.Timestamp != want[1] || got.LeaderEpoch != 0 {
				t.Errorf("%s at %d: %+v, want %v", topic, timestamp, got, want)
			}
		}
	}
}

func TestListOffsetsSpecialTimestampsBelongToVersions(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	c := b.dial()
	c.produceAt("topic", kafkaproto.CodecNone, 100, 900, 200)
	for version := int16(1); version <= 11; version++ {
		for timestamp, special := range map[int64]struct {
			since      int16
			offset, at int64
		}{-3: {7, 1, 900}, -4: {8, 0, -1}, -5: {9, -1, -1}, -6: {11, -1, -1}, -7: {99, -1, -1}} {
			got := c.listed(version, "topic", timestamp)
			if version < special.since {
				mustBeCode(t, fmt.Sprintf("v%d %d", version, timestamp), got.ErrorCode, kafkaproto.ErrUnsupportedVersion)
				continue
			}
			if got.ErrorCode != 0 || got.Offset != special.offset || got.Timestamp != special.at {
				t.Errorf("v%d %d: %+v", version, timestamp, got)
			}
		}
	}
}

func TestListOffsetsHonoursTheIsolationLevel(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 1)
	c := b.dial()
	c.produceAt("topic", kafkaproto.CodecNone, 100)
	b.openTransaction("topic", 200)
	for isolation, want := range map[int8][2]int64{0: {2, 1}, 1: {1, -1}} {
		for i, timestamp := range []int64{-1, 101} {
			req := listRequest(7, "topic", timestamp)
			req.IsolationLevel = isolation
			got := ask[*kmsg.ListOffsetsResponse](c, req).Topics[0].Partitions[0]
			if got.ErrorCode != 0 || got.Offset != want[i] {
				t.Errorf("isolation %d, timestamp %d: %+v, want %d", isolation, timestamp, got, want[i])
			}
		}
	}
}

// openTransaction writes a record with that timestamp in a transaction that nobody ends.
func (b *testBroker) openTransaction(topic string, timestamp int64) {
	b.t.Helper()
	builder := kafkaproto.NewBuilder()
	builder.ProducerID, builder.ProducerEpoch, builder.BaseSequence, builder.Transactional = 77, 0, 0, true
	builder.Append(kafkaproto.Record{Timestamp: kafkaproto.Timestamp(timestamp), Value: []byte("open")})
	batch, err := builder.Batch()
	must(b.t, err)
	done := make(chan error, 1)
	b.partition(topic, 0).Append(partition.AppendRequest{
		Records: batch, Acks: -1, Timeout: readTimeout, CurrentLeaderEpoch: -1,
		Done: func(r partition.AppendResult) { done <- r.Err },
	})
	must(b.t, <-done)
}

// newEpoch registers the broker again, as a restart does, and returns the leader epoch that a topic has then.
func (b *testBroker) newEpoch(topic string) int32 {
	b.t.Helper()
	self, _ := b.quorum.Image().Broker(1)
	answer, err := b.quorum.Submit(context.Background(), controller.RegisterBroker{
		ID: 1, Incarnation: [16]byte{99}, Directories: self.Directories, Listeners: self.Listeners, Clean: true,
	})
	must(b.t, err)
	_, err = b.quorum.Submit(context.Background(), controller.UnfenceBroker{ID: 1, Epoch: answer.(controller.RegisterBrokerAnswer).Epoch})
	must(b.t, err)
	t, _ := b.quorum.Image().Topic(topic)
	return int32(t.Partitions[0].LeaderEpoch)
}

func TestListOffsetsNamesWhatIsWrong(t *testing.T) {
	b := startBroker(t)
	b.createTopic("topic", 2)
	c := b.dial()
	req := listRequest(7, "topic", -1, -1, -1)
	req.Topics = append(req.Topics, listRequest(7, "absent", -1).Topics...)
	resp := ask[*kmsg.ListOffsetsResponse](c, req)
	mustBeCode(t, "partition that is not there", resp.Topics[0].Partitions[2].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	mustBeCode(t, "topic that is not there", resp.Topics[1].Partitions[0].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)

	req = listRequest(4, "topic", -1, -1)
	req.Topics[0].Partitions[0].CurrentLeaderEpoch = 5
	resp = ask[*kmsg.ListOffsetsResponse](c, req)
	mustBeCode(t, "epoch of the future", resp.Topics[0].Partitions[0].ErrorCode, kafkaproto.ErrUnknownLeaderEpoch)
	mustBeCode(t, "no epoch", resp.Topics[0].Partitions[1].ErrorCode, nil)
	if p := resp.Topics[0].Partitions[0]; p.Offset != -1 || p.Timestamp != -1 {
		t.Errorf("%+v", p)
	}

	req = listRequest(1, "topic", -1, -1)
	req.Topics[0].Partitions[1].Partition = 0
	resp = ask[*kmsg.ListOffsetsResponse](c, req)
	mustBeCode(t, "partition that is there twice", resp.Topics[0].Partitions[0].ErrorCode, kafkaproto.ErrInvalidRequest)
	if len(resp.Topics[0].Partitions) != 1 {
		t.Errorf("%d answers for a partition that is there twice", len(resp.Topics[0].Partitions))
	}
}
