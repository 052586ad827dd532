package quorum

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// Topics are created one by one while the disk is cloned as a crash at that moment may leave it. What was acknowledged
// before the clone must be there, and nothing that was never asked for.
func TestCrashAtAnyMomentLosesNothingAcknowledged(t *testing.T) {
	const topics, crashes = 60, 12
	fs := env.NewMem()
	n := newTestNode(t, fs)
	q := ready(t, n.open())
	register(t, q, 1)
	var acked atomic.Int64
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- createMany(q, topics, &acked, stop) }()
	rng := rand.New(rand.NewPCG(1, 2))
	type crash struct {
		acked int64
		fs    *env.MemFS
	}
	var clones []crash
	for i := range crashes {
		for acked.Load() < int64(i*topics/crashes) {
			time.Sleep(50 * time.Microsecond) // how far it has come is all that matters
		}
		known := acked.Load()
		clones = append(clones, crash{known, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})})
		if i == crashes/2 {
			q.raft.Load().Snapshot()
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, c := range clones {
		checkCrashed(t, i, c.fs, c.acked)
	}
}

func createMany(q *Quorum, topics int, acked *atomic.Int64, stop chan struct{}) error {
	for i := range topics * 20 {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := createTopic(q, context.Background(), fmt.Sprintf("t%04d", i)); err != nil {
			return err
		}
		acked.Add(1)
	}
	return nil
}

func checkCrashed(t *testing.T, i int, fs *env.MemFS, acked int64) {
	t.Helper()
	q := ready(t, newTestNode(t, fs).open())
	for k := range acked {
		if _, ok := q.Image().Topic(fmt.Sprintf("t%04d", k)); !ok {
			var names []string
			for tt := range q.Image().Topics() {
				names = append(names, tt.Name)
			}
			t.Fatalf("crash %d: topic %d of %d acknowledged is lost; %v; %d log %d-%d", i, k, acked, names, q.Image().LastIndex(), q.store.first, q.store.last)
		}
	}
	for topic := range q.Image().Topics() {
		var k int64
		if _, err := fmt.Sscanf(topic.Name, "t%d", &k); err != nil || len(topic.Partitions) != 1 {
			t.Errorf("crash %d: strange topic %+v", i, topic)
		}
	}
	register(t, q, 9)
	mustCreate(t, q, "after-the-crash")
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// The very first start is where most files appear; a crash in the middle must leave something that starts.
func TestCrashDuringTheFirstStart(t *testing.T) {
	fs := env.NewMem()
	faults := env.NewFaultFS(fs)
	rng := rand.New(rand.NewPCG(3, 4))
	var clones []*env.MemFS
	faults.Set(env.FaultHooks{VFSSync: func(string) error {
		clones = append(clones, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}))
		return nil
	}})
	n := newTestNode(t, faults)
	q := ready(t, n.open())
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if len(clones) < 5 {
		t.Fatalf("only %d syncs", len(clones))
	}
	for i, clone := range clones {
		t.Run(fmt.Sprintf("sync %d", i), func(t *testing.T) {
			q := ready(t, newTestNode(t, clone).open())
			register(t, q, 1)
			mustCreate(t, q, "a")
		})
	}
}

func TestFullDiskFailsCommandsAndNothingElse(t *testing.T) {
	fs := env.NewMem()
	n := newTestNode(t, fs)
	q := ready(t, n.open())
	epoch := register(t, q, 1)
	mustCreate(t, q, "before")
	fs.SetUsage(minFree-1, 1<<30)
	if err := createTopic(q, testContext(t), "during"); !errors.Is(err, kafkaproto.ErrKafkaStorageError) {
		t.Errorf("on a full disk: %v", err)
	}
	fs.SetUsage(minFree, 1<<30)
	mustCreate(t, q, "after")
	if _, ok := q.Image().Topic("during"); ok {
		t.Error("a command that failed has happened")
	}
	submit[any](t, q, controller.BrokerHeartbeat{ID: 1, Epoch: epoch})
}

func TestBrokerIsHeardOnAFullDisk(t *testing.T) {
	fs := env.NewMem()
	q := ready(t, newTestNode(t, fs).open())
	epoch := register(t, q, 1)
	fs.SetUsage(minFree-1, 1<<30)
	beat := controller.BrokerHeartbeat{ID: 1, Epoch: epoch}
	if _, err := q.Submit(testContext(t), beat); err != nil {
		t.Errorf("heartbeat: %v", err)
	}
	beat.WantShutdown = true
	if _, err := q.Submit(testContext(t), beat); !errors.Is(err, kafkaproto.ErrKafkaStorageError) {
		t.Errorf("a heartbeat that changes something: %v", err)
	}
}

// Room may run out between the check and the write. Then the write waits; nothing fails that can't be undone.
func TestWriteThatMeetsAFullDiskWaitsForRoom(t *testing.T) {
	fs := env.NewMem()
	faults := env.NewFaultFS(fs)
	n := newTestNode(t, faults)
	full := make(chan bool, 10)
	n.change = func(o *Options) { o.Events.DiskFull = func(f bool) { full <- f } }
	q := ready(t, n.open())
	register(t, q, 1)
	faults.Set(env.FaultHooks{VFSWrite: func(string) error { return syscall.ENOSPC }})
	result := make(chan error, 1)
	go func() { result <- createTopic(q, testContext(t), "waits") }()
	if !<-full {
		t.Fatal("not full")
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := createTopic(q, short, "other"); kafkaproto.Code(err) == 0 {
		t.Error("a command succeeded on a full disk")
	}
	faults.Set(env.FaultHooks{})
	if err := <-result; err != nil {
		t.Errorf("after there was room again: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = ready(t, n.open())
	if _, ok := q.Image().Topic("waits"); !ok {
		t.Error("lost")
	}
	select {
	case err := <-n.fatal:
		t.Errorf("fatal: %v", err)
	default:
	}
}

func TestFailedSyncEndsTheProcessAndAcknowledgesNothing(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
		fs := env.NewMem()
		faults := env.NewFaultFS(fs)
		n := newTestNode(t, faults)
		q := ready(t, n.open())
		register(t, q, 1)
		faults.Set(env.FaultHooks{VFSSync: func(string) error { return fault }})
		if err := createTopic(q, testContext(t), "never"); !errors.Is(err, kafkaproto.ErrKafkaStorageError) {
			t.Errorf("%v: %v", fault, err)
		}
		select {
		case <-n.fatal:
		case <-testContext(t).Done():
			t.Fatal("the process was not told to end")
		}
		if err := createTopic(q, testContext(t), "never-either"); !errors.Is(err, kafkaproto.ErrKafkaStorageError) {
			t.Errorf("afterwards: %v", err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
}
