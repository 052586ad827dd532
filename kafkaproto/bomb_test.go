package kafkaproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// zstdFrame is a frame header with what it claims, and then blocks of 128 KiB out of one repeated byte each.
func zstdFrame(descriptor byte, claims []byte, blocks int) []byte {
	p := append([]byte{0x28, 0xb5, 0x2f, 0xfd, descriptor}, claims...)
	for i := range blocks {
		h := uint32(128<<10)<<3 | 1<<1 // run length
		if i == blocks-1 {
			h |= 1
		}
		p = append(p, byte(h), byte(h>>8), byte(h>>16), 'x')
	}
	return p
}

func snappyClaim(n uint64) []byte {
	return append(binary.AppendUvarint(nil, n), 0, 'x')
}

// rawBatch wraps bytes that need not be records.
func rawBatch(codec Codec, records []byte) Batch {
	b := append(make(Batch, BatchHeaderLen), records...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-lengthEnd))
	b[16], b[22], b[60] = magicV2, byte(codec), 1
	b.setProducer(NoProducerID, NoProducerEpoch, -1)
	b.stampCRC()
	return b
}

func TestWhatCompressedBytesClaimIsNotAllocated(t *testing.T) {
	xerial := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for name, c := range map[string]struct {
		codec  Codec
		packed []byte
	}{
		"zstd window of 128 MiB":    {CodecZstd, zstdFrame(0x00, []byte{17 << 3}, 1)},
		"zstd window of 2 TiB":      {CodecZstd, zstdFrame(0x00, []byte{0xff}, 1)},
		"zstd content of 256 MiB":   {CodecZstd, zstdFrame(0xa0, []byte{0, 0, 0, 0x10}, 1)},
		"zstd content of 16 EiB":    {CodecZstd, zstdFrame(0xe0, bytes.Repeat([]byte{0xff}, 8), 1)},
		"snappy block of 4 GiB":     {CodecSnappy, snappyClaim(1<<32 - 1)},
		"snappy block of 200 MiB":   {CodecSnappy, snappyClaim(200 << 20)},
		"xerial length of 2 GiB":    {CodecSnappy, append(bytes.Clone(xerial), 0x7f, 0xff, 0xff, 0xff, 1, 2, 3)},
		"xerial block of 200 MiB":   {CodecSnappy, append(append(bytes.Clone(xerial), 0, 0, 0, 6), snappyClaim(200<<20)...)},
		"lz4 content of 16 EiB":     {CodecLZ4, lz4Frame(0x68, bytes.Repeat([]byte{0xff}, 8))},
		"lz4 block of 2 GiB":        {CodecLZ4, append(lz4Frame(0x60, nil), 0xff, 0xff, 0xff, 0x7f)},
		"gzip extra field of 64 KB": {CodecGzip, []byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff}},
		"nothing":                   {CodecZstd, nil},
	} {
		b := rawBatch(c.codec, c.packed)
		b.Validate(open) // fills the pools
		var err error
		got := allocated(func() { err = b.Validate(open) })
		if !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("%s: %v", name, err)
		}
		// An lz4 reader takes a few blocks of 4 MiB from its pools.
		if got > 24<<20 {
			t.Errorf("%s: %.0f bytes allocated", name, got)
		}
		got = allocated(func() { _, err = Decompress(c.codec, nil, c.packed, MaxDecompressed) })
		if got > 24<<20 {
			t.Errorf("%s: %.0f bytes allocated to decompress, %v", name, got, err)
		}
	}
}

func lz4Frame(flags byte, size []byte) []byte {
	d := append([]byte{flags, 0x70}, size...)
	p := append([]byte{0x04, 0x22, 0x4d, 0x18}, d...)
	return append(p, byte(xxh32(d)>>8))
}

func TestBombsTakeTimeButNoMemory(t *testing.T) {
	// One record of 32 MiB of the same byte.
	value := 32 << 20
	head := binary.AppendVarint(nil, int64(value+20))
	for _, codec := range allCodecs[1:] {
		var packed []byte
		switch codec {
		case CodecSnappy: // unpacks block by block; one raw block can't be a bomb
			block := snappy.Encode(nil, bytes.Repeat([]byte("x"), xerialBlockLen))
			packed = append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
			for range value / xerialBlockLen {
				packed = binary.BigEndian.AppendUint32(packed, uint32(len(block)))
				packed = append(packed, block...)
			}
		case CodecZstd:
			packed = zstdFrame(0x00, []byte{10 << 3}, value/(128<<10))
		default:
			var err error
			if packed, err = Compress(codec, nil, append(bytes.Clone(head), make([]byte, value)...)); err != nil {
				t.Fatal(err)
			}
		}
		b := rawBatch(codec, packed)
		b.Validate(open)
		var err error
		got := allocated(func() { err = b.Validate(open) })
		if !errors.Is(err, ErrInvalidRecord) || got > 24<<20 {
			t.Errorf("%v: %.0f bytes for %d, %v", codec, got, len(packed), err)
		}
		if _, err := Decompress(codec, nil, packed, 1<<20); !errors.Is(err, errBomb) {
			t.Errorf("%v: %v", codec, err)
		}
	}
}

func TestZstdOfTheHighestLevelIsRead(t *testing.T) {
	plain := bytes.Repeat([]byte("some text, "), 20_000)
	// What Java's producer sends at level 22: a window of 128 MiB and no content size.
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(128<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for part := range 4 {
		w.Write(plain[part*len(plain)/4 : (part+1)*len(plain)/4])
		w.Flush()
	}
	w.Close()
	var h zstd.Header
	if err := h.Decode(out.Bytes()); err != nil || h.WindowSize != 128<<20 {
		t.Fatalf("%+v %v", h, err)
	}
	if got, err := Decompress(CodecZstd, nil, out.Bytes(), len(plain)); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes of %d, %v", len(got), len(plain), err)
	}
	if _, err := Decompress(CodecZstd, nil, out.Bytes(), len(plain)-1); !errors.Is(err, errBomb) {
		t.Errorf("over the limit: %v", err)
	}
}
