package partition

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// startTwoDirs starts a node with the data directories data and other.
func startTwoDirs(t testing.TB, policy string) *testNode {
	t.Helper()
	n := &testNode{t: t, mem: env.NewMem(), clock: env.NewFakeClock(testStart), policy: policy, img: controller.NewImage(), paths: []string{"other"}}
	n.open()
	t.Cleanup(func() { n.close() })
	return n
}

func (n *testNode) move(p *Partition, path string) {
	n.t.Helper()
	absolute, err := filepath.Abs(path)
	n.must(err)
	n.must(n.manager.MoveReplica(p.TopicName(), p.id.Partition, absolute))
}

// all reads everything that the log has.
func (n *testNode) all(p *Partition) (out []string) {
	n.t.Helper()
	ends := p.log().Ends()
	for at := ends.Start; at < ends.Written; {
		l := p.log()
		data, err := readBytes(l, at, ends.Written)
		if err != nil && p.log() != l {
			continue // it has moved meanwhile
		}
		n.must(err)
		for rest := data; len(rest) > 0; {
			b, tail, err := kafkaproto.NextBatch(rest)
			n.must(err)
			n.must(kafkaproto.Records(b, func(r kafkaproto.Record) error {
				if r.Offset >= ends.Start {
					out = append(out, fmt.Sprintf("%d=%s", r.Offset, r.Value))
				}
				return nil
			}))
			at, rest = b.NextOffset(), tail
		}
	}
	return out
}

// inOne checks that one directory has the log, and nothing is left of a move.
func (n *testNode) inOne(p *Partition, path string) {
	n.t.Helper()
	eventually(n.t, "the move to be over", func() bool { return p.moving() == nil && p.Dir().Path == path })
	n.manager.applying.Lock() // what is left behind is deleted under it
	defer n.manager.applying.Unlock()
	for _, d := range n.dirs {
		moves, err := d.Directory.Moves()
		if d.Engine.Holds(p.id) != (d.Path == path) || len(moves) > 0 || err != nil {
			n.t.Errorf("%s: has the log: %v, notes: %v, %v", d.Path, d.Engine.Holds(p.id), moves, err)
		}
	}
}

func TestALogMovesToAnotherDirectoryWhileItIsWritten(t *testing.T) {
	for _, policy := range []string{"always", "never"} {
		t.Run(policy, func(t *testing.T) {
			n := startTwoDirs(t, policy)
			p := n.one("t")
			if p.Dir().Path != "data" {
				t.Fatalf("the first log is in %s", p.Dir().Path)
			}
			var want []string
			for i := range 50 {
				value := strings.Repeat(fmt.Sprint(i%10), 40_000)
				want = append(want, fmt.Sprintf("%d=%s", i, value))
				n.send(p, -1, batch(value)).waitOK()
			}
			_, err := p.DeleteRecords(3)
			n.must(err)
			n.move(p, "other")
			for i := 50; p.Dir().Path == "data" || i < 60; i++ {
				want = append(want, fmt.Sprintf("%d=w", i))
				n.send(p, -1, batch("w")).waitOK()
			}
			n.inOne(p, "other")
			for range 3 {
				want = append(want, fmt.Sprintf("%d=after", len(want)))
				n.send(p, -1, batch("after")).waitOK()
			}
			if got := n.all(p); !slices.Equal(got, want[3:]) || p.Status().HighWatermark != kafkaproto.Offset(len(want)) {
				t.Fatalf("after the move: %d records of %d, %+v", len(got), len(want), p.Status())
			}
			n.restart()
			p = n.partition(p.id.Topic, 0)
			n.inOne(p, "other")
			if got := n.all(p); !slices.Equal(got, want[3:]) {
				t.Fatalf("after a restart: %d records of %d", len(got), len(want))
			}
			n.move(p, "data")
			n.inOne(p, "data")
			if got := n.all(p); !slices.Equal(got, want[3:]) {
				t.Fatalf("moved back: %d records of %d", len(got), len(want))
			}
		})
	}
}

// What is cut off the log while it is copied is cut off the copy, also where other records have taken its place.
func TestACopyFollowsTruncations(t *testing.T) {
	n := startTwoDirs(t, "never")
	p := n.one("t")
	for range 40 {
		n.send(p, -1, batch(strings.Repeat("a", 40_000), "a")).waitOK()
	}
	n.manager.moving.set(1, n.clock.Now()) // room for one piece
	n.move(p, "other")
	eventually(t, "a piece to be copied", func() bool { _, _, lag, _ := p.Moving(); return lag < 80 && lag > 0 })
	p.role.RLock()
	n.must(p.truncate(11)) // inside a batch
	p.role.RUnlock()
	n.send(p, 1, batch("b", "b")).waitOK()
	n.manager.moving.set(math.MaxInt64, n.clock.Now())
	eventually(t, "the copy to go on", func() bool {
		n.clock.Advance(2 * time.Second) // it may only now begin to wait
		return p.moving() == nil
	})
	n.inOne(p, "other")
	got := n.all(p)
	if len(got) != 12 || got[9] != "9=a" || got[10] != "10=b" || got[11] != "11=b" {
		t.Errorf("the copy has %d records, the last %v", len(got), got[max(0, len(got)-3):])
	}
}

func TestWhereAReplicaCantMoveKafkasErrorSaysWhy(t *testing.T) {
	n := startTwoDirs(t, "always")
	p := n.one("t")
	other, _ := filepath.Abs("other")
	check := func(what string, topic, path string, want *kafkaproto.Error) {
		t.Helper()
		if err := n.manager.MoveReplica(topic, 0, path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	check("no directory of this node", "t", "/elsewhere", kafkaproto.ErrLogDirNotFound)
	check("not here yet", "later", other, kafkaproto.ErrReplicaNotAvailable)
	if q := n.one("later"); q.Dir().Path != "other" {
		t.Errorf("it was made in %s", q.Dir().Path)
	}
	n.faults.Change(func(h *env.FaultHooks) {
		h.SyncData = func(name string) error {
			if strings.HasPrefix(name, "other/") {
				return syscall.EIO
			}
			return nil
		}
	})
	n.quiet.Store(true)
	check("it fails under the move", "t", other, kafkaproto.ErrKafkaStorageError)
	check("the directory is offline", "t", other, kafkaproto.ErrKafkaStorageError)
	n.send(p, -1, batch("a")).waitOK()
	if p.Dir().Path != "data" {
		t.Errorf("it has moved to %s, which has failed", p.Dir().Path)
	}
}

// At every point at which the power may go, one log counts, and it has all that was acknowledged.
func TestACrashLeavesOneOfTheTwoLogs(t *testing.T) {
	for seed := range uint64(6) {
		n := startTwoDirs(t, "always")
		p := n.one("t")
		var mu sync.Mutex
		var clones []crashed
		acked := 0
		rng := rand.New(rand.NewPCG(seed, 1))
		take := func(string) error {
			mu.Lock()
			defer mu.Unlock()
			if len(clones) < 200 {
				clones = append(clones, crashed{n.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed) * 20, RNG: rng}), acked})
			}
			return nil
		}
		send := func(count int) {
			for range count {
				n.send(p, -1, batch(strings.Repeat("x", 3000))).waitOK()
				mu.Lock()
				acked++
				mu.Unlock()
			}
		}
		send(5)
		n.faults.Change(func(h *env.FaultHooks) { h.SyncData, h.SyncDir, h.Create = take, take, take })
		n.move(p, "other")
		for p.Dir().Path == "data" {
			send(1)
		}
		n.inOne(p, "other")
		send(2)
		n.faults.Change(func(h *env.FaultHooks) { *h = env.FaultHooks{} })
		where := map[string]int{}
		for i, c := range clones {
			where[n.afterCrash(c, p.id, i)]++
		}
		t.Logf("seed %d: %d crashes, found in %v", seed, len(clones), where)
		if where["data"] == 0 || where["other"] == 0 {
			t.Errorf("seed %d: not both sides of the moment were seen: %v", seed, where)
		}
		n.close()
	}
}

// The note that makes the copy count is written, and can't be synced. Either log may count after a crash, so neither takes any more.
func TestWhereItIsNotKnownWhichLogCountsNothingIsTaken(t *testing.T) {
	n := startTwoDirs(t, "always")
	n.quiet.Store(true)
	p := n.one("t")
	n.send(p, -1, batch("a", "b")).waitOK()
	n.faults.Change(func(h *env.FaultHooks) {
		h.SyncDir = func(name string) error {
			if names, _ := n.mem.List("other/moves"); strings.HasSuffix(name, "moves") && len(names) == 1 && strings.HasSuffix(names[0], ".taken") {
				return syscall.EIO
			}
			return nil
		}
	})
	n.move(p, "other")
	eventually(t, "the directory to fail", func() bool { return n.dirs[1].Engine.Failed() != nil && p.Dir().Path == "other" })
	n.send(p, -1, batch("c")).waitErr(kafkaproto.ErrKafkaStorageError)
	for unsynced, want := range map[int]string{0: "data", 100: "other"} {
		left := crashed{n.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rand.New(rand.NewPCG(1, 1))}), 2}
		if found := n.afterCrash(left, p.id, unsynced); found != want {
			t.Errorf("the log was found in %s, want %s", found, want)
		}
	}
}

type crashed struct {
	mem   *env.MemFS
	acked int
}

// afterCrash starts a node on what a crash left, and says where it found the log.
func (n *testNode) afterCrash(c crashed, id kafkaproto.TopicPartition, i int) string {
	t := n.t
	t.Helper()
	m := &testNode{t: t, mem: c.mem, clock: env.NewFakeClock(testStart), policy: n.policy, img: n.img, paths: n.paths}
	m.bump()
	m.open()
	defer m.close()
	p := m.partition(id.Topic, 0)
	found := p.Dir().Path
	if got := m.all(p); len(got) < c.acked {
		t.Errorf("crash %d: %d records of %d acknowledged in %s", i, len(got), c.acked, found)
	}
	m.send(p, -1, batch("after")).waitOK()
	eventually(t, "the move to end", func() bool { return p.moving() == nil })
	m.inOne(p, p.Dir().Path)
	if got := m.all(p); len(got) <= c.acked {
		t.Errorf("crash %d: %d records of %d acknowledged in %s, at the end", i, len(got), c.acked, p.Dir().Path)
	}
	return found
}
