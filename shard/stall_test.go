package shard

import (
	"fmt"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// What may be parted is written in parts, so that it may be more than the log takes at once.
func TestRecordsThatMayBePartedAreWrittenInParts(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	const records, each = 300, 10 << 10
	n.submit(0, loose{records, each}).ok(int64(records - 1))
	read, err := n.part(0).ReadLog(kafkaproto.NoLeaderEpoch, 0, 64<<20, nil)
	n.must(err)
	defer read.Release()
	batches := 0
	for _, span := range read.Spans {
		data := make([]byte, span.Len)
		_, err := span.File.ReadAt(data, span.Pos)
		n.must(err)
		for len(data) > 0 {
			b, rest, err := kafkaproto.NextBatch(data)
			n.must(err)
			if len(b) > batchBytes+2*each {
				t.Errorf("a batch of %d bytes", len(b))
			}
			batches, data = batches+1, rest
		}
	}
	if batches < 2 {
		t.Errorf("%d batches", batches)
	}
	n.restart(n.mem)
	if got := n.ask(0, count{}); got != records {
		t.Errorf("%v records after a restart, want %d", got, records)
	}
}

// A shard that stood still, because the log took nothing, looks at what came meanwhile before it lets time pass: whoever sent
// a heartbeat in time is not to lose his session for it.
func TestWhatCameDuringAStallIsSeenBeforeTimersFire(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	n.submit(0, timed{"session", n.clock.Now().Add(time.Second)}).ok("set")
	s := n.host.view.Load().shards[0]
	s.mu.Lock()
	s.running = true // whoever runs the loop hangs in an append
	s.mu.Unlock()
	beat := n.submit(0, timed{"session", n.clock.Now().Add(3 * time.Second)})
	n.clock.Advance(2 * time.Second)
	eventually(t, "the alarm rings", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.ticked
	})
	s.run(own)
	beat.ok("set")
	n.submit(0, get("fired")).ok("")
	n.clock.Advance(2 * time.Second)
	eventually(t, "the timer fires in the end", func() bool { return fmt.Sprint(n.ask(0, get("fired"))) == "session " })
}
