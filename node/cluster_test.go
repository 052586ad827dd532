package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// startThree starts three nodes, the second and third of which join the first.
func startThree(t *testing.T, settings ...string) (nodes [4]*Node, disks [4]*env.MemFS, join string) {
	t.Helper()
	for id := 1; id <= 3; id++ {
		disks[id] = env.NewMem()
		own := append([]string{fmt.Sprintf("node.id=%d", id)}, settings...)
		if id > 1 {
			join = "controller.quorum.bootstrap.servers=" + clusterAddr(t, nodes[1])
			own = append(own, join)
		}
		nodes[id] = startNode(t, disks[id], own...)
	}
	return nodes, disks, join
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
	two := "2"
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 3, map[string]*string{"min.insync.replicas": &two}, "orders"); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "orders", "one", "two")
	await(t, "the topic", nodes[1:], func(img *controller.Image) bool { return partitionOf(img, "orders") != nil })
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
