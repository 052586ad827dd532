package broker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/partition"
	"github.com/streambus/streambus/shard"
)

// testBroker is a node in one process: a Server on a loopback listener over a real partition manager, real group
// coordinators and a real engine on a file system in memory, with a metadata machine in the place of the quorum. Made by
// startBroker.
type testBroker struct {
	t       testing.TB
	server  *Server
	addr    string
	env     env.Env
	fs      *env.FaultFS
	engine  *log.Engine
	manager *partition.Manager
	groups  *shard.Host
	quorum  *testQuorum
	logged  *logBuffer
}

// brokerSetup is what startBroker's options change.
type brokerSetup struct {
	settings []string // key=value, as --set
	clock    env.Clock
	events   Events
	verifier partition.Verifier
	onDisk   bool
}

type brokerOption func(*brokerSetup)

// withConfig sets properties, "key=value".
func withConfig(settings ...string) brokerOption {
	return func(s *brokerSetup) { s.settings = append(s.settings, settings...) }
}

func withClock(c env.Clock) brokerOption { return func(s *brokerSetup) { s.clock = c } }

func withEvents(e Events) brokerOption { return func(s *brokerSetup) { s.events = e } }

// onDisk puts the log on a real disk, without fault injection.
func onDisk() brokerOption { return func(s *brokerSetup) { s.onDisk = true } }

// withOpenTransactions stands for a coordinator that has every transaction open.
func withOpenTransactions() brokerOption {
	return func(s *brokerSetup) { s.verifier = openTransactions{} }
}

type openTransactions struct{}

func (openTransactions) Verify(_ partition.VerifyRequest, done func(error)) { done(nil) }

// startBroker starts a broker (node id 1) that is stopped with the test.
func startBroker(t testing.TB, options ...brokerOption) *testBroker {
	t.Helper()
	set := brokerSetup{clock: env.System().Clock}
	for _, o := range options {
		o(&set)
	}
	// The log and its partitions must agree about when a record counts as held.
	cfg, _, err := config.Load(config.Sources{Set: append([]string{"node.id=1", "log.flush.policy=never"}, set.settings...)})
	must(t, err)
	b := &testBroker{t: t, env: env.System(), fs: env.NewFaultFS(env.NewMem()), logged: &logBuffer{}}
	b.env.FS, b.env.Clock = b.fs, set.clock
	path := "data"
	if set.onDisk {
		b.env.FS, path = env.System().FS, t.TempDir()
	}
	must(t, b.env.FS.MkdirAll(path))
	dir, err := log.OpenDirectory(b.env, path, 1)
	must(t, err)
	b.engine, err = log.Open(log.Options{Directory: dir, Env: b.env, FlushPolicy: log.FlushNever, FileBytes: fileBytes(set.onDisk)})
	must(t, err)
	b.manager = partition.NewManager(partition.Options{Env: b.env, NodeID: 1, Dirs: []partition.Dir{{Path: path, Directory: dir, Engine: b.engine}}, Config: cfg, Verifier: set.verifier})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b.addr = l.Addr().String()
	b.quorum = newTestQuorum(t, b.env.Clock, dir.ID(), l.Addr().(*net.TCPAddr).Port)
	b.quorum.watch(followDynamic(cfg))
	b.groups = b.newGroups(cfg)
	b.quorum.watch(b.manager.Apply)
	b.quorum.watch(b.followGroups())
	b.server = NewServer(Options{
		Env: b.env, Config: cfg, NodeID: 1, ClusterID: func() string { return b.quorum.Image().ClusterID() },
		Quorum: b.quorum, Partitions: b.manager, Groups: b.groups, Events: set.events,
		Logger: slog.New(slog.NewTextHandler(b.logged, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	go b.server.Serve(l, "PLAINTEXT")
	t.Cleanup(func() {
		b.server.Close()
		b.groups.Close()
		b.manager.Close()
		_ = b.engine.Close()
		_ = dir.Close()
	})
	return b
}

// newGroups makes the coordinators of groups, wired as a node does it.
func (b *testBroker) newGroups(cfg *config.Config) *shard.Host {
	o := groups.Options{
		InitialRebalanceDelay: cfg.Duration("group.initial.rebalance.delay.ms"),
		MinSessionTimeout:     cfg.Duration("group.min.session.timeout.ms"),
		MaxSessionTimeout:     cfg.Duration("group.max.session.timeout.ms"),
		MaxSize:               cfg.Int("group.max.size"),
		MaxMetadataBytes:      cfg.Int("offset.metadata.max.bytes"),
		OffsetRetention:       time.Duration(cfg.Int64("offsets.retention.minutes")) * time.Minute,
		RetentionCheck:        cfg.Duration("offsets.retention.check.interval.ms"),
		MaxBatchBytes:         cfg.Int("message.max.bytes"),
	}
	return shard.NewHost(shard.Options{
		Env: b.env, NodeID: 1, Topic: offsetsTopic, Partitions: b.manager,
		New:   func(int32) shard.Machine { return groups.New(o) },
		Timer: func(key string) any { return groups.TimerFired{Key: key} }, Writes: groups.Writes,
	})
}

// followGroups tells the coordinators of the metadata, and of topics that are gone.
func (b *testBroker) followGroups() func(*controller.Image, controller.Changes) {
	last := controller.NewImage()
	return func(next *controller.Image, c controller.Changes) {
		b.groups.Apply(next, c)
		var gone groups.TopicsDeleted
		for t := range last.Topics() {
			if _, ok := next.TopicByID(t.ID); !ok {
				gone.Topics, gone.IDs = append(gone.Topics, t.Name), append(gone.IDs, t.ID)
			}
		}
		if len(gone.Topics) > 0 {
			b.groups.Tell(gone)
		}
		last = next
	}
}

// fileBytes keeps WAL files small where they lie in memory, so that tests see them sealed too.
func fileBytes(onDisk bool) int64 {
	if onDisk {
		return log.DefaultFileBytes
	}
	return 4 << 20
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// createTopic makes a topic with configs given as "key=value".
func (b *testBroker) createTopic(name string, partitions int32, configs ...string) *controller.Topic {
	b.t.Helper()
	topic := controller.CreateTopic{Name: name, NumPartitions: partitions, ReplicationFactor: 1, Configs: map[string]*string{}}
	for _, kv := range configs {
		k, v, _ := strings.Cut(kv, "=")
		topic.Configs[k] = &v
	}
	answer, err := b.quorum.Submit(context.Background(), controller.CreateTopics{Topics: []controller.CreateTopic{topic}})
	must(b.t, err)
	must(b.t, answer.([]controller.CreateTopicAnswer)[0].Err)
	got, _ := b.quorum.Image().Topic(name)
	return got
}

func (b *testBroker) deleteTopic(name string) {
	b.t.Helper()
	_, err := b.quorum.Submit(context.Background(), controller.DeleteTopics{Topics: []controller.DeleteTopic{{Name: name}}})
	must(b.t, err)
}

// registerAnew does what a restart does to the metadata: all partitions get a new leader epoch.
func (b *testBroker) registerAnew() {
	b.t.Helper()
	b.quorum.registration.Incarnation[0]++
	answer, err := b.quorum.Submit(context.Background(), b.quorum.registration)
	must(b.t, err)
	_, err = b.quorum.Submit(context.Background(), controller.UnfenceBroker{ID: 1, Epoch: answer.(controller.RegisterBrokerAnswer).Epoch})
	must(b.t, err)
}

// partition is a topic's partition on this node.
func (b *testBroker) partition(topic string, n int32) *partition.Partition {
	b.t.Helper()
	p, err := b.server.findPartition(b.quorum.Image(), sessionKey{name: topic, partition: n})
	must(b.t, err)
	return p
}

// testQuorum is a quorum of one without raft: the controller's machine under a lock.
type testQuorum struct {
	clock        env.Clock
	registration controller.RegisterBroker

	mu       sync.Mutex
	machine  *controller.Machine
	watchers []func(*controller.Image, controller.Changes)
	// refuse, if set, is asked before each command: an error stands for a quorum that can't decide.
	refuse func(controller.Command) error

	imageMu sync.RWMutex
	image   *controller.Image
}

func newTestQuorum(t testing.TB, clock env.Clock, directory [16]byte, port int) *testQuorum {
	t.Helper()
	q := &testQuorum{clock: clock, image: controller.NewImage()}
	q.machine = controller.NewMachine(q.image, controller.Defaults{NumPartitions: 1, ReplicationFactor: 1, SessionTimeout: time.Hour})
	submit := func(c controller.Command) any {
		answer, err := q.Submit(context.Background(), c)
		must(t, err)
		return answer
	}
	submit(controller.CreateCluster{ID: [16]byte{1, 2, 3}})
	q.registration = controller.RegisterBroker{
		ID: 1, Incarnation: [16]byte{9}, Directories: [][16]byte{directory}, Clean: true,
		Listeners: []controller.Listener{{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Host: "127.0.0.1", Port: int32(port)}},
	}
	answer := submit(q.registration)
	submit(controller.UnfenceBroker{ID: 1, Epoch: answer.(controller.RegisterBrokerAnswer).Epoch})
	return q
}

func (q *testQuorum) Submit(_ context.Context, c controller.Command) (any, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse != nil {
		if err := q.refuse(c); err != nil {
			return nil, err
		}
	}
	if r, ok := c.(controller.Randomized); ok {
		c = r.Randomize(env.System().Rand.Read)
	}
	result := q.machine.Step(q.clock.Now(), controller.Input{Ticket: 1, Command: c})
	image, changes, err := q.machine.Image().Replay(result.Records)
	if err != nil {
		return nil, err
	}
	q.machine.Committed(image)
	q.imageMu.Lock()
	q.image = image
	q.imageMu.Unlock()
	for _, w := range q.watchers {
		w(image, changes)
	}
	return result.Replies[0].Value, result.Replies[0].Err
}

func (q *testQuorum) Image() *controller.Image {
	q.imageMu.RLock()
	defer q.imageMu.RUnlock()
	return q.image
}

func (q *testQuorum) Leader() (id, epoch int32, ok bool) { return 1, 1, true }

func (q *testQuorum) watch(f func(*controller.Image, controller.Changes)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.watchers = append(q.watchers, f)
	f(q.image, controller.Changes{All: true})
}

// logBuffer keeps what the broker logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines are the log lines so far.
func (l *logBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.FieldsFunc(l.b.String(), func(r rune) bool { return r == '\n' })
}

// client is a raw connection: requests go out and answers come in as frames, one at a time or pipelined.
type client struct {
	t           testing.TB
	nc          net.Conn
	in          *bufio.Reader
	correlation int32
}

// readTimeout is how long a test waits for an answer that it expects.
const readTimeout = 20 * time.Second

func (b *testBroker) dial() *client {
	b.t.Helper()
	nc, err := net.Dial("tcp", b.addr)
	must(b.t, err)
	b.t.Cleanup(func() { nc.Close() })
	return &client{t: b.t, nc: nc, in: bufio.NewReader(nc)}
}

// frameOf encodes a request, its length first.
func frameOf(req kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, correlation)
}

// send sends a request in the version it has, and returns its correlation id.
func (c *client) send(req kmsg.Request) int32 {
	c.t.Helper()
	c.correlation++
	c.sendRaw(frameOf(req, c.correlation))
	return c.correlation
}

func (c *client) sendRaw(b []byte) {
	c.t.Helper()
	_, err := c.nc.Write(b)
	must(c.t, err)
}

// exchange sends a frame and reads over its answer, without an allocation.
func (c *client) exchange(frame []byte) {
	c.sendRaw(frame)
	head, err := c.in.Peek(4)
	must(c.t, err)
	_, err = c.in.Discard(4 + int(binary.BigEndian.Uint32(head)))
	must(c.t, err)
}

// frame reads the next answer: its correlation id and what follows.
func (c *client) frame() (correlation int32, body []byte) {
	c.t.Helper()
	_ = c.nc.SetReadDeadline(time.Now().Add(readTimeout))
	var size [4]byte
	_, err := io.ReadFull(c.in, size[:])
	must(c.t, err)
	body = make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(c.in, body)
	must(c.t, err)
	return int32(binary.BigEndian.Uint32(body)), body[4:]
}

// receive reads the answer to req, which must be the next.
func (c *client) receive(correlation int32, req kmsg.Request) kmsg.Response {
	c.t.Helper()
	got, body := c.frame()
	if got != correlation {
		c.t.Fatalf("got the answer to request %d, want %d", got, correlation)
	}
	resp := req.ResponseKind()
	if resp.IsFlexible() && req.Key() != keyAPIVersions {
		body = body[1:] // no tagged fields in the header
	}
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatalf("cannot decode the answer to key %d version %d: %v", req.Key(), req.GetVersion(), err)
	}
	return resp
}

// ask sends req and waits for its answer.
func ask[R kmsg.Response](c *client, req kmsg.Request) R {
	c.t.Helper()
	return c.receive(c.send(req), req).(R)
}

// mustBeClosed waits until the broker hangs up, having sent nothing more.
func (c *client) mustBeClosed() {
	c.t.Helper()
	_ = c.nc.SetReadDeadline(time.Now().Add(readTimeout))
	n, err := io.Copy(io.Discard, c.in)
	if n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("the connection is still open (%d bytes came, %v)", n, err)
	}
}

// batchOf builds a batch of records with these values.
func batchOf(values ...string) []byte {
	return buildBatch(func(*kafkaproto.Builder) {}, values...)
}

func buildBatch(change func(*kafkaproto.Builder), values ...string) []byte {
	b := kafkaproto.NewBuilder()
	change(b)
	for i, v := range values {
		b.Append(kafkaproto.Record{OffsetDelta: int32(i), Timestamp: 1_700_000_000_000, Value: []byte(v)})
	}
	batch, err := b.Batch()
	if err != nil {
		panic(err)
	}
	return batch
}

// produceRequest is a Produce of one partition by name (version 9 and acks=all; change it as needed).
func produceRequest(topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// mustProduce sends values as one batch and returns their base offset.
func (c *client) mustProduce(topic string, partition int32, values ...string) int64 {
	c.t.Helper()
	resp := ask[*kmsg.ProduceResponse](c, produceRequest(topic, partition, batchOf(values...)))
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		c.t.Fatalf("produce: %v", kafkaproto.ErrorForCode(p.ErrorCode))
	}
	return p.BaseOffset
}

// fetchRequest is a sessionless Fetch of one partition by name (version 12; change it as needed).
func fetchRequest(topic string, partition int32, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.MinBytes, req.MaxWaitMillis = 12, 1<<20, 1, 0
	req.SessionEpoch = -1
	addFetch(req, topic, kafkaproto.TopicID{}, partition, offset)
	return req
}

func addFetch(req *kmsg.FetchRequest, topic string, id kafkaproto.TopicID, partition int32, offset int64) {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, id
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
}

// valuesIn lists the values of all records in batches.
func valuesIn(t testing.TB, batches []byte) []string {
	t.Helper()
	var values []string
	for len(batches) > 0 {
		b, rest, err := kafkaproto.NextBatch(batches)
		must(t, err)
		must(t, b.CheckCRC())
		must(t, kafkaproto.Records(b, func(r kafkaproto.Record) error {
			values = append(values, string(r.Value))
			return nil
		}))
		batches = rest
	}
	return values
}

// eventually waits for a condition that nothing announces, and fails the test if it doesn't come.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(readTimeout); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
