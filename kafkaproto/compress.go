package kafkaproto

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"sync"
)

// Codec is a compression of record batches, by Kafka's number.
type Codec int8

// The codecs.
const (
	CodecNone Codec = iota
	CodecGzip
	CodecSnappy
	CodecLZ4
	CodecZstd
)

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

func (c Codec) String() string {
	if c.Valid() {
		return codecNames[c]
	}
	return "codec " + strconv.Itoa(int(c))
}

// Valid tells whether it is a codec that Kafka knows.
func (c Codec) Valid() bool { return c >= 0 && int(c) < len(codecNames) }

// ParseCodec reads a codec's name, as in compression.type.
func ParseCodec(name string) (Codec, bool) {
	for i, n := range codecNames {
		if n == name {
			return Codec(i), true
		}
	}
	return 0, false
}

// MaxDecompressed bounds what one batch may unpack to unless the caller says else: 256 MiB.
const MaxDecompressed = 256 << 20

// Compress appends src in the codec's form to dst: what Kafka's own producer writes, so snappy has the xerial framing and
// lz4 is a frame of independent 64 KiB blocks.
func Compress(codec Codec, dst, src []byte) ([]byte, error) {
	switch codec {
	case CodecNone:
		return append(dst, src...), nil
	case CodecGzip:
		return compressGzip(dst, src)
	case CodecSnappy:
		return compressXerial(dst, src), nil
	case CodecLZ4:
		return compressLZ4(dst, src)
	case CodecZstd:
		return compressZstd(dst, src)
	}
	return dst, ErrUnsupportedCompressionType.With("%v is not known", codec)
}

// Decompress appends what src holds to dst, at most max bytes. It allocates as bytes really come, not as src claims.
func Decompress(codec Codec, dst, src []byte, max int) ([]byte, error) {
	if codec == CodecNone {
		if len(src) > max {
			return dst, errBomb
		}
		return append(dst, src...), nil
	}
	r, err := newDecompressor(codec, src, max)
	if err != nil {
		return dst, err
	}
	defer r.Close()
	start := len(dst)
	for idle := 0; ; {
		dst = slices.Grow(dst, 512)
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if idle++; n > 0 {
			idle = 0
		}
		switch {
		case idle > maxIdleReads:
			return dst[:start], io.ErrNoProgress
		case len(dst)-start > max:
			return dst[:start], errBomb
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst[:start], err
		}
	}
}

// maxIdleReads is how often in a row a decompressor may give no bytes and no error, so that no input can make it a loop
// without an end.
const maxIdleReads = 100

// newDecompressor is a stream of what src holds. It may unpack as much as max bytes into memory, never more, and much
// less where the codec can stream. Close gives it back to its pool.
func newDecompressor(codec Codec, src []byte, max int) (io.ReadCloser, error) {
	switch codec {
	case CodecGzip:
		return newGzipReader(src)
	case CodecSnappy:
		return newSnappyReader(src, max)
	case CodecLZ4:
		return newLZ4Reader(src), nil
	case CodecZstd:
		return newZstdReader(src, max)
	}
	return nil, ErrUnsupportedCompressionType.With("%v is not known", codec)
}

// memoryReader gives out unpacked bytes that are in memory.
type memoryReader struct {
	left []byte
	buf  []byte // where left lies, from getScratch
}

func (m *memoryReader) Read(p []byte) (int, error) {
	if len(m.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, m.left)
	m.left = m.left[n:]
	return n, nil
}

func (m *memoryReader) Close() error {
	putScratch(m.buf)
	m.buf, m.left = nil, nil
	return nil
}

// maxScratch is the largest buffer that is kept for the next batch.
const maxScratch = 1 << 20

var scratches = sync.Pool{New: func() any { return new([]byte) }}

// getScratch is an empty buffer with room for n bytes.
func getScratch(n int) []byte {
	p := scratches.Get().(*[]byte)
	return slices.Grow((*p)[:0], n)
}

func putScratch(b []byte) {
	if cap(b) > 0 && cap(b) <= maxScratch {
		scratches.Put(&b)
	}
}

// resettable is a codec's writer that can be used again.
type resettable interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// compressThrough appends to dst what w makes of src.
func compressThrough(w resettable, dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w.Reset(out)
	if _, err := w.Write(src); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	return out.Bytes(), nil
}
