package groups

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

func TestManyEmptyGroupsExpireInSmallSteps(t *testing.T) {
	const count = 12_000
	d := newDriver(Options{OffsetRetention: time.Hour, RetentionCheck: time.Minute})
	for i := range count {
		g := newGroup(fmt.Sprint("group-", i))
		if err := d.m.Replay(d.next, machine.NoProducer, newGroupRecord(g)); err != nil {
			t.Fatal(err)
		}
	}
	steps, written := 0, 0
	for written < count {
		r := d.step(TimerFired{Key: expireKey})
		if len(r.Records) == 0 || len(r.Records) > mostTombstones {
			t.Fatalf("step %d writes %d records", steps, len(r.Records))
		}
		steps, written = steps+1, written+len(r.Records)
		if wait := r.Timers[len(r.Timers)-1].At.Sub(d.now); (wait < time.Minute) != (written < count) {
			t.Fatalf("%d of %d are gone, and the next step comes in %v", written, count, wait)
		}
	}
	if len(d.m.groups) > 0 {
		t.Errorf("%d groups are left", len(d.m.groups))
	}
}

func TestLongGroupIDsExpireWithinABatch(t *testing.T) {
	const most = 200_000
	d := newDriver(Options{OffsetRetention: time.Hour, RetentionCheck: time.Minute, MaxBatchBytes: most})
	for i := range 100 {
		g := newGroup(fmt.Sprint(strings.Repeat("x", 30_000), i))
		if err := d.m.Replay(d.next, machine.NoProducer, newGroupRecord(g)); err != nil {
			t.Fatal(err)
		}
	}
	for len(d.m.groups) > 0 {
		size := 0
		r := d.step(TimerFired{Key: expireKey})
		for _, rec := range r.Records {
			size += len(rec.Key)
		}
		if size == 0 || size > most {
			t.Fatalf("a step writes %d bytes, %d groups are left", size, len(d.m.groups))
		}
	}
}

// What removes the offsets of a group may be more than a batch holds.
func TestWhatDeletesManyOffsetsMayBeParted(t *testing.T) {
	const topics, each = 3, 2000
	for name, input := range map[string]any{
		"group":  DeleteGroup{Group: "g"},
		"topics": TopicsDeleted{Topics: []string{"topic-0", "topic-1", "topic-2"}},
		"offsets": DeleteOffsets{Group: "g", Topics: []OffsetFetchTopic{{Topic: "topic-0", Partitions: partitions(each)},
			{Topic: "topic-1", Partitions: partitions(each)}, {Topic: "topic-2", Partitions: partitions(each)}}},
	} {
		d := newDriver(Options{MaxMetadataBytes: 10})
		for i := range topics {
			d.step(OffsetCommit{Group: "g", Generation: -1, Retention: -1, Offsets: rowsOf(fmt.Sprintf("topic-%d", i), each)})
		}
		r := d.step(input)
		if len(r.Records) < topics*each || !r.Loose {
			t.Errorf("%s: %d records, which may be parted: %v", name, len(r.Records), r.Loose)
		}
	}
}

func partitions(n int) (ps []kafkaproto.PartitionID) {
	for i := range n {
		ps = append(ps, kafkaproto.PartitionID(i))
	}
	return ps
}

func TestAnOffsetThatIsNamedManyTimesIsDeletedOnce(t *testing.T) {
	d := newDriver(Options{MaxMetadataBytes: 10})
	d.step(OffsetCommit{Group: "g", Generation: -1, Retention: -1, Offsets: rowsOf("topic", 2)})
	r := d.step(DeleteOffsets{Group: "g", Topics: []OffsetFetchTopic{
		{Topic: "topic", Partitions: []kafkaproto.PartitionID{0, 0, 1, 0}}, {Topic: "topic", Partitions: []kafkaproto.PartitionID{1}},
	}})
	if len(r.Records) != 2 || len(r.Replies[0].Value.([]OffsetCommitAnswer)) != 5 {
		t.Errorf("%d tombstones, %v", len(r.Records), r.Replies)
	}
}

// A static member that comes back with more to say than a record holds is refused, and the group stays as it was.
func TestAStaticMemberThatFitsIntoNoRecordIsRefused(t *testing.T) {
	d := newDriver(Options{MaxBatchBytes: 10_000})
	instance := "i"
	in := JoinGroup{Group: "g", NewMemberID: "m1", InstanceID: &instance, ProtocolType: "consumer", Protocols: []Protocol{{Name: "range"}}, SessionTimeout: time.Minute}
	d.step(in)
	d.now = d.now.Add(time.Second)
	d.step(TimerFired{Key: "join g"})
	d.step(SyncGroup{Group: "g", MemberID: "m1", InstanceID: &instance, Generation: 1, Assignments: []Assignment{{MemberID: "m1", Data: []byte("all")}}})
	in.NewMemberID, in.Protocols = "m2", []Protocol{{Name: "range", Metadata: make([]byte, 20_000)}}
	r := d.step(in)
	if a := r.Replies[0].Value.(JoinGroupAnswer); len(r.Records) > 0 || kafkaproto.Code(a.Err) != kafkaproto.ErrUnknownServerError.Num {
		t.Fatalf("%d records, %v", len(r.Records), a.Err)
	}
	if r = d.step(Heartbeat{Group: "g", MemberID: "m1", InstanceID: &instance, Generation: 1}); r.Replies[0].Err != nil {
		t.Errorf("the member that was there is told %v", r.Replies[0].Err)
	}
	in.NewMemberID, in.Protocols = "m3", []Protocol{{Name: "range"}}
	r = d.step(in)
	if a := r.Replies[0].Value.(JoinGroupAnswer); len(r.Records) != 1 || a.Err != nil || a.Generation != 1 {
		t.Errorf("one that fits: %d records, %+v", len(r.Records), a)
	}
}
