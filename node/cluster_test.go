package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// startThree starts three nodes, the second and third of which join the first.
func startThree(t *testing.T, settings ...string) (nodes [4]*Node, disks [4]*env.MemFS, join string) {
	t.Helper()
	var on [4]env.FS
	for id := 1; id <= 3; id++ {
		disks[id] = env.NewMem()
		on[id] = disks[id]
	}
	nodes, join = startThreeOn(t, on, settings...)
	return nodes, disks, join
}

// startThreeOn is startThree on given disks.
func startThreeOn(t *testing.T, disks [4]env.FS, settings ...string) (nodes [4]*Node, join string) {
	t.Helper()
	for id := 1; id <= 3; id++ {
		own := append([]string{fmt.Sprintf("node.id=%d", id)}, settings...)
		if id > 1 {
			join = "controller.quorum.bootstrap.servers=" + clusterAddr(t, nodes[1])
			own = append(own, join)
		}
		nodes[id] = startNode(t, disks[id], own...)
	}
	return nodes, join
}

// await waits until all nodes' metadata has what is asked for.
func await(t *testing.T, what string, nodes []*Node, ok func(*controller.Image) bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		all := true
		for _, n := range nodes {
			all = all && ok(n.quorum.Image())
		}
		if all {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func partitionOf(img *controller.Image, topic string) *controller.Partition {
	if tp, ok := img.Topic(topic); ok {
		return tp.Partitions[0]
	}
	return nil
}

func TestRecordsAreOnAllReplicasAndLeadershipMoves(t *testing.T) {
	nodes, disks, _ := startThree(t)
	c := client(t, nodes[2], kgo.SeedBrokers(nodes[1].Addr(), nodes[2].Addr(), nodes[3].Addr()))
	ordersOnThree(t, c, nodes)
	produce(t, c, "orders", "one", "two")
	was := partitionOf(nodes[1].quorum.Image(), "orders")
	old := nodes[was.Leader]
	var others []*Node
	for _, n := range nodes[1:] {
		if n != old {
			others = append(others, n)
		}
	}
	stopNode(t, old)
	await(t, "another leader", others, func(img *controller.Image) bool {
		p := partitionOf(img, "orders")
		return p.Leader > 0 && p.Leader != was.Leader
	})
	produce(t, c, "orders", "three")
	now := nodes[partitionOf(others[0].quorum.Image(), "orders").Leader]
	if got := values(t, leader(t, now, "orders", 0)); len(got) != 3 || got[0] != "one" || got[2] != "three" {
		t.Errorf("the new leader has %v", got)
	}
	via := "controller.quorum.bootstrap.servers=" + clusterAddr(t, others[0])
	back := startNode(t, disks[was.Leader], fmt.Sprintf("node.id=%d", was.Leader), via)
	others = append(others, back)
	await(t, "all replicas in sync again", others, func(img *controller.Image) bool { return len(partitionOf(img, "orders").ISR) == 3 })
	tp, _ := back.quorum.Image().Topic("orders")
	p, err := back.manager.Partition(kafkaproto.TopicPartition{Topic: tp.ID})
	if err != nil || p.Status().End != 3 {
		t.Errorf("the one that came back has %+v, %v", p.Status(), err)
	}
}

func TestANodeThatStopsIsFencedBeforeItsDoorsClose(t *testing.T) {
	nodes, _, _ := startThree(t)
	stopNode(t, nodes[2])
	if b, ok := nodes[2].quorum.Image().Broker(2); !ok || !b.Fenced { // nobody had to find out
		t.Errorf("it went with %+v", b)
	}
}

// ordersOnThree makes a topic with three replicas, of which two must be in sync, and finds who leads it.
func ordersOnThree(t *testing.T, c *kgo.Client, nodes [4]*Node) int32 {
	t.Helper()
	two := "2"
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 3, map[string]*string{"min.insync.replicas": &two}, "orders"); err != nil {
		t.Fatal(err)
	}
	await(t, "the topic", nodes[1:], func(img *controller.Image) bool { return partitionOf(img, "orders") != nil })
	return partitionOf(nodes[1].quorum.Image(), "orders").Leader
}

func TestDamageIsHealedFromAnotherReplica(t *testing.T) {
	nodes, disks, _ := startThree(t)
	c := client(t, nodes[1], kgo.SeedBrokers(nodes[1].Addr(), nodes[2].Addr(), nodes[3].Addr()))
	lead := ordersOnThree(t, c, nodes)
	produce(t, c, "orders", "one")
	produce(t, c, "orders", "two-to-be-damaged")
	produce(t, c, "orders", "three")
	crashed := disks[lead].CrashClone(vfs.CrashCloneCfg{})
	damage(t, crashed, "two-to-be-damaged")
	stopNode(t, nodes[lead])
	via := nodes[lead%3+1]
	back := startNode(t, crashed, fmt.Sprintf("node.id=%d", lead), "controller.quorum.bootstrap.servers="+clusterAddr(t, via))
	await(t, "all replicas in sync again", []*Node{via, back}, func(img *controller.Image) bool { return len(partitionOf(img, "orders").ISR) == 3 })
	if _, err := kadm.NewClient(c).ElectLeaders(t.Context(), kadm.ElectPreferredReplica, nil); err != nil {
		t.Fatal(err)
	}
	await(t, "the healed replica leads", []*Node{back}, func(img *controller.Image) bool { return partitionOf(img, "orders").Leader == lead })
	if got := whole(t, back, 3); len(got) != 3 || got[1] != "two-to-be-damaged" {
		t.Errorf("the healed replica has %v", got)
	}
}

// whole reads the topic from a leader that may not know yet that its followers have all of it.
func whole(t *testing.T, n *Node, records kafkaproto.Offset) map[kafkaproto.Offset]string {
	t.Helper()
	p := leader(t, n, "orders", 0)
	await(t, "all records committed", []*Node{n}, func(*controller.Image) bool { return p.Status().HighWatermark >= records })
	return values(t, p)
}

func TestDamageThatOnlyThisNodeCouldMendIsNamed(t *testing.T) {
	nodes, disks, join := startThree(t)
	c := client(t, nodes[1])
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "orders", "one")
	produce(t, c, "orders", "two-to-be-damaged")
	produce(t, c, "orders", "three")
	await(t, "the topic", nodes[1:], func(img *controller.Image) bool { return partitionOf(img, "orders") != nil })
	lead := partitionOf(nodes[1].quorum.Image(), "orders").Leader
	crashed := disks[lead].CrashClone(vfs.CrashCloneCfg{})
	damage(t, crashed, "two-to-be-damaged")
	stopNode(t, nodes[lead])
	if lead == 1 {
		join = "controller.quorum.bootstrap.servers=" + clusterAddr(t, nodes[2])
	}
	if n, err := tryNode(t, crashed, fmt.Sprintf("node.id=%d", lead), join); err == nil || !strings.Contains(err.Error(), "unsafe.accept.corruption") {
		t.Errorf("started, or did not name the way out: %v", err)
		if n != nil {
			stopNode(t, n)
		}
	}
}

// A byte flips on the leader's disk while a replica is away. The replica finds it, the leader gives up, and is healed itself.
func TestAFollowersCRCCheckHealsTheLeader(t *testing.T) {
	nodes, disks, _ := startThree(t)
	c := client(t, nodes[1], kgo.SeedBrokers(nodes[1].Addr(), nodes[2].Addr(), nodes[3].Addr()))
	lead := ordersOnThree(t, c, nodes)
	away := lead%3 + 1
	third := away%3 + 1
	produce(t, c, "orders", "one")
	stopNode(t, nodes[away])
	produce(t, c, "orders", "two-to-be-damaged")
	produce(t, c, "orders", "three")
	damage(t, disks[lead], "two-to-be-damaged")
	back := startNode(t, disks[away], fmt.Sprintf("node.id=%d", away), "controller.quorum.bootstrap.servers="+clusterAddr(t, nodes[third]))
	up := []*Node{nodes[lead], nodes[third], back}
	await(t, "another leader, and all in sync", up, func(img *controller.Image) bool {
		p := partitionOf(img, "orders")
		return p.Leader != lead && p.Leader > 0 && len(p.ISR) == 3
	})
	if _, err := kadm.NewClient(c).ElectLeaders(t.Context(), kadm.ElectPreferredReplica, nil); err != nil {
		t.Fatal(err)
	}
	await(t, "the healed replica leads", up, func(img *controller.Image) bool { return partitionOf(img, "orders").Leader == lead })
	if got := whole(t, nodes[lead], 3); len(got) != 3 || got[1] != "two-to-be-damaged" {
		t.Errorf("the healed replica has %v", got)
	}
}

// A bit flips in a file that nobody reads. The scrubber finds it, on the leader as on a follower, and the replica is healed from
// another.
func TestTheScrubberHealsWhatNobodyReads(t *testing.T) {
	for victim, role := range []string{1: "leader", 2: "follower"} {
		if role == "" {
			continue
		}
		t.Run(role, func(t *testing.T) {
			nodes, disks, _ := startThree(t, "log.wal.file.bytes=1048576", "log.scrub.interval.ms=1000", "log.scrub.bytes.per.second=100000000")
			c := client(t, nodes[3], kgo.SeedBrokers(nodes[1].Addr(), nodes[2].Addr(), nodes[3].Addr()), kgo.ProducerBatchCompression(kgo.NoCompression()))
			two := "2"
			_, err := nodes[1].quorum.Submit(t.Context(), controller.CreateTopics{Topics: []controller.CreateTopic{{
				Name: "orders", NumPartitions: -1, ReplicationFactor: -1, Assignments: []controller.Assignment{{Brokers: []int32{1, 2, 3}}},
				Configs: map[string]*string{"min.insync.replicas": &two},
			}}})
			if err != nil {
				t.Fatal(err)
			}
			produce(t, c, "orders", "one", "two-to-be-damaged", "three")
			filler := strings.Repeat("x", 300_000)
			produce(t, c, "orders", filler, filler, filler, filler, filler) // the first file is sealed
			epoch := partitionOf(nodes[3].quorum.Image(), "orders").PartitionEpoch
			damage(t, disks[victim], "two-to-be-damaged")
			await(t, "the replica out of the ISR and in it again", nodes[1:], func(img *controller.Image) bool {
				p := partitionOf(img, "orders")
				return len(p.ISR) == 3 && p.PartitionEpoch >= epoch+2
			})
			if victim != 1 {
				stopNode(t, nodes[1]) // the next of its replicas leads then
			} else if _, err := kadm.NewClient(c).ElectLeaders(t.Context(), kadm.ElectPreferredReplica, nil); err != nil {
				t.Fatal(err)
			}
			await(t, "the healed replica leads", []*Node{nodes[victim]}, func(img *controller.Image) bool {
				return partitionOf(img, "orders").Leader == int32(victim)
			})
			if got := whole(t, nodes[victim], 8); len(got) != 8 || got[1] != "two-to-be-damaged" {
				t.Errorf("the healed replica has %d records, the second %.40q", len(got), got[1])
			}
		})
	}
}

// Whoever is in the ISR must have all that was committed: a follower that knows of damage cuts nothing off before it has left.
func TestADamagedFollowerLeavesTheISRBeforeItCuts(t *testing.T) {
	nodes, disks, _ := startThree(t)
	c := client(t, nodes[3], kgo.SeedBrokers(nodes[1].Addr(), nodes[2].Addr(), nodes[3].Addr()))
	_, err := nodes[1].quorum.Submit(t.Context(), controller.CreateTopics{Topics: []controller.CreateTopic{{
		Name: "orders", NumPartitions: -1, ReplicationFactor: -1, Assignments: []controller.Assignment{{Brokers: []int32{1, 2, 3}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	produce(t, c, "orders", "one", "two-to-be-damaged", "three")
	topic, _ := nodes[3].quorum.Image().Topic("orders")
	l, ok := nodes[3].dirs[0].engine.Log(kafkaproto.TopicPartition{Topic: topic.ID})
	if !ok {
		t.Fatal("no log")
	}
	await(t, "all of it on the follower", nodes[3:], func(*controller.Image) bool { return l.Ends().Written == 3 })
	var left atomic.Bool
	nodes[3].quorum.Watch(func(img *controller.Image, _ controller.Changes) {
		if p := partitionOf(img, "orders"); !slices.Contains(p.ISR, 3) {
			left.Store(true)
		} else if !left.Load() && l.Ends().Next < 3 {
			t.Error("it was cut while in the ISR")
		}
	})
	damage(t, disks[3], "two-to-be-damaged")
	if err := l.CheckAt(0, 1<<20); err == nil {
		t.Fatal("nothing is damaged")
	}
	stopNode(t, nodes[1]) // a new leader epoch: the follower looks at its log anew
	await(t, "the follower out of the ISR and in it again", nodes[3:], func(img *controller.Image) bool {
		return left.Load() && slices.Contains(partitionOf(img, "orders").ISR, 3)
	})
	if _, damaged := l.FirstHole(); damaged || l.Ends().Written != 3 || l.CheckAt(0, 1<<20) != nil {
		t.Errorf("it has %+v, damaged: %v", l.Ends(), damaged)
	}
}

// A follower may ask for a partition before the leader has heard of it. What it asks for beside it must not keep it waiting then.
func TestANewTopicIsReplicatedAtOnce(t *testing.T) {
	nodes, _, _ := startThree(t, "replica.fetch.wait.max.ms=20000")
	c := client(t, nodes[1], kgo.SeedBrokers(nodes[1].Addr(), nodes[2].Addr(), nodes[3].Addr()))
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second) // for all of them, less than one such wait
	defer cancel()
	for i := range 40 {
		topic := fmt.Sprint("t", i)
		if _, err := kadm.NewClient(c).CreateTopic(ctx, 3, 3, nil, topic); err != nil {
			t.Fatal(err)
		}
		for p := range int32(3) {
			if err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatalf("%s: %v", topic, err)
			}
		}
	}
}
