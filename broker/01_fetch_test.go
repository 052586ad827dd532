package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

// fetch sends req and returns the answer for the one partition that it names.
func (c *client) fetch(req *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
	c.t.Helper()
	return fetched(c.t, ask[*kmsg.FetchResponse](c, req))
}

func fetched(t testing.TB, resp *kmsg.FetchResponse) kmsg.FetchResponseTopicPartition {
	t.Helper()
	if resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("got %+v", resp)
	}
	return resp.Topics[0].Partitions[0]
}

func TestAnOffsetInsideABatchReturnsTheWholeBatch(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	c.mustProduce("t", 0, "a", "b", "c")
	c.mustProduce("t", 0, "d")
	for offset, want := range []string{"a b c d", "a b c d", "a b c d", "d", ""} {
		p := c.fetch(fetchRequest("t", 0, int64(offset)))
		if got := strings.Join(valuesIn(t, p.RecordBatches), " "); p.ErrorCode != 0 || got != want {
			t.Errorf("from %d: got %q (error %d)", offset, got, p.ErrorCode)
		}
	}
}

func TestFetchTellsOffsetsAndNoPreferredReplica(t *testing.T) {
	b := startBroker(t)
	topic := b.createTopic("t", 1)
	c := b.dial()
	c.mustProduce("t", 0, "a", "b")
	c.mustProduce("t", 0, "c")
	_, err := b.partition("t", 0).DeleteRecords(2)
	must(t, err)
	for version := int16(4); version <= 18; version++ {
		req := fetchRequest("t", 0, 2)
		req.Version, req.Topics[0].TopicID = version, topic.ID
		p := c.fetch(req)
		if p.HighWatermark != 3 || p.LastStableOffset != 3 || version >= 5 && p.LogStartOffset != 2 || p.PreferredReadReplica != -1 ||
			p.AbortedTransactions != nil || p.DivergingEpoch.Epoch != -1 || p.CurrentLeader.LeaderID != -1 {
			t.Errorf("version %d: got %+v", version, p)
		}
	}
	p := c.fetch(fetchRequest("t", 0, 1))
	wantCode(t, "below the start", p.ErrorCode, kafkaproto.ErrOffsetOutOfRange)
	p = c.fetch(fetchRequest("t", 0, 4))
	wantCode(t, "past the end", p.ErrorCode, kafkaproto.ErrOffsetOutOfRange)
}

func TestAnEmptyLogHasItsStartAsLastStableOffset(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	req := fetchRequest("t", 0, 0)
	req.IsolationLevel = 1
	p := b.dial().fetch(req)
	if p.ErrorCode != 0 || p.LastStableOffset != 0 || p.LogStartOffset != 0 || p.HighWatermark != 0 || len(p.RecordBatches) != 0 {
		t.Errorf("got %+v", p)
	}
}

func TestTheFirstBatchOverALimitIsStillReturned(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 2)
	c := b.dial()
	for n := range int32(2) {
		c.mustProduce("t", n, strings.Repeat("x", 10_000))
		c.mustProduce("t", n, "y")
	}
	req := fetchRequest("t", 0, 0)
	addFetch(req, "t", kafkaproto.TopicID{}, 1, 0)
	for _, limit := range []string{"partition", "request"} {
		if limit == "partition" {
			req.Topics[0].Partitions[0].PartitionMaxBytes, req.Topics[1].Partitions[0].PartitionMaxBytes = 100, 100
		} else {
			req.Topics[0].Partitions[0].PartitionMaxBytes, req.Topics[1].Partitions[0].PartitionMaxBytes, req.MaxBytes = 1<<20, 1<<20, 100
		}
		resp := ask[*kmsg.FetchResponse](c, req)
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 2 {
			t.Fatalf("got %+v", resp)
		}
		first, second := resp.Topics[0].Partitions[0], resp.Topics[0].Partitions[1]
		if got := valuesIn(t, first.RecordBatches); len(got) != 1 || len(got[0]) != 10_000 || len(second.RecordBatches) != 0 || second.HighWatermark != 2 {
			t.Errorf("limit of the %s: got %d values, then %d bytes", limit, len(got), len(second.RecordBatches))
		}
	}
}

func TestTheBrokersOwnLimitCapsEveryAnswer(t *testing.T) {
	b := startBroker(t, withConfig("fetch.max.bytes=5000"))
	b.createTopic("t", 1)
	c := b.dial()
	for range 20 {
		c.mustProduce("t", 0, strings.Repeat("x", 900))
	}
	for version := int16(0); version <= 12; version++ {
		req := fetchRequest("t", 0, 0)
		req.Version, req.MaxBytes = version, 1<<30
		if p := c.fetch(req); len(p.RecordBatches) < 900 || len(p.RecordBatches) > 5000 {
			t.Errorf("version %d: got %d bytes", version, len(p.RecordBatches))
		}
	}
}

func TestReadAfterAck(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c, other := b.dial(), b.dial()
	for i := range 100 {
		offset := c.mustProduce("t", 0, fmt.Sprint(i))
		if got := valuesIn(t, other.fetch(fetchRequest("t", 0, offset)).RecordBatches); !slices.Equal(got, []string{fmt.Sprint(i)}) {
			t.Fatalf("after the ack of %d: got %v", i, got)
		}
	}
}

// waitingFetch is a fetch that waits a long time for a byte.
func waitingFetch(topic string, offset int64) *kmsg.FetchRequest {
	req := fetchRequest(topic, 0, offset)
	req.MaxWaitMillis = 60_000
	return req
}

// waits waits until a fetch of this server does.
func (b *testBroker) waits(n int) {
	b.t.Helper()
	eventually(b.t, "the fetch waits", func() bool {
		waiting := 0
		b.server.mu.Lock()
		defer b.server.mu.Unlock()
		for c := range b.server.conns {
			c.mu.Lock()
			for r := c.head; r != nil; r = r.next {
				if r.wake != nil {
					waiting++
				}
			}
			c.mu.Unlock()
		}
		return waiting >= n
	})
}

func TestAWaitingFetchIsWokenByNewRecords(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c, producer := b.dial(), b.dial()
	for i := range 50 {
		req := waitingFetch("t", int64(i))
		sent := c.send(req)
		if i%2 == 0 {
			b.waits(1)
		}
		producer.mustProduce("t", 0, fmt.Sprint(i))
		p := fetched(t, c.receive(sent, req).(*kmsg.FetchResponse))
		if got := valuesIn(t, p.RecordBatches); !slices.Equal(got, []string{fmt.Sprint(i)}) {
			t.Fatalf("got %v", got)
		}
	}
}

func TestAWaitingFetchIsAnsweredWhenItsTimeIsOver(t *testing.T) {
	clock := env.NewFakeClock(time.Unix(1_700_000_000, 0))
	b := startBroker(t, withClock(clock))
	b.createTopic("t", 1)
	c := b.dial()
	req := waitingFetch("t", 0)
	req.MaxWaitMillis = 500
	sent := c.send(req)
	b.waits(1)
	eventually(t, "the fetch has been answered", func() bool {
		clock.Advance(100 * time.Millisecond)
		return b.server.Stats().BytesOut > 0
	})
	if p := fetched(t, c.receive(sent, req).(*kmsg.FetchResponse)); p.ErrorCode != 0 || len(p.RecordBatches) != 0 || p.HighWatermark != 0 {
		t.Errorf("got %+v", p)
	}
}

func TestAFetchWaitsAlthoughItNamesAnUnknownPartitionToo(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c, producer := b.dial(), b.dial()
	req := waitingFetch("t", 0)
	unknown := fetchRequest("t", 9, 0).Topics[0].Partitions[0]
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, unknown)
	sent := c.send(req)
	b.waits(1)
	producer.mustProduce("t", 0, "a")
	parts := c.receive(sent, req).(*kmsg.FetchResponse).Topics[0].Partitions
	if len(parts) != 2 || len(valuesIn(t, parts[0].RecordBatches)) != 1 {
		t.Fatalf("got %+v", parts)
	}
	wantCode(t, "unknown", parts[1].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	req.Topics[0].Partitions = req.Topics[0].Partitions[1:]
	wantCode(t, "only unknown ones, at once", c.fetch(req).ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
}

func TestAFetchWaitsForItsMinimumOfBytes(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c, producer := b.dial(), b.dial()
	req := waitingFetch("t", 0)
	req.MinBytes = 2500
	sent := c.send(req)
	for range 3 {
		b.waits(1)
		producer.mustProduce("t", 0, strings.Repeat("x", 1000))
	}
	p := fetched(t, c.receive(sent, req).(*kmsg.FetchResponse))
	if got := valuesIn(t, p.RecordBatches); len(got) != 3 {
		t.Errorf("answered with %d records", len(got))
	}
}

func TestRequestsBehindAWaitingFetchAreAnsweredAfterIt(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	fetch, produce := waitingFetch("t", 0), produceRequest("t", 0, batchOf("a"))
	first, second, third := c.send(fetch), c.send(produce), c.send(apiVersionsRequest(0))
	if got := valuesIn(t, fetched(t, c.receive(first, fetch).(*kmsg.FetchResponse)).RecordBatches); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	c.receive(second, produce)
	c.receive(third, apiVersionsRequest(0))
}

func TestAWaitingFetchEndsWithAnErrorWhenItsTopicGoes(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	req := waitingFetch("t", 0)
	sent := c.send(req)
	b.waits(1)
	b.deleteTopic("t")
	p := fetched(t, c.receive(sent, req).(*kmsg.FetchResponse))
	wantCode(t, "deleted", p.ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
}

func TestDrainWakesFetchesThatWait(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	req := waitingFetch("t", 0)
	sent := c.send(req)
	b.waits(1)
	drained := make(chan error, 1)
	go func() { drained <- b.server.Drain(context.Background()) }()
	if p := fetched(t, c.receive(sent, req).(*kmsg.FetchResponse)); p.ErrorCode != 0 {
		t.Errorf("got %+v", p)
	}
	must(t, <-drained)
}

func TestAClientThatGoesTakesItsWaitingFetchAlong(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	c.send(waitingFetch("t", 0))
	b.waits(1)
	c.nc.Close()
	eventually(t, "the connection is gone", func() bool { return b.server.Stats().Connections == 0 })
}

func TestLeaderEpochsAreCheckedInSessionlessFetchesToo(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	c.mustProduce("t", 0, "a")
	first := b.partition("t", 0).Status().LeaderEpoch
	b.registerAnew()
	c.mustProduce("t", 0, "b")
	now := b.partition("t", 0).Status().LeaderEpoch
	if now <= first {
		t.Fatalf("leader epochs %d, then %d", first, now)
	}
	tests := []struct {
		name          string
		offset        int64
		current, last kafkaproto.LeaderEpoch
		want          *kafkaproto.Error
		diverges      bool
	}{
		{"the current epoch", 0, now, -1, nil, false},
		{"none", 0, -1, -1, nil, false},
		{"a newer one", 0, now + 1, -1, kafkaproto.ErrUnknownLeaderEpoch, false},
		{"an older one", 0, first, -1, kafkaproto.ErrFencedLeaderEpoch, false},
		{"the last record is of this epoch", 2, now, now, nil, false},
		{"the last record is of the epoch before", 1, now, first, nil, false},
		{"the epoch before ended earlier", 2, now, first, nil, true},
		{"an epoch that nobody knows", 2, now, now + 5, kafkaproto.ErrOffsetOutOfRange, false},
	}
	for _, test := range tests {
		req := fetchRequest("t", 0, test.offset)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = int32(test.current)
		req.Topics[0].Partitions[0].LastFetchedEpoch = int32(test.last)
		p := c.fetch(req)
		if p.ErrorCode != kafkaproto.Code(asError(test.want)) {
			t.Errorf("%s: got error %d", test.name, p.ErrorCode)
		}
		if diverges := p.DivergingEpoch.Epoch == int32(first) && p.DivergingEpoch.EndOffset == 1; diverges != test.diverges ||
			diverges && len(p.RecordBatches) != 0 {
			t.Errorf("%s: got %+v", test.name, p)
		}
	}
}

// asError keeps nil what is nil.
func asError(e *kafkaproto.Error) error {
	if e == nil {
		return nil
	}
	return e
}

func TestFetchNamesUnknownTopicsByNameAndByID(t *testing.T) {
	b := startBroker(t)
	topic := b.createTopic("t", 1)
	c := b.dial()
	wantCode(t, "name", c.fetch(fetchRequest("nobody", 0, 0)).ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	wantCode(t, "partition", c.fetch(fetchRequest("t", 5, 0)).ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	req := fetchRequest("", 0, 0)
	req.Version, req.Topics[0].TopicID = 13, [16]byte{5}
	resp := ask[*kmsg.FetchResponse](c, req)
	wantCode(t, "id", fetched(t, resp).ErrorCode, kafkaproto.ErrUnknownTopicID)
	if resp.Topics[0].TopicID != [16]byte{5} {
		t.Errorf("got %+v", resp)
	}
	req.Topics[0].TopicID = [16]byte{}
	wantCode(t, "id of zeros", c.fetch(req).ErrorCode, kafkaproto.ErrUnknownTopicID)
	req.Topics[0].TopicID, req.Topics[0].Partitions[0].Partition = topic.ID, 3
	wantCode(t, "partition of an id", c.fetch(req).ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
}

func TestZstdIsKeptFromFetchersThatCannotReadIt(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	c.mustProduce("t", 0, "plain")
	p := c.produce(produceRequest("t", 0, buildBatch(func(b *kafkaproto.Builder) { b.Codec = kafkaproto.CodecZstd }, "packed")))
	if p.ErrorCode != 0 {
		t.Fatalf("got %+v", p)
	}
	c.mustProduce("t", 0, "after")
	for version := int16(0); version <= 12; version++ {
		req := fetchRequest("t", 0, 0)
		req.Version = version
		batches := c.fetch(req).RecordBatches
		if version < 4 {
			var err error
			batches, err = kafkaproto.ConvertMessageSet(batches, kafkaproto.ConvertOptions{})
			must(t, err)
		}
		want := []string{"plain", "packed", "after"}
		if version < 10 {
			want = want[:1]
		}
		if got := valuesIn(t, batches); !slices.Equal(got, want) {
			t.Errorf("version %d: got %v", version, got)
		}
		req.Topics[0].Partitions[0].FetchOffset = 1
		code := c.fetch(req).ErrorCode
		if want := kafkaproto.ErrUnsupportedCompressionType.Num; version < 10 && code != want || version >= 10 && code != 0 {
			t.Errorf("version %d at the batch: error code %d", version, code)
		}
	}
}

// transactional writes values in a transaction of a producer.
func transactional(producer kafkaproto.ProducerID, sequence int32, values ...string) []byte {
	return buildBatch(func(b *kafkaproto.Builder) {
		b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Transactional = producer, 0, sequence, true
	}, values...)
}

func (b *testBroker) endTransaction(producer kafkaproto.ProducerID, commit bool) {
	b.t.Helper()
	done := make(chan error, 1)
	b.partition("t", 0).AppendMarker(partition.MarkerRequest{
		ProducerID: producer, Commit: commit, Timeout: time.Minute, Done: func(r partition.AppendResult) { done <- r.Err },
	})
	must(b.t, <-done)
}

// produceTransactional sends values in a transaction.
func (c *client) produceTransactional(producer kafkaproto.ProducerID, sequence int32, values ...string) {
	c.t.Helper()
	req := produceRequest("t", 0, transactional(producer, sequence, values...))
	req.TransactionID = kmsg.StringPtr(fmt.Sprint("txn", producer))
	if p := c.produce(req); p.ErrorCode != 0 {
		c.t.Fatalf("got %+v", p)
	}
}

func TestReadCommittedSeesNothingAbortedOrOpenAndReadUncommittedAll(t *testing.T) {
	b := startBroker(t, withOpenTransactions())
	b.createTopic("t", 1)
	c := b.dial()
	c.produceTransactional(1, 0, "aborted-1") // 0
	c.produceTransactional(2, 0, "aborted-2") // 1
	c.mustProduce("t", 0, "plain")            // 2
	b.endTransaction(2, false)                // 3
	b.endTransaction(1, false)                // 4
	c.produceTransactional(3, 0, "committed") // 5
	b.endTransaction(3, true)                 // 6
	c.produceTransactional(4, 0, "open")      // 7
	c.mustProduce("t", 0, "behind")           // 8

	uncommitted := c.fetch(fetchRequest("t", 0, 0))
	if n := len(valuesIn(t, uncommitted.RecordBatches)); n != 9 || uncommitted.AbortedTransactions != nil ||
		uncommitted.HighWatermark != 9 || uncommitted.LastStableOffset != 7 {
		t.Errorf("read uncommitted: %d records, %+v", n, uncommitted)
	}
	req := fetchRequest("t", 0, 0)
	req.IsolationLevel = 1
	committed := c.fetch(req)
	var producers, firsts []int64
	for _, a := range committed.AbortedTransactions {
		producers, firsts = append(producers, a.ProducerID), append(firsts, a.FirstOffset)
	}
	if n := len(valuesIn(t, committed.RecordBatches)); n != 7 || committed.LastStableOffset != 7 ||
		!slices.Equal(producers, []int64{1, 2}) || !slices.Equal(firsts, []int64{0, 1}) {
		t.Errorf("read committed: %d records, %+v", n, committed)
	}
}

func TestACommitWakesFetchesThatReadCommitted(t *testing.T) {
	b := startBroker(t, withOpenTransactions())
	b.createTopic("t", 1)
	c, producer := b.dial(), b.dial()
	req := waitingFetch("t", 0)
	req.IsolationLevel = 1
	sent := c.send(req)
	b.waits(1)
	producer.produceTransactional(1, 0, "a") // not stable: doesn't count
	producer.mustProduce("t", 0, "b")
	b.waits(1)
	b.endTransaction(1, true)
	p := fetched(t, c.receive(sent, req).(*kmsg.FetchResponse))
	if got := valuesIn(t, p.RecordBatches); len(got) != 3 || p.LastStableOffset != 3 || len(p.AbortedTransactions) != 0 {
		t.Errorf("got %v, %+v", got, p)
	}
}

func TestAFollowersFlushedEndIsRead(t *testing.T) {
	p := kmsg.NewFetchRequestTopicPartition()
	if got := offsetIn(&p.UnknownTags, tagFlushedEnd); got != -1 {
		t.Errorf("without the field: %d", got)
	}
	p.UnknownTags.Set(tagFlushedEnd, binary.BigEndian.AppendUint64(nil, 42))
	if got := offsetIn(&p.UnknownTags, tagFlushedEnd); got != 42 {
		t.Errorf("got %d", got)
	}
	p.UnknownTags.Set(tagFlushedEnd, []byte{1})
	if got := offsetIn(&p.UnknownTags, tagFlushedEnd); got != -1 {
		t.Errorf("of a wrong length: %d", got)
	}
}
