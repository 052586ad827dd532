package node

import (
	"context"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// network is what nodes reach one another over; clients have a way of their own.
type network struct {
	mu    sync.Mutex
	alone int // the node that nobody reaches and that reaches nobody; 0: none
	owner map[string]int
	calls map[*call]bool
}

// call is a connection from a node to an address.
type call struct {
	net.Conn
	of *network
	by int
	to string
}

func (c *call) Close() error {
	c.of.mu.Lock()
	delete(c.of.calls, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// spot is the network as one node has it.
type spot struct {
	env.Net
	of *network
	id int
}

func (p spot) Listen(kind, address string) (net.Listener, error) {
	l, err := p.Net.Listen(kind, address)
	if err == nil {
		p.of.mu.Lock()
		p.of.owner[l.Addr().String()] = p.id
		p.of.mu.Unlock()
	}
	return l, err
}

func (n *network) cut(by int, to string) bool {
	return n.alone != 0 && (by == n.alone) != (n.owner[to] == n.alone)
}

func (p spot) Dial(kind, address string, timeout time.Duration) (net.Conn, error) {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	if p.of.cut(p.id, address) {
		return nil, &net.OpError{Op: "dial", Net: kind, Err: os.ErrDeadlineExceeded} // nothing comes back
	}
	c, err := p.Net.Dial(kind, address, timeout)
	if err != nil {
		return nil, err
	}
	made := &call{c, p.of, p.id, address}
	p.of.calls[made] = true
	return made, nil
}

// isolate cuts a node off; 0 heals.
func (n *network) isolate(id int) {
	n.mu.Lock()
	n.alone = id
	var gone []*call
	for c := range n.calls {
		if n.cut(c.by, c.to) {
			gone = append(gone, c)
		}
	}
	n.mu.Unlock()
	for _, c := range gone {
		_ = c.Close()
	}
}

// rawBatch is one record as clients send it.
func rawBatch(value string) []byte {
	r := kmsg.Record{Value: []byte(value)}
	r.Length = int32(len(r.AppendTo(nil)) - 1)
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, FirstTimestamp: now, MaxTimestamp: now, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: 1, Records: r.AppendTo(nil),
	}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

// refusesWrites fails the test unless a node answers a write with an error that tells clients to try again.
func refusesWrites(t *testing.T, n *Node, topic string, acks int16) {
	t.Helper()
	c := client(t, n)
	if err := c.Ping(t.Context()); err != nil { // so that the client knows it by its id
		t.Fatal(err)
	}
	tp, _ := n.quorum.Image().Topic(topic)
	req, rt, rp := kmsg.NewPtrProduceRequest(), kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	rp.Records = rawBatch("lost")
	rt.Topic, rt.TopicID, rt.Partitions = topic, tp.ID, append(rt.Partitions, rp)
	req.Acks, req.TimeoutMillis, req.Topics = acks, 300, append(req.Topics, rt)
	answer, err := c.Broker(int(n.set.nodeID)).Request(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	code := answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
	if err := kerr.TypedErrorForCode(code); err == nil || !err.Retriable {
		t.Errorf("acks=%d: %v", acks, err)
	}
}

// A minority can't know what the others decide: it takes no writes and changes no metadata, and what was committed can be read.
func TestANodeThatIsCutOffRefusesWritesAndServesReads(t *testing.T) {
	const session = time.Second
	lan := &network{owner: map[string]int{}, calls: map[*call]bool{}}
	var nodes [4]*Node
	join := "num.partitions=1"
	for id := 1; id <= 3; id++ {
		e := env.System()
		e.FS, e.Net = env.NewMem(), spot{e.Net, lan, id}
		n, err := tryNodeIn(t, e, fmt.Sprintf("node.id=%d", id), join, fmt.Sprintf("broker.session.timeout.ms=%d", session.Milliseconds()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopNode(t, n) })
		if nodes[id] = n; id == 1 {
			join = "controller.quorum.bootstrap.servers=" + clusterAddr(t, n)
		}
	}
	all := client(t, nodes[1], kgo.SeedBrokers(nodes[1].Addr(), nodes[2].Addr(), nodes[3].Addr()))
	two := "2"
	if _, err := kadm.NewClient(all).CreateTopic(t.Context(), 1, 3, map[string]*string{"min.insync.replicas": &two}, "orders"); err != nil {
		t.Fatal(err)
	}
	produce(t, all, "orders", "one", "two")
	await(t, "the topic", nodes[1:], func(img *controller.Image) bool { return partitionOf(img, "orders") != nil })
	lone := nodes[partitionOf(nodes[1].quorum.Image(), "orders").Leader]
	others := slices.DeleteFunc(slices.Clone(nodes[1:]), func(n *Node) bool { return n == lone })

	lan.isolate(int(lone.set.nodeID))
	began := time.Now()
	refusesWrites(t, lone, "orders", -1)
	await(t, "another leader", others, func(img *controller.Image) bool {
		p := partitionOf(img, "orders")
		return p.Leader >= 0 && p.Leader != lone.set.nodeID
	})
	if !lone.quorum.Lease().Before(time.Now()) {
		t.Errorf("another leads after %v, and the lease of the one that is cut off goes on for %v", time.Since(began), time.Until(lone.quorum.Lease()))
	}
	refusesWrites(t, lone, "orders", -1)
	refusesWrites(t, lone, "orders", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	_, err := lone.quorum.Submit(ctx, controller.CreateTopics{Topics: []controller.CreateTopic{{Name: "lost", NumPartitions: 1, ReplicationFactor: 1}}})
	cancel()
	if err == nil {
		t.Error("a topic was made without a majority")
	}
	if got := values(t, leader(t, lone, "orders", 0)); len(got) != 2 || got[0] != "one" || got[1] != "two" {
		t.Errorf("what is committed reads as %v", got)
	}
	produce(t, client(t, others[0], kgo.SeedBrokers(others[0].Addr(), others[1].Addr())), "orders", "three")

	lan.isolate(0)
	await(t, "all in sync again", nodes[1:], func(img *controller.Image) bool { return len(partitionOf(img, "orders").ISR) == 3 })
	produce(t, all, "orders", "four")
	if _, err := lone.quorum.Submit(t.Context(), controller.ElectLeaders{}); err != nil { // it is the preferred one
		t.Fatal(err)
	}
	await(t, "it leads again", nodes[1:], func(img *controller.Image) bool { return partitionOf(img, "orders").Leader == lone.set.nodeID })
	produce(t, all, "orders", "five")
	got := values(t, leader(t, lone, "orders", 0))
	for i, want := range []string{"one", "two", "three", "four", "five"} {
		if v := got[kafkaproto.Offset(i)]; v != want || len(got) != 5 {
			t.Fatalf("healed, it has %v", got)
		}
	}
}
