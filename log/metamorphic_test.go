package log

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/kafkaproto"
)

var (
	flagSeeds = flag.Int("log.seeds", 12, "seeds of the metamorphic test")
	flagSeed  = flag.Uint64("log.seed", 0, "first seed of the metamorphic test")
	flagFlips = flag.Int("log.flips", 60, "bits that are flipped, over all files")
	flagOps   = flag.Int("log.ops", 120, "operations per seed")
)

// The model: what logs there are, and of each its start, its end and its batches.
type modelBatch struct {
	base, last offset
	crc        uint32
	time       int64
}

type modelLog struct {
	start, next offset
	batches     []modelBatch
}

type model map[tp]modelLog

func (m model) clone() model {
	out := model{}
	for id, l := range m {
		l.batches = slices.Clone(l.batches)
		out[id] = l
	}
	return out
}

func (l *modelLog) visible() []modelBatch {
	i := 0
	for i < len(l.batches) && l.batches[i].last < l.start {
		i++
	}
	return l.batches[i:]
}

// append adds a batch that has its place.
func (l *modelLog) append(b kafkaproto.Batch) {
	l.batches = append(l.batches, modelBatchOf(b))
	l.next = b.NextOffset()
}

func modelBatchOf(b kafkaproto.Batch) modelBatch {
	return modelBatch{b.BaseOffset(), b.LastOffset(), b.CRC(), int64(b.MaxTimestamp())}
}

// cut is a truncation: whole batches go.
func (l *modelLog) cut(to offset) {
	if to >= l.next {
		return
	}
	n := len(l.batches)
	for n > 0 && l.batches[n-1].last >= to {
		n--
	}
	l.batches = l.batches[:n:n] // what is appended later lies elsewhere
	l.next = l.start
	if n > 0 {
		l.next = max(l.next, l.batches[n-1].last+1)
	}
}

// advance moves the start up.
func (l *modelLog) advance(to offset) {
	l.start = max(l.start, to)
	l.next = max(l.next, l.start)
}

// simulation runs one list of operations on one engine and the model.
type simulation struct {
	t       *testing.T
	w       *world
	rng     *rand.Rand
	options func(*Options)
	e       *Engine
	now     model
	// maybe are the states that a crash may leave, oldest first: what was durable last, and after each operation since.
	maybe []model
	trace []string
}

func TestOperationsLeaveWhatThePlainModelHas(t *testing.T) {
	optionSets := map[string]func(*Options){
		"always": func(o *Options) { o.FlushPolicy = FlushAlways },
		"never, large files": func(o *Options) {
			o.FlushPolicy, o.FileBytes = FlushNever, 256<<10
		},
		"interval, tiny files": func(o *Options) { o.FlushPolicy, o.FileBytes = FlushInterval, 4<<10 },
	}
	for _, name := range slices.Sorted(maps.Keys(optionSets)) {
		for i := range uint64(*flagSeeds) {
			seed := *flagSeed + i
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				s := &simulation{
					t: t, w: newWorld(t), rng: rand.New(rand.NewPCG(seed, 1)), options: optionSets[name], now: model{},
				}
				s.run(*flagOps)
			})
		}
	}
}

func (s *simulation) run(ops int) {
	defer func() {
		if s.t.Failed() {
			for _, line := range append(append(s.trace, describeWAL(s.w)...), describeControls(s.w)...) {
				s.t.Log(line)
			}
		}
		if s.e != nil {
			_ = s.e.Close()
			_ = s.e.opts.Directory.Close()
		}
	}()
	s.reopen()
	s.durable()
	for range ops {
		s.step()
		if s.t.Failed() {
			return
		}
	}
	s.compare(s.now)
	s.loseIndex()
	s.compare(s.now)
}

func (s *simulation) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

func (s *simulation) reopen() {
	e, _, err := s.w.tryOpen(func(o *Options) {
		o.CompactRunBytes, o.CompactDeadBytes, o.SortedFileBytes = 3<<10, 1<<10, 8<<10
		s.options(o)
	})
	if err != nil {
		s.t.Fatalf("open: %v", err)
	}
	s.e = e
}

// durable says that everything so far survives a crash.
func (s *simulation) durable() { s.maybe = []model{s.now.clone()} }

// did notes an operation that is written.
func (s *simulation) did() {
	s.maybe = append(s.maybe, s.now.clone())
	if s.e.opts.FlushPolicy == FlushAlways {
		flush(s.t, s.e)
		s.durable()
	}
}

func (s *simulation) pick() (tp, *Log) {
	id := topic(1+s.rng.IntN(3), int32(s.rng.IntN(2)))
	if _, ok := s.now[id]; !ok {
		s.note("create %s", id)
		l := mustLog(s.t, s.e, id)
		s.now[id] = modelLog{}
		s.did()
		return id, l
	}
	l, ok := s.e.Log(id)
	if !ok {
		s.t.Fatalf("log %s is gone", id)
	}
	return id, l
}

func (s *simulation) step() {
	switch n := s.rng.IntN(100); {
	case n < 60:
		s.append()
	case n < 66:
		s.read()
	case n < 72:
		s.truncate()
	case n < 77:
		s.advance()
	case n < 79:
		s.delete()
	case n < 82:
		s.note("flush")
		flush(s.t, s.e)
		s.durable()
	case n < 86:
		s.note("seal")
		if err := s.e.sealActive(); err != nil {
			s.t.Fatal(err)
		}
		s.durable()
	case n < 88:
		s.retain()
	case n < 90:
		s.compact()
	case n < 92:
		s.restart()
	case n < 95:
		s.compare(s.now)
	case n < 96:
		s.loseIndex()
	default:
		s.crash()
	}
}

func (s *simulation) append() {
	id, l := s.pick()
	m := s.now[id]
	sp := spec{n: 1 + s.rng.IntN(5), size: s.rng.IntN(400), time: testTime.UnixMilli() + int64(s.rng.IntN(100000)), text: "v"}
	sp.leader = kafkaproto.LeaderEpoch(s.rng.IntN(3))
	if last, _ := l.LatestEpoch(); sp.leader < last {
		sp.leader = last
	}
	if s.rng.IntN(4) == 0 {
		sp.follower, sp.base = true, m.next+offset(s.rng.IntN(3))
	}
	if s.rng.IntN(2) == 0 {
		sp.pid = int64(1 + s.rng.IntN(3))
		if p, ok := l.Producer(kafkaproto.ProducerID(sp.pid)); ok {
			sp.epoch, sp.seq = int16(p.Epoch), p.LastSequence+1
		}
		sp.txn = s.rng.IntN(3) == 0
	}
	var b kafkaproto.Batch
	if sp.pid > 0 && s.rng.IntN(4) == 0 {
		if p, ok := l.Producer(kafkaproto.ProducerID(sp.pid)); ok && p.TxnStart >= 0 {
			b = kafkaproto.ControlBatch(kafkaproto.ControlType(s.rng.IntN(2)), p.ID, p.Epoch, 1, kafkaproto.Timestamp(sp.time))
		}
	}
	if b == nil {
		b = sp.batch(s.t)
	}
	a := Append{Data: b, Epoch: sp.leader, Origin: OriginCoordinator}
	if sp.follower {
		b.SetBaseOffset(sp.base)
		b.SetPartitionLeaderEpoch(sp.leader)
		a.Follower, a.Origin = true, OriginReplication
	}
	done := make(chan error, 1)
	a.Done = func(err error) { done <- err }
	a.Hold = s.rng.IntN(2) == 0
	r, err := l.Append(a)
	if err == nil {
		if a.Hold {
			writeOrLeave(l, s.rng)
		}
		err = <-done
	}
	s.note("append %s %d-%d %d bytes: %v", id, r.First, r.Last, len(b), err)
	if err != nil {
		s.t.Fatalf("append: %v", err)
	}
	m.append(b)
	if r.First != b.BaseOffset() || !sp.follower && r.First != s.now[id].next {
		s.t.Fatalf("append answered %+v, model has %d", r, s.now[id].next)
	}
	s.now[id] = m
	s.did()
	if s.rng.IntN(3) == 0 {
		l.NoteHighWatermark(m.next)
	}
}

func (s *simulation) read() {
	id, l := s.pick()
	m := s.now[id]
	want := m.visible()
	if len(want) == 0 {
		return
	}
	i := s.rng.IntN(len(want))
	from := max(want[i].base+offset(s.rng.IntN(int(want[i].last-want[i].base+1))), m.start)
	s.equal(id, readAll(s.t, l, from, 1+s.rng.IntN(3000)), want[i:])
	if _, err := l.Read(ReadRequest{From: m.next + 1, UpTo: 1 << 60, MaxBytes: 1}); kafkaproto.Code(err) != 1 {
		s.t.Fatalf("read behind the end: %v", err)
	}
	best := int64(-1)
	for _, b := range want {
		best = max(best, b.time)
	}
	if f, ok, err := l.FindMaxTimestamp(1 << 60); err != nil || !ok || int64(f.Timestamp) != best {
		s.t.Fatalf("largest timestamp of %s: %+v %v %v, want %d", id, f, ok, err, best)
	}
	for _, b := range want {
		if b.time < best-1000 {
			continue
		}
		f, ok, err := l.FindTimestamp(kafkaproto.Timestamp(best-1000), 1<<60)
		if err != nil || !ok || f.Offset != max(b.base, m.start) {
			s.t.Fatalf("timestamp %d of %s: %+v %v %v, want %d", best-1000, id, f, ok, err, b.base)
		}
		break
	}
}

func (s *simulation) truncate() {
	id, l := s.pick()
	m := s.now[id]
	if m.next <= m.start {
		return
	}
	to := m.start + offset(s.rng.Int64N(int64(m.next-m.start)+1))
	if err := l.Truncate(to); err != nil {
		s.t.Fatalf("truncate %s to %d: %v", id, to, err)
	}
	m.cut(to)
	s.note("truncate %s to %d", id, to)
	if ends := l.Ends(); ends.Next != m.next || ends.Written != m.next {
		s.t.Fatalf("truncated to %d: ends %+v", m.next, ends)
	}
	s.now[id] = m
	s.did()
}

func (s *simulation) advance() {
	id, l := s.pick()
	m := s.now[id]
	to := m.start + offset(s.rng.Int64N(int64(m.next-m.start)+2))
	s.note("advance %s to %d", id, to)
	if err := l.AdvanceStart(to); err != nil {
		s.t.Fatal(err)
	}
	if to > m.start {
		m.advance(to)
		s.now[id] = m
		s.did()
	}
}

func (s *simulation) delete() {
	id, _ := s.pick()
	s.note("delete %s", id)
	if err := s.e.DeleteLogs(id); err != nil {
		s.t.Fatal(err)
	}
	delete(s.now, id)
	s.did()
}

func (s *simulation) retain() {
	id, l := s.pick()
	m := s.now[id]
	limit := int64(1 + s.rng.IntN(2000))
	l.NoteHighWatermark(m.next)
	l.SetConfig(LogConfig{Delete: true, RetentionBytes: limit})
	if err := s.e.Retain(); err != nil {
		s.t.Fatal(err)
	}
	l.SetConfig(LogConfig{})
	start := l.Ends().Start
	s.note("retain %s %d bytes: start %d", id, limit, start)
	if start < m.start || start > m.next {
		s.t.Fatalf("retention moved the start of %s from %d to %d, end %d", id, m.start, start, m.next)
	}
	if start != m.start {
		m.start = start
		s.now[id] = m
		s.maybe = append(s.maybe, s.now.clone())
	}
	flush(s.t, s.e)
	s.durable()
}

func (s *simulation) compact() {
	before := s.e.Stats().Compacted
	if err := s.e.Compact(); err != nil {
		s.t.Fatal(err)
	}
	copied := s.e.Stats().Compacted - before
	s.note("compact: %d bytes", copied)
	if copied > 0 {
		s.durable()
	}
	if s.rng.IntN(2) == 0 {
		if err := s.e.keep.reclaim(); err != nil {
			s.t.Fatal(err)
		}
	}
	s.compare(s.now)
}

func (s *simulation) restart() {
	s.note("restart")
	s.stop()
	s.reopen()
	if !s.e.Recovery().Clean {
		s.t.Fatalf("not clean: %+v", s.e.Recovery())
	}
	s.durable()
	s.compare(s.now)
}

func (s *simulation) stop() {
	if err := s.e.Close(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.e.opts.Directory.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *simulation) crash() {
	percent := s.rng.IntN(101)
	s.note("crash, %d%% of what was not synced stays", percent)
	clone := s.w.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: s.rng})
	s.stop()
	s.w = s.w.on(clone)
	left := append(describeWAL(s.w), describeControls(s.w)...)
	s.reopen()
	got := s.state()
	for i := len(s.maybe) - 1; i >= 0; i-- {
		if sameModel(got, s.maybe[i]) {
			s.now = s.maybe[i]
			s.durable()
			return
		}
	}
	for _, line := range left {
		s.t.Log("left: " + line)
	}
	s.t.Fatalf("after a crash: none of the %d states that may be:\n got %v\nlast %v", len(s.maybe), got, s.maybe[len(s.maybe)-1])
}

// loseIndex removes the index of a stopped engine and compares the one that is made anew.
func (s *simulation) loseIndex() {
	s.note("lose the index")
	s.stop()
	s.reopen()
	before := s.dump()
	s.stop()
	if err := s.w.mem.RemoveAll(filepath.Join(testDir, indexDir)); err != nil {
		s.t.Fatal(err)
	}
	// The second stop sealed one file more, which holds nothing but its beginning.
	s.reopen()
	// What a start removes (discardImplicit) is in the index with the file after it.
	if err := s.e.waitWritten(item{lazy: true}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.e.sealActive(); err != nil {
		s.t.Fatal(err)
	}
	after := s.dump()
	whole := s.wholeWAL()
	for k, v := range before {
		if !bytes.Equal(after[k], v) && (whole || exactAlways(k)) {
			s.t.Errorf("key %q: lost %x, rebuilt %x", k, v, after[k])
		}
	}
	for k, v := range after {
		if before[k] == nil && (whole || exactAlways(k)) {
			s.t.Errorf("key %q: lost nothing, rebuilt %x", k, v)
		}
	}
	s.durable()
	s.compare(s.now)
}

// wholeWAL tells whether every file since the first is still there. If not, what is left says where records are and how
// logs stand exactly, but the way there (how much of a run died before it was cut, transactions whose marker was
// truncated in a file that is gone) is told by checkpoints only.
func (s *simulation) wholeWAL() bool {
	dir := filepath.Join(testDir, walDir)
	ids, err := listFiles(s.w.mem, dir, fileWAL)
	sorted, err2 := listFiles(s.w.mem, dir, fileSorted)
	return err == nil && err2 == nil && len(ids) > 0 && ids[0] == 1 && int(ids[len(ids)-1]) == len(ids)+len(sorted)
}

func exactAlways(key string) bool { return strings.ContainsRune("emh", rune(key[0])) }

func (s *simulation) dump() map[string][]byte {
	out := map[string][]byte{}
	live := map[uint32]int64{}
	err := s.e.index.scan([]byte{0}, []byte{0xff}, func(k, v []byte) (bool, error) {
		if k[0] == keyRun {
			var r run
			_, last, _ := decodeOffsetKey(k)
			if err := r.decode(last, v); err != nil {
				return false, err
			}
			live[r.file] += r.bytes
		}
		if k[0] != keyEngine && k[0] != keyFile {
			out[string(k)] = bytes.Clone(v)
		}
		return true, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.e.seal.mu.Lock()
	defer s.e.seal.mu.Unlock()
	for id, info := range s.e.seal.infos {
		if info.live != live[id] {
			s.t.Errorf("file %d: %d live bytes, its runs have %d", id, info.live, live[id])
		}
		if info.live > 0 {
			out[fmt.Sprintf("live bytes of %d", id)] = []byte(fmt.Sprint(info.live))
		}
	}
	return out
}

// state is what the engine has, as a model.
func (s *simulation) state() model {
	out := model{}
	for _, id := range s.e.Logs() {
		l, _ := s.e.Log(id)
		ends := l.Ends()
		m := modelLog{start: ends.Start, next: ends.Next}
		if ends.Written != ends.Next || ends.Flushed > ends.Written {
			s.t.Fatalf("log %s at rest: %+v", id, ends)
		}
		for _, b := range readAll(s.t, l, ends.Start, 1<<20) {
			m.batches = append(m.batches, modelBatchOf(b))
		}
		out[id] = m
	}
	return out
}

func sameModel(got, want model) bool {
	return maps.EqualFunc(got, want, func(a, b modelLog) bool {
		return a.start == b.start && a.next == b.next && slices.Equal(a.visible(), b.visible())
	})
}

func (s *simulation) compare(want model) {
	s.t.Helper()
	if got := s.state(); !sameModel(got, want) {
		s.t.Fatalf("the engine differs from the model:\n got %v\nwant %v", got, want)
	}
}

func (s *simulation) equal(id tp, got []kafkaproto.Batch, want []modelBatch) {
	s.t.Helper()
	if len(got) != len(want) {
		s.t.Fatalf("log %s: read %d batches, want %d", id, len(got), len(want))
	}
	for i, b := range got {
		if b.BaseOffset() != want[i].base || b.CRC() != want[i].crc {
			s.t.Fatalf("log %s: batch %d is %d, want %d", id, i, b.BaseOffset(), want[i].base)
		}
	}
}
