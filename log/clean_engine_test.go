package log

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

var byKey = LogConfig{Compact: true, MinDirtyRatio: 0.01, DeleteRetention: time.Hour}

// write appends a batch of records; an empty value is a tombstone.
func write(t *testing.T, l *Log, at time.Time, pairs ...string) {
	t.Helper()
	b := kafkaproto.NewBuilder()
	for i := 0; i < len(pairs); i += 2 {
		r := kafkaproto.Record{Timestamp: kafkaproto.Timestamp(at.UnixMilli()), Key: []byte(pairs[i])}
		if pairs[i+1] != "" {
			r.Value = []byte(pairs[i+1])
		}
		b.Append(r)
	}
	batch, err := b.Batch()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	if _, err := l.Append(Append{Data: batch, Done: func(err error) { done <- err }}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	l.NoteHighWatermark(l.Ends().Written)
}

// lastValues reads all of a log: the last value of each key, how many records there are, and how many of them tombstones.
func lastValues(t *testing.T, l *Log) (values map[string]string, records, tombstones int) {
	t.Helper()
	values = map[string]string{}
	next := l.Ends().Start
	for _, b := range readAll(t, l, next, 3000) {
		err := kafkaproto.Records(b, func(r kafkaproto.Record) error {
			if r.Offset < next {
				t.Fatalf("offset %d behind %d", r.Offset, next-1)
			}
			next = r.Offset + 1
			records++
			if r.Value == nil {
				tombstones++
				delete(values, string(r.Key))
			} else {
				values[string(r.Key)] = string(r.Value)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return values, records, tombstones
}

// story appends records of few keys to a log for a while.
func story(t *testing.T, w *world, l *Log, rng *rand.Rand, batches int) {
	t.Helper()
	for range batches {
		var pairs []string
		for range 1 + rng.IntN(5) {
			value := ""
			if rng.IntN(5) > 0 {
				value = fmt.Sprintf("%0*d", 20+rng.IntN(200), rng.IntN(1e9))
			}
			pairs = append(pairs, fmt.Sprint("key ", rng.IntN(20)), value)
		}
		write(t, l, w.clock.Now(), pairs...)
	}
}

func mustClean(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.Clean(); err != nil {
		t.Fatal(err)
	}
	if err := e.keep.reclaim(); err != nil {
		t.Fatal(err)
	}
}

// A sorted file in which nothing is left says what older files have of the log: that must not come back with an index made anew.
func TestWhatCompactionLeftNothingOfStaysAway(t *testing.T) {
	w := newWorld(t)
	e := w.open(compacting)
	beside := mustLog(t, e, topic(2, 0))
	l, err := e.CreateLog(topic(1, 0), byKey)
	if err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 900)
	write(t, l, w.clock.Now(), "deleted", value)
	for i := range 80 {
		if i < 4 {
			mustAppend(t, beside, spec{size: 4000}) // keeps the first files
		}
		write(t, l, w.clock.Now(), fmt.Sprint("key ", i%20), value)
	}
	write(t, l, w.clock.Now(), "deleted", "")
	for round := range 3 {
		for i := range 20 {
			write(t, l, w.clock.Now(), fmt.Sprint("key ", i), "the last")
		}
		if err := e.sealActive(); err != nil {
			t.Fatal(err)
		}
		mustClean(t, e)
		w.clock.Advance(2 * time.Hour) // the tombstone goes
		values, records, tombstones := lastValues(t, l)
		if len(values) != 20 || round > 0 && tombstones > 0 {
			t.Fatalf("round %d: %v, %d tombstones", round, values, tombstones)
		}
		for _, lost := range []bool{false, true} {
			again, _ := w.crashed(lost).open(compacting).Log(l.id)
			if got, n, _ := lastValues(t, again); !maps.Equal(got, values) || n != records {
				t.Errorf("round %d, index lost %v: %d records, want %d: %v", round, lost, n, records, got)
			}
		}
	}
}

func TestOfEachKeyTheLastRecordStays(t *testing.T) {
	w := newWorld(t)
	rng := rand.New(rand.NewPCG(3, 4))
	e := w.open(compacting)
	l, err := e.CreateLog(topic(1, 0), byKey)
	if err != nil {
		t.Fatal(err)
	}
	beside := mustLog(t, e, topic(2, 0))
	for round := range 4 {
		story(t, w, l, rng, 100)
		mustAppend(t, beside, spec{size: 3000})
		want, before, _ := lastValues(t, l)
		if err := e.sealActive(); err != nil {
			t.Fatal(err)
		}
		mustClean(t, e)
		got, records, tombstones := lastValues(t, l)
		if !maps.Equal(got, want) || records > 20+4 || records >= before || tombstones == 0 && round == 0 {
			t.Fatalf("round %d: %d records, %d of them tombstones, before %d:\n%v, want\n%v", round, records, tombstones, before, got, want)
		}
		if s := e.Stats(); s.Cleaned == 0 || s.CleanedAway == 0 || round > 0 && s.Unlinks == 0 {
			t.Errorf("%+v", s)
		}
		w.clock.Advance(time.Hour / 3)
	}
	// The tombstones' time is over after an hour; something has to be written for a log to be looked at again.
	w.clock.Advance(2 * time.Hour)
	write(t, l, w.clock.Now(), "one", "more")
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	mustClean(t, e)
	values, records, tombstones := lastValues(t, l)
	if tombstones > 0 || records != len(values) {
		t.Errorf("%d records for %d keys, %d of them tombstones", records, len(values), tombstones)
	}
	for _, lost := range []bool{false, true} {
		again, _ := w.crashed(lost).open(compacting).Log(l.id)
		if got, n, _ := lastValues(t, again); !maps.Equal(got, values) || n != records || again.Ends().Next != l.Ends().Next {
			t.Errorf("index lost %v: %d records, want %d: %v, want %v", lost, n, records, got, values)
		}
	}
}

func TestWhatIsYoungOrNotCommittedIsNotCompacted(t *testing.T) {
	w := newWorld(t)
	e := w.open(compacting)
	cfg := byKey
	cfg.MinCompactionLag = time.Minute
	l, err := e.CreateLog(topic(1, 0), cfg)
	if err != nil {
		t.Fatal(err)
	}
	count := func() int {
		if err := e.sealActive(); err != nil {
			t.Fatal(err)
		}
		mustClean(t, e)
		_, n, _ := lastValues(t, l)
		return n
	}
	write(t, l, w.clock.Now(), "a", "1", "a", "2")
	if n := count(); n != 2 {
		t.Errorf("young: %d records", n)
	}
	w.clock.Advance(2 * time.Minute)
	write(t, l, w.clock.Now(), "a", "3")
	if n := count(); n != 2 {
		t.Errorf("old, and a young one: %d records, want 2 and 3", n)
	}
	w.clock.Advance(2 * time.Minute)
	mustAppend(t, l, spec{text: "open", pid: 7, txn: true})
	write(t, l, w.clock.Now().Add(-time.Hour), "a", "4")
	if n := count(); n != 3 {
		t.Errorf("beside an open transaction: %d records, want 3, the open one and 4", n)
	}
	l.NoteHighWatermark(2)
	cfg.MinCompactionLag = 0
	l.SetConfig(cfg)
	if n := count(); n != 3 {
		t.Errorf("above the high watermark: %d records", n)
	}
}

// What is not sealed is compacted when Kafka would have begun a new segment: at segment.ms or segment.bytes.
func TestASegmentsAgeOrSizeEndsIt(t *testing.T) {
	for name, change := range map[string]func(*LogConfig){
		"age":  func(c *LogConfig) { c.SegmentTime = time.Second },
		"size": func(c *LogConfig) { c.SegmentBytes = 300 },
		"none": func(*LogConfig) {},
		"lag":  func(c *LogConfig) { c.MaxCompactionLag, c.MinDirtyRatio = time.Second, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			e := w.open(compacting)
			cfg := byKey
			change(&cfg)
			l, err := e.CreateLog(topic(1, 0), cfg)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 6 {
				write(t, l, w.clock.Now(), "a", fmt.Sprint("value ", i))
			}
			w.clock.Advance(3 * time.Second)
			mustClean(t, e)
			if _, n, _ := lastValues(t, l); (n == 1) != (name != "none") {
				t.Errorf("%d records", n)
			}
		})
	}
}

// A map that has no room for all keys compacts a part, and the next pass goes on there.
func TestManyKeysTakeSeveralPasses(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) {
		compacting(o)
		o.CleanMapBytes = 16 * cleanSlotBytes
	})
	l, err := e.CreateLog(topic(1, 0), byKey)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 90 {
		write(t, l, w.clock.Now(), fmt.Sprint("key ", i%30), fmt.Sprint("value ", i), fmt.Sprint("key ", (i+7)%30), fmt.Sprint("value ", i))
	}
	want, _, _ := lastValues(t, l)
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	mustClean(t, e)
	if got, n, _ := lastValues(t, l); !maps.Equal(got, want) || n != 30 {
		t.Errorf("%d records: %v, want %v", n, got, want)
	}
}

// Consumers that read committed records see the same before and after, whatever is left of transactions and their markers.
func TestAbortedTransactionsGoWithTheirMarkers(t *testing.T) {
	w := newWorld(t)
	e := w.open(compacting)
	cfg := byKey
	cfg.DeleteRetention = time.Second
	l, err := e.CreateLog(topic(1, 0), cfg)
	if err != nil {
		t.Fatal(err)
	}
	end := func(kind kafkaproto.ControlType, pid kafkaproto.ProducerID) {
		done := make(chan error, 1)
		b := kafkaproto.ControlBatch(kind, pid, 0, 1, kafkaproto.Timestamp(w.clock.Now().UnixMilli()))
		if _, err := l.Append(Append{Data: b, Origin: OriginCoordinator, Done: func(err error) { done <- err }}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		l.NoteHighWatermark(l.Ends().Written)
	}
	for i := range 5 {
		mustAppend(t, l, spec{text: "aborted", pid: 7, txn: true, seq: int32(2 * i)})
		end(kafkaproto.ControlAbort, 7)
		mustAppend(t, l, spec{text: "committed", pid: 7, txn: true, seq: int32(2*i + 1)})
		end(kafkaproto.ControlCommit, 7)
		write(t, l, w.clock.Now(), "a", fmt.Sprint(i))
		if err := e.sealActive(); err != nil {
			t.Fatal(err)
		}
		mustClean(t, e)
		w.clock.Advance(time.Minute)
	}
	check := func(what string, l *Log) {
		t.Helper()
		aborted, err := l.Aborted(0, 1<<60)
		if err != nil {
			t.Fatal(err)
		}
		markers := map[offset]bool{}
		for _, b := range readAll(t, l, 0, 1<<20) {
			if b.IsControl() {
				markers[b.BaseOffset()] = true
			}
		}
		for _, a := range aborted {
			if !markers[a.Last] {
				t.Errorf("%s: %+v has lost its marker", what, a)
			}
		}
		if len(aborted) >= 5 {
			t.Errorf("%s: all of %v are there", what, aborted)
		}
	}
	check("running", l)
	for _, lost := range []bool{false, true} {
		again, _ := w.crashed(lost).open(compacting).Log(l.id)
		check(fmt.Sprint("index lost ", lost), again)
	}
}

func TestACrashAnywhereInCompactionByKeyLosesNothing(t *testing.T) {
	w := newWorld(t)
	rng := rand.New(rand.NewPCG(5, 6))
	e := w.open(compacting)
	l, err := e.CreateLog(topic(1, 0), byKey)
	if err != nil {
		t.Fatal(err)
	}
	story(t, w, l, rng, 150)
	want, _, _ := lastValues(t, l)
	if err := e.sealActive(); err != nil {
		t.Fatal(err)
	}
	clones := cloned(w, func() { mustClean(t, e) })
	for i, c := range clones {
		for _, lost := range []bool{false, true} {
			l, ok := w.on(c).crashed(lost).open(compacting).Log(l.id)
			if !ok {
				t.Fatalf("place %d of %d, index lost %v: no log", i, len(clones), lost)
			}
			if got, _, _ := lastValues(t, l); !maps.Equal(got, want) {
				t.Fatalf("place %d of %d, index lost %v:\n%v, want\n%v", i, len(clones), lost, got, want)
			}
		}
	}
}

// The power fails between the record that dead files go and their removal, or in the middle of that, and the index is lost with it:
// what compaction by key has left out must not come back, as it lies only in files that were as good as gone.
func TestWhatCompactionLeftOutStaysOutThoughItsFilesAreStillThere(t *testing.T) {
	w := newWorld(t)
	options := func(o *Options) { compacting(o); o.SortedFileBytes = 1 } // a file for each run, those that are empty too
	e := w.open(options)
	l, err := e.CreateLog(topic(1, 0), byKey)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // of the first two files nothing stays, and so of the sorted files that take their place
		write(t, l, w.clock.Now(), fmt.Sprint("key", i%2), fmt.Sprint(i))
		if err := e.sealActive(); err != nil {
			t.Fatal(err)
		}
		if i == 1 || i == 3 {
			if err := e.Clean(); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := contents(t, e)
	if got := want[l.id]; len(got) != 2 {
		t.Fatalf("compacted to %v", got)
	}
	gone, deletions := e.seal.dead()
	if err := e.keep.checkpoint(gone, deletions); err != nil {
		t.Fatal(err)
	}
	for removed := range len(gone) + 1 {
		for _, lost := range []bool{false, true} {
			after := w.crashed(lost)
			for i, id := range gone {
				if i != removed { // files go in any order; all but this one have
					_ = after.mem.Remove(e.filePath(e.seal.infos[id].kind, id))
				}
			}
			mustEqual(t, fmt.Sprintf("of %v all but one at %d is gone, index lost: %v", gone, removed, lost), contents(t, after.open(options)), want)
		}
	}
	for _, lost := range []bool{false, true} {
		mustEqual(t, fmt.Sprintf("all are there, index lost: %v", lost), contents(t, w.crashed(lost).open(options)), want)
	}
}
