package kafkaproto

import (
	"encoding/binary"
	"slices"
)

// What is here makes the batches of a compacted log, as MemoryRecords.filterTo of Kafka does.

// DeleteHorizon is the time from which on the batch's tombstones, or the transaction marker that it is, may go (KIP-534).
// It is false if none is set.
func (b Batch) DeleteHorizon() (Timestamp, bool) {
	if !b.HasDeleteHorizon() {
		return NoTimestamp, false
	}
	return b.BaseTimestamp(), true
}

// AppendFiltered appends to dst a copy of b that holds only those records whose index keep is true for, of which there
// must be one at least. Base and last offset stay, and with them the sequence numbers; so do the offset and the timestamp of each
// record. A horizon other than NoTimestamp becomes the delete horizon; without one, b's own stays. The max timestamp is
// that of the records left, the base timestamp without a horizon that of the first. Errors wrap ErrInvalidRecord.
func (b Batch) AppendFiltered(dst []byte, keep []bool, horizon Timestamp) ([]byte, error) {
	f := filter{records: getScratch(len(b)), base: horizon, based: horizon != NoTimestamp, max: NoTimestamp}
	defer func() { putScratch(f.records) }()
	if own, ok := b.DeleteHorizon(); ok && !f.based {
		f.base, f.based = own, true
	}
	withHorizon := f.based
	it := iteratorOf(b, nil)
	it.withoutHeaders = true
	i := 0
	it.fn = func(r Record) error {
		if i < len(keep) && keep[i] {
			f.add(r.Timestamp, &it.raw)
		}
		i++
		return nil
	}
	if err := it.run(); err != nil {
		return dst, err
	}
	if f.count == 0 {
		return dst, errRecordCount
	}
	start := len(dst)
	dst, err := Compress(b.Codec(), append(dst, b[:BatchHeaderLen]...), f.records)
	if err != nil {
		return dst[:start], err
	}
	next := Batch(dst[start:])
	if withHorizon {
		next[22] |= attrDeleteHorizon
	}
	if b.TimestampType() == LogAppendTime {
		f.max = b.MaxTimestamp()
	}
	next.finishFiltered(f.base, f.max, f.count)
	return dst, nil
}

// AppendEmptied appends to dst a copy of b without its records: the header, which still says what the last offset and
// the last sequence number of the producer are.
func (b Batch) AppendEmptied(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, b[:BatchHeaderLen]...)
	next := Batch(dst[start:])
	next[22] &^= attrDeleteHorizon | attrCodecMask
	next.finishFiltered(NoTimestamp, b.MaxTimestamp(), 0)
	return dst
}

func (b Batch) finishFiltered(base, max Timestamp, count int32) {
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-lengthEnd))
	binary.BigEndian.PutUint64(b[27:], uint64(base))
	binary.BigEndian.PutUint64(b[35:], uint64(max))
	binary.BigEndian.PutUint32(b[57:], uint32(count))
	b.stampCRC()
}

// filter gathers the records that are left of a batch.
type filter struct {
	records []byte // uncompressed
	base    Timestamp
	based   bool // base is known
	max     Timestamp
	count   int32
}

func (f *filter) add(t Timestamp, raw *rawRecord) {
	if !f.based {
		f.base, f.based = t, true
	}
	f.max = max(f.max, t)
	f.count++
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = raw.attributes
	n := 1 + binary.PutVarint(head[1:], int64(t-f.base))
	size := n + len(raw.rest)
	f.records = slices.Grow(f.records, size+binary.MaxVarintLen32)
	f.records = binary.AppendVarint(f.records, int64(size))
	f.records = append(append(f.records, head[:n]...), raw.rest...)
}
