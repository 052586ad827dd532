package log

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"hash/fnv"

	"github.com/streambus/streambus/kafkaproto"
)

// Sizes and constants of the WAL's format; docs/format/wal.md and docs/format/frame.md show the bytes.
const (
	fileMagic     = "SBUSWAL1"
	sortedMagic   = "SBUSSRT1"
	frameMagic    = 0x5342_4652 // "SBFR"
	formatVersion = 1           // of files and frames
	indexVersion  = 3

	fileHeaderLen  = 64
	frameHeaderLen = 96
	frameAlign     = 8
	crcOffset      = 92

	// mergeBytes is where neighbours of one log stop being merged into one frame, and where a larger append is cut
	// into several frames at a batch's edge.
	mergeBytes = 256 << 10
	// maxPayload bounds what a frame header may claim.
	maxPayload = 1 << 30
)

type frameKind uint8

const (
	frameData    frameKind = 1
	frameControl frameKind = 2
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// frameHeader is the fixed part of a frame. The log's fields are zero in control frames, which may be about many logs.
type frameHeader struct {
	kind        frameKind
	flags       uint16
	at          position // its own place: a frame that was written elsewhere is none
	sequence    uint64
	synced      position // all bytes below were durable when the frame was written
	log         tp
	epoch       int32 // of the last batch
	first, last offset
	maxTime     int64
	batches     uint32
	length      uint32
	gap         uint32 // offsets between the log's end and first that belong to no record
	crc         uint32
}

// span is what the frame takes in the file, with the padding behind it.
func (h *frameHeader) span() int64 { return alignUp(frameHeaderLen + int64(h.length)) }

func alignUp(n int64) int64 { return (n + frameAlign - 1) &^ (frameAlign - 1) }

func (h *frameHeader) encode(b []byte) {
	_ = b[frameHeaderLen-1]
	be := binary.BigEndian
	be.PutUint32(b[0:], frameMagic)
	b[4] = formatVersion
	b[5] = byte(h.kind)
	be.PutUint16(b[6:], h.flags)
	be.PutUint64(b[8:], uint64(h.at))
	be.PutUint64(b[16:], h.sequence)
	be.PutUint64(b[24:], uint64(h.synced))
	copy(b[32:48], h.log.Topic[:])
	be.PutUint32(b[48:], uint32(h.log.Partition))
	be.PutUint32(b[52:], uint32(h.epoch))
	be.PutUint64(b[56:], uint64(h.first))
	be.PutUint64(b[64:], uint64(h.last))
	be.PutUint64(b[72:], uint64(h.maxTime))
	be.PutUint32(b[80:], h.batches)
	be.PutUint32(b[84:], h.length)
	be.PutUint32(b[88:], h.gap)
	be.PutUint32(b[crcOffset:], h.crc)
}

var errNoFrame = errors.New("no frame header")

// decode reads a header without its CRC having been checked: nothing in it may be trusted before that.
func (h *frameHeader) decode(b []byte) error {
	be := binary.BigEndian
	if len(b) < frameHeaderLen || be.Uint32(b) != frameMagic || b[4] != formatVersion {
		return errNoFrame
	}
	h.kind = frameKind(b[5])
	h.flags = be.Uint16(b[6:])
	h.at = position(be.Uint64(b[8:]))
	h.sequence = be.Uint64(b[16:])
	h.synced = position(be.Uint64(b[24:]))
	copy(h.log.Topic[:], b[32:48])
	h.log.Partition = kafkaproto.PartitionID(be.Uint32(b[48:]))
	h.epoch = int32(be.Uint32(b[52:]))
	h.first = offset(be.Uint64(b[56:]))
	h.last = offset(be.Uint64(b[64:]))
	h.maxTime = int64(be.Uint64(b[72:]))
	h.batches = be.Uint32(b[80:])
	h.length = be.Uint32(b[84:])
	h.gap = be.Uint32(b[88:])
	h.crc = be.Uint32(b[crcOffset:])
	if h.kind != frameData && h.kind != frameControl || h.length > maxPayload {
		return errNoFrame
	}
	return nil
}

// frameSum starts the CRC of a frame. salt is the file's: no producer knows it, so no payload can pass for a frame.
func frameSum(salt uint64, header []byte) uint32 {
	var s [8]byte
	binary.BigEndian.PutUint64(s[:], salt)
	return crc32.Update(crc32.Update(0, crcTable, s[:]), crcTable, header[:crcOffset])
}

var (
	errFrameSum   = errors.New("checksum of the frame")
	errFramePlace = errors.New("frame belongs elsewhere")
	errFrameShape = errors.New("batches do not fill the frame")
)

// checkFrame tells whether the frame is intact: header, prefixes and, for data, every batch's own CRC. payload is what
// stands behind the header, of the length that it claims.
func checkFrame(h *frameHeader, header, payload []byte, salt uint64) error {
	sum := frameSum(salt, header)
	if h.kind == frameControl {
		if crc32.Update(sum, crcTable, payload) != h.crc {
			return errFrameSum
		}
		return nil
	}
	rest, n := payload, uint32(0)
	for len(rest) > 0 {
		b, tail, err := kafkaproto.NextBatch(rest)
		if err != nil {
			return errFrameShape
		}
		sum = crc32.Update(sum, crcTable, b[:kafkaproto.PrefixLen])
		rest, n = tail, n+1
	}
	if n != h.batches {
		return errFrameShape
	}
	if sum != h.crc {
		return errFrameSum
	}
	return checkBatches(payload)
}

func checkBatches(payload []byte) error {
	for len(payload) > 0 {
		b, rest, err := kafkaproto.NextBatch(payload)
		if err != nil {
			return err
		}
		if err := b.CheckCRC(); err != nil {
			return err
		}
		payload = rest
	}
	return nil
}

// saltOf is what the CRCs of a file's frames start from. It hangs on the directory's random id, so that no payload that a
// producer makes up can pass for a frame, and not on the file's header, so that damage there leaves the frames readable.
func saltOf(directory [16]byte, file uint32) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(directory[:])
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, file))
	return h.Sum64()
}

// fileHeader opens every file. docs/format/wal.md shows the bytes.
type fileHeader struct {
	kind      fileKind
	id        uint32
	directory [16]byte
	created   int64 // ms
}

func (k fileKind) magic() string {
	if k == fileSorted {
		return sortedMagic
	}
	return fileMagic
}

func (h *fileHeader) encode() []byte {
	b := make([]byte, fileHeaderLen)
	be := binary.BigEndian
	copy(b, h.kind.magic())
	be.PutUint16(b[8:], formatVersion)
	be.PutUint32(b[12:], h.id)
	copy(b[16:32], h.directory[:])
	be.PutUint64(b[40:], uint64(h.created))
	be.PutUint32(b[60:], crc32.Checksum(b[:60], crcTable))
	return b
}

var errFileHeader = errors.New("the file's header is damaged")

func (h *fileHeader) decode(kind fileKind, b []byte) error {
	be := binary.BigEndian
	if len(b) < fileHeaderLen || string(b[:8]) != kind.magic() || crc32.Checksum(b[:60], crcTable) != be.Uint32(b[60:]) {
		return errFileHeader
	}
	if v := be.Uint16(b[8:]); v > formatVersion {
		return ErrNewerFormat
	}
	h.kind, h.id = kind, be.Uint32(b[12:])
	copy(h.directory[:], b[16:32])
	h.created = int64(be.Uint64(b[40:]))
	return nil
}
