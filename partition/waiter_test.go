package partition

import (
	"testing"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func TestWaiterFiresOnceUntilArmed(t *testing.T) {
	n := startNode(t, "always")
	p, q := n.one("p"), n.one("q")
	fired := make(chan struct{}, 64)
	w := NewWaiter(func() { signal(fired) })
	p.Wait(w)
	q.Wait(w)
	for range 3 {
		n.send(p, -1, batch("a")).waitOK()
		n.send(q, -1, batch("a")).waitOK()
	}
	<-fired
	p.logMoved()
	if len(fired) != 0 {
		t.Fatal("fired again without being armed")
	}
	w.Arm()
	n.send(q, -1, batch("a")).waitOK()
	<-fired
	w.Arm()
	p.Unwait(w)
	q.Unwait(w)
	q.Unwait(w)
	n.send(p, -1, batch("a")).waitOK()
	n.send(q, -1, batch("a")).waitOK()
	p.logMoved()
	if len(fired) != 0 || p.waiters != nil {
		t.Fatal("fired after Unwait")
	}
}

func TestCommitWakesReadersOfCommitted(t *testing.T) {
	n := startNode(t, "always")
	n.withVerifier(yes{})
	p := n.one("t")
	n.send(p, -1, build(producer(1, 0, 0, true), "a")).waitOK()
	r := fetch(0)
	r.ReadCommitted = true
	if got := values(t, p.Read(r)); len(got) != 0 {
		t.Fatalf("read %q", got)
	}
	fired := make(chan struct{}, 8)
	w := NewWaiter(func() { signal(fired) })
	p.Wait(w)
	n.marker(p, 1, 0, true)
	<-fired
	if got := dropMarkers(t, p, r); len(got) != 1 {
		t.Fatalf("read %q", got)
	}
}

func TestOneTimerServesAllDeadlines(t *testing.T) {
	n := startNode(t, "always")
	p, q := n.one("p"), n.one("q")
	others := n.clock.Pending()
	release := n.holdSyncs()
	send := func(p *Partition, acks int16, d time.Duration) *reply {
		return n.request(p, AppendRequest{Records: batch("a"), Acks: acks, Timeout: d, Client: true, Version: 13, CurrentLeaderEpoch: -1})
	}
	long, short, quick := send(p, -1, 30*time.Second), send(p, 1, 10*time.Second), send(q, -1, 20*time.Second)
	for range 100 {
		send(p, -1, 30*time.Second)
	}
	if timers := n.clock.Pending() - others; timers != 1 {
		t.Fatalf("%d timers", timers)
	}
	if entries := len(n.manager.deadlines.heap); entries > 3 {
		t.Fatalf("%d entries", entries)
	}
	for _, c := range []struct {
		after time.Duration
		r     *reply
	}{{10 * time.Second, short}, {10 * time.Second, quick}, {10 * time.Second, long}} {
		n.clock.Advance(c.after - 1)
		c.r.silent()
		n.clock.Advance(1)
		c.r.waitErr(kafkaproto.ErrRequestTimedOut)
	}
	release()
}

func TestTimeoutThatIsOverAtOnce(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.holdSyncs()
	for _, d := range []time.Duration{0, -time.Second} {
		n.request(p, AppendRequest{Records: batch("a"), Acks: -1, Timeout: d, Client: true, Version: 13, CurrentLeaderEpoch: -1}).waitErr(kafkaproto.ErrRequestTimedOut)
	}
}

func TestTooFewInSyncRefusesAcksAll(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t", "min.insync.replicas", "2")
	n.send(p, -1, batch("one replica counts as all of them")).waitOK()
	n.happen(&controller.PartitionChanged{Topic: p.id.Topic, Partition: controller.Partition{
		Replicas: []int32{1, 2}, ISR: []int32{1}, Leader: 1, LeaderEpoch: 1, PartitionEpoch: 1,
	}})
	n.send(p, -1, batch("b")).waitErr(kafkaproto.ErrNotEnoughReplicas)
	n.send(p, 1, batch("c")).waitOK()
	sees(t, p, 1, "one replica counts as all of them")
}

func TestClosedManagerAnswersAllWhoWait(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	release := n.holdSyncs()
	r := n.send(p, -1, batch("a"))
	n.manager.Close()
	r.waitErr(kafkaproto.ErrNotLeaderOrFollower)
	release()
}

func TestAReplicasWaiterFiresForBytesAndNotForWhatConsumersSee(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, batch("a")).waitOK()
	fired := make(chan struct{}, 8)
	w := NewReplicaWaiter(func() { fired <- struct{}{} })
	p.Wait(w)
	if _, err := p.DeleteRecords(1); err != nil {
		t.Fatal(err)
	}
	p.logMoved()
	if len(fired) != 0 {
		t.Fatal("fired for a new log start")
	}
	release := n.holdSyncs()
	r := n.send(p, -1, batch("b"))
	<-fired // written, not flushed
	r.silent()
	w.Arm()
	release()
	r.waitOK()
	if len(fired) != 0 {
		t.Fatal("fired for the high watermark")
	}
	p.retire(notLeader, leaderHint{2, 1})
	<-fired
	p.Unwait(w)
	if p.replicas != 0 || p.waiters != nil {
		t.Fatal("still waiting")
	}
}
