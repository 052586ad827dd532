package log

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// Compaction by key (Kafka's log cleaner): of the records of a log with LogConfig.Compact only the last of each key stays. A log is
// copied from its start to sorted files, without what has a later record of the same key (clean_pass.go); the runs are then marked
// as cleaned, so how far a log is cleaned stands in the index like everything else, and follows from the files.

// dirtyPart is what of a log may be compacted by key.
type dirtyPart struct {
	l           *Log
	cfg         LogConfig
	incarnation uint64
	start       offset
	runs        []run  // from the log's start up to bound
	from        offset // first offset that is not cleaned
	bound       offset // first offset that may not be cleaned yet
	clean       int64  // bytes below from
	dirty       int64  // and from there to bound
	waiting     int64  // bytes that have to be sealed before they can be cleaned
	overdue     bool   // among them records older than max.compaction.lag.ms
}

// ratio is the share of what is not cleaned yet, with what could be if it was sealed.
func (d *dirtyPart) ratio(withWaiting bool) float64 {
	dirty := d.dirty
	if withWaiting {
		dirty += d.waiting
	}
	if dirty == 0 {
		return 0
	}
	return float64(dirty) / float64(dirty+d.clean)
}

// Clean compacts by key all logs now that are due. The engine does so by itself at every CleanInterval.
func (e *Engine) Clean() error {
	for {
		more, err := e.compact.cleanRound(false)
		if err != nil || !more {
			return err
		}
	}
}

// cleanRound compacts logs that are due, the dirtiest first, as many as fit into a sorted file. more is false if none was.
func (c *compactor) cleanRound(paced bool) (more bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paced, c.byKey = paced, true
	due, waiting, err := c.due()
	if err == nil && waiting {
		if err = c.e.sealActive(); err == nil {
			due, _, err = c.due()
		}
	}
	if err != nil || len(due) == 0 {
		return false, err
	}
	var moves []move
	bytes, memory := int64(0), int64(0)
	for i := range due {
		d := &due[i]
		if i > 0 && (bytes+d.clean+d.dirty > c.e.opts.SortedFileBytes || memory+d.mapBytes(c.e) > c.e.cleanMapBytes()) {
			break
		}
		some, err := c.clean(d)
		if errors.Is(err, ErrCorrupt) {
			c.tell("compact by key", c.found(d.l.id, err))
			continue // it was told, and the log is left out from now on
		}
		if err != nil {
			return false, err
		}
		bytes, memory = bytes+d.clean+d.dirty, memory+d.mapBytes(c.e)
		moves = append(moves, some...)
	}
	if len(moves) == 0 {
		return false, nil
	}
	internalFirst(moves)
	return true, c.copy(moves)
}

// due are the logs that are worth it. waiting tells that some would be, or would be more, if what was written was sealed.
func (c *compactor) due() (due []dirtyPart, waiting bool, err error) {
	now := c.e.env.Clock.Now()
	for _, l := range c.e.all() {
		d, err := c.part(l, now)
		if err != nil {
			return nil, false, err
		}
		if d == nil {
			continue
		}
		late, err := d.late(now)
		if err != nil {
			return nil, false, err
		}
		if d.dirty > 0 && (late || d.ratio(false) > d.cfg.MinDirtyRatio) {
			due = append(due, *d)
		} else if d.waiting > 0 && (d.overdue || d.ratio(true) > d.cfg.MinDirtyRatio) {
			waiting = true
		}
	}
	slices.SortStableFunc(due, func(a, b dirtyPart) int { return cmp.Compare(b.ratio(false), a.ratio(false)) })
	return due, waiting, nil
}

// part finds out what of a log may be cleaned: whole runs below the last stable offset and older than min.compaction.lag.ms. nil:
// the log is not compacted.
func (c *compactor) part(l *Log, now time.Time) (*dirtyPart, error) {
	d := &dirtyPart{l: l}
	l.mu.Lock()
	d.cfg, d.incarnation, d.start = *l.cfg, l.incarnation, l.start
	usable := l.cfg.Compact && l.dead == nil && !l.deleting && l.created && l.quarantined == 0 && l.damaged == nil
	high, sealed := l.high, l.sealed
	if usable && len(l.unsealed.entries) > 0 {
		d.waiting = l.rolled(now)
		d.overdue = d.cfg.MaxCompactionLag > 0 && l.unsealed.entries[0].maxTime < now.Add(-d.cfg.MaxCompactionLag).UnixMilli()
	}
	l.mu.Unlock()
	if !usable || c.damaged[l.id] {
		return nil, nil
	}
	limit := min(sealed, l.LastStable(high))
	lag := now.Add(-d.cfg.MinCompactionLag).UnixMilli()
	cleaned := true
	err := c.e.index.runs(l.id, d.start, limit, func(r *run) (bool, error) {
		cleaned = cleaned && r.cleaned
		if r.last >= limit || !cleaned && d.cfg.MinCompactionLag > 0 && r.maxTime > lag {
			return false, nil
		}
		if cleaned {
			d.clean += r.bytes
		} else {
			if d.dirty == 0 {
				d.from = r.base
			}
			d.dirty += r.bytes
		}
		d.runs, d.bound = append(d.runs, *r), r.last+1
		return true, nil
	})
	return d, c.e.indexDamage(err)
}

// rolled is how much is not sealed, if it is so old or so much that Kafka would have begun a new segment since. The lock is held.
func (l *Log) rolled(now time.Time) int64 {
	age := l.cfg.SegmentTime
	if lag := l.cfg.MaxCompactionLag; lag > 0 && (age <= 0 || lag < age) {
		age = lag
	}
	bytes := payloadBytes(l.unsealed.entries)
	old := age > 0 && l.unsealed.entries[0].maxTime <= now.Add(-age).UnixMilli()
	if old || l.cfg.SegmentBytes > 0 && bytes >= l.cfg.SegmentBytes {
		return bytes
	}
	return 0
}

// late tells whether a record has escaped compaction for max.compaction.lag.ms.
func (d *dirtyPart) late(now time.Time) (late bool, err error) {
	if d.cfg.MaxCompactionLag <= 0 || d.dirty == 0 {
		return false, nil
	}
	limit := now.Add(-d.cfg.MaxCompactionLag).UnixMilli()
	err = d.l.e.index.entries(d.l.id, d.from, d.bound, func(e *entry) (bool, error) {
		late = e.maxTime >= 0 && e.maxTime < limit
		return false, nil
	})
	return late, d.l.e.indexDamage(err)
}

// mapBytes is what the keys of the dirty part may take.
func (d *dirtyPart) mapBytes(e *Engine) int64 {
	keys := min(int64(d.bound-d.from), d.dirty)
	return min(keys*cleanSlotBytes*10/9+1024, max(e.cleanMapBytes(), cleanSlotBytes*16))
}

// clean reads the dirty part of a log, and says what is to be copied of all of it.
func (c *compactor) clean(d *dirtyPart) ([]move, error) {
	aborted, err := d.l.Aborted(d.start, d.bound)
	if err != nil {
		return nil, err
	}
	m, end, err := c.keys(d, aborted)
	if err != nil {
		return nil, err
	}
	d.l.mu.Lock()
	err = d.l.load()
	rules := cleanRules{
		now: kafkaproto.Timestamp(c.e.env.Clock.Now().UnixMilli()), deleteRetention: d.cfg.DeleteRetention,
		aborted: aborted, bound: d.bound,
	}
	if err == nil {
		rules.last = d.l.state.producers().lastRecords()
	}
	d.l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	pass := newCleanPass(m, rules)
	filter := func(b kafkaproto.Batch) (kafkaproto.Batch, error) {
		if b.LastOffset() < d.start {
			return nil, nil
		}
		out, err := pass.batch(b)
		if err == nil {
			c.e.counts.cleaned.Add(int64(len(b)))
			c.e.counts.cleanedAway.Add(int64(len(b) - len(out)))
		}
		return out, err
	}
	return d.moves(end, filter), nil
}

// keys fills a map with the last offset of each key of the dirty part, up to end, which is below the part's if there are more keys
// than the map has room for. It holds one batch at least.
func (c *compactor) keys(d *dirtyPart, aborted []AbortedTxn) (m *cleanMap, end offset, err error) {
	var salt [16]byte
	c.e.env.Rand.Read(salt[:])
	for room := d.mapBytes(c.e); ; room *= 2 {
		m, end = newCleanMap(int(room)), d.bound
		if err := m.begin(d.from, salt, aborted); err != nil {
			return nil, 0, err
		}
		all := move{sortedRun: sortedRun{log: d.l.id, first: d.from, last: d.bound - 1}, from: map[uint32]bool{}}
		for i := range d.runs {
			all.from[d.runs[i].file] = true
		}
		full := false
		err := c.batches(&all, func(b kafkaproto.Batch, _ uint64) (err error) {
			if full, err = m.add(b); full {
				end = b.BaseOffset()
				return errStop
			}
			return err
		})
		switch {
		case full && end > d.from:
			return m, end, nil
		case full:
			continue // not one batch had room
		case err != nil:
			return nil, 0, err
		}
		m.skipTo(d.bound)
		return m, end, nil
	}
}

// moves are the runs to be copied through filter, cleaned up to end. What the last of them has beyond goes to the same file, but
// counts as it did.
func (d *dirtyPart) moves(end offset, filter func(kafkaproto.Batch) (kafkaproto.Batch, error)) []move {
	var moves []move
	next := offset(0)
	for i := range d.runs {
		r := d.runs[i]
		if r.base >= end {
			break
		}
		n := len(moves)
		if n == 0 || moves[n-1].bytes+r.bytes > d.l.e.opts.SortedFileBytes {
			moves = append(moves, move{
				sortedRun: sortedRun{log: d.l.id, incarnation: d.incarnation, first: next},
				from:      map[uint32]bool{}, internal: d.cfg.Internal, filter: filter,
			})
			n++
		}
		last := &moves[n-1]
		last.extend(&r)
		last.cleaned = true
		next = r.last + 1
		if end <= r.last {
			rest := *last
			rest.first, rest.cleaned, rest.bytes, rest.beside = end, r.cleaned, 0, true
			last.last = end - 1
			moves = append(moves, rest)
			break
		}
	}
	return moves
}
