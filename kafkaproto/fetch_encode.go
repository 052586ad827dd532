package kafkaproto

import "github.com/streambus/streambus/internal/env"

// FetchResponse is kmsg.FetchResponse with spans for records. See kmsg for the fields' meanings; which of them a version has, the encoder knows.
type FetchResponse struct {
	ThrottleMillis int32
	ErrorCode      int16
	SessionID      int32
	Topics         []FetchResponseTopic
	Brokers        []FetchResponseBroker // NodeEndpoints, v16+, left out if empty
}

// FetchResponseTopic has Topic (v0-v12) or TopicID (v13+).
type FetchResponseTopic struct {
	Topic      string
	TopicID    TopicID
	Partitions []FetchResponsePartition
}

// FetchResponsePartition is one partition's answer. Make it with NewFetchResponsePartition: many fields' "none" is -1, not 0.
type FetchResponsePartition struct {
	Partition            int32
	ErrorCode            int16
	HighWatermark        Offset
	LastStableOffset     Offset
	LogStartOffset       Offset
	DivergingEpoch       EpochEndOffset // tagged, left out if both are -1
	CurrentLeader        LeaderIDAndEpoch
	SnapshotID           EpochEndOffset
	AbortedTransactions  []AbortedTransaction // nil: null, which a read_uncommitted fetch gets
	PreferredReadReplica int32

	// Records are the bytes: Spans if not nil, else RecordBytes. RecordBytes nil and no spans is an empty, not a null, value.
	Spans       []env.Span
	RecordBytes []byte
}

// EpochEndOffset is an epoch with the offset where it ends.
type EpochEndOffset struct {
	Epoch     LeaderEpoch
	EndOffset Offset
}

// LeaderIDAndEpoch names a partition's leader.
type LeaderIDAndEpoch struct {
	LeaderID    int32
	LeaderEpoch LeaderEpoch
}

// AbortedTransaction is an aborted transaction that overlaps what was fetched.
type AbortedTransaction struct {
	ProducerID  ProducerID
	FirstOffset Offset
}

// FetchResponseBroker is where a leader named in CurrentLeader can be reached.
type FetchResponseBroker struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   *string
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
		DivergingEpoch: EpochEndOffset{NoLeaderEpoch, NoOffset}, CurrentLeader: LeaderIDAndEpoch{-1, NoLeaderEpoch},
		SnapshotID: EpochEndOffset{NoLeaderEpoch, NoOffset}, PreferredReadReplica: -1,
	}
}

// EncodeFetch encodes resp as a whole frame, the 4-byte length first. The int is the frame's size in bytes, that length included.
func EncodeFetch(version int16, correlation int32, resp *FetchResponse) ([]Chunk, int) { return nil, 0 }
