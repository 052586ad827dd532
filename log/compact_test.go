package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// compacting are options under which little is much.
func compacting(o *Options) {
	o.FileBytes, o.CompactRunBytes, o.CompactDeadBytes, o.SortedFileBytes = 16<<10, 3<<10, 1<<10, 24<<10
	o.CompactBytesPerSecond = 1 << 62 // or the compactor would wait for the clock
}

// scattered fills six logs of which each file has a little, cuts one, moves the start of another and deletes a third.
func scattered(t *testing.T, w *world, e *Engine) map[tp][]modelBatch {
	t.Helper()
	for i := range 60 {
		for n := 1; n <= 6; n++ {
			l := mustLog(t, e, topic(n, 0))
			mustAppend(t, l, spec{n: 1 + i%3, size: 100 + 10*n, text: fmt.Sprintf("%d of %d", i, n), pid: int64(n), seq: -1, leader: kafkaproto.LeaderEpoch(i / 20)})
			if n == 2 && i == 40 {
				if err := l.Truncate(l.Ends().Next - 11); err != nil {
					t.Fatal(err)
				}
			}
			if n == 3 && i == 45 {
				if err := l.AdvanceStart(31); err != nil {
					t.Fatal(err)
				}
			}
			if n == 4 && i == 30 {
				if err := e.DeleteLogs(l.id); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	flush(t, e)
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	return contents(t, e)
}

func contents(t *testing.T, e *Engine) map[tp][]modelBatch {
	t.Helper()
	out := map[tp][]modelBatch{}
	for _, id := range e.Logs() {
		l, _ := e.Log(id)
		for _, b := range readAll(t, l, l.Ends().Start, 1<<20) {
			out[id] = append(out[id], modelBatchOf(b))
		}
	}
	return out
}

func mustEqual(t *testing.T, what string, got, want map[tp][]modelBatch) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d logs, want %d", what, len(got), len(want))
	}
	for id := range want {
		if !slices.Equal(got[id], want[id]) {
			t.Fatalf("%s: log %s has\n%v, want\n%v", what, id, got[id], want[id])
		}
	}
}

func mustCompact(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.Compact(); err != nil {
		t.Fatal(err)
	}
	if err := e.keep.reclaim(); err != nil {
		t.Fatal(err)
	}
}

func runsOf(t *testing.T, e *Engine, id tp) (n int) {
	t.Helper()
	err := e.index.runs(id, 0, 1<<62, func(*run) (bool, error) { n++; return true, nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCompactionLaysALogsRecordsSideBySide(t *testing.T) {
	w := newWorld(t)
	e, d, err := w.tryOpen(func(o *Options) {
		compacting(o)
		o.CompactRunBytes = 4 << 10 // two files have less of a log, three more
	})
	if err != nil {
		t.Fatal(err)
	}
	scattered(t, w, e)
	for i := range 60 { // what is left for the next round is little of so much
		for n := 1; n <= 6; n++ {
			mustAppend(t, mustLog(t, e, topic(n, 0)), spec{n: 1 + i%3, size: 100 + 10*n, text: fmt.Sprintf("%d more of %d", i, n)})
		}
	}
	flush(t, e)
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	want := contents(t, e)
	before := runsOf(t, e, topic(1, 0))
	files := e.Stats().WALFiles
	mustCompact(t, e)
	s := e.Stats()
	if after := runsOf(t, e, topic(1, 0)); after*2 > before || s.SortedFiles == 0 || s.WALFiles >= files || s.Compacted == 0 {
		t.Errorf("runs of a log: %d, before %d; files %d, before %d; %+v", after, before, s.WALFiles, files, s)
	}
	mustEqual(t, "compacted", contents(t, e), want)
	if err := e.Compact(); err != nil || e.Stats().Compacted != s.Compacted {
		t.Errorf("there was more to do: %d, then %d: %v", s.Compacted, e.Stats().Compacted, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(w.mem, testDir); err != nil || len(report.Problems) > 0 {
		t.Fatalf("verify: %v %v", err, report.Problems)
	}
	mustEqual(t, "opened again", contents(t, w.open(compacting)), want)
	mustEqual(t, "with an index made anew", contents(t, w.crashed(true).open(compacting)), want)
}

// Files of which most is dead are left by what is alive.
func TestCompactionGivesDeadSpaceBack(t *testing.T) {
	w := newWorld(t)
	e := w.open(compacting)
	want := scattered(t, w, e)
	mustCompact(t, e)
	for n := 3; n <= 6; n++ {
		if err := e.DeleteLogs(topic(n, 0)); err != nil {
			t.Fatal(err)
		}
		delete(want, topic(n, 0))
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	mustCompact(t, e)
	if err := e.sealActive(); err != nil { // with it the checkpoints are all that the older ones have
		t.Fatal(err)
	}
	mustCompact(t, e)
	total := int64(0)
	for _, f := range e.seal.sealedFiles() {
		total += f.end
	}
	if live := e.Stats().LiveBytes; total > 3*live {
		t.Errorf("%d bytes in files for %d live ones", total, live)
	}
	mustEqual(t, "compacted twice", contents(t, e), want)
}

// cloned are copies of the disk as a crash would leave it at any write or sync of f.
func cloned(w *world, f func()) []*env.MemFS {
	var mu sync.Mutex
	var clones []*env.MemFS // no result by name, which the caller would read without the lock
	rng := rand.New(rand.NewPCG(1, 2))
	clone := func(string) error {
		mu.Lock()
		defer mu.Unlock()
		clones = append(clones, w.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * rng.IntN(3), RNG: rng}))
		return nil
	}
	w.fault.Set(env.FaultHooks{
		SyncData: clone, SyncDir: clone, Create: clone, VFSSync: clone,
		WriteVAt: func(_ string, _ int64, n int) (int, error) { return n, clone("") },
	})
	f()
	w.fault.Set(env.FaultHooks{})
	mu.Lock() // a hook that was called before may come still
	defer mu.Unlock()
	return slices.Clone(clones)
}

func TestACrashAnywhereInACompactionLosesNothing(t *testing.T) {
	w := newWorld(t)
	e := w.open(compacting)
	want := scattered(t, w, e)
	clones := cloned(w, func() { mustCompact(t, e) })
	if len(clones) < 30 {
		t.Fatalf("only %d places", len(clones))
	}
	for i, c := range clones {
		w := w.on(c)
		e, d, err := w.tryOpen(compacting)
		if err != nil {
			t.Fatalf("place %d of %d: %v", i, len(clones), err)
		}
		mustEqual(t, fmt.Sprintf("place %d of %d", i, len(clones)), contents(t, e), want)
		if i%3 == 0 {
			mustCompact(t, e)
			mustEqual(t, fmt.Sprintf("place %d of %d, compacted", i, len(clones)), contents(t, e), want)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if report, err := Verify(c, testDir); err != nil || len(report.Problems) > 0 {
			t.Fatalf("place %d: verify: %v %v", i, err, report.Problems)
		}
		if err := c.RemoveAll(filepath.Join(testDir, indexDir)); err != nil {
			t.Fatal(err)
		}
		mustEqual(t, fmt.Sprintf("place %d of %d, with an index made anew", i, len(clones)), contents(t, w.open(compacting)), want)
	}
}

// Those who read while their records move read on, and what they were lent stays as it is.
func TestReadersDontNoticeACompaction(t *testing.T) {
	w := newWorld(t)
	e := w.open(compacting)
	want := scattered(t, w, e)
	lent := map[tp]*Read{}
	for id := range want {
		l, _ := e.Log(id)
		r, err := l.Read(ReadRequest{From: l.Ends().Start, UpTo: 1 << 60, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		lent[id] = r
	}
	var over atomic.Bool
	var readers sync.WaitGroup
	for id := range want {
		readers.Add(1)
		go func() {
			defer readers.Done()
			l, _ := e.Log(id)
			for !over.Load() {
				got := readAll(t, l, l.Ends().Start, 700)
				if len(got) != len(want[id]) {
					t.Errorf("log %s: %d batches, want %d", id, len(got), len(want[id]))
					return
				}
				last := want[id][len(want[id])-1]
				if f, ok, err := l.FindTimestamp(kafkaproto.Timestamp(last.time), 1<<60); err != nil || !ok || int64(f.Timestamp) != last.time {
					t.Errorf("log %s: %+v %v %v", id, f, ok, err)
					return
				}
			}
		}()
	}
	for range 3 {
		mustCompact(t, e)
		mustAppend(t, mustLog(t, e, topic(9, 0)), spec{size: 5000})
	}
	over.Store(true)
	readers.Wait()
	for id, r := range lent {
		if got := batchesOf(t, r); len(got) != len(want[id]) {
			t.Errorf("log %s: %d batches were lent, want %d", id, len(got), len(want[id]))
		}
		r.Release()
	}
}

// A damaged record must not get a new checksum: its log stays where it is.
func TestCompactionLeavesDamageWhereItIs(t *testing.T) {
	var told []*CorruptionError
	w := newWorld(t)
	e := w.open(func(o *Options) {
		compacting(o)
		o.Events.Corruption = func(c *CorruptionError) { told = append(told, c) }
	})
	want := scattered(t, w, e)
	flip(t, w.mem, "12 of 5", 3)
	if err := e.Compact(); err == nil || len(told) != 1 || told[0].Log != topic(5, 0) {
		t.Fatalf("%v, told %v", err, told)
	}
	runs := runsOf(t, e, topic(5, 0))
	mustCompact(t, e)
	if now := runsOf(t, e, topic(5, 0)); now != runs || e.Stats().SortedFiles == 0 {
		t.Errorf("the damaged log's runs are %d now, were %d; %+v", now, runs, e.Stats())
	}
	delete(want, topic(5, 0))
	for id := range want {
		l, _ := e.Log(id)
		if got := readAll(t, l, l.Ends().Start, 1<<20); len(got) != len(want[id]) {
			t.Errorf("log %s: %d batches, want %d", id, len(got), len(want[id]))
		}
	}
}

// A disk that is full keeps compaction from going on, and nothing else. One that fails to write or to sync fails the directory.
func TestADiskThatTakesNoSortedFile(t *testing.T) {
	for name, c := range map[string]struct {
		hooks  env.FaultHooks
		failed bool
	}{
		"full": {env.FaultHooks{WriteVAt: onSorted(func(n int) (int, error) { return 0, syscall.ENOSPC })}, false},
		"EIO":  {env.FaultHooks{WriteVAt: onSorted(func(n int) (int, error) { return n / 2, syscall.EIO })}, true},
		"sync": {env.FaultHooks{SyncData: func(name string) error {
			if filepath.Ext(name) == fileSorted.suffix() {
				return syscall.EIO
			}
			return nil
		}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			e := w.open(compacting)
			want := scattered(t, w, e)
			w.fault.Set(c.hooks)
			if err := e.Compact(); err == nil || errors.Is(e.Failed(), ErrFailed) != c.failed {
				t.Fatalf("%v, the directory: %v", err, e.Failed())
			}
			w.fault.Set(env.FaultHooks{})
			if !c.failed {
				mustEqual(t, "full", contents(t, e), want)
				mustCompact(t, e)
				mustEqual(t, "room again", contents(t, e), want)
			}
			mustEqual(t, "after a crash", contents(t, w.crashed(false).open(compacting)), want)
		})
	}
}

func onSorted(f func(n int) (int, error)) func(string, int64, int) (int, error) {
	return func(name string, _ int64, n int) (int, error) {
		if filepath.Ext(name) == fileSorted.suffix() {
			return f(n)
		}
		return n, nil
	}
}

// A sorted file is read when the index is made anew. What is damaged in it then is never skipped in silence.
func TestDamageInASortedFileShowsWhereTheIndexIsLost(t *testing.T) {
	w := newWorld(t)
	e := w.open(compacting)
	want := scattered(t, w, e)
	mustCompact(t, e)
	for _, text := range []string{"12 of 1", "12 of 6"} { // the first run of a file, and the last
		id := topic(int(text[len(text)-1]-'0'), 0)
		c := w.crashed(true)
		flipIn(t, c.mem, fileSorted.suffix(), text, 3)
		if _, _, err := c.tryOpen(compacting); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), ".sorted") {
			t.Fatalf("%s: %v", text, err)
		}
		accepting := func(o *Options) {
			compacting(o)
			o.AcceptCorruption = true
		}
		again := c.open(accepting)
		for other := range want {
			l, _ := again.Log(other)
			hole, damaged := l.FirstHole()
			if damaged != (other == id) {
				t.Errorf("%s: log %s has a hole: %v at %d", text, other, damaged, hole)
			}
			if !damaged {
				if got := readAll(t, l, l.Ends().Start, 1<<20); len(got) != len(want[other]) {
					t.Errorf("%s: log %s: %d batches, want %d", text, other, len(got), len(want[other]))
				}
				continue
			}
			if _, err := l.Read(ReadRequest{From: hole, UpTo: 1 << 60, MaxBytes: 1 << 20, MinOneBatch: true}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: read at the hole: %v", text, err)
			}
			last := want[other][len(want[other])-1]
			if r, err := l.Read(ReadRequest{From: last.base, UpTo: 1 << 60, MaxBytes: 1 << 20, MinOneBatch: true}); err != nil || r.Bytes == 0 {
				t.Errorf("%s: read behind the hole: %v", text, err)
			} else {
				r.Release()
			}
		}
	}
}

// What is kept free of the disk is not for compaction, which stops where it begins.
func TestCompactionLeavesTheReserve(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) {
		compacting(o)
		o.ReserveBytes = 1 << 20
	})
	want := scattered(t, w, e)
	w.mem.SetUsage(1<<19, 1<<30)
	e.keep.checkDisk()
	if err := e.Compact(); !errors.Is(err, ErrFull) || e.Stats().SortedFiles > 0 {
		t.Fatalf("%v, %+v", err, e.Stats())
	}
	w.mem.SetUsage(1<<29, 1<<30)
	e.keep.checkDisk()
	mustCompact(t, e)
	mustEqual(t, "room again", contents(t, e), want)
}

// A WAL file may be begun between the record that sorted files go and their removal. It must not name them: when the file with that
// record is sealed, and the index has forgotten them, nothing would say that they are not missing.
func TestAFileThatIsBegunWhileSortedFilesGoDoesNotNameThem(t *testing.T) {
	w := newWorld(t)
	e := w.open(compacting)
	scattered(t, w, e)
	mustCompact(t, e)
	for _, id := range e.Logs() {
		l, _ := e.Log(id)
		if err := l.AdvanceStart(l.Ends().Next - 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	gone, deletions := e.seal.dead()
	if !slices.ContainsFunc(gone, func(id uint32) bool { return e.seal.infos[id].kind == fileSorted }) {
		t.Fatalf("no sorted file is dead among %v", gone)
	}
	if err := e.keep.checkpoint(gone, deletions); err != nil {
		t.Fatal(err)
	}
	record := position(e.write.at.Load()).file()
	held, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = e.seal.do(func() error { close(held); <-release; return nil })
	}()
	<-held
	e.write.rotateNow.Store(true)
	if err := e.waitWritten(item{lazy: true}); err != nil {
		t.Fatal(err)
	}
	for _, id := range gone {
		if err := e.files.unlink(id); err != nil {
			t.Fatal(err)
		}
		e.seal.noteUnlinked(id)
	}
	close(release)
	if err := e.seal.wait(record); err != nil {
		t.Fatal(err)
	}
	want := contents(t, e)
	for _, lose := range []bool{false, true} {
		mustEqual(t, fmt.Sprintf("index lost: %v", lose), contents(t, w.crashed(lose).open(compacting)), want)
	}
}
