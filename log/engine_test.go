package log

import (
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
