package kafkaproto

import (
	"encoding/binary"

	"github.com/streambus/streambus/internal/env"
)

// FetchResponse is Fetch's response (versions 0 to 18) with pieces of files for records. It may hold more than the
// version asked for has: the encoder leaves the rest out.
type FetchResponse struct {
	ThrottleMillis int32
	ErrorCode      int16
	SessionID      int32
	Topics         []FetchResponseTopic
	Brokers        []ResponseBroker // NodeEndpoints, v16+, left out if empty
}

// FetchResponseTopic has Topic (v0-v12) or TopicID (v13+).
type FetchResponseTopic struct {
	Topic      string
	TopicID    TopicID
	Partitions []FetchResponsePartition
}

// FetchResponsePartition is one partition's answer. Make it with NewFetchResponsePartition: "none" is -1 in many fields, not 0.
type FetchResponsePartition struct {
	Partition            int32
	ErrorCode            int16
	HighWatermark        Offset
	LastStableOffset     Offset
	LogStartOffset       Offset
	DivergingEpoch       EpochEndOffset       // tagged, left out if both are -1
	CurrentLeader        LeaderIDAndEpoch     // likewise
	SnapshotID           EpochEndOffset       // likewise
	AbortedTransactions  []AbortedTransaction // nil: null, which a read_uncommitted fetch gets
	PreferredReadReplica int32

	// The record batches: Records if there are any, else RecordBytes. If both are nil the field is empty, as Kafka sends
	// it, not null. Whoever releases what the spans stand on does so after the chunks were sent.
	Records     []env.Span
	RecordBytes []byte
}

// EpochEndOffset is an epoch with the offset where it ends.
type EpochEndOffset struct {
	Epoch     LeaderEpoch
	EndOffset Offset
}

// AbortedTransaction is an aborted transaction that overlaps what was fetched.
type AbortedTransaction struct {
	ProducerID  ProducerID
	FirstOffset Offset
}

// Chunk is a piece of a response: Bytes, or a piece of a file if Span.File is not nil.
type Chunk struct {
	Bytes []byte
	Span  env.Span
}

// NewFetchResponsePartition has Kafka's defaults.
func NewFetchResponsePartition() FetchResponsePartition {
	return FetchResponsePartition{
		HighWatermark: NoOffset, LastStableOffset: NoOffset, LogStartOffset: NoOffset,
		DivergingEpoch: EpochEndOffset{NoLeaderEpoch, NoOffset}, CurrentLeader: noLeader,
		SnapshotID: EpochEndOffset{NoLeaderEpoch, NoOffset}, PreferredReadReplica: -1,
	}
}

// EncodeFetch encodes resp as a whole frame, the 4-byte length first. size is the frame's in bytes, that length
// included. Record bytes are not copied: they become chunks of their own, in place.
func EncodeFetch(version int16, correlation int32, resp *FetchResponse) (chunks []Chunk, size int) {
	return new(FetchEncoder).Encode(version, correlation, resp)
}

// FetchEncoder encodes fetch responses one after the other with the same buffers: what Encode returned is good until
// it is called again.
type FetchEncoder struct {
	answerEncoder
	chunks  []Chunk
	start   int // of the bytes in buf that are in no chunk yet
	records int // bytes that are not in buf
}

// Encode is EncodeFetch.
func (e *FetchEncoder) Encode(version int16, correlation int32, resp *FetchResponse) (chunks []Chunk, size int) {
	clear(e.chunks)
	e.buf, e.chunks, e.start, e.records = e.buf[:0], e.chunks[:0], 0, 0
	e.version, e.compact = version, version >= 12
	if need := resp.headSize(); cap(e.buf) < need {
		e.buf = make([]byte, 0, need)
	}
	e.buf = append(e.buf, 0, 0, 0, 0)
	e.buf = AppendResponseHeader(e.buf, keyFetch, version, correlation)
	e.response(resp)
	e.cut()
	size = len(e.buf) + e.records
	// The first chunk, even if buf had to move since.
	binary.BigEndian.PutUint32(e.chunks[0].Bytes, uint32(size-4))
	return e.chunks, size
}

// headSize is about how many bytes everything but the records takes, rather more than less.
func (resp *FetchResponse) headSize() int {
	n := 64
	for i := range resp.Topics {
		t := &resp.Topics[i]
		n += 32 + len(t.Topic) + 112*len(t.Partitions)
		for j := range t.Partitions {
			n += 17 * len(t.Partitions[j].AbortedTransactions)
		}
	}
	for i := range resp.Brokers {
		n += 24 + len(resp.Brokers[i].Host)
		if rack := resp.Brokers[i].Rack; rack != nil {
			n += len(*rack)
		}
	}
	return n
}

func (e *FetchEncoder) response(resp *FetchResponse) {
	if e.version >= 1 {
		e.int32(resp.ThrottleMillis)
	}
	if e.version >= 7 {
		e.int16(resp.ErrorCode)
		e.int32(resp.SessionID)
	}
	e.length(len(resp.Topics))
	for i := range resp.Topics {
		e.topic(&resp.Topics[i])
	}
	if e.compact {
		e.brokers(resp.Brokers)
	}
}

func (e *FetchEncoder) topic(t *FetchResponseTopic) {
	e.topicHead(t.Topic, t.TopicID, len(t.Partitions))
	for i := range t.Partitions {
		e.partition(&t.Partitions[i])
	}
	if e.compact {
		e.buf = append(e.buf, 0)
	}
}

func (e *FetchEncoder) partition(p *FetchResponsePartition) {
	e.int32(p.Partition)
	e.int16(p.ErrorCode)
	e.int64(int64(p.HighWatermark))
	if e.version >= 4 {
		e.int64(int64(p.LastStableOffset))
	}
	if e.version >= 5 {
		e.int64(int64(p.LogStartOffset))
	}
	if e.version >= 4 {
		e.aborted(p.AbortedTransactions)
	}
	if e.version >= 11 {
		e.int32(p.PreferredReadReplica)
	}
	e.recordBytes(p)
	if e.compact {
		e.partitionTags(p)
	}
}

func (e *FetchEncoder) aborted(txns []AbortedTransaction) {
	if txns == nil {
		e.length(-1)
		return
	}
	e.length(len(txns))
	for _, t := range txns {
		e.int64(int64(t.ProducerID))
		e.int64(int64(t.FirstOffset))
		if e.compact {
			e.buf = append(e.buf, 0)
		}
	}
}

// recordBytes writes the length into the buffer and puts the bytes behind it as chunks.
func (e *FetchEncoder) recordBytes(p *FetchResponsePartition) {
	n := 0
	if p.Records == nil {
		n = len(p.RecordBytes)
	}
	for _, s := range p.Records {
		n += s.Len
	}
	e.length(n)
	if n == 0 {
		return
	}
	e.cut()
	e.records += n
	if p.Records == nil {
		e.chunks = append(e.chunks, Chunk{Bytes: p.RecordBytes})
		return
	}
	for _, s := range p.Records {
		if s.Len > 0 {
			e.chunks = append(e.chunks, Chunk{Span: s})
		}
	}
}

// cut makes a chunk of the bytes written since the last one.
func (e *FetchEncoder) cut() {
	if end := len(e.buf); end > e.start {
		e.chunks = append(e.chunks, Chunk{Bytes: e.buf[e.start:end:end]})
		e.start = end
	}
}

func (e *FetchEncoder) partitionTags(p *FetchResponsePartition) {
	diverging := p.DivergingEpoch != EpochEndOffset{NoLeaderEpoch, NoOffset}
	leader := p.CurrentLeader.known()
	snapshot := p.SnapshotID != EpochEndOffset{NoLeaderEpoch, NoOffset}
	count := byte(0)
	for _, set := range [...]bool{diverging, leader, snapshot} {
		if set {
			count++
		}
	}
	e.buf = append(e.buf, count)
	if diverging {
		e.buf = append(e.buf, 0, 13) // tag, size
		e.int32(int32(p.DivergingEpoch.Epoch))
		e.int64(int64(p.DivergingEpoch.EndOffset))
		e.buf = append(e.buf, 0)
	}
	if leader {
		e.leader(1, p.CurrentLeader)
	}
	if snapshot {
		e.buf = append(e.buf, 2, 13)
		e.int64(int64(p.SnapshotID.EndOffset))
		e.int32(int32(p.SnapshotID.Epoch))
		e.buf = append(e.buf, 0)
	}
}
