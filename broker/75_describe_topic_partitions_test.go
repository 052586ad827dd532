package broker

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func describeRequest(limit int32, names ...string) *kmsg.DescribeTopicPartitionsRequest {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = limit
	req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{}
	for _, name := range names {
		req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
	}
	return req
}

func TestDescribeTopicPartitionsGoesPageByPage(t *testing.T) {
	b := startServer(t, nil)
	for _, name := range []string{"c", "a", "b"} {
		b.createTopic(name, 5)
	}
	c := b.dial()
	for limit := int32(1); limit <= 16; limit++ {
		var seen []string
		req := describeRequest(limit)
		for pages := 0; ; pages++ {
			resp := ask[*kmsg.DescribeTopicPartitionsResponse](c, req)
			count := 0
			for _, topic := range resp.Topics {
				for _, p := range topic.Partitions {
					seen = append(seen, fmt.Sprintf("%s-%d", *topic.Topic, p.Partition))
					count++
				}
			}
			if count > int(limit) || pages > 15 {
				t.Fatalf("limit %d: page %d has %d partitions", limit, pages, count)
			}
			if resp.NextCursor == nil {
				break
			}
			req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
		}
		if len(seen) != 15 || seen[0] != "a-0" || seen[14] != "c-4" {
			t.Fatalf("limit %d: %v", limit, seen)
		}
	}
}

func TestDescribeTopicPartitionsAnswersLikeMetadata(t *testing.T) {
	b := startServer(t, nil, withConfig("max.request.partition.size.limit=3"))
	topic := b.createTopic("topic", 2)
	c := b.dial()
	resp := ask[*kmsg.DescribeTopicPartitionsResponse](c, describeRequest(2000, "topic", "absent", "bad/name", "topic"))
	if len(resp.Topics) != 3 || resp.NextCursor != nil {
		t.Fatalf("%+v", resp)
	}
	mustBeCode(t, "absent", resp.Topics[0].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	mustBeCode(t, "bad/name", resp.Topics[1].ErrorCode, kafkaproto.ErrInvalidTopicException)
	got := resp.Topics[2]
	if got.TopicID != topic.ID || got.AuthorizedOperations != 3576 || len(got.Partitions) != 2 {
		t.Fatalf("%+v", got)
	}
	if p := got.Partitions[1]; p.LeaderID != 1 || p.LeaderEpoch != 0 || len(p.ISR) != 1 || p.EligibleLeaderReplicas == nil {
		t.Errorf("%+v", p)
	}
	b.createTopic("wide", 9)
	resp = ask[*kmsg.DescribeTopicPartitionsResponse](c, describeRequest(2000, "wide"))
	if len(resp.Topics[0].Partitions) != 3 || resp.NextCursor == nil || resp.NextCursor.Partition != 3 {
		t.Errorf("the broker's own limit does not hold: %+v", resp)
	}
}

func TestDescribeTopicPartitionsCursorMustFit(t *testing.T) {
	b := startServer(t, nil)
	b.createTopic("topic", 2)
	c := b.dial()
	req := describeRequest(10, "topic")
	req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "other"}
	refused := ask[*kmsg.DescribeTopicPartitionsResponse](c, req).Topics[0]
	mustBeCode(t, "cursor of another topic", refused.ErrorCode, kafkaproto.ErrInvalidRequest)
	if refused.Topic == nil || *refused.Topic != "topic" {
		t.Errorf("%+v", refused)
	}
	req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "topic", Partition: -1}
	mustBeCode(t, "negative partition", ask[*kmsg.DescribeTopicPartitionsResponse](c, req).Topics[0].ErrorCode, kafkaproto.ErrInvalidRequest)
	req.Cursor.Partition = 7
	if resp := ask[*kmsg.DescribeTopicPartitionsResponse](c, req); len(resp.Topics[0].Partitions) != 0 || resp.NextCursor != nil {
		t.Errorf("a cursor behind the end: %+v", resp)
	}
}
