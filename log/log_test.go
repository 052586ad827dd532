package log

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/kafkaproto"
)

func TestSequencesAreCheckedAsKafkaDoes(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	steps := []struct {
		name string
		s    spec
		code int16
		dup  bool
		at   offset
	}{
		{"unknown producer may begin anywhere", spec{pid: 1, epoch: 0, seq: 7, n: 2}, 0, false, 0},
		{"next", spec{pid: 1, seq: 9}, 0, false, 2},
		{"duplicate of the first", spec{pid: 1, seq: 7, n: 2}, 0, true, 0},
		{"gap", spec{pid: 1, seq: 11}, 45, false, 0},
		{"half a duplicate", spec{pid: 1, seq: 8, n: 2}, 45, false, 0},
		{"new epoch not from 0", spec{pid: 1, epoch: 1, seq: 10}, 45, false, 0},
		{"new epoch from 0", spec{pid: 1, epoch: 1, seq: 0}, 0, false, 3},
		{"old epoch", spec{pid: 1, epoch: 0, seq: 10}, 47, false, 0},
		{"other producer", spec{pid: 2, seq: math.MaxInt32 - 1, n: 2}, 0, false, 4},
		{"wrap", spec{pid: 2, seq: 0}, 0, false, 6},
	}
	for _, st := range steps {
		r, err := append1(t, l, st.s)
		if kafkaproto.Code(err) != st.code || r.Duplicate != st.dup || err == nil && r.First != st.at {
			t.Errorf("%s: %+v %v", st.name, r, err)
		}
	}
	for i := range 6 {
		mustAppend(t, l, spec{pid: 3, seq: int32(i)})
	}
	if _, err := append1(t, l, spec{pid: 3, seq: 0}); kafkaproto.Code(err) != 45 {
		t.Errorf("sixth last batch: %v", err)
	}
	if r, err := append1(t, l, spec{pid: 3, seq: 1}); err != nil || !r.Duplicate {
		t.Errorf("fifth last batch: %+v %v", r, err)
	}
	flush(t, e)
	l2, _ := w.on(w.mem.CrashClone(vfs.CrashCloneCfg{})).open(nil).Log(l.ID())
	if r, err := append1(t, l2, spec{pid: 3, seq: 5}); err != nil || !r.Duplicate {
		t.Errorf("after a crash: %+v %v", r, err)
	}
}

func TestAnOpenTransactionHoldsTheLastStableOffset(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FileBytes = 4 << 10 })
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{n: 3})
	mustAppend(t, l, spec{n: 2, pid: 1, txn: true})
	if got := l.LastStable(5); got != 3 {
		t.Fatalf("last stable %d", got)
	}
	if first, ok := l.FirstUnstable(); !ok || first != 3 || !l.TransactionOpen(1, 0) {
		t.Fatalf("first unstable %d %v", first, ok)
	}
	done := make(chan error, 1)
	marker := kafkaproto.ControlBatch(kafkaproto.ControlAbort, 1, 0, 4, 0)
	if _, err := l.Append(Append{Data: marker, Origin: OriginCoordinator, Done: func(err error) { done <- err }}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := l.LastStable(5); got != 3 {
		t.Fatalf("marker above the high watermark: last stable %d", got)
	}
	if got := l.LastStable(6); got != 6 {
		t.Fatalf("last stable %d", got)
	}
	want := AbortedTxn{Producer: 1, First: 3, Last: 5, LastStable: 6}
	for range 2 {
		a, err := l.Aborted(4, 6)
		if err != nil || len(a) != 1 || a[0] != want {
			t.Fatalf("aborted %+v %v", a, err)
		}
		if a, _ := l.Aborted(0, 3); len(a) != 0 {
			t.Fatalf("aborted below: %+v", a)
		}
		if err := e.sealActive(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLeaderEpochsAnswerWhereEachEnded(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{n: 3, leader: 1})
	mustAppend(t, l, spec{n: 2, leader: 4})
	l.AssignEpoch(6, 5)
	check := func(l *Log) {
		t.Helper()
		for _, c := range []struct {
			ask, epoch kafkaproto.LeaderEpoch
			end        offset
		}{{0, 0, 0}, {1, 1, 3}, {3, 1, 3}, {4, 4, 5}, {5, 4, 5}, {6, 6, 5}, {7, -1, -1}} {
			if epoch, end := l.EndOfEpoch(c.ask); epoch != c.epoch || end != c.end {
				t.Errorf("end of %d: %d at %d, want %d at %d", c.ask, epoch, end, c.epoch, c.end)
			}
		}
	}
	check(l)
	closeEngine(t, e)
	l, _ = w.open(nil).Log(l.ID())
	check(l)
}

func TestRetentionByTimeGivesTheDiskBack(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FileBytes = 4 << 10 })
	id := topic(1, 0)
	l, err := e.CreateLog(id, LogConfig{Delete: true, RetentionTime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		mustAppend(t, l, spec{n: 1, size: 1000, time: testTime.Add(time.Duration(i) * time.Minute).UnixMilli()})
	}
	w.clock.Advance(70 * time.Minute)
	if err := e.Retain(); err != nil {
		t.Fatal(err)
	}
	if start := l.Ends().Start; start != 0 {
		t.Fatalf("start %d above the high watermark", start)
	}
	l.NoteHighWatermark(20)
	if err := e.Retain(); err != nil {
		t.Fatal(err)
	}
	if start := l.Ends().Start; start < 5 || start > 11 {
		t.Fatalf("start %d", start)
	}
	eventually(t, "unlink a file", func() bool { return e.Stats().Unlinks > 0 })
}

func TestAReadKeepsItsFilesThroughDeletion(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FileBytes = 4 << 10 })
	l := mustLog(t, e, topic(1, 0))
	for range 10 {
		mustAppend(t, l, spec{n: 1, size: 1000, text: "kept"})
	}
	r, err := l.Read(ReadRequest{From: 0, UpTo: 10, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteLogs(l.ID()); err != nil {
		t.Fatal(err)
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	if err := e.Retain(); err != nil || e.Stats().Unlinks == 0 {
		t.Fatalf("%v, %d unlinked", err, e.Stats().Unlinks)
	}
	if got := len(batchesOf(t, r)); got != 10 {
		t.Fatalf("%d batches", got)
	}
	r.Release()
	if _, err := append1(t, l, spec{}); !errors.Is(err, ErrClosed) {
		t.Fatalf("append to a deleted log: %v", err)
	}
}

func TestQuarantineHidesALogAndDeletesItAfterAWeek(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	a, b := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	mustAppend(t, a, spec{n: 1})
	mustAppend(t, b, spec{n: 1})
	for _, l := range []*Log{a, b} {
		if err := e.Quarantine(l.ID()); err != nil {
			t.Fatal(err)
		}
	}
	closeEngine(t, e)
	e = w.open(nil)
	if len(e.Logs()) != 0 || len(e.Stats().Quarantined) != 2 {
		t.Fatalf("logs %v", e.Logs())
	}
	if back := mustLog(t, e, a.ID()); back.Ends().Written != 1 {
		t.Fatalf("taken back with %+v", back.Ends())
	}
	w.clock.Advance(QuarantineTime)
	if err := e.Retain(); err != nil {
		t.Fatal(err)
	}
	if len(e.Logs()) != 1 || len(e.Stats().Quarantined) != 0 {
		t.Fatalf("logs %v, quarantined %v", e.Logs(), e.Stats().Quarantined)
	}
}

func TestADirectoryIsForOneNodeOneClusterAndOneProcess(t *testing.T) {
	w := newWorld(t)
	d, err := OpenDirectory(w.env(), testDir, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDirectory(w.env(), testDir, 1); !errors.Is(err, ErrLocked) {
		t.Fatalf("second process: %v", err)
	}
	if err := d.SetClusterID("one"); err != nil {
		t.Fatal(err)
	}
	if err := d.SetClusterID("two"); !errors.Is(err, ErrOtherCluster) {
		t.Fatalf("other cluster: %v", err)
	}
	id := d.ID()
	_ = d.Close()
	if _, err := OpenDirectory(w.env(), testDir, 2); !errors.Is(err, ErrOtherNode) {
		t.Fatalf("other node: %v", err)
	}
	d, err = OpenDirectory(w.env(), testDir, 1)
	if err != nil || d.ID() != id || d.ClusterID() != "one" {
		t.Fatalf("%v", err)
	}
	_ = d.Close()
	if err := w.mem.WriteFileAtomic(testDir+"/meta.properties", []byte("version=9\nnode.id=1\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDirectory(w.env(), testDir, 1); !errors.Is(err, ErrNewerFormat) {
		t.Fatalf("newer: %v", err)
	}
}

// The batch that began the transaction is not the producer's any more for duplicates (it was cut off with the rest), and yet
// the transaction is open again, also when the state was written and read in between.
func TestTransactionThatLostItsMarkerToACutIsOpenAfterARestart(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{n: 6, pid: 1, txn: true})
	mustAppend(t, l, spec{n: 1})
	done := make(chan error, 1)
	marker := kafkaproto.ControlBatch(kafkaproto.ControlAbort, 1, 0, 4, 0)
	if _, err := l.Append(Append{Data: marker, Origin: OriginCoordinator, Done: func(err error) { done <- err }}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for seq := range int32(keptBatches) { // so that the batch at 0 is remembered for duplicates no more
		mustAppend(t, l, spec{n: 1, pid: 1, seq: 6 + seq})
	}
	if err := l.Truncate(7); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"at once", "after a restart"} {
		l, _ := e.Log(topic(1, 0))
		if first, ok := l.FirstUnstable(); !ok || first != 0 {
			t.Fatalf("%s: first unstable %d %v, want 0", where, first, ok)
		}
		closeEngine(t, e)
		e = w.open(nil)
	}
	closeEngine(t, e)
}

// What was sent behind a batch that a full disk refused has to wait for it, though the producer is new to the log.
func TestNoBatchOvertakesARefusedFirstOne(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	send := func(seq int32, epoch int16) error {
		_, err := append1(t, l, spec{n: 2, pid: 7, epoch: epoch, seq: seq})
		return err
	}
	e.full.Store(true)
	for _, seq := range []int32{0, 2} {
		if err := send(seq, 0); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	e.full.Store(false)
	for _, seq := range []int32{4, 2} {
		if err := send(seq, 0); !errors.Is(err, kafkaproto.ErrOutOfOrderSequenceNumber) {
			t.Errorf("sequence %d overtakes: %v", seq, err)
		}
	}
	for _, seq := range []int32{0, 2, 4} {
		if err := send(seq, 0); err != nil {
			t.Errorf("sequence %d: %v", seq, err)
		}
	}
	other := mustLog(t, e, topic(2, 0))
	e.full.Store(true)
	if _, err := append1(t, other, spec{n: 1, pid: 8, seq: 5}); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	e.full.Store(false)
	if _, err := append1(t, other, spec{n: 1, pid: 8, epoch: 1, seq: 0}); err != nil {
		t.Errorf("a new epoch begins anew: %v", err)
	}
	if _, err := append1(t, other, spec{n: 1, pid: 9, seq: 5}); err != nil {
		t.Errorf("another producer: %v", err)
	}
}
