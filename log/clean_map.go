package log

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/streambus/streambus/kafkaproto"
)

// A log is compacted in passes. A pass reads the dirty part into a cleanMap, up to the first uncleanable offset or until
// the map is full, and then gives every batch from the log's start to a cleanPass, which says what is left of it. Neither
// reads or writes anything.

// cleanMap remembers for each key the last offset at which the dirty part of a log has it (Kafka's SkimpyOffsetMap). In
// place of the key stands a hash of 128 bits under a salt that nobody outside knows, so nobody can make two keys collide.
type cleanMap struct {
	slots []cleanSlot
	used  int
	limit int // of used

	mac   cipher.AEAD
	nonce [12]byte
	sum   [16]byte

	from   offset // first offset of the dirty part
	latest offset // everything from from to here is in the map
	order  cleanOrder
	txns   cleanTxns
}

// cleanSlot is a key's hash and the offset after its last record, 0 in an empty slot.
type cleanSlot struct {
	high, low uint64
	next      offset
}

const (
	cleanSlotBytes = 24
	// cleanMapLoad is how full the map gets, as log.cleaner.io.buffer.load.factor.
	cleanMapLoad = 0.9
)

// newCleanMap makes a map of so many bytes. It may serve one pass after another.
func newCleanMap(bytes int) *cleanMap {
	n := max(bytes/cleanSlotBytes, 2)
	return &cleanMap{slots: make([]cleanSlot, n), limit: int(float64(n) * cleanMapLoad)}
}

// begin empties the map for the dirty part that begins at from. The salt is random and secret. aborted are the aborted
// transactions that end at from or above and begin below the first uncleanable offset, by First; more do no harm.
func (m *cleanMap) begin(from offset, salt [16]byte, aborted []AbortedTxn) error {
	block, err := aes.NewCipher(salt[:])
	if err != nil {
		return err
	}
	// The tag that GCM gives to data which it only authenticates is a keyed universal hash of it: the chance that two
	// keys have the same is their length in blocks of 16 bytes in 2^128, whoever chose them. It takes less time than MD5.
	if m.mac, err = cipher.NewGCM(block); err != nil {
		return err
	}
	if m.used > 0 {
		clear(m.slots)
	}
	m.used, m.from, m.latest, m.order = 0, from, from-1, cleanOrder{}
	m.txns.start(aborted)
	return nil
}

// add takes in the next batch of the dirty part. full tells that a record of it found no room: the pass ends before that
// record, which may be in the middle of the batch, and the next one begins there. After an error the map is of no use.
func (m *cleanMap) add(b kafkaproto.Batch) (full bool, err error) {
	if err := m.order.check(b); err != nil {
		return false, err
	}
	switch {
	case b.IsControl():
		_, err = m.txns.marker(b)
	case m.txns.data(b) || b.LastOffset() < m.from:
	default:
		full, err = m.addRecords(b)
	}
	if err != nil {
		return false, brokenBatch(b, err)
	}
	if !full {
		m.skipTo(b.NextOffset())
	}
	return full, nil
}

// addRecords is true if there was no room for one. Those before it are in the map.
func (m *cleanMap) addRecords(b kafkaproto.Batch) (full bool, err error) {
	deltas := deltaOrder{last: b.LastOffsetDelta(), prev: -1}
	err = kafkaproto.RecordsWithoutHeaders(b, func(r kafkaproto.Record) error {
		if err := deltas.check(r.OffsetDelta); err != nil {
			return err
		}
		if !full && r.Key != nil && r.Offset >= m.from && !m.put(r.Key, r.Offset) {
			full = true
			m.skipTo(r.Offset)
		}
		return nil
	})
	return full, err
}

// skipTo says that all below next was given to add.
func (m *cleanMap) skipTo(next offset) { m.latest = max(m.latest, next-1) }

// upTo is the end of the pass: what the map holds is all that lies between the first dirty offset and it.
func (m *cleanMap) upTo() offset { return m.latest + 1 }

// load is how much of the room for keys is taken, from 0 to 1.
func (m *cleanMap) load() float64 { return float64(m.used) / float64(m.limit) }

// put is false if the key is new and there is no room.
func (m *cleanMap) put(key []byte, o offset) bool {
	s, high, low := m.find(key)
	if s.next == 0 {
		if m.used == m.limit {
			return false
		}
		m.used++
		s.high, s.low = high, low
	}
	s.next = o + 1
	return true
}

// last is the last offset of a key, -1 if the dirty part has none.
func (m *cleanMap) last(key []byte) offset {
	s, _, _ := m.find(key)
	return s.next - 1
}

// find is the key's slot, or the empty one in which it belongs. There always is one, since the limit is below the number.
func (m *cleanMap) find(key []byte) (s *cleanSlot, high, low uint64) {
	sum := m.mac.Seal(m.sum[:0], m.nonce[:], nil, key)
	high, low = binary.LittleEndian.Uint64(sum), binary.LittleEndian.Uint64(sum[8:])
	at, _ := bits.Mul64(high, uint64(len(m.slots)))
	for i := int(at); ; {
		s = &m.slots[i]
		if s.next == 0 || s.high == high && s.low == low {
			return s, high, low
		}
		if i++; i == len(m.slots) {
			i = 0
		}
	}
}

var (
	errBatchLength = errors.New("there are bytes behind the batch")
	errBatchOrder  = errors.New("the batch does not follow the one before")
	errBatchRange  = errors.New("the offsets of the batch are impossible")
	errBatchCount  = errors.New("the batch can't have as many records")
	errRecordOrder = errors.New("the offsets of the records are not in order")
)

// cleanOrder sees that batches are whole and follow one another.
type cleanOrder struct{ next offset }

// check looks at all but the records.
func (o *cleanOrder) check(b kafkaproto.Batch) error {
	one, rest, err := kafkaproto.NextBatch(b)
	if err != nil {
		return fmt.Errorf("%w: what follows offset %d can't be cleaned: %w", ErrCorrupt, o.next-1, err)
	}
	if len(rest) > 0 {
		return brokenBatch(one, errBatchLength)
	}
	if err := b.CheckCRC(); err != nil {
		return brokenBatch(b, err)
	}
	base, delta, count := b.BaseOffset(), b.LastOffsetDelta(), b.NumRecords()
	switch {
	case base < 0 || delta < 0 || base >= math.MaxInt64-offset(delta):
		return brokenBatch(b, errBatchRange)
	case count < 0 || int64(count) > int64(delta)+1 || b.IsControl() && count > 1 || count == 0 && len(b) > kafkaproto.BatchHeaderLen:
		return brokenBatch(b, errBatchCount)
	case base < o.next:
		return brokenBatch(b, errBatchOrder)
	}
	o.next = b.NextOffset()
	return nil
}

// deltaOrder sees that the records of a batch lie within it and follow one another.
type deltaOrder struct{ prev, last int32 }

func (d *deltaOrder) check(delta int32) error {
	if delta <= d.prev || delta > d.last {
		return errRecordOrder
	}
	d.prev = delta
	return nil
}

// brokenBatch is the error of a batch that can't be cleaned.
func brokenBatch(b kafkaproto.Batch, err error) error {
	return fmt.Errorf("%w: the batch at offset %d can't be cleaned: %w", ErrCorrupt, b.BaseOffset(), err)
}
