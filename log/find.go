package log

import (
	"errors"

	"github.com/streambus/streambus/kafkaproto"
)

// FindTimestamp is the first record below upTo whose timestamp is ts or later, exact inside compressed batches too. It
// searches runs, then entries, then batches by their largest timestamps, and reads one batch.
func (l *Log) FindTimestamp(ts kafkaproto.Timestamp, upTo kafkaproto.Offset) (TimestampOffset, bool, error) {
	s := timeSearch{min: int64(ts), upTo: upTo}
	return s.run(l)
}

// FindMaxTimestamp is the first of the records below upTo that have the largest timestamp.
func (l *Log) FindMaxTimestamp(upTo kafkaproto.Offset) (TimestampOffset, bool, error) {
	// The largest of a whole run or entry may lie at or above upTo: then what is below counts, so search again.
	s := timeSearch{upTo: upTo, max: true}
	best, err := s.largest(l)
	if err != nil || best < 0 {
		return TimestampOffset{}, false, err
	}
	s.min = best
	return s.run(l)
}

// timeSearch is one search by time.
type timeSearch struct {
	min  int64
	upTo offset
	max  bool

	from, end, bound offset
	entries          []entry
	looks            int
}

func (s *timeSearch) begin(l *Log) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	s.from, s.end, s.bound, s.entries = l.start, min(s.upTo, l.written), l.sealed, l.unsealed.entries
	return nil
}

func (s *timeSearch) run(l *Log) (TimestampOffset, bool, error) {
	if err := s.begin(l); err != nil {
		return TimestampOffset{}, false, err
	}
	var found TimestampOffset
	ok := false
	err := s.candidates(l, s.min, func(e *entry) (bool, error) {
		var err error
		found, ok, err = s.inEntry(l, e)
		return !ok, err
	})
	if s.again(l, err) {
		return s.run(l)
	}
	return found, ok, err
}

// again tells whether what we looked at may have been what went: the log is deleted or starts later by now, or the records lie in
// another file.
func (s *timeSearch) again(l *Log, err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, errUnlinked) && s.looks < maxLooks {
		s.looks++
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start > s.from || l.dead != nil
}

// candidates calls fn with the entries that may hold a record of time min or later, in order, until it returns false.
func (s *timeSearch) candidates(l *Log, min int64, fn func(e *entry) (bool, error)) error {
	x := l.e.index
	sealed := s.end
	if sealed > s.bound {
		sealed = s.bound
	}
	more := true
	err := x.runs(l.id, s.from, sealed, func(r *run) (bool, error) {
		if r.maxTime < min {
			return true, nil
		}
		from, to := r.base, r.last+1
		if from < s.from {
			from = s.from
		}
		if to > sealed {
			to = sealed
		}
		err := x.entries(l.id, from, to, func(e *entry) (bool, error) {
			if e.maxTime < min {
				return true, nil
			}
			e, err := l.e.below(e, s.bound)
			if err != nil || e == nil || e.maxTime < min {
				return true, err
			}
			more, err = fn(e)
			return more, err
		})
		return more, err
	})
	if err != nil || !more {
		return l.e.indexDamage(err)
	}
	for i := search(s.entries, s.from); i < len(s.entries) && s.entries[i].base < s.end; i++ {
		if s.entries[i].maxTime < min {
			continue
		}
		if more, err := fn(&s.entries[i]); err != nil || !more {
			return err
		}
	}
	return nil
}

// inEntry looks for the record in the batches of one entry.
func (s *timeSearch) inEntry(l *Log, e *entry) (found TimestampOffset, ok bool, err error) {
	type place struct {
		pos  int64
		size int
	}
	var places []place
	err = l.e.walk(e, func(b kafkaproto.Batch, pos int64) (bool, error) {
		if b.BaseOffset() >= s.end {
			return false, nil
		}
		if b.LastOffset() >= s.from && int64(b.MaxTimestamp()) >= s.min {
			places = append(places, place{pos, 12 + int(b.Length())})
		}
		return true, nil
	})
	if err != nil {
		return found, false, err
	}
	for _, p := range places {
		b, err := l.e.readBatch(e, p.pos, p.size)
		if err != nil {
			return found, false, err
		}
		if found, ok, err = s.inBatch(b); err != nil || ok {
			return found, ok, err
		}
	}
	return found, false, nil
}

func (s *timeSearch) inBatch(b kafkaproto.Batch) (found TimestampOffset, ok bool, err error) {
	if b.IsControl() && b.NumRecords() > 0 && b.BaseOffset() >= s.from && b.BaseOffset() < s.end {
		return TimestampOffset{b.MaxTimestamp(), b.BaseOffset(), b.PartitionLeaderEpoch()}, true, nil
	}
	err = kafkaproto.Records(b, func(r kafkaproto.Record) error {
		ts := r.Timestamp
		if b.TimestampType() == kafkaproto.LogAppendTime {
			ts = b.MaxTimestamp()
		}
		if int64(ts) < s.min || r.Offset < s.from || r.Offset >= s.end {
			return nil
		}
		found, ok = TimestampOffset{ts, r.Offset, b.PartitionLeaderEpoch()}, true
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return found, ok, err
}

// largest is the largest timestamp of the records below upTo, -1 if there is none.
func (s *timeSearch) largest(l *Log) (int64, error) {
	if err := s.begin(l); err != nil {
		return -1, err
	}
	best := int64(-1)
	err := s.candidates(l, 0, func(e *entry) (bool, error) {
		if e.maxTime <= best {
			return true, nil
		}
		if e.last < s.end && e.base >= s.from {
			best = e.maxTime
			return true, nil
		}
		m, err := s.largestIn(l, e)
		best = max(best, m)
		return true, err
	})
	if s.again(l, err) {
		return s.largest(l)
	}
	return best, err
}

// largestIn looks into an entry of which only a part counts. A batch counts whole.
func (s *timeSearch) largestIn(l *Log, e *entry) (int64, error) {
	best := int64(-1)
	err := l.e.walk(e, func(b kafkaproto.Batch, _ int64) (bool, error) {
		if b.LastOffset() >= s.from && b.LastOffset() < s.end {
			best = max(best, int64(b.MaxTimestamp()))
		}
		return b.LastOffset() < s.end, nil
	})
	return best, err
}
