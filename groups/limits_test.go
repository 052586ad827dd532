package groups

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// driver replays what steps decide and keeps nothing.
type driver struct {
	m    *Machine
	now  time.Time
	next int64
}

func newDriver(o Options) *driver {
	d := &driver{m: New(o), now: scriptStart}
	d.m.Loaded(d.now)
	return d
}

func (d *driver) step(input any) machine.Result[machine.Record] {
	r := d.m.Step(d.now, 1, input)
	for _, rec := range r.Records {
		if err := d.m.Replay(d.next, machine.NoProducer, rec); err != nil {
			panic(err)
		}
		d.next++
	}
	return r
}

func rowsOf(topic string, n int) []CommitOffset {
	out := make([]CommitOffset, n)
	for i := range out {
		out[i] = CommitOffset{Topic: topic, Partition: kafkaproto.PartitionID(i), Offset: kafkaproto.Offset(i), LeaderEpoch: -1}
	}
	return out
}

func TestManyOffsetsExpireInSmallSteps(t *testing.T) {
	const topics, each = 6, 2000
	d := newDriver(Options{OffsetRetention: time.Hour, RetentionCheck: time.Minute, MaxMetadataBytes: 10})
	for i := range topics {
		d.step(OffsetCommit{Group: "g", Generation: -1, Retention: -1, Offsets: rowsOf(fmt.Sprintf("topic-%d", i), each)})
	}
	d.now = d.now.Add(2 * time.Hour)
	written, steps := 0, 0
	for written < topics*each+1 {
		r := d.step(TimerFired{Key: expireKey})
		if len(r.Records) == 0 || len(r.Records) > mostTombstones+1 {
			t.Fatalf("step %d writes %d records", steps, len(r.Records))
		}
		written += len(r.Records)
		steps++
		if wait := r.Timers[len(r.Timers)-1].At.Sub(d.now); (wait < time.Minute) != (written < topics*each+1) {
			t.Fatalf("%d of %d are gone, and the next step comes in %v", written, topics*each, wait)
		}
	}
	if steps < 3 || len(d.m.groups) != 0 {
		t.Fatalf("%d steps, %d groups left", steps, len(d.m.groups))
	}
}

func TestAMillionOffsetsFit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some 50 MB")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := New(Options{})
	buf := make([]byte, 0, 256)
	for i := range 1_000_000 {
		c := committed{offset: kafkaproto.Offset(i), leaderEpoch: 1, at: 1_700_000_000_000, expire: -1, topicID: kafkaproto.TopicID{1}}
		r, _ := appendOffset(buf[:0], group1000[i/1000], topic10[i/100%10], kafkaproto.PartitionID(i%100), &c)
		if err := m.Replay(int64(i), machine.NoProducer, r); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := float64(after.HeapAlloc-before.HeapAlloc) / 1e6; each > 70 {
		t.Errorf("an offset takes %.0f bytes", each)
	}
	if c, ok := m.groups[group1000[999]].offset(topic10[9], 99); !ok || c.offset != 999_999 || c.leaderEpoch != 1 {
		t.Errorf("the last one is %+v", c)
	}
}

var group1000, topic10 = func() (g, tp []string) {
	for i := range 1000 {
		g = append(g, fmt.Sprintf("group-%d", i))
	}
	return g, []string{"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"}
}()

func TestMetadataIsMeasuredAsJavaDoes(t *testing.T) {
	for _, c := range []struct {
		text string
		long bool
	}{
		{"1234", false}, {"12345", true}, {"äöüß", false}, {"äöüßä", true}, {"\U0001F600\U0001F600", false}, {"\U0001F600\U0001F600x", true},
		{"\xff\xff\xff\xff", false}, {"", false}, {strings.Repeat("x", 40_000), true},
	} {
		if got := tooLong(&c.text, 4); got != c.long {
			t.Errorf("%q is too long: %v", c.text[:min(len(c.text), 20)], got)
		}
	}
	if text := strings.Repeat("x", 40_000); !tooLong(&text, 100_000) {
		t.Error("what no record can hold is taken")
	}
}

func TestWhatNoRecordCanHoldIsRefused(t *testing.T) {
	huge := strings.Repeat("x", longestString+1)
	ok := JoinGroup{Group: "g", NewMemberID: "m", ProtocolType: "consumer", Protocols: []Protocol{{Name: "range"}}}
	d := newDriver(Options{MaxMetadataBytes: 10})
	for name, c := range map[string]struct {
		change func(*JoinGroup)
		err    *kafkaproto.Error
	}{
		"group":         {func(in *JoinGroup) { in.Group = huge }, kafkaproto.ErrInvalidGroupID},
		"instance id":   {func(in *JoinGroup) { in.InstanceID = &huge }, kafkaproto.ErrInvalidRequest},
		"client id":     {func(in *JoinGroup) { in.ClientID = huge }, kafkaproto.ErrInvalidRequest},
		"protocol":      {func(in *JoinGroup) { in.Protocols = []Protocol{{Name: huge}} }, kafkaproto.ErrInvalidRequest},
		"protocol type": {func(in *JoinGroup) { in.ProtocolType = huge }, kafkaproto.ErrInvalidRequest},
		"protocols":     {func(in *JoinGroup) { in.Protocols = make([]Protocol, mostProtocols+1) }, kafkaproto.ErrInconsistentGroupProtocol},
	} {
		in := ok
		c.change(&in)
		r := d.step(in)
		if a := r.Replies[0].Value.(JoinGroupAnswer); a.Err != error(c.err) || len(r.Records) > 0 {
			t.Errorf("%s: %v, %d records", name, a.Err, len(r.Records))
		}
	}
	if r := d.step(OffsetCommit{Group: huge, Generation: -1}); kafkaproto.Code(r.Replies[0].Err) != kafkaproto.ErrInvalidGroupID.Num {
		t.Errorf("commit: %v", r.Replies[0].Err)
	}
	if r := d.step(TxnOffsetCommit{Group: huge, Generation: -1}); kafkaproto.Code(r.Replies[0].Err) != kafkaproto.ErrInvalidGroupID.Num {
		t.Errorf("commit: %v", r.Replies[0].Err)
	}
}

func TestIDsThatAreNotUsedAreLimited(t *testing.T) {
	d := newDriver(Options{})
	in := JoinGroup{Group: "g", ProtocolType: "consumer", Protocols: []Protocol{{Name: "range"}}, RequireKnownID: true, SessionTimeout: time.Minute}
	for i := range mostPendingMembers {
		in.NewMemberID = fmt.Sprint("m", i)
		if a := d.step(in).Replies[0].Value.(JoinGroupAnswer); a.Err != error(kafkaproto.ErrMemberIDRequired) {
			t.Fatalf("%d: %v", i, a.Err)
		}
	}
	in.NewMemberID = "one too many"
	if a := d.step(in).Replies[0].Value.(JoinGroupAnswer); a.Err != error(kafkaproto.ErrGroupMaxSizeReached) {
		t.Fatalf("one more: %v", a.Err)
	}
}

func TestUnknownInputsAndTimersDoNoHarm(t *testing.T) {
	d := newDriver(Options{InitialRebalanceDelay: time.Minute})
	if r := d.step(struct{}{}); r.Replies[0].Err == nil {
		t.Error("an unknown input is answered without error")
	}
	d.step(JoinGroup{Group: "g", NewMemberID: "m", ProtocolType: "consumer", Protocols: []Protocol{{Name: "range"}}, SessionTimeout: time.Minute})
	for _, key := range []string{"", "x", "join ", "join g", "sync g", "session ", "session x:g m", "session 1:g m", "session 9:g m", "session -1:g m"} {
		if r := d.step(TimerFired{Key: key}); len(r.Records)+len(r.Replies) > 0 {
			t.Errorf("%q: %+v", key, r)
		}
	}
}

// What a request says is not kept in the memory of the request.
func TestRequestsMemoryIsNotKept(t *testing.T) {
	d := newDriver(Options{MaxMetadataBytes: 100})
	metadata, data := []byte("\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"), []byte("assigned")
	d.step(JoinGroup{Group: "g", NewMemberID: "m", ProtocolType: "consumer", Protocols: []Protocol{{Name: "range", Metadata: metadata}}, SessionTimeout: time.Minute})
	d.now = d.now.Add(time.Second)
	d.step(TimerFired{Key: "join g"})
	r := d.step(SyncGroup{Group: "g", MemberID: "m", Generation: 1, Assignments: []Assignment{{MemberID: "m", Data: data}}})
	said := d.step(DescribeGroup{Group: "g"}).Replies[0].Value.(DescribedGroup).Members[0]
	clear(metadata)
	clear(data)
	clear(r.Records[0].Value)
	for _, got := range [][]byte{r.Replies[0].Value.(SyncGroupAnswer).Assignment, said.Assignment, d.m.groups["g"].members["m"].assignment} {
		if string(got) != "assigned" {
			t.Errorf("the assignment is now %q", got)
		}
	}
	if said.Metadata[6] != 0xff {
		t.Errorf("the metadata is now %q", said.Metadata)
	}
}
