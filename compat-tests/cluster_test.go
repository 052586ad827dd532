package compat

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const clusterNodes = 3

// cluster is three brokers that are a quorum of three. Node n is nodes[n-1].
type cluster struct {
	t     testing.TB
	nodes []*broker
	net   *network // nil where all are on the loopback
	admin *kadm.Client
}

// newCluster prepares three nodes without starting them: on the loopback, or each in a network namespace of its own.
func newCluster(t testing.TB, net *network, flags ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, net: net}
	for id := 1; id <= clusterNodes; id++ {
		b := prepareBroker(t, id, flags...)
		b.dir = filepath.Join(memoryDir(t), "data")
		if net != nil {
			b.namespace = net.namespace(id)
			host := net.host(id)
			b.addr, b.cluster, b.admin = host+":9092", host+":9093", host+":9180"
		}
		c.nodes = append(c.nodes, b)
	}
	voters := votersOf(c.nodes)
	for _, b := range c.nodes {
		b.voters = voters
		b.format()
	}
	return c
}

// memoryDir is a directory that goes with the test, in memory where the system has a place for that: nodes that share a disk
// hold up each other's syncs, which is not what is measured.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "streambus")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// startCluster starts three nodes and waits until they serve and know each other.
func startCluster(t testing.TB, net *network, flags ...string) *cluster {
	t.Helper()
	c := newCluster(t, net, flags...)
	c.start()
	return c
}

func (c *cluster) start() {
	c.t.Helper()
	for _, b := range c.nodes {
		b.exec()
	}
	for _, b := range c.nodes {
		b.waitReady(readyWithin)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addrs()...), kgo.MetadataMinAge(50*time.Millisecond), kgo.AlwaysRetryEOF(),
		kgo.RequestTimeoutOverhead(5*time.Second), kgo.RetryTimeout(30*time.Second))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	c.admin = kadm.NewClient(client)
	c.await("three brokers", func(s sight) bool { return s.err == nil && len(s.brokers) == clusterNodes })
}

func (c *cluster) node(id int32) *broker { return c.nodes[id-1] }

func (c *cluster) addrs() []string {
	var addrs []string
	for _, b := range c.nodes {
		addrs = append(addrs, b.addr)
	}
	return addrs
}

// bootstrap is all nodes' addresses for a client.
func (c *cluster) bootstrap() string { return strings.Join(c.addrs(), ",") }

// createTopic makes a topic with three replicas, of which two must have a record. The leaders that are preferred are the
// given ones, in order of the partitions.
func (c *cluster) createTopic(topic string, leaders ...int32) {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, -1, -1
	for p, leader := range leaders {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition = int32(p)
		for i := range int32(clusterNodes) {
			a.Replicas = append(a.Replicas, (leader-1+i)%clusterNodes+1)
		}
		rt.ReplicaAssignment = append(rt.ReplicaAssignment, a)
	}
	config := kmsg.NewCreateTopicsRequestTopicConfig()
	config.Name, config.Value = "min.insync.replicas", kmsg.StringPtr("2")
	rt.Configs = append(rt.Configs, config)
	req.Topics = append(req.Topics, rt)
	w := openWire(c.t, c.nodes[0].addr)
	defer w.close()
	req.Version = 5
	resp := w.must(c.t, req).(*kmsg.CreateTopicsResponse)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		c.t.Fatalf("creating %s: error %d", topic, code)
	}
}

// sight is what one node says of the cluster.
type sight struct {
	node       int32
	err        error
	brokers    []int32
	controller int32
	leader     map[int32]int32 // of the partitions of the topic that was asked for
	isr        map[int32][]int32
}

// look asks a node, within a second, without any client's memory.
func (c *cluster) look(id int32, topic string) sight {
	s := sight{node: id, leader: map[int32]int32{}, isr: map[int32][]int32{}}
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 8
	req.AllowAutoTopicCreation = false
	req.Topics = []kmsg.MetadataRequestTopic{}
	if topic != "" {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &topic
		req.Topics = append(req.Topics, rt)
	}
	resp, err := askOnce(c.node(id).addr, req, time.Second)
	if err != nil {
		s.err = err
		return s
	}
	m := resp.(*kmsg.MetadataResponse)
	s.controller = m.ControllerID
	for _, b := range m.Brokers {
		s.brokers = append(s.brokers, b.NodeID)
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			s.leader[p.Partition] = p.Leader
			s.isr[p.Partition] = p.ISR
			slices.Sort(s.isr[p.Partition])
		}
	}
	return s
}

// askOnce sends one request on a connection of its own.
func askOnce(addr string, req kmsg.Request, within time.Duration) (kmsg.Response, error) {
	w, err := dialWireWithin(addr, within)
	if err != nil {
		return nil, err
	}
	defer w.close()
	w.limit = within
	return w.ask(req)
}

// clusterWithin bounds what a cluster takes to get over anything.
const clusterWithin = 60 * time.Second

// await waits until every node says so.
func (c *cluster) await(what string, ok func(sight) bool) {
	c.t.Helper()
	c.awaitTopic(what, "", ok)
}

func (c *cluster) awaitTopic(what, topic string, ok func(sight) bool) {
	c.t.Helper()
	deadline := time.Now().Add(clusterWithin)
	for {
		var seen []sight
		all := true
		for id := int32(1); id <= clusterNodes; id++ {
			s := c.look(id, topic)
			seen = append(seen, s)
			all = all && ok(s)
		}
		if all {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("not within %v: %s; the nodes say %+v", clusterWithin, what, seen)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// healthy waits until every node knows all of them, one controller, and all replicas of the topic in sync.
func (c *cluster) healthy(topic string) (leaders map[int32]int32, controller int32) {
	c.t.Helper()
	c.awaitTopic("all replicas of "+topic+" in sync", topic, func(s sight) bool {
		if s.err != nil || len(s.brokers) != clusterNodes || len(s.leader) == 0 {
			return false
		}
		if s.node == 1 {
			leaders, controller = s.leader, s.controller
		}
		for p, isr := range s.isr {
			if len(isr) != clusterNodes || s.leader[p] != leaders[p] || s.leader[p] < 0 {
				return false
			}
		}
		return s.controller == controller && controller > 0
	})
	return leaders, controller
}

// elect gives the partitions of a topic to the leaders that are preferred.
func (c *cluster) elect(topic string, leaders ...int32) {
	c.t.Helper()
	c.healthy(topic)
	set := kadm.TopicsSet{}
	for p := range leaders {
		set.Add(topic, int32(p))
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), clusterWithin)
	defer cancel()
	if _, err := c.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, set); err != nil {
		c.t.Fatalf("electing the preferred leaders of %s: %v", topic, err)
	}
	c.awaitTopic("preferred leaders", topic, func(s sight) bool {
		for p, leader := range leaders {
			if s.leader[int32(p)] != leader {
				return false
			}
		}
		return s.err == nil
	})
}

// restart ends a node as a service manager would and starts it again.
func (c *cluster) restart(id int32) {
	c.t.Helper()
	c.node(id).stop()
	c.node(id).start()
}

// signal sends a signal to a node's process.
func (c *cluster) signal(id int32, sig syscall.Signal) {
	c.t.Helper()
	if err := syscall.Kill(c.node(id).pid(), sig); err != nil {
		c.t.Fatalf("%v to node %d: %v", sig, id, err)
	}
}
