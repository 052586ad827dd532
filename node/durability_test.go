package node

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
)

var (
	errIO  = error(syscall.EIO)
	points = flag.Int("crash-points", 60, "how many moments TestNothingAcknowledgedIsLostWhenPowerGoes cuts the power at")
)

func TestUnderAlwaysNothingIsToldBeforeTheSync(t *testing.T) {
	fs := env.NewFaultFS(env.NewMem())
	n := startNode(t, fs)
	c := client(t, n)
	produce(t, c, "orders", "one")
	p := leader(t, n, "orders", 0)

	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fs.Change(func(h *env.FaultHooks) {
		h.SyncData = func(string) error {
			once.Do(func() { close(held) })
			<-release
			return nil
		}
	})
	answered := make(chan error, 2)
	for _, acks := range []kgo.Acks{kgo.AllISRAcks(), kgo.LeaderAck()} {
		c := client(t, n, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
		c.Produce(context.Background(), &kgo.Record{Topic: "orders", Value: []byte("two")}, func(_ *kgo.Record, err error) { answered <- err })
	}
	<-held
	for p.Status().End < 3 { // both are written; only the sync is missing
		time.Sleep(time.Millisecond)
	}
	if got := p.Status().HighWatermark; got != 1 {
		t.Errorf("the high watermark is %d before the sync, want 1", got)
	}
	if got := values(t, p); len(got) != 1 {
		t.Errorf("a consumer sees %v before the sync", got)
	}
	if got := latest(t, c); got != 1 {
		t.Errorf("ListOffsets says %d before the sync, want 1", got)
	}
	select {
	case err := <-answered:
		t.Errorf("an acknowledgement left before the sync (error %v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	for range 2 {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	if got := latest(t, c); got != 3 {
		t.Errorf("ListOffsets says %d after the sync, want 3", got)
	}
}

// latest asks ListOffsets for the end of orders.
func latest(t testing.TB, c *kgo.Client) int64 {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = "orders"
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Timestamp = -1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	got := res.Topics[0].Partitions[0]
	if got.ErrorCode != 0 {
		t.Fatalf("ListOffsets: error %d", got.ErrorCode)
	}
	return got.Offset
}

// place is where a record was acknowledged.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// load writes until its context ends: idempotent producers of records large and small, each value once.
type load struct {
	mu     sync.Mutex
	sent   map[string]bool
	acked  map[place]string
	topics map[string]int32
}

func (l *load) run(ctx context.Context, t *testing.T, n *Node, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	var wg sync.WaitGroup
	for w := range 3 {
		c := client(t, n, kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		own := rand.New(rand.NewPCG(rng.Uint64(), 2))
		wg.Go(func() { l.produce(ctx, c, w, own) })
	}
	wg.Wait()
}

func (l *load) produce(ctx context.Context, c *kgo.Client, worker int, rng *rand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		topic := fmt.Sprintf("topic-%d", rng.IntN(3))
		if rng.IntN(40) == 0 {
			l.create(ctx, c, fmt.Sprintf("new-%d-%d", worker, i))
		}
		records := make([]*kgo.Record, 1+rng.IntN(5))
		l.mu.Lock()
		for j := range records {
			value := fmt.Sprintf("%d/%d/%d/%0*d", worker, i, j, rng.IntN(800), 0)
			records[j] = &kgo.Record{Topic: topic, Partition: int32(rng.IntN(4)), Value: []byte(value)}
			l.sent[value] = true
		}
		l.mu.Unlock()
		for _, r := range c.ProduceSync(ctx, records...) {
			if r.Err == nil {
				l.mu.Lock()
				l.acked[place{r.Record.Topic, r.Record.Partition, r.Record.Offset}] = string(r.Record.Value)
				l.mu.Unlock()
			}
		}
	}
}

func (l *load) create(ctx context.Context, c *kgo.Client, name string) {
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, 2, 1
	req.Topics = append(req.Topics, rt)
	if res, err := req.RequestWith(ctx, c); err == nil && res.Topics[0].ErrorCode == 0 {
		l.mu.Lock()
		l.topics[name] = 2
		l.mu.Unlock()
	}
}

// acknowledged copies what was acknowledged up to now.
func (l *load) acknowledged() (records map[place]string, topics map[string]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	records, topics = make(map[place]string, len(l.acked)), make(map[string]int32, len(l.topics))
	for k, v := range l.acked {
		records[k] = v
	}
	for k, v := range l.topics {
		topics[k] = v
	}
	return records, topics
}

// The power goes at random moments, and of what was not synced any subset of blocks survives: in the WAL, in the index, in
// the metadata. What was acknowledged before must be there, at its offset, and nothing that was never sent.
func TestNothingAcknowledgedIsLostWhenPowerGoes(t *testing.T) {
	const perRun = 20
	for done, seed := 0, uint64(1); done < *points; seed++ {
		batch := min(perRun, *points-done)
		done += batch
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { crashRun(t, seed, batch) })
		if t.Failed() {
			return
		}
	}
}

func crashRun(t *testing.T, seed uint64, crashes int) {
	rng := rand.New(rand.NewPCG(seed, 0))
	fs := env.NewMem()
	n := startNode(t, fs, "num.partitions=4", "log.wal.file.bytes=1048576")
	l := &load{sent: map[string]bool{}, acked: map[place]string{}, topics: map[string]int32{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.run(ctx, t, n, seed)
	}()
	type crash struct {
		fs     *env.MemFS
		acked  map[place]string
		topics map[string]int32
		sent   map[string]bool
	}
	for i := range crashes {
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		var c crash
		c.acked, c.topics = l.acknowledged()
		c.fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		l.mu.Lock()
		c.sent = make(map[string]bool, len(l.sent))
		for v := range l.sent {
			c.sent[v] = true
		}
		l.mu.Unlock()
		check(t, i, c.fs, c.acked, c.topics, c.sent)
		if t.Failed() {
			break
		}
	}
	cancel()
	<-ended
}

func check(t *testing.T, i int, fs *env.MemFS, acked map[place]string, topics map[string]int32, sent map[string]bool) {
	t.Helper()
	n, err := tryNode(t, fs, "num.partitions=4", "log.wal.file.bytes=1048576")
	if err != nil {
		t.Errorf("crash %d: the node does not start: %v", i, err)
		return
	}
	defer stopNode(t, n)
	img := n.quorum.Image()
	for name := range topics {
		if _, ok := img.Topic(name); !ok {
			t.Errorf("crash %d: topic %s, whose creation was acknowledged, is gone", i, name)
		}
	}
	found := map[place]string{}
	for topic := range img.Topics() {
		for _, part := range topic.Partitions {
			for o, v := range values(t, leader(t, n, topic.Name, part.ID)) {
				found[place{topic.Name, int32(part.ID), int64(o)}] = v
				if !sent[v] {
					t.Errorf("crash %d: %s-%d has at %d what was never sent: %.40q", i, topic.Name, part.ID, o, v)
				}
			}
		}
	}
	for at, v := range acked {
		if found[at] != v {
			t.Errorf("crash %d: %+v held %.40q when it was acknowledged, now %.40q", i, at, v, found[at])
		}
	}
}
