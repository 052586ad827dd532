package kafkaproto

import (
	"encoding/binary"
	"fmt"
	"io"
)

// FrameSizeError is what ReadFrameSize says of a length that can't be served.
type FrameSizeError struct {
	Size int32 // the length that the peer claimed, in bytes
	Max  int32 // the limit (socket.request.max.bytes)
}

func (e *FrameSizeError) Error() string {
	if e.Size < 0 {
		return fmt.Sprintf("frame of negative length %d", e.Size)
	}
	return fmt.Sprintf("frame of %d bytes is larger than the limit of %d", e.Size, e.Max)
}

// ReadFrameSize reads the 4-byte length that opens every frame and checks it before anything is allocated for the
// frame. A length out of range gives a *FrameSizeError; a clean end of the stream before the first byte gives io.EOF, and
// one inside the length io.ErrUnexpectedEOF.
func ReadFrameSize(r io.Reader, max int32) (int, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	size := int32(binary.BigEndian.Uint32(head[:]))
	if size < 0 || size > max {
		return 0, &FrameSizeError{Size: size, Max: max}
	}
	return int(size), nil
}
