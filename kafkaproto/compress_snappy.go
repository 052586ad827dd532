package kafkaproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/snappy"
)

// Java's producer frames snappy as the xerial library does: a header of magic, version and compatible version, then
// blocks with a 4-byte length each. Others (librdkafka, franz-go) send one raw block.
const (
	xerialHeaderLen = 16
	xerialBlockLen  = 32 << 10
)

var (
	xerialMagic  = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}
	errSnappy    = errors.New("snappy block is malformed")
	errSnappyLen = errors.New("snappy block claims an impossible length")
)

// newSnappyReader unpacks a raw block at once: snappy packs at most about 21 to 1, so the block's own size bounds it.
func newSnappyReader(src []byte, max int) (io.ReadCloser, error) {
	if len(src) >= xerialHeaderLen && bytes.HasPrefix(src, xerialMagic) {
		return &xerialReader{src: src[xerialHeaderLen:], max: max}, nil
	}
	buf, err := unsnap(getScratch(0), src, max)
	if err != nil {
		putScratch(buf)
		return nil, err
	}
	return &memoryReader{left: buf, buf: buf}, nil
}

// unsnap unpacks one block into buf, which it may replace by a larger one.
func unsnap(buf, block []byte, max int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return buf, errSnappy
	}
	if n > max {
		return buf, errBomb
	}
	// A copy makes at most 64 bytes of 3.
	if n > 22*len(block) {
		return buf, errSnappyLen
	}
	if cap(buf) < n {
		putScratch(buf)
		buf = getScratch(n)
	}
	out, err := snappy.Decode(buf[:n], block)
	if err != nil || len(out) != n {
		return buf, errSnappy
	}
	return out, nil
}

// xerialReader unpacks block after block.
type xerialReader struct {
	src  []byte
	max  int
	buf  []byte
	left []byte
}

func (x *xerialReader) Read(p []byte) (int, error) {
	for len(x.left) == 0 {
		if len(x.src) == 0 {
			return 0, io.EOF
		}
		if err := x.block(); err != nil {
			return 0, err
		}
	}
	n := copy(p, x.left)
	x.left = x.left[n:]
	return n, nil
}

func (x *xerialReader) block() (err error) {
	if len(x.src) < 4 {
		return io.ErrUnexpectedEOF
	}
	n := int32(binary.BigEndian.Uint32(x.src))
	if n <= 0 || int64(n) > int64(len(x.src)-4) {
		return errSnappyLen
	}
	x.buf, err = unsnap(x.buf, x.src[4:4+n], x.max)
	if err != nil {
		return err
	}
	x.left, x.src = x.buf, x.src[4+n:]
	return nil
}

func (x *xerialReader) Close() error {
	putScratch(x.buf)
	x.buf, x.left = nil, nil
	return nil
}

func compressXerial(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	block := getScratch(snappy.MaxEncodedLen(xerialBlockLen))
	defer putScratch(block)
	for len(src) > 0 {
		n := min(len(src), xerialBlockLen)
		out := snappy.Encode(block[:cap(block)], src[:n])
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(out)))
		dst = append(dst, out...)
		src = src[n:]
	}
	return dst
}
