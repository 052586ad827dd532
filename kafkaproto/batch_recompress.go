package kafkaproto

import (
	"bytes"
	"encoding/binary"
)

// Recompress is a copy of b with its records packed by another codec, for topics whose compression.type is not the
// producer's. All else stays. b must have passed Validate; its records are unpacked in memory, within MaxDecompressed.
func Recompress(b Batch, codec Codec) (Batch, error) {
	if b.Codec() == codec {
		return bytes.Clone(b), nil
	}
	plain := []byte(b.RecordBytes())
	if b.Codec() != CodecNone {
		var err error
		if plain, err = Decompress(b.Codec(), nil, plain, MaxDecompressed); err != nil {
			return nil, ErrInvalidRecord.With("%w: %w", errUnpack, err)
		}
	}
	out, err := Compress(codec, bytes.Clone(b[:BatchHeaderLen]), plain)
	if err != nil {
		return nil, err
	}
	next := Batch(out)
	binary.BigEndian.PutUint32(next[8:], uint32(len(next)-lengthEnd))
	next[22] = next[22]&^attrCodecMask | byte(codec)
	next.stampCRC()
	return next, nil
}
