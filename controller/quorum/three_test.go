package quorum

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// openThree founds a quorum of three, each on a disk of its own.
func openThree(t *testing.T) []*Quorum {
	t.Helper()
	_, quorums := openThreeNodes(t)
	return quorums
}

func openThreeNodes(t *testing.T) ([]*testNode, []*Quorum) {
	t.Helper()
	return openThreeWith(t, nil)
}

// openThreeWith is openThreeNodes with other options than usual.
func openThreeWith(t *testing.T, change func(*Options)) ([]*testNode, []*Quorum) {
	t.Helper()
	var voters []Voter
	var listeners []net.Listener
	for i := range 3 {
		l := listen(t)
		listeners = append(listeners, l)
		voters = append(voters, Voter{NodeID: int32(i + 1), Address: l.Addr().String()})
	}
	quorums := make([]*Quorum, 3)
	nodes := make([]*testNode, 3)
	opened := make(chan error, 3)
	for i, l := range listeners {
		n := newTestNode(t, env.NewMem())
		n.id, n.voters, n.change = int32(i+1), voters, change
		nodes[i] = n
		go func() {
			q, err := Open(n.options(l))
			quorums[i] = q
			opened <- err
		}()
	}
	for range 3 {
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range quorums {
		t.Cleanup(func() { _ = q.Close() })
	}
	return nodes, quorums
}

// TestNodeThatMissedTheLogGetsASnapshot: one of three is away while the log that it lacks is cut off.
func TestNodeThatMissedTheLogGetsASnapshot(t *testing.T) {
	nodes, quorums := openThreeNodes(t)
	leader := leaderOf(t, quorums)
	register(t, leader, 1)
	away := (int(leader.options.NodeID) % 3)
	if err := quorums[away].Close(); err != nil {
		t.Fatal(err)
	}
	for i := range trailingLogs + 50 {
		mustCreate(t, leader, fmt.Sprintf("t%d", i))
	}
	for i, q := range quorums {
		if i != away { // whichever leads when the node comes back has cut its log
			if err := q.raft.Load().Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustCreate(t, leader, "last")
	back, err := Open(nodes[away].options(listenAt(t, quorums[away].options.Advertise)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = back.Close() })
	awaitTopic(t, back, "last")
	if n := back.Image().NumTopics(); n != trailingLogs+51 {
		t.Errorf("%d topics", n)
	}
	if any, err := back.snapshots.any(); err != nil || !any {
		t.Errorf("no snapshot was sent: %v", err)
	}
}

// listenAt binds an address that was bound a moment ago.
func listenAt(t *testing.T, address string) net.Listener {
	t.Helper()
	ctx := testContext(t)
	for {
		l, err := net.Listen("tcp", address)
		if err == nil || ctx.Err() != nil {
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		time.Sleep(10 * time.Millisecond) // somebody else may have it for a moment
	}
}

// leaderOf waits until one of them takes commands.
func leaderOf(t *testing.T, quorums []*Quorum) *Quorum {
	t.Helper()
	ctx := testContext(t)
	for ctx.Err() == nil {
		for _, q := range quorums {
			q.mu.Lock()
			leads := q.leader.leading
			q.mu.Unlock()
			if leads {
				return q
			}
		}
		time.Sleep(5 * time.Millisecond) // elections take their time
	}
	t.Fatal("no leader")
	return nil
}

// awaitTopic waits until a node has a topic.
func awaitTopic(t *testing.T, q *Quorum, name string) *controller.Topic {
	t.Helper()
	seen := make(chan *controller.Topic, 100)
	q.Watch(func(img *controller.Image, _ controller.Changes) {
		if topic, ok := img.Topic(name); ok {
			select {
			case seen <- topic:
			default:
			}
		}
	})
	select {
	case topic := <-seen:
		return topic
	case <-testContext(t).Done():
		t.Fatalf("node %d never saw %s", q.options.NodeID, name)
		return nil
	}
}

func TestThreeNodesShareOneImageAndSurviveTheirLeader(t *testing.T) {
	quorums := openThree(t)
	first := leaderOf(t, quorums)
	for _, q := range quorums {
		ready(t, q)
		if q.Image().ClusterID() != first.Image().ClusterID() {
			t.Errorf("node %d is of cluster %s", q.options.NodeID, q.Image().ClusterID())
		}
	}
	register(t, first, 1)
	mustCreate(t, first, "a")
	made, _ := first.Image().Topic("a")
	var rest []*Quorum
	for _, q := range quorums {
		if q == first {
			continue
		}
		rest = append(rest, q)
		if got := awaitTopic(t, q, "a"); got.ID != made.ID {
			t.Errorf("node %d has topic id %s, not %s", q.options.NodeID, got.ID, made.ID)
		}
	}
	_, epoch, _ := first.Leader()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := leaderOf(t, rest)
	if _, now, _ := second.Leader(); now <= epoch {
		t.Errorf("epoch %d after %d", now, epoch)
	}
	register(t, second, 2)
	mustCreate(t, second, "after-failover")
	for _, q := range rest {
		awaitTopic(t, q, "after-failover")
	}
}

// A batch that a deposed controller decided may be committed by raft all the same. No node may apply it.
func TestBatchOfADeposedControllerIsIgnoredByAll(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	q := ready(t, n.open())
	register(t, q, 1)
	mustCreate(t, q, "a")
	_, epoch, _ := q.Leader()
	id := kafkaproto.TopicID{1}
	events := []controller.Event{
		&controller.TopicCreated{ID: id, Name: "ghost"},
		&controller.PartitionChanged{Topic: id, Partition: controller.Partition{Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}},
	}
	base := q.Image().LastIndex()
	for name, b := range map[string]controller.Batch{
		"earlier epoch": {Epoch: uint64(epoch) - 1, Base: base, Events: events},
		"later epoch":   {Epoch: uint64(epoch) + 1, Base: base, Events: events},
		"earlier base":  {Epoch: uint64(epoch), Base: base - 1, Events: events},
	} {
		f := q.raft.Load().Apply(b.Encode(nil), time.Second)
		if err := f.Error(); err != nil {
			t.Fatal(err)
		}
		if err, _ := f.Response().(error); !errors.Is(err, controller.ErrStale) {
			t.Errorf("%s: %v", name, f.Response())
		}
	}
	if q.Image().LastIndex() != base {
		t.Errorf("index %d, was %d", q.Image().LastIndex(), base)
	}
	mustCreate(t, q, "b") // the machine goes on
	if _, ok := q.Image().Topic("ghost"); ok {
		t.Error("the ghost is there")
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := ready(t, n.open()).Image().Topic("ghost"); ok {
		t.Error("the ghost is there after a restart")
	}
}

// When a batch of somebody else gets in between, the commands that were decided on the old image are decided again.
func TestCommandWhoseBatchTurnedOutStaleIsDecidedAgain(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	q := ready(t, n.open())
	register(t, q, 1)
	_, epoch, _ := q.Leader()
	intruder := controller.Batch{Epoch: uint64(epoch), Base: q.Image().LastIndex(), Events: []controller.Event{
		&controller.ConfigChanged{Resource: controller.ConfigResource{Kind: controller.GroupConfig, Name: "g"}, Key: "k"},
	}}
	if err := q.raft.Load().Apply(intruder.Encode(nil), time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, q, "a")
	if _, ok := q.Image().Topic("a"); !ok {
		t.Error("not made")
	}
}

func TestCallersThatMeanAnotherNodeAreRefused(t *testing.T) {
	fs := env.NewMem()
	q := ready(t, newTestNode(t, fs).open())
	stranger := hello{Purpose: purposeRaft, ClusterID: "another", NodeID: 9}
	twin := hello{Purpose: purposeRaft, NodeID: 1, DirectoryID: [16]byte{99}}
	lost := hello{Purpose: purposeRaft, NodeID: 2, Wanted: "3.x"}
	for name, caller := range map[string]hello{"other cluster": stranger, "same node id": twin, "other node meant": lost} {
		c, err := net.Dial("tcp", q.options.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := caller.write(c); err != nil {
			t.Fatal(err)
		}
		answer, err := readHello(c)
		if err != nil || answer.Refusal == "" {
			t.Errorf("%s: refusal %q, %v", name, answer.Refusal, err)
		}
		_ = c.Close()
	}
	c, answer, err := q.stream.call(q.options.Listener.Addr().String(), string(q.id), purposeProbe, time.Second)
	if err != nil || answer.ClusterID != q.Image().ClusterID() || answer.NodeID != 1 {
		t.Errorf("probe: %+v, %v", answer, err)
	}
	_ = c.Close()
}

func TestGarbageOnTheClusterListenerIsHungUpOn(t *testing.T) {
	q := ready(t, newTestNode(t, env.NewMem()).open())
	for _, garbage := range []string{"GET / HTTP/1.1\r\nHost: somewhere.example\r\n\r\n", helloMagic + "\x01\x00\x00\x00\x05" + string(make([]byte, 16)) + "\xff\xff"} {
		c, err := net.Dial("tcp", q.options.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %d bytes, %v", n, err)
		}
		_ = c.Close()
	}
	mustCreateNothing(t, q)
}

func mustCreateNothing(t *testing.T, q *Quorum) {
	t.Helper()
	if err := createTopic(q, testContext(t), "no-broker"); !errors.Is(err, kafkaproto.ErrInvalidReplicationFactor) {
		t.Errorf("without brokers: %v", err)
	}
}

// TestFollowersHearAtOnceOfWhatIsCommitted, even if all that comes next changes nothing and so goes through no log.
func TestFollowersHearAtOnceOfWhatIsCommitted(t *testing.T) {
	_, quorums := openThreeNodes(t)
	leader := leaderOf(t, quorums)
	beat := controller.BrokerHeartbeat{ID: leader.options.NodeID, Epoch: register(t, leader, 1)}
	follower := quorums[int(leader.options.NodeID)%3]
	over, cancel := context.WithCancel(testContext(t))
	var beating sync.WaitGroup
	for range 8 {
		beating.Go(func() {
			for over.Err() == nil {
				_, _ = leader.Submit(over, beat)
			}
		})
	}
	defer beating.Wait()
	defer cancel()
	var waits []time.Duration
	for i := range 21 {
		name := fmt.Sprintf("t%d", i)
		mustCreate(t, leader, name)
		began := time.Now()
		awaitTopic(t, follower, name)
		waits = append(waits, time.Since(began))
	}
	slices.Sort(waits)
	if late := waits[len(waits)*3/4]; late > commitTimeout/2 {
		t.Errorf("a follower hears of a topic after %v", late)
	}
}
