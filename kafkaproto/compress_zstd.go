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

	// maxZstdRatio is a little above what the format can reach: a block of 128 KiB out of 4 bytes.
	maxZstdRatio = 40000
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
		return newZstdMemory(src, max, int(min(h.FrameContentSize, maxScratch)))
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

// newZstdMemory unpacks all of src, in a buffer of expect bytes or of as many more as it turns out to need.
func newZstdMemory(src []byte, max, expect int) (io.ReadCloser, error) {
	d := zstdBlocks.Get().(*zstd.Decoder)
	defer zstdBlocks.Put(d)
	limit := int(min(int64(max), int64(len(src))*maxZstdRatio))
	for size := min(limit, expect+4*len(src)); ; size = min(limit, 2*size) {
		buf := getScratch(size)
		out, err := d.DecodeAll(src, buf[:0:size])
		if err == nil {
			return &memoryReader{left: out, buf: out}, nil
		}
		putScratch(buf)
		if !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
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
