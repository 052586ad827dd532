package partition

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// TestProduceFetchAndDeleteAtOnce has producers, tailing consumers and a metadata that deletes and makes topics at the
// same time. Each consumer must see each producer's acknowledged records in order, without holes, until the topic goes.
func TestProduceFetchAndDeleteAtOnce(t *testing.T) {
	n := startNode(t, "always")
	for round := range 4 {
		p := n.one(fmt.Sprint("t", round))
		var acked [3]atomic.Int64
		var running sync.WaitGroup
		for id := range acked {
			running.Go(func() { produceUntilGone(t, n, p, int64(id), &acked[id]) })
		}
		seen := make(chan []int64, 2)
		for range 2 {
			running.Go(func() { seen <- consumeUntilGone(t, p, len(acked)) })
		}
		for total := int64(0); total < 300; {
			total = 0
			w := make(chan struct{}, 1)
			waiter := NewWaiter(func() { w <- struct{}{} })
			p.Wait(waiter)
			for i := range acked {
				total += acked[i].Load()
			}
			if total < 300 {
				<-w
			}
			p.Unwait(waiter)
		}
		if _, err := p.DeleteRecords(10); err != nil {
			t.Error(err)
		}
		n.happen(&controller.TopicDeleted{ID: p.id.Topic})
		running.Wait()
		for range 2 {
			if got := <-seen; len(got) != len(acked) || slices.Max(got) == 0 {
				t.Errorf("a consumer saw %v", got)
			}
		}
	}
}

func produceUntilGone(t *testing.T, n *testNode, p *Partition, id int64, acked *atomic.Int64) {
	for sequence := int32(0); ; sequence++ {
		acks := int16(-1)
		if sequence%3 == 1 {
			acks = 1
		}
		r := newReply(t)
		p.Append(AppendRequest{
			Records: build(producer(id, 0, sequence, false), fmt.Sprintf("%d %d", id, sequence)), Acks: acks,
			Timeout: time.Minute, Client: true, Version: 13, CurrentLeaderEpoch: -1, Done: func(res AppendResult) { r.results <- res },
		})
		res := <-r.results
		switch kafkaproto.Code(res.Err) {
		case 0:
			acked.Add(1)
		case kafkaproto.ErrUnknownTopicOrPartition.Num:
			return
		default:
			t.Errorf("producer %d: %v", id, res.Err)
			return
		}
	}
}

// consumeUntilGone tails the partition and returns how many records of each producer it saw.
func consumeUntilGone(t *testing.T, p *Partition, producers int) []int64 {
	next := make([]int64, producers)
	fired := make(chan struct{}, 1)
	w := NewWaiter(func() { fired <- struct{}{} })
	p.Wait(w)
	defer p.Unwait(w)
	for r := fetch(0); ; {
		w.Arm()
		res := p.Read(r)
		switch kafkaproto.Code(res.Err) {
		case 0:
		case kafkaproto.ErrOffsetOutOfRange.Num:
			t.Errorf("offset %d: %v", r.Offset, res.Err)
			return next
		case kafkaproto.ErrUnknownTopicOrPartition.Num:
			return next
		default:
			t.Error(res.Err)
			return next
		}
		at := res.Read.Next
		if at > res.HighWatermark {
			t.Errorf("read up to %d, the high watermark was %d", at, res.HighWatermark)
		}
		for _, v := range values(t, res) {
			var id, sequence int64
			fmt.Sscan(v, &id, &sequence)
			if sequence != next[id] {
				t.Errorf("producer %d: record %d after %d", id, sequence, next[id]-1)
			}
			next[id] = sequence + 1
		}
		if at == r.Offset {
			<-fired
		}
		r.Offset = at
	}
}
