package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// hole are offsets that were lost to damage and accepted as lost (Options.AcceptCorruption). Reading there fails: a
// loss is never skipped in silence.
type hole struct {
	first, last offset
	file        uint32
	pos         int64
}

func (h *hole) err(id tp) error {
	return &CorruptionError{
		File: fileName(h.file), Position: h.pos, Known: true, Log: id, First: h.first, Last: h.last,
		Detail: "these offsets were damaged and are lost",
	}
}

// FirstHole is the lowest offset that was lost to damage, and false if nothing was. What ends below it is intact.
func (l *Log) FirstHole() (kafkaproto.Offset, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first, found := offset(0), false
	for _, h := range l.holes() {
		if h.last >= l.start && (!found || h.first < first) {
			first, found = h.first, true
		}
	}
	return max(first, l.start), found
}

// cutHoles forgets what was lost behind the end that the log is cut to: other records may take those offsets. Readers keep
// the list that they have. The lock is held.
func (l *Log) cutHoles(to offset) {
	var kept []hole
	for _, h := range l.holes() {
		if h.first >= to {
			continue
		}
		h.last = min(h.last, to-1)
		kept = append(kept, h)
	}
	l.damaged = nil
	if len(kept) > 0 {
		l.damaged = &kept
	}
}

// holes are what was lost to damage. Who has the list may keep it. The lock is held.
func (l *Log) holes() []hole {
	if l.damaged == nil {
		return nil
	}
	return *l.damaged
}

// addHole adds one to a new list. The lock is held.
func (l *Log) addHole(h hole) {
	list := append(slices.Clone(l.holes()), h)
	l.damaged = &list
}

// Damaged names the logs that an error of Open says are damaged (ErrCorrupt). all is set if it can't be told which: any log of
// the directory may lack records then.
func Damaged(err error) (logs []kafkaproto.TopicPartition, all bool) {
	places := 0
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) { //nolint:errorlint // the tree itself is walked
		case *CorruptionError:
			places++
			if !e.Known {
				all = true
			} else if !slices.Contains(logs, e.Log) {
				logs = append(logs, e.Log)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		default:
			if inner := errors.Unwrap(err); inner != nil {
				walk(inner)
			}
		}
	}
	walk(err)
	return logs, all || places == 0 || places >= maxDamage
}

func (h *hole) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(h.last-h.first))
	b = binary.AppendUvarint(b, uint64(h.file))
	return binary.AppendUvarint(b, uint64(h.pos))
}

func (h *hole) decode(last offset, v []byte) error {
	r := reader{b: v}
	h.last = last
	h.first = last - offset(r.uint())
	h.file, h.pos = uint32(r.uint()), int64(r.uint())
	if r.bad || h.first < 0 || h.first > h.last {
		return fmt.Errorf("%w: hole", errIndex)
	}
	return nil
}
