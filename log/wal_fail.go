package log

import (
	"errors"
	"fmt"
	"syscall"
)

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isIO(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS)
}

// failed handles a write that did not happen as a whole. A full disk is survived: whatever was queued fails, its logs
// fall back to what is written, and the active file is given up at its last good frame, because nobody knows what
// stands behind it. Anything else poisons the directory.
func (w *writer) failed(items []item, rest []plan, behind []item, cause error) {
	if !isNoSpace(cause) {
		w.e.fail(fmt.Errorf("write the WAL: %w", cause))
		w.refuse(items, rest, behind, w.e.Failed())
		return
	}
	w.broken = true
	w.e.setFull(true, 0)
	w.refuse(items, rest, behind, storage(fmt.Errorf("%w: %w", ErrFull, cause)))
}

// refuse undoes what was queued: the items of the plans, those behind, and all that came meanwhile.
func (w *writer) refuse(items []item, plans []plan, behind []item, err error) {
	var undo []item
	for i := range plans {
		for j := plans[i].head; j != noItem; j = items[j].next {
			undo = append(undo, items[j])
		}
	}
	undo = append(undo, behind...)
	undo = append(undo, w.e.queue.refuse(err)...)
	for i := range undo {
		for _, l := range []*Log{undo[i].log, undo[i].owner} {
			if l != nil {
				l.rollback()
			}
		}
	}
	released := int64(0)
	for i := range undo {
		if undo[i].log != nil {
			released += int64(len(undo[i].data))
		}
		if undo[i].done != nil {
			undo[i].done(err)
		}
	}
	w.e.flow.written(released)
	if w.e.Failed() == nil {
		w.e.queue.refuse(nil)
	}
}

// rollback forgets what was assigned and will not be written.
func (l *Log) rollback() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = l.written
	if l.state != nil {
		l.state.table.rollback()
	}
	l.wakeDrained()
}
