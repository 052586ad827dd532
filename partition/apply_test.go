package partition

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

func TestPartitionsThatAreNotHere(t *testing.T) {
	n := startNode(t, "always")
	id := n.topic("t", 1)
	elsewhere := kafkaproto.TopicID{9}
	n.happen(&controller.TopicCreated{ID: elsewhere, Name: "elsewhere"},
		&controller.PartitionChanged{Topic: elsewhere, Partition: controller.Partition{Replicas: []int32{2}, ISR: []int32{2}, Leader: 2}})
	for _, c := range []struct {
		id   kafkaproto.TopicPartition
		want *kafkaproto.Error
	}{
		{kafkaproto.TopicPartition{Topic: kafkaproto.TopicID{7}}, kafkaproto.ErrUnknownTopicID},
		{kafkaproto.TopicPartition{Topic: id, Partition: 1}, kafkaproto.ErrUnknownTopicOrPartition},
		{kafkaproto.TopicPartition{Topic: id, Partition: -1}, kafkaproto.ErrUnknownTopicOrPartition},
		{kafkaproto.TopicPartition{Topic: elsewhere}, kafkaproto.ErrNotLeaderOrFollower},
	} {
		_, err := n.manager.Partition(c.id)
		wantErr(t, err, c.want)
	}
}

func TestPartitionsAreAdded(t *testing.T) {
	n := startNode(t, "always")
	id := n.topic("t", 1)
	first := n.partition(id, 0)
	n.happen(&controller.PartitionChanged{Topic: id, Partition: controller.Partition{ID: 1, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}})
	if n.partition(id, 0) != first {
		t.Fatal("the first partition was made anew")
	}
	n.send(n.partition(id, 1), -1, batch("a")).waitOK()
}

func TestDeletedTopicAnswersAllWhoWait(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	release := n.holdSyncs()
	all, one := n.send(p, -1, batch("a")), n.send(p, 1, batch("b"))
	untilWritten(t, p, 2)
	fired := make(chan struct{}, 1)
	p.Wait(NewWaiter(func() { signal(fired) }))
	deleted := make(chan struct{})
	go func() {
		defer close(deleted)
		n.happen(&controller.TopicDeleted{ID: p.id.Topic})
	}()
	all.waitErr(kafkaproto.ErrUnknownTopicOrPartition)
	one.waitErr(kafkaproto.ErrUnknownTopicOrPartition)
	<-fired
	release()
	<-deleted
	_, err := n.manager.Partition(p.id)
	wantErr(t, err, kafkaproto.ErrUnknownTopicID)
	wantErr(t, p.Read(fetch(0)).Err, kafkaproto.ErrUnknownTopicOrPartition)
	n.send(p, -1, batch("c")).waitErr(kafkaproto.ErrUnknownTopicOrPartition)
	if _, ok := n.engine.Log(p.id); ok {
		t.Fatal("the log is still there")
	}
	late := make(chan struct{}, 1)
	p.Wait(NewWaiter(func() { signal(late) }))
	<-late
}

func TestLeaderElsewhereAnswersAllWhoWait(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.holdSyncs()
	r := n.send(p, -1, batch("a"))
	n.happen(&controller.PartitionChanged{Topic: p.id.Topic, Partition: controller.Partition{
		Replicas: []int32{1, 2}, ISR: []int32{2}, Leader: 2, LeaderEpoch: 5, PartitionEpoch: 1,
	}})
	if res := r.waitErr(kafkaproto.ErrNotLeaderOrFollower); res.LeaderID != 2 || res.LeaderEpoch != 5 {
		t.Fatalf("leader %d epoch %d", res.LeaderID, res.LeaderEpoch)
	}
	res := p.Read(fetch(0))
	wantErr(t, res.Err, kafkaproto.ErrNotLeaderOrFollower)
	if res.LeaderID != 2 || res.LeaderEpoch != 5 {
		t.Fatalf("leader %d epoch %d", res.LeaderID, res.LeaderEpoch)
	}
}

func TestEveryStartIsANewEpochAndKeepsWhatWasAcknowledged(t *testing.T) {
	n := startNode(t, "always")
	id := n.topic("t", 1)
	var want []string
	for epoch := range 4 {
		p := n.partition(id, 0)
		sees(t, p, kafkaproto.Offset(epoch), want...)
		if s := p.Status(); int(s.LeaderEpoch) != epoch || !s.Leading {
			t.Fatalf("status %+v", s)
		}
		v := fmt.Sprint(epoch)
		n.send(p, -1, batch(v)).waitOK()
		want = append(want, v)
		n.restart()
	}
}

func TestLogsThatTheMetadataDoesNotKnowAreQuarantined(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("known")
	stranger := kafkaproto.TopicPartition{Topic: kafkaproto.TopicID{0xff}, Partition: 3}
	if _, err := n.engine.CreateLog(stranger, log.LogConfig{}); err != nil {
		t.Fatal(err)
	}
	n.restart()
	if !slices.Equal(n.strange, []kafkaproto.TopicPartition{stranger}) {
		t.Fatalf("quarantined: %v", n.strange)
	}
	n.send(n.partition(p.id.Topic, 0), -1, batch("a")).waitOK()
}

func TestFailedDirectoryAnswersStorageErrors(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, batch("a")).waitOK()
	n.faults.Change(func(h *env.FaultHooks) { h.SyncData = func(string) error { return syscall.EIO } })
	fired := make(chan struct{}, 1)
	p.Wait(NewWaiter(func() { signal(fired) }))
	n.send(p, -1, batch("b")).waitErr(kafkaproto.ErrKafkaStorageError)
	<-fired
	n.send(p, -1, batch("c")).waitErr(kafkaproto.ErrKafkaStorageError)
	wantErr(t, p.Read(fetch(0)).Err, kafkaproto.ErrKafkaStorageError)
	_, err := p.ListOffset(ListRequest{Timestamp: LatestTimestamp, CurrentLeaderEpoch: -1})
	wantErr(t, err, kafkaproto.ErrKafkaStorageError)
}

func TestFullDiskRefusesAppendsAndStillReads(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, batch("a")).waitOK()
	n.faults.Change(func(h *env.FaultHooks) {
		h.WriteVAt = func(string, int64, int) (int, error) { return 0, syscall.ENOSPC }
		h.FreeBytes = func() uint64 { return 0 }
	})
	n.send(p, -1, batch("b")).waitErr(kafkaproto.ErrKafkaStorageError)
	n.send(p, -1, batch("c")).waitErr(kafkaproto.ErrKafkaStorageError)
	sees(t, p, 1, "a")
	n.faults.Set(env.FaultHooks{})
	n.untilRoom(p, batch("d"))
	sees(t, p, 2, "a", "d")
}

func TestWhatAFullDiskLeftUndoneIsDoneWhenThereIsRoom(t *testing.T) {
	n := startNode(t, "always")
	old := n.one("old")
	n.manager.events.Offline = nil
	n.faults.Change(func(h *env.FaultHooks) {
		h.WriteVAt = func(string, int64, int) (int, error) { return 0, syscall.ENOSPC }
	})
	id := n.topic("new", 3)
	n.happen(&controller.TopicDeleted{ID: old.id.Topic})
	if _, err := n.manager.Partition(kafkaproto.TopicPartition{Topic: id}); !errors.Is(err, kafkaproto.ErrKafkaStorageError) {
		t.Fatal(err)
	}
	n.faults.Set(env.FaultHooks{})
	for deadline := time.Now().Add(20 * time.Second); ; {
		n.clock.Advance(retryAfter)
		_, err := n.manager.Partition(kafkaproto.TopicPartition{Topic: id, Partition: 2})
		if _, there := n.engine.Log(old.id); err == nil && !there {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("new topic: %v, logs: %v", err, n.engine.Logs())
		}
		runtime.Gosched()
	}
	n.untilRoom(n.partition(id, 0), batch("a"))
}

func TestRetentionOfNothingKeepsNothingOld(t *testing.T) {
	n := startNode(t, "always")
	for _, key := range []string{"retention.ms", "retention.bytes"} {
		p := n.one(key, key, "0")
		n.send(p, -1, batch("a")).waitOK()
		n.restart()
		p = n.partition(p.id.Topic, 0)
		n.send(p, -1, batch("b")).waitOK()
		n.clock.Advance(time.Minute)
		n.must(n.engine.Retain())
		if start := p.log().Ends().Start; start < 1 {
			t.Errorf("%s=0: starts at %d", key, start)
		}
	}
}

func TestTenThousandPartitionsCostNoGoroutinesAndLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	n := startNode(t, "always")
	const count = 10_000
	before, goroutines := heapInUse(), runtime.NumGoroutine()
	started := time.Now()
	id := n.topic("many", count)
	took := time.Since(started)
	per := float64(heapInUse()-before) / count
	t.Logf("%d partitions in %s, %.0f bytes each with image and log", count, took, per)
	if more := runtime.NumGoroutine() - goroutines; more > 5 {
		t.Errorf("%d more goroutines", more)
	}
	n.send(n.partition(id, count-1), -1, batch("a")).waitOK()
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestPartitionItselfIsSmall measures what this package adds to a log and its metadata.
func TestPartitionItselfIsSmall(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	const count = 1000
	kept := make([]*Partition, count)
	part, _ := n.img.Partition(p.id)
	before := heapInUse()
	for i := range kept {
		var id kafkaproto.TopicPartition
		binary.BigEndian.PutUint64(id.Topic[8:], uint64(i+1))
		kept[i] = n.manager.newPartition(id, *p.at.Load(), p.topic.Load())
		kept[i].lead(decidedOf(part))
	}
	per := (heapInUse() - before) / count
	t.Logf("%d bytes a partition", per)
	if per > 1024 {
		t.Errorf("%d bytes a partition, want at most 1024", per)
	}
	runtime.KeepAlive(kept)
}

// A registration may say that a crash cost nothing only if no topic here is flushed later than it is acknowledged.
func TestABrokerFlushesOnlyIfAllItsTopicsDo(t *testing.T) {
	c := startCluster(t, "always")
	cfg, _, err := config.Load(config.Sources{Set: c.set})
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, node int32, want bool) {
		t.Helper()
		if got := Flushes(cfg, c.image(), node); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("no topics", 1, true)
	c.topic("orders", 1)
	c.topic("each", 1, "flush.messages", "1", "flush.ms", "50")
	check("all flush", 1, true)
	c.create("later", [][]int32{{2, 3}}, "flush.ms", "50")
	check("a topic of others", 1, true)
	check("one flushes later", 2, false)
	never, _, err := config.Load(config.Sources{Set: []string{"log.flush.policy=never"}})
	if err != nil {
		t.Fatal(err)
	}
	if Flushes(never, c.image(), 1) {
		t.Error("a broker that never flushes flushes")
	}
}
