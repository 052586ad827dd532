package groups

import (
	"testing"
	"time"

	"github.com/streambus/streambus/internal/machine"
)

func stableGroup(t testing.TB) *driver {
	t.Helper()
	d := newDriver(Options{MaxMetadataBytes: 100})
	d.step(JoinGroup{Group: "g", NewMemberID: "m", ProtocolType: "consumer", SessionTimeout: 45 * time.Second,
		Protocols: []Protocol{{Name: "range", Metadata: subscription([]string{"t"}, "")}}})
	d.step(TimerFired{Key: "join g"})
	d.step(SyncGroup{Group: "g", MemberID: "m", Generation: 1, Assignments: []Assignment{{MemberID: "m", Data: []byte("all")}}})
	if d.m.groups["g"].state != stable {
		t.Fatal("the group is not stable")
	}
	return d
}

func TestStepsOfEveryDayAllocateLittle(t *testing.T) {
	d := stableGroup(t)
	var in any = Heartbeat{Group: "g", MemberID: "m", Generation: 1}
	if n := testing.AllocsPerRun(1000, func() { d.step(in) }); n > 0.1 {
		t.Errorf("a heartbeat allocates %.2f times", n)
	}
	in = OffsetCommit{Group: "g", MemberID: "m", Generation: 1, Retention: -1, Offsets: rowsOf("t", 3)}
	if n := testing.AllocsPerRun(1000, func() { d.step(in) }); n > 5 {
		t.Errorf("a commit of three offsets allocates %.2f times", n)
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	d := stableGroup(b)
	var in any = Heartbeat{Group: "g", MemberID: "m", Generation: 1}
	b.ReportAllocs()
	for b.Loop() {
		d.m.Step(d.now, 1, in)
	}
}

func BenchmarkCommit(b *testing.B) {
	d := stableGroup(b)
	var in any = OffsetCommit{Group: "g", MemberID: "m", Generation: 1, Retention: -1, Offsets: rowsOf("t", 1)}
	b.ReportAllocs()
	for b.Loop() {
		d.step(in)
	}
}

func BenchmarkReplayOfOffsets(b *testing.B) {
	m := New(Options{})
	c := committed{offset: 1, at: 1, expire: -1}
	r, _ := appendOffset(nil, "group", "topic", 7, &c)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Replay(1, machine.NoProducer, r); err != nil {
			b.Fatal(err)
		}
	}
}
