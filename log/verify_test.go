package log

import (
	"testing"

	"github.com/streambus/streambus/kafkaproto"
)

// A leader and a follower that hold the same records have the same digest, however the batches came into their files; one
// that holds something else has another.
func TestDigestsCompareReplicas(t *testing.T) {
	digest := func(fill func(e *Engine, l *Log)) Digest {
		w := newWorld(t)
		e := w.open(nil)
		mustAppend(t, mustLog(t, e, topic(2, 0)), spec{n: 1, text: "another log"})
		fill(e, mustLog(t, e, topic(1, 0)))
		closeEngine(t, e)
		report, err := Verify(w.mem, testDir)
		if err != nil || len(report.Problems) > 0 || len(report.Digests) != 2 {
			t.Fatalf("%+v, %v", report, err)
		}
		for _, d := range report.Digests {
			if d.Log == topic(1, 0) {
				return d
			}
		}
		t.Fatal("no digest")
		return Digest{}
	}
	batches := []spec{{n: 3, size: 2000, text: "a"}, {n: 1, size: 9000, text: "b"}, {n: 2, size: 7000, text: "c"}}
	leader := digest(func(_ *Engine, l *Log) {
		for _, s := range batches {
			s.leader = 4
			mustAppend(t, l, s)
		}
	})
	follower := func(change string) Digest {
		return digest(func(_ *Engine, l *Log) {
			var all []byte
			for i, s := range batches {
				if i == 2 {
					s.text = change
				}
				b := s.batch(t)
				b.SetBaseOffset([]offset{0, 3, 4}[i])
				b.SetPartitionLeaderEpoch(kafkaproto.LeaderEpoch(4))
				all = append(all, b...)
			}
			done := make(chan error, 1)
			if _, err := l.Append(Append{Data: all, Follower: true, Origin: OriginReplication, Done: func(err error) { done <- err }}); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
	if same := follower("c"); same != leader || same.First != 0 || same.Last != 5 {
		t.Errorf("%+v and %+v", leader, same)
	}
	if other := follower("x"); other.Sum == leader.Sum {
		t.Errorf("other records have the same digest: %+v", other)
	}
}
