package log

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/kafkaproto"
)

// knowsEpochs checks the latest epoch of a log and that of its last record.
func knowsEpochs(t *testing.T, when string, l *Log, latest, ofRecord kafkaproto.LeaderEpoch) {
	t.Helper()
	if got, _ := l.LatestEpoch(); got != latest {
		t.Errorf("%s: the latest epoch is %d, want %d", when, got, latest)
	}
	if got := l.LastRecordEpoch(); got != ofRecord {
		t.Errorf("%s: the last record is of epoch %d, want %d", when, got, ofRecord)
	}
}

func TestAnEpochWithoutRecordsGoesWithATruncationAtTheEnd(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	knowsEpochs(t, "empty", l, -1, -1)
	for range 3 {
		mustAppend(t, l, spec{leader: 1})
	}
	l.AssignEpoch(4, 3)
	knowsEpochs(t, "leading", l, 4, 1)
	if err := l.Truncate(3); err != nil {
		t.Fatal(err)
	}
	knowsEpochs(t, "cut", l, 1, 1)
	if epoch, end := l.EndOfEpoch(4); epoch != -1 || end != -1 {
		t.Errorf("epoch 4 is known to end at %d, as %d", end, epoch)
	}
	if ends := l.Ends(); ends.Next != 3 || ends.Written != 3 {
		t.Errorf("got %+v", ends)
	}
	closeEngine(t, e)
	e = w.open(nil)
	l = mustLog(t, e, topic(1, 0))
	knowsEpochs(t, "started again", l, 1, 1)
	mustAppend(t, l, spec{follower: true, base: 3, leader: 6})
	knowsEpochs(t, "appended", l, 6, 6)
	if err := l.Truncate(4); err != nil {
		t.Fatal(err)
	}
	knowsEpochs(t, "cut behind a record of it", l, 6, 6)
	if err := l.AdvanceStart(4); err != nil {
		t.Fatal(err)
	}
	knowsEpochs(t, "all records deleted", l, 6, -1)
}

func TestATruncationOfAnEmptyEpochIsFoundByARecovery(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{leader: 1})
	l.AssignEpoch(2, 1)
	if err := l.Truncate(1); err != nil {
		t.Fatal(err)
	}
	e = w.on(w.mem.CrashClone(vfs.CrashCloneCfg{})).open(nil)
	knowsEpochs(t, "after the crash", mustLog(t, e, topic(1, 0)), 1, 1)
}
