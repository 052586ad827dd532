package compat

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	corruptMessage          = 2
	messageTooLarge         = 10
	coordinatorLoading      = 14
	invalidTimestamp        = 32
	outOfOrderSequence      = 45
	invalidProducerEpoch    = 47
	unsupportedCompression  = 76
	invalidRecord           = 87
	unknownTopicOrPartition = 3
)

// producePartition writes and gives the whole answer for the partition, with the version of the request.
func producePartition(t testing.TB, w *wire, topic string, records []byte) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	return w.must(t, produceRequest(topic, 0, records)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
}

func initProducer(t testing.TB, w *wire) (int64, int16) {
	t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version = 4
	resp := w.must(t, req).(*kmsg.InitProducerIDResponse)
	for try := 0; resp.ErrorCode == coordinatorLoading && try < 100; try++ {
		time.Sleep(50 * time.Millisecond)
		resp = w.must(t, req).(*kmsg.InitProducerIDResponse)
	}
	if resp.ErrorCode != 0 {
		t.Fatalf("InitProducerId: code %d", resp.ErrorCode)
	}
	return resp.ProducerID, resp.ProducerEpoch
}

func sequenced(id int64, epoch int16, sequence int32, values ...string) []byte {
	b := plainBatch()
	b.producerID, b.epoch, b.sequence = id, epoch, sequence
	for _, v := range values {
		b.records = append(b.records, kmsg.Record{Value: []byte(v)})
	}
	return b.bytes()
}

// TestSequences: a batch sent again is answered with its first offset and not written again, a gap is
// OUT_OF_ORDER_SEQUENCE_NUMBER, an old epoch INVALID_PRODUCER_EPOCH; all of it after a crash too.
func TestSequences(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "sequence", 1)
	w := openWire(t, b.addr)
	id, epoch := initProducer(t, w)
	if other, _ := initProducer(t, w); other == id {
		t.Errorf("producer id %d twice", id)
	}
	for i := range int32(7) {
		if p := producePartition(t, w, "sequence", sequenced(id, epoch, 2*i, "a", "b")); p.ErrorCode != 0 || p.BaseOffset != int64(2*i) {
			t.Fatalf("batch %d: %+v", i, p)
		}
	}
	check := func(when string, remembered int32) {
		t.Helper()
		for i := 7 - remembered; i < 7; i++ {
			if p := producePartition(t, w, "sequence", sequenced(id, epoch, 2*i, "a", "b")); p.ErrorCode != 0 || p.BaseOffset != int64(2*i) {
				t.Errorf("%s: batch %d again: code %d, offset %d", when, i, p.ErrorCode, p.BaseOffset)
			}
		}
		if p := producePartition(t, w, "sequence", sequenced(id, epoch, 16, "a")); p.ErrorCode != outOfOrderSequence {
			t.Errorf("%s: a gap: code %d", when, p.ErrorCode)
		}
		if end := endOffsets(t, b, "sequence", 1)[0]; end != 14 {
			t.Errorf("%s: %d records, want 14", when, end)
		}
	}
	check("at once", 5)
	b.kill9()
	b.start()
	w = openWire(t, b.addr)
	if againstKafka {
		settle(t, b, "sequence")
		check("after a crash", 1) // its snapshots hold no more
	} else {
		check("after a crash", 5)
	}
	if p := producePartition(t, w, "sequence", sequenced(id, epoch+1, 0, "new epoch")); p.ErrorCode != 0 || p.BaseOffset != 14 {
		t.Errorf("a new epoch: %+v", p)
	}
	if p := producePartition(t, w, "sequence", sequenced(id, epoch, 14, "old epoch")); p.ErrorCode != invalidProducerEpoch {
		t.Errorf("an old epoch: code %d", p.ErrorCode)
	}
	if p := producePartition(t, w, "sequence", sequenced(id, epoch+1, 1, "goes on")); p.ErrorCode != 0 || p.BaseOffset != 15 {
		t.Errorf("afterwards: %+v", p)
	}
}

// TestRetryWithoutAnswerIsWrittenOnce: the producer's connection breaks before it has its answer; the batch it sends
// again is the one that was written.
func TestRetryWithoutAnswerIsWrittenOnce(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "retry", 1)
	first := openWire(t, b.addr)
	id, epoch := initProducer(t, first)
	if _, err := first.send(produceRequest("retry", 0, sequenced(id, epoch, 0, "once"))); err != nil {
		t.Fatal(err)
	}
	first.close()
	w := openWire(t, b.addr)
	for range 2 {
		if p := producePartition(t, w, "retry", sequenced(id, epoch, 0, "once")); p.ErrorCode != 0 || p.BaseOffset != 0 {
			t.Errorf("again: %+v", p)
		}
	}
	if end := endOffsets(t, b, "retry", 1)[0]; end != 1 {
		t.Errorf("%d records, want 1", end)
	}
}

func TestMaxMessageBytes(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "limited", 1, "max.message.bytes", "2000")
	createTopic(t, b, "default", 1)
	w := openWire(t, b.addr)
	if p := producePartition(t, w, "limited", recordBatch(make([]byte, 1500))); p.ErrorCode != 0 {
		t.Errorf("1500 bytes: code %d", p.ErrorCode)
	}
	if p := producePartition(t, w, "limited", recordBatch(make([]byte, 2500))); p.ErrorCode != messageTooLarge {
		t.Errorf("2500 bytes: code %d, want MESSAGE_TOO_LARGE", p.ErrorCode)
	}
	if p := producePartition(t, w, "default", recordBatch(make([]byte, 1048588))); p.ErrorCode != messageTooLarge {
		t.Errorf("more than the default: code %d, want MESSAGE_TOO_LARGE", p.ErrorCode)
	}
	if p := producePartition(t, w, "default", recordBatch(make([]byte, 1048400))); p.ErrorCode != 0 {
		t.Errorf("just below the default: code %d", p.ErrorCode)
	}
}

// TestCompactedTopicNeedsKeys: the answer names the records without a key, and nothing of the batch is written.
func TestCompactedTopicNeedsKeys(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "compacted", 1, "cleanup.policy", "compact")
	w := openWire(t, b.addr)
	batch := plainBatch([]byte("a"), []byte("b"), []byte("c"))
	batch.records[0].Key = []byte("key")
	for _, codec := range []int16{codecNone, codecGzip} {
		batch.codec = codec
		p := producePartition(t, w, "compacted", batch.bytes())
		if p.ErrorCode != invalidRecord {
			t.Errorf("codec %d: code %d, want INVALID_RECORD", codec, p.ErrorCode)
		}
		if len(p.ErrorRecords) != 2 || p.ErrorRecords[0].RelativeOffset != 1 || p.ErrorRecords[1].RelativeOffset != 2 {
			t.Errorf("codec %d: records %+v, want 1 and 2", codec, p.ErrorRecords)
		}
	}
	batch.records[1].Key, batch.records[2].Key = []byte("k"), []byte("")
	if p := producePartition(t, w, "compacted", batch.bytes()); p.ErrorCode != 0 || p.BaseOffset != 0 {
		t.Errorf("with keys: %+v", p)
	}
}

// TestLogAppendTime: the answer has the broker's time, and so have the batch and the time index; the client's is gone.
func TestLogAppendTime(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "appended", 1, "message.timestamp.type", "LogAppendTime")
	w := openWire(t, b.addr)
	before := time.Now().UnixMilli()
	old := plainBatch([]byte("a"), []byte("b"))
	old.first = before - 100_000_000
	for _, codec := range []int16{codecNone, codecZstd} {
		old.codec = codec
		req := produceRequest("appended", 0, old.bytes())
		p := w.must(t, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		after := time.Now().UnixMilli()
		if p.ErrorCode != 0 || p.LogAppendTime < before || p.LogAppendTime > after {
			t.Fatalf("codec %d: %+v, want logAppendTime between %d and %d", codec, p, before, after)
		}
		got, err := w.fetch("appended", 0, p.BaseOffset)
		if err != nil {
			t.Fatal(err)
		}
		head := readBatches(t, got.RecordBatches)[0]
		if head.MaxTimestamp != p.LogAppendTime || head.Attributes&8 == 0 {
			t.Errorf("codec %d: batch has time %d and attributes %b", codec, head.MaxTimestamp, head.Attributes)
		}
	}
	at := listOffset(t, w, "appended", before-1000, 0)
	if at.Offset != 0 || at.Timestamp < before {
		t.Errorf("by time: %+v", at)
	}
}

func TestTimestampWindow(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "window", 1, "message.timestamp.before.max.ms", "60000", "message.timestamp.after.max.ms", "60000")
	w := openWire(t, b.addr)
	for _, c := range []struct {
		shift time.Duration
		code  int16
	}{
		{0, 0}, {-30 * time.Second, 0}, {30 * time.Second, 0}, {-time.Hour, invalidTimestamp}, {time.Hour, invalidTimestamp},
	} {
		batch := plainBatch([]byte("a"))
		batch.first += c.shift.Milliseconds()
		if p := producePartition(t, w, "window", batch.bytes()); p.ErrorCode != c.code {
			t.Errorf("%v from now: code %d, want %d", c.shift, p.ErrorCode, c.code)
		}
	}
	createTopic(t, b, "default-window", 1)
	batch := plainBatch([]byte("a"))
	batch.first += (3 * time.Hour).Milliseconds()
	if p := producePartition(t, w, "default-window", batch.bytes()); p.ErrorCode != invalidTimestamp {
		t.Errorf("three hours ahead by default: code %d, want INVALID_TIMESTAMP", p.ErrorCode)
	}
}

// TestAcksZeroHasNoAnswer: the next answer on the connection is the next request's.
func TestAcksZeroHasNoAnswer(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "silent", 1)
	w := openWire(t, b.addr)
	for i := range 10 {
		req := produceRequest("silent", 0, recordBatch([]byte("x")))
		req.Acks = 0
		if _, err := w.send(req); err != nil {
			t.Fatal(err)
		}
		w.must(t, apiVersions(3)) // fails on another correlation id
		if i == 9 {
			w.mustProduce(t, "silent", 0, recordBatch([]byte("y")))
		}
	}
	if end := endOffsets(t, b, "silent", 1)[0]; end != 11 {
		t.Errorf("%d records, want 11", end)
	}
}

// TestZstd is readable by fetchers from version 10, and an error, not garbage, for older ones.
func TestZstd(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "zstd", 1)
	w := openWire(t, b.addr)
	batch := plainBatch([]byte("squeezed"))
	batch.codec = codecZstd
	raw := batch.bytes()
	w.mustProduce(t, "zstd", 0, raw)
	for _, version := range []int16{10, 12} {
		req := fetchRequest("zstd", 0, 0)
		req.Version = version
		p := w.must(t, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || !bytes.HasSuffix(p.RecordBatches, raw[61:]) {
			t.Errorf("fetch v%d: code %d, %d bytes", version, p.ErrorCode, len(p.RecordBatches))
		}
	}
	for _, version := range []int16{4, 9} {
		req := fetchRequest("zstd", 0, 0)
		req.Version = version
		p := w.must(t, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode != unsupportedCompression && !againstKafka { // Kafka 4 hands it out to everybody
			t.Errorf("fetch v%d: code %d, want UNSUPPORTED_COMPRESSION_TYPE", version, p.ErrorCode)
		}
	}
	old := produceRequest("zstd", 0, raw)
	old.Version = 6
	if p := w.must(t, old).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != unsupportedCompression {
		t.Errorf("produce v6: code %d, want UNSUPPORTED_COMPRESSION_TYPE", p.ErrorCode)
	}
}

// TestEveryPartitionHasItsOwnAnswer in one request, errors among them, in every flexible version.
func TestEveryPartitionHasItsOwnAnswer(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "own", 2)
	w := openWire(t, b.addr)
	for version := int16(3); version <= 12; version++ {
		req := produceRequest("own", 0, recordBatch([]byte("x")))
		req.Version = version
		for p := int32(1); p < 4; p++ {
			rp := kmsg.NewProduceRequestTopicPartition()
			rp.Partition, rp.Records = p, recordBatch([]byte("x"))
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, rp)
		}
		correlation, err := w.send(req)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := w.readFrame()
		if err != nil {
			t.Fatal(err)
		}
		checkForm(t, req, frame, correlation)
		resp := req.ResponseKind()
		body := frame[4:]
		if resp.IsFlexible() {
			body = body[1:]
		}
		if err := resp.ReadFrom(body); err != nil {
			t.Fatalf("v%d: %v", version, err)
		}
		for _, p := range resp.(*kmsg.ProduceResponse).Topics[0].Partitions {
			want := int16(0)
			if p.Partition >= 2 {
				want = unknownTopicOrPartition
			}
			if p.ErrorCode != want {
				t.Errorf("v%d: partition %d: code %d, want %d", version, p.Partition, p.ErrorCode, want)
			}
		}
	}
}

// TestRetentionGoesByTheLogsTime: old timestamps of the client's expire a topic of CreateTime, not one of LogAppendTime.
func TestRetentionGoesByTheLogsTime(t *testing.T) {
	notKafka(t) // it first looks after 30 s
	b := startBroker(t, "--set", "log.retention.check.interval.ms=100")
	createTopic(t, b, "created", 1, "retention.ms", "3600000")
	createTopic(t, b, "appended", 1, "retention.ms", "3600000", "message.timestamp.type", "LogAppendTime")
	w := openWire(t, b.addr)
	old := plainBatch([]byte("a"), []byte("b"))
	old.first -= (100 * 24 * time.Hour).Milliseconds()
	w.mustProduce(t, "appended", 0, old.bytes())
	w.mustProduce(t, "created", 0, old.bytes())
	const latest, earliest = -1, -2
	deadline := time.Now().Add(30 * time.Second)
	for listOffset(t, w, "created", earliest, 0).Offset != 2 {
		if time.Now().After(deadline) {
			t.Fatal("records of a hundred days ago are still there")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if end := listOffset(t, w, "created", latest, 0).Offset; end != 2 {
		t.Errorf("the end moved to %d", end)
	}
	time.Sleep(300 * time.Millisecond) // some more rounds
	if first := listOffset(t, w, "appended", earliest, 0).Offset; first != 0 {
		t.Errorf("records appended just now are gone up to %d", first)
	}
}
