package log

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// damagedThird is what a crash leaves of the world, with a flipped bit or more in the log's third entry, and that entry.
func (w *world) damagedThird(l *Log) (*world, entry) {
	w.t.Helper()
	l.mu.Lock()
	third := l.unsealed.entries[2]
	l.mu.Unlock()
	crashed := w.mem.CrashClone(vfs.CrashCloneCfg{})
	f, err := crashed.OpenReadWrite(filepath.Join(testDir, walDir, fileName(third.file)))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := f.WriteVAt([][]byte{{0xff, 0xff}}, int64(third.pos)+200); err != nil {
		w.t.Fatal(err)
	}
	_ = f.SyncData()
	_ = f.Close()
	return w.on(crashed), third
}

func TestDamageBelowWhatWasSyncedStopsTheStartUntilItIsAccepted(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FileBytes = 1 << 20 })
	l, other := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	for range 5 {
		mustAppend(t, l, spec{n: 2, size: 500})
		mustAppend(t, other, spec{n: 1, size: 100})
		flush(t, e)
	}
	w2, third := w.damagedThird(l)
	_, _, err := w2.tryOpen(nil)
	var c *CorruptionError
	if !errors.As(err, &c) || !errors.Is(err, ErrCorrupt) || !c.Known || c.Log != l.ID() || c.First != 4 || c.Last != 5 ||
		c.Position != int64(third.pos)-frameHeaderLen {
		t.Fatalf("start: %v", err)
	}
	for range 2 {
		e2 := w2.open(func(o *Options) { o.AcceptCorruption = true })
		l2, _ := e2.Log(l.ID())
		r, err := l2.Read(ReadRequest{From: 0, UpTo: 100, MaxBytes: 1 << 20})
		if err != nil || r.Next != 4 {
			t.Fatalf("read before the hole: %+v %v", r, err)
		}
		r.Release()
		if _, err := l2.Read(ReadRequest{From: 4, UpTo: 100, MaxBytes: 1 << 20}); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("read in the hole: %v", err)
		}
		if got := len(readAll(t, l2, 6, 1<<20)); got != 2 {
			t.Fatalf("read behind the hole: %d batches", got)
		}
		o2, _ := e2.Log(other.ID())
		if got := len(readAll(t, o2, 0, 1<<20)); got != 5 {
			t.Fatalf("other log: %d batches", got)
		}
		closeEngine(t, e2)
	}
}

// A replica whose log was damaged is cut below the damage and filled up from another one.
func TestWhatIsCutBelowDamageCanBeWrittenAnew(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FileBytes = 1 << 20 })
	l := mustLog(t, e, topic(1, 0))
	for range 5 {
		mustAppend(t, l, spec{n: 2, size: 500})
		flush(t, e)
	}
	w2, _ := w.damagedThird(l)
	_, _, err := w2.tryOpen(nil)
	if logs, all := Damaged(err); all || len(logs) != 1 || logs[0] != l.ID() {
		t.Fatalf("damaged: %v %v of %v", logs, all, err)
	}
	e2 := w2.open(func(o *Options) { o.AcceptCorruption = true })
	l2, _ := e2.Log(l.ID())
	first, ok := l2.FirstHole()
	if !ok || first != 4 {
		t.Fatalf("the first hole: %d %v", first, ok)
	}
	if err := l2.Truncate(first); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if at, ok := l2.FirstHole(); ok {
			t.Errorf("a hole at %d after the cut", at)
		}
		for l2.Ends().Written < 10 {
			mustAppend(t, l2, spec{n: 2, size: 500})
		}
		if got := len(readAll(t, l2, 0, 1<<20)); got != 5 {
			t.Fatalf("%d batches", got)
		}
		closeEngine(t, e2)
		e2 = w2.open(nil)
		l2, _ = e2.Log(l.ID())
	}
}

func TestDamageOfWhichTheLogIsNotKnownMayBeAny(t *testing.T) {
	known := &CorruptionError{Known: true, Log: topic(1, 0)}
	if _, all := Damaged(errors.Join(known, &CorruptionError{})); !all {
		t.Error("a place without a log")
	}
	if logs, all := Damaged(errors.Join(known, known)); all || len(logs) != 1 {
		t.Errorf("%v %v", logs, all)
	}
	if _, all := Damaged(errors.New("something else")); !all {
		t.Error("no place at all")
	}
}
