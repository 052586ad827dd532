package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/partition"
)

const topicName = "__states"

// node is node 1 over a disk in memory, with a real engine and partitions, metadata that the test makes up, and a Host of
// toy machines.
type node struct {
	t      testing.TB
	mem    *env.MemFS
	faults *env.FaultFS
	clock  *env.FakeClock // nil: the real one
	disk   string         // a directory of the real disk to be used instead
	// newMachine makes other machines than toys.
	newMachine func(int32) Machine
	img        *controller.Image
	topics     uint64

	dir     *log.Directory
	engine  *log.Engine
	manager *partition.Manager
	host    *Host
	options Options

	mu       sync.Mutex
	machines []*toy
	loads    []string
	failures []error
}

func startNode(t testing.TB, change func(*node)) *node {
	t.Helper()
	n := &node{t: t, mem: env.NewMem(), clock: env.NewFakeClock(time.UnixMilli(1_700_000_000_000)), img: controller.NewImage()}
	if change != nil {
		change(n)
	}
	n.open()
	t.Cleanup(n.close)
	return n
}

func (n *node) env() env.Env {
	e := env.Env{Clock: env.System().Clock, Rand: env.System().Rand, FS: n.faults}
	if n.clock != nil {
		e.Clock = n.clock
	}
	if n.disk != "" {
		e.FS = env.System().FS
	}
	return e
}

func (n *node) open() {
	n.t.Helper()
	if n.faults == nil {
		n.faults = env.NewFaultFS(n.mem)
	}
	cfg, _, err := config.Load(config.Sources{Set: []string{"log.flush.policy=always"}})
	n.must(err)
	dir, size := "data", int64(16<<20)
	if n.disk != "" {
		dir, size = n.disk, log.DefaultFileBytes
	}
	n.dir, err = log.OpenDirectory(n.env(), dir, 1)
	n.must(err)
	n.engine, err = log.Open(log.Options{Directory: n.dir, Env: n.env(), FlushPolicy: log.FlushAlways, FileBytes: size})
	n.must(err)
	n.manager = partition.NewManager(partition.Options{Env: n.env(), NodeID: 1, Dirs: []partition.Dir{{Path: dir, Directory: n.dir, Engine: n.engine}}, Config: cfg})
	o := n.options
	o.Env, o.NodeID, o.Topic, o.Partitions = n.env(), 1, topicName, n.manager
	o.Logger = slog.New(slog.NewTextHandler(testLog{n.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	o.New = func(p int32) Machine {
		if n.newMachine != nil {
			return n.newMachine(p)
		}
		m := newToy(p)
		n.mu.Lock()
		n.machines = append(n.machines, m)
		n.mu.Unlock()
		return m
	}
	if o.Timer == nil {
		o.Timer = func(key string) any { return fired(key) }
	}
	o.Events = Events{
		Loaded: func(p int32, records int, _ time.Duration) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.loads = append(n.loads, fmt.Sprintf("%d:%d", p, records))
		},
		Failed: func(_ int32, err error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.failures = append(n.failures, err)
		},
	}
	n.host = NewHost(o)
	n.apply(controller.Changes{All: true})
}

func (n *node) apply(c controller.Changes) {
	n.manager.Apply(n.img, c)
	n.host.Apply(n.img, c)
}

func (n *node) close() {
	if n.engine == nil {
		return
	}
	n.host.Close()
	n.manager.Close()
	_ = n.engine.Close()
	_ = n.dir.Close()
	n.engine, n.faults = nil, nil
}

// restart starts the node anew over what fs holds, under new leader epochs.
func (n *node) restart(fs *env.MemFS) {
	n.t.Helper()
	n.close()
	n.mem = fs
	n.img = n.elected(n.img)
	n.open()
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// happen replays metadata events and has partitions and shards follow.
func (n *node) happen(events ...controller.Event) {
	n.t.Helper()
	next, changes, err := n.img.Replay(events)
	n.must(err)
	n.img = next
	n.apply(changes)
}

// topic creates the topic.
func (n *node) topic(partitions int) kafkaproto.TopicID {
	n.t.Helper()
	n.topics++
	var id kafkaproto.TopicID
	binary.BigEndian.PutUint64(id[:], n.topics)
	events := []controller.Event{&controller.TopicCreated{ID: id, Name: topicName}}
	for i := range partitions {
		events = append(events, &controller.PartitionChanged{Topic: id, Partition: controller.Partition{
			ID: kafkaproto.PartitionID(i), Replicas: []int32{1}, ISR: []int32{1}, Leader: 1,
		}})
	}
	n.happen(events...)
	return id
}

// changed are the events that change every partition of the topic.
func (n *node) changed(change func(*controller.Partition)) (events []controller.Event) {
	t, _ := n.img.Topic(topicName)
	for _, p := range t.Partitions {
		part := *p
		part.LeaderEpoch++
		part.PartitionEpoch++
		change(&part)
		events = append(events, &controller.PartitionChanged{Topic: t.ID, Partition: part})
	}
	return events
}

func (n *node) elected(img *controller.Image) *controller.Image {
	n.t.Helper()
	next, _, err := img.Replay(n.changed(func(*controller.Partition) {}))
	n.must(err)
	return next
}

// lead moves the leadership of all partitions to a node, in a new epoch.
func (n *node) lead(id int32) {
	n.t.Helper()
	n.happen(n.changed(func(p *controller.Partition) { p.Leader = id })...)
}

// part is a partition of the topic.
func (n *node) part(i int) *partition.Partition {
	n.t.Helper()
	t, _ := n.img.Topic(topicName)
	p, err := n.manager.Partition(kafkaproto.TopicPartition{Topic: t.ID, Partition: kafkaproto.PartitionID(i)})
	n.must(err)
	return p
}

func (n *node) failed() []error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]error(nil), n.failures...)
}

func (n *node) loaded() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.loads, " ")
}

// reply is an answer, some day.
type reply struct {
	t  testing.TB
	ch chan answered
}

type answered struct {
	value any
	err   error
}

// submit gives an input to a partition's machine.
func (n *node) submit(p int32, input any) *reply {
	r := &reply{t: n.t, ch: make(chan answered, 2)}
	n.host.Submit(p, input, func(value any, err error) { r.ch <- answered{value, err} })
	return r
}

// parked waits until so many answers of a shard wait for the high watermark, and the shard is at rest.
func (n *node) parked(p int32, answers int) {
	n.t.Helper()
	s := n.host.view.Load().shards[p]
	eventually(n.t, fmt.Sprintf("%d answers are parked", answers), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.running && len(s.parked) == answers
	})
}

// ask submits until the shard is loaded, and gives what is answered.
func (n *node) ask(p int32, input any) any {
	n.t.Helper()
	for {
		a := n.submit(p, input).wait()
		if errors.Is(a.err, kafkaproto.ErrCoordinatorLoadInProgress) {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		n.must(a.err)
		return a.value
	}
}

func (r *reply) wait() answered {
	r.t.Helper()
	select {
	case a := <-r.ch:
		return a
	case <-time.After(20 * time.Second):
		r.t.Fatal("no answer")
		return answered{}
	}
}

func (r *reply) ok(want any) {
	r.t.Helper()
	if a := r.wait(); a.err != nil || a.value != want {
		r.t.Fatalf("answered %v, %v, want %v", a.value, a.err, want)
	}
}

func (r *reply) fails(want *kafkaproto.Error) {
	r.t.Helper()
	if a := r.wait(); kafkaproto.ErrorForCode(kafkaproto.Code(a.err)) != want {
		r.t.Fatalf("answered %v, %v, want %s", a.value, a.err, want.Name)
	}
}

func (r *reply) silent() {
	r.t.Helper()
	select {
	case a := <-r.ch:
		r.t.Fatalf("answered %v, %v before its time", a.value, a.err)
	default:
	}
}

// holdSyncs keeps SyncData from returning until the function it returns is called.
func (n *node) holdSyncs() (release func()) {
	gate := make(chan struct{})
	n.faults.Change(func(h *env.FaultHooks) { h.SyncData = func(string) error { <-gate; return nil } })
	var once sync.Once
	faults := n.faults
	release = func() {
		once.Do(func() {
			faults.Change(func(h *env.FaultHooks) { h.SyncData = nil })
			close(gate)
		})
	}
	n.t.Cleanup(release)
	return release
}

// eventually waits until a condition that another goroutine brings about holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// Inputs of a toy.
type (
	set   struct{ key, value string } // answered with the offset that it got
	get   string                      // answered with the value
	wait  string                      // answered when somebody calls
	call  string                      // answers those who wait, and itself
	timed struct {
		key string
		at  time.Time
	}
	fired string // a timer: notes itself as a value, without a record
	inTxn struct {
		producer   machine.Producer
		key, value string
	}
	crash  struct{}                    // panics
	two    struct{ key, value string } // two records in one step
	forget string                      // not answered
	count  struct{}                    // how many records were replayed
	loose  struct{ n, bytes int }      // so many records of a size, which may be parted
)

// toy is a machine with a map: its records are keys and values.
type toy struct {
	partition int32
	values    map[string]string
	open      map[machine.Producer]map[string]string
	waiting   map[string][]machine.Ticket
	offset    int64
	replayed  int
	leads     int
}

func newToy(p int32) *toy {
	return &toy{partition: p, values: map[string]string{}, open: map[machine.Producer]map[string]string{}, waiting: map[string][]machine.Ticket{}, offset: -1}
}

func (m *toy) Step(_ time.Time, t machine.Ticket, input any) (r machine.Result[machine.Record]) {
	answer := func(v any) { r.Replies = append(r.Replies, machine.Reply{Ticket: t, Value: v}) }
	record := func(k, v string) {
		r.Records = append(r.Records, machine.Record{Key: []byte(k), Value: []byte(v)})
	}
	switch in := input.(type) {
	case set:
		record(in.key, in.value)
		answer(m.offset + 1)
	case two:
		record(in.key+"1", in.value)
		record(in.key+"2", in.value)
		answer(m.offset + 2)
	case loose:
		for i := range in.n {
			record(fmt.Sprint("loose", i), string(make([]byte, in.bytes)))
		}
		r.Loose = true
		answer(m.offset + int64(in.n))
	case get:
		answer(m.values[string(in)])
	case wait:
		m.waiting[string(in)] = append(m.waiting[string(in)], t)
	case call:
		for _, w := range m.waiting[string(in)] {
			r.Replies = append(r.Replies, machine.Reply{Ticket: w, Value: "called"})
		}
		delete(m.waiting, string(in))
		answer("called")
	case timed:
		r.Timers = []machine.Timer{{Key: in.key, At: in.at}}
		answer("set")
	case fired:
		m.values["fired"] += string(in) + " "
	case inTxn:
		r.Producer = &in.producer
		record(in.key, in.value)
		answer("pending")
	case forget:
		delete(m.values, string(in))
	case count:
		answer(m.replayed)
	case crash:
		panic("a bug")
	}
	return r
}

func (m *toy) Replay(offset int64, p machine.Producer, r machine.Record) error {
	if offset <= m.offset {
		return fmt.Errorf("offset %d after %d", offset, m.offset)
	}
	m.offset = offset
	m.replayed++
	if string(r.Key) == "bad" {
		return errors.New("a bad record")
	}
	into := m.values
	if p.ID >= 0 {
		if m.open[p] == nil {
			m.open[p] = map[string]string{}
		}
		into = m.open[p]
	}
	into[string(r.Key)] = string(r.Value)
	return nil
}

func (m *toy) ReplayMarker(offset int64, p machine.Producer, commit bool) {
	m.offset = offset
	if commit {
		for k, v := range m.open[p] {
			m.values[k] = v
		}
	}
	delete(m.open, p)
}

func (m *toy) Loaded(time.Time) (r machine.Result[machine.Record]) {
	m.leads++
	return r
}
