package log

import (
	"fmt"
	"testing"
)

func TestWhatIsAppendedIsReadBackAlsoAfterRestart(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	for i := range 200 {
		l := mustLog(t, e, topic(1+i%3, int32(i%2)))
		mustAppend(t, l, spec{n: 1 + i%4, size: 300, time: int64(i), text: "x"})
	}
	check := func(e *Engine) {
		t.Helper()
		for i := range 6 {
			l, ok := e.Log(topic(1+i%3, int32(i%2)))
			if !ok {
				t.Fatal("log is gone")
			}
			next := offset(0)
			for _, b := range readAll(t, l, 0, 2000) {
				if b.BaseOffset() != next {
					t.Fatalf("batch at %d, want %d", b.BaseOffset(), next)
				}
				next = b.NextOffset()
			}
			if ends := l.Ends(); ends.Next != next || ends.Written != next {
				t.Fatalf("ends %+v, read up to %d", ends, next)
			}
		}
	}
	check(e)
	eventually(t, "seal", func() bool { return e.Stats().Seals > 0 })
	closeEngine(t, e)
	e = w.open(nil)
	check(e)
	if r := e.Recovery(); !r.Clean {
		t.Fatalf("not clean: %+v", r)
	}
}

// Who deletes records wants room, perhaps because the disk is full: nothing more may be written by then that would seal a file.
func TestDeletedRecordsGiveTheirRoomBackThoughNothingIsWritten(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	for range 40 {
		mustAppend(t, l, spec{size: 1000})
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	files := e.Stats().WALFiles
	for _, to := range []offset{10, 40} {
		if err := l.AdvanceStart(to); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.keep.reclaim(); err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.Unlinks < 2 || s.WALFiles >= files {
		t.Errorf("%d files were removed; there are %d, before %d", s.Unlinks, s.WALFiles, files)
	}
}

// Between the record that files are about to go and their removal many others may be begun: those name them still.
func TestFilesThatTakeTheirTimeToGoAreNotMissed(t *testing.T) {
	w := newWorld(t)
	e := w.open(compacting)
	l, beside := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	for range 4 {
		mustAppend(t, l, spec{size: 1000})
		mustAppend(t, beside, spec{size: 1000})
		if err := e.sealActive(); err != nil {
			t.Fatal(err)
		}
	}
	mustCompact(t, e) // one file more that goes is a sorted one
	for _, dying := range []*Log{l, beside} {
		mustAppend(t, dying, spec{size: 10})
		if err := dying.AdvanceStart(dying.Ends().Next); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	gone, _ := e.seal.dead()
	sorted := false
	for _, f := range e.seal.sealedFiles() {
		sorted = sorted || f.kind == fileSorted && f.live == 0
	}
	if len(gone) < 2 || !sorted {
		t.Fatalf("files that may go: %v, a sorted one among them: %v", gone, sorted)
	}
	if err := e.keep.checkpoint(gone, false); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		mustAppend(t, l, spec{size: 1000})
		if err := e.sealActive(); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, e)
	want := contents(t, e)
	for _, id := range gone {
		if err := e.files.unlink(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.mem.SyncDir(e.files.dir); err != nil {
		t.Fatal(err)
	}
	for _, lost := range []bool{false, true} {
		mustEqual(t, fmt.Sprint("index lost ", lost), contents(t, w.crashed(lost).open(compacting)), want)
	}
}
