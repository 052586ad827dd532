package log

import (
	"fmt"
	"testing"

	"github.com/streambus/streambus/kafkaproto"
)

// A log is cut while its records are being copied to a sorted file. The index does not know of the cut until the WAL file that says
// so is sealed, so the sorted file counts with what is void, as one entry with what is not.
func TestACutDuringACompaction(t *testing.T) {
	for _, at := range []int{1, 7, 40, 41, 79} {
		t.Run(fmt.Sprint(at), func(t *testing.T) { cutDuringCompaction(t, offset(at)) })
	}
}

func cutDuringCompaction(t *testing.T, at offset) {
	w := newWorld(t)
	e := w.open(compacting)
	const late = 1 << 40 // time of what is cut off
	for i := range 40 {
		for n := 1; n <= 6; n++ {
			s := spec{n: 2, size: 60, text: fmt.Sprintf("%d of %d", i, n), time: int64(i)}
			if offset(2*i) >= at {
				s.time = late
			}
			mustAppend(t, mustLog(t, e, topic(n, 0)), s)
		}
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	cut := func() {
		for n := 1; n <= 3; n++ { // the others stay as they are
			l := mustLog(t, e, topic(n, 0))
			if err := l.Truncate(at); err != nil {
				t.Fatal(err)
			}
			if ends := l.Ends(); ends.Next != at&^1 {
				t.Fatalf("cut at %d the log ends at %d", at, ends.Next)
			}
			for i := range 4 * min(n-1, 1) { // nothing, some, and more than were cut off
				mustAppend(t, l, spec{n: 1 + 24*(n-2), size: 10, text: fmt.Sprint("after the cut ", i), time: int64(100 + i)})
			}
		}
	}
	// What the compactor does, with the cut at the last moment before the copies count.
	c := &e.compact
	from := c.choose()
	c.paced = false
	moves, err := c.moves(&from)
	if err != nil || len(moves) < 3 {
		t.Fatalf("%d moves, %v", len(moves), err)
	}
	f, err := c.write(moves)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	cut()
	want := contents(t, e)
	err = e.seal.do(func() error {
		_, err := e.seal.adopt([]*sortedFile{f})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, e *Engine) {
		t.Helper()
		mustEqual(t, what, contents(t, e), want)
		for n := 1; n <= 3; n++ {
			l, _ := e.Log(topic(n, 0))
			if f, ok, err := l.FindTimestamp(kafkaproto.Timestamp(late), 1<<60); ok || err != nil {
				t.Errorf("%s: log %d: what was cut off is found by its time, %+v, %v", what, n, f, err)
			}
		}
	}
	check("when the copies count", e)
	for n := 1; n <= 3; n++ { // as a follower does that finds that it has to begin anew there
		l, _ := e.Log(topic(n, 0))
		if err := l.Truncate(at &^ 1); err != nil {
			t.Fatal(err)
		}
		if ends := l.Ends(); ends.Next != at&^1 {
			t.Errorf("cut at %d the log ends at %d", at&^1, ends.Next)
		}
		batches := want[topic(n, 0)]
		for len(batches) > 0 && batches[len(batches)-1].last >= at&^1 {
			batches = batches[:len(batches)-1]
		}
		if want[topic(n, 0)] = batches; len(batches) == 0 {
			delete(want, topic(n, 0))
		}
	}
	check("when it was cut again", e)
	lost, kept := w.crashed(true), w.crashed(false)
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	check("when the cuts are sealed", e)
	for what, w := range map[string]*world{"after a crash": kept, "with an index made anew": lost, "after another crash": w.crashed(false)} {
		again := w.open(compacting)
		check(what, again)
	}
}

// The start may lie inside of a batch, and a cut at that batch: what is left of the frame is below the start, and nothing of it stays in
// the index when the rest of its run is cut off too.
func TestWhatACutLeavesBelowTheStartIsNotInTheIndex(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { compacting(o); o.FileBytes = 1 << 20 })
	l := mustLog(t, e, topic(1, 0))
	next := manyBatches(t, l, 1, 3) // [0-0], [1-2], [3-5]
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.AdvanceStart(4))
	must(l.Truncate(next - 1))
	if ends := l.Ends(); ends.Start != 4 || ends.Next != 4 {
		t.Fatalf("%+v", ends)
	}
	for range 2 {
		mustAppend(t, l, spec{n: 3, size: 100})
		must(e.sealActive())
		must(e.index.entries(l.id, 0, 1<<60, func(x *entry) (bool, error) {
			if x.last < 4 {
				t.Errorf("the index has %d to %d, the log starts at 4", x.base, x.last)
			}
			return true, nil
		}))
		must(l.Truncate(4))
	}
	must(e.sealActive())
	must(e.keep.reclaim())
	inOrder(t, "in the end", w.crashed(false))
}
