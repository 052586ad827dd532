package kafkaproto

import (
	"bytes"
	"errors"
	"testing"
)

// allowedFor is what a fuzzed input of n bytes may make the package allocate: pools that are empty make their buffers
// first, a zstd decoder's above all.
func allowedFor(n int) float64 { return 40<<20 + 100*float64(n) }

func FuzzRequest(f *testing.F) {
	for _, c := range capturedFrames(f) {
		if !c.response {
			f.Add(c.frame)
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseRequestHeader(frame)
		if err != nil || !h.Known() {
			return
		}
		req, err := DecodeRequest(h.Key, h.Version, body)
		if err != nil {
			if !errors.Is(err, ErrInvalidRequest) {
				t.Errorf("%v", err)
			}
			return
		}
		// What was accepted can be encoded and decoded again.
		if _, err := DecodeRequest(h.Key, h.Version, req.AppendTo(nil)); err != nil {
			t.Errorf("%v v%d: %v", h.Key, h.Version, err)
		}
	})
}

func FuzzRequestAllocations(f *testing.F) {
	for _, c := range capturedFrames(f) {
		if !c.response {
			_, body, _ := ParseRequestHeader(c.frame)
			f.Add(c.key, c.version, body)
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		DecodeRequest(key, version, body[:0]) // learns the layout
		// 64 KiB are for what else runs.
		if got := allocated(func() { DecodeRequest(key, version, body) }); got > allowance+64<<10+2*allowanceRatio*float64(len(body)) {
			t.Errorf("%d v%d: %.0f bytes for a body of %d", key, version, got, len(body))
		}
	})
}

func FuzzBatch(f *testing.F) {
	for _, b := range capturedBatches(f) {
		f.Add([]byte(b), true)
	}
	f.Fuzz(func(t *testing.T, p []byte, fixCRC bool) {
		p = bytes.Clone(p)
		for rest := p; len(rest) > 0; {
			b, r, err := NextBatch(rest)
			if err != nil {
				if Code(err) != ErrCorruptMessage.Num {
					t.Error(err)
				}
				return
			}
			rest = r
			if fixCRC {
				b.stampCRC()
			}
			fuzzBatch(t, b)
		}
	})
}

// fuzzBatch checks that what Validate lets pass can be used.
func fuzzBatch(t *testing.T, b Batch) {
	opts := open
	opts.Internal, opts.MaxDecompressed = true, 1<<20
	var valid error
	if got := allocated(func() { valid = b.Validate(opts) }); got > allowedFor(len(b)) {
		t.Errorf("%.0f bytes for a batch of %d", got, len(b))
	}
	n := int32(0)
	err := Records(b, func(r Record) error { n++; return nil })
	if valid == nil && (err != nil || n != b.NumRecords()) {
		t.Errorf("valid, but %d records of %d: %v", n, b.NumRecords(), err)
	}
	b.ControlType()
	for magic := range int8(2) {
		if _, err := DownConvert(b, magic); valid == nil && err != nil && !errors.Is(err, ErrUnsupportedCompressionType) {
			t.Errorf("magic %d: %v", magic, err)
		}
	}
}

func FuzzMessageSet(f *testing.F) {
	for _, s := range kafkaMessageSets(f) {
		f.Add(s.bytes)
	}
	f.Fuzz(func(t *testing.T, set []byte) {
		converted, err := ConvertMessageSet(set, ConvertOptions{MaxDecompressed: 1 << 20})
		if err != nil {
			if Code(err) == ErrUnknownServerError.Num {
				t.Error(err)
			}
			return
		}
		opts := open
		opts.MaxDecompressed = 8 << 20
		if err := Batch(converted).Validate(opts); err != nil {
			t.Errorf("converted to a bad batch: %v", err)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	plain := bytes.Repeat([]byte("some bytes to pack, "), 100)
	for _, c := range allCodecs {
		packed, err := Compress(c, nil, plain)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(int8(c), packed)
	}
	f.Fuzz(func(t *testing.T, codec int8, p []byte) {
		const limit = 1 << 20
		var out []byte
		var err error
		if got := allocated(func() { out, err = Decompress(Codec(codec), nil, p, limit) }); got > allowedFor(len(p)) {
			t.Errorf("%v: %.0f bytes for %d", Codec(codec), got, len(p))
		}
		if len(out) > limit || err != nil && len(out) > 0 {
			t.Errorf("%v: %d bytes, %v", Codec(codec), len(out), err)
		}
	})
}

func FuzzCompressedComesBack(f *testing.F) {
	f.Add([]byte("abc"), 3)
	f.Fuzz(func(t *testing.T, p []byte, times int) {
		p = bytes.Repeat(p, 1+max(0, times)%(1+100_000/(len(p)+1)))
		for _, c := range allCodecs {
			packed, err := Compress(c, []byte("before"), p)
			if err != nil {
				t.Fatal(err)
			}
			out, err := Decompress(c, []byte("x"), packed[6:], len(p))
			if err != nil || string(out[:1]) != "x" || !bytes.Equal(out[1:], p) {
				t.Errorf("%v: %d bytes come back as %d, %v", c, len(p), len(out)-1, err)
			}
		}
	})
}
