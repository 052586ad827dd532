package log

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Where the sync of each small write is waited for, zeros lie ahead, and the next writes change the file's size no more.
func TestZerosAreWrittenAheadWhereSyncsAreWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		policy FlushPolicy
		size   int
		ahead  bool
	}{
		"always": {FlushAlways, 1000, true}, "never": {FlushNever, 1000, false}, "interval": {FlushInterval, 1000, false},
		"large": {FlushAlways, aheadMost, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			e := w.open(func(o *Options) { o.FlushPolicy, o.FileBytes = c.policy, 16<<20 })
			l := mustLog(t, e, topic(1, 0))
			s := spec{n: 1, size: c.size}
			append2 := func() {
				mustAppend(t, l, s)
				mustAppend(t, l, s)
			}
			size := func() int64 {
				f := e.write.active
				n, err := f.handle.Size()
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			append2()
			flush(t, e)
			before := size()
			append2()
			flush(t, e)
			if ahead := size() > e.write.pos; ahead != c.ahead {
				t.Errorf("%d bytes, written up to %d", size(), e.write.pos)
			}
			if grown := size() > before; grown == c.ahead {
				t.Errorf("%d bytes before, %d after two more batches", before, size())
			}
			// Power is lost: the zeros are an end like any other.
			clone := w.on(w.mem.CrashClone(vfs.CrashCloneCfg{}))
			report, err := Verify(clone.mem, testDir)
			if err != nil || len(report.Problems) > 0 || report.Torn != "" || report.Batches != 4 {
				t.Errorf("%+v, %v", report, err)
			}
			again := clone.open(nil)
			if l, _ := again.Log(topic(1, 0)); l == nil || l.Ends().Next != 4 {
				t.Errorf("not all is there after the crash: %+v", l)
			}
		})
	}
}
