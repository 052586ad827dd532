package log

import (
	"errors"
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// CheckAt reads what the log has from an offset on, about maxBytes of it, and checks it: that batches follow one another, and
// their CRCs. Damage is noted as a hole, in memory only, and returned as a *CorruptionError: from now on reading there fails,
// and FirstHole tells of it. Other errors say nothing about the records.
func (l *Log) CheckAt(from kafkaproto.Offset, maxBytes int) error {
	looks := 0
	for next := from; maxBytes > 0; {
		l.mu.Lock()
		if err := l.usable(); err != nil {
			l.mu.Unlock()
			return err
		}
		e, ok, err := l.find(next)
		truncations := l.truncations
		l.mu.Unlock()
		if err != nil || !ok {
			return err
		}
		if err := l.checkEntry(&e, truncations); errors.Is(err, errUnlinked) && looks < maxLooks {
			looks++
			continue
		} else if err != nil {
			return err
		}
		next, maxBytes = e.last+1, maxBytes-int(e.length)
	}
	return nil
}

// checkEntry checks all batches of an entry.
func (l *Log) checkEntry(of *entry, truncations uint32) error {
	good := of.base
	err := l.e.walk(of, func(head kafkaproto.Batch, pos int64) (bool, error) {
		b, err := l.e.readBatch(of, pos, 12+int(head.Length()))
		if err == nil {
			good = b.LastOffset() + 1
		}
		return true, err
	})
	var damage *CorruptionError
	if !errors.As(err, &damage) {
		return err
	}
	lost := hole{first: good, last: max(of.last, good), file: of.file, pos: damage.Position}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.truncations != truncations {
		return nil // it may be gone
	}
	damage.Known, damage.Log, damage.First, damage.Last = true, l.id, lost.first, lost.last
	if !slices.ContainsFunc(l.holes(), func(h hole) bool { return h.first == lost.first && h.last == lost.last }) {
		l.addHole(lost)
	}
	if f := l.e.opts.Events.Corruption; f != nil {
		f(damage)
	}
	return damage
}
