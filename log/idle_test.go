package log

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/internal/invariants"
)

// A log that nobody uses costs its struct: no goroutine, no file, no buffer.
const (
	idleLogs     = 100_000
	idleLogBytes = 500 // of heap, its place in the engine's map included
)

// costs are what a process has; heap without the cache of the index, which is as large whatever the number of logs.
type costs struct{ goroutines, files, heap int }

func costsNow(t *testing.T, e *Engine) costs {
	t.Helper()
	runtime.GC()
	runtime.GC() // what pools held goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c := costs{goroutines: runtime.NumGoroutine(), heap: int(m.HeapAlloc) - int(e.index.db.Metrics().BlockCache.Size)}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		c.files = len(fds)
	}
	return c
}

func (c costs) each(before costs) int { return (c.heap - before.heap) / idleLogs }

// checkIdle compares what the process had without logs with what it has with them.
func checkIdle(t *testing.T, e *Engine, when string, before costs) {
	t.Helper()
	flush(t, e)
	now := costsNow(t, e)
	for try := 0; try < 20 && now.each(before) > idleLogBytes; try++ { // the engine may be at work on all of them for a moment
		time.Sleep(50 * time.Millisecond)
		now = costsNow(t, e)
	}
	t.Logf("%s: %d bytes of heap a log, %d goroutines, %d files (without logs: %d, %d)", when, now.each(before), now.goroutines, now.files, before.goroutines, before.files)
	if now.each(before) > idleLogBytes {
		t.Errorf("%s: %d bytes of heap a log, want at most %d", when, now.each(before), idleLogBytes)
	}
	if now.goroutines > before.goroutines+10 {
		t.Errorf("%s: %d goroutines, %d without logs", when, now.goroutines, before.goroutines)
	}
	if now.files > before.files+20 {
		t.Errorf("%s: %d open files, %d without logs", when, now.files, before.files)
	}
}

// TestAnIdleLogCostsLittle makes 100,000 logs, writes to every hundredth, and looks at what the rest cost: when they are new, when the
// file that tells of them is sealed, after a start, and when partitions lead them after it.
func TestAnIdleLogCostsLittle(t *testing.T) {
	if invariants.Enabled {
		t.Skip("what assertions and the race detector keep would count")
	}
	dir := filepath.Join(t.TempDir(), "data")
	e := openAt(t, dir)
	ids := make([]tp, idleLogs)
	for i := range ids {
		ids[i] = topic(i/5000, int32(i%5000))
	}
	before := costsNow(t, e)

	cfg := LogConfig{RetentionTime: 7 * 24 * 3600e9, RetentionBytes: -1, Delete: true, SegmentBytes: 1 << 30, SegmentTime: 7 * 24 * 3600e9}
	logs, err := e.CreateLogs(ids, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logs { // as a partition does when it begins to lead
		l.AssignEpoch(0, 0)
	}
	for i := 0; i < len(logs); i += 100 {
		mustAppend(t, logs[i], spec{n: 10, size: 100})
	}
	logs = nil
	checkIdle(t, e, "new", before)

	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	checkIdle(t, e, "sealed", before)
	closeEngine(t, e)

	e = openAt(t, dir)
	checkIdle(t, e, "after a start", before)
	l, ok := e.Log(ids[len(ids)-100])
	if !ok || l.Ends().Written != 10 {
		t.Fatalf("%v, %v", l, ok)
	}
	if logs, err = e.CreateLogs(ids, cfg); err != nil {
		t.Fatal(err)
	}
	for _, l := range logs {
		l.AssignEpoch(1, l.Ends().Next)
	}
	logs = nil
	checkIdle(t, e, "in use after a start", before)
	closeEngine(t, e)
	runtime.KeepAlive(ids)
}

func openAt(t *testing.T, dir string) *Engine {
	t.Helper()
	d, err := OpenDirectory(env.System(), dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(Options{Directory: d, Env: env.System(), FlushPolicy: FlushNever, ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
