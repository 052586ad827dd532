package partition

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// testNode is node 1 of a cluster of one over a disk in memory: a real engine, and metadata that the test makes up.
type testNode struct {
	t      testing.TB
	mem    *env.MemFS
	faults *env.FaultFS
	clock  *env.FakeClock
	policy string
	quiet  atomic.Bool // logs may be offline
	paths  []string    // of the data directories; the first is data

	verifier *fakeVerifier // nil for none

	dirs    []Dir
	engine  *log.Engine
	manager *Manager
	img     *controller.Image
	topics  uint64
	strange []kafkaproto.TopicPartition // quarantined
}

var testStart = time.UnixMilli(1_700_000_000_000)

const testTime = kafkaproto.Timestamp(1_700_000_000_000)

// startNode starts a node with that log.flush.policy. It is stopped when the test ends.
func startNode(t testing.TB, policy string) *testNode {
	t.Helper()
	n := &testNode{t: t, mem: env.NewMem(), clock: env.NewFakeClock(testStart), policy: policy, img: controller.NewImage()}
	n.open()
	t.Cleanup(func() { n.close() })
	return n
}

func (n *testNode) open() {
	n.t.Helper()
	n.faults = env.NewFaultFS(n.mem)
	e := env.Env{Clock: n.clock, Rand: env.System().Rand, FS: n.faults}
	cfg, _, err := config.Load(config.Sources{Set: []string{"log.flush.policy=" + n.policy}})
	n.must(err)
	n.dirs = nil
	for _, path := range append([]string{"data"}, n.paths...) {
		d := Dir{Path: path}
		d.Directory, err = log.OpenDirectory(e, path, 1)
		n.must(err)
		d.Engine, err = log.Open(log.Options{Directory: d.Directory, Env: e, FlushPolicy: flushPolicy(cfg), FileBytes: 4 << 20})
		n.must(err)
		n.dirs = append(n.dirs, d)
	}
	n.engine = n.dirs[0].Engine
	o := Options{Env: e, NodeID: 1, Dirs: n.dirs, Config: cfg, Events: Events{
		Quarantined: func(id kafkaproto.TopicPartition) { n.strange = append(n.strange, id) },
		Offline: func(ids []kafkaproto.TopicPartition, err error) {
			if !n.quiet.Load() {
				n.t.Errorf("offline: %v: %v", ids, err)
			}
		},
		BadConfig: func(topic string, err error) { n.t.Errorf("config of %s: %v", topic, err) },
	}}
	if n.verifier != nil {
		o.Verifier = n.verifier
	}
	n.manager = NewManager(o)
	n.manager.Apply(n.img, controller.Changes{All: true})
}

func (n *testNode) close() {
	if n.engine == nil {
		return
	}
	n.manager.Close()
	for _, d := range n.dirs {
		_ = d.Engine.Close()
		_ = d.Directory.Close()
	}
	n.engine = nil
}

// restart stops the node cleanly and starts it under new leader epochs.
func (n *testNode) restart() {
	n.t.Helper()
	n.close()
	n.bump()
	n.open()
}

// bump gives all partitions a new leader epoch, as a registration does, without telling the manager.
func (n *testNode) bump() {
	n.t.Helper()
	var events []controller.Event
	for t := range n.img.Topics() {
		for _, p := range t.Partitions {
			part := *p
			part.LeaderEpoch++
			part.PartitionEpoch++
			events = append(events, &controller.PartitionChanged{Topic: t.ID, Partition: part})
		}
	}
	var err error
	n.img, _, err = n.img.Replay(events)
	n.must(err)
}

// happen replays metadata events and has the manager follow.
func (n *testNode) happen(events ...controller.Event) {
	n.t.Helper()
	next, changes, err := n.img.Replay(events)
	n.must(err)
	n.img = next
	n.manager.Apply(next, changes)
}

// topic creates a topic of that many partitions that this node leads. Configs come as key, value, key, value.
func (n *testNode) topic(name string, partitions int, configs ...string) kafkaproto.TopicID {
	n.t.Helper()
	n.topics++
	var id kafkaproto.TopicID
	binary.BigEndian.PutUint64(id[:], n.topics)
	events := []controller.Event{&controller.TopicCreated{ID: id, Name: name}}
	for i := range partitions {
		events = append(events, &controller.PartitionChanged{Topic: id, Partition: controller.Partition{
			ID: kafkaproto.PartitionID(i), Replicas: []int32{1}, ISR: []int32{1}, Leader: 1,
		}})
	}
	events = append(events, setConfigs(name, configs...)...)
	n.happen(events...)
	return id
}

func setConfigs(topic string, configs ...string) []controller.Event {
	var events []controller.Event
	for i := 0; i+1 < len(configs); i += 2 {
		events = append(events, &controller.ConfigChanged{
			Resource: controller.ConfigResource{Kind: controller.TopicConfig, Name: topic}, Key: configs[i], Value: &configs[i+1],
		})
	}
	return events
}

// one creates a topic of one partition and returns that.
func (n *testNode) one(name string, configs ...string) *Partition {
	n.t.Helper()
	return n.partition(n.topic(name, 1, configs...), 0)
}

func (n *testNode) partition(topic kafkaproto.TopicID, i int) *Partition {
	n.t.Helper()
	p, err := n.manager.Partition(kafkaproto.TopicPartition{Topic: topic, Partition: kafkaproto.PartitionID(i)})
	n.must(err)
	return p
}

func (n *testNode) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// holdSyncs keeps SyncData of WAL files from returning until the function it returns is called.
func (n *testNode) holdSyncs() (release func()) {
	gate := make(chan struct{})
	n.faults.Change(func(h *env.FaultHooks) {
		h.SyncData = func(string) error { <-gate; return nil }
	})
	var once sync.Once
	release = func() {
		once.Do(func() {
			n.faults.Change(func(h *env.FaultHooks) { h.SyncData = nil })
			close(gate)
		})
	}
	n.t.Cleanup(release)
	return release
}

// reply is the answer to an append, some day.
type reply struct {
	t        testing.TB
	results  chan AppendResult
	released atomic.Int32
}

func newReply(t testing.TB) *reply { return &reply{t: t, results: make(chan AppendResult, 2)} }

// wait waits for the answer.
func (r *reply) wait() AppendResult {
	r.t.Helper()
	select {
	case res := <-r.results:
		return res
	case <-time.After(20 * time.Second):
		r.t.Fatal("no answer to the append")
		return AppendResult{}
	}
}

// waitOK waits for an answer without an error.
func (r *reply) waitOK() AppendResult {
	r.t.Helper()
	res := r.wait()
	if res.Err != nil {
		r.t.Fatalf("append: %v", res.Err)
	}
	return res
}

// waitErr waits for that error.
func (r *reply) waitErr(want *kafkaproto.Error) AppendResult {
	r.t.Helper()
	res := r.wait()
	if got := kafkaproto.ErrorForCode(kafkaproto.Code(res.Err)); got != want {
		r.t.Fatalf("append answered %v, want %s", res.Err, want.Name)
	}
	return res
}

// silent says that there is no answer yet.
func (r *reply) silent() {
	r.t.Helper()
	select {
	case res := <-r.results:
		r.t.Fatalf("append was answered: %+v", res)
	default:
	}
}

// send appends as a producer of the newest version does.
func (n *testNode) send(p *Partition, acks int16, records []byte) *reply {
	return n.request(p, AppendRequest{Records: records, Acks: acks, Timeout: 30 * time.Second, Client: true, Version: 13, CurrentLeaderEpoch: -1})
}

func (n *testNode) request(p *Partition, r AppendRequest) *reply {
	out := newReply(n.t)
	r.Release = func() { out.released.Add(1) }
	r.Done = func(res AppendResult) { out.results <- res }
	p.Append(r)
	return out
}

// batch makes a batch of records with these values at the test's time.
func batch(values ...string) []byte { return build(nil, values...) }

// build makes a batch after set has changed the builder.
func build(set func(*kafkaproto.Builder), values ...string) []byte {
	b := kafkaproto.NewBuilder()
	if set != nil {
		set(b)
	}
	for i, v := range values {
		b.Append(kafkaproto.Record{Timestamp: testTime + kafkaproto.Timestamp(i), Key: []byte("k"), Value: []byte(v)})
	}
	out, err := b.Batch()
	if err != nil {
		panic(err)
	}
	return out
}

// producer is an idempotent or transactional producer's settings.
func producer(id int64, epoch int16, sequence int32, transactional bool) func(*kafkaproto.Builder) {
	return func(b *kafkaproto.Builder) {
		b.ProducerID, b.ProducerEpoch = kafkaproto.ProducerID(id), kafkaproto.ProducerEpoch(epoch)
		b.BaseSequence, b.Transactional = sequence, transactional
	}
}

// fetch is a consumer's read of everything from an offset on.
func fetch(offset int64) ReadRequest {
	return ReadRequest{
		Offset: kafkaproto.Offset(offset), MaxBytes: 1 << 20, MinOneBatch: true, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, ReplicaID: -1,
		FlushedEnd: -1,
	}
}

// bytesOf reads the spans and releases them.
func bytesOf(t testing.TB, res ReadResult) []byte {
	t.Helper()
	if res.Err != nil {
		t.Fatalf("read: %v", res.Err)
	}
	defer res.Read.Release()
	var out []byte
	for _, s := range res.Read.Spans {
		at := len(out)
		out = append(out, make([]byte, s.Len)...)
		if _, err := s.File.ReadAt(out[at:], s.Pos); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// values reads the values of a consumer's read.
func values(t testing.TB, res ReadResult) []string {
	t.Helper()
	var out []string
	rest := bytesOf(t, res)
	for len(rest) > 0 {
		b, next, err := kafkaproto.NextBatch(rest)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.CheckCRC(); err != nil {
			t.Fatal(err)
		}
		err = kafkaproto.Records(b, func(r kafkaproto.Record) error {
			out = append(out, string(r.Value))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		rest = next
	}
	return out
}

// wantErr checks an error's Kafka code.
func wantErr(t testing.TB, err error, want *kafkaproto.Error) {
	t.Helper()
	if kafkaproto.ErrorForCode(kafkaproto.Code(err)) != want {
		t.Fatalf("got %v, want %s", err, want.Name)
	}
}

// fakeVerifier keeps questions until the test answers them.
type fakeVerifier struct {
	asked chan question
}

type question struct {
	VerifyRequest
	done func(error)
}

func newFakeVerifier() *fakeVerifier { return &fakeVerifier{asked: make(chan question, 16)} }

func (v *fakeVerifier) Verify(r VerifyRequest, done func(error)) { v.asked <- question{r, done} }

// signal wakes whoever waits for c, which has room for one, and never blocks.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
