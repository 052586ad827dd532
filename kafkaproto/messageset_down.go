package kafkaproto

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

var errZstdFetch = errors.New("zstd can't be read by this version of Fetch")

// DownConvert writes record batches as a message set of magic 0 or 1 for old fetchers (Fetch v0 and v1 read magic 0, v2 and v3
// read magic 1). Offsets and codecs stay; headers, and timestamps in magic 0, have no place; control batches are left
// out. A batch packed with zstd gives ErrUnsupportedCompressionType if it is the first; else the set ends before it.
func DownConvert(batches []byte, magic int8) ([]byte, error) {
	var out []byte
	for len(batches) > 0 {
		b, rest, err := NextBatch(batches)
		if err != nil {
			return nil, err
		}
		batches = rest
		if b.IsControl() {
			continue
		}
		next, err := downConvertBatch(out, b, magic)
		if err != nil && len(out) > 0 && errors.Is(err, ErrUnsupportedCompressionType) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = next
	}
	return out, nil
}

// downConvertBatch appends one batch. A compressed one becomes a wrapper with the last record's offset, from which and
// the last relative one inside readers of magic 1 find the others.
func downConvertBatch(dst []byte, b Batch, magic int8) ([]byte, error) {
	codec := b.Codec()
	if codec == CodecZstd || !codec.Valid() {
		return dst, ErrUnsupportedCompressionType.With("%w", errZstdFetch)
	}
	attributes := byte(0)
	if magic > 0 && b.TimestampType() == LogAppendTime {
		attributes = attrLogAppendTime
	}
	if codec == CodecNone {
		out, _, err := appendMessages(dst, b, magic, 0, attributes)
		return out, err
	}
	base := Offset(0)
	if magic > 0 {
		base = b.BaseOffset()
	}
	inner, last, err := appendMessages(nil, b, magic, base, attributes)
	if err != nil || len(inner) == 0 {
		return dst, err
	}
	packed, err := Compress(codec, nil, inner)
	if err != nil {
		return dst, err
	}
	if codec == CodecLZ4 && magic == 0 {
		breakLZ4Header(packed)
	}
	wrapper := message{offset: int64(last), magic: magic, timestamp: b.MaxTimestamp(), value: packed}
	return appendMessage(dst, wrapper, attributes|byte(codec)), nil
}

// appendMessages appends the records of b as messages, with offsets relative to base. last is the last one's own offset.
func appendMessages(dst []byte, b Batch, magic int8, base Offset, attributes byte) (out []byte, last Offset, err error) {
	err = Records(b, func(r Record) error {
		m := message{offset: int64(r.Offset - base), magic: magic, timestamp: r.Timestamp, key: r.Key, value: r.Value}
		dst, last = appendMessage(dst, m, attributes), r.Offset
		return nil
	})
	return dst, last, err
}

// appendMessage appends one message with its CRC.
func appendMessage(dst []byte, m message, attributes byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.offset))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0) // size and crc, known at the end
	dst = append(dst, byte(m.magic), attributes)
	if m.magic > 0 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(m.timestamp))
	}
	dst = appendNullableInt32Bytes(dst, m.key)
	dst = appendNullableInt32Bytes(dst, m.value)
	p := dst[start:]
	binary.BigEndian.PutUint32(p[8:], uint32(len(p)-messagePrefixLen))
	binary.BigEndian.PutUint32(p[12:], crc32.ChecksumIEEE(p[16:]))
	return dst
}

func appendNullableInt32Bytes(dst, b []byte) []byte {
	if b == nil {
		return binary.BigEndian.AppendUint32(dst, 0xffffffff)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b)))
	return append(dst, b...)
}
