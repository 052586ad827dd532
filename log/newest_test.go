package log

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// No other file names the newest one: the index does.
func TestAStartNoticesThatTheNewestFileIsMissing(t *testing.T) {
	small := func(o *Options) { o.FileBytes = 8 << 10 }
	w := newWorld(t)
	e := w.open(small)
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{n: 2, size: 10})
	flush(t, e)
	w.missesNewest(t, "in a new directory")

	for e.Stats().Seals < 2 {
		mustAppend(t, l, spec{n: 2, size: 1000})
	}
	flush(t, e)
	eventually(t, "all full files are sealed", func() bool { return e.Stats().UnsealedFiles == 1 })
	w.missesNewest(t, "behind sealed ones")

	w = w.crashed(false)
	e = w.open(small)
	eventually(t, "all full files are sealed", func() bool { return e.Stats().UnsealedFiles == 1 })
	w.missesNewest(t, "after a recovery")

	closeEngine(t, e)
	for range 2 {
		e = w.crashed(false).open(small)
		if !e.Recovery().Clean {
			t.Error("a file stands behind a clean stop")
		}
		closeEngine(t, e)
	}
	w.open(small)
	w.missesNewest(t, "after a clean stop")
}

// missesNewest crashes the machine, removes its newest WAL file and wants that to be told.
func (w *world) missesNewest(t *testing.T, when string) {
	t.Helper()
	lost := w.crashed(false)
	ids, err := listFiles(lost.mem, filepath.Join(testDir, walDir), fileWAL)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(testDir, walDir, fileName(slices.Max(ids)))
	if err := lost.mem.Remove(path); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(lost.mem, testDir)
	if err != nil || !slices.ContainsFunc(report.Problems, func(p error) bool { return strings.Contains(p.Error(), path) && errors.Is(p, ErrCorrupt) }) {
		t.Errorf("%s: verify: %v %v", when, err, report.Problems)
	}
	if _, _, err := lost.tryOpen(nil); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "the file is missing") {
		t.Errorf("%s: start: %v", when, err)
	}
	closeEngine(t, lost.open(func(o *Options) { o.AcceptCorruption = true }))
	closeEngine(t, lost.open(nil))
}
