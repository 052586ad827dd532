package kafkaproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var allCodecs = []Codec{CodecNone, CodecGzip, CodecSnappy, CodecLZ4, CodecZstd}

// open is a topic that refuses nothing.
var open = ValidateOptions{BeforeMax: NoTimestampLimit, AfterMax: NoTimestampLimit}

func testRecords(n, valueLen int) []Record {
	rs := make([]Record, n)
	for i := range rs {
		rs[i] = Record{Timestamp: Timestamp(1700000000000 + i), Key: fmt.Appendf(nil, "key-%d", i), Value: bytes.Repeat([]byte{byte('a' + i%26)}, valueLen)}
		if i%3 == 0 {
			rs[i].Headers = []Header{{"h", []byte("v")}, {"null", nil}}
		}
		if i%7 == 0 {
			rs[i].Value = nil
		}
	}
	return rs
}

func build(t testing.TB, codec Codec, rs ...Record) Batch {
	t.Helper()
	bb := NewBuilder()
	bb.Codec = codec
	for _, r := range rs {
		bb.Append(r)
	}
	b, err := bb.Batch()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBatchHoldsWhatWasAppended(t *testing.T) {
	for _, codec := range allCodecs {
		for _, size := range []int{10, 3000, 200_000} {
			want := testRecords(12, size)
			b := build(t, codec, want...)
			if got, rest, err := NextBatch(b); err != nil || len(rest) != 0 || !bytes.Equal(got, b) {
				t.Fatalf("%v: NextBatch: %d bytes left, %v", codec, len(rest), err)
			}
			if err := b.Validate(open); err != nil {
				t.Fatalf("%v, %d bytes: %v", codec, size, err)
			}
			b.SetBaseOffset(100)
			i := 0
			err := Records(b, func(r Record) error {
				w := want[i]
				if r.Offset != Offset(100+i) || r.Timestamp != w.Timestamp || !bytes.Equal(r.Key, w.Key) || !bytes.Equal(r.Value, w.Value) ||
					(r.Value == nil) != (w.Value == nil) || fmt.Sprint(r.Headers) != fmt.Sprint(w.Headers) {
					t.Errorf("%v: record %d differs", codec, i)
				}
				i++
				return nil
			})
			if err != nil || i != len(want) {
				t.Fatalf("%v: %d records, %v", codec, i, err)
			}
		}
	}
}

func TestSettersKeepTheCRC(t *testing.T) {
	b := build(t, CodecNone, testRecords(3, 10)...)
	b.SetBaseOffset(1 << 40)
	b.SetPartitionLeaderEpoch(7)
	if err := b.CheckCRC(); err != nil {
		t.Error(err)
	}
	if b.BaseOffset() != 1<<40 || b.PartitionLeaderEpoch() != 7 || b.LastOffset() != 1<<40+2 || b.NextOffset() != 1<<40+3 {
		t.Error("offset or epoch did not stay")
	}
	b.StampLogAppendTime(42)
	if err := b.CheckCRC(); err != nil {
		t.Error(err)
	}
	if b.TimestampType() != LogAppendTime || b.MaxTimestamp() != 42 {
		t.Error("append time did not stay")
	}
	if err := Records(b, func(r Record) error {
		if r.Timestamp != 42 {
			return errors.New("record has its own timestamp")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestSequenceWraps(t *testing.T) {
	if got := AddSequence(1<<31-1, 1); got != 0 {
		t.Errorf("after the largest sequence comes %d", got)
	}
	if got := AddSequence(1<<31-2, 5); got != 3 {
		t.Errorf("got %d", got)
	}
}

// patched changes a batch's bytes and makes the CRC right again.
func patched(b Batch, change func(Batch)) Batch {
	b = bytes.Clone(b)
	change(b)
	b.stampCRC()
	return b
}

func TestValidateRefuses(t *testing.T) {
	good := build(t, CodecNone, testRecords(3, 10)...)
	noKey := build(t, CodecGzip, Record{Key: []byte("k")}, Record{Value: []byte("v")})
	stale := build(t, CodecZstd, Record{Timestamp: 1000}, Record{Timestamp: 5000})
	control := ControlBatch(ControlCommit, 1, 0, 0, 0)
	window := ValidateOptions{Now: 5000, BeforeMax: 1000, AfterMax: 1000}
	logTime := ValidateOptions{TimestampType: LogAppendTime}
	for _, c := range []struct {
		name  string
		batch Batch
		opts  ValidateOptions
		want  *Error
	}{
		{"too large", good, ValidateOptions{MaxBytes: len(good) - 1}, ErrMessageTooLarge},
		{"wrong crc", append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), open, ErrCorruptMessage},
		{"no records", patched(good, func(b Batch) { b[60] = 0 }), open, ErrInvalidRecord},
		{"count too large", patched(good, func(b Batch) { b[60], b[26] = 4, 3 }), open, ErrInvalidRecord},
		{"count too small", patched(good, func(b Batch) { b[60], b[26] = 2, 1 }), open, ErrInvalidRecord},
		{"absurd count", patched(good, func(b Batch) { copy(b[57:], "\x7f\xff\xff\xff"); copy(b[23:], "\x7f\xff\xff\xfe") }), open, ErrInvalidRecord},
		{"negative count", patched(good, func(b Batch) { b[57] = 0x80 }), open, ErrInvalidRecord},
		{"last delta and count differ", patched(good, func(b Batch) { b[26] = 7 }), open, ErrInvalidRecord},
		{"unknown codec", patched(good, func(b Batch) { b[22] = 7 }), open, ErrUnsupportedCompressionType},
		{"not in fact compressed", patched(good, func(b Batch) { b[22] = 1 }), open, ErrInvalidRecord},
		{"zstd in an old request", build(t, CodecZstd, Record{}), ValidateOptions{NoZstd: true}, ErrUnsupportedCompressionType},
		{"base offset", patched(good, func(b Batch) { b[7] = 1 }), open, ErrInvalidRecord},
		{"control batch", control, open, ErrInvalidRecord},
		{"delete horizon", patched(good, func(b Batch) { b[22] |= attrDeleteHorizon }), open, ErrInvalidRecord},
		{"log append time", patched(good, func(b Batch) { b[22] |= attrLogAppendTime }), open, ErrInvalidTimestamp},
		{"producer without sequence", patched(good, func(b Batch) { b.setProducer(1, 0, -1) }), open, ErrInvalidRecord},
		{"producer without epoch", patched(good, func(b Batch) { b.setProducer(1, -1, 0) }), open, ErrInvalidRecord},
		{"transactional without producer", patched(good, func(b Batch) { b[22] |= attrTransactional }), open, ErrInvalidRecord},
		{"negative record length", patched(good, func(b Batch) { b[61] = 1 }), open, ErrInvalidRecord},
		{"null key, compacted", noKey, ValidateOptions{Compacted: true, BeforeMax: NoTimestampLimit, AfterMax: NoTimestampLimit}, ErrInvalidRecord},
		{"timestamp too old", stale, window, ErrInvalidTimestamp},
		{"null key and timestamp too old", build(t, CodecNone, Record{Timestamp: 5000}, Record{Key: []byte("k"), Timestamp: 1}), keyed(window), ErrInvalidTimestamp},
		{"null key, compacted, append time", noKey, ValidateOptions{Compacted: true, TimestampType: LogAppendTime}, ErrInvalidRecord},
		{"good", good, open, nil},
		{"timestamps don't matter under append time", stale, logTime, nil},
		{"control batch of the broker", control, ValidateOptions{Internal: true}, nil},
		{"producer", patched(good, func(b Batch) { b.setProducer(1, 0, 0) }), open, nil},
	} {
		err := Batch(bytes.Clone(c.batch)).Validate(c.opts)
		if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) || c.want != nil && Code(err) != c.want.Num {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func keyed(opts ValidateOptions) ValidateOptions {
	opts.Compacted = true
	return opts
}

func (b Batch) setProducer(id ProducerID, epoch ProducerEpoch, sequence int32) {
	binary.BigEndian.PutUint64(b[43:], uint64(id))
	binary.BigEndian.PutUint16(b[51:], uint16(epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(sequence))
}

func TestOffsetDeltasMustBeContiguous(t *testing.T) {
	for _, codec := range allCodecs {
		bb := NewBuilder()
		bb.Codec = codec
		bb.Append(Record{})
		bb.count++ // a gap
		bb.Append(Record{})
		b, err := bb.Batch()
		if err != nil {
			t.Fatal(err)
		}
		b = patched(b, func(b Batch) { b[60], b[26] = 2, 1 })
		if err := b.Validate(open); !errors.Is(err, ErrInvalidRecord) || !strings.Contains(err.Error(), "offset delta 2") {
			t.Errorf("%v: %v", codec, err)
		}
	}
}

func TestRecordErrorsNameEachRecord(t *testing.T) {
	b := build(t, CodecLZ4, Record{Key: []byte("k")}, Record{}, Record{Key: []byte("k")}, Record{})
	err := b.Validate(ValidateOptions{Compacted: true, BeforeMax: NoTimestampLimit, AfterMax: NoTimestampLimit})
	var re *RecordErrors
	if !errors.As(err, &re) || len(re.Records) != 2 || re.Records[0].BatchIndex != 1 || re.Records[1].BatchIndex != 3 {
		t.Fatalf("%v", err)
	}
	if Code(err) != 87 || Message(err) == nil {
		t.Errorf("code %d", Code(err))
	}
}

func TestTimestampWindowHoldsAtItsEdges(t *testing.T) {
	opts := ValidateOptions{Now: 10_000, BeforeMax: 1000, AfterMax: 500}
	for ts, want := range map[Timestamp]bool{
		9000: true, 8999: false, 10_500: true, 10_501: false, -1: true, -2: false, 0: false, 1<<63 - 1: false, -1 << 63: false,
	} {
		err := build(t, CodecNone, Record{Timestamp: ts}).Validate(opts)
		if (err == nil) != want {
			t.Errorf("timestamp %d: %v", ts, err)
		}
	}
}

func TestWrongMaxTimestampIsPutRight(t *testing.T) {
	b := patched(build(t, CodecNone, testRecords(3, 5)...), func(b Batch) { b[35] = 0x7f })
	if err := b.Validate(open); err != nil {
		t.Fatal(err)
	}
	if b.MaxTimestamp() != 1700000000002 || b.CheckCRC() != nil {
		t.Errorf("max timestamp %d, %v", b.MaxTimestamp(), b.CheckCRC())
	}
}

func TestLargeCompressedRecordsAreCheckedThroughTheWindow(t *testing.T) {
	rs := testRecords(5, 10)
	rs[2].Value = bytes.Repeat([]byte("x"), 3*windowLen)
	rs[3].Key = bytes.Repeat([]byte("y"), 2*windowLen)
	rs[3].Headers = []Header{{strings.Repeat("z", windowLen), nil}, {"", make([]byte, windowLen)}}
	for _, codec := range allCodecs[1:] {
		b := build(t, codec, rs...)
		if err := b.Validate(open); err != nil {
			t.Errorf("%v: %v", codec, err)
		}
		if err := b.Validate(ValidateOptions{MaxDecompressed: 4 * windowLen, TimestampType: LogAppendTime}); !errors.Is(err, errBomb) {
			t.Errorf("%v: over the limit: %v", codec, err)
		}
	}
}

func TestControlBatchesSayTheirType(t *testing.T) {
	for _, want := range []ControlType{ControlAbort, ControlCommit} {
		b := ControlBatch(want, 1234, 5, 6, 1700000000000)
		got, epoch, err := b.ControlType()
		if got != want || epoch != 6 || err != nil {
			t.Errorf("%v %v %v", got, epoch, err)
		}
		if !b.IsControl() || !b.IsTransactional() || b.ProducerID() != 1234 || b.ProducerEpoch() != 5 || b.NumRecords() != 1 {
			t.Errorf("%x", b)
		}
	}
	if _, _, err := build(t, CodecNone, Record{Key: []byte{0, 0, 0, 1}}).ControlType(); err == nil {
		t.Error("a client's batch has a control type")
	}
}

func TestRecompressedBatchKeepsAllButItsCodec(t *testing.T) {
	for _, from := range allCodecs {
		for _, to := range allCodecs {
			bb := NewBuilder()
			bb.Codec, bb.BaseOffset, bb.LeaderEpoch, bb.ProducerID, bb.ProducerEpoch, bb.BaseSequence, bb.Transactional = from, 9, 3, 7, 1, 40, true
			for _, r := range testRecords(20, 50) {
				bb.Append(r)
			}
			b, err := bb.Batch()
			if err != nil {
				t.Fatal(err)
			}
			got, err := Recompress(b, to)
			if err != nil {
				t.Fatal(err)
			}
			opts := open
			opts.Internal = true
			if err := got.Validate(opts); err != nil || got.Codec() != to || !got.IsTransactional() || got.ProducerID() != 7 || got.BaseOffset() != 9 {
				t.Errorf("%v to %v: %v", from, to, err)
			}
			plain, err := Recompress(got, CodecNone)
			bb.Codec = CodecNone
			if want, _ := bb.Batch(); err != nil || !bytes.Equal(plain, want) {
				t.Errorf("%v to %v: the records differ, %v", from, to, err)
			}
		}
	}
}

func TestSingleBatch(t *testing.T) {
	b := build(t, CodecNone, Record{})
	if _, err := SingleBatch(append(bytes.Clone(b), b...)); Code(err) != ErrInvalidRecord.Num {
		t.Error(err)
	}
	if _, err := SingleBatch(b[:len(b)-1]); Code(err) != ErrCorruptMessage.Num {
		t.Error(err)
	}
	old := bytes.Clone(b)
	old[16] = 1
	if _, err := SingleBatch(old); Code(err) != ErrInvalidRecord.Num {
		t.Error(err)
	}
	if _, err := SingleBatch(nil); err == nil {
		t.Error("an empty batch passes")
	}
}

func BenchmarkValidate(b *testing.B) {
	for _, codec := range allCodecs {
		b.Run(codec.String(), func(b *testing.B) {
			rs := testRecords(1000, 100)
			for i := range rs {
				rs[i].Headers = nil
			}
			batch := build(b, codec, rs...)
			b.ReportAllocs()
			b.SetBytes(int64(len(batch)))
			for b.Loop() {
				if err := batch.Validate(open); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What quickRecords takes is what parseRecord takes, and where it ends parseRecord sees why.
func FuzzQuickRecordsAreParsedRecords(f *testing.F) {
	for n := range 30 {
		rs := testRecords(n+1, 40)
		f.Add([]byte(build(f, CodecNone, rs...).RecordBytes()), int32(0))
		for i := range rs {
			rs[i].Headers = nil
		}
		f.Add([]byte(build(f, CodecNone, rs...).RecordBytes()), int32(0))
		f.Add([]byte(build(f, CodecNone, rs[n]).RecordBytes()), int32(n))
	}
	f.Fuzz(func(t *testing.T, p []byte, first int32) {
		first &= 1<<15 - 1
		run := quickRecords(p, first, first+100)
		want := quickRun{records: run.records, least: 1 << 14, greatest: -1 << 14}
		for i := range run.records {
			var full rawRecord
			if !parseRecord(p[want.size:], &full) || full.offsetDelta != int64(first+i) || full.numHeaders != 0 {
				t.Fatalf("record %d of %d in %x: %+v", i, run.records, p, full)
			}
			want.size += full.size
			want.least, want.greatest = min(want.least, full.tsDelta), max(want.greatest, full.tsDelta)
			want.nullKey = want.nullKey || full.key == nil
		}
		if run != want {
			t.Errorf("%x: %+v, want %+v", p, run, want)
		}
	})
}

// A batch of plain records is judged as one in which each has a header, and so is looked at by itself.
func TestARunOfRecordsIsJudgedAsEachOfThem(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 2000 {
		opts := ValidateOptions{Now: 1_000_000, BeforeMax: NoTimestampLimit, AfterMax: NoTimestampLimit, Compacted: rnd.IntN(3) == 0}
		if rnd.IntN(2) == 0 {
			opts.BeforeMax, opts.AfterMax = int64(rnd.IntN(3000)), int64(rnd.IntN(3000))
		}
		if rnd.IntN(5) == 0 {
			opts.TimestampType = LogAppendTime
		}
		base := Timestamp(rnd.IntN(4000)) + 998_000
		if rnd.IntN(5) == 0 {
			base = Timestamp(rnd.IntN(3)) - 1
		}
		plain := testRecords(1+rnd.IntN(40), 20)
		headers := make([]Record, len(plain))
		for i := range plain {
			plain[i].Timestamp, plain[i].Headers = base, nil
			if rnd.IntN(3) == 0 {
				plain[i].Timestamp += Timestamp(rnd.IntN(1000))
			}
			if plain[i].Key == nil || rnd.IntN(30) == 0 {
				plain[i].Key = [][]byte{nil, {}, []byte("k")}[rnd.IntN(3)]
			}
			headers[i] = plain[i]
			headers[i].Headers = []Header{{Key: "h"}}
		}
		got, want := build(t, CodecNone, plain...), build(t, CodecNone, headers...)
		gotErr, wantErr := got.Validate(opts), want.Validate(opts)
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || got.MaxTimestamp() != want.MaxTimestamp() {
			t.Fatalf("%+v, %+v: %v and %d, want %v and %d", opts, plain, gotErr, got.MaxTimestamp(), wantErr, want.MaxTimestamp())
		}
		if gotErr != nil {
			refused++
		}
	}
	if refused == 0 || refused == 2000 {
		t.Errorf("%d of 2000 batches were refused", refused)
	}
}

func TestValidateAllocatesNothingForUncompressedBatches(t *testing.T) {
	batch := build(t, CodecNone, testRecords(100, 50)...)
	if n := testing.AllocsPerRun(50, func() {
		if err := batch.Validate(open); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
