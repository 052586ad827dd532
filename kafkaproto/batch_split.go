package kafkaproto

import (
	"encoding/binary"
	"io"
)

// batchSize is the size of the first batch in buf, header and all.
func batchSize(buf []byte) (int, error) {
	if len(buf) < BatchHeaderLen {
		return 0, ErrCorruptMessage.With("%w after %d bytes: %w", errShortBatch, len(buf), io.ErrUnexpectedEOF)
	}
	if buf[16] != magicV2 {
		return 0, ErrCorruptMessage.With("%w: magic %d", errBatchMagic, int8(buf[16]))
	}
	length := int32(binary.BigEndian.Uint32(buf[8:]))
	if length < BatchHeaderLen-lengthEnd {
		return 0, ErrCorruptMessage.With("%w of %d", errBatchSize, length)
	}
	if int64(length) > int64(len(buf)-lengthEnd) {
		return 0, ErrCorruptMessage.With("%w: %d bytes of %d: %w", errShortBatch, len(buf), int64(length)+lengthEnd, io.ErrUnexpectedEOF)
	}
	return int(length) + lengthEnd, nil
}
