package log

import (
	"math"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// cleanRules are what one pass over a log needs to know beside the map.
type cleanRules struct {
	now             kafkaproto.Timestamp
	deleteRetention time.Duration // delete.retention.ms
	// aborted are the aborted transactions that begin below the end of the pass, by First.
	aborted []AbortedTxn
	// last are the producers that the log knows (producerTable.lastRecords).
	last map[kafkaproto.ProducerID]lastRecord
	// bound is the first uncleanable offset. A batch that ends there stays, if only its header, so that the log has its end.
	bound offset
}

// lastRecord is where the last batch of a producer is (Kafka's LastRecord).
type lastRecord struct {
	data  offset // last offset of it, -1 if the producer has only a marker
	epoch kafkaproto.ProducerEpoch
}

// lastRecords are the producers of which something is written. Their last batches stay in a compacted log, since from
// them the table is made again. The log's lock is held.
func (t *producerTable) lastRecords() map[kafkaproto.ProducerID]lastRecord {
	out := make(map[kafkaproto.ProducerID]lastRecord, len(t.byID))
	for id, p := range t.byID {
		d := &p.written
		if d.epoch < 0 {
			continue
		}
		last := lastRecord{data: -1, epoch: kafkaproto.ProducerEpoch(d.epoch)}
		if d.n > 0 {
			last.data = d.batches[d.n-1].last
		}
		out[id] = last
	}
	return out
}

// cleanCounts are what a pass has read so far and what is left of it.
type cleanCounts struct {
	batchesRead, batchesKept int64
	recordsRead, recordsKept int64
	bytesRead, bytesKept     int64
	rebuilt                  int64 // batches that were written anew, not copied
	keyless                  int64 // records that went because they have no key, which compacted topics don't take
	// horizon is the earliest delete horizon among the tombstones and markers left, NoTimestamp if there are none: from
	// then on another pass finds something to remove, even if nothing is written until then.
	horizon kafkaproto.Timestamp
}

// cleanPass decides for each batch of a log what is left of it when records go that have a later one of the same key below
// the end of the map (Kafka's Cleaner.cleanInto). A pass begins with the first batch of the log, for it has to see whether
// a transaction still has batches when it comes to its marker.
type cleanPass struct {
	rules  cleanRules
	m      *cleanMap
	order  cleanOrder
	txns   cleanTxns
	counts cleanCounts
	keep   []bool // of the batch at hand, by record
	out    []byte
}

func newCleanPass(m *cleanMap, rules cleanRules) *cleanPass {
	p := &cleanPass{m: m, rules: rules, counts: cleanCounts{horizon: kafkaproto.NoTimestamp}}
	p.txns.start(rules.aborted)
	return p
}

// abortedGone are the aborted transactions of which no batch is left below the end of the pass. The log must forget them
// together with what batch dropped: readers take what a producer writes after one for aborted, once its marker is gone.
func (p *cleanPass) abortedGone() []AbortedTxn { return p.txns.gone }

// batch decides about the next batch: nil if nothing is left of it, b itself if it stays as it is, or a new one, which is
// good until the next call. Batches from m.upTo on stay. After an error, which wraps ErrCorrupt, the pass can't go on and
// nothing of it may be used.
func (p *cleanPass) batch(b kafkaproto.Batch) (kafkaproto.Batch, error) {
	if err := p.order.check(b); err != nil {
		return nil, err
	}
	out, kept, err := p.decide(b)
	if err != nil {
		return nil, brokenBatch(b, err)
	}
	c := &p.counts
	c.batchesRead, c.recordsRead, c.bytesRead = c.batchesRead+1, c.recordsRead+int64(b.NumRecords()), c.bytesRead+int64(len(b))
	if out == nil {
		return nil, nil
	}
	c.batchesKept, c.recordsKept, c.bytesKept = c.batchesKept+1, c.recordsKept+int64(kept), c.bytesKept+int64(len(out))
	if &out[0] != &b[0] {
		c.rebuilt++
	}
	return out, nil
}

// decide also says how many records are left.
func (p *cleanPass) decide(b kafkaproto.Batch) (out kafkaproto.Batch, kept int, err error) {
	switch {
	case b.BaseOffset() >= p.m.upTo():
		return b, int(b.NumRecords()), nil
	case b.IsControl():
		return p.marker(b)
	case p.txns.data(b):
		return p.emptied(b), 0, nil
	}
	return p.data(b)
}

// marker lets the marker of a transaction without batches go once the delete horizon is over, which it sets before.
func (p *cleanPass) marker(b kafkaproto.Batch) (out kafkaproto.Batch, kept int, err error) {
	idle, err := p.txns.marker(b)
	if err != nil {
		return nil, 0, err
	}
	horizon, set := b.DeleteHorizon()
	if b.NumRecords() == 0 || idle && set && horizon <= p.rules.now {
		return p.emptied(b), 0, nil
	}
	if !idle {
		return b, int(b.NumRecords()), nil
	}
	p.keep = append(p.keep[:0], true)
	return p.rest(b, 1, true)
}

// data drops records from a batch that is not aborted.
func (p *cleanPass) data(b kafkaproto.Batch) (out kafkaproto.Batch, kept int, err error) {
	horizon, set := b.DeleteHorizon()
	over := set && horizon <= p.rules.now
	tombstones, keyless := false, int64(0)
	p.keep = p.keep[:0]
	deltas := deltaOrder{last: b.LastOffsetDelta(), prev: -1}
	err = kafkaproto.RecordsWithoutHeaders(b, func(r kafkaproto.Record) error {
		if err := deltas.check(r.OffsetDelta); err != nil {
			return err
		}
		keep := true
		if r.Offset < p.m.upTo() {
			keep = r.Key != nil && r.Offset >= p.m.last(r.Key) && (r.Value != nil || !over)
			tombstones = tombstones || keep && r.Value == nil
			if r.Key == nil {
				keyless++
			}
		}
		p.keep = append(p.keep, keep)
		if keep {
			kept++
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	p.counts.keyless += keyless
	if kept == 0 {
		return p.emptied(b), 0, nil
	}
	return p.rest(b, kept, tombstones)
}

// rest is b with those records that p.keep says, kept in number. mortal tells that there is a tombstone or an idle marker
// among them, which needs a delete horizon.
func (p *cleanPass) rest(b kafkaproto.Batch, kept int, mortal bool) (kafkaproto.Batch, int, error) {
	horizon, set := b.DeleteHorizon()
	fresh := kafkaproto.NoTimestamp
	// In a batch that the pass ends in, a tombstone may not have done its work yet, so the next pass sets the horizon.
	if mortal && !set && b.LastOffset() < p.m.upTo() {
		fresh = p.rules.horizon()
		horizon, set = fresh, fresh != kafkaproto.NoTimestamp
	}
	if mortal && set && (p.counts.horizon < 0 || horizon < p.counts.horizon) {
		p.counts.horizon = horizon
	}
	if fresh == kafkaproto.NoTimestamp && kept == len(p.keep) {
		return b, kept, nil
	}
	out, err := b.AppendFiltered(p.out[:0], p.keep, fresh)
	if err != nil {
		return nil, 0, err
	}
	p.out = out
	return out, kept, nil
}

// horizon is the delete horizon that the pass sets, NoTimestamp if it lies beyond all time.
func (r *cleanRules) horizon() kafkaproto.Timestamp {
	wait := kafkaproto.Timestamp(r.deleteRetention.Milliseconds())
	if r.now < 0 || wait < 0 || r.now > math.MaxInt64-wait {
		return kafkaproto.NoTimestamp
	}
	return r.now + wait
}

// emptied is what is left of a batch of which no record stays: its header, if it is the producer's last batch or the last
// of all, else nothing.
func (p *cleanPass) emptied(b kafkaproto.Batch) kafkaproto.Batch {
	if !p.isLast(b) && b.NextOffset() != p.rules.bound {
		return nil
	}
	if len(b) == kafkaproto.BatchHeaderLen && b.NumRecords() == 0 && !b.HasDeleteHorizon() {
		return b
	}
	p.out = b.AppendEmptied(p.out[:0])
	return p.out
}

// isLast tells whether b is from where the log knows its producer: the last batch with data, or the marker if there is none,
// for its epoch.
func (p *cleanPass) isLast(b kafkaproto.Batch) bool {
	if b.ProducerID() < 0 {
		return false
	}
	last, ok := p.rules.last[b.ProducerID()]
	switch {
	case !ok:
		return false
	case last.data >= 0:
		return b.LastOffset() == last.data
	}
	return b.IsControl() && b.ProducerEpoch() == last.epoch
}
