package kafkaproto

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Batch is a view of exactly one record batch of format v2 in wire form. Nothing is unpacked: getters read the header
// where it lies, setters write there. All of them expect what NextBatch returned, that is, at least a whole header.
//
//	 0 base offset      int64  \
//	 8 length           int32  | of what follows this field
//	12 leader epoch     int32  | the prefix, which the broker stamps
//	16 magic            int8   |
//	17 crc              uint32 / CRC32C of all that follows
//	21 attributes       int16    bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
//	23 last delta       int32
//	27 base timestamp   int64    the delete horizon if bit 6 is set
//	35 max timestamp    int64
//	43 producer id      int64
//	51 producer epoch   int16
//	53 base sequence    int32
//	57 record count     int32
//	61 records          compressed as one if there is a codec
type Batch []byte

// Sizes in bytes within a batch.
const (
	BatchHeaderLen = 61 // the whole header
	PrefixLen      = 21 // the part that the batch's own CRC does not cover
	lengthEnd      = 12 // base offset and length, which the length field does not count
)

const magicV2 = 2

const (
	attrCodecMask     = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrDeleteHorizon = 0x40
)

// TimestampType tells what a batch's timestamps mean.
type TimestampType int8

// The types of timestamps. NoTimestampType is that of message sets v0, which have none.
const (
	NoTimestampType TimestampType = -1
	CreateTime      TimestampType = 0
	LogAppendTime   TimestampType = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errShortBatch = errors.New("record batch is cut short")
	errBatchMagic = errors.New("record batch is not of format v2")
	errBatchSize  = errors.New("record batch has an impossible length")
)

// NextBatch cuts the first batch off buf. It checks only what is needed to do that: a v2 magic and a length that covers
// a header and lies within buf. Errors wrap ErrCorruptMessage; for a buf that ends inside a batch they also wrap
// io.ErrUnexpectedEOF.
func NextBatch(buf []byte) (b Batch, rest []byte, err error) {
	size, err := batchSize(buf)
	if err != nil {
		return nil, buf, err
	}
	return Batch(buf[:size:size]), buf[size:], nil
}

// BaseOffset is the offset of the batch's first record.
func (b Batch) BaseOffset() Offset { return Offset(binary.BigEndian.Uint64(b[0:])) }

// Length is the length field: the size without its first 12 bytes.
func (b Batch) Length() int32 { return int32(binary.BigEndian.Uint32(b[8:])) }

// PartitionLeaderEpoch is the epoch of the leader that appended the batch.
func (b Batch) PartitionLeaderEpoch() LeaderEpoch {
	return LeaderEpoch(binary.BigEndian.Uint32(b[12:]))
}

// Magic is the version of the format, 2 in every Batch.
func (b Batch) Magic() int8 { return int8(b[16]) }

// CRC is the stored checksum.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[17:]) }

// Attributes are the flags.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[21:])) }

// Codec is how the records are compressed. It may be a number that no codec has.
func (b Batch) Codec() Codec { return Codec(b[22] & attrCodecMask) }

// IsTransactional tells whether the batch is part of a transaction.
func (b Batch) IsTransactional() bool { return b[22]&attrTransactional != 0 }

// IsControl tells whether the batch holds a marker instead of a client's records.
func (b Batch) IsControl() bool { return b[22]&attrControl != 0 }

// HasDeleteHorizon tells whether BaseTimestamp is the time at which the batch's tombstones may go (KIP-534).
func (b Batch) HasDeleteHorizon() bool { return b[22]&attrDeleteHorizon != 0 }

// TimestampType tells whether the timestamps are the producer's or the broker's.
func (b Batch) TimestampType() TimestampType { return TimestampType(b[22] & attrLogAppendTime >> 3) }

// LastOffsetDelta is the last record's offset less the base offset. After compaction it may be more than the count says.
func (b Batch) LastOffsetDelta() int32 { return int32(binary.BigEndian.Uint32(b[23:])) }

// LastOffset is the offset of the batch's last record.
func (b Batch) LastOffset() Offset { return b.BaseOffset() + Offset(b.LastOffsetDelta()) }

// NextOffset is the offset after the batch.
func (b Batch) NextOffset() Offset { return b.LastOffset() + 1 }

// BaseTimestamp is what the records' timestamp deltas are relative to.
func (b Batch) BaseTimestamp() Timestamp { return Timestamp(binary.BigEndian.Uint64(b[27:])) }

// MaxTimestamp is the largest timestamp of the batch, or the time of the append.
func (b Batch) MaxTimestamp() Timestamp { return Timestamp(binary.BigEndian.Uint64(b[35:])) }

// ProducerID is the idempotent producer, or NoProducerID.
func (b Batch) ProducerID() ProducerID { return ProducerID(binary.BigEndian.Uint64(b[43:])) }

// ProducerEpoch is the producer's epoch, or NoProducerEpoch.
func (b Batch) ProducerEpoch() ProducerEpoch { return ProducerEpoch(binary.BigEndian.Uint16(b[51:])) }

// BaseSequence is the sequence number of the first record, or -1.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[53:])) }

// LastSequence is the sequence number of the last record, or -1. Sequence numbers wrap to 0 after the largest int32.
func (b Batch) LastSequence() int32 {
	base := b.BaseSequence()
	if base < 0 {
		return -1
	}
	return AddSequence(base, b.LastOffsetDelta())
}

// AddSequence moves a sequence number on by delta records.
func AddSequence(sequence, delta int32) int32 {
	return int32((uint32(sequence) + uint32(delta)) & (1<<31 - 1))
}

// NumRecords is the count in the header.
func (b Batch) NumRecords() int32 { return int32(binary.BigEndian.Uint32(b[57:])) }

// RecordBytes is what follows the header: the records, compressed if there is a codec.
func (b Batch) RecordBytes() []byte { return b[BatchHeaderLen:] }

// SetBaseOffset stamps the offset of the first record. The CRC does not cover it.
func (b Batch) SetBaseOffset(o Offset) { binary.BigEndian.PutUint64(b[0:], uint64(o)) }

// SetPartitionLeaderEpoch stamps the leader's epoch. The CRC does not cover it.
func (b Batch) SetPartitionLeaderEpoch(e LeaderEpoch) { binary.BigEndian.PutUint32(b[12:], uint32(e)) }

// StampLogAppendTime makes ts the timestamp of every record of the batch, and the CRC anew.
func (b Batch) StampLogAppendTime(ts Timestamp) {
	b[22] |= attrLogAppendTime
	b.setMaxTimestamp(ts)
}

func (b Batch) setMaxTimestamp(ts Timestamp) {
	binary.BigEndian.PutUint64(b[35:], uint64(ts))
	b.stampCRC()
}

func (b Batch) stampCRC() { binary.BigEndian.PutUint32(b[17:], b.computeCRC()) }

func (b Batch) computeCRC() uint32 { return crc32.Checksum(b[PrefixLen:], castagnoli) }

// CheckCRC compares the checksum of the bytes with the stored one; an error wraps ErrCorruptMessage.
func (b Batch) CheckCRC() error {
	if got, want := b.computeCRC(), b.CRC(); got != want {
		return ErrCorruptMessage.With("record batch has checksum %08x, its header says %08x", got, want)
	}
	return nil
}
