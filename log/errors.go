package log

import (
	"errors"
	"fmt"

	"github.com/streambus/streambus/kafkaproto"
)

// Sentinels, tested with errors.Is. Those that a client can see carry a Kafka error beside (kafkaproto.Code finds it).
var (
	// ErrCorrupt marks bytes that are not what was written.
	ErrCorrupt = errors.New("corrupt")
	// ErrFailed: a write or a sync of the directory has failed; it serves nothing any more.
	ErrFailed = errors.New("the data directory has failed")
	// ErrFull: the disk is full up to the reserve. Appends fail until there is room again.
	ErrFull = errors.New("the disk is full")
	// ErrClosed: the engine or the log is closed or deleted.
	ErrClosed = errors.New("the log is closed")
	// ErrLocked: another process has the directory.
	ErrLocked = errors.New("the data directory is in use by another process")
	// ErrOtherNode, ErrOtherCluster and ErrNewerFormat: the directory is not for this process. ErrNoMeta: it holds records, but
	// nothing says whose they are.
	ErrNoMeta       = errors.New("the data directory has no " + metaFile)
	ErrOtherNode    = errors.New("the data directory belongs to another node")
	ErrOtherCluster = errors.New("the data directory belongs to another cluster")
	ErrNewerFormat  = errors.New("the data directory has a newer format")
	// ErrOffsetOrder: a follower's batches do not follow the end of its log.
	ErrOffsetOrder = errors.New("offsets do not follow the end of the log")
)

// CorruptionError says where bytes are not what was written. errors.Is(err, ErrCorrupt) holds.
type CorruptionError struct {
	File     string
	Position int64
	// Log, First and Last are what the damaged frame held, if that can still be told; Known says whether.
	Known       bool
	Log         kafkaproto.TopicPartition
	First, Last kafkaproto.Offset
	Detail      string

	blank bool // at Position is where the file ends
}

func (e *CorruptionError) Error() string {
	what := "log and offsets unknown"
	if e.Known {
		what = fmt.Sprintf("log %s offsets %d-%d", e.Log, e.First, e.Last)
	}
	return fmt.Sprintf("corrupt: %s at %d (%s): %s", e.File, e.Position, what, e.Detail)
}

// Is makes errors.Is(err, ErrCorrupt) hold, and Kafka's storage error, which is what a client is told.
func (e *CorruptionError) Is(target error) bool { return target == ErrCorrupt }

// Unwrap gives the Kafka error.
func (e *CorruptionError) Unwrap() error { return kafkaproto.ErrKafkaStorageError }

// storage joins a cause with Kafka's storage error.
func storage(cause error) error {
	return &storageError{cause: cause}
}

type storageError struct{ cause error }

func (e *storageError) Error() string   { return e.cause.Error() }
func (e *storageError) Unwrap() []error { return []error{e.cause, kafkaproto.ErrKafkaStorageError} }
