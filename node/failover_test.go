package node

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// startThreeWithTopic starts three nodes with a topic of one partition on all of them, and finds its leader.
func startThreeWithTopic(t *testing.T, topic string) (nodes [4]*Node, leader *Node, others []*Node) {
	t.Helper()
	nodes, _, _ = startThree(t)
	c := client(t, nodes[1])
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 3, nil, topic); err != nil {
		t.Fatal(err)
	}
	await(t, "the topic in sync", nodes[1:], func(img *controller.Image) bool {
		p := partitionOf(img, topic)
		return p != nil && len(p.ISR) == 3
	})
	for id := int32(1); id <= 3; id++ {
		if n := nodes[id]; partitionOf(n.quorum.Image(), topic).Leader == id {
			leader = n
		} else {
			others = append(others, n)
		}
	}
	return nodes, leader, others
}

// A metadata answer that names a leader whose process is dead is held back until it is fenced: the client may not ask again
// for seconds.
func TestMetadataWaitsUntilADeadLeaderIsFenced(t *testing.T) {
	_, leader, others := startThreeWithTopic(t, "orders")
	id := leader.set.nodeID
	c := client(t, others[0])
	c.PurgeTopicsFromClient()
	askMetadata(t, c, others[0]) // connects
	await(t, "a connection to the leader", others[:1], func(*controller.Image) bool { return slices.Contains(others[0].peers.Connected(), id) })
	// Its Kafka side dies. That its cluster side lives keeps the controller from seeing it, until it is told.
	for _, l := range leader.clients {
		_ = l.Close()
	}
	leader.server.Close()
	const later = 300 * time.Millisecond
	go func() {
		time.Sleep(later)
		_, _ = others[1].quorum.Submit(context.Background(), controller.FenceBroker{ID: id, Epoch: leader.epoch})
	}()
	began := time.Now()
	resp := askMetadata(t, c, others[0])
	took := time.Since(began)
	for _, b := range resp.Brokers {
		if b.NodeID == id {
			t.Errorf("after %v the dead broker %d is still named", took, id)
		}
	}
	if took >= doubtTime {
		t.Errorf("the answer took %v", took)
	}
}

// Where nobody can judge a broker that seems to be dead, answers wait once, not each.
func TestMetadataWaitsOnlyOnceForWhatNobodyDecides(t *testing.T) {
	_, leader, others := startThreeWithTopic(t, "orders")
	c := client(t, others[0])
	askMetadata(t, c, others[0])
	for _, l := range leader.clients {
		_ = l.Close()
	}
	leader.server.Close()
	askMetadata(t, c, others[0])
	began := time.Now()
	askMetadata(t, c, others[0])
	if took := time.Since(began); took > doubtTime/2 {
		t.Errorf("the second answer took %v", took)
	}
}

func askMetadata(t *testing.T, c *kgo.Client, n *Node) *kmsg.MetadataResponse {
	t.Helper()
	resp, err := c.Broker(int(n.set.nodeID)).Request(t.Context(), kmsg.NewPtrMetadataRequest())
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.MetadataResponse)
}

// A producer that comes while its leader stops is told who leads now, instead of being hung up on.
func TestProducersAreToldOfTheNewLeaderBeforeTheDoorsClose(t *testing.T) {
	_, leader, others := startThreeWithTopic(t, "orders")
	id := leader.set.nodeID
	c := client(t, others[0])
	topic, _ := leader.quorum.Image().Topic("orders")
	toOld := c.Broker(int(id))
	if code, _ := emptyProduce(t, toOld, topic.ID); code == kafkaproto.ErrNotLeaderOrFollower.Num {
		t.Fatal("it is not the leader")
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stopNode(t, leader)
	}()
	defer func() { <-stopped }()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		code, named := emptyProduce(t, toOld, topic.ID)
		if code != kafkaproto.ErrNotLeaderOrFollower.Num {
			continue
		}
		if named == id || named < 0 {
			t.Errorf("leader %d is named", named)
		}
		return
	}
	t.Error("the leader never said that it isn't one any more")
}

// emptyProduce asks to append nothing, which a leader refuses for other reasons than others do.
func emptyProduce(t *testing.T, b *kgo.Broker, topic kafkaproto.TopicID) (code int16, leader int32) {
	t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 1000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = "orders", topic
	rt.Partitions = append(rt.Partitions, kmsg.NewProduceRequestTopicPartition())
	rt.Partitions[0].Records = []byte{}
	req.Topics = append(req.Topics, rt)
	resp, err := b.Request(t.Context(), req)
	if err != nil {
		t.Fatalf("hung up on: %v", err)
	}
	p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return p.ErrorCode, p.CurrentLeader.LeaderID
}

// deafen keeps nodes from hearing of what is decided from here on, until again is called. hearing is none of them.
func deafen(t *testing.T, hearing *Node, nodes ...*Node) (again func()) {
	t.Helper()
	hear := make(chan struct{})
	again = sync.OnceFunc(func() { close(hear) })
	t.Cleanup(again)
	for _, n := range nodes {
		n.quorum.Watch(func(image *controller.Image, _ controller.Changes) {
			if partitionOf(image, "deaf") != nil {
				<-hear
			}
		})
	}
	createAt(t, hearing, "deaf")
	return again
}

// createAt creates a topic by way of a node.
func createAt(t *testing.T, n *Node, topic string) {
	t.Helper()
	_, err := n.quorum.Submit(t.Context(), controller.CreateTopics{Topics: []controller.CreateTopic{
		{Name: topic, NumPartitions: 1, ReplicationFactor: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// A producer that another node has sent to the new leader, before that one has heard of it, is taken all the same.
func TestANewLeaderTakesWhatComesBeforeItHasHeardOfIt(t *testing.T) {
	nodes, leader, others := startThreeWithTopic(t, "orders")
	again := deafen(t, leader, others...)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stopNode(t, leader)
	}()
	defer func() {
		again()
		<-stopped
	}()
	var now int32
	await(t, "another leader, as the old one sees it", []*Node{leader}, func(img *controller.Image) bool {
		now = partitionOf(img, "orders").Leader
		return now != leader.set.nodeID
	})
	if partitionOf(nodes[now].quorum.Image(), "orders").Leader == now {
		t.Fatal("the new leader has heard of it")
	}
	topic, _ := leader.quorum.Image().Topic("orders")
	time.AfterFunc(catchUpTime/10, again)
	code, _ := emptyProduce(t, client(t, nodes[now]).Broker(int(now)), topic.ID)
	if code == kafkaproto.ErrNotLeaderOrFollower.Num {
		t.Errorf("the new leader says: %v", kafkaproto.ErrorForCode(code))
	}
}

// Whoever has created a topic by way of one node finds it on every other.
func TestATopicIsFoundOnANodeThatHasNotHeardOfItYet(t *testing.T) {
	nodes, _, _ := startThree(t)
	late := nodes[3]
	again := deafen(t, nodes[1], late)
	createAt(t, nodes[1], "orders")
	c := client(t, late)
	time.AfterFunc(catchUpTime/10, again)
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("orders")
	req.Topics = append(req.Topics, topic)
	resp, err := c.Broker(int(late.set.nodeID)).Request(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if code := resp.(*kmsg.MetadataResponse).Topics[0].ErrorCode; code != 0 {
		t.Errorf("told %v", kafkaproto.ErrorForCode(code))
	}
}
