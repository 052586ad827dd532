package quorum

import (
	"encoding/binary"
	"fmt"
	"io"
)

// frame is one request, or one answer, on a connection between members. docs/format/submit.md has the bytes.
type frame struct {
	id   uint64 // of the request; its answer has the same
	kind byte
	body []byte
}

// Kinds of requests.
const (
	askCommand  byte = 1 // milliseconds that the caller waits (4 bytes), command
	askDescribe byte = 2
	askJoin     byte = 3 // joinRequest
	tellAddress byte = 4 // where the caller's cluster listener is; no answer
)

// Kinds of answers. value and failure begin with the index of the batch that they rest on (8 bytes).
const (
	answerValue   byte = 1
	answerFailure byte = 2 // the command's own error
	answerNotHere byte = 3 // nothing happened: this node does not lead
	answerUnknown byte = 4 // it may have happened: this node led, and was deposed meanwhile
)

const (
	maxFrame    = 16 << 20 // bytes; far more than 10,000 partitions or configs of a request take
	frameHeader = 4 + 8 + 1
)

func (f frame) bytes() []byte {
	b := make([]byte, 0, frameHeader+len(f.body))
	b = binary.BigEndian.AppendUint32(b, uint32(9+len(f.body)))
	b = binary.BigEndian.AppendUint64(b, f.id)
	b = append(b, f.kind)
	return append(b, f.body...)
}

// readFrame reads a frame; memory grows with what arrives, not with what is claimed.
func readFrame(r io.Reader) (frame, error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 9 || n > maxFrame {
		return frame{}, fmt.Errorf("a frame of %d bytes, allowed are 9 to %d", n, maxFrame)
	}
	f := frame{id: binary.BigEndian.Uint64(head[4:]), kind: head[12]}
	var err error
	f.body, err = io.ReadAll(io.LimitReader(r, int64(n)-9))
	if err == nil && len(f.body) < int(n)-9 {
		err = io.ErrUnexpectedEOF
	}
	return f, err
}

// indexed splits the index off an answer's body.
func (f frame) indexed() (index uint64, rest []byte, ok bool) {
	if len(f.body) < 8 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(f.body), f.body[8:], true
}
