package log

import (
	"errors"
	"fmt"
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// Truncate cuts the log so that it ends at to or, if to lies inside a batch or behind offsets without a record, where the
// last whole batch below ends (or at the log's start). What is cut off is never changed on disk: a control record says that it is void. Returns when that is written, under FlushAlways durable.
// Nothing may append to the log meanwhile. Cutting at the end takes away an epoch that begins there, as Kafka does: a leader
// that wrote nothing in it must not tell as a follower that it has it. Cutting behind the end does nothing; below the start it
// is an error.
func (l *Log) Truncate(to kafkaproto.Offset) error {
	return l.control(func() bool { return true }, func() ([]byte, error) {
		if to > l.next {
			return nil, nil
		}
		if to == l.next {
			if epoch, start := l.epochs().latest(); epoch < 0 || start < to {
				return nil, nil
			}
			return appendControlInt(nil, ctlTruncate, l.id, int64(to)), nil
		}
		if to < l.start {
			return nil, kafkaproto.ErrOffsetOutOfRange.With("log %s can't be cut to %d, it starts at %d", l.id, to, l.start)
		}
		end, err := l.edge(to)
		if err != nil {
			return nil, err
		}
		// A batch that the start lies inside of is dead below it: nothing of it is left.
		end = max(end, l.start)
		l.next = end
		return appendControlInt(nil, ctlTruncate, l.id, int64(end)), nil
	})
}

// AdvanceStart moves the log start offset up: what is below can't be read any more and its disk space is given back in
// time. Beyond the end it leaves an empty log that goes on at to. Moving it down does nothing.
func (l *Log) AdvanceStart(to kafkaproto.Offset) error {
	from := to
	beyond := func() bool { return to > l.written }
	err := l.control(beyond, func() ([]byte, error) {
		if to <= l.start {
			return nil, nil
		}
		from = l.start
		l.next = max(l.next, to)
		return appendControlInt(nil, ctlStart, l.id, int64(to)), nil
	})
	if err == nil && from < to {
		l.e.keep.noteRuns(l.id, from, to)
	}
	return err
}

// control makes a control record under the log's lock, and waits until that is written and, under FlushAlways, durable. A
// nil record means that there is nothing to do. While alone says so, it first waits until nothing of the log is in flight,
// which may be long when appends keep coming.
func (l *Log) control(alone func() bool, record func() ([]byte, error)) error {
	written := make(chan error, 1)
	always, err := l.pushControl(alone, record, func(err error) { written <- err })
	if err != nil || always == nil {
		return err
	}
	if err := <-written; err != nil {
		return err
	}
	if *always {
		return l.e.sync.wait(position(l.e.write.at.Load()))
	}
	return nil
}

func (l *Log) pushControl(alone func() bool, record func() ([]byte, error), done func(error)) (always *bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.drain(alone); err != nil {
		return nil, err
	}
	if err := l.load(); err != nil {
		return nil, err
	}
	next := l.next
	body, err := record()
	if err != nil || body == nil {
		return nil, err
	}
	if err := l.e.queue.push(item{owner: l, data: body, done: done}); err != nil {
		l.next = next
		return nil, err
	}
	policy := l.policy == FlushAlways
	return &policy, nil
}

// drain waits until what is assigned is written, as long as alone asks for it. The lock is held, and given up while
// waiting.
func (l *Log) drain(alone func() bool) error {
	for {
		if err := l.usable(); err != nil {
			return err
		}
		if l.e.closed.Load() {
			return storage(ErrClosed)
		}
		if !alone() || l.next == l.written {
			return nil
		}
		if l.drained == nil {
			l.drained = make(chan struct{})
		}
		c := l.drained
		l.mu.Unlock()
		<-c
		l.mu.Lock()
	}
}

// wakeDrained lets those go on who wait for the log to be at rest. The lock is held.
func (l *Log) wakeDrained() {
	if l.drained != nil && (l.next == l.written || l.dead != nil) {
		close(l.drained)
		l.drained = nil
	}
}

// edge is where a cut at to really cuts: where the last batch ends that stays whole. That is below to if to lies inside a
// batch, or in offsets that belong to no record: they are given up too, so that the next frame claims them anew. Else they
// would be claimed by no frame that is left, and what was void there before could come back with an index made anew. The
// lock is held.
func (l *Log) edge(to offset) (offset, error) {
	for look := 0; ; look++ {
		end, err := l.edgeOnce(to)
		if look == maxLooks || !errors.Is(err, errUnlinked) {
			return end, err
		}
	}
}

func (l *Log) edgeOnce(to offset) (offset, error) {
	for {
		e, limit, ok, err := l.before(to)
		if err != nil || !ok {
			return 0, err
		}
		if e.last < limit {
			return e.last + 1, nil
		}
		k, err := l.e.part(&e, limit)
		if err != nil {
			return 0, err
		}
		if k.length > 0 {
			return k.last + 1, nil
		}
		to = e.base
	}
}

// around is what a cut leaves of the entry that to lies inside of, nil if there is none, or nothing is left. The lock is held.
func (l *Log) around(to offset) (left *entry, err error) {
	for look := 0; ; look++ {
		e, ok, err := l.find(to)
		if err != nil || !ok || e.base >= to {
			return nil, err
		}
		left, err := l.e.below(&e, to)
		if look == maxLooks || !errors.Is(err, errUnlinked) {
			return left, err
		}
	}
}

// before is the last entry that begins below to, of which what lies below limit counts. The lock is held.
func (l *Log) before(to offset) (e entry, limit offset, ok bool, err error) {
	entries := l.unsealed.entries
	i := search(entries, to)
	if i < len(entries) && entries[i].base < to {
		return entries[i], to, true, nil
	}
	if i > 0 {
		return entries[i-1], to, true, nil
	}
	limit = min(to, l.sealed)
	e, ok, err = l.e.index.before(l.id, limit)
	return e, limit, ok, l.e.indexDamage(err)
}

// find is the entry that holds o, or the first above it. The lock is held.
func (l *Log) find(o offset) (entry, bool, error) {
	var found entry
	ok := false
	err := l.e.index.entries(l.id, o, l.sealed, func(e *entry) (bool, error) {
		found, ok = *e, true
		return false, nil
	})
	if err != nil || ok {
		return found, ok, l.e.indexDamage(err)
	}
	if i := search(l.unsealed.entries, o); i < len(l.unsealed.entries) {
		return l.unsealed.entries[i], true, nil
	}
	return found, false, nil
}

// below is what counts of an entry where the log ends in it at bound, as it may in one of the index: when the log is cut while
// compaction copies its records, what is void becomes one entry with what is not, and the index knows of the cut only when the file
// that says so is sealed. nil: nothing.
func (e *Engine) below(of *entry, bound offset) (*entry, error) {
	if of.last < bound {
		return of, nil
	}
	k, err := e.part(of, bound)
	if err != nil || k.length == 0 {
		return nil, err
	}
	return &k.entry, nil
}

// applyTruncate cuts the log at to, which is a batch's edge. The lock is held.
func (l *Log) applyTruncate(to offset) error {
	if to >= l.written {
		if epoch, start := l.state.epochs.latest(); epoch >= 0 && start >= to {
			l.state.epochs, l.changes.state = l.state.epochs.truncate(to), true
		}
		return nil
	}
	l.cutHoles(to)
	left, err := l.around(to)
	if err != nil {
		return err
	}
	open, err := l.reopened(to)
	if err != nil {
		return err
	}
	l.unsealed.cut(to, left, l.sealed)
	if left != nil {
		l.sealed = min(l.sealed, left.base)
	}
	l.sealed = min(l.sealed, to)
	l.changes.truncated, l.cutIn = minOffset(l.changes.truncated, to), l.touched
	l.changes.state = true
	l.truncations++
	l.written, l.flushed = to, min(l.flushed, to)
	l.state.epochs = l.state.epochs.truncate(to)
	if len(open) > 0 {
		l.state.ownProducers() // which reopen them
	}
	l.state.table.truncate(to, open)
	return nil
}

// reopened are the aborted transactions that a cut takes the marker from: they are open again. Of committed ones nothing
// is remembered, and nothing depends on them but the last stable offset until their marker comes again.
func (l *Log) reopened(to offset) ([]AbortedTxn, error) {
	var out []AbortedTxn
	bound := l.sealed
	if to >= bound {
		bound = to
	}
	lower, upper := offsetKey(nil, keyAborted, l.id, to), offsetKey(nil, keyAborted, l.id, bound)
	err := l.e.index.scan(lower, upper, func(k, v []byte) (bool, error) {
		_, last, err := decodeOffsetKey(k)
		if err != nil {
			return false, err
		}
		a, err := decodeAborted(last, v)
		if err == nil && a.First < to {
			out = append(out, a)
		}
		return true, err
	})
	for _, a := range l.state.producers().aborted {
		if a.Last >= to && a.First < to && (a.Last >= bound || !slices.ContainsFunc(out, func(b AbortedTxn) bool { return a.Last == b.Last })) {
			out = append(out, a)
		}
	}
	return out, l.e.indexDamage(err)
}

// minOffset is the smaller one of two of which the first may be none.
func minOffset(a, b offset) offset {
	if a < 0 {
		return b
	}
	return min(a, b)
}

// kept is what is left of an entry that is cut.
type kept struct {
	entry
}

// part keeps the batches of an entry that end below to.
func (e *Engine) part(of *entry, to offset) (kept, error) {
	k := kept{entry: *of}
	k.length, k.maxTime, k.last = 0, -1, of.base-1
	err := e.walk(of, func(b kafkaproto.Batch, _ int64) (bool, error) {
		if b.LastOffset() >= to {
			return false, nil
		}
		k.length += uint32(12 + b.Length())
		k.last = b.LastOffset()
		k.maxTime = max(k.maxTime, int64(b.MaxTimestamp()))
		k.epoch = int32(b.PartitionLeaderEpoch())
		return true, nil
	})
	if err != nil {
		return k, fmt.Errorf("cut log at %d: %w", to, err)
	}
	return k, nil
}
