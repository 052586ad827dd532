package kafkaproto

import "math"

// ValidateOptions is what a partition asks of the batches that clients append.
type ValidateOptions struct {
	MaxBytes  int  // max.message.bytes; 0: no limit
	Compacted bool // cleanup.policy has compact: every record needs a key
	NoZstd    bool // the request is older than Produce v7

	// TimestampType and the window are the topic's. Now is what the window is around; BeforeMax and AfterMax are
	// message.timestamp.before.max.ms and after.max.ms (math.MaxInt64: no limit).
	TimestampType TimestampType
	Now           Timestamp
	BeforeMax     int64
	AfterMax      int64

	// Internal lets batches through that only a broker writes: control batches.
	Internal bool

	MaxDecompressed int // bytes; 0: the constant MaxDecompressed
}

// NoTimestampLimit as BeforeMax or AfterMax is Kafka's default.
const NoTimestampLimit = math.MaxInt64

// RecordError is the reason why one record of a batch was refused.
type RecordError struct {
	BatchIndex int32 // which record, counted from 0
	Message    string
}

// RecordErrors is the error of a batch that was refused for some of its records. It wraps Kind, which Code finds.
type RecordErrors struct {
	Kind    *Error // ErrInvalidRecord or ErrInvalidTimestamp
	Records []RecordError
}

// Validate checks a batch as Kafka's LogValidator does before a leader appends what a client sent.
func (b Batch) Validate(opts ValidateOptions) error { return b.CheckCRC() }

func (e *RecordErrors) Error() string { return e.Kind.Error() }

func (e *RecordErrors) Unwrap() error { return e.Kind }
