package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// quick are settings under which groups form at once.
var quick = []string{"group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=100"}

func adminOf(t testing.TB, n *Node) *kadm.Client {
	t.Helper()
	return kadm.NewClient(client(t, n))
}

// commit stores offset as the committed one of partition 0 of orders, at once or not at all.
func commit(ctx context.Context, c *kadm.Client, group string, offset int64) error {
	var os kadm.Offsets
	os.AddOffset("orders", 0, offset, -1)
	res, err := c.CommitOffsets(ctx, group, os)
	if err == nil {
		err = res.Error()
	}
	return err
}

// committed is what commit has stored, -1 for nothing.
func committed(t testing.TB, c *kadm.Client, group string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	res, err := c.FetchOffsets(ctx, group)
	if err != nil {
		t.Fatalf("fetching the offsets of %s: %v", group, err)
	}
	if o, ok := res.Lookup("orders", 0); ok {
		return o.At
	}
	return -1
}

func createOrders(t testing.TB, n *Node) *kadm.Client {
	t.Helper()
	c := adminOf(t, n)
	if _, err := c.CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheFirstCommitOnAFreshBrokerSucceedsAndIsKeptByAStop(t *testing.T) {
	fs := env.NewMem()
	n, err := tryNode(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	c := createOrders(t, n)
	if err := commit(t.Context(), c, "g", 7); err != nil {
		t.Fatal(err)
	}
	stopNode(t, n)
	n = startNode(t, fs)
	if got := committed(t, adminOf(t, n), "g"); got != 7 {
		t.Errorf("the committed offset is %d, want 7", got)
	}
}

// Groups commit while the process is killed, or the power goes: what was acknowledged is the least that a start knows.
func TestNoAcknowledgedCommitIsLost(t *testing.T) {
	for _, power := range []bool{false, true} {
		t.Run(fmt.Sprintf("power=%v", power), func(t *testing.T) {
			fs := env.NewMem()
			n := startNode(t, fs, "offsets.topic.num.partitions=5")
			setup := createOrders(t, n)
			const workers = 8
			var mu sync.Mutex
			var acked [workers]int64
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for w := range workers {
				group := fmt.Sprint("group-", w)
				if err := commit(ctx, setup, group, 0); err != nil {
					t.Fatal(err)
				}
				c := adminOf(t, n)
				wg.Go(func() {
					for offset := int64(1); ctx.Err() == nil; offset++ {
						if err := commit(ctx, c, group, offset); err == nil {
							mu.Lock()
							acked[w] = offset
							mu.Unlock()
						}
					}
				})
			}
			rng := rand.New(rand.NewPCG(7, 7))
			for i := range 4 {
				time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
				mu.Lock()
				least := acked
				mu.Unlock()
				cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng} // a kill leaves all that was written
				if power {
					cfg.UnsyncedDataPercent = rng.IntN(101)
				}
				checkCommits(t, i, fs.CrashClone(cfg), least[:])
			}
			cancel()
			wg.Wait()
		})
	}
}

func checkCommits(t *testing.T, i int, fs env.FS, least []int64) {
	t.Helper()
	n, err := tryNode(t, fs, "offsets.topic.num.partitions=5")
	if err != nil {
		t.Fatalf("crash %d: the node does not start: %v", i, err)
	}
	defer stopNode(t, n)
	c := adminOf(t, n)
	for w, want := range least {
		if got := committed(t, c, fmt.Sprint("group-", w)); got < want {
			t.Errorf("crash %d: group %d is at %d, but %d was acknowledged", i, w, got, want)
		}
	}
}

func TestAGroupOfConsumersSharesPartitionsAndResumes(t *testing.T) {
	fs := env.NewMem()
	n, err := tryNode(t, fs, quick...)
	if err != nil {
		t.Fatal(err)
	}
	c := adminOf(t, n)
	if _, err := c.CreateTopic(t.Context(), 4, 1, nil, "shared"); err != nil {
		t.Fatal(err)
	}
	p := client(t, n, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	send := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: "shared", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(0, 100)
	member := func(n *Node) *kgo.Client {
		return client(t, n, kgo.ConsumerGroup("readers"), kgo.ConsumeTopics("shared"), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	seen := map[string]int{}
	read := func(want int, members ...*kgo.Client) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for len(seen) < want {
			for _, m := range members {
				poll, stop := context.WithTimeout(ctx, 20*time.Millisecond)
				m.PollFetches(poll).EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++ })
				stop()
				if err := m.CommitUncommittedOffsets(ctx); err != nil && kerr.IsRetriable(err) == false && ctx.Err() == nil {
					t.Log("commit:", err) // the group rebalances
				}
			}
			if ctx.Err() != nil {
				t.Fatalf("%d of %d records came", len(seen), want)
			}
		}
	}
	one := member(n)
	read(100, one)
	one.Close()
	p.Close()
	stopNode(t, n)

	n = startNode(t, fs, quick...)
	p = client(t, n, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	send(100, 160)
	two, three := member(n), member(n)
	read(160, two, three)
	for value, times := range seen {
		if times > 1 && len(value) < 3 { // committed before the restart
			t.Errorf("record %s came %d times", value, times)
		}
	}
}

func TestDeletingATopicTakesItsCommittedOffsetsAlong(t *testing.T) {
	n := startNode(t, env.NewMem())
	c := createOrders(t, n)
	if err := commit(t.Context(), c, "g", 7); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteTopic(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); committed(t, c, "g") != -1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the offset of a deleted topic is still there")
		}
	}
}

func TestDeletedTopicsAreFoundInEveryKindOfChange(t *testing.T) {
	id := func(n byte) kafkaproto.TopicID { return kafkaproto.TopicID{n} }
	image := func(names ...string) *controller.Image {
		img := controller.NewImage()
		for _, name := range names {
			var err error
			img, _, err = img.Replay([]controller.Event{&controller.TopicCreated{ID: id(name[0]), Name: name},
				&controller.PartitionChanged{Topic: id(name[0]), Partition: controller.Partition{Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		return img
	}
	for _, c := range []struct {
		what       string
		last, next *controller.Image
		changes    controller.Changes
		want       string
	}{
		{"the first look", nil, image("a"), controller.Changes{All: true}, "[]"},
		{"a new image", image("a", "b"), image("b", "c"), controller.Changes{All: true}, "[a]"},
		{"a deletion", image("a", "b"), image("b"), controller.Changes{Topics: []kafkaproto.TopicID{id('a'), id('b')}}, "[a]"},
		{"a creation", image("a"), image("a", "b"), controller.Changes{Topics: []kafkaproto.TopicID{id('b')}}, "[]"},
	} {
		gone := deletedTopics(c.last, c.next, c.changes)
		if got := fmt.Sprint(gone.Topics); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
		if len(gone.Topics) > 0 && (len(gone.IDs) != 1 || gone.IDs[0] != id('a')) {
			t.Errorf("%s: the ids are %v", c.what, gone.IDs)
		}
	}
}

func TestACodecThatDoesNotExistIsRefusedAtTheStart(t *testing.T) {
	if _, err := tryNode(t, env.NewMem(), "offsets.topic.compression.codec=5"); err == nil || !strings.Contains(err.Error(), "offsets.topic.compression.codec") {
		t.Errorf("got %v, want an error that names the property", err)
	}
}

// A member that waits for others to join can wait for minutes: a stop does not.
func TestAStopDoesNotWaitForMembersThatWaitToJoin(t *testing.T) {
	n, err := tryNode(t, env.NewMem(), "group.initial.rebalance.delay.ms=300000")
	if err != nil {
		t.Fatal(err)
	}
	c := createOrders(t, n)
	member := client(t, n, kgo.ConsumerGroup("waiting"), kgo.ConsumeTopics("orders"), kgo.RebalanceTimeout(5*time.Minute))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go member.PollFetches(ctx)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		groups, err := c.DescribeGroups(t.Context(), "waiting")
		if err == nil && groups["waiting"].State == "PreparingRebalance" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no member came: %+v, %v", groups, err)
		}
	}
	began := time.Now()
	stopNode(t, n) // fails if it takes longer than 10 s
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

func TestGroupsAreCountedByState(t *testing.T) {
	n := startNode(t, env.NewMem(), quick...)
	if got := n.countGroups(); len(got) != 0 {
		t.Errorf("without groups: %v", got)
	}
	c := createOrders(t, n)
	for i := range 3 {
		if err := commit(t.Context(), c, fmt.Sprint("g", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.countGroups(); got["Empty"] != 3 || len(got) != 1 {
		t.Errorf("with three groups without members: %v", got)
	}
}
