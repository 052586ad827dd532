package config

// Values of message.timestamp.type.
const (
	CreateTime    = "CreateTime"
	LogAppendTime = "LogAppendTime"
)

// TopicConfig holds the effective values of a topic's properties, numbers as Kafka writes them: milliseconds and bytes,
// -1 for no limit, math.MaxInt64 where Kafka's default is its largest long. They are not time.Duration because a
// Duration can't hold Long.MAX milliseconds.
type TopicConfig struct {
	CleanupDelete  bool // cleanup.policy contains delete
	CleanupCompact bool // cleanup.policy contains compact

	RetentionMs         int64 // -1 keeps forever
	RetentionBytes      int64 // of one partition; -1 has no limit
	LocalRetentionMs    int64 // -2 means RetentionMs
	LocalRetentionBytes int64 // -2 means RetentionBytes

	SegmentBytes       int64
	SegmentMs          int64
	SegmentJitterMs    int64
	SegmentIndexBytes  int64
	IndexIntervalBytes int64
	Preallocate        bool

	MaxMessageBytes      int    // of one batch
	CompressionType      string // producer, uncompressed, gzip, snappy, lz4, zstd
	CompressionGzipLevel int
	CompressionLz4Level  int
	CompressionZstdLevel int

	TimestampType      string // CreateTime or LogAppendTime
	TimestampBeforeMax int64  // milliseconds that a CreateTime may lie behind the broker's clock
	TimestampAfterMax  int64  // how far it may lie ahead

	MinInSyncReplicas int
	UncleanElection   bool

	FlushMessages int64 // 1 flushes before every acknowledgement; math.MaxInt64 says nothing
	FlushMs       int64 // math.MaxInt64 says nothing

	DeleteRetentionMs      int64
	MinCompactionLagMs     int64
	MaxCompactionLagMs     int64
	MinCleanableDirtyRatio float64
	FileDeleteDelayMs      int64

	RemoteStorageEnable      bool
	RemoteLogCopyDisable     bool
	RemoteLogDeleteOnDisable bool

	LeaderThrottledReplicas   []string // partition:broker, or *
	FollowerThrottledReplicas []string
}
