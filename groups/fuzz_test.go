package groups

import (
	"testing"
	"time"

	"github.com/streambus/streambus/internal/machine"
)

// Whatever stands in the log, replaying it does not panic, does not take long, and leaves a machine that works.
func FuzzReplay(f *testing.F) {
	for _, k := range kafkaRecords(f) {
		if !k.marker {
			f.Add(k.r.Key, k.r.Value, k.p.ID)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte, producer int64) {
		m := New(Options{MaxSize: 2, OffsetRetention: time.Hour, RetentionCheck: time.Minute, MaxMetadataBytes: 10})
		p := machine.Producer{ID: producer}
		if err := m.Replay(0, p, machine.Record{Key: key, Value: value}); err != nil {
			return
		}
		m.ReplayMarker(1, p, true)
		m.Loaded(scriptStart)
		in := JoinGroup{NewMemberID: "m", ProtocolType: "consumer", Protocols: []Protocol{{Name: "range"}}}
		for id, g := range m.groups {
			for member := range g.members {
				m.Step(scriptStart, 1, Heartbeat{Group: id, MemberID: member, Generation: g.generation})
			}
			in.Group = id
			m.Step(scriptStart, 2, in)
			m.Step(scriptStart.Add(time.Hour), 0, TimerFired{Key: joinKind + id})
			m.Step(scriptStart, 3, DescribeGroup{Group: id})
			m.Step(scriptStart, 4, OffsetFetch{Group: id, All: true})
		}
		m.Step(scriptStart.Add(time.Hour), 0, TimerFired{Key: expireKey})
	})
}

// A member may say anything in its subscription.
func FuzzSubscription(f *testing.F) {
	f.Add(subscription([]string{"a", "b"}, "data"))
	f.Add([]byte{0, 3, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, metadata []byte) {
		topics := map[string]struct{}{}
		if addSubscription(topics, metadata) && len(topics) > len(metadata) {
			t.Fatalf("%d topics in %d bytes", len(topics), len(metadata))
		}
	})
}
