package log

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// eventually waits for something that another goroutine is about to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestNothingIsFlushedWhileTheSyncIsHeldBack(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	hold, held := make(chan struct{}), make(chan struct{}, 100)
	w.fault.Change(func(h *env.FaultHooks) {
		h.SyncData = func(string) error { held <- struct{}{}; <-hold; return nil }
	})
	moved := make(chan struct{}, 100)
	l.SetListener(func() { moved <- struct{}{} })
	for range 3 {
		mustAppend(t, l, spec{n: 2, size: 10})
	}
	<-held
	if ends := l.Ends(); ends.Written != 6 || ends.Flushed != 0 {
		t.Fatalf("ends %+v", ends)
	}
	if got := len(readAll(t, l, 0, 1<<20)); got != 3 {
		t.Fatalf("read %d batches", got)
	}
	close(hold)
	eventually(t, "flush", func() bool { return l.Ends().Flushed == 6 })
	<-moved
}

func TestAFullDiskFailsAppendsAndHealsByItself(t *testing.T) {
	for name, arm := range map[string]func(*env.FaultHooks, *atomic.Bool){
		"write": func(h *env.FaultHooks, full *atomic.Bool) {
			h.WriteVAt = func(_ string, _ int64, n int) (int, error) {
				if full.Load() {
					return n / 2, syscall.ENOSPC
				}
				return n, nil
			}
		},
		"preallocate": func(h *env.FaultHooks, full *atomic.Bool) {
			h.Preallocate = func(string) error {
				if full.Load() {
					return syscall.ENOSPC
				}
				return nil
			}
		},
		"reserve": func(h *env.FaultHooks, full *atomic.Bool) {
			h.FreeBytes = func() uint64 {
				if full.Load() {
					return 10
				}
				return 1 << 30
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var full atomic.Bool
			w.fault.Change(func(h *env.FaultHooks) { arm(h, &full) })
			e := w.open(func(o *Options) { o.ReserveBytes, o.FileBytes = 1<<20, 8<<20 })
			l := mustLog(t, e, topic(1, 0))
			mustAppend(t, l, spec{n: 3, size: 10, pid: 9})
			full.Store(true)
			if name == "reserve" {
				eventually(t, "full", func() bool { w.clock.Advance(time.Second); return e.Full() })
			}
			failed := 0
			for i := range 4 {
				// Large enough to need more room than was reserved for the file.
				if _, err := append1(t, l, spec{n: 3, size: 400 << 10, pid: 9, seq: 3}); err != nil {
					failed++
					if kafkaproto.Code(err) != kafkaproto.ErrKafkaStorageError.Num || !errors.Is(err, ErrFull) {
						t.Fatalf("append %d: %v", i, err)
					}
				}
			}
			if failed != 4 || e.Failed() != nil {
				t.Fatalf("%d appends failed, directory: %v", failed, e.Failed())
			}
			if ends := l.Ends(); ends.Next != 3 || ends.Written != 3 {
				t.Fatalf("ends %+v", ends)
			}
			if got := len(readAll(t, l, 0, 1<<20)); got != 1 {
				t.Fatalf("read %d batches", got)
			}
			full.Store(false)
			eventually(t, "room again", func() bool { w.clock.Advance(time.Second); return !e.Full() })
			r := mustAppend(t, l, spec{n: 1, size: 10, pid: 9, seq: 3})
			if r.First != 3 {
				t.Fatalf("appended at %d", r.First)
			}
			flush(t, e)
			clone := w.on(w.mem.CrashClone(vfs.CrashCloneCfg{}))
			l2, _ := clone.open(nil).Log(l.ID())
			if got := len(readAll(t, l2, 0, 1<<20)); got != 2 {
				t.Fatalf("after a crash: %d batches", got)
			}
			if report, err := Verify(w.on(w.mem.CrashClone(vfs.CrashCloneCfg{})).mem, testDir); err != nil || len(report.Problems) > 0 {
				t.Fatalf("verify: %v %v", err, report.Problems)
			}
		})
	}
}

func TestAFailedWriteOrSyncPoisonsTheDirectory(t *testing.T) {
	for name, arm := range map[string]func(*env.FaultHooks){
		"write": func(h *env.FaultHooks) {
			h.WriteVAt = func(_ string, _ int64, n int) (int, error) { return 0, syscall.EIO }
		},
		"short write": func(h *env.FaultHooks) {
			h.WriteVAt = func(_ string, _ int64, n int) (int, error) { return n - 1, nil }
		},
		"sync": func(h *env.FaultHooks) { h.SyncData = func(string) error { return syscall.EIO } },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			failed := make(chan error, 10)
			e := w.open(func(o *Options) { o.OnFailed = func(err error) { failed <- err } })
			l := mustLog(t, e, topic(1, 0))
			mustAppend(t, l, spec{n: 1, size: 10})
			flush(t, e)
			// The mark behind the flush goes out by itself; let it, so that the fault meets the append.
			eventually(t, "idle", func() bool { return e.queue.empty() })
			w.fault.Change(arm)
			_, _ = append1(t, l, spec{n: 1, size: 10})
			if err := <-failed; !errors.Is(err, ErrFailed) || kafkaproto.Code(err) != kafkaproto.ErrKafkaStorageError.Num {
				t.Fatalf("failed with %v", err)
			}
			if _, err := append1(t, l, spec{n: 1}); !errors.Is(err, ErrFailed) {
				t.Fatalf("append: %v", err)
			}
			if _, err := l.Read(ReadRequest{From: 0, UpTo: 1, MaxBytes: 1}); !errors.Is(err, ErrFailed) {
				t.Fatalf("read: %v", err)
			}
			if err := e.Close(); !errors.Is(err, ErrFailed) {
				t.Fatalf("close: %v", err)
			}
			if len(failed) != 0 {
				t.Fatal("told twice")
			}
		})
	}
}

// damageFiles lists what is on a stopped disk.
func damageFiles(t *testing.T, m *env.MemFS) (out []string) {
	for _, dir := range []string{testDir, filepath.Join(testDir, walDir), filepath.Join(testDir, indexDir)} {
		names, err := m.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if size, err := m.Size(filepath.Join(dir, n)); err == nil && size > 0 && n != walDir && n != indexDir && !strings.Contains(n, "LOCK") {
				out = append(out, filepath.Join(dir, n))
			}
		}
	}
	return out
}

func TestAFlippedBitIsNoticedInEveryKindOfFile(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) {
		compacting(o)
		o.FileBytes, o.CompactRunBytes = 8<<10, 6<<10
	})
	l, other := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	for i := range 40 {
		mustAppend(t, l, spec{n: 3, size: 200, text: "x", pid: 5, seq: int32(3 * i)})
		mustAppend(t, other, spec{n: 1, size: 100})
		if i == 25 {
			if err := e.sealActive(); err != nil {
				t.Fatal(err)
			}
			mustCompact(t, e)
		}
	}
	flush(t, e)
	eventually(t, "the mark", func() bool { return e.queue.empty() })
	flush(t, e)
	eventually(t, "seals", func() bool { return e.Stats().Seals >= 3 })
	if e.Stats().SortedFiles == 0 {
		t.Fatal("no sorted file")
	}
	crashed := w.mem.CrashClone(vfs.CrashCloneCfg{})
	want := readAll(t, l, 0, 1<<20)
	kinds := map[string]bool{}
	files := damageFiles(t, crashed)
	for _, path := range files {
		size, _ := crashed.Size(path)
		for i := range int64(*flagFlips/len(files) + 1) {
			off := i * (size - 1) / int64(*flagFlips/len(files))
			m := w.on(crashed.CrashClone(vfs.CrashCloneCfg{}))
			f, err := m.mem.OpenReadWrite(path)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 1)
			_, _ = f.ReadAt(b, off)
			b[0] ^= 0x10
			_, _ = f.WriteVAt([][]byte{b}, off)
			_ = f.SyncData()
			_ = f.Close()
			how := noticed(t, m, want)
			kinds[filepath.Ext(path)+" "+how] = true
			if how == "" {
				t.Errorf("%s at %d of %d: nobody noticed and the log is not what it was", path, off, size)
			}
		}
	}
	t.Log(kinds)
}

// noticed tells by what a flipped bit shows, or that it changed nothing.
func noticed(t *testing.T, w *world, want []kafkaproto.Batch) string {
	report, verr := Verify(w.mem, testDir)
	e, d, err := w.tryOpen(nil)
	if err != nil {
		return "start: " + strings.SplitN(err.Error(), ":", 2)[0]
	}
	defer func() { _ = d.Close() }()
	defer func() { _ = e.Close() }()
	l, ok := e.Log(topic(1, 0))
	if ok {
		var got []kafkaproto.Batch
		broken := false
		for from := offset(0); ; {
			r, err := l.Read(ReadRequest{From: from, UpTo: 1 << 60, MaxBytes: 1, MinOneBatch: true})
			if err != nil {
				return "read"
			}
			for _, s := range r.Spans {
				buf := make([]byte, s.Len)
				_ = readFull(s.File, buf, s.Pos)
				b, _, err := kafkaproto.NextBatch(buf)
				broken = broken || err != nil || b.CheckCRC() != nil
				got = append(got, b)
			}
			next := r.Next
			r.Release()
			if broken {
				return "crc at read"
			}
			if next == from {
				break
			}
			from = next
		}
		if slices.EqualFunc(got, want, func(a, b kafkaproto.Batch) bool { return string(a) == string(b) }) && verr == nil && len(report.Problems) == 0 {
			return "harmless"
		}
	}
	if verr != nil || len(report.Problems) > 0 {
		return "verify"
	}
	return ""
}

func TestAnIndexThatPebbleCantWriteFailsTheDirectoryWithoutHanging(t *testing.T) {
	w := newWorld(t)
	failed := make(chan error, 1)
	e := w.open(func(o *Options) { o.OnFailed = func(err error) { failed <- err } })
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{n: 1, size: 10})
	w.fault.Change(func(h *env.FaultHooks) {
		h.VFSWrite = func(name string) error {
			if strings.Contains(name, "MANIFEST") {
				return syscall.EIO
			}
			return nil
		}
	})
	if err := e.sealActive(); err == nil {
		t.Fatal("sealed")
	}
	if err := <-failed; !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	if err := e.Close(); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
}

func TestAStartOnAFullDiskLeavesTheIndexAlone(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	for range 8 {
		mustAppend(t, l, spec{n: 1, size: 4 << 10})
	}
	closeEngine(t, e)
	full := w.crashed(false)
	full.fault.Change(func(h *env.FaultHooks) { h.VFSWrite = func(string) error { return syscall.ENOSPC } })
	rebuilt := func(o *Options) {
		o.Events.IndexRebuilt = func(reason error) { t.Errorf("the index is made anew: %v", reason) }
	}
	if _, _, err := full.tryOpen(rebuilt); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("without room: %v, want ENOSPC", err)
	}
	room := full.crashed(false) // the process ended
	e = room.open(rebuilt)
	l, _ = e.Log(topic(1, 0))
	if got := len(readAll(t, l, 0, 1<<20)); got != 8 || e.Recovery().Rebuilt {
		t.Errorf("with room again: %d batches of 8, %+v", got, e.Recovery())
	}
}
