package broker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// plainFetch is a fetch without a session of partitions of topic t, all from one offset.
func plainFetch(offset int64, partitions ...int32) *kmsg.FetchRequest {
	req := sessionFetch(12, 0, -1)
	for _, p := range partitions {
		addFetch(req, "t", kafkaproto.TopicID{}, p, offset)
	}
	return req
}

// Fetches without a session that follow one another on a connection share what the broker knows of their partitions, but each
// is of what it names alone, in its own order.
func TestAFetchWithoutASessionKnowsNothingOfTheOneBefore(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 4)
	c := b.dial()
	for i := range int32(4) {
		for range 3 {
			c.mustProduce("t", i, fmt.Sprint(i))
		}
	}
	for round, wanted := range [][]int32{{0, 1}, {1, 0}, {2}, {3, 0, 2}, {0, 1, 2, 3}, {1}, {}, {3, 1}} {
		resp := ask[*kmsg.FetchResponse](c, plainFetch(int64(round%3), wanted...))
		if got := partitionsIn(resp); resp.SessionID != 0 || !slices.Equal(got, wanted) {
			t.Fatalf("asked for %v, got %v", wanted, got)
		}
		for _, rt := range resp.Topics {
			for _, p := range rt.Partitions {
				var values []string
				for range 3 - round%3 {
					values = append(values, fmt.Sprint(p.Partition))
				}
				if got := valuesIn(t, p.RecordBatches); !slices.Equal(got, values) {
					t.Fatalf("round %d: partition %d has %q, wanted %q", round, p.Partition, got, values)
				}
			}
		}
	}
	// A session that is opened in between is another matter, and knows nothing of them either.
	opened := b.openFetchSession(c, 12, 2)
	if got := partitionsIn(ask[*kmsg.FetchResponse](c, plainFetch(0, 3))); !slices.Equal(got, []int32{3}) {
		t.Errorf("beside a session: got %v", got)
	}
	if resp := ask[*kmsg.FetchResponse](c, sessionFetch(12, opened.SessionID, 1)); !slices.Equal(partitionsIn(resp), []int32{0, 1}) {
		t.Errorf("in the session: got %v", partitionsIn(resp))
	}
}

// A fetch that comes while another one of its connection waits is not about the partitions of that one.
func TestFetchesWithoutASessionThatAreUnderWayAtOnce(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 2)
	c, producer := b.dial(), b.dial()
	for i := range int64(20) {
		first := plainFetch(i, 0)
		first.MaxWaitMillis = 60_000
		second := plainFetch(i, 1)
		second.MaxWaitMillis = 60_000
		sent := c.send(first)
		if i%2 == 0 {
			b.waits(1)
		}
		later := c.send(second)
		if i%3 == 0 {
			b.waits(2)
		}
		producer.mustProduce("t", 1, "one")
		producer.mustProduce("t", 0, "zero")
		for at, id := range []int32{sent, later} {
			resp := c.receive(id, first).(*kmsg.FetchResponse)
			if got := partitionsIn(resp); !slices.Equal(got, []int32{int32(at)}) {
				t.Fatalf("round %d: asked for partition %d, got %v", i, at, got)
			}
		}
	}
}
