package kafkaproto

import "encoding/binary"

// Builder makes one batch out of records: NewBuilder, set the fields, Append records, take Batch. It may be used again
// after Reset.
type Builder struct {
	BaseOffset    Offset
	LeaderEpoch   LeaderEpoch
	Codec         Codec
	TimestampType TimestampType // under LogAppendTime, MaxTimestamp is that of the last record appended
	ProducerID    ProducerID
	ProducerEpoch ProducerEpoch
	BaseSequence  int32
	Transactional bool
	Control       bool

	records  []byte // uncompressed
	body     []byte // scratch for one record
	count    int32
	baseTime Timestamp
	maxTime  Timestamp
}

// NewBuilder returns a Builder for an uncompressed batch at offset 0 without a producer.
func NewBuilder() *Builder {
	return &Builder{LeaderEpoch: NoLeaderEpoch, ProducerID: NoProducerID, ProducerEpoch: NoProducerEpoch, BaseSequence: -1}
}

// Reset forgets the records and keeps the fields.
func (bb *Builder) Reset() { bb.records, bb.count = bb.records[:0], 0 }

// Len is how many bytes the records take so far, uncompressed.
func (bb *Builder) Len() int { return len(bb.records) }

// Count is how many records there are so far.
func (bb *Builder) Count() int { return int(bb.count) }

// Append adds a record. Only Timestamp, Key, Value and Headers of r are taken, and copied; its offset delta is the
// number of records before it.
func (bb *Builder) Append(r Record) {
	if bb.count == 0 {
		bb.baseTime, bb.maxTime = r.Timestamp, r.Timestamp
	}
	if r.Timestamp > bb.maxTime || bb.TimestampType == LogAppendTime {
		bb.maxTime = r.Timestamp
	}
	p := append(bb.body[:0], 0)
	p = binary.AppendVarint(p, int64(r.Timestamp-bb.baseTime))
	p = binary.AppendVarint(p, int64(bb.count))
	p = appendNullableVarBytes(p, r.Key)
	p = appendNullableVarBytes(p, r.Value)
	p = binary.AppendVarint(p, int64(len(r.Headers)))
	for _, h := range r.Headers {
		p = binary.AppendVarint(p, int64(len(h.Key)))
		p = append(p, h.Key...)
		p = appendNullableVarBytes(p, h.Value)
	}
	bb.body = p
	bb.records = binary.AppendVarint(bb.records, int64(len(p)))
	bb.records = append(bb.records, p...)
	bb.count++
}

func appendNullableVarBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

// Batch is the finished batch in memory of its own. The error is the codec's.
func (bb *Builder) Batch() (Batch, error) { return bb.AppendBatch(nil) }

// AppendBatch appends the finished batch to dst.
func (bb *Builder) AppendBatch(dst []byte) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, BatchHeaderLen)...)
	dst, err := Compress(bb.Codec, dst, bb.records)
	if err != nil {
		return dst[:start], err
	}
	b := Batch(dst[start:])
	binary.BigEndian.PutUint64(b[0:], uint64(bb.BaseOffset))
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-lengthEnd))
	binary.BigEndian.PutUint32(b[12:], uint32(bb.LeaderEpoch))
	b[16] = magicV2
	binary.BigEndian.PutUint16(b[21:], bb.attributes())
	binary.BigEndian.PutUint32(b[23:], uint32(bb.count-1))
	binary.BigEndian.PutUint64(b[27:], uint64(bb.baseTime))
	binary.BigEndian.PutUint64(b[35:], uint64(bb.maxTime))
	binary.BigEndian.PutUint64(b[43:], uint64(bb.ProducerID))
	binary.BigEndian.PutUint16(b[51:], uint16(bb.ProducerEpoch))
	binary.BigEndian.PutUint32(b[53:], uint32(bb.BaseSequence))
	binary.BigEndian.PutUint32(b[57:], uint32(bb.count))
	b.stampCRC()
	return dst, nil
}

func (bb *Builder) attributes() uint16 {
	a := uint16(bb.Codec)
	if bb.TimestampType == LogAppendTime {
		a |= attrLogAppendTime
	}
	if bb.Transactional {
		a |= attrTransactional
	}
	if bb.Control {
		a |= attrControl
	}
	return a
}
