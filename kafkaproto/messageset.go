package kafkaproto

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Message sets are what Kafka had before record batches: messages of magic 0 or 1 one after the other, compressed by
// putting a whole set, packed, into the value of one wrapper message.
//
//	 0 offset      int64   \  not in size
//	 8 size        int32   /
//	12 crc         uint32    CRC32 (IEEE) of all that follows
//	16 magic       int8
//	17 attributes  int8      bits 0-2 codec, 3 timestamp type (magic 1)
//	18 timestamp   int64     magic 1 only
//	   key         int32 length, -1 for null
//	   value       int32 length, -1 for null
//
// Inside a wrapper of magic 1, offsets count from 0 and the wrapper has the last one's absolute offset; inside one of
// magic 0 they are absolute. A producer's offsets mean nothing to the broker, so only their order counts here.
const (
	messagePrefixLen = 12
	minMessageV0     = 14 // size of a message of magic 0 without key and value
	minMessageV1     = 22

	// maxConverted bounds what a wrapper may unpack to: it does so in memory, and only old clients send any.
	maxConverted = 64 << 20
)

var (
	errMessage       = errors.New("message is malformed")
	errMessageMagic  = errors.New("message set mixes formats")
	errMessageCRC    = errors.New("message has a wrong checksum")
	errMessageNested = errors.New("message inside a compressed one is itself compressed")
	errNoMessages    = errors.New("message set is empty")
)

// ConvertOptions bound a conversion.
type ConvertOptions struct {
	MaxDecompressed int // bytes that one compressed message may hold; 0: 64 MiB
}

// message is one message, its CRC checked.
type message struct {
	offset     int64
	magic      int8
	codec      Codec
	appendTime bool
	timestamp  Timestamp // NoTimestamp in magic 0
	key, value []byte
}

// ConvertMessageSet turns what an old producer sent (Produce v0 to v2: messages of magic 0 or 1, wrapped or not) into
// one record batch with base offset 0 and the same codec. Messages of magic 0 get no timestamp. The batch is for
// Validate to judge; errors here are of the old format and wrap ErrCorruptMessage, ErrInvalidRecord or
// ErrUnsupportedCompressionType.
func ConvertMessageSet(set []byte, opts ConvertOptions) ([]byte, error) {
	if opts.MaxDecompressed == 0 {
		opts.MaxDecompressed = maxConverted
	}
	c := upConverter{out: NewBuilder(), left: opts.MaxDecompressed}
	if err := c.set(set); err != nil {
		return nil, err
	}
	if c.out.Count() == 0 {
		return nil, ErrInvalidRecord.With("%w", errNoMessages)
	}
	c.out.Codec = c.codec
	return c.out.Batch()
}

// IsMessageSet tells whether records of an old Produce request are of the old formats. Requests before v3 may hold
// record batches as well.
func IsMessageSet(set []byte) bool { return len(set) > 16 && set[16] < magicV2 }

type upConverter struct {
	out   *Builder
	codec Codec
	left  int // bytes that wrappers may still unpack to
}

func (c *upConverter) set(set []byte) error {
	for magic := int8(-1); len(set) > 0; {
		m, rest, err := nextMessage(set)
		if err != nil {
			return err
		}
		if magic >= 0 && m.magic != magic {
			return ErrInvalidRecord.With("%w", errMessageMagic)
		}
		magic, set = m.magic, rest
		if m.codec == CodecNone {
			c.add(m)
		} else if err := c.wrapper(m); err != nil {
			return err
		}
	}
	return nil
}

func (c *upConverter) add(m message) {
	c.out.Append(Record{Timestamp: m.timestamp, Key: m.key, Value: m.value})
}

// wrapper adds the messages inside m.
func (c *upConverter) wrapper(m message) error {
	if !m.codec.Valid() || m.codec == CodecZstd {
		return ErrUnsupportedCompressionType.With("%v in a message of format v%d", m.codec, m.magic)
	}
	packed := m.value
	if m.codec == CodecLZ4 && m.magic == 0 {
		packed = fixLZ4Header(packed)
	}
	inner, err := Decompress(m.codec, nil, packed, c.left)
	if err != nil {
		return ErrInvalidRecord.With("%w: %w", errUnpack, err)
	}
	c.codec = m.codec
	c.left -= len(inner)
	if len(inner) == 0 {
		return ErrInvalidRecord.With("%w", errNoMessages)
	}
	for len(inner) > 0 {
		var im message
		if im, inner, err = nextMessage(inner); err != nil {
			return err
		}
		switch {
		case im.codec != CodecNone:
			return ErrInvalidRecord.With("%w", errMessageNested)
		case im.magic != m.magic:
			return ErrInvalidRecord.With("%w", errMessageMagic)
		}
		if m.appendTime {
			im.timestamp = m.timestamp
		}
		c.add(im)
	}
	return nil
}

// nextMessage reads the first message of a set and checks its CRC. Key and value point into set.
func nextMessage(set []byte) (m message, rest []byte, err error) {
	if len(set) < messagePrefixLen+minMessageV0 {
		return m, nil, ErrCorruptMessage.With("%w", errMessage)
	}
	size := int32(binary.BigEndian.Uint32(set[8:]))
	if size < minMessageV0 || int64(size) > int64(len(set)-messagePrefixLen) {
		return m, nil, ErrCorruptMessage.With("%w: size %d", errMessage, size)
	}
	end := messagePrefixLen + int(size)
	p, rest := set[messagePrefixLen:end:end], set[end:]
	if crc32.ChecksumIEEE(p[4:]) != binary.BigEndian.Uint32(p) {
		return m, nil, ErrCorruptMessage.With("%w", errMessageCRC)
	}
	m.offset, m.magic, m.codec = int64(binary.BigEndian.Uint64(set)), int8(p[4]), Codec(p[5]&attrCodecMask)
	m.timestamp = NoTimestamp
	switch {
	case m.magic == 0:
		p = p[6:]
	case m.magic == 1 && size >= minMessageV1:
		m.appendTime = p[5]&attrLogAppendTime != 0
		m.timestamp = Timestamp(binary.BigEndian.Uint64(p[6:]))
		p = p[14:]
	default:
		return m, nil, ErrCorruptMessage.With("%w: magic %d, size %d", errMessage, m.magic, size)
	}
	var ok bool
	if m.key, p, ok = nullableInt32Bytes(p); ok {
		m.value, p, ok = nullableInt32Bytes(p)
	}
	if !ok || len(p) != 0 {
		return m, nil, ErrCorruptMessage.With("%w", errMessage)
	}
	return m, rest, nil
}

func nullableInt32Bytes(p []byte) (b, rest []byte, ok bool) {
	if len(p) < 4 {
		return nil, nil, false
	}
	n := int32(binary.BigEndian.Uint32(p))
	p = p[4:]
	switch {
	case n == -1:
		return nil, p, true
	case n < 0 || int64(n) > int64(len(p)):
		return nil, nil, false
	}
	return p[:n:n], p[n:], true
}
