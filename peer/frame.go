package peer

import (
	"encoding/binary"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/streambus/streambus/kafkaproto"
)

// Frame is an answer in a buffer of the pool's. Body and everything that points into it are valid until Release.
type Frame struct {
	buf      []byte // correlation id, tagged fields of the header, body
	body     []byte
	released atomic.Bool
}

// Body is the answer without its header.
func (f *Frame) Body() []byte { return f.body }

// Release gives the buffer back. It must be called once.
func (f *Frame) Release() {
	if f.released.Swap(true) {
		panic("peer: a frame was released twice")
	}
	putBuffer(f.buf)
	f.buf, f.body = nil, nil
}

func (f *Frame) correlation() int32 { return int32(binary.BigEndian.Uint32(f.buf)) }

// open finds the body behind the header, and says whether there is one.
func (f *Frame) open(tagged bool) bool {
	rest := f.buf[4:]
	if tagged {
		var ok bool
		if rest, ok = skipTags(rest); !ok {
			return false
		}
	}
	f.body = rest
	return true
}

// skipTags passes over the tagged fields of a header: a count, then number, length and bytes of each.
func skipTags(p []byte) ([]byte, bool) {
	count, n := binary.Uvarint(p)
	if n <= 0 || count > uint64(len(p)) {
		return nil, false
	}
	p = p[n:]
	for ; count > 0; count-- {
		_, n := binary.Uvarint(p)
		if n <= 0 {
			return nil, false
		}
		size, m := binary.Uvarint(p[n:])
		if m <= 0 || size > uint64(len(p)-n-m) {
			return nil, false
		}
		p = p[n+m+int(size):]
	}
	return p, true
}

// readFrame reads an answer. Up to the largest pooled size the buffer is taken whole; beyond, it grows with what really
// comes.
func readFrame(r io.Reader, most int32) (*Frame, error) {
	size, err := kafkaproto.ReadFrameSize(r, most)
	if err != nil {
		return nil, err
	}
	if size < 4 {
		return nil, ErrProtocol
	}
	buf := getBuffer(min(size, maxBuffer))
	for read := 0; ; {
		n, err := io.ReadFull(r, buf[read:])
		if read += n; err != nil {
			putBuffer(buf)
			return nil, unexpected(err)
		}
		if read == size {
			return &Frame{buf: buf}, nil
		}
		larger := make([]byte, min(size, 4*len(buf)))
		copy(larger, buf)
		putBuffer(buf)
		buf = larger
	}
}

// unexpected names an end inside of a frame.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Buffers are pooled in powers of two from 1 KiB to 16 MiB, which holds the answer to a follower's fetch. Larger ones are
// rare and left to the garbage collector.
const (
	minBufferBits = 10
	maxBufferBits = 24
	maxBuffer     = 1 << maxBufferBits
)

var bufferPools [maxBufferBits - minBufferBits + 1]sync.Pool

func bufferClass(n int) int {
	if n <= 1<<minBufferBits {
		return 0
	}
	return bits.Len(uint(n-1)) - minBufferBits
}

// getBuffer returns a buffer of length n, at most maxBuffer, of unspecified content.
func getBuffer(n int) []byte {
	class := bufferClass(n)
	if p, _ := bufferPools[class].Get().(*[]byte); p != nil {
		return (*p)[:n]
	}
	return make([]byte, n, 1<<(class+minBufferBits))
}

func putBuffer(b []byte) {
	class := bufferClass(cap(b))
	if class >= len(bufferPools) || cap(b) != 1<<(class+minBufferBits) {
		return
	}
	b = b[:0]
	bufferPools[class].Put(&b)
}

// Requests are encoded into scratch buffers, which come back once they are written.
const maxScratch = 64 << 10

var scratch sync.Pool

func takeScratch() []byte {
	if p, _ := scratch.Get().(*[]byte); p != nil {
		return (*p)[:0]
	}
	return make([]byte, 0, 512)
}

func putScratch(b []byte) {
	if cap(b) <= maxScratch {
		scratch.Put(&b)
	}
}
