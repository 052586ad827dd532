package kafkaproto

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A decoder that streams allocates the window that a frame claims before it has seen a byte of it. Frames that claim
// up to maxZstdStream stream; larger ones (compression levels above 19) are unpacked in memory that grows with what
// they really hold.
const (
	maxZstdStream = 8 << 20
	maxZstdWindow = 128 << 20 // the largest that zstd's own decoder takes by default

	// What is unpacked in memory may take this much, and this many times the packed bytes.
	zstdAllowance = 8 << 20
	maxZstdRatio  = 1000

	zstdBlock = 128 << 10 // the largest block when unpacked
)

var (
	zstdStreams = sync.Pool{New: func() any { return newZstdStream() }}
	zstdBlocks  = sync.Pool{New: func() any { return newZstdBlocks() }}
	zstdWriters = sync.Pool{New: func() any { return newZstdWriter() }}
)

type zstdReader struct {
	*zstd.Decoder
	src bytes.Reader
}

func newZstdStream() *zstdReader {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdStream))
	if err != nil {
		panic(err) // the options are constants
	}
	return &zstdReader{Decoder: d}
}

// newZstdBlocks makes a decoder for DecodeAll, which never goes beyond the buffer it is given.
func newZstdBlocks() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err)
	}
	return d
}

func newZstdWriter() *zstd.Encoder {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err)
	}
	return w
}

func newZstdReader(src []byte, max int) (io.ReadCloser, error) {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return nil, err
	}
	window, small := h.WindowSize, h.HasFCS && h.FrameContentSize <= maxScratch
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	if small || window > maxZstdStream {
		return newZstdMemory(src, max, &h)
	}
	z := zstdStreams.Get().(*zstdReader)
	z.src.Reset(src)
	if err := z.Reset(&z.src); err != nil {
		z.Close()
		return nil, err
	}
	return z, nil
}

func (z *zstdReader) Close() error {
	z.src.Reset(nil)
	if err := z.Reset(nil); err != nil {
		return err // broken, not for the pool
	}
	zstdStreams.Put(z)
	return nil
}

// newZstdMemory unpacks all of src, in a buffer of what the first frame's header says or of as many more as it turns out
// to need. The decoder keeps to the buffer's end, but doesn't always say so: it may call a block malformed that has no
// room.
func newZstdMemory(src []byte, max int, h *zstd.Header) (io.ReadCloser, error) {
	d := zstdBlocks.Get().(*zstd.Decoder)
	defer zstdBlocks.Put(d)
	limit := min(max, zstdAllowance+len(src)*maxZstdRatio)
	if h.FrameContentSize > uint64(limit) { // 0 if it doesn't say
		return nil, errBomb
	}
	for size := min(limit, int(h.FrameContentSize)+4*len(src)); ; size = min(limit, 2*size) {
		buf := getScratch(size)
		out, err := d.DecodeAll(src, buf[:0:size])
		if err == nil {
			return &memoryReader{left: out, buf: out}, nil
		}
		putScratch(buf)
		known := h.HasFCS && h.FrameContentSize < uint64(size)
		if room := size - len(out); (known || room > 2*zstdBlock) && !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return nil, err
		}
		if size >= limit {
			return nil, errBomb
		}
	}
}

func compressZstd(dst, src []byte) ([]byte, error) {
	w := zstdWriters.Get().(*zstd.Encoder)
	defer zstdWriters.Put(w)
	return w.EncodeAll(src, dst), nil
}
