package partition

import (
	"fmt"
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
		var seen [2]atomic.Int64
		for i := range seen {
			running.Go(func() { consumeUntilGone(t, p, len(acked), &seen[i]) })
		}
		untilMoved(p, func() bool {
			total := int64(0)
			for i := range acked {
				total += acked[i].Load()
			}
			return total >= 300 && seen[0].Load() >= 100 && seen[1].Load() >= 100
		})
		if _, err := p.DeleteRecords(10); err != nil {
			t.Error(err)
		}
		n.happen(&controller.TopicDeleted{ID: p.id.Topic})
		running.Wait()
	}
}

// untilMoved waits until it is enough, looking whenever the partition has moved.
func untilMoved(p *Partition, enough func() bool) {
	fired := make(chan struct{}, 1)
	w := NewWaiter(func() { signal(fired) })
	p.Wait(w)
	defer p.Unwait(w)
	for !enough() {
		<-fired
		w.Arm()
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

// consumeUntilGone tails the partition and counts the records.
func consumeUntilGone(t *testing.T, p *Partition, producers int, seen *atomic.Int64) {
	next := make([]int64, producers)
	fired := make(chan struct{}, 1)
	w := NewWaiter(func() { signal(fired) })
	p.Wait(w)
	defer p.Unwait(w)
	for r := fetch(0); ; {
		w.Arm()
		res := p.Read(r)
		switch kafkaproto.Code(res.Err) {
		case 0:
		case kafkaproto.ErrOffsetOutOfRange.Num:
			t.Errorf("offset %d: %v", r.Offset, res.Err)
			return
		case kafkaproto.ErrUnknownTopicOrPartition.Num:
			return
		default:
			t.Error(res.Err)
			return
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
			seen.Add(1)
		}
		if at == r.Offset {
			<-fired
		}
		r.Offset = at
	}
}
