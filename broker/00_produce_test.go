package broker

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// produced is the answer for the one partition that a request named.
func produced(t testing.TB, resp *kmsg.ProduceResponse) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("got %+v", resp)
	}
	return resp.Topics[0].Partitions[0]
}

func (c *client) produce(req *kmsg.ProduceRequest) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	return produced(c.t, ask[*kmsg.ProduceResponse](c, req))
}

func wantCode(t testing.TB, what string, got int16, want *kafkaproto.Error) {
	t.Helper()
	if got != want.Num {
		t.Errorf("%s: got %v, want %v", what, kafkaproto.ErrorForCode(got), want)
	}
}

func TestProduceIsServedInEveryVersionAndReadInEveryVersion(t *testing.T) {
	b := startBroker(t)
	topic := b.createTopic("t", 1)
	c := b.dial()
	var want []string
	for version := int16(3); version <= 13; version++ {
		req := produceRequest("t", 0, batchOf(fmt.Sprint("a", version), fmt.Sprint("b", version)))
		req.Version, req.Topics[0].TopicID = version, topic.ID
		p := c.produce(req)
		if p.ErrorCode != 0 || p.BaseOffset != int64(len(want)) || p.LogAppendTime != -1 || version >= 5 && p.LogStartOffset != 0 {
			t.Errorf("version %d: got %+v", version, p)
		}
		want = append(want, fmt.Sprint("a", version), fmt.Sprint("b", version))
	}
	for version := int16(4); version <= 18; version++ {
		req := fetchRequest("t", 0, 0)
		req.Version, req.Topics[0].TopicID = version, topic.ID
		p := c.fetch(req)
		if got := valuesIn(t, p.RecordBatches); !slices.Equal(got, want) {
			t.Errorf("version %d: got %v", version, got)
		}
	}
}

func TestMessageSetsOfOldProducersAreConvertedAndServedBack(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	var want []string
	for version := int16(0); version <= 2; version++ {
		magic := int8(min(version, 1))
		set, err := kafkaproto.DownConvert(batchOf(fmt.Sprint("old", version)), magic)
		must(t, err)
		req := produceRequest("t", 0, set)
		req.Version, req.Acks = version, 1
		if p := c.produce(req); p.ErrorCode != 0 || p.BaseOffset != int64(version) {
			t.Errorf("version %d: got %+v", version, p)
		}
		want = append(want, fmt.Sprint("old", version))
	}
	if got := valuesIn(t, c.fetch(fetchRequest("t", 0, 0)).RecordBatches); !slices.Equal(got, want) {
		t.Errorf("read %v", got)
	}
	for version := int16(0); version <= 3; version++ {
		req := fetchRequest("t", 0, 0)
		req.Version = version
		p := c.fetch(req)
		batch, err := kafkaproto.ConvertMessageSet(p.RecordBatches, kafkaproto.ConvertOptions{})
		must(t, err)
		if got := valuesIn(t, batch); p.ErrorCode != 0 || !slices.Equal(got, want) || p.RecordBatches[16] != byte(version/2) {
			t.Errorf("fetch version %d: got %v (magic %d)", version, got, p.RecordBatches[16])
		}
	}
}

func TestOldMessagesAreRefusedFromVersion3On(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	set, err := kafkaproto.DownConvert(batchOf("x"), 1)
	must(t, err)
	p := b.dial().produce(produceRequest("t", 0, set))
	if p.ErrorCode == 0 {
		t.Errorf("got %+v", p)
	}
}

func TestProduceNamesWhatIsWrong(t *testing.T) {
	b := startBroker(t)
	topic := b.createTopic("t", 1, "max.message.bytes=1000")
	b.createTopic("compacted", 1, "cleanup.policy=compact")
	b.createTopic("recent", 1, "message.timestamp.before.max.ms=1000")
	corrupt := batchOf("x")
	corrupt[len(corrupt)-1] ^= 1
	control := []byte(kafkaproto.ControlBatch(kafkaproto.ControlCommit, 1, 1, 1, 1))
	tests := []struct {
		name   string
		want   *kafkaproto.Error
		change func(*kmsg.ProduceRequest)
	}{
		{"unknown topic", kafkaproto.ErrUnknownTopicOrPartition, func(r *kmsg.ProduceRequest) { r.Topics[0].Topic = "nobody" }},
		{"unknown partition", kafkaproto.ErrUnknownTopicOrPartition, func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Partition = 1 }},
		{"negative partition", kafkaproto.ErrUnknownTopicOrPartition, func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Partition = -1 }},
		{"unknown topic id", kafkaproto.ErrUnknownTopicID, func(r *kmsg.ProduceRequest) { r.Version, r.Topics[0].TopicID = 13, [16]byte{1} }},
		{"a topic id of zeros", kafkaproto.ErrUnknownTopicID, func(r *kmsg.ProduceRequest) { r.Version, r.Topics[0].TopicID = 13, [16]byte{} }},
		{"unknown partition of an id", kafkaproto.ErrUnknownTopicOrPartition, func(r *kmsg.ProduceRequest) {
			r.Version, r.Topics[0].TopicID, r.Topics[0].Partitions[0].Partition = 13, topic.ID, 7
		}},
		{"acks=2", kafkaproto.ErrInvalidRequiredAcks, func(r *kmsg.ProduceRequest) { r.Acks = 2 }},
		{"acks=-2", kafkaproto.ErrInvalidRequiredAcks, func(r *kmsg.ProduceRequest) { r.Acks = -2 }},
		{"too large", kafkaproto.ErrMessageTooLarge, func(r *kmsg.ProduceRequest) {
			r.Topics[0].Partitions[0].Records = batchOf(strings.Repeat("x", 1000))
		}},
		{"no batch", kafkaproto.ErrInvalidRecord, func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Records = nil }},
		{"two batches", kafkaproto.ErrInvalidRecord, func(r *kmsg.ProduceRequest) {
			r.Topics[0].Partitions[0].Records = append(batchOf("a"), batchOf("b")...)
		}},
		{"a wrong CRC", kafkaproto.ErrCorruptMessage, func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Records = corrupt }},
		{"a control batch", kafkaproto.ErrInvalidRecord, func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Records = control }},
		{"no key in a compacted topic", kafkaproto.ErrInvalidRecord, func(r *kmsg.ProduceRequest) { r.Topics[0].Topic = "compacted" }},
		{"an old timestamp", kafkaproto.ErrInvalidTimestamp, func(r *kmsg.ProduceRequest) { r.Topics[0].Topic = "recent" }},
		{"zstd before version 7", kafkaproto.ErrUnsupportedCompressionType, func(r *kmsg.ProduceRequest) {
			r.Version, r.Topics[0].Partitions[0].Records = 6, buildBatch(func(b *kafkaproto.Builder) { b.Codec = kafkaproto.CodecZstd }, "x")
		}},
	}
	c := b.dial()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req := produceRequest("t", 0, batchOf("x"))
			test.change(req)
			p := c.produce(req)
			wantCode(t, test.name, p.ErrorCode, test.want)
			if p.BaseOffset != -1 || p.LogAppendTime != -1 {
				t.Errorf("got %+v", p)
			}
		})
	}
	if got := c.mustProduce("t", 0, "good"); got != 0 {
		t.Errorf("something was written: the next offset is %d", got)
	}
	eventually(t, "all memory is free", func() bool { return b.server.Stats().HeldBytes == 0 })
}

func TestRecordErrorsNameTheRecordsFromVersion8On(t *testing.T) {
	b := startBroker(t)
	b.createTopic("compacted", 1, "cleanup.policy=compact")
	c := b.dial()
	for _, version := range []int16{7, 8, 9} {
		req := produceRequest("compacted", 0, batchOf("a", "b"))
		req.Version = version
		p := c.produce(req)
		wantCode(t, "null keys", p.ErrorCode, kafkaproto.ErrInvalidRecord)
		if version < 8 {
			continue
		}
		if len(p.ErrorRecords) != 2 || p.ErrorRecords[1].RelativeOffset != 1 || p.ErrorRecords[1].ErrorMessage == nil {
			t.Errorf("version %d: got %+v", version, p)
		}
	}
}

func TestOnePartitionsErrorLeavesTheOthersAlone(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 2)
	req := produceRequest("t", 0, batchOf("x"))
	for i := range int32(3) {
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, kmsg.ProduceRequestTopicPartition{Partition: i + 1, Records: batchOf("x")})
	}
	resp := ask[*kmsg.ProduceResponse](b.dial(), req)
	var codes []int16
	for _, p := range resp.Topics[0].Partitions {
		codes = append(codes, p.ErrorCode)
	}
	if !slices.Equal(codes, []int16{0, 0, 3, 3}) {
		t.Errorf("got %v", codes)
	}
}

func TestAcksZeroGetsNoAnswerAtAll(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	req := produceRequest("t", 0, batchOf("x"))
	req.Acks = 0
	for range 5 {
		c.send(req)
	}
	if got := c.mustProduce("t", 0, "y"); got != 5 { // its answer is the first thing that comes
		t.Errorf("got offset %d", got)
	}
}

func TestAnErrorUnderAcksZeroClosesTheConnection(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	first := c.send(apiVersionsRequest(0))
	req := produceRequest("nobody", 0, batchOf("x"))
	req.Acks = 0
	c.send(req)
	c.receive(first, apiVersionsRequest(0))
	c.mustBeClosed()
	if lines := b.logged.lines(); len(lines) != 1 || !strings.Contains(lines[0], "acks=0") {
		t.Errorf("logged %q", lines)
	}
}

func idempotent(sequence int32, values ...string) []byte {
	return buildBatch(func(b *kafkaproto.Builder) { b.ProducerID, b.ProducerEpoch, b.BaseSequence = 7, 0, sequence }, values...)
}

func TestIdempotentProducersAreCheckedAndDuplicatesAnswered(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	tests := []struct {
		sequence int32
		code     int16
		offset   int64
	}{
		{0, 0, 0}, {2, 0, 2}, {0, 0, 0}, {2, 0, 2}, {4, 0, 4}, {8, kafkaproto.ErrOutOfOrderSequenceNumber.Num, -1}, {6, 0, 6},
	}
	for i, test := range tests {
		p := c.produce(produceRequest("t", 0, idempotent(test.sequence, "a", "b")))
		if p.ErrorCode != test.code || p.BaseOffset != test.offset {
			t.Errorf("%d: sequence %d: got %+v", i, test.sequence, p)
		}
	}
	if got := len(valuesIn(t, c.fetch(fetchRequest("t", 0, 0)).RecordBatches)); got != 8 {
		t.Errorf("the log has %d records", got)
	}
}

func TestABatchThatWasWrittenAfterItsTimeOutIsADuplicateOnRetry(t *testing.T) {
	b := startBroker(t)
	b.createTopic("first", 1)
	b.createTopic("t", 1)
	c := b.dial()
	hold, writing := make(chan struct{}), make(chan struct{}, 8)
	b.fs.Set(env.FaultHooks{WriteVAt: func(string, int64, int) (int, error) { writing <- struct{}{}; <-hold; return 1 << 30, nil }})
	first := produceRequest("first", 0, buildBatch(func(*kafkaproto.Builder) {}, "x"))
	first.Acks = 0
	b.dial().send(first) // whoever writes is held back, and c's connection must not be that
	<-writing
	req := produceRequest("t", 0, idempotent(0, "a"))
	req.TimeoutMillis = 20
	p := c.produce(req)
	wantCode(t, "held back", p.ErrorCode, kafkaproto.ErrRequestTimedOut)
	close(hold)
	b.fs.Set(env.FaultHooks{})
	req.TimeoutMillis = 10_000
	if p := c.produce(req); p.ErrorCode != 0 || p.BaseOffset != 0 {
		t.Errorf("retried: got %+v", p)
	}
	if got := valuesIn(t, c.fetch(fetchRequest("t", 0, 0)).RecordBatches); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the log has %v", got)
	}
}

func TestLogAppendTimeIsAnsweredAndStored(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1, "message.timestamp.type=LogAppendTime")
	c := b.dial()
	before := time.Now().UnixMilli()
	p := c.produce(produceRequest("t", 0, batchOf("a")))
	if p.ErrorCode != 0 || p.LogAppendTime < before || p.LogAppendTime > time.Now().UnixMilli() {
		t.Fatalf("got %+v", p)
	}
	batch, _, err := kafkaproto.NextBatch(c.fetch(fetchRequest("t", 0, 0)).RecordBatches)
	must(t, err)
	must(t, batch.CheckCRC())
	if batch.TimestampType() != kafkaproto.LogAppendTime || int64(batch.MaxTimestamp()) != p.LogAppendTime {
		t.Errorf("stored with %v, answered %d", batch.MaxTimestamp(), p.LogAppendTime)
	}
}

func TestPipelinedProduceKeepsItsOrderInTheLogAndInItsAnswers(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 3)
	c := b.dial()
	const n = 300
	var frames []byte
	var want [3][]string
	for i := range n {
		req := produceRequest("t", int32(i%3), batchOf(fmt.Sprint(i)))
		req.Acks = []int16{1, -1}[i%2]
		frames = append(frames, frameOf(req, int32(i))...)
		want[i%3] = append(want[i%3], fmt.Sprint(i))
	}
	go c.sendRaw(frames)
	for i := range n {
		resp := c.receive(int32(i), produceRequest("t", 0, nil)).(*kmsg.ProduceResponse)
		if p := produced(t, resp); p.ErrorCode != 0 || p.BaseOffset != int64(i/3) {
			t.Fatalf("%d: got %+v", i, p)
		}
	}
	for i := range want {
		if got := valuesIn(t, c.fetch(fetchRequest("t", int32(i), 0)).RecordBatches); !slices.Equal(got, want[i]) {
			t.Errorf("partition %d: got %v", i, got)
		}
	}
	eventually(t, "all memory is free", func() bool { return b.server.Stats().HeldBytes == 0 })
}

func TestTaggedFieldsStandInsideThePartitionLoop(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 2)
	req := produceRequest("t", 0, batchOf("a"))
	req.Topics[0].Partitions[0].UnknownTags.Set(77, []byte("partition"))
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, kmsg.ProduceRequestTopicPartition{Partition: 1, Records: batchOf("b")})
	req.Topics[0].UnknownTags.Set(78, []byte("topic"))
	req.UnknownTags.Set(79, []byte("request"))
	for version := int16(9); version <= 12; version++ {
		req.Version = version
		resp := ask[*kmsg.ProduceResponse](b.dial(), req)
		for _, p := range resp.Topics[0].Partitions {
			if p.ErrorCode != 0 || p.BaseOffset != int64(version-9) || p.CurrentLeader.LeaderID != -1 {
				t.Errorf("version %d: got %+v", version, p)
			}
		}
	}
}

func TestAFullDiskRefusesProduceAndServesReads(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	c.mustProduce("t", 0, "a")
	b.fs.Set(env.FaultHooks{FreeBytes: func() uint64 { return 0 }})
	eventually(t, "the engine is full", b.engine.Full)
	p := c.produce(produceRequest("t", 0, batchOf("b")))
	wantCode(t, "full", p.ErrorCode, kafkaproto.ErrKafkaStorageError)
	old := produceRequest("t", 0, batchOf("b"))
	old.Version = 3
	wantCode(t, "full, to a client that doesn't know the code", c.produce(old).ErrorCode, kafkaproto.ErrNotLeaderOrFollower)
	if got := valuesIn(t, c.fetch(fetchRequest("t", 0, 0)).RecordBatches); !slices.Equal(got, []string{"a"}) {
		t.Errorf("read %v", got)
	}
	b.fs.Set(env.FaultHooks{})
	eventually(t, "there is room again", func() bool { return !b.engine.Full() })
	c.mustProduce("t", 0, "b")
}

func TestProduceToADeletedTopicIsUnknown(t *testing.T) {
	b := startBroker(t)
	first := b.createTopic("t", 1)
	c := b.dial()
	c.mustProduce("t", 0, "a")
	b.deleteTopic("t")
	wantCode(t, "by name", c.produce(produceRequest("t", 0, batchOf("b"))).ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	b.createTopic("t", 1)
	byID := produceRequest("", 0, batchOf("b"))
	byID.Version, byID.Topics[0].TopicID = 13, first.ID
	wantCode(t, "by the old id", c.produce(byID).ErrorCode, kafkaproto.ErrUnknownTopicID)
	if got := c.mustProduce("t", 0, "c"); got != 0 {
		t.Errorf("the new topic goes on at %d", got)
	}
}

func TestFramesAreReturnedWhateverBecomesOfTheirPartitions(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 4)
	c := b.dial()
	for range 20 {
		req := produceRequest("t", 0, batchOf(strings.Repeat("x", 50_000)))
		for i := range int32(6) {
			records := batchOf(strings.Repeat("y", 10_000))
			if i%2 == 0 {
				records[40] ^= 1
			}
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, kmsg.ProduceRequestTopicPartition{Partition: i, Records: records})
		}
		ask[*kmsg.ProduceResponse](c, req)
	}
	eventually(t, "all memory is free", func() bool { return b.server.Stats().HeldBytes == 0 })
}

func TestFrameReferencesAreCounted(t *testing.T) {
	var m memory
	m.limit = 1 << 20
	m.used.Store(100)
	f := &frame{buf: getBuffer(100), memory: &m, held: 100}
	f.refs.Store(1)
	f.retain()
	f.release()
	if m.used.Load() != 100 || !bytes.Equal(f.buf, f.buf[:100]) {
		t.Error("the frame went while somebody had it")
	}
	f.release()
	if m.used.Load() != 0 || f.buf != nil {
		t.Error("the frame stayed")
	}
	defer func() {
		if recover() == nil {
			t.Error("released twice without a word")
		}
	}()
	f.release()
}
