package partition

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// testCluster is three nodes in one process: real engines on disks in memory, a network that a test can cut, and the real
// controller machine, which tells all nodes that it can reach.
type testCluster struct {
	t      testing.TB
	policy string
	set    []string

	timeout time.Duration // of appends
	net     fakeNet
	nodes   [4]*clusterNode // by id; 0 is nobody

	mu      sync.Mutex // the controller; taken before any node's
	machine *controller.Machine
	img     *controller.Image
	topics  byte
}

// clusterNode is one of them. alive is what the outside sees: a node that is being crashed does nothing any more, though its
// goroutines may still run for a moment.
type clusterNode struct {
	c       *testCluster
	id      int32
	mem     *env.MemFS
	life    byte
	epoch   int64
	dir     *log.Directory
	engine  *log.Engine
	manager *Manager
	missed  bool // images, while it was cut off

	outside sync.RWMutex // held to read while something is done that others see
	alive   bool
	fetches *fetchServer
}

func startCluster(t testing.TB, policy string, set ...string) *testCluster {
	t.Helper()
	c := &testCluster{t: t, policy: policy, timeout: 2 * time.Second, img: controller.NewImage()}
	c.set = append([]string{"log.flush.policy=" + policy, "replica.lag.time.max.ms=400", "replica.fetch.wait.max.ms=50",
		"replica.fetch.backoff.ms=40"}, set...)
	c.net.rng = rand.New(rand.NewPCG(1, 2))
	c.machine = controller.NewMachine(c.img, controller.Defaults{
		NumPartitions: 1, ReplicationFactor: 3, MinInSyncReplicas: 1, SessionTimeout: time.Hour,
	})
	c.command(controller.CreateCluster{ID: [16]byte{1}})
	for id := int32(1); id <= 3; id++ {
		c.nodes[id] = &clusterNode{c: c, id: id, mem: env.NewMem()}
		c.nodes[id].start()
	}
	t.Cleanup(func() {
		for _, n := range c.nodes[1:] {
			n.close()
		}
	})
	return c
}

// command has the controller decide, and tells the nodes.
func (c *testCluster) command(cmd controller.Command) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.machine.Step(time.Now(), controller.Input{Ticket: 1, Command: cmd})
	if err := r.Replies[0].Err; err != nil {
		return nil, err
	}
	next, changes, err := c.img.Replay(r.Records)
	if err == nil {
		err = c.machine.Replay(r.Records)
	}
	if err != nil {
		c.t.Error(err)
		return nil, err
	}
	if c.img = next; len(r.Records) > 0 {
		for _, n := range c.nodes[1:] {
			n.see(next, changes)
		}
	}
	return r.Replies[0].Value, nil
}

func (c *testCluster) do(cmd controller.Command) any {
	c.t.Helper()
	v, err := c.command(cmd)
	if err != nil {
		c.t.Fatalf("%T: %v", cmd, err)
	}
	return v
}

func (c *testCluster) image() *controller.Image {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.img
}

// see has a node follow the metadata, if it hears of it.
func (n *clusterNode) see(next *controller.Image, changes controller.Changes) {
	if n == nil || n.manager == nil {
		return
	}
	if n.c.net.isCut(n.id, 0) {
		n.missed = true
		return
	}
	if n.missed {
		changes.All, n.missed = true, false
	}
	n.manager.Apply(next, changes)
}

// Submit is the node's Quorum.
func (n *clusterNode) Submit(_ context.Context, cmd controller.Command) (any, error) {
	if n.c.net.isCut(n.id, 0) || !n.isAlive() {
		return nil, kafkaproto.ErrNotController
	}
	return n.c.command(cmd)
}

func (n *clusterNode) isAlive() bool {
	n.outside.RLock()
	defer n.outside.RUnlock()
	return n.alive
}

func (n *clusterNode) start() {
	t := n.c.t
	t.Helper()
	n.life++
	r := controller.RegisterBroker{ID: n.id, Clean: n.life == 1 || n.c.policy == "always"}
	r.Incarnation[0], r.Incarnation[1] = byte(n.id), n.life
	r.Directories = [][16]byte{{byte(n.id)}}
	r.Listeners = []controller.Listener{{Name: "CLIENT", Protocol: "PLAINTEXT", Host: "host", Port: 9092}}
	n.epoch = n.c.do(r).(controller.RegisterBrokerAnswer).Epoch
	cfg, _, err := config.Load(config.Sources{Set: n.c.set})
	if err != nil {
		t.Fatal(err)
	}
	e := env.Env{Clock: env.System().Clock, Rand: env.System().Rand, FS: n.mem}
	if n.dir, err = log.OpenDirectory(e, "data", n.id); err != nil {
		t.Fatal(err)
	}
	if n.engine, err = log.Open(log.Options{Directory: n.dir, Env: e, FlushPolicy: flushPolicy(cfg), FileBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	n.outside.Lock()
	n.alive, n.fetches = true, newFetchServer(n)
	n.outside.Unlock()
	n.c.mu.Lock()
	n.manager = NewManager(Options{
		Env: e, NodeID: n.id, Dirs: []Dir{{Path: "data", Directory: n.dir, Engine: n.engine}}, Config: cfg, Quorum: n, Peers: link{n},
		Events: Events{Offline: func(ids []kafkaproto.TopicPartition, err error) { t.Errorf("offline: %v: %v", ids, err) }},
	})
	n.manager.Apply(n.c.img, controller.Changes{All: true})
	n.c.mu.Unlock()
	n.c.do(controller.UnfenceBroker{ID: n.id, Epoch: n.epoch})
}

// crash ends a node at once: as kill -9 does, or with a power cut, which takes what was not synced. The controller sees it.
func (n *clusterNode) crash(power bool) {
	n.c.t.Helper()
	kept := 100
	if power {
		kept = 30
	}
	n.outside.Lock()
	n.alive = false
	left := n.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rand.New(rand.NewPCG(uint64(n.id), uint64(n.life)))})
	n.outside.Unlock()
	n.fetches.close()
	n.c.do(controller.FenceBroker{ID: n.id, Epoch: n.epoch})
	n.close()
	n.mem = left
}

func (n *clusterNode) close() {
	n.c.mu.Lock()
	m := n.manager
	n.manager = nil
	n.c.mu.Unlock()
	if m == nil {
		return
	}
	n.outside.Lock()
	n.alive = false
	n.outside.Unlock()
	n.fetches.close()
	m.Close()
	_ = n.engine.Close()
	_ = n.dir.Close()
}

// topic creates a topic with replicas on all nodes.
func (c *testCluster) topic(name string, partitions int, configs ...string) kafkaproto.TopicID {
	c.t.Helper()
	replicas := make([][]int32, partitions)
	for i := range replicas {
		replicas[i] = []int32{int32(i%3 + 1), int32((i+1)%3 + 1), int32((i+2)%3 + 1)}
	}
	return c.create(name, replicas, configs...)
}

// topicOn creates a topic of one partition with replicas on these nodes.
func (c *testCluster) topicOn(name string, replicas ...int32) kafkaproto.TopicID {
	c.t.Helper()
	return c.create(name, [][]int32{replicas})
}

func (c *testCluster) create(name string, replicas [][]int32, configs ...string) kafkaproto.TopicID {
	c.t.Helper()
	c.topics++
	var id kafkaproto.TopicID
	binary.BigEndian.PutUint64(id[:], uint64(c.topics))
	create := controller.CreateTopic{Name: name, NumPartitions: -1, ReplicationFactor: -1, Configs: map[string]*string{}}
	for i, brokers := range replicas {
		create.Assignments = append(create.Assignments, controller.Assignment{Partition: kafkaproto.PartitionID(i), Brokers: brokers})
	}
	for i := 0; i+1 < len(configs); i += 2 {
		create.Configs[configs[i]] = &configs[i+1]
	}
	answers := c.do(controller.CreateTopics{Topics: []controller.CreateTopic{create}, IDs: []kafkaproto.TopicID{id}}).([]controller.CreateTopicAnswer)
	if answers[0].Err != nil {
		c.t.Fatal(answers[0].Err)
	}
	return answers[0].ID
}

func (c *testCluster) state(id kafkaproto.TopicPartition) *controller.Partition {
	p, ok := c.image().Partition(id)
	if !ok {
		c.t.Fatalf("no partition %v", id)
	}
	return p
}

// on is a node's replica; nil while the node is down.
func (c *testCluster) on(node int32, id kafkaproto.TopicPartition) *Partition {
	if node < 1 {
		return nil
	}
	c.mu.Lock()
	m := c.nodes[node].manager
	c.mu.Unlock()
	if m == nil {
		return nil
	}
	p, err := m.Partition(id)
	if err != nil {
		return nil
	}
	return p
}

// ack is the answer to an append, if the node lived to give it.
type ack struct {
	AppendResult
	lost bool
}

// produceTo appends at one node and waits for the answer.
func (c *testCluster) produceTo(node int32, id kafkaproto.TopicPartition, acks int16, records []byte) ack {
	p := c.on(node, id)
	if p == nil {
		return ack{lost: true}
	}
	n := c.nodes[node]
	done := make(chan ack, 1)
	p.Append(AppendRequest{
		Records: records, Acks: acks, Timeout: c.timeout, Client: true, Version: 13, CurrentLeaderEpoch: -1,
		Done: func(r AppendResult) {
			go func() {
				n.outside.RLock()
				defer n.outside.RUnlock()
				done <- ack{r, !n.alive}
			}()
		},
	})
	select {
	case a := <-done:
		return a
	case <-time.After(20 * time.Second):
		c.t.Errorf("an append at node %d was never answered", node)
		return ack{lost: true}
	}
}

// mustProduce appends at the leader with acks=all until that succeeds.
func (c *testCluster) mustProduce(id kafkaproto.TopicPartition, values ...string) kafkaproto.Offset {
	c.t.Helper()
	var last ack
	for range 200 {
		if last = c.produceTo(c.state(id).Leader, id, replication.AcksAll, batch(values...)); !last.lost && last.Err == nil {
			return last.BaseOffset
		}
		tick()
	}
	c.t.Fatalf("no append succeeded: %+v", last)
	return 0
}

// tick lets some time pass for others.
func tick() { <-time.After(5 * time.Millisecond) }

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !f(); tick() {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// inSync waits until the ISR has these members.
func (c *testCluster) inSync(id kafkaproto.TopicPartition, members int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d replicas of %v in sync", members, id.Partition), func() bool { return len(c.state(id).ISR) == members })
}

// content is all that a node's log has up to an offset.
func (c *testCluster) content(node int32, id kafkaproto.TopicPartition, upTo kafkaproto.Offset) []byte {
	c.t.Helper()
	p := c.on(node, id)
	var out []byte
	for from := p.log().Ends().Start; from < upTo; {
		read, err := p.log().Read(log.ReadRequest{From: from, UpTo: upTo, MaxBytes: 1 << 20, MinOneBatch: true})
		if err != nil {
			c.t.Fatal(err)
		}
		if read.Bytes == 0 {
			c.t.Fatalf("node %d has nothing at %d of %d", node, from, upTo)
		}
		from = read.Next
		out = append(out, bytesOf(c.t, ReadResult{Read: read})...)
	}
	return out
}
