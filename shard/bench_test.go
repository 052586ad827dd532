package shard

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// coordinator is a node on a real disk whose shards are group coordinators.
func coordinator(t testing.TB, partitions int) *node {
	n := startNode(t, func(n *node) {
		n.clock, n.disk = nil, t.TempDir()
		n.options.Timer = func(key string) any { return groups.TimerFired{Key: key} }
		n.newMachine = func(int32) Machine {
			return groups.New(groups.Options{
				MinSessionTimeout: time.Second, MaxSessionTimeout: time.Hour, MaxSize: 1000, MaxMetadataBytes: 4096,
				OffsetRetention: 24 * time.Hour, RetentionCheck: time.Hour,
			})
		}
	})
	n.topic(partitions)
	return n
}

// member joins a group of its own and becomes its leader.
func (n *node) member(group string, partitions int32) (p int32, id string, generation int32) {
	n.t.Helper()
	p = groups.PartitionFor(group, partitions)
	protocols := []groups.Protocol{{Name: "range", Metadata: []byte("m")}}
	a := n.ask(p, groups.JoinGroup{
		Group: group, NewMemberID: "member-" + group, ProtocolType: "consumer", Protocols: protocols,
		SessionTimeout: 45 * time.Second, RebalanceTimeout: time.Minute,
	}).(groups.JoinGroupAnswer)
	n.must(a.Err)
	s := n.ask(p, groups.SyncGroup{Group: group, MemberID: a.MemberID, Generation: a.Generation,
		Assignments: []groups.Assignment{{MemberID: a.MemberID, Data: []byte("a")}}}).(groups.SyncGroupAnswer)
	n.must(s.Err)
	return p, a.MemberID, a.Generation
}

func BenchmarkHeartbeat(b *testing.B) {
	n := coordinator(b, 50)
	const members = 3000
	type one struct {
		p  int32
		in groups.Heartbeat
	}
	var all []one
	for i := range members {
		group := fmt.Sprint("group-", i)
		p, id, generation := n.member(group, 50)
		all = append(all, one{p, groups.Heartbeat{Group: group, MemberID: id, Generation: generation}})
	}
	failed := 0
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		m := all[i%members]
		n.host.Submit(m.p, m.in, func(_ any, err error) {
			if err != nil {
				failed++
			}
		})
	}
	b.StopTimer()
	if failed > 0 {
		b.Fatalf("%d heartbeats failed", failed)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "heartbeats/s")
}

func commitOf(group string, offset int) groups.OffsetCommit {
	return groups.OffsetCommit{Group: group, Generation: -1, Retention: -1, Offsets: []groups.CommitOffset{
		{Topic: "orders", Partition: 0, Offset: kafkaproto.Offset(offset), LeaderEpoch: -1},
	}}
}

// Serial commits, each with its own sync, beside a loop that writes as much to a file and syncs it.
func BenchmarkSerialCommit(b *testing.B) {
	n := coordinator(b, 50)
	p := groups.PartitionFor("g", 50)
	n.ask(p, commitOf("g", 0))
	done := make(chan error, 1)
	times := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		n.host.Submit(p, commitOf("g", i), func(_ any, err error) { done <- err })
		n.must(<-done)
		times = append(times, time.Since(began))
	}
	b.StopTimer()
	report(b, times, "commit")
	report(b, bareLoop(b, b.N), "bare")
}

func report(b *testing.B, times []time.Duration, what string) {
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), what+"-p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), what+"-p99-µs")
}

// bareLoop writes as much as a commit takes into a preallocated file and syncs it, again and again.
func bareLoop(b *testing.B, rounds int) (times []time.Duration) {
	fs := env.System().FS
	f, err := fs.Create(filepath.Join(b.TempDir(), "bare"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const size = 300
	if err := f.Preallocate(0, int64(rounds+1)*size); err != nil {
		b.Fatal(err)
	}
	if err := f.SyncData(); err != nil {
		b.Fatal(err)
	}
	for i := range rounds {
		began := time.Now()
		if _, err := f.WriteVAt([][]byte{make([]byte, size)}, int64(i)*size); err != nil {
			b.Fatal(err)
		}
		if err := f.SyncData(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	return times
}

// Commits of many groups at a time: they share batches and syncs.
func BenchmarkConcurrentCommits(b *testing.B) {
	n := coordinator(b, 50)
	const inFlight = 256
	room := make(chan struct{}, inFlight)
	failed := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		room <- struct{}{}
		group := fmt.Sprint("group-", i%1000)
		n.host.Submit(groups.PartitionFor(group, 50), commitOf(group, i), func(_ any, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
			<-room
		})
	}
	for range inFlight {
		room <- struct{}{}
	}
	b.StopTimer()
	select {
	case err := <-failed:
		b.Fatal(err)
	default:
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// A restart with 10,000 groups behind it: from the first look at the metadata until each has answered.
func BenchmarkLoad(b *testing.B) {
	n := coordinator(b, 50)
	const many = 10_000
	room := make(chan struct{}, 512)
	for round := range 5 {
		for i := range many {
			room <- struct{}{}
			group := fmt.Sprint("group-", i)
			n.host.Submit(groups.PartitionFor(group, 50), commitOf(group, round), func(_ any, err error) {
				if err != nil {
					b.Error(err)
				}
				<-room
			})
		}
	}
	for range cap(room) {
		room <- struct{}{}
	}
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		n.close()
		n.img = n.elected(n.img)
		b.StartTimer()
		n.open()
		for i := range many {
			group := fmt.Sprint("group-", i)
			a := n.ask(groups.PartitionFor(group, 50), groups.OffsetFetch{Group: group, Topics: []groups.OffsetFetchTopic{
				{Topic: "orders", Partitions: []kafkaproto.PartitionID{0}}}}).(groups.OffsetFetchAnswer)
			if got := a.Topics[0].Partitions[0].Offset; got != 4 {
				b.Fatalf("%s is at %d, want 4", group, got)
			}
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/restart")
}
