package log

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

var (
	flagCrashes   = flag.Int("log.crashes", 20, "crash points under each flush policy")
	flagCrashSeed = flag.Uint64("log.crash-seed", 1, "first seed of the crash points")
)

// A round takes as many crash points as memory has room for, of one load on one disk.
const crashesPerRound = 20

// TestACrashAtAnyPointLeavesWhatWasPromised cuts the power at counted points, each before a write, a sync, a creation or a removal
// of a file while several logs are appended to, cut, trimmed, deleted, compacted and compacted by key at once. Whatever subset of
// what was not synced survives: of each log there is what it was after some of its operations, with all that counted as flushed;
// what there is of all logs together is the beginning of what was written, without a hole; and the directory is in order.
//
// With -log.crashes=1000 it does so 1,000 times under each policy.
func TestACrashAtAnyPointLeavesWhatWasPromised(t *testing.T) {
	for name, policy := range map[string]FlushPolicy{"always": FlushAlways, "interval": FlushInterval, "never": FlushNever} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var total crashCounts
			for seed := *flagCrashSeed; total.points < *flagCrashes && !t.Failed(); seed++ {
				r := newCrashRound(t, seed, policy, min(crashesPerRound, *flagCrashes-total.points))
				total.add(r.run())
			}
			t.Logf("%+v", total)
		})
	}
}

// crashCounts says what was tried.
type crashCounts struct {
	points     int // crashes
	passed     int // places at which there could have been one
	recoveries int // crashes in the middle of a recovery
	rebuilt    int // crashes that took the index too
	ended      int // crashes after which records went on, and one more
	operations int
	compacted  int64 // bytes
	// Operations that had begun, over all crashes: promised to be there, there without a promise, gone.
	promised, survived, gone int
}

func (c *crashCounts) add(o crashCounts) {
	c.points += o.points
	c.passed += o.passed
	c.recoveries += o.recoveries
	c.rebuilt += o.rebuilt
	c.ended += o.ended
	c.operations += o.operations
	c.compacted += o.compacted
	c.promised += o.promised
	c.survived += o.survived
	c.gone += o.gone
}

// crashRound is one load on one disk.
type crashRound struct {
	t       *testing.T
	seed    uint64
	w       *world
	options func(*Options)
	e       *Engine
	rng     *rand.Rand
	logs    []*crashLog
	ticket  atomic.Uint64 // orders the beginnings and ends of operations of all logs

	mu     sync.Mutex // guards the rest; taken in hooks, so never held while the engine is called
	dice   *rand.Rand
	want   int
	gap    int // places until the next crash
	passed int
	taken  []crashPoint
	enough chan struct{}
}

// crashPoint is a disk after a crash, with what must be on it and what may be.
type crashPoint struct {
	fs    *env.MemFS
	least []int // for each log, of its states
	most  []int
}

// crashLog is a log of the load and all it has been. One goroutine changes it, one operation after the other.
type crashLog struct {
	id    tp
	index int
	kind  crashKind
	cfg   LogConfig

	promised atomic.Int64 // of states: flushed
	begun    atomic.Int64 // of states: may be there

	mu      sync.Mutex
	l       *Log
	states  []crashState
	control int // the last state that an append has not brought about
}

type crashKind int

const (
	crashPlain    crashKind = iota
	crashRetained           // its start moves by retention
	crashByKey              // is compacted by key
)

// crashState is what a log is after an operation.
type crashState struct {
	there bool
	model modelLog
	last  map[kafkaproto.ProducerID]crashBatch // each producer's last batch, as far as the test knows
	pairs []crashRecord                        // of crashByKey
	what  string
	// When the operation began and ended, by crashRound.ticket; ended is 0 as long as it has not.
	began, ended uint64
}

type crashBatch struct {
	at       offset
	sequence int32
}

type crashRecord struct {
	at         offset
	key, value string
}

func newCrashRound(t *testing.T, seed uint64, policy FlushPolicy, want int) *crashRound {
	rng := rand.New(rand.NewPCG(seed, uint64(policy)))
	r := &crashRound{
		t: t, seed: seed, w: newWorld(t), rng: rng, dice: rand.New(rand.NewPCG(seed, 77)), want: want, enough: make(chan struct{}),
	}
	fileBytes := []int64{4 << 10, 16 << 10, 64 << 10}[rng.IntN(3)]
	r.options = func(o *Options) {
		compacting(o)
		o.FlushPolicy, o.FileBytes, o.RetentionInterval, o.CleanInterval = policy, fileBytes, time.Second, time.Second
	}
	policies := []FlushPolicy{FlushDefault, FlushDefault, FlushDefault, FlushAlways, FlushInterval, FlushNever}
	for i := range 6 {
		g := &crashLog{id: topic(1+i/2, int32(i%2)), index: i, states: []crashState{{}}}
		g.cfg.Policy = policies[rng.IntN(len(policies))]
		switch i {
		case 4:
			g.kind, g.cfg.Delete, g.cfg.RetentionBytes = crashRetained, true, 4000
		case 5:
			g.kind, g.cfg.Compact, g.cfg.MinDirtyRatio, g.cfg.DeleteRetention = crashByKey, true, 0.01, time.Hour
			g.cfg.SegmentBytes = 2000
		}
		r.logs = append(r.logs, g)
	}
	return r
}

func (r *crashRound) run() crashCounts {
	r.e = r.w.open(r.options)
	r.nextGap()
	r.w.fault.Set(r.hooks(r.pass))
	var running sync.WaitGroup
	for _, g := range r.logs {
		rng := rand.New(rand.NewPCG(r.rng.Uint64(), 1))
		running.Go(func() { r.change(g, rng) })
	}
	stop := r.passTime(rand.New(rand.NewPCG(r.rng.Uint64(), 3)))
	r.keep(rand.New(rand.NewPCG(r.rng.Uint64(), 2)))
	running.Wait()
	stop()
	r.w.fault.Set(env.FaultHooks{})
	r.mu.Lock() // the index may still be compacting, behind a hook that it has seen
	counts := crashCounts{points: len(r.taken), passed: r.passed, compacted: r.e.Stats().Compacted}
	r.mu.Unlock()
	for _, g := range r.logs {
		counts.operations += len(g.states) - 1
	}
	closeEngine(r.t, r.e)
	for i, p := range r.taken {
		r.check(i, p, &counts)
		if r.t.Failed() {
			break
		}
	}
	return counts
}

// hooks call f at each place at which a crash makes a difference.
func (r *crashRound) hooks(f func()) env.FaultHooks {
	pass := func(string) error { f(); return nil }
	return env.FaultHooks{
		SyncData: pass, SyncDir: pass, Create: pass, VFSSync: pass, VFSWrite: pass, Preallocate: pass,
		WriteVAt: func(_ string, _ int64, n int) (int, error) { f(); return n, nil },
	}
}

func (r *crashRound) nextGap() { r.gap = 1 + r.dice.IntN(60) }

// pass is a place at which the power may go.
func (r *crashRound) pass() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passed++
	if r.gap--; r.gap > 0 || len(r.taken) == r.want {
		return
	}
	r.nextGap()
	var p crashPoint
	for _, g := range r.logs {
		p.least = append(p.least, int(g.promised.Load()))
	}
	p.fs = r.w.mem.Crash(survives(r.dice), r.dice)
	for _, g := range r.logs {
		p.most = append(p.most, int(g.begun.Load()))
	}
	r.taken = append(r.taken, p)
	if len(r.taken) == r.want {
		close(r.enough)
	}
}

// survives is how much in a hundred of what was not synced survives: nothing, all, or something.
func survives(rng *rand.Rand) int { return []int{0, 100, rng.IntN(101), rng.IntN(101)}[rng.IntN(4)] }

func (r *crashRound) over() bool {
	select {
	case <-r.enough:
		return true
	default:
		return r.t.Failed()
	}
}

// passTime lets the clock go on until the function it returns is called. Nobody who waits for the engine can do so: the engine may
// wait for time to pass.
func (r *crashRound) passTime(rng *rand.Rand) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ended:
				return
			case <-time.After(time.Duration(rng.IntN(2000)) * time.Microsecond):
				r.w.clock.Advance(time.Duration(rng.IntN(300)) * time.Millisecond)
			}
		}
	}()
	return func() { close(ended); <-done }
}

// keep does what maintenance does.
func (r *crashRound) keep(rng *rand.Rand) {
	for !r.over() {
		var err error
		switch rng.IntN(8) {
		case 0:
			err = r.e.sealActive()
		case 1:
			err = r.e.Compact()
		case 2:
			err = r.e.Clean()
		case 3:
			err = r.e.Retain()
		default:
			time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond) // let the load go on
		}
		if err != nil {
			r.t.Errorf("seed %d: maintenance: %v", r.seed, err)
		}
	}
}

// change runs operations on a log until there are enough crashes.
func (r *crashRound) change(g *crashLog, rng *rand.Rand) {
	var inFlight sync.WaitGroup
	defer inFlight.Wait()
	for n := 0; !r.over(); n++ {
		s := g.now()
		if !s.there {
			r.create(g)
			continue
		}
		if rng.IntN(4) == 0 {
			inFlight.Wait()
		}
		m := &s.model
		switch pick := rng.IntN(100); {
		case g.kind != crashPlain || pick < 80 || m.next == m.start:
			r.append(g, rng, &inFlight)
		case pick < 88:
			r.cut(g, m.start+offset(rng.Int64N(int64(m.next-m.start)))) // at the end there would be nothing to do, and to promise
		case pick < 97:
			to := m.start + 1 + offset(rng.Int64N(int64(m.next-m.start)+1))
			r.operation(g, fmt.Sprint("start at ", to), func(s *crashState) { s.model.advance(to) }, func() error { return g.log().AdvanceStart(to) })
		default:
			inFlight.Wait()
			r.operation(g, "delete", func(s *crashState) { *s = crashState{} }, func() error { return r.e.DeleteLogs(g.id) })
		}
	}
}

func (g *crashLog) now() crashState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.states[len(g.states)-1]
}

func (g *crashLog) log() *Log {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.l
}

// begin notes what the log will be after an operation that is about to begin.
func (r *crashRound) begin(g *crashLog, control bool, what string, change func(*crashState)) (state int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	state = len(g.states)
	s := g.states[state-1]
	s.last = maps.Clone(s.last)
	change(&s)
	s.what, s.began, s.ended = what, r.ticket.Add(1), 0
	g.states = append(g.states, s)
	if control {
		g.control = state
	}
	g.begun.Store(int64(state))
	return state
}

// ended notes that the operation is written.
func (r *crashRound) ended(g *crashLog, state int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.states[state].ended = r.ticket.Add(1)
}

// operation is one that is no append: under `always` it is durable when it returns.
func (r *crashRound) operation(g *crashLog, what string, change func(*crashState), do func() error) {
	state := r.begin(g, true, what, change)
	if err := do(); err != nil {
		r.t.Errorf("seed %d, log %s: %s: %v", r.seed, g.id, what, err)
	}
	r.ended(g, state)
	policy := g.cfg.Policy
	if policy == FlushDefault || !g.now().there || what == "create" { // all logs' business
		policy = r.e.opts.FlushPolicy
	}
	if policy == FlushAlways {
		g.promised.Store(int64(state))
	}
}

func (r *crashRound) create(g *crashLog) {
	r.operation(g, "create", func(s *crashState) { s.there, s.last = true, map[kafkaproto.ProducerID]crashBatch{} }, func() error {
		l, err := r.e.CreateLog(g.id, g.cfg)
		if err != nil {
			return err
		}
		g.mu.Lock()
		g.l = l
		g.mu.Unlock()
		l.SetListener(func() { g.moved(l) })
		return nil
	})
}

// moved is the log's listener: it finds out which appends count as flushed.
func (g *crashLog) moved(l *Log) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.l != l {
		return
	}
	ends := l.Ends()
	for i := g.control + 1; i < len(g.states); i++ {
		if g.states[i].model.next <= ends.Flushed && int64(i) > g.promised.Load() {
			g.promised.Store(int64(i))
		}
	}
	if g.kind == crashByKey || g.kind == crashRetained {
		l.NoteHighWatermark(ends.Written)
	}
}

func (r *crashRound) cut(g *crashLog, to offset) {
	r.operation(g, fmt.Sprint("cut at ", to), func(s *crashState) {
		s.model.cut(to)
		clear(s.last) // which sequences count then is the affair of other tests, until the producers write again
	}, func() error { return g.log().Truncate(to) })
}

func (r *crashRound) append(g *crashLog, rng *rand.Rand, inFlight *sync.WaitGroup) {
	s := g.now()
	b, records := g.batch(r, rng, &s)
	a := Append{Data: b, Origin: OriginCoordinator}
	if g.kind == crashPlain && rng.IntN(6) == 0 {
		a.Follower, a.Origin = true, OriginReplication
		s.model.next += offset(rng.IntN(3))
	}
	b.SetBaseOffset(s.model.next)
	for i := range records {
		records[i].at += s.model.next
	}
	state := r.begin(g, false, fmt.Sprintf("append %d-%d", b.BaseOffset(), b.LastOffset()), func(s *crashState) {
		s.model.append(b)
		s.pairs = append(s.pairs, records...)
		if id := b.ProducerID(); id >= 0 {
			s.last[id] = crashBatch{b.BaseOffset(), b.LastSequence()}
		}
	})
	inFlight.Add(1)
	a.Done = func(err error) {
		defer inFlight.Done()
		if err != nil {
			r.t.Errorf("seed %d, log %s: append: %v", r.seed, g.id, err)
		}
		r.ended(g, state)
	}
	a.Hold = rng.IntN(2) == 0
	got, err := g.log().Append(a)
	if a.Hold && err == nil {
		writeOrLeave(g.log(), rng)
	}
	if err != nil || got.First != b.BaseOffset() {
		r.t.Errorf("seed %d, log %s: append at %d: %+v, %v", r.seed, g.id, b.BaseOffset(), got, err)
		if err != nil {
			inFlight.Done()
		}
	}
}

// batch makes one up.
func (g *crashLog) batch(r *crashRound, rng *rand.Rand, s *crashState) (kafkaproto.Batch, []crashRecord) {
	if g.kind != crashByKey {
		sp := spec{n: 1 + rng.IntN(5), size: rng.IntN(400), time: testTime.UnixMilli(), text: fmt.Sprint(rng.IntN(1e9))}
		if rng.IntN(2) == 0 {
			sp.pid = int64(1 + rng.IntN(3))
			if last, ok := s.last[kafkaproto.ProducerID(sp.pid)]; ok { // perhaps in flight
				sp.seq = last.sequence + 1
			} else if p, ok := g.log().Producer(kafkaproto.ProducerID(sp.pid)); ok {
				sp.seq = p.LastSequence + 1
			}
		}
		return sp.batch(r.t), nil
	}
	b := kafkaproto.NewBuilder()
	var records []crashRecord
	for i := range 1 + rng.IntN(5) {
		c := crashRecord{at: offset(i), key: fmt.Sprint("key ", rng.IntN(20)), value: fmt.Sprintf("%0*d", 20+rng.IntN(200), rng.IntN(1e9))}
		record := kafkaproto.Record{Timestamp: kafkaproto.Timestamp(testTime.UnixMilli()), Key: []byte(c.key), Value: []byte(c.value)}
		if rng.IntN(5) == 0 {
			c.value, record.Value = "", nil
		}
		records = append(records, c)
		b.Append(record)
	}
	batch, err := b.Batch()
	if err != nil {
		r.t.Error(err)
	}
	return batch, records
}

// check recovers the disk of a crash, perhaps without its index, perhaps after one more crash in the middle of a recovery.
func (r *crashRound) check(i int, p crashPoint, counts *crashCounts) {
	t := r.t
	t.Helper()
	rng := rand.New(rand.NewPCG(r.seed, uint64(1000+i)))
	place := fmt.Sprintf("seed %d, crash %d", r.seed, i)
	w := r.w.on(p.fs)
	inOrder(t, place, w)
	if rng.IntN(3) == 0 {
		if again := r.crashInRecovery(place, w, rng); again != nil {
			w = again
			counts.recoveries++
		}
	}
	if rng.IntN(3) == 0 {
		if err := w.mem.RemoveAll(filepath.Join(testDir, indexDir)); err != nil {
			t.Fatal(err)
		}
		place += ", index lost"
		counts.rebuilt++
	}
	e, _, err := w.tryOpen(r.options)
	if err != nil {
		t.Fatalf("%s: %v", place, err)
	}
	r.compare(place, e, p, counts)
	goesOn := rng.IntN(3) == 0
	if goesOn {
		w = r.goOn(place, w, e, rng)
		counts.ended++
	} else {
		closeEngine(t, e)
	}
	inOrder(t, place+", recovered", w)
}

func inOrder(t *testing.T, place string, w *world) {
	t.Helper()
	if report, err := Verify(w.mem, testDir); err != nil || len(report.Problems) > 0 {
		t.Fatalf("%s: verify: %v %v", place, err, report.Problems)
	}
}

// crashInRecovery is the disk after a crash somewhere in a recovery, nil if that was over before.
func (r *crashRound) crashInRecovery(place string, w *world, rng *rand.Rand) (again *world) {
	left := 1 + rng.IntN(40)
	var mu sync.Mutex
	w.fault.Set(r.hooks(func() {
		mu.Lock()
		defer mu.Unlock()
		if left--; left == 0 {
			again = r.w.on(w.mem.Crash(survives(rng), rng))
		}
	}))
	e, _, err := w.tryOpen(r.options)
	w.fault.Set(env.FaultHooks{})
	if err != nil {
		r.t.Fatalf("%s: %v", place, err)
	}
	closeEngine(r.t, e)
	mu.Lock()
	defer mu.Unlock()
	return again
}

// goOn appends to each log after a recovery, and has the power fail once more.
func (r *crashRound) goOn(place string, w *world, e *Engine, rng *rand.Rand) *world {
	for _, id := range e.Logs() {
		l, _ := e.Log(id)
		mustAppend(r.t, l, spec{n: 2, size: 50, text: "after the crash"})
	}
	flush(r.t, e)
	want := contents(r.t, e)
	left := w.crashed(rng.IntN(2) == 0)
	closeEngine(r.t, e)
	again, _, err := left.tryOpen(r.options)
	if err != nil {
		r.t.Fatalf("%s, and once more: %v", place, err)
	}
	got := contents(r.t, again)
	for _, g := range r.logs {
		if g.kind == crashRetained { // retention may have gone on
			delete(got, g.id)
			delete(want, g.id)
		}
	}
	mustEqual(r.t, place+", and once more", got, want)
	closeEngine(r.t, again)
	return left
}

// compare holds what was recovered against what the logs may be.
func (r *crashRound) compare(place string, e *Engine, p crashPoint, counts *crashCounts) {
	t := r.t
	t.Helper()
	newest, of := uint64(0), ""
	most := make([]int, len(r.logs))
	for i, g := range r.logs {
		first, last := -1, -1
		why := ""
		for k := p.least[i]; k <= p.most[i]; k++ {
			if w := g.differs(t, e, &g.states[k]); w != "" {
				why = fmt.Sprintf("%s\n%d: %s: %s", why, k, g.states[k].what, w)
				continue
			}
			if last = k; first < 0 {
				first = k
			}
		}
		if first < 0 {
			t.Fatalf("%s: log %s (%+v) is none of what it was after %d to %d operations:%s", place, g.id, g.cfg, p.least[i], p.most[i], why)
		}
		if began := g.states[first].began; began > newest {
			newest, of = began, fmt.Sprintf("%q of log %s", g.states[first].what, g.id)
		}
		most[i] = last
		counts.promised += p.least[i]
		counts.survived += last - p.least[i]
		counts.gone += p.most[i] - last
	}
	for i, g := range r.logs {
		for k := most[i] + 1; k <= p.most[i]; k++ {
			if s := &g.states[k]; s.ended < newest {
				t.Fatalf("%s: there is %s, but not %q of log %s, which was written before that began", place, of, s.what, g.id)
			}
		}
	}
}

// differs says in what a log is not in a state, or nothing.
func (g *crashLog) differs(t *testing.T, e *Engine, s *crashState) string {
	l, there := e.Log(g.id)
	if !there || !s.there {
		if there != s.there {
			return fmt.Sprintf("the log is there: %v", there)
		}
		return ""
	}
	ends := l.Ends()
	if ends.Next != s.model.next {
		return fmt.Sprintf("it ends at %d and not at %d", ends.Next, s.model.next)
	}
	if g.kind != crashRetained && ends.Start != s.model.start {
		return fmt.Sprintf("it starts at %d and not at %d", ends.Start, s.model.start)
	}
	if g.kind == crashByKey {
		return g.differsByKey(t, l, s)
	}
	m, bytes := modelLog{start: ends.Start}, int64(0)
	for _, b := range readAll(t, l, ends.Start, 1<<20) {
		m.append(b)
		bytes += int64(len(b))
	}
	want := s.model
	want.start = ends.Start
	if !slices.Equal(m.batches, want.visible()) {
		return fmt.Sprintf("it has %v and not %v", m.batches, want.visible())
	}
	if g.kind == crashRetained && ends.Start > 0 && bytes < g.cfg.RetentionBytes {
		return fmt.Sprintf("retention left %d bytes", bytes)
	}
	for id, b := range s.last {
		if p, ok := l.Producer(id); ok && p.LastSequence != b.sequence || !ok && b.at >= ends.Start {
			return fmt.Sprintf("producer %d is at %d (%v) and not at %d", id, p.LastSequence, ok, b.sequence)
		}
	}
	return ""
}

// differsByKey is about what compaction by key has perhaps left a part of: the last value of each key, and nothing made up.
func (g *crashLog) differsByKey(t *testing.T, l *Log, s *crashState) string {
	written, want := map[offset]crashRecord{}, map[string]string{}
	for _, c := range s.pairs {
		written[c.at] = c
		if want[c.key] = c.value; c.value == "" {
			delete(want, c.key)
		}
	}
	for _, b := range readAll(t, l, l.Ends().Start, 1<<20) {
		err := kafkaproto.Records(b, func(r kafkaproto.Record) error {
			if c, ok := written[r.Offset]; !ok || c.key != string(r.Key) || c.value != string(r.Value) {
				return fmt.Errorf("%d has %q %q, written was %q %q", r.Offset, r.Key, r.Value, c.key, c.value)
			}
			return nil
		})
		if err != nil {
			return err.Error()
		}
	}
	if got, _, _ := lastValues(t, l); !maps.Equal(got, want) {
		return fmt.Sprintf("the last values are %v and not %v", got, want)
	}
	return ""
}
