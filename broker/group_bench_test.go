package broker

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// BenchmarkHeartbeat measures heartbeats from frame to answer, network included: one at a time, as a member sends them.
func BenchmarkHeartbeat(b *testing.B) {
	broker := startGroups(b, onDisk())
	c := broker.dial()
	m := broker.alone(c, "g")
	req := heartbeatRequest(4, "g", m.id, m.generation)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if resp := ask[*kmsg.HeartbeatResponse](c, req); resp.ErrorCode != 0 {
			b.Fatal(resp)
		}
	}
}

// BenchmarkOffsetCommit measures commits of n partitions into a log on disk that is not synced, one at a time.
func BenchmarkOffsetCommit(b *testing.B) {
	for _, n := range []int32{1, 100} {
		b.Run(fmt.Sprintf("partitions=%d", n), func(b *testing.B) {
			broker := startGroups(b, onDisk())
			broker.createTopic("many", n)
			c := broker.dial()
			req := broker.commitRequest(9, "g", "many", 0, 1)
			for p := int32(1); p < n; p++ {
				req.Topics[0].Partitions = append(req.Topics[0].Partitions, broker.commitRequest(9, "g", "many", p, 1).Topics[0].Partitions...)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if resp := ask[*kmsg.OffsetCommitResponse](c, req); resp.Topics[0].Partitions[0].ErrorCode != 0 {
					b.Fatal(resp)
				}
			}
		})
	}
}
