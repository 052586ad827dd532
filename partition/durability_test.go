package partition

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/replication"
)

// untilWritten waits until the log has written up to an offset, and makes sure that the partition knows.
func untilWritten(t *testing.T, p *Partition, upTo kafkaproto.Offset) {
	t.Helper()
	fired := make(chan struct{}, 1)
	for p.log().Ends().Written < upTo {
		p.log().SetListener(func() {
			p.logMoved()
			signal(fired)
		})
		if p.log().Ends().Written >= upTo {
			break
		}
		<-fired
	}
	p.logMoved()
}

// sees checks what a consumer is shown: the end, and the values from the beginning on.
func sees(t *testing.T, p *Partition, end kafkaproto.Offset, want ...string) {
	t.Helper()
	res := p.Read(fetch(0))
	if got := values(t, res); !slices.Equal(got, want) {
		t.Fatalf("a consumer reads %q, want %q", got, want)
	}
	if res.HighWatermark != end || res.LastStable != end {
		t.Fatalf("high watermark %d, last stable offset %d, want %d", res.HighWatermark, res.LastStable, end)
	}
	latest, err := p.ListOffset(ListRequest{Timestamp: LatestTimestamp, CurrentLeaderEpoch: -1})
	if err != nil || latest.Offset != end {
		t.Fatalf("latest is %d, %v, want %d", latest.Offset, err, end)
	}
	for _, ts := range []int64{MaxTimestamp, int64(testTime)} {
		found, err := p.ListOffset(ListRequest{Timestamp: ts, CurrentLeaderEpoch: -1})
		if err != nil || (end == 0) != (found.Offset < 0) || found.Offset >= end {
			t.Fatalf("timestamp %d finds offset %d, %v, with the end at %d", ts, found.Offset, err, end)
		}
	}
	if got := p.Available(0, false) > 0; got != (end > 0) {
		t.Fatalf("bytes available: %v", got)
	}
}

func TestAlwaysShowsNothingBeforeItIsFlushed(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	release := n.holdSyncs()
	one := n.send(p, replication.AcksLeader, batch("a"))
	all := n.send(p, replication.AcksAll, batch("b"))
	untilWritten(t, p, 2)

	one.silent()
	all.silent()
	sees(t, p, 0)
	if res := p.Read(fetch(1)); res.Err != nil || res.Read.Bytes != 0 {
		t.Fatalf("a read between high watermark and log end: %v", res.Err)
	} else {
		res.Read.Release()
	}

	release()
	if res := one.waitOK(); res.BaseOffset != 0 {
		t.Fatalf("offset %d", res.BaseOffset)
	}
	if res := all.waitOK(); res.BaseOffset != 1 {
		t.Fatalf("offset %d", res.BaseOffset)
	}
	sees(t, p, 2, "a", "b")
}

func TestNeverAndIntervalShowWhatIsWritten(t *testing.T) {
	for _, policy := range []string{"never", "interval"} {
		t.Run(policy, func(t *testing.T) {
			n := startNode(t, policy)
			p := n.one("t")
			n.holdSyncs()
			n.send(p, replication.AcksLeader, batch("a")).waitOK()
			n.send(p, replication.AcksAll, batch("b")).waitOK()
			sees(t, p, 2, "a", "b")
		})
	}
}

func TestFlushMessagesOneMeansAlwaysForTheTopic(t *testing.T) {
	n := startNode(t, "never")
	p := n.one("t", "flush.messages", "1")
	release := n.holdSyncs()
	r := n.send(p, replication.AcksLeader, batch("a"))
	untilWritten(t, p, 1)
	r.silent()
	sees(t, p, 0)
	release()
	r.waitOK()
	sees(t, p, 1, "a")
}

func TestRetryOfWhatIsNotYetDurableWaits(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	release := n.holdSyncs()
	records := build(producer(7, 0, 0, false), "a")
	first := n.send(p, replication.AcksAll, slices.Clone(records))
	untilWritten(t, p, 1)
	retry := n.send(p, replication.AcksAll, slices.Clone(records))
	retry.silent()
	if retry.released.Load() != 1 {
		t.Fatal("the bytes of a duplicate are not needed")
	}
	release()
	if a, b := first.waitOK(), retry.waitOK(); a.BaseOffset != 0 || b.BaseOffset != 0 {
		t.Fatalf("offsets %d and %d", a.BaseOffset, b.BaseOffset)
	}
	sees(t, p, 1, "a")
}

func TestTimedOutAppendStaysAndItsRetryFindsIt(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	release := n.holdSyncs()
	records := build(producer(7, 0, 0, false), "a")
	first := n.send(p, replication.AcksAll, slices.Clone(records))
	untilWritten(t, p, 1)
	n.clock.Advance(30*time.Second - 1)
	first.silent()
	n.clock.Advance(1)
	first.waitErr(kafkaproto.ErrRequestTimedOut)
	sees(t, p, 0)
	release()
	if res := n.send(p, replication.AcksAll, slices.Clone(records)).waitOK(); res.BaseOffset != 0 {
		t.Fatalf("the retry got offset %d", res.BaseOffset)
	}
	sees(t, p, 1, "a")
}

func TestRetryFailsWithTheAppendThatCouldNotBeWritten(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	entered, gate := make(chan struct{}, 1), make(chan struct{})
	n.faults.Change(func(h *env.FaultHooks) {
		h.WriteVAt = func(string, int64, int) (int, error) {
			signal(entered)
			<-gate
			return 0, syscall.ENOSPC
		}
	})
	records := build(producer(7, 0, 0, false), "a")
	first := n.send(p, replication.AcksAll, slices.Clone(records))
	<-entered
	retry := n.send(p, replication.AcksLeader, slices.Clone(records))
	retry.silent()
	close(gate)
	first.waitErr(kafkaproto.ErrKafkaStorageError)
	retry.waitErr(kafkaproto.ErrKafkaStorageError)
	n.faults.Set(env.FaultHooks{})
	n.untilRoom(p, batch("b"))
	sees(t, p, 1, "b")
	if res := n.send(p, replication.AcksAll, slices.Clone(records)).waitOK(); res.BaseOffset != 1 {
		t.Fatalf("the retry got offset %d", res.BaseOffset)
	}
}

// untilRoom appends as soon as the engine has seen that the disk has room again.
func (n *testNode) untilRoom(p *Partition, records []byte) {
	n.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		n.clock.Advance(2 * time.Second)
		res := n.send(p, replication.AcksAll, slices.Clone(records)).wait()
		if res.Err == nil {
			return
		}
		if !errors.Is(res.Err, kafkaproto.ErrKafkaStorageError) || time.Now().After(deadline) {
			n.t.Fatal(res.Err)
		}
		runtime.Gosched()
	}
}

func TestWhatWasAcknowledgedSurvivesACrash(t *testing.T) {
	for seed := range uint64(8) {
		n := startNode(t, "always")
		id := n.topic("t", 2)
		acked := [2]int{}
		for round := range 3 {
			for i := range 10 {
				p := i % 2
				n.send(n.partition(id, p), replication.AcksAll, batch(strconv.Itoa(acked[p]))).waitOK()
				acked[p]++
			}
			n.crash(seed*10 + uint64(round))
			for i := range acked {
				p := n.partition(id, i)
				var want []string
				for v := range acked[i] {
					want = append(want, strconv.Itoa(v))
				}
				sees(t, p, kafkaproto.Offset(acked[i]), want...)
			}
		}
	}
}

// crash has the power fail: of what was not synced any part is lost. Then the node starts again.
func (n *testNode) crash(seed uint64) {
	n.t.Helper()
	left := n.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, 1))})
	n.close()
	n.mem = left
	n.bump()
	n.open()
}
