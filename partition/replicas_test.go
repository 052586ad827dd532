package partition

import (
	"bytes"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/replication"
)

func part(topic kafkaproto.TopicID, n int) kafkaproto.TopicPartition {
	return kafkaproto.TopicPartition{Topic: topic, Partition: kafkaproto.PartitionID(n)}
}

// equal waits until all replicas have all that the leader has committed, and compares.
func (c *testCluster) equal(id kafkaproto.TopicPartition) {
	c.t.Helper()
	leader := c.state(id).Leader
	high := c.on(leader, id).Status().HighWatermark
	want := c.content(leader, id, high)
	for node := int32(1); node <= 3; node++ {
		eventually(c.t, "catch-up", func() bool { return c.on(node, id).Status().HighWatermark >= high })
		if !bytes.Equal(c.content(node, id, high), want) {
			c.t.Errorf("partition %v: node %d differs from node %d below %d", id.Partition, node, leader, high)
		}
	}
}

func TestAcksAllWaitsForEveryMemberOfTheISR(t *testing.T) {
	for _, policy := range []string{"always", "never"} {
		t.Run(policy, func(t *testing.T) {
			c := startCluster(t, policy)
			id := part(c.topic("t", 1, "min.insync.replicas", "2"), 0)
			for i := range 20 {
				if at := c.mustProduce(id, strconv.Itoa(i)); at != kafkaproto.Offset(i) {
					t.Fatalf("offset %d at %d", i, at)
				}
				for node := int32(2); node <= 3; node++ {
					ends := c.on(node, id).log().Ends()
					if ends.Written <= kafkaproto.Offset(i) || policy == "always" && ends.Flushed <= kafkaproto.Offset(i) {
						t.Fatalf("acknowledged %d with node %d at %+v", i, node, ends)
					}
				}
			}
			c.equal(id)
		})
	}
}

func TestAFollowerThatIsCutOffLeavesTheISRAndComesBack(t *testing.T) {
	c := startCluster(t, "always")
	id := part(c.topic("t", 1, "min.insync.replicas", "3"), 0)
	c.mustProduce(id, "a")
	c.net.isolate(3, true)
	c.timeout = 500 * time.Millisecond
	if a := c.produceTo(1, id, replication.AcksAll, batch("b")); kafkaproto.Code(a.Err) != kafkaproto.ErrNotEnoughReplicasAfterAppend.Num {
		if kafkaproto.Code(a.Err) != kafkaproto.ErrRequestTimedOut.Num {
			t.Fatalf("got %v", a.Err)
		}
	}
	c.inSync(id, 2)
	if a := c.produceTo(1, id, replication.AcksAll, batch("c")); kafkaproto.Code(a.Err) != kafkaproto.ErrNotEnoughReplicas.Num {
		t.Fatalf("got %v", a.Err)
	}
	if a := c.produceTo(1, id, replication.AcksLeader, batch("d")); a.Err != nil {
		t.Fatal(a.Err)
	}
	if high := c.on(1, id).Status().HighWatermark; high != 1 {
		t.Fatalf("with too few in sync the high watermark is %d", high)
	}
	c.net.isolate(3, false)
	c.inSync(id, 3)
	c.mustProduce(id, "e")
	c.equal(id)
}

func TestAFormerLeaderCutsWhatNobodyElseHas(t *testing.T) {
	for _, policy := range []string{"always", "never"} {
		t.Run(policy, func(t *testing.T) {
			c := startCluster(t, policy)
			id := part(c.topic("t", 1), 0)
			c.mustProduce(id, "a")
			c.net.isolate(1, true)
			if a := c.produceTo(1, id, replication.AcksLeader, batch("lost", "lost")); a.Err != nil {
				t.Fatal(a.Err)
			}
			c.do(controller.FenceBroker{ID: 1, Epoch: c.nodes[1].epoch})
			if c.state(id).Leader == 1 {
				t.Fatal("node 1 leads yet")
			}
			if at := c.mustProduce(id, "b"); at != 1 {
				t.Fatalf("appended at %d", at)
			}
			c.net.isolate(1, false)
			c.do(controller.UnfenceBroker{ID: 1, Epoch: c.nodes[1].epoch})
			c.inSync(id, 3)
			c.mustProduce(id, "c")
			c.equal(id)
		})
	}
}

func TestAFollowerBehindTheLeadersStartBeginsThere(t *testing.T) {
	c := startCluster(t, "always")
	id := part(c.topic("t", 1), 0)
	c.mustProduce(id, "a")
	c.nodes[3].crash(true)
	for i := range 10 {
		c.mustProduce(id, strconv.Itoa(i))
	}
	if _, err := c.on(1, id).DeleteRecords(8); err != nil {
		t.Fatal(err)
	}
	c.nodes[3].start()
	c.inSync(id, 3)
	c.mustProduce(id, "b")
	for node := int32(2); node <= 3; node++ {
		eventually(t, "log start", func() bool { return c.on(node, id).log().Ends().Start == 8 })
	}
	c.equal(id)
}

func TestAFollowerGoesBelowItsOwnStartWhenTheLeaderHasLostAll(t *testing.T) {
	c := startCluster(t, "always")
	id := part(c.topic("t", 1), 0)
	for i := range 5 {
		c.mustProduce(id, strconv.Itoa(i))
	}
	c.equal(id)
	c.nodes[2].crash(true)
	p := c.on(3, id)
	if err := p.log().AdvanceStart(5); err != nil { // as a retention that the others have not seen
		t.Fatal(err)
	}
	c.nodes[1].crash(true)
	// Node 3 alone is left; then it goes, and node 1 is back as the only one, from further down.
	eventually(t, "node 3 leads", func() bool { return c.state(id).Leader == 3 })
	if got := p.log().Ends().Start; got != 5 {
		t.Fatalf("starts at %d", got)
	}
	f := &following{p: p, holder: leaderHint{1, c.state(id).LeaderEpoch + 1}}
	p.become(notLeader, f.holder, f)
	c.nodes[3].manager.beginAnew(f, 2)
	anew := c.on(3, id)
	if ends := anew.log().Ends(); anew == p || ends.Start != 2 || ends.Next != 2 {
		t.Fatalf("ends %+v, another partition: %v", ends, anew != p)
	}
	c.mustProduce(id, "anew")
}

func TestAFetchOfAnOldRegistrationIsRefused(t *testing.T) {
	c := startCluster(t, "always")
	id := part(c.topic("t", 1), 0)
	c.mustProduce(id, "a")
	r := fetch(1)
	r.ReplicaID, r.CurrentLeaderEpoch, r.LastFetchedEpoch = 3, c.state(id).LeaderEpoch, c.state(id).LeaderEpoch
	r.BrokerEpoch = c.nodes[3].epoch
	if res := c.on(1, id).Read(r); res.Err != nil {
		t.Fatal(res.Err)
	}
	r.BrokerEpoch = c.nodes[1].epoch // below that of node 3
	wantErr(t, c.on(1, id).Read(r).Err, kafkaproto.ErrNotLeaderOrFollower)
}

func TestAPartitionWithoutPeersFollowsNobody(t *testing.T) {
	n := startNode(t, "always")
	id := n.topic("t", 1)
	image, _ := n.img.Partition(part(id, 0))
	p := *image
	p.Leader, p.LeaderEpoch, p.Replicas = 2, p.LeaderEpoch+1, []int32{1, 2}
	n.happen(&controller.PartitionChanged{Topic: id, Partition: p})
	if got := n.partition(id, 0); got.follows != nil || got.Status().Leading {
		t.Error("it follows")
	}
}

func TestIdlePartitionsAreNotNamedInFetches(t *testing.T) {
	c := startCluster(t, "always")
	topic := c.topic("t", 30)
	for i := range 30 {
		c.mustProduce(part(topic, i), "a")
	}
	c.net.mu.Lock()
	before := c.net.named
	c.net.mu.Unlock()
	c.mustProduce(part(topic, 0), "b") // one partition, two followers, and what they tell of their ends
	fetches := func() int {
		c.net.mu.Lock()
		defer c.net.mu.Unlock()
		return c.net.fetches
	}
	for start := fetches(); fetches() < start+20; tick() {
	}
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if n := c.net.named - before; n > 100 { // what was still under way before, too
		t.Errorf("%d partitions were named for one record", n)
	}
}

func TestNothingAcknowledgedIsLostWhenNodesCrash(t *testing.T) {
	for _, policy := range []string{"always", "never"} {
		t.Run(policy, func(t *testing.T) {
			c := startCluster(t, policy, "num.replica.fetchers=2")
			c.net.mu.Lock()
			c.net.drop, c.net.slow = 3, 2e6
			c.net.mu.Unlock()
			const partitions = 3
			topic := c.topic("t", partitions, "min.insync.replicas", "2")
			stop := make(chan struct{})
			var producers sync.WaitGroup
			var mu sync.Mutex
			acked := [partitions]map[kafkaproto.Offset]string{}
			for i := range partitions {
				acked[i] = map[kafkaproto.Offset]string{}
				producers.Go(func() {
					for v := 0; ; v++ {
						select {
						case <-stop:
							return
						default:
						}
						id, value := part(topic, i), strconv.Itoa(v)
						a := c.produceTo(c.state(id).Leader, id, replication.AcksAll, batch(value))
						if a.lost || a.Err != nil {
							tick()
							continue
						}
						mu.Lock()
						if was, twice := acked[i][a.BaseOffset]; twice {
							t.Errorf("offset %d was given to %s and %s", a.BaseOffset, was, value)
						}
						acked[i][a.BaseOffset] = value
						mu.Unlock()
					}
				})
			}
			count := func(i int) int {
				mu.Lock()
				defer mu.Unlock()
				return len(acked[i])
			}
			for round := range 6 {
				n := c.nodes[round%3+1]
				n.crash(policy == "always")
				for i := range partitions {
					goal := count(i) + 10
					eventually(t, "acknowledgements while a node is down", func() bool { return count(i) >= goal })
				}
				n.start()
				for i := range partitions {
					c.inSync(part(topic, i), 3)
				}
			}
			close(stop)
			producers.Wait()
			total := 0
			for i := range partitions {
				id := part(topic, i)
				c.mustProduce(id, "end")
				c.equal(id)
				total += len(acked[i])
				c.has(id, acked[i])
			}
			t.Logf("%d acknowledged", total)
		})
	}
}

// has checks that the leader's log has these values at their offsets.
func (c *testCluster) has(id kafkaproto.TopicPartition, want map[kafkaproto.Offset]string) {
	c.t.Helper()
	leader := c.state(id).Leader
	rest := c.content(leader, id, c.on(leader, id).Status().HighWatermark)
	got := map[kafkaproto.Offset]string{}
	for len(rest) > 0 {
		b, tail, err := kafkaproto.NextBatch(rest)
		if err != nil {
			c.t.Fatal(err)
		}
		_ = kafkaproto.Records(b, func(r kafkaproto.Record) error {
			got[r.Offset] = string(r.Value)
			return nil
		})
		rest = tail
	}
	for offset, value := range want {
		if got[offset] != value {
			c.t.Errorf("partition %v: offset %d was acknowledged as %q and is %q", id.Partition, offset, value, got[offset])
		}
	}
}
