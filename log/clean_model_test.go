package log

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

var cleanSeeds = flag.Int("log.clean.seeds", 300, "seeds of TestCompactionNeverChangesWhatAReaderEndsUpWith")

// cleanStory writes and compacts a log at random, and keeps all that was ever written beside it.
type cleanStory struct {
	t         *testing.T
	r         *rand.Rand
	l         cleanLog
	all       cleanLog // never compacted
	records   map[offset]kafkaproto.Record
	open      map[kafkaproto.ProducerID]bool
	seq       map[kafkaproto.ProducerID]int32
	epoch     map[kafkaproto.ProducerID]kafkaproto.ProducerEpoch
	now       int64
	retention int64
	covered   map[offset]int64 // when a pass first went beyond the batch of a tombstone
	first     offset           // what lies below was deleted
	passes    int
}

func TestCompactionNeverChangesWhatAReaderEndsUpWith(t *testing.T) {
	for seed := range uint64(*cleanSeeds) {
		s := &cleanStory{
			t: t, r: rand.New(rand.NewPCG(seed, 7)), records: map[offset]kafkaproto.Record{}, open: map[kafkaproto.ProducerID]bool{},
			seq: map[kafkaproto.ProducerID]int32{}, epoch: map[kafkaproto.ProducerID]kafkaproto.ProducerEpoch{}, covered: map[offset]int64{}, now: 1000,
		}
		s.retention = []int64{0, 50, 5000}[s.r.IntN(3)]
		for range 20 + s.r.IntN(80) {
			s.step()
		}
		s.finish()
		if t.Failed() {
			t.Fatalf("seed %d, after %d passes", seed, s.passes)
		}
	}
}

func (s *cleanStory) step() {
	s.now += int64(s.r.IntN(40))
	id := kafkaproto.ProducerID(s.r.IntN(3))
	switch n := s.r.IntN(20); {
	case n < 9:
		s.append(id)
	case n < 14:
		if s.open[id] {
			s.end(id)
		}
	case n < 15:
		if !s.open[id] {
			delete(s.l.producers.byID, id)
			s.seq[id], s.epoch[id] = 0, s.epoch[id]+1
		}
	case n < 16 && s.r.IntN(3) == 0:
		s.start(offset(s.r.Int64N(int64(s.l.next) + 1)))
	default:
		s.clean(2+s.r.IntN(12), s.bound())
	}
}

func (s *cleanStory) append(id kafkaproto.ProducerID) {
	bb := kafkaproto.NewBuilder()
	bb.Codec = kafkaproto.Codec(max(0, s.r.IntN(8)-3))
	if s.r.IntN(4) == 0 {
		bb.TimestampType = kafkaproto.LogAppendTime
	}
	n := 1 + s.r.IntN(5)
	if s.open[id] || s.r.IntN(3) > 0 {
		bb.ProducerID, bb.ProducerEpoch, bb.BaseSequence = id, s.epoch[id], s.seq[id]
		bb.Transactional = s.open[id] || s.r.IntN(2) == 0
		s.open[id] = bb.Transactional
		s.seq[id] += int32(n)
	}
	for i := range n {
		r := kafkaproto.Record{Timestamp: kafkaproto.Timestamp(s.now + int64(s.r.IntN(9))), Key: fmt.Appendf(nil, "key%d", s.r.IntN(6))}
		if bb.TimestampType == kafkaproto.LogAppendTime {
			r.Timestamp = kafkaproto.Timestamp(s.now)
		}
		if s.r.IntN(30) == 0 {
			r.Key = nil
		}
		if s.r.IntN(4) > 0 {
			r.Value = fmt.Appendf(nil, "%d+%d", s.l.next, i)
		}
		if s.r.IntN(4) == 0 {
			r.Headers = []kafkaproto.Header{{Key: "h", Value: r.Value}, {Key: "", Value: nil}}
		}
		bb.Append(r)
	}
	b, err := bb.Batch()
	if err != nil {
		s.t.Fatal(err)
	}
	s.add(b)
}

func (s *cleanStory) add(b kafkaproto.Batch) {
	s.all.append(bytes.Clone(b))
	s.l.append(b)
	for _, r := range recordsOf(s.t, b) {
		s.records[r.Offset] = r
	}
}

func (s *cleanStory) end(id kafkaproto.ProducerID) {
	kind := kafkaproto.ControlType(s.r.IntN(2))
	if s.r.IntN(4) == 0 {
		s.epoch[id], s.seq[id] = s.epoch[id]+1, 0
	}
	s.add(kafkaproto.ControlBatch(kind, id, s.epoch[id], 0, kafkaproto.Timestamp(s.now)))
	s.open[id] = false
}

// start deletes what is below a batch's end.
func (s *cleanStory) start(to offset) {
	to = min(to, s.l.lastStable())
	s.first = max(s.first, to)
	for _, l := range []*cleanLog{&s.l, &s.all} {
		l.batches = slices.DeleteFunc(l.batches, func(b kafkaproto.Batch) bool { return b.LastOffset() < to })
		l.aborted = slices.DeleteFunc(l.aborted, func(a AbortedTxn) bool { return a.Last < to })
	}
}

// bound is the end of some batch up to the last stable offset.
func (s *cleanStory) bound() offset {
	stable := s.l.lastStable()
	if s.r.IntN(3) == 0 || stable == 0 {
		return stable
	}
	at := offset(s.r.Int64N(int64(stable)))
	for _, b := range s.l.batches {
		if b.LastOffset() >= at && b.BaseOffset() >= s.l.dirty {
			return min(b.NextOffset(), stable)
		}
	}
	return stable
}

func (s *cleanStory) clean(slots int, bound offset) {
	if bound < s.l.dirty {
		return
	}
	bytesBefore := sizeOf(s.l.batches)
	p, err := s.l.clean(slots, cleanRules{
		now: kafkaproto.Timestamp(s.now), deleteRetention: time.Duration(s.retention) * time.Millisecond, bound: bound,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.passes++
	if c := p.counts; c.bytesRead != bytesBefore || c.bytesKept != sizeOf(s.l.batches) || c.batchesKept != int64(len(s.l.batches)) {
		s.t.Errorf("counts %+v for %d bytes in, %d out", c, bytesBefore, sizeOf(s.l.batches))
	}
	for _, b := range s.all.batches {
		for o := b.BaseOffset(); o <= b.LastOffset(); o++ {
			if _, ok := s.covered[o]; !ok && b.LastOffset() < s.l.dirty {
				s.covered[o] = s.now
			}
		}
	}
	s.checkBatches()
	s.checkReader()
	s.checkProducers()
}

func sizeOf(batches []kafkaproto.Batch) (n int64) {
	for _, b := range batches {
		n += int64(len(b))
	}
	return n
}

// checkBatches sees that the batches are sound and that their records are as they were written.
func (s *cleanStory) checkBatches() {
	next := offset(0)
	for _, b := range s.l.batches {
		if b.BaseOffset() < next {
			s.t.Errorf("%s follows offset %d", showBatch(b), next-1)
		}
		next = b.NextOffset()
		prev := b.BaseOffset() - 1
		for _, r := range recordsOf(s.t, b) {
			if r.Offset <= prev || r.Offset > b.LastOffset() || !reflect.DeepEqual(r, s.records[r.Offset]) {
				s.t.Errorf("%s: record %v was %v", showBatch(b), r, s.records[r.Offset])
			}
			prev = r.Offset
		}
	}
}

// recordsOf are the records of a sound batch, in memory of their own.
func recordsOf(t *testing.T, b kafkaproto.Batch) (out []kafkaproto.Record) {
	t.Helper()
	if _, rest, err := kafkaproto.NextBatch(b); err != nil || len(rest) > 0 || b.CheckCRC() != nil {
		t.Fatalf("%s: %v", showBatch(b), err)
	}
	err := kafkaproto.Records(b, func(r kafkaproto.Record) error {
		r.Key, r.Value, r.Size, r.OffsetDelta = bytes.Clone(r.Key), bytes.Clone(r.Value), 0, 0
		r.Headers = slices.Clone(r.Headers)
		for i := range r.Headers {
			r.Headers[i].Value = bytes.Clone(r.Headers[i].Value)
		}
		out = append(out, r)
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", showBatch(b), err)
	}
	return out
}

// committed are the records that a consumer with isolation.level read_committed sees, found as such a consumer does: it
// takes a producer for aborted from the first offset of a transaction on the list to the next abort marker.
func (s *cleanStory) committed(l *cleanLog) (out []kafkaproto.Record) {
	ahead := l.aborted
	aborted := map[kafkaproto.ProducerID]bool{}
	for _, b := range l.batches {
		if b.BaseOffset() >= s.l.lastStable() {
			break
		}
		for len(ahead) > 0 && ahead[0].First <= b.LastOffset() {
			aborted[ahead[0].Producer] = true
			ahead = ahead[1:]
		}
		if b.IsControl() {
			if kind, _, err := b.ControlType(); err == nil && kind == kafkaproto.ControlAbort {
				delete(aborted, b.ProducerID())
			}
			continue
		}
		if b.IsTransactional() && aborted[b.ProducerID()] {
			continue
		}
		out = append(out, recordsOf(s.t, b)...)
	}
	return out
}

// checkReader compares what a reader has who has read all, and sees that no tombstone went too early.
func (s *cleanStory) checkReader() {
	latest := func(records []kafkaproto.Record) map[string]kafkaproto.Record {
		out := map[string]kafkaproto.Record{}
		for _, r := range records {
			if r.Key != nil {
				out[string(r.Key)] = r
			}
		}
		return out
	}
	want, got := latest(s.committed(&s.all)), latest(s.committed(&s.l))
	for key, r := range want {
		g, ok := got[key]
		if ok && g.Offset == r.Offset {
			continue
		}
		if ok || r.Value != nil {
			s.t.Errorf("%s is %v, was %v", key, g, r)
			continue
		}
		if at, done := s.covered[r.Offset]; !done || s.now < at+s.retention {
			s.t.Errorf("the tombstone of %s at %d is gone at %d (%d %v)", key, r.Offset, s.now, at, done)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			s.t.Errorf("%s came back", key)
		}
	}
}

// checkProducers makes the table of producers again from what is left.
func (s *cleanStory) checkProducers() {
	var again cleanLog
	for _, b := range s.l.batches {
		if b.ProducerID() >= 0 {
			info := infoOf(b, b.BaseOffset(), b.LastOffset())
			again.producers.publish(&info)
		}
	}
	for id, p := range s.l.producers.byID {
		a := again.producers.byID[id]
		if n := p.written.n; n == 0 && s.first > 0 || n > 0 && p.written.batches[n-1].last < s.first {
			continue // what it wrote last may have been deleted
		}
		if a == nil || a.written.epoch != p.written.epoch || (a.written.txnStart >= 0) != (p.written.txnStart >= 0) {
			s.t.Errorf("producer %d was %+v, is %+v", id, p, a)
			continue
		}
		if p.written.n == 0 {
			continue
		}
		// Its time is that of the records left, so it may have changed.
		was, is := p.written.batches[p.written.n-1], a.written.batches[max(a.written.n, 1)-1]
		if a.written.n == 0 || is.last != was.last || is.delta != was.delta || is.lastSeq != was.lastSeq {
			s.t.Errorf("producer %d ended with %+v, ends with %+v", id, was, is)
		}
	}
}

// finish ends all transactions, and compacts until nothing changes.
func (s *cleanStory) finish() {
	for id := range 3 {
		if id := kafkaproto.ProducerID(id); s.open[id] {
			s.end(id)
		}
	}
	for range 4 {
		s.clean(100, s.l.lastStable())
		s.now += 10000
	}
	seen := map[string]bool{}
	for _, b := range s.l.batches {
		if b.IsControl() {
			continue
		}
		for _, r := range recordsOf(s.t, b) {
			if r.Value == nil || r.Key == nil || seen[string(r.Key)] {
				s.t.Errorf("%v is left in %s", r, showBatch(b))
			}
			seen[string(r.Key)] = true
		}
	}
}
