package log

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/internal/env"
)

// fill appends until n files have been sealed.
func fill(t *testing.T, e *Engine, l *Log, n int64) {
	t.Helper()
	for upTo := e.Stats().Seals + n; e.Stats().Seals < upTo; {
		mustAppend(t, l, spec{size: 900, text: strings.Repeat("x", 880)})
		if position(e.write.at.Load()).off() < 2000 { // a file has just begun
			flush(t, e)
			if err := e.seal.wait(position(e.write.at.Load()).file() - 1); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// die deletes a log and has the files go that only it had something in.
func die(t *testing.T, e *Engine, l *Log) {
	t.Helper()
	if err := e.DeleteLogs(l.id); err != nil {
		t.Fatal(err)
	}
	if err := e.Retain(); err != nil {
		t.Fatal(err)
	}
}

func readEverything(t *testing.T, r *Read) []byte {
	t.Helper()
	data, err := r.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func spareFiles(t *testing.T, w *world) (n int) {
	t.Helper()
	names, err := w.mem.List(filepath.Join(testDir, walDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, spareSuffix) {
			n++
		}
	}
	return n
}

func TestADeadFileIsWrittenAgain(t *testing.T) {
	for _, policy := range []FlushPolicy{FlushAlways, FlushNever} {
		w := newWorld(t)
		options := func(o *Options) { o.FlushPolicy = policy }
		e := w.open(options)
		old, other := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
		fill(t, e, old, 5)
		die(t, e, old)
		spares := e.Stats().Spares
		if spares < 4 || spareFiles(t, w) != spares || e.Stats().Recycled != 0 {
			t.Fatalf("%d files are kept, %d are there: %+v", spares, spareFiles(t, w), e.Stats())
		}
		fill(t, e, other, int64(spares)/2)
		mustAppend(t, other, spec{size: 10})
		if s := e.Stats(); s.Recycled == 0 || s.Spares >= spares {
			t.Fatalf("none of the %d kept files was written again: %+v", spares, s)
		}
		flush(t, e)
		next := other.Ends().Next
		// The active file has what the old log had behind its end, whole frames too.
		for name, cfg := range map[string]vfs.CrashCloneCfg{
			"kill": {UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}, "power cut": {},
		} {
			for _, lose := range []bool{false, true} {
				clone := w.on(w.mem.CrashClone(cfg))
				if report, err := Verify(clone.mem, testDir); err != nil || len(report.Problems) > 0 || report.Torn != "" {
					t.Fatalf("%s: %+v %v", name, report, err)
				}
				dump, err := DumpWAL(clone.mem, filepath.Join(testDir, walDir, fileName(e.write.active.id)), 0, 0)
				if err != nil || len(dump.Damage) > 0 || len(dump.Frames) < 2 {
					t.Fatalf("%s: %+v %v", name, dump, err)
				}
				if lose {
					if err := clone.mem.RemoveAll(filepath.Join(testDir, indexDir)); err != nil {
						t.Fatal(err)
					}
				}
				again := clone.open(options)
				l, ok := again.Log(other.id)
				if !ok || l.Ends().Next != next || len(readAll(t, l, 0, 3000)) != int(next) {
					t.Fatalf("%s, index lost %v: the log has not all that was flushed", name, lose)
				}
				if _, there := again.Log(old.id); there {
					t.Errorf("%s: the deleted log is there", name)
				}
				closeEngine(t, again)
			}
		}
		closeEngine(t, e)
	}
}

// A block of which a part is written is read from the disk first, unless it is in memory: zeros fill the last one.
func TestWhatIsWrittenOverOldBytesEndsWithABlock(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	old, other := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	fill(t, e, old, 3)
	die(t, e, old)
	fill(t, e, other, 2) // the first one was begun by old, but not filled
	f, pos := e.write.active, e.write.pos
	if f.stale == 0 || pos >= f.stale-2*spareBlock {
		t.Fatalf("the active file is no used one: %d of %d bytes", pos, f.stale)
	}
	for range 4 {
		mustAppend(t, other, spec{size: 100})
		pos = e.write.pos
		const more = 2000 // more than a batch
		rest := make([]byte, spareBlock-pos%spareBlock+more)
		if err := readFull(f.handle, rest, pos); err != nil {
			t.Fatal(err)
		}
		zero, behind := rest[:spareBlock-pos%spareBlock], rest[spareBlock-pos%spareBlock:]
		if !bytes.Equal(zero, make([]byte, len(zero))) || !bytes.Contains(behind, []byte("xxx")) {
			t.Fatalf("behind %d there is no block's end with old bytes behind it", pos)
		}
	}
}

func TestAFileThatSomebodyMayStillReadIsNotWrittenAgain(t *testing.T) {
	for name, c := range map[string]struct {
		hold func(r *Read, loan *Loan)
		kept bool
	}{
		"nobody reads":          {func(r *Read, _ *Loan) { r.Release() }, true},
		"a reference":           {func(*Read, *Loan) {}, false},
		"lent":                  {func(r *Read, loan *Loan) { loan.Lend(r); r.Release() }, false},
		"lent twice, returned":  {func(r *Read, loan *Loan) { loan.Lend(r); loan.Lend(r); r.Release(); loan.Return() }, true},
		"lent for good":         {func(r *Read, _ *Loan) { r.Lend(); r.Release() }, false},
		"lent for good, a loan": {func(r *Read, loan *Loan) { r.Lend(); loan.Lend(r); r.Release(); loan.Return() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			e := w.open(nil)
			old, other := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
			fill(t, e, old, 1)
			r, err := old.Read(ReadRequest{From: 3, UpTo: 8, MaxBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			path, before := r.files[0].path, readEverything(t, r)
			c.hold(r, new(Loan))
			die(t, e, old)
			if _, err := w.mem.Size(path + spareSuffix); (err == nil) != c.kept {
				t.Fatalf("is it kept to be written again? %v", err)
			}
			if _, err := w.mem.Size(path); err == nil {
				t.Fatal("it is there")
			}
			fill(t, e, other, 3)
			if r.Spans != nil { // as sendfile would
				if after := readEverything(t, r); !bytes.Equal(before, after) {
					t.Error("what was read has changed")
				}
				r.Release()
			}
		})
	}
}

// A loan is known to the process that made it: what it has lent may lie in a socket for longer than it lives.
func TestFilesOfAnEarlierProcessAreNotWrittenAgainButItsSparesAre(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	first, second := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	fill(t, e, second, 3)
	fill(t, e, first, 3)
	die(t, e, first)
	spares := e.Stats().Spares
	if spares == 0 {
		t.Fatal("nothing was kept")
	}
	closeEngine(t, e)
	e = w.open(nil)
	if got := e.Stats().Spares; got != spares {
		t.Fatalf("%d files are kept after a restart, %d before", got, spares)
	}
	l, _ := e.Log(second.id)
	unlinks := e.Stats().Unlinks
	die(t, e, l)
	if s := e.Stats(); s.Unlinks == unlinks || s.Spares != spares {
		t.Errorf("%d files of the earlier process went, and %d more are kept", s.Unlinks-unlinks, s.Spares-spares)
	}
	closeEngine(t, e)
	e = w.open(func(o *Options) { o.RecycleBytes = -1 })
	if n := spareFiles(t, w); n != 0 || e.Stats().Spares != 0 {
		t.Errorf("%d files are kept where none are to be", n)
	}
}

func TestNothingIsKeptWhereTheDiskIsLow(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l, other, third := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0)), mustLog(t, e, topic(3, 0))
	fill(t, e, l, 3)
	die(t, e, l)
	if spareFiles(t, w) == 0 {
		t.Fatal("nothing was kept")
	}
	w.mem.SetUsage(100<<20, 10<<30)
	e.keep.checkDisk()
	if n := spareFiles(t, w); n != 0 || e.Stats().Spares != 0 {
		t.Errorf("%d files are kept though the disk is low", n)
	}
	fill(t, e, other, 2)
	die(t, e, other)
	if n := spareFiles(t, w); n != 0 {
		t.Errorf("%d files were kept while the disk is low", n)
	}
	w.mem.SetUsage(9<<30, 10<<30)
	e.keep.checkDisk()
	fill(t, e, third, 2)
	die(t, e, third)
	if spareFiles(t, w) == 0 {
		t.Error("nothing is kept when there is room again")
	}
}

func TestASpareThatSomebodyTookAwayIsNotMissed(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l, other := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	fill(t, e, l, 3)
	die(t, e, l)
	names, err := w.mem.List(filepath.Join(testDir, walDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, spareSuffix) {
			if err := w.mem.Remove(filepath.Join(testDir, walDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	fill(t, e, other, 5)
	if s := e.Stats(); s.Recycled != 0 || s.Spares != 0 {
		t.Errorf("%+v", s)
	}
}

func TestSparesGoWhereTheDiskHasNoRoom(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l, other := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	fill(t, e, l, 3)
	die(t, e, l)
	if spareFiles(t, w) == 0 {
		t.Fatal("nothing was kept")
	}
	w.fault.Change(func(h *env.FaultHooks) {
		h.Preallocate = func(string) error {
			if spareFiles(t, w) > 0 {
				return syscall.ENOSPC
			}
			return nil
		}
	})
	mustAppend(t, other, spec{size: 10})
	fill(t, e, other, 2)
	if s := e.Stats(); s.Spares != 0 || spareFiles(t, w) != 0 {
		t.Errorf("%+v", s)
	}
	// What is about to be kept is no room that one could wait for.
	e.files.spares.fresh = append(e.files.spares.fresh, "one")
	w.fault.Change(func(h *env.FaultHooks) { h.Preallocate = func(string) error { return syscall.ENOSPC } })
	for range 40 {
		if _, err := append1(t, other, spec{size: 1000}); err != nil {
			return
		}
	}
	t.Error("a full disk took everything")
}
