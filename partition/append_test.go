package partition

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/replication"
)

func TestAppendRefusesWhatKafkaRefuses(t *testing.T) {
	n := startNode(t, "always")
	plain := n.one("plain", "max.message.bytes", "200", "segment.bytes", "1048576")
	compacted := n.one("compacted", "cleanup.policy", "compact")
	windowed := n.one("windowed", "message.timestamp.before.max.ms", "1000", "message.timestamp.after.max.ms", "1000")
	broken, tiny := batch("a"), batch("a")
	tiny[11] = 3
	broken[len(broken)-1] ^= 1
	for _, c := range []struct {
		name    string
		p       *Partition
		request AppendRequest
		want    *kafkaproto.Error
	}{
		{"acks that don't exist", plain, AppendRequest{Records: batch("a"), Acks: 2}, kafkaproto.ErrInvalidRequiredAcks},
		{"negative acks", plain, AppendRequest{Records: batch("a"), Acks: -2}, kafkaproto.ErrInvalidRequiredAcks},
		{"no batch", plain, AppendRequest{}, kafkaproto.ErrInvalidRecord},
		{"two batches", plain, AppendRequest{Records: append(batch("a"), batch("b")...)}, kafkaproto.ErrInvalidRecord},
		{"half a batch", plain, AppendRequest{Records: batch("a")[:65]}, kafkaproto.ErrInvalidRecord},
		{"an impossible length", plain, AppendRequest{Records: tiny}, kafkaproto.ErrCorruptMessage},
		{"wrong checksum", plain, AppendRequest{Records: broken}, kafkaproto.ErrCorruptMessage},
		{"wrong checksum without acks", plain, AppendRequest{Records: slices.Clone(broken), Acks: 0}, kafkaproto.ErrCorruptMessage},
		{"too large", plain, AppendRequest{Records: batch(strings.Repeat("a", 300))}, kafkaproto.ErrMessageTooLarge},
		{"zstd in an old version", plain, AppendRequest{Records: build(codec(kafkaproto.CodecZstd), "a"), Version: 6}, kafkaproto.ErrUnsupportedCompressionType},
		{"no key on a compacted topic", compacted, AppendRequest{Records: keyless()}, kafkaproto.ErrInvalidRecord},
		{"too old", windowed, AppendRequest{Records: at(testTime - 2000)}, kafkaproto.ErrInvalidTimestamp},
		{"too new", windowed, AppendRequest{Records: at(testTime + 2000)}, kafkaproto.ErrInvalidTimestamp},
		{"control records", plain, AppendRequest{Records: kafkaproto.ControlBatch(kafkaproto.ControlCommit, 1, 0, 0, testTime)}, kafkaproto.ErrInvalidRecord},
		{"old epoch", plain, AppendRequest{Records: batch("a"), CurrentLeaderEpoch: -9}, kafkaproto.ErrFencedLeaderEpoch},
		{"future epoch", plain, AppendRequest{Records: batch("a"), CurrentLeaderEpoch: 1}, kafkaproto.ErrUnknownLeaderEpoch},
		{"a transaction without coordinator", plain, AppendRequest{Records: build(producer(1, 0, 0, true), "a")}, kafkaproto.ErrInvalidTxnState},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.request
			r.Client = true
			if r.Version == 0 {
				r.Version = 13
			}
			reply := n.request(c.p, r)
			reply.t = t
			res := reply.waitErr(c.want)
			if res.BaseOffset != -1 || reply.released.Load() != 1 {
				t.Fatalf("offset %d, released %d times", res.BaseOffset, reply.released.Load())
			}
			if end := c.p.Status().End; end != 0 {
				t.Fatalf("something was appended: end %d", end)
			}
		})
	}
}

func TestRecordsThatAreRefusedAreNamed(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t", "cleanup.policy", "compact")
	b := kafkaproto.NewBuilder()
	b.Append(kafkaproto.Record{Timestamp: testTime, Key: []byte("k")})
	b.Append(kafkaproto.Record{Timestamp: testTime, Value: []byte("v")})
	records, _ := b.Batch()
	res := n.send(p, -1, records).waitErr(kafkaproto.ErrInvalidRecord)
	if len(res.RecordErrors) != 1 || res.RecordErrors[0].BatchIndex != 1 {
		t.Fatalf("record errors: %+v", res.RecordErrors)
	}
}

func codec(c kafkaproto.Codec) func(*kafkaproto.Builder) {
	return func(b *kafkaproto.Builder) { b.Codec = c }
}

func keyless() []byte {
	b := kafkaproto.NewBuilder()
	b.Append(kafkaproto.Record{Timestamp: testTime, Value: []byte("v")})
	out, _ := b.Batch()
	return out
}

func at(ts kafkaproto.Timestamp) []byte {
	b := kafkaproto.NewBuilder()
	b.Append(kafkaproto.Record{Timestamp: ts, Key: []byte("k"), Value: []byte("v")})
	out, _ := b.Batch()
	return out
}

func TestAcksZeroIsNotAnsweredAndStillValidatedAndWritten(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	quiet := n.send(p, replication.AcksNone, batch("a"))
	n.send(p, replication.AcksAll, batch("b")).waitOK()
	quiet.silent()
	if quiet.released.Load() != 1 {
		t.Fatal("the bytes were not released")
	}
	sees(t, p, 2, "a", "b")
}

func TestTwoBatchesAreFineBeforeVersionThree(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	r := n.request(p, AppendRequest{Records: append(batch("a"), batch("b", "c")...), Acks: -1, Timeout: time.Second, Client: true, Version: 2, CurrentLeaderEpoch: -1})
	r.waitOK()
	sees(t, p, 3, "a", "b", "c")
}

func TestLogAppendTimeIsTheBrokersClock(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t", "message.timestamp.type", "LogAppendTime")
	n.clock.Advance(5 * time.Second)
	want := testTime + 5000
	res := n.send(p, -1, batch("a", "b")).waitOK()
	if res.LogAppendTime != want {
		t.Fatalf("answered time %d, want %d", res.LogAppendTime, want)
	}
	b := kafkaproto.Batch(bytesOf(t, p.Read(fetch(0))))
	if b.CheckCRC() != nil || b.MaxTimestamp() != want || b.TimestampType() != kafkaproto.LogAppendTime {
		t.Fatalf("stored batch: %v, max timestamp %d, type %d", b.CheckCRC(), b.MaxTimestamp(), b.TimestampType())
	}
	found, err := p.ListOffset(ListRequest{Timestamp: int64(want), CurrentLeaderEpoch: -1})
	if err != nil || found.Offset != 0 || found.Timestamp != want {
		t.Fatalf("found %+v, %v", found, err)
	}
	if found, _ = p.ListOffset(ListRequest{Timestamp: int64(want) + 1, CurrentLeaderEpoch: -1}); found != noListResult {
		t.Fatalf("found %+v after the last record", found)
	}
}

func TestProducersTimestampsAreKept(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	if res := n.send(p, -1, batch("a")).waitOK(); res.LogAppendTime != -1 {
		t.Fatalf("log append time %d", res.LogAppendTime)
	}
}

func TestCompressionTypeOfTheTopicIsApplied(t *testing.T) {
	codecs := []kafkaproto.Codec{kafkaproto.CodecNone, kafkaproto.CodecGzip, kafkaproto.CodecSnappy, kafkaproto.CodecLZ4, kafkaproto.CodecZstd}
	n := startNode(t, "always")
	for _, to := range append([]string{"producer"}, "uncompressed", "gzip", "snappy", "lz4", "zstd") {
		p := n.one(to, "compression.type", to)
		offset := int64(0)
		for _, from := range codecs {
			sent := build(func(b *kafkaproto.Builder) {
				producer(9, 3, int32(offset), false)(b)
				b.Codec = from
			}, "one", "two")
			res := n.send(p, -1, slices.Clone(sent)).waitOK()
			if int64(res.BaseOffset) != offset {
				t.Fatalf("%s to %s: offset %d, want %d", from, to, res.BaseOffset, offset)
			}
			got := kafkaproto.Batch(bytesOf(t, p.Read(fetch(offset))))
			want := from
			if to != "producer" {
				want, _ = kafkaproto.ParseCodec(strings.Replace(to, "uncompressed", "none", 1))
			}
			if got.Codec() != want || got.CheckCRC() != nil || got.ProducerID() != 9 || got.ProducerEpoch() != 3 || got.BaseSequence() != int32(offset) {
				t.Fatalf("%s to %s: stored as %s, %v, producer %d epoch %d sequence %d", from, to, got.Codec(), got.CheckCRC(), got.ProducerID(), got.ProducerEpoch(), got.BaseSequence())
			}
			if want == from && !bytes.Equal(got[kafkaproto.PrefixLen:], sent[kafkaproto.PrefixLen:]) {
				t.Fatalf("%s to %s: bytes changed without need", from, to)
			}
			if v := values(t, p.Read(fetch(offset))); !slices.Equal(v, []string{"one", "two"}) {
				t.Fatalf("%s to %s: %q", from, to, v)
			}
			offset += 2
		}
	}
}

func TestRecompressedBatchMustFitToo(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t", "compression.type", "uncompressed", "max.message.bytes", "500")
	r := n.send(p, -1, build(codec(kafkaproto.CodecGzip), strings.Repeat("a", 2000)))
	r.waitErr(kafkaproto.ErrMessageTooLarge)
}

func TestConfigChangesHoldForTheNextAppend(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, batch(strings.Repeat("a", 300))).waitOK()
	n.happen(setConfigs("t", "max.message.bytes", "200")...)
	n.send(p, -1, batch(strings.Repeat("a", 300))).waitErr(kafkaproto.ErrMessageTooLarge)
	n.happen(&controller.ConfigChanged{Resource: controller.ConfigResource{Kind: controller.TopicConfig, Name: "t"}, Key: "max.message.bytes"})
	n.send(p, -1, batch(strings.Repeat("a", 300))).waitOK()
}

func TestIdempotentProducersSequence(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, build(producer(5, 0, 0, false), "a", "b")).waitOK()
	n.send(p, -1, build(producer(5, 0, 3, false), "d")).waitErr(kafkaproto.ErrOutOfOrderSequenceNumber)
	if res := n.send(p, 1, build(producer(5, 0, 0, false), "a", "b")).waitOK(); res.BaseOffset != 0 {
		t.Fatalf("a duplicate got offset %d", res.BaseOffset)
	}
	n.send(p, -1, build(producer(5, 1, 0, false), "c")).waitOK()
	n.send(p, -1, build(producer(5, 0, 2, false), "x")).waitErr(kafkaproto.ErrInvalidProducerEpoch)
	sees(t, p, 3, "a", "b", "c")
}

// FuzzAppend sends anything as records: nothing panics, and what is stored is a batch.
func FuzzAppend(f *testing.F) {
	f.Add(batch("a", "b"), int16(13))
	f.Add(build(codec(kafkaproto.CodecGzip), "a"), int16(2))
	f.Add(build(producer(1, 0, 0, true), "a"), int16(13))
	f.Add([]byte{}, int16(3))
	n := startNode(f, "never")
	keep, anew := n.one("keep"), n.one("anew", "compression.type", "gzip")
	f.Fuzz(func(t *testing.T, records []byte, version int16) {
		fixed := slices.Clone(records)
		if len(fixed) > kafkaproto.BatchHeaderLen { // past the checksum, to what is behind it
			binary.BigEndian.PutUint32(fixed[17:], crc32.Checksum(fixed[kafkaproto.PrefixLen:], crc32.MakeTable(crc32.Castagnoli)))
		}
		for _, p := range []*Partition{keep, anew} {
			for _, bytes := range [][]byte{records, fixed} {
				r := n.request(p, AppendRequest{Records: slices.Clone(bytes), Acks: 1, Timeout: time.Hour, Client: true, Version: version, CurrentLeaderEpoch: -1})
				r.t = t
				r.wait()
			}
		}
	})
}

func TestRefusedRecordsAreAnsweredWithTheLogStart(t *testing.T) {
	n := startNode(t, "always")
	p := n.one("t")
	n.send(p, -1, build(producer(7, 0, 0, false), "a")).waitOK()
	if _, err := p.DeleteRecords(1); err != nil {
		t.Fatal(err)
	}
	gap := n.send(p, -1, build(producer(7, 0, 5, false), "b")).waitErr(kafkaproto.ErrOutOfOrderSequenceNumber)
	corrupt := batch("c")
	corrupt[len(corrupt)-1] ^= 1
	damaged := n.send(p, -1, corrupt).waitErr(kafkaproto.ErrCorruptMessage)
	if gap.LogStart != 1 || damaged.LogStart != -1 {
		t.Fatalf("log start %d after a gap, %d after a wrong checksum", gap.LogStart, damaged.LogStart)
	}
}
