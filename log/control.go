package log

import (
	"encoding/binary"
	"errors"

	"github.com/streambus/streambus/kafkaproto"
)

// controlType is the kind of a record in a control frame; docs/format/control.md shows each.
type controlType uint8

const (
	ctlCreate     controlType = 1  // the log exists, empty
	ctlDelete     controlType = 2  // the log is gone
	ctlTruncate   controlType = 3  // i64: the log ends there
	ctlStart      controlType = 4  // i64: the log starts there
	ctlEpoch      controlType = 5  // i32 epoch, i64 start
	ctlCheckpoint controlType = 6  // all control state of the log
	ctlEnd        controlType = 7  // where the WAL ended before this file
	ctlHigh       controlType = 8  // i64: a high watermark that was known
	ctlQuarantine controlType = 9  // i64: ms since 1970 when it was put aside, -1: taken back
	ctlRoster     controlType = 10 // all logs that exist
	ctlUnlink     controlType = 11 // u32: a file that is about to go
	ctlRun        controlType = 12 // what a sorted file has of the log
	ctlSorted     controlType = 13 // u32 file, u32 end: a sorted file that counts from here on
)

const controlHeaderLen = 1 + 16 + 4 + 4

// control is one record of a control frame.
type control struct {
	kind controlType
	log  tp
	body []byte
}

func appendControl(dst []byte, kind controlType, id tp, body []byte) []byte {
	dst = append(dst, byte(kind))
	dst = append(dst, id.Topic[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(id.Partition))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...)
}

func appendControlInt(dst []byte, kind controlType, id tp, v int64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(v))
	return appendControl(dst, kind, id, b[:])
}

var errControl = errors.New("malformed control record")

// nextControl cuts the first record off a control frame's payload.
func nextControl(p []byte) (c control, rest []byte, err error) {
	if len(p) < controlHeaderLen {
		return c, nil, errControl
	}
	c.kind = controlType(p[0])
	copy(c.log.Topic[:], p[1:17])
	c.log.Partition = kafkaproto.PartitionID(binary.BigEndian.Uint32(p[17:]))
	n := binary.BigEndian.Uint32(p[21:])
	p = p[controlHeaderLen:]
	if uint64(n) > uint64(len(p)) {
		return c, nil, errControl
	}
	c.body = p[:n]
	if min := controlBodyMin[c.kind]; len(c.body) < min {
		return c, nil, errControl
	}
	return c, p[n:], nil
}

// controlBodyMin are the least lengths of bodies that have fixed fields.
var controlBodyMin = map[controlType]int{
	ctlTruncate: 8, ctlStart: 8, ctlEpoch: 12, ctlEnd: walEndLen, ctlHigh: 8, ctlQuarantine: 8, ctlUnlink: 4,
	ctlRun: sortedRunLen, ctlSorted: 8,
}

func (c *control) int() int64 { return int64(binary.BigEndian.Uint64(c.body)) }

// walEnd is the first record of each file: where the WAL ended before it, which makes everything else behind that end
// void, and which sealed files there were.
type walEnd struct {
	prev     position // file 0: there was none
	sequence uint64   // of the last frame before that end
	reason   endReason
	// files are all that are to exist then, but for those that are unlinked since, and where each ends: the file that said
	// so may be gone.
	files []fileEnd
}

// fileEnd is where a file's last frame that counts ends.
type fileEnd struct{ id, end uint32 }

func appendSorted(dst []byte, f fileEnd) []byte {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], f.id)
	binary.BigEndian.PutUint32(b[4:], f.end)
	return appendControl(dst, ctlSorted, tp{}, b[:])
}

// sorted is the file that a ctlSorted record is about.
func (c *control) sorted() fileEnd {
	return fileEnd{binary.BigEndian.Uint32(c.body), binary.BigEndian.Uint32(c.body[4:])}
}

type endReason uint8

const (
	endFull      endReason = 1 // the file was full, or sealed on demand
	endRecovered endReason = 2 // found by a recovery
	endWrite     endReason = 3 // a write failed there for want of space
	endFirst     endReason = 4 // the directory's first file
)

const walEndLen = 8 + 8 + 1 + 4

func (w *walEnd) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(w.prev))
	b = binary.BigEndian.AppendUint64(b, w.sequence)
	b = append(b, byte(w.reason))
	b = binary.BigEndian.AppendUint32(b, uint32(len(w.files)))
	for _, f := range w.files {
		b = binary.BigEndian.AppendUint32(b, f.id)
		b = binary.BigEndian.AppendUint32(b, f.end)
	}
	return b
}

func (w *walEnd) decode(b []byte) error {
	if len(b) < walEndLen {
		return errControl
	}
	w.prev = position(binary.BigEndian.Uint64(b))
	w.sequence = binary.BigEndian.Uint64(b[8:])
	w.reason = endReason(b[16])
	n := int(binary.BigEndian.Uint32(b[17:]))
	if b = b[walEndLen:]; n != len(b)/8 || len(b)%8 != 0 {
		return errControl
	}
	w.files = make([]fileEnd, n)
	for i := range w.files {
		w.files[i] = fileEnd{binary.BigEndian.Uint32(b[8*i:]), binary.BigEndian.Uint32(b[8*i+4:])}
	}
	return nil
}

// rosterEntryLen is a log's id and incarnation in a roster.
const rosterEntryLen = 16 + 4

func appendRoster(dst []byte, id tp) []byte {
	dst = append(dst, id.Topic[:]...)
	return binary.BigEndian.AppendUint32(dst, uint32(id.Partition))
}

func decodeRoster(b []byte) (map[tp]bool, error) {
	if len(b)%rosterEntryLen != 0 {
		return nil, errControl
	}
	ids := make(map[tp]bool, len(b)/rosterEntryLen)
	for ; len(b) > 0; b = b[rosterEntryLen:] {
		var id tp
		copy(id.Topic[:], b)
		id.Partition = kafkaproto.PartitionID(binary.BigEndian.Uint32(b[16:]))
		ids[id] = true
	}
	return ids, nil
}
