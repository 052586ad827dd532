package log

import (
	"encoding/binary"
	"fmt"
)

// hole are offsets that were lost to damage and accepted as lost (Options.AcceptCorruption). Reading there fails: a
// loss is never skipped in silence.
type hole struct {
	first, last offset
	file        uint32
	pos         int64
}

func (h *hole) err(id tp) error {
	return &CorruptionError{
		File: fileName(h.file), Position: h.pos, Known: true, Log: id, First: h.first, Last: h.last,
		Detail: "these offsets were damaged and are lost",
	}
}

func (h *hole) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(h.last-h.first))
	b = binary.AppendUvarint(b, uint64(h.file))
	return binary.AppendUvarint(b, uint64(h.pos))
}

func (h *hole) decode(last offset, v []byte) error {
	r := reader{b: v}
	h.last = last
	h.first = last - offset(r.uint())
	h.file, h.pos = uint32(r.uint()), int64(r.uint())
	if r.bad || h.first < 0 || h.first > h.last {
		return fmt.Errorf("%w: hole", errIndex)
	}
	return nil
}
