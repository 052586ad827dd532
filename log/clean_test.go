package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

func begun(t testing.TB, slots int, from offset, aborted ...AbortedTxn) *cleanMap {
	t.Helper()
	m := newCleanMap(slots * cleanSlotBytes)
	if err := m.begin(from, [16]byte{9}, aborted); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheMapHoldsTheLastOffsetOfEachKeyUntilItIsFull(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := begun(t, 1000, 0)
	for range 3 { // the map is used again for each pass
		want := map[string]offset{}
		for o := offset(0); ; o++ {
			key := fmt.Appendf(nil, "%d", r.IntN(2000))
			_, known := want[string(key)]
			if put := m.put(key, o); put != (known || len(want) < 900) {
				t.Fatalf("put is %v with %d keys", put, len(want))
			} else if !put {
				break
			}
			want[string(key)] = o
		}
		for i := range 2000 {
			key := fmt.Appendf(nil, "%d", i)
			o, ok := want[string(key)]
			if !ok {
				o = -1
			}
			if got := m.last(key); got != o {
				t.Fatalf("%s is at %d, want %d", key, got, o)
			}
		}
		if m.load() != 1 {
			t.Errorf("load %v", m.load())
		}
		if err := m.begin(0, [16]byte{byte(r.Uint32())}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if m.load() != 0 || m.upTo() != 0 || m.last([]byte("1")) != -1 {
		t.Errorf("a map that begins has load %v, is up to %d", m.load(), m.upTo())
	}
}

// stamped makes the CRC right again after a change, as a producer that means harm would.
func stamped(b kafkaproto.Batch) kafkaproto.Batch {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[kafkaproto.PrefixLen:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func keyed(t testing.TB, base offset, codec kafkaproto.Codec, n int) kafkaproto.Batch {
	t.Helper()
	bb := kafkaproto.NewBuilder()
	bb.BaseOffset, bb.Codec = base, codec
	for i := range n {
		bb.Append(kafkaproto.Record{Timestamp: kafkaproto.Timestamp(1000 + i), Key: fmt.Appendf(nil, "key%d", i), Value: []byte("value")})
	}
	b, err := bb.Batch()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBrokenBatchesEndAPass(t *testing.T) {
	marker := kafkaproto.ControlBatch(kafkaproto.ControlCommit, 1, 0, 0, 5)
	wrong := keyed(t, 0, 0, 1)
	wrong[len(wrong)-2] ^= 1
	set := func(b kafkaproto.Batch, at int, bytes ...byte) kafkaproto.Batch {
		copy(b[at:], bytes)
		return stamped(b)
	}
	for name, b := range map[string]kafkaproto.Batch{
		"nothing":             nil,
		"no whole header":     keyed(t, 0, 0, 1)[:60],
		"cut":                 keyed(t, 0, 0, 3)[:80],
		"two":                 append(keyed(t, 0, 0, 1), keyed(t, 1, 0, 1)...),
		"magic":               set(keyed(t, 0, 0, 1), 16, 1),
		"checksum":            wrong,
		"negative offset":     set(keyed(t, 0, 0, 1), 0, 0xff),
		"negative last delta": set(keyed(t, 0, 0, 1), 23, 0xff),
		"no offset after":     set(keyed(t, 0, 0, 2), 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"negative count":      set(keyed(t, 0, 0, 1), 57, 0xff),
		"count":               set(keyed(t, 0, 0, 3), 57, 0, 0, 0, 2),
		"many":                set(keyed(t, 0, 0, 3), 57, 0, 0, 0, 4),
		"last delta":          set(keyed(t, 0, 0, 3), 23, 0, 0, 0, 1),
		"record delta":        set(keyed(t, 0, 0, 3), kafkaproto.BatchHeaderLen+3, 4), // the first says 2
		"record length":       set(keyed(t, 0, 0, 3), kafkaproto.BatchHeaderLen, 100),
		"codec":               set(keyed(t, 0, 0, 3), 22, 7),
		"not gzip":            set(keyed(t, 0, 0, 3), 22, 1),
		"marker without type": set(bytes.Clone(marker), 22, 0x30|1),
		"no marker":           set(bytes.Clone(marker), 57, 0, 0, 0, 0),
		"many markers":        set(bytes.Clone(marker), 57, 0x7f, 0xff, 0xff, 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			before := bytes.Clone(b)
			m := begun(t, 10, 0)
			if full, err := m.add(b); !errors.Is(err, ErrCorrupt) || full {
				t.Errorf("the map: %v %v", full, err)
			}
			m.skipTo(1000)
			p := newCleanPass(m, cleanRules{})
			if out, err := p.batch(b); !errors.Is(err, ErrCorrupt) || out != nil {
				t.Errorf("the pass: %v %v", out, err)
			}
			if p.counts != (cleanCounts{horizon: -1}) || !bytes.Equal(b, before) {
				t.Errorf("counts %+v", p.counts)
			}
		})
	}
}

func TestBatchesOutOfOrderEndAPass(t *testing.T) {
	m := begun(t, 10, 0)
	p := newCleanPass(m, cleanRules{})
	for _, step := range []func(kafkaproto.Batch) error{
		func(b kafkaproto.Batch) error { _, err := m.add(b); return err },
		func(b kafkaproto.Batch) error { _, err := p.batch(b); return err },
	} {
		if err := step(keyed(t, 5, 0, 3)); err != nil {
			t.Fatal(err)
		}
		if err := step(keyed(t, 7, 0, 1)); !errors.Is(err, ErrCorrupt) || !errors.Is(err, errBatchOrder) {
			t.Error(err)
		}
	}
}

func TestAnAbortThatIsNotListedEndsAPass(t *testing.T) {
	var l cleanLog
	bb := kafkaproto.NewBuilder()
	bb.ProducerID, bb.ProducerEpoch, bb.BaseSequence, bb.Transactional = 1, 0, 0, true
	bb.Append(kafkaproto.Record{Key: []byte("a")})
	b, err := bb.Batch()
	if err != nil {
		t.Fatal(err)
	}
	l.append(b)
	l.append(kafkaproto.ControlBatch(kafkaproto.ControlAbort, 1, 0, 0, 5))
	l.aborted = nil
	if _, err := l.clean(10, cleanRules{bound: 2}); !errors.Is(err, errAbortNotListed) || len(l.batches) != 2 {
		t.Error(err)
	}
}

func TestAnUnchangedBatchIsNotCopied(t *testing.T) {
	b := keyed(t, 0, kafkaproto.CodecZstd, 3)
	m := begun(t, 10, 0)
	if _, err := m.add(b); err != nil {
		t.Fatal(err)
	}
	p := newCleanPass(m, cleanRules{})
	if out, err := p.batch(b); err != nil || len(out) != len(b) || &out[0] != &b[0] {
		t.Error(err)
	}
	beyond := keyed(t, 3, 0, 2)
	if out, err := p.batch(beyond); err != nil || len(out) != len(beyond) || &out[0] != &beyond[0] {
		t.Error(err)
	}
}

func FuzzClean(f *testing.F) {
	f.Add([]byte(keyed(f, 0, kafkaproto.CodecNone, 3)), true, uint16(2))
	f.Add([]byte(keyed(f, 0, kafkaproto.CodecLZ4, 3)), true, uint16(9))
	f.Add([]byte(append(keyed(f, 0, kafkaproto.CodecZstd, 3), kafkaproto.ControlBatch(kafkaproto.ControlAbort, 1, 0, 0, 5)...)), false, uint16(9))
	f.Fuzz(func(t *testing.T, p []byte, fixCRC bool, slots uint16) {
		p = bytes.Clone(p)
		var batches []kafkaproto.Batch
		for len(p) > 0 {
			b, rest, err := kafkaproto.NextBatch(p)
			if err != nil {
				batches = append(batches, kafkaproto.Batch(p))
				break
			}
			if fixCRC {
				stamped(b)
			}
			batches, p = append(batches, b), rest
		}
		aborted := []AbortedTxn{{Producer: 1, First: 1, Last: 5}}
		m := begun(t, int(slots), 0, aborted...)
		for _, b := range batches {
			if full, err := m.add(b); full || err != nil {
				break
			}
		}
		pass := newCleanPass(m, cleanRules{
			now: 1 << 41, deleteRetention: time.Second, aborted: aborted, bound: 7,
			last: map[kafkaproto.ProducerID]lastRecord{1: {data: 3}, 2: {data: -1, epoch: 1}},
		})
		for _, b := range batches {
			before := bytes.Clone(b)
			out, err := pass.batch(b)
			if !bytes.Equal(b, before) {
				t.Fatal("the batch was changed in place")
			}
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
				return
			}
			if out != nil {
				fuzzCleaned(t, b, out, m.upTo())
			}
		}
	})
}

// fuzzCleaned checks what is left of a batch. Batches beyond the pass are not looked into.
func fuzzCleaned(t *testing.T, b, out kafkaproto.Batch, upTo offset) {
	if _, rest, err := kafkaproto.NextBatch(out); err != nil || len(rest) > 0 || out.CheckCRC() != nil {
		t.Fatalf("%d bytes left, %v", len(rest), err)
	}
	if out.BaseOffset() != b.BaseOffset() || out.LastOffset() != b.LastOffset() || out.LastSequence() != b.LastSequence() {
		t.Errorf("%x became %x", b[:kafkaproto.BatchHeaderLen], out[:kafkaproto.BatchHeaderLen])
	}
	if b.BaseOffset() >= upTo || b.IsControl() {
		return
	}
	prev := out.BaseOffset() - 1
	err := kafkaproto.Records(out, func(r kafkaproto.Record) error {
		if r.Offset <= prev || r.Offset > out.LastOffset() {
			t.Errorf("record at %d in %d-%d", r.Offset, out.BaseOffset(), out.LastOffset())
		}
		prev = r.Offset
		return nil
	})
	if err != nil {
		t.Errorf("%x: %v", out, err)
	}
}

// benchBatches are batches of 100 records of 100 bytes, whose keys come back.
func benchBatches(b *testing.B, codec kafkaproto.Codec, keys int) []kafkaproto.Batch {
	r := rand.New(rand.NewPCG(3, 4))
	var out []kafkaproto.Batch
	for i := range 100 {
		bb := kafkaproto.NewBuilder()
		bb.BaseOffset, bb.Codec = offset(i)*100, codec
		for j := range 100 {
			value := make([]byte, 100)
			binary.BigEndian.PutUint64(value, r.Uint64())
			bb.Append(kafkaproto.Record{
				Timestamp: kafkaproto.Timestamp(j), Key: fmt.Appendf(nil, "customer-%08d", r.IntN(keys)), Value: value,
				Headers: []kafkaproto.Header{{Key: "source", Value: []byte("bench")}},
			})
		}
		batch, err := bb.Batch()
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, batch)
	}
	return out
}

func BenchmarkCleanMap(b *testing.B) {
	for _, codec := range []kafkaproto.Codec{kafkaproto.CodecNone, kafkaproto.CodecLZ4} {
		b.Run(codec.String(), func(b *testing.B) {
			batches := benchBatches(b, codec, 100_000)
			m := begun(b, 1<<20, 0)
			b.ReportAllocs()
			b.SetBytes(int64(len(batches[0])))
			for i := 0; b.Loop(); i++ {
				if i%len(batches) == 0 {
					m.order = cleanOrder{}
				}
				if _, err := m.add(batches[i%len(batches)]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/record")
		})
	}
}

func BenchmarkCleanPass(b *testing.B) {
	for _, codec := range []kafkaproto.Codec{kafkaproto.CodecNone, kafkaproto.CodecLZ4} {
		for _, keys := range []int{2000, 100_000_000} { // most records go, none goes
			b.Run(fmt.Sprintf("%v/%d keys", codec, keys), func(b *testing.B) {
				batches := benchBatches(b, codec, keys)
				m := begun(b, 1<<20, 0)
				for _, batch := range batches {
					if _, err := m.add(batch); err != nil {
						b.Fatal(err)
					}
				}
				p := newCleanPass(m, cleanRules{now: 1000})
				b.ReportAllocs()
				b.SetBytes(int64(len(batches[0])))
				for i := 0; b.Loop(); i++ {
					if i%len(batches) == 0 {
						p.order = cleanOrder{}
					}
					if _, err := p.batch(batches[i%len(batches)]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/record")
			})
		}
	}
}
