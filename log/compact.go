package log

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// Compaction copies what lies scattered over several files into sorted ones, where each log has its records side by side, and
// what is left in files of which most is dead. It never changes a file: what it copied from is unlinked when nothing in it counts.

const (
	// mostFragmented is how many files one round takes at most.
	mostFragmented = 32
	// maxBacklogSpeed is by how much compaction may go faster than its rate when much waits for it.
	maxBacklogSpeed = 8
	// maxSorted is what a sorted file may be long: positions are 32 bits.
	maxSorted = 3 << 30
)

// compactor is the one goroutine that does so, at a bounded rate.
type compactor struct {
	e    *Engine
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex // one round at a time
	damaged map[tp]bool
	cleaned time.Time // when it was looked last for logs to be compacted by key
	paced   bool      // rounds keep to the rate
	byKey   bool      // the round compacts by key
	owed    int64
	backlog atomic.Int64
}

func (c *compactor) init() {
	c.stop, c.done = make(chan struct{}), make(chan struct{})
	c.damaged = map[tp]bool{}
}

func (c *compactor) close() {
	close(c.stop)
	<-c.done
}

func (c *compactor) run() {
	defer close(c.done)
	timer := c.e.env.Clock.NewTimer(c.e.opts.MaintenanceInterval)
	defer timer.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-timer.C():
		}
		if c.e.Failed() == nil && !c.e.full.Load() {
			c.tell("compact", c.rounds(c.round))
			if now := c.e.env.Clock.Now(); now.Sub(c.cleaned) >= c.e.cleanInterval() {
				c.cleaned = now
				c.tell("compact by key", c.rounds(c.cleanRound))
			}
		}
		timer.Reset(c.e.opts.MaintenanceInterval)
	}
}

// rounds goes round until there is nothing to do or something fails.
func (c *compactor) rounds(round func(paced bool) (bool, error)) error {
	for {
		more, err := round(true)
		if err != nil || !more || c.e.full.Load() {
			return err
		}
	}
}

func (c *compactor) tell(what string, err error) {
	if err != nil && !errors.Is(err, errStop) && c.e.usable() == nil {
		c.e.trouble(what, err)
	}
}

// Compact does now, and without a pause, whatever compaction would do in time. The engine does so by itself.
func (e *Engine) Compact() error {
	for {
		more, err := e.compact.round(false)
		if err != nil || !more {
			return err
		}
	}
}

// round picks files and copies what is to leave them. more is false if there was nothing to do.
func (c *compactor) round(paced bool) (more bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := c.choose()
	if len(from.moved) == 0 && len(from.scattered) == 0 {
		return false, nil
	}
	c.paced, c.byKey = paced, false
	moves, err := c.moves(&from)
	if err != nil || len(moves) == 0 {
		return false, err
	}
	return true, c.copy(moves)
}

// chosen are the files that are to be left: by all runs, or by the short ones.
type chosen struct{ moved, scattered map[uint32]bool }

// choose looks for files that are worth it: of which more is dead than alive, and WAL files whose runs are short, as many as
// together give each log a long one.
func (c *compactor) choose() (out chosen) {
	out.moved, out.scattered = map[uint32]bool{}, map[uint32]bool{}
	want := c.e.opts.CompactRunBytes
	var scattered []fileInfo
	backlog := int64(0)
	defer func() { c.backlog.Store(backlog) }()
	for _, f := range c.e.seal.sealedFiles() {
		total := f.end
		if f.kind == fileSorted {
			total = f.total
		}
		dead := total - f.live
		switch {
		case f.live == 0:
		case dead > f.live && dead >= c.e.opts.CompactDeadBytes:
			out.moved[f.id] = true
			backlog += f.live
		case f.kind == fileWAL && f.runs > 1 && f.live/int64(f.runs) < want:
			scattered = append(scattered, f)
			backlog += f.live
		}
	}
	live, runs := int64(0), 0
	for i, f := range scattered {
		live, runs = live+f.live, max(runs, f.runs)
		if i > 0 && live/int64(runs) >= want || i+1 == mostFragmented {
			for _, f := range scattered[:i+1] {
				out.scattered[f.id] = true
			}
			break
		}
	}
	return out
}

// move is a run of a sorted file to be, with what it is copied from.
type move struct {
	sortedRun
	from     map[uint32]bool
	bytes    int64
	internal bool
	// filter says what is copied of a batch; nil: all of every one.
	filter func(kafkaproto.Batch) (kafkaproto.Batch, error)
	beside bool // it has to be in the same file as the one before
}

// moves finds the runs that are to leave files, those of internal topics first. Neighbours become one.
func (c *compactor) moves(from *chosen) ([]move, error) {
	var moves []move
	var log struct {
		id                       tp
		known, movable, internal bool
		incarnation              uint64
		next                     offset // behind the run before
	}
	adjacent := false // the run before is of the same log, and the last of moves
	err := c.e.index.allRuns(func(id tp, r *run) (bool, error) {
		if !log.known || id != log.id {
			log.id, log.known, log.next, adjacent = id, true, 0, false
			log.incarnation, log.internal, log.movable = c.movable(id)
		}
		first := log.next
		log.next = r.last + 1
		if !log.movable || !from.moved[r.file] && (!from.scattered[r.file] || r.bytes >= c.e.opts.CompactRunBytes) {
			adjacent = false
			return true, nil
		}
		if n := len(moves); adjacent && moves[n-1].cleaned == r.cleaned {
			moves[n-1].extend(r)
			return true, nil
		}
		adjacent = true
		m := move{
			sortedRun: sortedRun{log: id, incarnation: log.incarnation, first: first}, from: map[uint32]bool{}, internal: log.internal,
		}
		m.extend(r)
		moves = append(moves, m)
		return true, nil
	})
	internalFirst(moves)
	return moves, c.e.indexDamage(err)
}

func internalFirst(moves []move) {
	slices.SortStableFunc(moves, func(a, b move) int {
		switch {
		case a.internal == b.internal:
			return 0
		case a.internal:
			return -1
		}
		return 1
	})
}

func (m *move) extend(r *run) {
	m.last, m.runOrigin = r.last, r.runOrigin
	m.from[r.file] = true
	m.bytes += r.bytes
}

// movable tells whether a log's records may be copied: it is there, and nothing of it is known to be damaged.
func (c *compactor) movable(id tp) (incarnation uint64, internal, ok bool) {
	l := c.e.lookup(id)
	if l == nil || c.damaged[id] {
		return 0, false, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.incarnation, l.cfg.Internal, l.dead == nil && l.created && l.damaged == nil
}

// copy writes sorted files and has them count.
func (c *compactor) copy(moves []move) (err error) {
	var files []*sortedFile
	for len(moves) > 0 {
		n, bytes := 1, moves[0].bytes
		for n < len(moves) && (moves[n].beside ||
			moves[n].internal == moves[0].internal && bytes+moves[n].bytes <= c.e.opts.SortedFileBytes) {
			bytes += moves[n].bytes
			n++
		}
		f, writeErr := c.write(moves[:n])
		if writeErr != nil {
			err = writeErr
			break
		}
		files = append(files, f)
		moves = moves[n:]
	}
	if len(files) == 0 {
		return err
	}
	return errors.Join(err, c.adopt(files))
}

func (c *compactor) write(moves []move) (*sortedFile, error) {
	table := make([]sortedRun, len(moves))
	for i := range moves {
		table[i] = moves[i].sortedRun
	}
	w, err := createSorted(c.e, table)
	if w == nil {
		return nil, err
	}
	for i := range moves {
		if err == nil {
			err = moves[i].records(c, w)
		}
		if err == nil {
			err = w.next()
		}
		if err == nil && w.size() > maxSorted {
			err = fmt.Errorf("%s is too large", w.out.file.path)
		}
	}
	var f *sortedFile
	if err == nil {
		f, err = w.finish()
	}
	if err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	c.e.counts.compacted.Add(f.bytes())
	return f, nil
}

// adopt has files count, or removes them. A new WAL file is begun before: so its number is above theirs, and all that was
// changed in logs before is in the index.
func (c *compactor) adopt(files []*sortedFile) error {
	err := c.e.sealActive()
	counts := false
	if err == nil {
		err = c.e.seal.do(func() (err error) {
			counts, err = c.e.seal.adopt(files)
			return err
		})
	}
	if counts || c.e.Failed() != nil {
		return err
	}
	for _, f := range files {
		err = errors.Join(err, ignoreMissing(c.e.files.unlink(f.id)))
	}
	return err
}

// records copies what there is of the run.
func (m *move) records(c *compactor, w *sortedWriter) error {
	return c.batches(m, func(b kafkaproto.Batch, sequence uint64) (err error) {
		if m.filter != nil {
			if b, err = m.filter(b); err != nil {
				return c.found(m.log, err)
			}
		}
		if len(b) == 0 {
			return nil
		}
		return w.add(b, sequence)
	})
}

// batches gives out the batches that there are of a run, each with the sequence of the frame that it came in. They are good until
// the next one.
func (c *compactor) batches(m *move, each func(b kafkaproto.Batch, sequence uint64) error) error {
	var entries []entry
	err := c.e.index.entries(m.log, m.first, m.last+1, func(e *entry) (bool, error) {
		if m.from[e.file] {
			entries = append(entries, *e)
		}
		return true, nil
	})
	if err != nil {
		return c.e.indexDamage(err)
	}
	for i := range entries {
		if err := c.entry(m, &entries[i], each); err != nil {
			return err
		}
	}
	return nil
}

// entry gives out the batches of an entry. The frame that they came in is checked as a whole: damage must not get a new checksum.
func (c *compactor) entry(m *move, of *entry, each func(kafkaproto.Batch, uint64) error) error {
	f, err := c.e.files.acquire(of.file)
	if errors.Is(err, errUnlinked) {
		return nil // dead since it was looked up
	}
	if err != nil {
		return storage(err)
	}
	defer c.e.files.release(f)
	h, payload, err := f.frame(of)
	if err != nil {
		return c.found(m.log, err)
	}
	for rest := payload; len(rest) > 0; {
		b, tail, err := kafkaproto.NextBatch(rest)
		if err != nil {
			return err
		}
		rest = tail
		if b.BaseOffset() < max(of.base, m.first) || b.LastOffset() > of.last || b.BaseOffset() > m.last {
			continue // cut off, or another run's
		}
		if err := each(b, h.sequence); err != nil {
			return err
		}
	}
	return c.pace(int64(of.length))
}

// frame reads the frame that an entry is of, or was cut of.
func (f *file) frame(of *entry) (h frameHeader, payload []byte, err error) {
	pos := int64(of.pos) - frameHeaderLen
	raw := make([]byte, frameHeaderLen+int(of.length))
	if err := readFull(f.handle, raw, pos); err != nil {
		return h, nil, damaged(f, of, pos, err)
	}
	if err := h.decode(raw); err != nil {
		return h, nil, damaged(f, of, pos, err)
	}
	if h.at != at(f.id, pos) || h.length < of.length {
		return h, nil, damaged(f, of, pos, errFramePlace)
	}
	if h.length > of.length {
		raw = append(raw, make([]byte, h.length-of.length)...)
		if err := readFull(f.handle, raw[frameHeaderLen+of.length:], int64(of.pos)+int64(of.length)); err != nil {
			return h, nil, damaged(f, of, pos, err)
		}
	}
	payload = raw[frameHeaderLen:]
	if err := checkFrame(&h, raw[:frameHeaderLen], payload, saltOf(f.table.directory, f.id)); err != nil {
		return h, nil, damaged(f, of, pos, err)
	}
	return h, payload, nil
}

// found is about records that can't be copied. If they are damaged the log is left where it is from now on.
func (c *compactor) found(id tp, err error) error {
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	c.damaged[id] = true
	var damage *CorruptionError
	if !errors.As(err, &damage) {
		return fmt.Errorf("log %s is not compacted any more: %w", id, err)
	}
	damage.Known, damage.Log = true, id
	if report := c.e.opts.Events.Corruption; report != nil {
		report(damage)
	}
	return fmt.Errorf("compaction leaves log %s where it is: %w", id, damage)
}

// pace keeps to the rate, faster when much is to be done, and ends the round with errStop when the engine is closed.
func (c *compactor) pace(n int64) error {
	select {
	case <-c.stop:
		return errStop
	default:
	}
	if err := c.e.takes(); err != nil {
		return err
	}
	c.owed += n
	if !c.paced || c.owed < scrubChunk {
		return nil
	}
	rate := float64(c.e.opts.CompactBytesPerSecond) * min(1+float64(c.backlog.Load())/(1<<30), maxBacklogSpeed)
	if limit := c.e.tuned.cleanRate.Load(); c.byKey && limit > 0 {
		rate = float64(limit)
	}
	d := time.Duration(float64(c.owed) / rate * float64(time.Second))
	if c.owed = 0; d <= 0 {
		return nil
	}
	t := c.e.env.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return nil
	case <-c.stop:
		return errStop
	}
}

// referenced are those of the files that memory still points into: what a cut left of an entry, until the cut is sealed.
func (e *Engine) referenced(files []uint32) map[uint32]bool {
	out := map[uint32]bool{}
	if len(files) == 0 {
		return out
	}
	asked, newest := make(map[uint32]bool, len(files)), slices.Max(files)
	for _, id := range files {
		asked[id] = true
	}
	for _, l := range e.all() {
		l.mu.Lock()
		for _, x := range l.unsealed.upTo(newest) {
			if asked[x.file] {
				out[x.file] = true
			}
		}
		l.mu.Unlock()
	}
	return out
}
