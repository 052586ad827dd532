package log

import (
	"math"
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// keptBatches is how many batches of a producer are remembered to recognise a duplicate, as in Kafka.
const keptBatches = 5

// batchMeta is a batch as it is remembered for that.
type batchMeta struct {
	lastSeq int32
	delta   int32 // last offset minus first, which is also last sequence minus first
	last    offset
	time    int64
}

func (m *batchMeta) firstSeq() int32 { return kafkaproto.AddSequence(m.lastSeq, -m.delta) }
func (m *batchMeta) first() offset   { return m.last - offset(m.delta) }

// producerData is what a log knows of a producer at one point of the log (Kafka's ProducerStateEntry).
type producerData struct {
	epoch            int16
	n                uint8
	coordinatorEpoch int32
	lastTime         int64
	txnStart         offset // -1: no transaction is open
	batches          [keptBatches]batchMeta
}

func newProducerData() producerData {
	return producerData{epoch: -1, coordinatorEpoch: -1, lastTime: -1, txnStart: -1}
}

// known tells whether there is something to remember. Of a producer whose batches were cut off all but a transaction may be
// forgotten that a truncation has opened again, its epoch too.
func (p *producerData) known() bool { return p.epoch >= 0 || p.txnStart >= 0 }

// producer holds the state twice: with what has been assigned an offset, against which appends are checked, and with
// what has been written, which is what a snapshot holds and what a failed write falls back to. They are equal when
// nothing is in flight.
type producer struct {
	assigned, written producerData
	inFlight          int32
}

// batchInfo is what a batch's header says about its producer.
type batchInfo struct {
	producer          kafkaproto.ProducerID
	epoch             int16
	firstSeq, lastSeq int32
	first, last       offset
	time              int64
	transactional     bool
	control           bool
	marker            bool // control batch that ends a transaction
	commit            bool
	coordinatorEpoch  int32
}

func infoOf(b kafkaproto.Batch, first, last offset) batchInfo {
	i := batchInfo{
		producer: b.ProducerID(), epoch: int16(b.ProducerEpoch()),
		firstSeq: b.BaseSequence(), lastSeq: b.LastSequence(),
		first: first, last: last, time: int64(b.MaxTimestamp()),
		transactional: b.IsTransactional(), control: b.IsControl(),
	}
	if i.control {
		if t, coordinator, err := b.ControlType(); err == nil {
			i.marker = t == kafkaproto.ControlAbort || t == kafkaproto.ControlCommit
			i.commit, i.coordinatorEpoch = t == kafkaproto.ControlCommit, coordinator
		}
	}
	return i
}

// duplicate finds the remembered batch with the same epoch and sequences.
func (p *producerData) duplicate(b *batchInfo) (batchMeta, bool) {
	if p.epoch != b.epoch {
		return batchMeta{}, false
	}
	for _, m := range p.batches[:p.n] {
		if m.firstSeq() == b.firstSeq && m.lastSeq == b.lastSeq {
			return m, true
		}
	}
	return batchMeta{}, false
}

// check is Kafka's ProducerAppendInfo: epochs for everyone, sequences for clients, the coordinator's epoch for markers.
func (p *producerData) check(b *batchInfo, origin Origin) error {
	if b.control {
		return p.checkMarker(b, origin)
	}
	if origin == OriginReplication {
		return nil
	}
	if b.epoch < p.epoch {
		return kafkaproto.ErrInvalidProducerEpoch.With("producer %d has epoch %d, the batch has %d", b.producer, p.epoch, b.epoch)
	}
	if origin != OriginClient || b.firstSeq < 0 {
		return nil
	}
	return p.checkSequence(b)
}

func (p *producerData) checkSequence(b *batchInfo) error {
	switch {
	case p.epoch < 0:
		// Nothing is known of the producer, perhaps because its records were deleted: any sequence is a beginning.
		return nil
	case b.epoch != p.epoch:
		if b.firstSeq != 0 {
			return kafkaproto.ErrOutOfOrderSequenceNumber.With("producer %d begins epoch %d with sequence %d (its epoch was %d)",
				b.producer, b.epoch, b.firstSeq, p.epoch)
		}
		return nil
	}
	last := int32(-1)
	if p.n > 0 {
		last = p.batches[p.n-1].lastSeq
	}
	if b.firstSeq == last+1 && last != math.MaxInt32 || b.firstSeq == 0 && last == math.MaxInt32 {
		return nil
	}
	return kafkaproto.ErrOutOfOrderSequenceNumber.With("producer %d, epoch %d: sequence %d does not follow %d",
		b.producer, b.epoch, b.firstSeq, last)
}

func (p *producerData) checkMarker(b *batchInfo, origin Origin) error {
	if origin == OriginReplication || !b.marker {
		return nil
	}
	if b.epoch < p.epoch {
		return kafkaproto.ErrInvalidProducerEpoch.With("marker of producer %d has epoch %d, its epoch is %d", b.producer, b.epoch, p.epoch)
	}
	if p.coordinatorEpoch > b.coordinatorEpoch {
		return kafkaproto.ErrTransactionCoordinatorFenced.With("marker of producer %d has coordinator epoch %d, last was %d",
			b.producer, b.coordinatorEpoch, p.coordinatorEpoch)
	}
	return nil
}

// update takes a batch in. For a marker that closes a transaction it returns where that began, else -1.
func (p *producerData) update(b *batchInfo) (closed offset) {
	if b.epoch != p.epoch {
		p.epoch, p.n = b.epoch, 0
	}
	p.lastTime = b.time
	if b.control {
		if !b.marker {
			return -1
		}
		closed = p.txnStart
		p.txnStart, p.coordinatorEpoch = -1, b.coordinatorEpoch
		return closed
	}
	if p.n == keptBatches {
		copy(p.batches[:], p.batches[1:])
		p.n--
	}
	p.batches[p.n] = batchMeta{lastSeq: b.lastSeq, delta: int32(b.last - b.first), last: b.last, time: b.time}
	p.n++
	if b.transactional && p.txnStart < 0 {
		p.txnStart = b.first
	}
	return -1
}

// openTxn is an open transaction in a log.
type openTxn struct {
	producer kafkaproto.ProducerID
	first    offset
}

// producerTable are the producers of one log. The log's lock guards it. What needs none to be known works on nil, too.
type producerTable struct {
	byID map[kafkaproto.ProducerID]*producer
	open []openTxn // by first offset, of what is written
	// closing are transactions whose marker may still be above the high watermark: they hold the last stable offset.
	closing []AbortedTxn
	// aborted are those whose marker is in an unsealed file, by their markers.
	aborted []AbortedTxn
}

func (t *producerTable) get(id kafkaproto.ProducerID) *producer {
	p := t.byID[id]
	if p == nil {
		if t.byID == nil {
			t.byID = map[kafkaproto.ProducerID]*producer{}
		}
		p = &producer{assigned: newProducerData(), written: newProducerData()}
		t.byID[id] = p
	}
	return p
}

// publish takes in a batch that is written. high is the high watermark, for pruning.
func (t *producerTable) publish(b *batchInfo) {
	p := t.get(b.producer)
	wasOpen := p.written.txnStart >= 0
	closed := p.written.update(b)
	if p.inFlight > 0 {
		p.inFlight--
	} else {
		p.assigned = p.written
	}
	switch {
	case closed >= 0:
		t.close(b, closed)
	case !wasOpen && p.written.txnStart >= 0:
		t.open = append(t.open, openTxn{b.producer, b.first})
	}
}

func (t *producerTable) close(b *batchInfo, first offset) {
	t.open = slices.DeleteFunc(slices.Clone(t.open), func(o openTxn) bool { return o.producer == b.producer })
	done := AbortedTxn{Producer: b.producer, First: first, Last: b.last}
	t.closing = append(t.closing, done)
	if b.commit {
		return
	}
	done.LastStable = b.last + 1
	for _, o := range t.open {
		done.LastStable = min(done.LastStable, o.first)
	}
	t.aborted = append(t.aborted, done)
}

// rollback forgets what was assigned but not written.
func (t *producerTable) rollback() {
	if t == nil {
		return
	}
	for id, p := range t.byID {
		p.assigned, p.inFlight = p.written, 0
		if !p.written.known() {
			delete(t.byID, id)
		}
	}
}

// truncate forgets what was written at to and above. What a remembered batch below was is kept, as in Kafka, whose
// snapshots do no more; reopened are transactions that lost their marker.
func (t *producerTable) truncate(to offset, reopened []AbortedTxn) {
	if t == nil {
		return
	}
	for id, p := range t.byID {
		d := &p.written
		for d.n > 0 && d.batches[d.n-1].last >= to {
			d.n--
		}
		if d.txnStart >= to {
			d.txnStart = -1
		}
		if d.n == 0 && d.txnStart < 0 {
			delete(t.byID, id)
			continue
		}
		p.assigned, p.inFlight = *d, 0
	}
	t.open = slices.DeleteFunc(slices.Clone(t.open), func(o openTxn) bool { return o.first >= to })
	for _, a := range reopened {
		t.reopen(a)
	}
	gone := func(a AbortedTxn) bool { return a.Last >= to }
	t.closing = slices.DeleteFunc(slices.Clone(t.closing), gone)
	t.aborted = slices.DeleteFunc(slices.Clone(t.aborted), gone)
}

func (t *producerTable) reopen(c AbortedTxn) {
	p := t.get(c.Producer)
	if p.written.txnStart >= 0 && p.written.txnStart <= c.First {
		return
	}
	p.written.txnStart = c.First
	p.assigned = p.written
	t.open = append(t.open, openTxn{c.Producer, c.First})
	slices.SortFunc(t.open, func(a, b openTxn) int { return int(a.first - b.first) })
}

// expire forgets producers that were idle for long.
func (t *producerTable) expire(before int64) {
	if t == nil {
		return
	}
	for id, p := range t.byID {
		if p.inFlight == 0 && p.written.txnStart < 0 && p.written.lastTime < before {
			delete(t.byID, id)
		}
	}
}

// forgetAborted forgets aborted transactions whose marker is below an offset. Who has the list of before may keep it.
func (t *producerTable) forgetAborted(below offset) {
	if t == nil || len(t.aborted) == 0 {
		return
	}
	t.aborted = slices.DeleteFunc(slices.Clone(t.aborted), func(a AbortedTxn) bool { return a.Last < below })
}

// lastStable is the first offset that a transaction holds back, hw if none does.
func (t *producerTable) lastStable(hw offset) offset {
	if t == nil {
		return hw
	}
	t.closing = slices.DeleteFunc(t.closing, func(c AbortedTxn) bool { return c.Last < hw })
	stable := hw
	if len(t.open) > 0 {
		stable = min(stable, t.open[0].first)
	}
	for _, c := range t.closing {
		stable = min(stable, c.First)
	}
	return stable
}
