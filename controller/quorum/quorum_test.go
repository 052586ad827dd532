package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// testNode opens quorums on one file system again and again, as a node that restarts.
type testNode struct {
	t      *testing.T
	fs     env.FS
	id     int32
	voters []Voter
	change func(*Options)
	fatal  chan error
	log    *testLog
}

// testLog shows what a node says with its test, and drops what raft's connections say after its end.
type testLog struct {
	mu   sync.Mutex
	t    *testing.T
	over bool
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return len(p), nil
	}
	return l.t.Output().Write(p)
}

func (l *testLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

func newTestNode(t *testing.T, fs env.FS) *testNode {
	log := &testLog{t: t}
	t.Cleanup(log.end)
	return &testNode{t: t, fs: fs, id: 1, fatal: make(chan error, 1), log: log}
}

func (n *testNode) options(l net.Listener) Options {
	e := env.System()
	e.FS = n.fs
	o := Options{
		Env: e, Dir: "data/raft", NodeID: n.id, DirectoryID: [16]byte{byte(n.id), 7}, Listener: l, Voters: n.voters,
		Defaults: controller.Defaults{NumPartitions: 1, ReplicationFactor: 1, SessionTimeout: time.Hour}, // few tests send heartbeats
		Logger:   slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		OnFatal:  func(err error) { n.fatal <- err },
	}
	if n.change != nil {
		n.change(&o)
	}
	return o
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (n *testNode) open() *Quorum {
	n.t.Helper()
	q, err := Open(n.options(listen(n.t)))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = q.Close() })
	return q
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func ready(t *testing.T, q *Quorum) *Quorum {
	t.Helper()
	if err := q.WaitReady(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return q
}

func submit[A any](t *testing.T, q *Quorum, c controller.Command) A {
	t.Helper()
	v, err := q.Submit(testContext(t), c)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	a, _ := v.(A)
	return a
}

// register makes broker 1 active and gives its epoch.
func register(t *testing.T, q *Quorum, incarnation byte) int64 {
	t.Helper()
	return registerAs(t, q, q.options.NodeID, incarnation)
}

func registerAs(t *testing.T, q *Quorum, id int32, incarnation byte) int64 {
	t.Helper()
	epoch := submit[controller.RegisterBrokerAnswer](t, q, controller.RegisterBroker{
		ID: id, Incarnation: [16]byte{incarnation}, Directories: [][16]byte{q.options.DirectoryID},
	}).Epoch
	submit[any](t, q, controller.UnfenceBroker{ID: id, Epoch: epoch})
	return epoch
}

func createTopic(q *Quorum, ctx context.Context, name string) error {
	v, err := q.Submit(ctx, controller.CreateTopics{Topics: []controller.CreateTopic{
		{Name: name, NumPartitions: -1, ReplicationFactor: -1},
	}})
	if err != nil {
		return err
	}
	return v.([]controller.CreateTopicAnswer)[0].Err
}

func mustCreate(t *testing.T, q *Quorum, names ...string) {
	t.Helper()
	for _, name := range names {
		err := createTopic(q, testContext(t), name)
		// On a busy machine a quorum of several may lose its leader, and what was asked for may have happened.
		for again := errors.Is(err, kafkaproto.ErrNotController) && len(q.options.Voters) > 1; again; again = errors.Is(err, kafkaproto.ErrNotController) {
			if err = createTopic(q, testContext(t), name); errors.Is(err, kafkaproto.ErrTopicAlreadyExists) {
				err = nil
			}
		}
		if err != nil {
			t.Fatalf("create %s: %v", name, err)
		}
	}
}

func TestNewQuorumOfOneLeadsAtOnceAndMakesACluster(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	start := time.Now()
	q := ready(t, n.open())
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v to lead; that is waiting for an election", took)
	}
	img := q.Image()
	if len(img.ClusterID()) != 22 {
		t.Errorf("cluster id %q", img.ClusterID())
	}
	if img.Features()[controller.MetadataVersion] != 30 || img.Features()[controller.KRaftVersion] != 1 || img.Features()[controller.EligibleReplicas] != 1 || len(img.Features()) != 3 {
		t.Errorf("features %v", img.Features())
	}
	if id, epoch, ok := q.Leader(); id != 1 || epoch < 1 || !ok {
		t.Errorf("leader %d, epoch %d, %v", id, epoch, ok)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	q := ready(t, n.open())
	epoch := register(t, q, 1)
	mustCreate(t, q, "a", "b")
	before, _ := q.Image().Topic("a")
	block := submit[controller.AllocateProducerIDsAnswer](t, q, controller.AllocateProducerIDs{BrokerID: 1, BrokerEpoch: epoch})
	cluster := q.Image().ClusterID()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}

	q = ready(t, n.open())
	after, ok := q.Image().Topic("a")
	if !ok || after.ID != before.ID || q.Image().ClusterID() != cluster || q.Image().NumTopics() != 2 {
		t.Fatalf("after the restart: topic %v, cluster %s, %d topics", after, q.Image().ClusterID(), q.Image().NumTopics())
	}
	again := register(t, q, 2)
	if again <= epoch {
		t.Errorf("broker epoch %d after %d", again, epoch)
	}
	led, _ := q.Image().Topic("a")
	if p := led.Partitions[0]; p.LeaderEpoch <= before.Partitions[0].LeaderEpoch || p.Leader != 1 {
		t.Errorf("leader %d, epoch %d after epoch %d", p.Leader, p.LeaderEpoch, before.Partitions[0].LeaderEpoch)
	}
	next := submit[controller.AllocateProducerIDsAnswer](t, q, controller.AllocateProducerIDs{BrokerID: 1, BrokerEpoch: again})
	if next.First != block.First+1000 {
		t.Errorf("producer ids from %d after %d", next.First, block.First)
	}
}

func TestWatchersSeeEveryChangeInOrderBeforeSubmitReturns(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	q := n.open()
	var seen []controller.Changes
	var indexes []uint64
	q.Watch(func(img *controller.Image, c controller.Changes) {
		seen = append(seen, c)
		indexes = append(indexes, img.LastIndex())
	})
	ready(t, q)
	register(t, q, 1)
	mustCreate(t, q, "a", "b", "c")
	if len(seen) < 6 || !seen[0].All {
		t.Fatalf("saw %+v", seen)
	}
	for i := 1; i < len(seen); i++ {
		if seen[i].All || indexes[i] <= indexes[i-1] {
			t.Errorf("change %d: %+v at %d after %d", i, seen[i], indexes[i], indexes[i-1])
		}
	}
	last := seen[len(seen)-1]
	c, _ := q.Image().Topic("c")
	if len(last.Topics) != 1 || last.Topics[0] != c.ID {
		t.Errorf("last change %+v, topic c is %s", last, c.ID)
	}
}

func TestCommandsThatWaitAreDecidedInOneBatch(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	batches := make(chan int, 1000)
	n.change = func(o *Options) {
		o.Events.BatchCommitted = func(events, _ int, _ time.Duration) { batches <- events }
	}
	q := ready(t, n.open())
	register(t, q, 1)
	const topics = 200
	results := make(chan error, topics)
	for i := range topics {
		go func() { results <- createTopic(q, testContext(t), fmt.Sprintf("t%d", i)) }()
	}
	for range topics {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if q.Image().NumTopics() != topics || len(batches) >= topics {
		t.Errorf("%d topics in %d batches", q.Image().NumTopics(), len(batches))
	}
}

func TestSameNameAskedForTwiceAtOnceIsMadeOnce(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	q := ready(t, n.open())
	register(t, q, 1)
	results := make(chan error, 20)
	for range 20 {
		go func() { results <- createTopic(q, testContext(t), "same") }()
	}
	made := 0
	for range 20 {
		if err := <-results; err == nil {
			made++
		} else if !errors.Is(err, kafkaproto.ErrTopicAlreadyExists) {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}

func TestRestartFromSnapshotAndTruncatedLog(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	q := ready(t, n.open())
	register(t, q, 1)
	for i := range 300 {
		mustCreate(t, q, fmt.Sprintf("t%03d", i))
	}
	if err := q.raft.Load().Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	if first, _ := q.store.FirstIndex(); first < 10 {
		t.Fatalf("the log still starts at %d", first)
	}
	mustCreate(t, q, "later")
	cluster, index := q.Image().ClusterID(), q.Image().LastIndex()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = ready(t, n.open())
	if img := q.Image(); img.NumTopics() != 301 || img.ClusterID() != cluster || img.LastIndex() < index {
		t.Errorf("%d topics, cluster %s, index %d (was %d)", img.NumTopics(), img.ClusterID(), img.LastIndex(), index)
	}
	register(t, q, 2)
	mustCreate(t, q, "last")
}

func TestSnapshotIsTakenWithoutBeingAskedWhenTheLogHasGrown(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	taken := make(chan int64, 10)
	n.change = func(o *Options) {
		o.Events.SnapshotTaken = func(bytes int64, _ time.Duration) { taken <- bytes }
	}
	q := ready(t, n.open())
	register(t, q, 1)
	value := string(make([]byte, 900<<10))
	for i := range 20 {
		submit[any](t, q, controller.ChangeConfigs{Resources: []controller.ChangeConfig{{
			Kind: controller.GroupConfig, Name: "g", Set: map[string]*string{fmt.Sprint(i % 2): &value},
		}}})
		value = value[1:]
	}
	select {
	case n := <-taken:
		if n < 900<<10 {
			t.Errorf("snapshot of %d bytes", n)
		}
	case <-testContext(t).Done():
		t.Error("no snapshot")
	}
}

func TestTenThousandPartitionsInOneRequest(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	q := ready(t, n.open())
	register(t, q, 1)
	answers := submit[[]controller.CreateTopicAnswer](t, q, controller.CreateTopics{Topics: []controller.CreateTopic{
		{Name: "wide", NumPartitions: 10_000, ReplicationFactor: 1},
	}})
	if answers[0].Err != nil || answers[0].NumPartitions != 10_000 {
		t.Fatalf("%+v", answers)
	}
	register(t, q, 2) // a new leader epoch for each, in one batch
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = ready(t, n.open())
	wide, ok := q.Image().Topic("wide")
	if !ok || len(wide.Partitions) != 10_000 || wide.Partitions[9_999].LeaderEpoch != 1 {
		t.Errorf("after the restart: %v", ok)
	}
}

func TestWatcherThatJoinsLateSeesTheWholeImageFirst(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	q := ready(t, n.open())
	register(t, q, 1)
	mustCreate(t, q, "a")
	type look struct {
		all    bool
		topics int
	}
	looks := make(chan look, 10)
	q.Watch(func(img *controller.Image, c controller.Changes) { looks <- look{c.All, img.NumTopics()} })
	if l := <-looks; !l.all || l.topics != 1 {
		t.Errorf("first look %+v", l)
	}
	mustCreate(t, q, "b")
	if l := <-looks; l.all || l.topics != 2 {
		t.Errorf("second look %+v", l)
	}
}

// A slow watcher doesn't hold up the log: what it missed comes as one.
func TestChangesForASlowWatcherAreMerged(t *testing.T) {
	f := newFeed()
	defer f.close()
	hold, seen := make(chan struct{}), make(chan controller.Changes, maxBacklog+10)
	f.open()
	f.watch(func(_ *controller.Image, c controller.Changes) {
		<-hold
		seen <- c
	})
	const published = maxBacklog + 100
	for i := range published {
		f.publish(controller.NewImage(), controller.Changes{Brokers: []int32{int32(i)}})
	}
	close(hold)
	calls, brokers := 0, 0
	for brokers < published {
		c := <-seen
		if c.All {
			continue
		}
		calls++
		for _, id := range c.Brokers {
			if int(id) != brokers {
				t.Fatalf("broker %d where %d was due", id, brokers)
			}
			brokers++
		}
	}
	if calls > maxBacklog+1 {
		t.Errorf("%d calls", calls)
	}
}

func TestSubmitEndsWithItsContextAndWithTheQuorum(t *testing.T) {
	n := newTestNode(t, env.NewMem())
	q := ready(t, n.open())
	hold := make(chan struct{})
	q.Watch(func(_ *controller.Image, c controller.Changes) {
		if !c.All {
			<-hold
		}
	})
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := q.Submit(short, controller.RegisterBroker{ID: 1, Incarnation: [16]byte{1}})
	if !errors.Is(err, kafkaproto.ErrRequestTimedOut) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a watcher that hangs: %v", err)
	}
	close(hold)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Submit(t.Context(), controller.UnregisterBroker{ID: 1}); !errors.Is(err, kafkaproto.ErrNotController) {
		t.Errorf("after Close: %v", err)
	}
}
