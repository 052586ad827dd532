package config

import "time"

// Values of message.timestamp.type.
const (
	CreateTime    = "CreateTime"
	LogAppendTime = "LogAppendTime"
)

// TopicConfig holds the effective values of a topic's properties. A duration below zero is no limit, and so is the
// largest duration (math.MaxInt64), which stands for all that is longer than 292 years, like Kafka's largest long.
type TopicConfig struct {
	CleanupDelete  bool // cleanup.policy contains delete
	CleanupCompact bool // cleanup.policy contains compact

	Retention           time.Duration // <0 keeps forever
	RetentionBytes      int64         // of one partition; -1 has no limit
	LocalRetention      time.Duration // Retention if local.retention.ms is -2
	LocalRetentionBytes int64         // RetentionBytes if local.retention.bytes is -2

	SegmentBytes       int64
	SegmentTime        time.Duration
	SegmentJitter      time.Duration
	SegmentIndexBytes  int64
	IndexIntervalBytes int64
	Preallocate        bool

	MaxMessageBytes      int    // of one batch
	CompressionType      string // producer, uncompressed, gzip, snappy, lz4, zstd
	CompressionGzipLevel int
	CompressionLz4Level  int
	CompressionZstdLevel int

	TimestampType      string        // CreateTime or LogAppendTime
	LogAppendTime      bool          // TimestampType is LogAppendTime
	TimestampBeforeMax time.Duration // how far a CreateTime may lie behind the broker's clock
	TimestampAfterMax  time.Duration // how far it may lie ahead

	MinInSyncReplicas int
	UncleanElection   bool

	FlushMessages int64         // 1 flushes before every acknowledgement; math.MaxInt64 says nothing
	FlushInterval time.Duration // the largest says nothing

	DeleteRetention        time.Duration
	MinCompactionLag       time.Duration
	MaxCompactionLag       time.Duration
	MinCleanableDirtyRatio float64
	FileDeleteDelay        time.Duration

	RemoteStorageEnable      bool
	RemoteLogCopyDisable     bool
	RemoteLogDeleteOnDisable bool

	LeaderThrottledReplicas   []string // partition:broker, or *
	FollowerThrottledReplicas []string
}
