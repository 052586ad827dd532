package log

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/streambus/streambus/internal/invariants"
	"github.com/streambus/streambus/kafkaproto"
)

// changes is what a file changed in a log beside adding to it, and has to be undone in the index when it is sealed.
type changes struct {
	truncated offset // lowest end the log was cut to in this file, -1: none
	started   bool   // the start moved
	deleted   bool   // whatever was there before is gone
	state     bool   // epochs or producers changed
}

var noChanges = changes{truncated: -1}

// touch makes sure that what an older file did to the log is captured before this file changes more. The lock is held.
func (l *Log) touch(id uint32) {
	if l.touched == id {
		return
	}
	if l.touched != 0 {
		l.e.seal.capture(l)
	}
	l.touched = id
	l.e.seal.touch(l, id)
}

// publish takes in a data frame that is written: by the writer or, in a recovery, off the disk. pieces are its payload,
// cut between batches. The lock is held.
func (l *Log) publish(h *frameHeader, pieces [][]byte) error {
	if l.dead != nil {
		return nil // closed: what is on disk will be there again
	}
	if err := l.load(); err != nil {
		return err
	}
	l.touch(h.at.file())
	if h.first < l.written {
		invariants.Check(false, "log %s: frame %d-%d written at end %d", l.id, h.first, h.last, l.written)
		return fmt.Errorf("%w: log %s: frame of offsets %d-%d behind end %d", ErrCorrupt, l.id, h.first, h.last, l.written)
	}
	l.unsealed.add(entryOf(h))
	l.written = h.last + 1
	for _, piece := range pieces {
		for len(piece) > 0 {
			b, rest, err := kafkaproto.NextBatch(piece)
			if err != nil {
				return err
			}
			l.publishBatch(b)
			piece = rest
		}
	}
	return nil
}

func (l *Log) publishBatch(b kafkaproto.Batch) {
	if epoch, _ := l.state.epochs.latest(); b.PartitionLeaderEpoch() > epoch {
		l.state.epochs = l.state.epochs.assign(b.PartitionLeaderEpoch(), b.BaseOffset())
		l.changes.state = true
	}
	if b.ProducerID() < 0 {
		return
	}
	i := infoOf(b, b.BaseOffset(), b.LastOffset())
	l.state.ownProducers().publish(&i)
	l.changes.state = true
}

// applyControls takes in the records of a control frame. replay is nil for the writer.
func (e *Engine) applyControls(h *frameHeader, pieces [][]byte, replay *replay) error {
	for _, piece := range pieces {
		for len(piece) > 0 {
			c, rest, err := nextControl(piece)
			if err != nil {
				return err
			}
			if err := e.applyControl(h, &c, replay); err != nil {
				return fmt.Errorf("control record %d of log %s: %w", c.kind, c.log, err)
			}
			piece = rest
		}
	}
	return nil
}

func (e *Engine) applyControl(h *frameHeader, c *control, replay *replay) error {
	if replay != nil && replay.before(h, c.log) {
		return nil
	}
	switch c.kind {
	case ctlEnd, ctlUnlink, ctlRoster:
		if replay != nil {
			return replay.applyEngine(c)
		}
		return nil
	case ctlSorted:
		if replay != nil {
			return replay.applySorted(c.sorted())
		}
		e.files.list(c.sorted().id, c.sorted().end)
		return nil
	case ctlCreate:
		e.applyCreate(h, c.log)
		return nil
	}
	l := e.lookup(c.log)
	if l == nil {
		if c.kind != ctlCheckpoint {
			return nil // deleted meanwhile, or of a log whose files are gone
		}
		l = e.addLog(c.log)
	}
	err := l.applyControl(h, c, replay != nil)
	if c.kind == ctlDelete {
		e.removeLog(l)
	}
	if replay == nil {
		e.write.publishControl(l)
	}
	return err
}

var errUnknownControl = errors.New("unknown control record")

// applyControl changes one log. It is idempotent: a recovery may apply what the index knows already.
func (l *Log) applyControl(h *frameHeader, c *control, replaying bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(); err != nil {
		return err
	}
	l.touch(h.at.file())
	err := l.change(h, c, replaying)
	if replaying {
		l.next = l.written
	}
	l.wakeDrained()
	return err
}

func (l *Log) change(h *frameHeader, c *control, replaying bool) error {
	switch c.kind {
	case ctlDelete:
		l.applyDelete()
		l.e.seal.noteDeletion(h.at.file())
	case ctlTruncate:
		return l.applyTruncate(offset(c.int()))
	case ctlStart:
		l.applyStart(offset(c.int()))
	case ctlEpoch:
		l.applyEpoch(c)
	case ctlCheckpoint:
		return l.applyCheckpoint(h, c, replaying)
	case ctlHigh:
		l.applyHigh(offset(c.int()))
	case ctlQuarantine:
		l.quarantined = max(c.int(), 0)
	default:
		return errUnknownControl
	}
	return nil
}

func (e *Engine) applyCreate(h *frameHeader, id tp) {
	l := e.lookup(id)
	if l != nil && l.exists() {
		// Replay of files of which some are gone: whatever was there before belongs to an earlier log of that name.
		l.mu.Lock()
		l.touch(h.at.file())
		l.applyDelete()
		l.mu.Unlock()
		e.removeLog(l)
		l = nil
	}
	if l == nil {
		l = e.addLog(id)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.touch(h.at.file())
	if l.state == nil {
		l.state = &logState{}
	}
	l.created, l.incarnation, l.checkpoint = true, h.sequence, h.at.file()
	l.changes.state = true
}

// exists tells whether the log has a history, be it only that of files whose first are gone.
func (l *Log) exists() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.created || l.touched != 0 || l.written > 0
}

func (e *Engine) addLog(id tp) *Log {
	l := e.newLog(id)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.logs[id] = l
	return l
}

func (e *Engine) removeLog(l *Log) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.logs[l.id] == l {
		delete(e.logs, l.id)
	}
}

func (l *Log) applyDelete() {
	l.dead = fmt.Errorf("%w: it was deleted", ErrClosed)
	l.wakeDrained()
	l.unsealed, l.state = unsealed{}, &logState{}
	l.changes.deleted = true
}

func (l *Log) applyEpoch(c *control) {
	epoch := kafkaproto.LeaderEpoch(int32(uint32(c.int() >> 32)))
	start := offset(binary.BigEndian.Uint64(c.body[4:]))
	if latest, _ := l.state.epochs.latest(); epoch > latest {
		l.state.epochs = l.state.epochs.assign(epoch, start)
		l.changes.state = true
	}
	if l.pending.epoch <= epoch {
		l.pending.epoch = -1
	}
}

func (l *Log) applyHigh(hw offset) {
	l.highLogged = hw
}

// applyStart moves the start of the log. A start beyond the end leaves an empty log that goes on there.
func (l *Log) applyStart(to offset) {
	if to <= l.start {
		return
	}
	l.start = to
	l.changes.started = true
	l.unsealed.dropBelow(to)
	l.state.table.forgetAborted(to)
	if l.written < to {
		l.written, l.next = to, max(l.next, to)
		l.truncations++
	}
	if e := l.state.epochs.advance(to); len(e) != len(l.state.epochs) || len(e) > 0 && e[0] != l.state.epochs[0] {
		l.state.epochs = e
		l.changes.state = true
	}
}

// applyCheckpoint replaces all control state by what the checkpoint holds, which matters only where files are gone that
// held it: a checkpoint says what the log knew at that very place of the WAL.
func (l *Log) applyCheckpoint(h *frameHeader, c *control, replaying bool) error {
	var cp checkpoint
	if err := cp.decode(c.body); err != nil {
		return err
	}
	l.checkpoint = h.at.file()
	l.changes.state = true
	if !replaying {
		return nil
	}
	return l.restore(&cp)
}

func (l *Log) restore(cp *checkpoint) error {
	s := &logState{}
	if err := s.decode(cp.state); err != nil {
		return err
	}
	l.created = true
	l.incarnation, l.quarantined, l.highLogged = cp.meta.incarnation, cp.meta.quarantined, cp.meta.high
	if cp.meta.next < l.written {
		if err := l.applyTruncate(cp.meta.next); err != nil {
			return err
		}
	}
	l.written = cp.meta.next
	if cp.meta.start < l.start {
		// What was replayed was of an earlier log of the same name.
		l.start, l.changes.started = cp.meta.start, true
		l.unsealed.dropBelow(l.start)
	}
	l.applyStart(cp.meta.start)
	if len(cp.aborted) > 0 {
		s.ownProducers().aborted = cp.aborted
	}
	if !l.e.fresh {
		// Of what is sealed the index knows more: since the checkpoint compaction by key may have left some out.
		s.table.forgetAborted(l.sealed)
	}
	l.state = s
	return nil
}
