package log

import (
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// Producers are the producers that the log knows, by id.
func (l *Log) Producers() []ProducerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.load() != nil {
		return nil
	}
	var out []ProducerState
	for id, p := range l.state.producers().byID {
		if p.assigned.epoch >= 0 {
			out = append(out, p.assigned.describe(id))
		}
	}
	slices.SortFunc(out, func(a, b ProducerState) int { return int(a.ID - b.ID) })
	return out
}

// Producer is one of them.
func (l *Log) Producer(id kafkaproto.ProducerID) (ProducerState, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.load() != nil {
		return ProducerState{}, false
	}
	p := l.state.producers().byID[id]
	if p == nil || p.assigned.epoch < 0 {
		return ProducerState{}, false
	}
	return p.assigned.describe(id), true
}

func (p *producerData) describe(id kafkaproto.ProducerID) ProducerState {
	s := ProducerState{
		ID: id, Epoch: kafkaproto.ProducerEpoch(p.epoch), LastSequence: -1, LastTimestamp: kafkaproto.Timestamp(p.lastTime),
		CoordinatorEpoch: p.coordinatorEpoch, TxnStart: p.txnStart,
	}
	if p.n > 0 {
		s.LastSequence = p.batches[p.n-1].lastSeq
	}
	return s
}

// TransactionOpen tells whether the producer has an open transaction in this log under that epoch.
func (l *Log) TransactionOpen(id kafkaproto.ProducerID, epoch kafkaproto.ProducerEpoch) bool {
	s, ok := l.Producer(id)
	return ok && s.Epoch == epoch && s.TxnStart >= 0
}

// FirstUnstable is the first offset of the oldest open transaction.
func (l *Log) FirstUnstable() (kafkaproto.Offset, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.load() != nil || len(l.state.producers().open) == 0 {
		return kafkaproto.NoOffset, false
	}
	return l.state.producers().open[0].first, true
}

// LastStable is the last stable offset at a high watermark: what read_committed may see. High watermarks only rise, but
// for a truncation.
func (l *Log) LastStable(hw kafkaproto.Offset) kafkaproto.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.load() != nil {
		return l.start
	}
	return l.state.table.lastStable(hw)
}

// Aborted are the aborted transactions that have records at from or above and below to, by first offset.
func (l *Log) Aborted(from, to kafkaproto.Offset) ([]AbortedTxn, error) {
	l.mu.Lock()
	err := l.usable()
	if err == nil {
		err = l.load()
	}
	if err != nil {
		l.mu.Unlock()
		return nil, err
	}
	bound, recent := l.sealed, l.state.producers().aborted
	l.mu.Unlock()
	out, stopped, err := l.sealedAborted(from, min(to, bound), bound, to)
	if err != nil {
		return nil, err
	}
	for _, a := range recent {
		if !stopped && a.Last >= max(from, bound) && a.First < to {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b AbortedTxn) int { return int(a.First - b.First) })
	return out, nil
}

// sealedAborted searches the index for markers from from up to bound.
func (l *Log) sealedAborted(from, _, bound, to offset) (out []AbortedTxn, stopped bool, err error) {
	lower, upper := offsetKey(nil, keyAborted, l.id, from), offsetKey(nil, keyAborted, l.id, bound)
	if from >= bound {
		return nil, false, nil
	}
	err = l.e.index.scan(lower, upper, func(k, v []byte) (bool, error) {
		_, last, err := decodeOffsetKey(k)
		if err != nil {
			return false, err
		}
		a, err := decodeAborted(last, v)
		if err != nil {
			return false, err
		}
		if a.First < to {
			out = append(out, a)
		}
		// A transaction that began below to was still open, or is listed, when this marker was written.
		stopped = a.LastStable >= to
		return !stopped, nil
	})
	return out, stopped, l.e.indexDamage(err)
}
