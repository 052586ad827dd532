package kafkaproto

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sync"

	"github.com/pierrec/lz4/v4"
)

var (
	lz4Readers = sync.Pool{New: func() any { return &lz4Reader{Reader: lz4.NewReader(nil)} }}
	lz4Writers = sync.Pool{New: func() any {
		w := lz4.NewWriter(nil)
		_ = w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.ConcurrencyOption(1))
		return w
	}}
)

type lz4Reader struct {
	*lz4.Reader
	src bytes.Reader
}

func newLZ4Reader(src []byte) *lz4Reader {
	r := lz4Readers.Get().(*lz4Reader)
	r.src.Reset(src)
	r.Reset(&r.src)
	return r
}

func (r *lz4Reader) Close() error {
	r.src.Reset(nil)
	r.Reset(nil)
	lz4Readers.Put(r)
	return nil
}

func compressLZ4(dst, src []byte) ([]byte, error) {
	w := lz4Writers.Get().(*lz4.Writer)
	defer lz4Writers.Put(w)
	return compressThrough(w, dst, src)
}

// lz4HeaderLen is the length of an lz4 frame's header, its checksum byte included, or 0 if frame doesn't start with one.
func lz4HeaderLen(frame []byte) int {
	const magic = 0x184D2204
	if len(frame) < 7 || binary.LittleEndian.Uint32(frame) != magic {
		return 0
	}
	n := 7
	if frame[4]&0x08 != 0 { // content size
		n += 8
	}
	if frame[4]&0x01 != 0 { // dictionary id
		n += 4
	}
	if len(frame) < n {
		return 0
	}
	return n
}

// fixLZ4Header gives a frame the header checksum that the lz4 format asks for. Kafka's format v0 has a wrong one: the
// Java client of the time took the frame's magic number into it, so all clients that write v0 must (KAFKA-3160).
// The frame is copied if it must change.
func fixLZ4Header(frame []byte) []byte {
	n := lz4HeaderLen(frame)
	if n == 0 {
		return frame
	}
	if want := byte(xxh32(frame[4:n-1]) >> 8); frame[n-1] != want {
		frame = bytes.Clone(frame)
		frame[n-1] = want
	}
	return frame
}

// breakLZ4Header does the opposite, in place, for fetchers that expect v0's checksum.
func breakLZ4Header(frame []byte) {
	if n := lz4HeaderLen(frame); n > 0 {
		frame[n-1] = byte(xxh32(frame[:n-1]) >> 8)
	}
}

// xxh32 is the 32-bit xxHash of p with seed 0, for what a frame header needs.
func xxh32(p []byte) uint32 {
	const p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
	h := uint32(p5)
	size := uint32(len(p))
	if len(p) >= 16 {
		v := [4]uint32{p1, p2, 0, 0}
		v[0] += p2
		v[3] -= p1
		for ; len(p) >= 16; p = p[16:] {
			for i := range v {
				v[i] = bits.RotateLeft32(v[i]+binary.LittleEndian.Uint32(p[4*i:])*p2, 13) * p1
			}
		}
		h = bits.RotateLeft32(v[0], 1) + bits.RotateLeft32(v[1], 7) + bits.RotateLeft32(v[2], 12) + bits.RotateLeft32(v[3], 18)
	}
	h += size
	for ; len(p) >= 4; p = p[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(p)*p3, 17) * p4
	}
	for _, b := range p {
		h = bits.RotateLeft32(h+uint32(b)*p5, 11) * p1
	}
	h = (h ^ h>>15) * p2
	h = (h ^ h>>13) * p3
	return h ^ h>>16
}
