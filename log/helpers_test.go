package log

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// testRand is a small deterministic generator that fits env.Rand.
type testRand struct {
	mu sync.Mutex
	s  uint64
}

func (r *testRand) Uint64() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s += 0x9e3779b97f4a7c15
	z := r.s
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *testRand) Read(p []byte) {
	for i := range p {
		p[i] = byte(r.Uint64())
	}
}

// world is a machine for tests: a clock that stands still, a disk in memory with faults above it.
type world struct {
	t     testing.TB
	clock *env.FakeClock
	mem   *env.MemFS
	fault *env.FaultFS
	rand  *testRand
}

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newWorld(t testing.TB) *world {
	mem := env.NewMem()
	return &world{t: t, clock: env.NewFakeClock(testTime), mem: mem, fault: env.NewFaultFS(mem), rand: &testRand{s: 1}}
}

// on is the same machine with another disk.
func (w *world) on(mem *env.MemFS) *world {
	return &world{t: w.t, clock: w.clock, mem: mem, fault: env.NewFaultFS(mem), rand: w.rand}
}

// crashed is the machine after a loss of power that took nothing but what was not synced, and the index too if it is to be lost.
func (w *world) crashed(loseIndex bool) *world {
	w.t.Helper()
	clone := w.on(w.mem.CrashClone(vfs.CrashCloneCfg{}))
	if loseIndex {
		if err := clone.mem.RemoveAll(filepath.Join(testDir, indexDir)); err != nil {
			w.t.Fatal(err)
		}
	}
	return clone
}

func (w *world) env() env.Env { return env.Env{Clock: w.clock, Rand: w.rand, FS: w.fault} }

const testDir = "/data/one"

func (w *world) tryOpen(change func(*Options)) (*Engine, *Directory, error) {
	w.t.Helper()
	d, err := OpenDirectory(w.env(), testDir, 1)
	if err != nil {
		return nil, nil, err
	}
	o := Options{Directory: d, Env: w.env(), FileBytes: 16 << 10, ReserveBytes: -1}
	if change != nil {
		change(&o)
	}
	e, err := Open(o)
	if err != nil {
		_ = d.Close()
		return nil, nil, err
	}
	return e, d, nil
}

func (w *world) open(change func(*Options)) *Engine {
	w.t.Helper()
	e, d, err := w.tryOpen(change)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = e.Close()
		_ = d.Close()
	})
	return e
}

func closeEngine(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.opts.Directory.Close(); err != nil {
		t.Fatal(err)
	}
}

func topic(n int, partition int32) tp {
	id := tp{Partition: kafkaproto.PartitionID(partition)}
	id.Topic[0], id.Topic[15] = byte(n), 7
	return id
}

func mustLog(t testing.TB, e *Engine, id tp) *Log {
	t.Helper()
	l, err := e.CreateLog(id, LogConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// spec is a batch to be.
type spec struct {
	n        int // records
	size     int // bytes of each value
	time     int64
	step     int64 // between records
	pid      int64 // 0: none
	epoch    int16
	seq      int32
	txn      bool
	codec    kafkaproto.Codec
	text     string
	base     offset // of a follower's batch
	leader   kafkaproto.LeaderEpoch
	follower bool
}

func (s spec) batch(t testing.TB) kafkaproto.Batch {
	t.Helper()
	b := kafkaproto.NewBuilder()
	b.Codec = s.codec
	if s.pid > 0 {
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = kafkaproto.ProducerID(s.pid), kafkaproto.ProducerEpoch(s.epoch), s.seq
	}
	b.Transactional = s.txn
	for i := range max(s.n, 1) {
		value := make([]byte, s.size)
		copy(value, fmt.Sprintf("%s-%d", s.text, i))
		b.Append(kafkaproto.Record{Timestamp: kafkaproto.Timestamp(s.time + int64(i)*s.step), Value: value})
	}
	batch, err := b.Batch()
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// append1 appends a batch and waits until it is written.
func append1(t testing.TB, l *Log, s spec) (Appended, error) {
	t.Helper()
	done := make(chan error, 1)
	b := s.batch(t)
	if s.follower {
		b.SetBaseOffset(s.base)
		b.SetPartitionLeaderEpoch(s.leader)
	}
	a := Append{Data: b, Epoch: s.leader, Follower: s.follower, Done: func(err error) { done <- err }}
	if s.follower {
		a.Origin = OriginReplication
	}
	r, err := l.Append(a)
	if err != nil || r.Duplicate {
		return r, err
	}
	return r, <-done
}

func mustAppend(t testing.TB, l *Log, s spec) Appended {
	t.Helper()
	r, err := append1(t, l, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// flush waits until everything written so far is durable.
func flush(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.sync.wait(position(e.write.at.Load())); err != nil {
		t.Fatal(err)
	}
}

// readAll reads a log from an offset to its end, and checks every batch.
func readAll(t testing.TB, l *Log, from offset, maxBytes int) []kafkaproto.Batch {
	t.Helper()
	var out []kafkaproto.Batch
	var cursor Cursor
	for {
		r, err := l.Read(ReadRequest{From: from, UpTo: 1 << 60, MaxBytes: maxBytes, MinOneBatch: true, Cursor: &cursor})
		if err != nil {
			t.Fatalf("read %s at %d: %v", l.id, from, err)
		}
		if r.Bytes == 0 {
			r.Release()
			return out
		}
		out = append(out, batchesOf(t, r)...)
		if r.Next <= from {
			t.Fatalf("read at %d goes on at %d", from, r.Next)
		}
		from = r.Next
		r.Release()
	}
}

func batchesOf(t testing.TB, r *Read) []kafkaproto.Batch {
	t.Helper()
	var out []kafkaproto.Batch
	total := 0
	for _, s := range r.Spans {
		buf := make([]byte, s.Len)
		if err := readFull(s.File, buf, s.Pos); err != nil {
			t.Fatal(err)
		}
		total += s.Len
		for len(buf) > 0 {
			b, rest, err := kafkaproto.NextBatch(buf)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.CheckCRC(); err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
			buf = rest
		}
	}
	if total != r.Bytes {
		t.Fatalf("spans hold %d bytes, Read says %d", total, r.Bytes)
	}
	return out
}
