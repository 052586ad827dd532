package kafkaproto

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/gzip"
)

var (
	gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
)

type gzipReader struct {
	gzip.Reader
	src bytes.Reader
}

func newGzipReader(src []byte) (*gzipReader, error) {
	g := gzipReaders.Get().(*gzipReader)
	g.src.Reset(src)
	if err := g.Reset(&g.src); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *gzipReader) Close() error {
	g.src.Reset(nil)
	gzipReaders.Put(g)
	return nil
}

func compressGzip(dst, src []byte) ([]byte, error) {
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	return compressThrough(w, dst, src)
}
