package broker

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"
)

// frame is the bytes of one request. Whoever keeps a slice of them holds a reference; the last release gives the buffer
// back to its pool and its size back to the server's limit.
type frame struct {
	buf    []byte
	refs   atomic.Int32
	memory *memory
	held   int64
}

func (f *frame) retain() { f.refs.Add(1) }

func (f *frame) release() {
	switch n := f.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("broker: a frame was released twice")
	}
	f.memory.release(f.held)
	f.held = 0
	putBuffer(f.buf)
	f.buf = nil
}

// Buffers are pooled in powers of two from 4 KiB to 4 MiB. Larger ones are rare and left to the garbage collector, so
// that one huge request doesn't stay in memory for ever.
const (
	minBufferBits = 12
	maxBufferBits = 22
)

var bufferPools [maxBufferBits - minBufferBits + 1]sync.Pool

func bufferClass(n int) int {
	if n <= 1<<minBufferBits {
		return 0
	}
	return bits.Len(uint(n-1)) - minBufferBits
}

// getBuffer returns a buffer of length n, of unspecified content.
func getBuffer(n int) []byte {
	class := bufferClass(n)
	if class >= len(bufferPools) {
		return make([]byte, n)
	}
	if p, _ := bufferPools[class].Get().(*byte); p != nil {
		return unsafe.Slice(p, 1<<(class+minBufferBits))[:n]
	}
	return make([]byte, n, 1<<(class+minBufferBits))
}

func putBuffer(b []byte) {
	class := bufferClass(cap(b))
	if class >= len(bufferPools) || cap(b) != 1<<(class+minBufferBits) {
		return
	}
	bufferPools[class].Put(unsafe.SliceData(b)) // a slice would need memory for itself
}
