package log

import (
	"fmt"
	"math"

	"github.com/streambus/streambus/internal/planted"
	"github.com/streambus/streambus/kafkaproto"
)

// Append gives whole batches to the log: it checks their producers, assigns offsets (a follower's data brings its own),
// stamps the bytes in place and queues them. The order of calls is the order of offsets. It waits for room before it takes any
// lock. When it returns an error or a duplicate, the bytes are the caller's again and Done is not called.
//
// Errors: OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED; KAFKA_STORAGE_ERROR with
// ErrFull, ErrFailed or ErrClosed; ErrOffsetOrder for a follower; CORRUPT_MESSAGE for bytes that are no batches.
func (l *Log) Append(a Append) (Appended, error) {
	e := l.e
	err := e.takes()
	if err == nil {
		err = e.flow.admit(len(a.Data), e.takes)
	}
	if err != nil {
		if a.Origin == OriginClient && !a.Follower {
			l.Refused(a.Data)
		}
		return Appended{}, err
	}
	l.mu.Lock()
	r, err := l.append(&a)
	l.mu.Unlock()
	if err != nil || r.Duplicate {
		e.flow.written(int64(len(a.Data)))
		return r, err
	}
	e.counts.appends.Add(1)
	e.counts.appendedBytes.Add(int64(len(a.Data)))
	return r, nil
}

// maxRefused bounds for how many producers a log remembers that it has refused their first batch.
const maxRefused = 1000

// Refused notes that a client's batches were not taken for a reason that passes (a full disk, too few replicas in sync). Of a
// producer that the log does not know any sequence is a beginning, so what was sent behind them, and comes when the reason has passed,
// would be taken before they come again: it has to wait for them, as it would if the producer was known.
func (l *Log) Refused(records []byte) {
	b, _, err := kafkaproto.NextBatch(records)
	if err != nil || b.Magic() != 2 || b.ProducerID() < 0 || b.IsControl() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil || l.load() != nil {
		return
	}
	if p := l.state.producers().byID[b.ProducerID()]; p != nil && p.assigned.epoch >= 0 {
		return
	}
	i := infoOf(b, 0, 0)
	if r, ok := l.refused[i.producer]; ok && (r.epoch > i.epoch || r.epoch == i.epoch && r.firstSeq <= i.firstSeq) {
		return
	}
	if l.refused == nil || len(l.refused) >= maxRefused {
		l.refused = map[kafkaproto.ProducerID]batchInfo{}
	}
	l.refused[i.producer] = i
}

// comesLater tells whether a batch of a producer that the log does not know has to wait for one that was refused.
func (l *Log) comesLater(b *batchInfo) error {
	r, ok := l.refused[b.producer]
	if !ok || r.epoch != b.epoch || b.firstSeq <= r.firstSeq {
		return nil
	}
	return kafkaproto.ErrOutOfOrderSequenceNumber.With("producer %d, epoch %d: sequence %d comes before %d, which was refused and has not come again",
		b.producer, b.epoch, b.firstSeq, r.firstSeq)
}

func (l *Log) append(a *Append) (Appended, error) {
	if err := l.usable(); err != nil {
		return Appended{}, err
	}
	if l.quarantined != 0 {
		return Appended{}, storage(fmt.Errorf("log %s is quarantined", l.id))
	}
	if err := l.load(); err != nil {
		return Appended{}, err
	}
	if dup, r, err := l.checkProducers(a); err != nil || dup {
		return r, err
	}
	return l.enqueue(a)
}

// checkProducers changes nothing. Like Kafka, it answers for the whole request with the first batch that is a
// duplicate; clients send one batch at a time.
func (l *Log) checkProducers(a *Append) (dup bool, r Appended, err error) {
	var changed map[kafkaproto.ProducerID]*producerData
	next := l.next
	several := false
	for rest := a.Data; len(rest) > 0; {
		b, tail, err := kafkaproto.NextBatch(rest)
		if err != nil {
			return false, r, err
		}
		rest = tail
		if a.Follower {
			if next, err = l.checkOrder(b, next); err != nil {
				return false, r, err
			}
		}
		if b.ProducerID() < 0 {
			continue
		}
		several = several || len(tail) > 0
		if dup, r, err := l.checkProducer(b, a, &changed, several); err != nil || dup {
			return dup, r, err
		}
	}
	return false, r, nil
}

func (l *Log) checkOrder(b kafkaproto.Batch, next offset) (offset, error) {
	if b.BaseOffset() < next || b.LastOffsetDelta() < 0 {
		return next, fmt.Errorf("%w: batch %d-%d of log %s, whose next offset is %d",
			ErrOffsetOrder, b.BaseOffset(), b.LastOffset(), l.id, next)
	}
	return b.NextOffset(), nil
}

// checkProducer checks one batch against what is assigned, and against what earlier batches of the same call changed.
func (l *Log) checkProducer(b kafkaproto.Batch, a *Append, changed *map[kafkaproto.ProducerID]*producerData, several bool) (bool, Appended, error) {
	if a.Origin == OriginReplication || a.Follower {
		return false, Appended{}, nil
	}
	i := infoOf(b, 0, offset(b.LastOffsetDelta()))
	known := (*changed)[i.producer]
	if known == nil {
		if p := l.state.producers().byID[i.producer]; p != nil {
			known = &p.assigned
		} else {
			unknown := newProducerData()
			known = &unknown
		}
	}
	if a.Origin == OriginClient && !i.control {
		if m, ok := known.duplicate(&i); ok {
			return true, l.duplicateAnswer(a, m), nil
		}
	}
	if a.Origin == OriginClient && known.epoch < 0 {
		if err := l.comesLater(&i); err != nil {
			return false, Appended{}, err
		}
	}
	if err := known.check(&i, a.Origin); err != nil || !several {
		return false, Appended{}, err
	}
	after := *known
	after.update(&i)
	if *changed == nil {
		*changed = map[kafkaproto.ProducerID]*producerData{}
	}
	(*changed)[i.producer] = &after
	return false, Appended{}, nil
}

func (l *Log) duplicateAnswer(a *Append, m batchMeta) Appended {
	r := Appended{First: m.first(), Last: m.last, LogStart: l.start, LogAppendTime: kafkaproto.NoTimestamp, Duplicate: true}
	if a.LogAppendTime {
		r.LogAppendTime = kafkaproto.Timestamp(m.time)
	}
	return r
}

// enqueue stamps the batches, queues them in frames' worth and takes them into the log's assigned state, or changes
// nothing of it if the queue refuses. The bytes may be stamped in either case.
func (l *Log) enqueue(a *Append) (Appended, error) {
	r := Appended{First: l.next, LogStart: l.start, LogAppendTime: kafkaproto.NoTimestamp}
	if a.LogAppendTime && !a.Follower {
		r.LogAppendTime = a.Now
	}
	var one [1]item
	items, next := l.stamp(a, one[:0])
	if len(items) == 0 {
		return Appended{}, kafkaproto.ErrCorruptMessage.With("no record batch")
	}
	r.First, r.Last = items[0].first, next-1
	items[len(items)-1].done = a.Done
	if err := l.e.queue.pushAll(items, a.Hold); err != nil {
		return Appended{}, err
	}
	l.next = next
	l.assign(a.Data, a.Follower)
	return r, nil
}

// stamp sets offsets, epochs and timestamps in the data, and cuts it into items of about mergeBytes.
func (l *Log) stamp(a *Append, items []item) ([]item, offset) {
	next, from, pos := l.next, 0, 0
	var it *item
	for pos < len(a.Data) {
		b, _, err := kafkaproto.NextBatch(a.Data[pos:])
		if err != nil {
			break // checkProducers has walked the same bytes
		}
		base := next
		if a.Follower {
			base = b.BaseOffset()
		} else {
			b.SetBaseOffset(next)
			b.SetPartitionLeaderEpoch(a.Epoch)
			if a.LogAppendTime {
				b.StampLogAppendTime(a.Now)
			}
		}
		if it == nil || len(it.data)+len(b) > mergeBytes {
			items = append(items, item{log: l, first: base, gap: uint32(min(base-next, math.MaxUint32)), maxTime: -1})
			it = &items[len(items)-1]
			from = pos
		}
		pos += len(b)
		it.data = a.Data[from:pos:pos]
		it.epoch, it.last = b.PartitionLeaderEpoch(), b.LastOffset()
		it.maxTime = max(it.maxTime, int64(b.MaxTimestamp()))
		it.batches++
		next = b.NextOffset()
	}
	return items, next
}

// assign takes the batches into what later appends are checked against.
func (l *Log) assign(data []byte, follower bool) {
	for len(data) > 0 {
		b, rest, err := kafkaproto.NextBatch(data)
		if err != nil {
			return
		}
		data = rest
		if b.ProducerID() < 0 {
			continue
		}
		delete(l.refused, b.ProducerID())
		p := l.state.ownProducers().get(b.ProducerID())
		i := infoOf(b, b.BaseOffset(), b.LastOffset())
		if !follower || !planted.Is(planted.ProducersForgotten) {
			p.assigned.update(&i)
		}
		p.inFlight++
	}
}
