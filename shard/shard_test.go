package shard

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

var errNoSpace = error(syscall.ENOSPC)

func TestAnAnswerWaitsUntilItsRecordsAreCommitted(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	n.submit(0, set{"a", "1"}).ok(int64(0))
	release := n.holdSyncs()
	write := n.submit(0, set{"a", "2"})
	read := n.submit(0, get("a")) // has seen what is not committed
	p := n.part(0)
	eventually(t, "the record is written", func() bool { return p.Status().Written == 2 })
	write.silent()
	read.silent()
	release()
	write.ok(int64(1))
	read.ok("2")
	n.submit(0, get("a")).ok("2")
}

func TestAnAnswerWithoutRecordsIsGivenAtOnceWhenAllIsCommitted(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	n.submit(0, set{"a", "1"}).ok(int64(0))
	n.holdSyncs()
	n.submit(0, get("a")).ok("1")
}

func TestWithoutTheTopicThereIsNoCoordinator(t *testing.T) {
	n := startNode(t, nil)
	n.submit(0, get("a")).fails(kafkaproto.ErrCoordinatorNotAvailable)
	if _, ok := n.host.Partitions(); ok {
		t.Error("a topic that does not exist has partitions")
	}
	n.topic(3)
	if count, ok := n.host.Partitions(); count != 3 || !ok {
		t.Errorf("the topic has %d partitions, want 3", count)
	}
	n.submit(3, get("a")).fails(kafkaproto.ErrCoordinatorNotAvailable)
	n.submit(-1, get("a")).fails(kafkaproto.ErrCoordinatorNotAvailable)
	n.submit(2, get("a")).ok("")
	id, _ := n.img.Topic(topicName)
	n.happen(&controller.TopicDeleted{ID: id.ID})
	n.submit(2, get("a")).fails(kafkaproto.ErrCoordinatorNotAvailable)
}

func TestAMachineIsLoadedFromItsLog(t *testing.T) {
	n := startNode(t, nil)
	n.topic(2)
	for i := range 100 {
		n.submit(0, set{fmt.Sprint(i), "x"}).ok(int64(i))
	}
	n.submit(1, two{"k", "y"}).ok(int64(1))
	n.restart(n.mem.CrashClone(vfs.CrashCloneCfg{}))
	if got := n.ask(0, count{}); got != 100 {
		t.Errorf("%v records were replayed, want 100", got)
	}
	if got := n.ask(1, get("k2")); got != "y" {
		t.Errorf("k2 is %q, want y", got)
	}
	if got := n.ask(0, set{"100", "x"}); got != int64(100) {
		t.Errorf("the next record has offset %v, want 100", got)
	}
}

func TestRecordsOfOneTurnAreAppendedTogether(t *testing.T) {
	var batches, steps atomic.Int64
	n := startNode(t, nil)
	n.host.o.Events.Appended = func(_ int32, _, s int) { batches.Add(1); steps.Add(int64(s)) }
	n.topic(1)
	s := n.host.view.Load().shards[0]
	s.mu.Lock()
	s.running = true // the loop is ours: inputs gather
	s.mu.Unlock()
	var replies []*reply
	for i := range 50 {
		replies = append(replies, n.submit(0, set{fmt.Sprint(i), "x"}))
	}
	s.run(own)
	for i, r := range replies {
		r.ok(int64(i))
	}
	if batches.Load() != 1 || steps.Load() != 50 {
		t.Errorf("%d steps were appended in %d batches, want 50 in 1", steps.Load(), batches.Load())
	}
}

func TestTransactionsAreLoadedAsTheyStand(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	open, done, undone := machine.Producer{ID: 1}, machine.Producer{ID: 2, Epoch: 3}, machine.Producer{ID: 4}
	for i, p := range []machine.Producer{open, done, undone} {
		n.submit(0, inTxn{p, fmt.Sprint("txn", i), "x"}).ok("pending")
	}
	n.submit(0, set{"plain", "x"}).ok(int64(3))
	for _, m := range []struct {
		p      machine.Producer
		commit bool
	}{{done, true}, {undone, false}} {
		told := make(chan error, 1)
		n.host.AppendMarker(0, m.p, 7, m.commit, func(err error) { told <- err })
		n.must(<-told)
	}
	look := func() {
		t.Helper()
		for key, want := range map[string]string{"txn0": "", "txn1": "x", "txn2": "", "plain": "x"} {
			if got := n.ask(0, get(key)); got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
	}
	look()
	n.restart(n.mem.CrashClone(vfs.CrashCloneCfg{}))
	look()
	told := make(chan error, 1)
	n.host.AppendMarker(0, open, 8, true, func(err error) { told <- err })
	n.must(<-told)
	if got := n.ask(0, get("txn0")); got != "x" {
		t.Errorf("txn0 is %q after its commit, want x", got)
	}
	told = make(chan error, 1)
	n.host.AppendMarker(0, done, 6, true, func(err error) { told <- err }) // of an older coordinator
	if err := <-told; kafkaproto.Code(err) != kafkaproto.ErrTransactionCoordinatorFenced.Num {
		t.Errorf("a marker of an old coordinator: %v, want TRANSACTION_COORDINATOR_FENCED", err)
	}
	if len(n.failed()) > 0 {
		t.Errorf("a refused marker made the shard fail: %v", n.failed())
	}
}

func TestAfterALostAppendTheMachineIsLoadedAnew(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	n.submit(0, set{"a", "1"}).ok(int64(0))
	pending := n.submit(0, wait("bell"))
	n.happen(n.changed(func(p *controller.Partition) { // two replicas must be in sync, and one is
		p.LeaderEpoch--
		p.Replicas = []int32{1, 2}
	})...)
	n.happen(&controller.ConfigChanged{Resource: controller.ConfigResource{Kind: controller.TopicConfig, Name: topicName},
		Key: "min.insync.replicas", Value: ptr("2")})
	n.submit(0, set{"a", "2"}).fails(kafkaproto.ErrCoordinatorNotAvailable)
	pending.fails(kafkaproto.ErrNotCoordinator)
	if got := n.ask(0, get("a")); got != "1" {
		t.Errorf("a is %v after the append failed, want 1", got)
	}
	if len(n.failed()) != 1 || n.loaded() != "0:0 0:1" {
		t.Errorf("failures %v, loads %q", n.failed(), n.loaded())
	}
}

func ptr(s string) *string { return &s }

func TestAFullDiskCostsTheRecordsThatWereNotWritten(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	n.submit(0, set{"a", "1"}).ok(int64(0))
	n.faults.Change(func(h *env.FaultHooks) {
		h.WriteVAt = func(string, int64, int) (int, error) { return 0, errNoSpace }
	})
	n.submit(0, set{"a", "2"}).fails(kafkaproto.ErrNotCoordinator)
	n.faults.Change(func(h *env.FaultHooks) { h.WriteVAt = nil })
	if got := n.ask(0, get("a")); got != "1" {
		t.Errorf("a is %v after the write failed, want 1", got)
	}
}

func TestSomebodyElsesRecordsMakeTheMachineLoadAnew(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	n.submit(0, set{"a", "1"}).ok(int64(0))
	b := kafkaproto.NewBuilder()
	b.Append(kafkaproto.Record{Key: []byte("a"), Value: []byte("foreign")})
	batch, err := b.Batch()
	n.must(err)
	done := make(chan partition.AppendResult, 1)
	n.part(0).Append(partition.AppendRequest{Records: batch, Acks: -1, Timeout: time.Minute, CurrentLeaderEpoch: -1, Client: true, Version: 9,
		Done: func(r partition.AppendResult) { done <- r }})
	n.must((<-done).Err)
	n.submit(0, set{"b", "2"}).fails(kafkaproto.ErrNotCoordinator)
	if got := n.ask(0, get("a")); got != "foreign" {
		t.Errorf("a is %v, want what was written past the machine", got)
	}
	if got := n.ask(0, set{"c", "3"}); got != int64(3) { // the record of b is in the log
		t.Errorf("the next offset is %v, want 3", got)
	}
}

func TestLeadershipThatGoesTakesTheAnswersAlong(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	joined := n.submit(0, wait("bell"))
	release := n.holdSyncs()
	parked := n.submit(0, set{"a", "1"})
	n.lead(2)
	parked.fails(kafkaproto.ErrNotCoordinator)
	joined.fails(kafkaproto.ErrNotCoordinator)
	n.submit(0, get("a")).fails(kafkaproto.ErrNotCoordinator)
	release()
	n.lead(1)
	if got := n.ask(0, get("a")); got != "1" {
		t.Errorf("a is %q, want 1: the record was in the log", got)
	}
	parked.silent()
}

func TestANewLeaderEpochIsANewShard(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	n.submit(0, set{"a", "1"}).ok(int64(0))
	joined := n.submit(0, wait("bell"))
	n.lead(1)
	joined.fails(kafkaproto.ErrNotCoordinator)
	if got := n.ask(0, get("a")); got != "1" {
		t.Errorf("a is %q, want 1", got)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.machines) != 2 || n.machines[1].leads != 1 {
		t.Errorf("%d machines were made, want 2, each told once that it leads", len(n.machines))
	}
}

func TestTimersFireOnTheClock(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	at := func(d time.Duration) time.Time { return n.clock.Now().Add(d) }
	n.submit(0, timed{"late", at(10 * time.Second)}).ok("set")
	n.submit(0, timed{"early", at(time.Second)}).ok("set")
	n.submit(0, timed{"moved", at(time.Second)}).ok("set")
	n.submit(0, timed{"moved", at(5 * time.Second)}).ok("set")
	n.submit(0, timed{"gone", at(time.Second)}).ok("set")
	n.submit(0, timed{"gone", time.Time{}}).ok("set")
	for _, step := range []struct {
		d    time.Duration
		want string
	}{{999 * time.Millisecond, ""}, {time.Millisecond, "early "}, {4 * time.Second, "early moved "}, {5 * time.Second, "early moved late "}} {
		n.parked(0, 0) // the alarm is set when the shard is at rest
		n.clock.Advance(step.d)
		if step.want == "" {
			n.submit(0, get("fired")).ok("")
			continue
		}
		eventually(t, "the machine has seen "+step.want, func() bool { return n.ask(0, get("fired")) == step.want })
	}
	s := n.host.view.Load().shards[0]
	eventually(t, "no timer is left", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.running && s.alarm.at.IsZero() && len(s.timers.heap) == 0 && len(s.timers.byKey) == 0
	})
}

func TestAnAnswerThatIsNotCommittedInTimeIsGivenUp(t *testing.T) {
	n := startNode(t, func(n *node) { n.options.CommitTimeout = 3 * time.Second })
	n.topic(1)
	release := n.holdSyncs()
	first := n.submit(0, set{"a", "1"})
	n.parked(0, 1) // someone else may be at work on the shard, and take it from the queue later
	n.clock.Advance(2 * time.Second)
	second := n.submit(0, set{"a", "2"})
	n.parked(0, 2)
	n.clock.Advance(time.Second)
	first.fails(kafkaproto.ErrCoordinatorNotAvailable)
	second.silent()
	n.clock.Advance(2 * time.Second)
	second.fails(kafkaproto.ErrCoordinatorNotAvailable)
	release()
	n.submit(0, set{"a", "3"}).ok(int64(2))
	if len(n.failed()) > 0 {
		t.Errorf("a timeout made the shard fail: %v", n.failed())
	}
}

func TestTheQueueHasALimit(t *testing.T) {
	n := startNode(t, func(n *node) { n.options.QueueLimit = 3 })
	n.topic(1)
	var waiting []*reply
	for range 3 {
		waiting = append(waiting, n.submit(0, wait("bell")))
	}
	n.submit(0, get("a")).fails(kafkaproto.ErrCoordinatorNotAvailable)
	n.host.Tell(forget("a")) // what needs no answer still gets in
	n.lead(1)
	for _, w := range waiting {
		w.fails(kafkaproto.ErrNotCoordinator)
	}
	if got := n.ask(0, get("a")); got != "" {
		t.Errorf("a is %v", got)
	}
}

func TestAPanicCostsTheMachineOnly(t *testing.T) {
	n := startNode(t, nil)
	n.topic(2)
	n.submit(0, set{"a", "1"}).ok(int64(0))
	joined := n.submit(0, wait("bell"))
	n.submit(0, crash{}).fails(kafkaproto.ErrUnknownServerError)
	joined.fails(kafkaproto.ErrNotCoordinator)
	n.submit(1, get("a")).ok("")
	if got := n.ask(0, get("a")); got != "1" {
		t.Errorf("a is %v after the panic, want 1", got)
	}
}

func TestALoadThatFailsIsTriedAgainLater(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	n.submit(0, set{"bad", "1"}).fails(kafkaproto.ErrUnknownServerError) // replay refuses it before it is written
	if got := n.ask(0, count{}); got != 0 {
		t.Fatalf("%v records were replayed, want none", got)
	}
	for i := range 40 {
		n.submit(0, set{fmt.Sprint(i), "x"}).ok(int64(i))
	}
	n.faults.Change(func(h *env.FaultHooks) { h.ReadAt = func(string, int64) error { return errNoSpace } })
	n.lead(1)
	eventually(t, "the load has failed twice", func() bool {
		n.clock.Advance(time.Second)
		return len(n.failed()) >= 3
	})
	a := n.submit(0, get("1")).wait()
	if c := kafkaproto.Code(a.err); c != kafkaproto.ErrNotCoordinator.Num && c != kafkaproto.ErrCoordinatorLoadInProgress.Num {
		t.Errorf("answered %v, %v while the load fails", a.value, a.err)
	}
	n.faults.Change(func(h *env.FaultHooks) { h.ReadAt = nil })
	eventually(t, "the shard is loaded", func() bool {
		n.clock.Advance(time.Second)
		a := n.submit(0, get("1")).wait()
		return a.err == nil && a.value == "x"
	})
}

func TestEachAsksEveryShard(t *testing.T) {
	n := startNode(t, nil)
	ask := func(in any) ([]any, error) {
		ch := make(chan answered, 1)
		n.host.Each(in, func(values []any, err error) { ch <- answered{values, err} })
		a := <-ch
		values, _ := a.value.([]any)
		return values, a.err
	}
	if values, err := ask(count{}); len(values) != 0 || err != nil {
		t.Errorf("without a topic: %v, %v", values, err)
	}
	n.topic(3)
	n.submit(1, two{"a", "1"}).ok(int64(1))
	if values, err := ask(count{}); err != nil || fmt.Sprint(values) != "[0 2 0]" {
		t.Errorf("answers are %v, %v, want [0 2 0]", values, err)
	}
	n.host.loads <- struct{}{} // nobody gets to load
	for range cap(n.host.loads) - 1 {
		n.host.loads <- struct{}{}
	}
	n.lead(1)
	if _, err := ask(count{}); kafkaproto.Code(err) != kafkaproto.ErrCoordinatorLoadInProgress.Num {
		t.Errorf("while one is being loaded: %v", err)
	}
	n.host.Tell(forget("a1"))
	for range cap(n.host.loads) {
		<-n.host.loads
	}
	if got := n.ask(1, get("a1")); got != "" {
		t.Errorf("a1 is %q: what was told during the load is lost", got)
	}
}

func TestManySubmitAtTheSameTime(t *testing.T) {
	n := startNode(t, func(n *node) { n.clock = nil })
	n.topic(4)
	const workers, each = 16, 200
	var wg sync.WaitGroup
	var got [4]atomic.Int64
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				p := int32((w + i) % 4)
				if a := n.submit(p, set{fmt.Sprintf("%d/%d", w, i), "x"}).wait(); a.err != nil {
					t.Errorf("worker %d: %v", w, a.err)
					return
				}
				got[p].Add(1)
				if i%50 == 0 {
					n.submit(p, call("bell")).wait()
					n.submit(p, timed{fmt.Sprint(w), time.Now()}).wait()
				}
			}
		})
	}
	wg.Wait()
	for p := range got {
		if c := n.ask(int32(p), count{}); c != int(got[p].Load()) {
			t.Errorf("partition %d has replayed %v records, %d were acknowledged", p, c, got[p].Load())
		}
	}
	if len(n.failed()) > 0 {
		t.Errorf("failures: %v", n.failed())
	}
}

// Epochs change while many submit: each input is answered once, and what was acknowledged is there.
func TestNothingAcknowledgedIsLostWhenLeadershipMoves(t *testing.T) {
	n := startNode(t, func(n *node) { n.clock = nil })
	n.topic(2)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[int32]map[string]bool{0: {}, 1: {}}
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				p, key := int32(i%2), fmt.Sprintf("%d/%d", w, i)
				if a := n.submit(p, set{key, "x"}).wait(); a.err == nil {
					mu.Lock()
					acked[p][key] = true
					mu.Unlock()
				} else {
					time.Sleep(50 * time.Microsecond)
				}
			}
		})
	}
	for i := range 30 {
		time.Sleep(2 * time.Millisecond)
		n.lead(int32(1 + i%3/2)) // 1, 1, 2
	}
	n.lead(1)
	close(stop)
	wg.Wait()
	total := 0
	for p, keys := range acked {
		total += len(keys)
		for key := range keys {
			if n.ask(p, get(key)) != "x" {
				t.Errorf("partition %d has lost %s", p, key)
			}
		}
	}
	if total == 0 {
		t.Error("nothing was acknowledged at all")
	}
	for p := range int32(2) {
		if s := n.host.view.Load().shards[p]; s.held.Load() != 0 {
			t.Errorf("%d inputs are held though all are answered", s.held.Load())
		}
	}
}

// The power goes under load, and of what was not synced any part survives.
func TestNothingAcknowledgedIsLostWhenPowerGoes(t *testing.T) {
	n := startNode(t, func(n *node) { n.clock = nil })
	n.topic(2)
	rng := rand.New(rand.NewPCG(1, 2))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[string]bool{}
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("%d/%d", w, i)
				if a := n.submit(int32(w%2), set{key, "x"}).wait(); a.err == nil {
					mu.Lock()
					acked[key] = true
					mu.Unlock()
				}
			}
		})
	}
	type crashed struct {
		fs    *env.MemFS
		acked map[string]bool
	}
	var crashes []crashed
	for range 5 {
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		c := crashed{acked: map[string]bool{}}
		for k := range acked {
			c.acked[k] = true
		}
		mu.Unlock()
		c.fs = n.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		crashes = append(crashes, c)
	}
	close(stop)
	wg.Wait()
	for i, c := range crashes {
		n.restart(c.fs)
		for key := range c.acked {
			var w int
			_, err := fmt.Sscanf(key, "%d/", &w)
			n.must(err)
			if n.ask(int32(w%2), get(key)) != "x" {
				t.Errorf("crash %d: %s, which was acknowledged, is gone", i, key)
			}
		}
	}
}

func TestCloseAnswersAllAndEndsAll(t *testing.T) {
	n := startNode(t, nil)
	n.topic(2)
	joined := n.submit(0, wait("bell"))
	n.holdSyncs()
	parked := n.submit(1, set{"a", "1"})
	n.host.Close()
	joined.fails(kafkaproto.ErrNotCoordinator)
	parked.fails(kafkaproto.ErrNotCoordinator)
	n.submit(0, get("a")).fails(kafkaproto.ErrCoordinatorNotAvailable)
	n.host.Apply(n.img, controller.Changes{All: true})
	n.submit(0, get("a")).fails(kafkaproto.ErrCoordinatorNotAvailable)
}

func TestAPanicOfWhoAskedStaysHis(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	n.host.Submit(0, set{"a", "1"}, func(any, error) { panic("a bug of a handler") }) // answered by the engine's goroutine
	eventually(t, "the record is committed", func() bool { return n.part(0).Status().HighWatermark == 1 })
	n.host.Submit(0, get("a"), func(any, error) { panic("another") })
	n.submit(0, get("a")).ok("1")
	if len(n.failed()) > 0 {
		t.Errorf("the shard failed: %v", n.failed())
	}
}

// What a machine decides in one step is one batch, in the codec that was asked for.
func TestBatchesAreCompressedAsConfigured(t *testing.T) {
	n := startNode(t, func(n *node) { n.options.Codec = kafkaproto.CodecZstd })
	n.topic(1)
	n.submit(0, two{"a", "1"}).ok(int64(1))
	read, err := n.part(0).ReadLog(0, 0, 1<<20, nil)
	n.must(err)
	defer read.Release()
	buf := make([]byte, read.Bytes)
	_, err = read.Spans[0].File.ReadAt(buf, read.Spans[0].Pos)
	n.must(err)
	b, rest, err := kafkaproto.NextBatch(buf)
	n.must(err)
	if len(rest) > 0 || b.Codec() != kafkaproto.CodecZstd || b.NumRecords() != 2 || b.ProducerID() != -1 || b.IsTransactional() {
		t.Errorf("the batch has codec %v and %d records, and %d bytes follow", b.Codec(), b.NumRecords(), len(rest))
	}
	n.restart(n.mem)
	if got := n.ask(0, get("a2")); got != "1" {
		t.Errorf("a2 is %v after a restart, want 1", got)
	}
}

// More than one batch's worth in a turn becomes several appends; nobody loses an answer.
func TestALargeTurnIsAppendedInPieces(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	s := n.host.view.Load().shards[0]
	s.mu.Lock()
	s.running = true
	s.mu.Unlock()
	value := string(make([]byte, 100<<10))
	var replies []*reply
	for i := range 20 {
		replies = append(replies, n.submit(0, set{fmt.Sprint(i), value}))
	}
	s.run(own)
	for i, r := range replies {
		r.ok(int64(i))
	}
	n.submit(0, set{"huge", string(make([]byte, 3<<20))}).ok(int64(20))
	n.restart(n.mem)
	if got := n.ask(0, count{}); got != 21 {
		t.Errorf("%v records after a restart, want 21", got)
	}
}

// What was given to the log before a machine failed is still committed, and acknowledged when it is.
func TestAnswersThatWaitOutliveTheirMachine(t *testing.T) {
	n := startNode(t, nil)
	n.topic(1)
	release := n.holdSyncs()
	parked := n.submit(0, set{"a", "1"})
	n.submit(0, crash{}).fails(kafkaproto.ErrUnknownServerError)
	eventually(t, "the machine is loaded anew", func() bool {
		n.clock.Advance(unwrittenPause) // the load may have to wait for the log's writer
		return n.loaded() == "0:0 0:1"
	})
	parked.silent()
	read := n.submit(0, get("a"))
	release()
	parked.ok(int64(0))
	read.ok("1")
}

// On a full disk what would be written is refused, and the machine stays: it answers whatever needs no room.
func TestAFullDiskRefusesWritesAndKeepsTheMachine(t *testing.T) {
	n := startNode(t, func(n *node) {
		n.options.Writes = func(input any) bool { _, ok := input.(set); return ok }
	})
	n.topic(1)
	n.submit(0, set{"a", "1"}).ok(int64(0))
	n.mem.SetUsage(0, 1<<30)
	eventually(t, "the disk is full", func() bool { n.clock.Advance(time.Second); return n.engine.Full() })
	for range 3 {
		n.submit(0, set{"a", "2"}).fails(kafkaproto.ErrNotCoordinator)
		n.submit(0, get("a")).ok("1")
	}
	if failed := n.failed(); len(failed) > 0 {
		t.Errorf("the machine was dropped: %v", failed)
	}
	n.mem.SetUsage(1<<30, 1<<30)
	eventually(t, "there is room", func() bool { n.clock.Advance(time.Second); return !n.engine.Full() })
	n.submit(0, set{"a", "3"}).ok(int64(1))
}
