package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKillNineUnderAGroup kills the broker again and again under a group of four consumers, two of franz-go and two of
// confluent-kafka, that commit synchronously what they get, while a producer writes numbers. No acknowledged commit is
// lost, no number is skipped, and none comes again after a commit that covers it was acknowledged.
func TestKillNineUnderAGroup(t *testing.T) {
	t.Parallel()
	b := startBroker(t, scenarioFlags...)
	g := newGroupCrash(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	for i := range g.members {
		running.Go(func() { g.consume(ctx, i) })
	}
	producing, stopProducing := context.WithCancel(ctx)
	var producer sync.WaitGroup
	producer.Go(func() { g.produce(producing) })

	g.waitCommits(4 * crashPartitions)
	for kill := range groupKills {
		g.waitCommits(4)
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // anywhere between two commits
		acked := g.acknowledged()
		b.kill9()
		b.start()
		g.notLost(acked)
		if kill%2 == 1 { // all begin anew from what is committed
			g.rejoin[kill/2%len(g.members)] <- struct{}{}
		}
	}
	stopProducing()
	producer.Wait()
	eventually(t, groupWithin, "everything is read and committed", g.caughtUp)
	cancel()
	running.Wait()
	g.finish()
}

const (
	crashPartitions = 8
	groupKills      = 20
)

// groupCrash is what the members of the group were given and what they committed.
type groupCrash struct {
	t       *testing.T
	b       *broker
	topic   string // and group
	members []*driver
	rejoin  []chan struct{} // a token asks the member to leave and join again
	admin   *kadm.Client

	mu      sync.Mutex
	sent    int
	seen    map[int]bool
	again   int // deliveries of what was seen before, which is right where no commit was acknowledged
	acked   [crashPartitions]int64
	commits int           // acknowledged
	refused int           // commits
	moved   chan struct{} // has a token after an acknowledged commit
	faults  int
}

func newGroupCrash(t *testing.T, b *broker) *groupCrash {
	g := &groupCrash{t: t, b: b, topic: "crash-group", seen: map[int]bool{}, moved: make(chan struct{}, 1), admin: kadm.NewClient(openClient(t, b, kgo.AlwaysRetryEOF()))}
	createTopic(t, b, g.topic, crashPartitions)
	for _, name := range []string{"franz-go", "franz-go", "confluent-kafka", "confluent-kafka"} {
		m := startDriver(t, b, clientNamed(t, name))
		g.members = append(g.members, m)
		g.rejoin = append(g.rejoin, make(chan struct{}, groupKills))
		if err := g.join(m); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func (g *groupCrash) join(m *driver) error {
	return m.ask("join", fields{
		"group": g.topic, "topics": []string{g.topic}, "instance_id": nil, "assignor": "range",
		"session_timeout_ms": 6000, "client_id": nil,
	}, nil)
}

// produce sends numbers, some each tick, until its context ends; then all are acknowledged.
func (g *groupCrash) produce(ctx context.Context) {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(g.b.addr), kgo.DefaultProduceTopic(g.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner())}, backSoon...)...)
	if err != nil {
		g.t.Error(err)
		return
	}
	defer client.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		for range 16 {
			g.mu.Lock()
			n := g.sent
			g.sent++
			g.mu.Unlock()
			client.Produce(g.t.Context(), &kgo.Record{Partition: int32(n % crashPartitions), Value: strconv.AppendInt(nil, int64(n), 10)},
				func(_ *kgo.Record, err error) {
					if err != nil {
						g.fault("record %d: %v", n, err)
					}
				})
		}
	}
	flush, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	if err := client.Flush(flush); err != nil {
		g.fault("flush: %v", err)
	}
}

// consume takes what a member gets and commits it, until the context ends.
func (g *groupCrash) consume(ctx context.Context, i int) {
	m := g.members[i]
	for ctx.Err() == nil {
		select {
		case <-g.rejoin[i]:
			if err := errors.Join(m.ask("leave", nil, nil), g.join(m)); err != nil {
				g.fault("%v", err)
				return
			}
		default:
		}
		before := g.acknowledged()
		var got struct{ Records []sentRecord }
		if err := m.ask("member", nil, &got); err != nil {
			g.fault("%v", err)
			return
		}
		for _, r := range got.Records {
			g.take(m, r, before)
		}
		if len(got.Records) == 0 {
			time.Sleep(20 * time.Millisecond) // the driver would else be asked without end
			continue
		}
		g.commit(m)
	}
}

func (g *groupCrash) take(m *driver, r sentRecord, acked [crashPartitions]int64) {
	n, err := strconv.Atoi(string(r.Value))
	if err != nil {
		g.fault("not a number: %q", r.Value)
		return
	}
	if r.Offset < acked[*r.Partition] {
		g.fault("%s: %d-%d came after the commit of %d was acknowledged", m.client.Name, *r.Partition, r.Offset, acked[*r.Partition])
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen[n] {
		g.again++
	}
	g.seen[n] = true
}

// commit may be refused: the coordinator went, or a rebalance is under way. Then nothing counts as committed.
func (g *groupCrash) commit(m *driver) {
	var got struct{ Offsets [][3]json.RawMessage }
	err := m.ask("member_commit", nil, &got)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.refused++
		return
	}
	for _, o := range got.Offsets {
		p, err1 := strconv.Atoi(string(o[1]))
		offset, err2 := strconv.ParseInt(string(o[2]), 10, 64)
		if err1 != nil || err2 != nil || p >= crashPartitions {
			g.t.Errorf("%s answers %s", m.client.Name, o)
			return
		}
		g.acked[p] = max(g.acked[p], offset)
	}
	g.commits++
	select {
	case g.moved <- struct{}{}:
	default:
	}
}

func (g *groupCrash) fault(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.faults++; g.faults <= 10 {
		g.t.Errorf(format, args...)
	}
}

func (g *groupCrash) acknowledged() [crashPartitions]int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.acked
}

// waitCommits waits until n more commits are acknowledged.
func (g *groupCrash) waitCommits(n int) {
	g.t.Helper()
	timeout := time.After(2 * time.Minute)
	for range n {
		select {
		case <-g.moved:
		case <-timeout:
			g.t.Fatalf("no commit is acknowledged for two minutes; %d were, %d refused", g.commits, g.refused)
		}
	}
}

// notLost asks the restarted broker for what was acknowledged before.
func (g *groupCrash) notLost(acked [crashPartitions]int64) {
	g.t.Helper()
	var fetched kadm.OffsetResponses
	eventually(g.t, groupWithin, "the restarted broker tells what is committed", func() bool { // it may still be loading
		var err error
		fetched, err = g.admin.FetchOffsets(g.t.Context(), g.topic)
		return err == nil && fetched.Error() == nil
	})
	for p, want := range acked {
		if o, ok := fetched.Lookup(g.topic, int32(p)); want > 0 && (!ok || o.At < want) {
			g.fault("partition %d: committed %d after a restart, %d was acknowledged before", p, o.At, want)
		}
	}
}

func (g *groupCrash) caughtUp() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := int64(0)
	for _, o := range g.acked {
		sum += o
	}
	return len(g.seen) == g.sent && sum == int64(g.sent)
}

func (g *groupCrash) finish() {
	g.t.Helper()
	g.t.Logf("%d kills: %d numbers, %d commits acknowledged and %d refused, %d deliveries a second time without a commit",
		groupKills, g.sent, g.commits, g.refused, g.again)
	for p, end := range endOffsets(g.t, g.b, g.topic, crashPartitions) {
		if want := int64((g.sent - p + crashPartitions - 1) / crashPartitions); end != want {
			g.t.Errorf("partition %d ends at %d, want %d", p, end, want)
		}
	}
	g.notLost(g.acked)
	for _, m := range g.members {
		m.must("leave", nil, nil)
		m.quit()
	}
	g.b.verify()
	if g.sent == 0 || g.commits < groupKills {
		g.t.Error(fmt.Errorf("%d numbers, %d commits: too few to tell anything", g.sent, g.commits))
	}
}
