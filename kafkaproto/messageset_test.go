package kafkaproto

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// oldSet is rs as an old client of the magic would send them, wrapped if there is a codec.
func oldSet(t testing.TB, magic int8, codec Codec, rs ...Record) []byte {
	t.Helper()
	var set []byte
	for i, r := range rs {
		set = appendMessage(set, message{offset: int64(i), magic: magic, timestamp: r.Timestamp, key: r.Key, value: r.Value}, 0)
	}
	if codec == CodecNone {
		return set
	}
	packed, err := Compress(codec, nil, set)
	if err != nil {
		t.Fatal(err)
	}
	if codec == CodecLZ4 && magic == 0 {
		breakLZ4Header(packed)
	}
	return appendMessage(nil, message{offset: int64(len(rs) - 1), magic: magic, timestamp: rs[0].Timestamp, value: packed}, byte(codec))
}

func TestOldMessageSetsBecomeBatchesAndBack(t *testing.T) {
	want := testRecords(20, 30)
	for magic := range int8(2) {
		for _, codec := range allCodecs[:4] {
			name := fmt.Sprintf("v%d %v", magic, codec)
			set := oldSet(t, magic, codec, want...)
			converted, err := ConvertMessageSet(set, ConvertOptions{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			b := Batch(converted)
			if err := b.Validate(open); err != nil || b.Codec() != codec || b.NumRecords() != 20 {
				t.Fatalf("%s: %v, %d records, %v", name, b.Codec(), b.NumRecords(), err)
			}
			compareOld(t, name, b, want, magic)
			b.SetBaseOffset(1000)
			down, err := DownConvert(b, magic)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			checkDown(t, name, down, magic, codec)
			again, err := ConvertMessageSet(down, ConvertOptions{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			compareOld(t, name+" again", again, want, magic)
		}
	}
}

func compareOld(t *testing.T, name string, b Batch, want []Record, magic int8) {
	t.Helper()
	i := 0
	err := Records(b, func(r Record) error {
		ts := want[i].Timestamp
		if magic == 0 {
			ts = NoTimestamp
		}
		if r.Timestamp != ts || !bytes.Equal(r.Key, want[i].Key) || !bytes.Equal(r.Value, want[i].Value) || (r.Value == nil) != (want[i].Value == nil) {
			t.Errorf("%s: record %d differs", name, i)
		}
		i++
		return nil
	})
	if err != nil || i != len(want) {
		t.Errorf("%s: %d records, %v", name, i, err)
	}
}

// checkDown looks at the offsets as an old consumer does.
func checkDown(t *testing.T, name string, set []byte, magic int8, codec Codec) {
	t.Helper()
	m, rest, err := nextMessage(set)
	if err != nil || m.codec != codec || m.magic != magic {
		t.Fatalf("%s: %+v %v", name, m, err)
	}
	if codec == CodecNone {
		if m.offset != 1000 || len(rest) == 0 {
			t.Errorf("%s: first offset %d", name, m.offset)
		}
		return
	}
	if m.offset != 1019 || len(rest) != 0 {
		t.Errorf("%s: wrapper's offset %d", name, m.offset)
	}
	packed := m.value
	if magic == 0 {
		packed = fixLZ4Header(packed)
	}
	inner, err := Decompress(codec, nil, packed, 1<<20)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	im, _, err := nextMessage(inner)
	if want := map[int8]int64{0: 1000, 1: 0}[magic]; err != nil || im.offset != want {
		t.Errorf("%s: first inner offset %d, want %d, %v", name, im.offset, want, err)
	}
}

func TestOldLZ4HasTheChecksumThatOldClientsExpect(t *testing.T) {
	packed, err := Compress(CodecLZ4, nil, []byte("some bytes, some bytes, some bytes"))
	if err != nil {
		t.Fatal(err)
	}
	good := bytes.Clone(packed)
	if fixed := fixLZ4Header(packed); &fixed[0] != &packed[0] {
		t.Error("a right checksum was touched")
	}
	breakLZ4Header(packed)
	if bytes.Equal(packed, good) {
		t.Fatal("the checksum is not wrong")
	}
	if _, err := Decompress(CodecLZ4, nil, packed, 1000); err == nil {
		t.Error("the wrong checksum passes outside of format v0")
	}
	if !bytes.Equal(fixLZ4Header(packed), good) {
		t.Error("the checksum was not put right")
	}
}

func TestWrapperWithAppendTimeRulesItsMessages(t *testing.T) {
	inner := appendMessage(nil, message{magic: 1, timestamp: 5, value: []byte("a")}, 0)
	packed, _ := Compress(CodecGzip, nil, inner)
	set := appendMessage(nil, message{magic: 1, timestamp: 77, value: packed}, byte(CodecGzip)|attrLogAppendTime)
	b, err := ConvertMessageSet(set, ConvertOptions{})
	if err != nil {
		t.Fatal(err)
	}
	Records(b, func(r Record) error {
		if r.Timestamp != 77 {
			t.Errorf("timestamp %d", r.Timestamp)
		}
		return nil
	})
}

func TestMalformedMessageSetsAreRefused(t *testing.T) {
	good := oldSet(t, 1, CodecNone, testRecords(2, 5)...)
	change := func(i int, v byte) []byte {
		p := bytes.Clone(good)
		p[i] = v
		return p
	}
	packed, _ := Compress(CodecGzip, nil, oldSet(t, 1, CodecGzip, testRecords(1, 5)...))
	nested := appendMessage(nil, message{magic: 1, value: packed}, byte(CodecGzip))
	bomb, _ := Compress(CodecGzip, nil, make([]byte, 1<<20))
	for _, c := range []struct {
		name string
		set  []byte
		want *Error
	}{
		{"empty", nil, ErrInvalidRecord},
		{"cut short", good[:len(good)-1], ErrCorruptMessage},
		{"wrong crc", change(12, good[12]^1), ErrCorruptMessage},
		{"size 2 GB", change(8, 0x7f), ErrCorruptMessage},
		{"negative size", change(8, 0xff), ErrCorruptMessage},
		{"magic 2", change(16, 2), ErrCorruptMessage},
		{"zstd", oldSet(t, 1, CodecZstd, testRecords(2, 5)...), ErrUnsupportedCompressionType},
		{"mixed", append(bytes.Clone(good), oldSet(t, 0, CodecNone, testRecords(1, 5)...)...), ErrInvalidRecord},
		{"nested", nested, ErrInvalidRecord},
		{"bomb", appendMessage(nil, message{magic: 1, value: bomb}, byte(CodecGzip)), ErrInvalidRecord},
		{"not compressed", appendMessage(nil, message{magic: 1, value: []byte("plain")}, byte(CodecGzip)), ErrInvalidRecord},
	} {
		if _, err := ConvertMessageSet(c.set, ConvertOptions{MaxDecompressed: 1 << 19}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestDownConversionLeavesOutWhatOldFetchersCantRead(t *testing.T) {
	plain := build(t, CodecNone, testRecords(1, 5)...)
	zstd := build(t, CodecZstd, testRecords(1, 5)...)
	marker := ControlBatch(ControlAbort, 1, 1, 1, 1)
	only, err := DownConvert(plain, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, batches := range [][]Batch{{marker, plain}, {plain, marker}, {plain, zstd}, {plain, zstd, plain}} {
		var all []byte
		for _, b := range batches {
			all = append(all, b...)
		}
		if got, err := DownConvert(all, 1); err != nil || !bytes.Equal(got, only) {
			t.Errorf("%x, %v", got, err)
		}
	}
	if _, err := DownConvert(append(bytes.Clone(marker), zstd...), 1); Code(err) != ErrUnsupportedCompressionType.Num {
		t.Error(err)
	}
}

// kafkaSet is a set of six records that Kafka's own library wrote.
type kafkaSet struct {
	codec string
	magic int
	bytes []byte
}

func kafkaMessageSets(t testing.TB) []kafkaSet {
	t.Helper()
	file, err := os.ReadFile("testdata/messagesets.txt")
	if err != nil {
		t.Fatal(err)
	}
	var sets []kafkaSet
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var s kafkaSet
		var data string
		if _, err := fmt.Sscan(line, &s.codec, &s.magic, &data); err != nil {
			t.Fatal(err)
		}
		if s.bytes, err = base64.StdEncoding.DecodeString(data); err != nil {
			t.Fatal(err)
		}
		sets = append(sets, s)
	}
	return sets
}

func TestSetsOfKafkasOwnLibraryAreRead(t *testing.T) {
	for _, s := range kafkaMessageSets(t) {
		b := Batch(s.bytes)
		if IsMessageSet(s.bytes) != (s.magic < 2) {
			t.Errorf("%s v%d: taken for the other format", s.codec, s.magic)
		}
		if s.magic < 2 {
			converted, err := ConvertMessageSet(s.bytes, ConvertOptions{})
			if err != nil {
				t.Errorf("%s v%d: %v", s.codec, s.magic, err)
				continue
			}
			b = converted
		}
		if err := b.Validate(open); err != nil || b.Codec().String() != s.codec {
			t.Errorf("%s v%d: %v, %v", s.codec, s.magic, b.Codec(), err)
		}
		i := 0
		Records(b, func(r Record) error {
			ts := Timestamp(1700000000000 + i)
			if s.magic == 0 {
				ts = NoTimestamp
			}
			if want := fmt.Sprintf("value %d value value value value", i); string(r.Value) != want || string(r.Key) != fmt.Sprint("k", i) || r.Timestamp != ts {
				t.Errorf("%s v%d: %+v", s.codec, s.magic, r)
			}
			i++
			return nil
		})
		if i != 6 {
			t.Errorf("%s v%d: %d records", s.codec, s.magic, i)
		}
	}
}
