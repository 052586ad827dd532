package log

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// within fails the test if f takes longer than anything here may.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("still waiting: %s", what)
	}
}

// gate holds the writer back before each write of the WAL until it is let through.
type gate struct{ at, pass chan struct{} }

func (w *world) gate() *gate {
	g := &gate{make(chan struct{}, 1000), make(chan struct{})}
	w.fault.Change(func(h *env.FaultHooks) {
		h.WriteVAt = func(_ string, _ int64, n int) (int, error) {
			g.at <- struct{}{}
			<-g.pass
			return n, nil
		}
	})
	return g
}

func push1(t *testing.T, l *Log, s spec) {
	t.Helper()
	if _, err := l.Append(Append{Data: s.batch(t)}); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsPublishedWhileASyncRunsIsFlushedByTheNext(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	first, second, third := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0)), mustLog(t, e, topic(3, 0))
	flush(t, e)
	g := w.gate()
	push1(t, first, spec{})
	<-g.at
	push1(t, second, spec{})
	push1(t, third, spec{})
	third.mu.Lock()
	close(g.pass) // the second write has both; the writer stops before it tells the syncer of the third log
	eventually(t, "second log written", func() bool { return second.Ends().Written == 1 })
	at := position(e.write.at.Load())
	e.sync.request(at, 0)
	eventually(t, "sync", func() bool { return e.sync.position() >= at })
	third.mu.Unlock()
	for _, l := range []*Log{first, second, third} {
		eventually(t, "flush", func() bool { return l.Ends().Flushed == 1 })
	}
}

func TestWhatWasWrittenBeforeTheDiskWasFullIsFlushed(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	fits, not := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	flush(t, e)
	g := w.gate()
	if err := e.queue.push(item{lazy: true}); err != nil {
		t.Fatal(err)
	}
	<-g.at
	push1(t, fits, spec{size: 6 << 10})
	failed := make(chan error, 1)
	if _, err := not.Append(Append{Data: spec{size: 16 << 10}.batch(t), Done: func(err error) { failed <- err }}); err != nil {
		t.Fatal(err)
	}
	w.fault.Change(func(h *env.FaultHooks) { h.Create = func(string) error { return syscall.ENOSPC } })
	close(g.pass)
	if err := <-failed; !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	eventually(t, "flush", func() bool { return fits.Ends().Flushed == 1 })
}

func TestAFileThatNeedsNoSyncAnyMoreMayBeClosed(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FlushPolicy, o.FileBytes = FlushNever, 4<<10 })
	l := mustLog(t, e, topic(1, 0))
	for range 2 * maxIdleFiles {
		mustAppend(t, l, spec{size: 4 << 10})
	}
	readAll(t, l, 0, 1<<20) // many files are open
	mustAppend(t, l, spec{})
	flush(t, e)
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	for i := range offset(2 * maxIdleFiles) {
		r, err := l.Read(ReadRequest{From: i, UpTo: i + 1, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
	}
	mustAppend(t, l, spec{})
	flush(t, e)
	closeEngine(t, e)
	if open, _ := e.files.counts(); open != 0 {
		t.Fatalf("%d files are open after the end", open)
	}
}

func TestMuchThatNobodySyncsIsWrittenBack(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FlushPolicy, o.FileBytes = FlushNever, 128<<20 })
	l := mustLog(t, e, topic(1, 0))
	flush(t, e)
	var begun atomic.Int32
	w.fault.Change(func(h *env.FaultHooks) { h.WriteBack = func(string) error { begun.Add(1); return nil } })
	for range writeBackBytes>>20 - 2 {
		mustAppend(t, l, spec{size: 1 << 20})
	}
	if n := begun.Load(); n != 0 {
		t.Fatalf("little was written, and begun to be written back %d times", n)
	}
	for range 4 {
		mustAppend(t, l, spec{size: 1 << 20})
	}
	eventually(t, "what was written is written back", func() bool { return begun.Load() == 1 })
	if ends := l.Ends(); ends.Flushed != 0 {
		t.Fatalf("nobody asked for a sync, and it is flushed to %d", ends.Flushed)
	}
}

func TestWhatWasTruncatedStaysSoWhenOlderFilesAreSealedLater(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FlushPolicy = FlushNever })
	l := mustLog(t, e, topic(1, 0))
	two := append(spec{n: 5, size: 20, text: "old"}.batch(t), spec{n: 5, size: 20, text: "old"}.batch(t)...)
	if _, err := l.Append(Append{Data: two}); err != nil {
		t.Fatal(err)
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	w.fault.Change(func(h *env.FaultHooks) { h.SyncData = func(string) error { <-hold; return nil } })
	full := position(e.write.at.Load()).file()
	for position(e.write.at.Load()).file() == full {
		mustAppend(t, l, spec{size: 1 << 10, text: "old"})
	}
	if err := l.Truncate(5); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		mustAppend(t, l, spec{size: 20, text: "new"})
	}
	close(hold)
	if err := e.seal.wait(full); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		next := offset(0)
		for i, b := range readAll(t, l, 0, 1<<20) {
			if b.BaseOffset() != next || i > 0 && !bytes.Contains(b, []byte("new")) {
				t.Fatalf("batch %d is %d-%d, want it at %d: %q", i, b.BaseOffset(), b.LastOffset(), next, b)
			}
			next = b.NextOffset()
		}
		if next != 15 {
			t.Fatalf("read to %d", next)
		}
	}
	check()
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	check()
}

func TestATruncationThatCouldNotBeWrittenLeavesTheLogAsItWas(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{n: 3})
	mustAppend(t, l, spec{n: 3})
	var full atomic.Bool
	w.fault.Change(func(h *env.FaultHooks) {
		h.WriteVAt = func(_ string, _ int64, n int) (int, error) {
			if full.Load() {
				return 0, syscall.ENOSPC
			}
			return n, nil
		}
	})
	full.Store(true)
	if err := l.Truncate(3); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	full.Store(false)
	eventually(t, "room again", func() bool { w.clock.Advance(time.Second); return !e.Full() })
	if r := mustAppend(t, l, spec{}); r.First != 6 {
		t.Fatalf("appended at %d", r.First)
	}
	within(t, "truncation", func() {
		if err := l.Truncate(3); err != nil {
			t.Error(err)
		}
	})
	if ends := l.Ends(); ends.Next != 3 || e.Failed() != nil {
		t.Fatalf("ends %+v, %v", ends, e.Failed())
	}
}

func TestAppendsThatWaitForASealFailWhenTheDiskIsFull(t *testing.T) {
	w := newWorld(t)
	var full atomic.Bool
	w.fault.Change(func(h *env.FaultHooks) {
		h.Create = func(name string) error {
			if full.Load() && filepath.Ext(name) != ".wal" {
				return syscall.ENOSPC
			}
			return nil
		}
		h.FreeBytes = func() uint64 {
			if full.Load() {
				return 10
			}
			return 1 << 40
		}
	})
	e := w.open(func(o *Options) { o.ReserveBytes, o.FlushPolicy, o.UnsealedMaxBytes = 1<<20, FlushNever, 1 })
	l := mustLog(t, e, topic(1, 0))
	full.Store(true)
	stuck := make(chan error)
	go func() {
		for {
			if _, err := append1(t, l, spec{size: 4 << 10}); err != nil {
				stuck <- err
				return
			}
		}
	}()
	eventually(t, "back-pressure", func() bool { return e.flow.waiters.Load() > 0 })
	w.clock.Advance(time.Second)
	within(t, "append to a full disk", func() {
		if err := <-stuck; !errors.Is(err, ErrFull) {
			t.Error(err)
		}
	})
}

func TestAFrameLargerThanWhatMayBeUnsealedHoldsNothingUp(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FlushPolicy, o.FileBytes, o.UnsealedMaxBytes = FlushNever, 4<<10, 8<<10 })
	l := mustLog(t, e, topic(1, 0))
	within(t, "append behind a large one", func() {
		for range 3 {
			mustAppend(t, l, spec{size: 64 << 10})
		}
	})
}

func TestTheStartMovesWhileAppendsKeepComing(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FlushPolicy = FlushNever })
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{n: 10})
	g := w.gate()
	push1(t, l, spec{})
	<-g.at
	moved := make(chan error, 1)
	go func() { moved <- l.AdvanceStart(5) }()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		push1(t, l, spec{}) // so that something is always in flight
		g.pass <- struct{}{}
		<-g.at
		if l.Ends().Start == 5 {
			break
		}
	}
	start := l.Ends().Start
	close(g.pass)
	if err := <-moved; err != nil || start != 5 {
		t.Fatalf("start %d, %v", start, err)
	}
}

func TestNoFileGoesWhileTheStateOfALogCannotBeRead(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{pid: 5})
	closeEngine(t, e)
	e = w.open(nil)
	l, _ = e.Log(topic(1, 0))
	if err := e.index.db.Set(logKey(nil, keyState, l.id), []byte{0xff}, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	err := e.keep.checkpoint([]uint32{l.checkpoint}, false)
	if err == nil && e.Failed() == nil {
		t.Fatal("the log's creation may be forgotten")
	}
}

func TestAReadBehindAStartThatMovesMeanwhileIsOutOfRange(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	if _, err := l.Append(Append{Data: append(spec{}.batch(t), spec{}.batch(t)...)}); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		mustAppend(t, l, spec{size: 7 << 10})
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	var once atomic.Bool
	w.fault.Change(func(h *env.FaultHooks) {
		h.ReadAt = func(name string, _ int64) error {
			if strings.HasSuffix(name, ".wal") && once.CompareAndSwap(false, true) {
				if err := errors.Join(l.AdvanceStart(7), e.sealActive(), e.Retain(), e.Retain()); err != nil {
					t.Error(err)
				}
			}
			return nil
		}
	})
	if _, err := l.Read(ReadRequest{From: 1, UpTo: 8, MaxBytes: 60 << 10}); !errors.Is(err, kafkaproto.ErrOffsetOutOfRange) {
		t.Fatal(err)
	}
}

// tightFS is a disk on which little can be reserved at a time.
type tightFS struct {
	env.FS
	limit int64
}

type tightFile struct {
	env.File
	limit int64
}

func (f tightFS) Create(name string) (env.File, error) {
	h, err := f.FS.Create(name)
	return tightFile{h, f.limit}, err
}

func (f tightFile) Preallocate(off, n int64) error {
	if n > f.limit {
		return syscall.ENOSPC
	}
	return f.File.Preallocate(off, n)
}

func TestANearlyFullDiskTakesControlRecords(t *testing.T) {
	w := newWorld(t)
	w.fault = env.NewFaultFS(tightFS{w.mem, 100 << 10})
	e := w.open(func(o *Options) { o.FileBytes = 8 << 20 })
	l := mustLog(t, e, topic(1, 0))
	for range 20 {
		mustAppend(t, l, spec{size: 80 << 10})
	}
	if err := e.DeleteLogs(l.ID()); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedIndexThatKeepsFilesFromBeingSealedIsMadeAnew(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{n: 5})
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	if err := e.index.db.Set(offsetKey(nil, keyRun, l.id, 4), []byte{0xff}, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := l.AdvanceStart(2); err != nil {
		t.Fatal(err)
	}
	if err := e.sealActive(); err == nil || e.Failed() == nil {
		t.Fatalf("sealed: %v, directory: %v", err, e.Failed())
	}
	e = w.on(w.mem.CrashClone(vfs.CrashCloneCfg{})).open(nil)
	l, _ = e.Log(l.id)
	if ends := l.Ends(); ends.Start != 2 || ends.Next != 5 {
		t.Fatalf("ends %+v", ends)
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAFullDiskLeftBehindTheEndOfAFileIsNoDamage(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FileBytes = 8 << 20 })
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{n: 3})
	flush(t, e)
	w.fault.Change(func(h *env.FaultHooks) {
		h.WriteVAt = func(_ string, _ int64, n int) (int, error) { return n / 2, syscall.ENOSPC }
	})
	if _, err := append1(t, l, spec{n: 3, size: 1 << 10}); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	w.fault.Set(env.FaultHooks{Create: func(name string) error { // no file can be sealed
		if filepath.Ext(name) != ".wal" {
			return syscall.ENOSPC
		}
		return nil
	}})
	eventually(t, "room again", func() bool { // until the next seal fails
		w.clock.Advance(time.Second)
		_, err := append1(t, l, spec{n: 3})
		if err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		return err == nil
	})
	flush(t, e)
	report, err := Verify(w.mem.CrashClone(vfs.CrashCloneCfg{}), testDir)
	if err != nil || len(report.Problems) > 0 || report.Batches != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
}
