package log

import (
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// FlushPolicy says when what is written becomes durable.
type FlushPolicy int8

const (
	// FlushDefault stands for the engine's policy in a LogConfig, and for FlushAlways in Options.
	FlushDefault FlushPolicy = iota
	// FlushAlways syncs everything as soon as it is written, in groups.
	FlushAlways
	// FlushInterval syncs what is written at the latest after the flush interval.
	FlushInterval
	// FlushNever leaves it to the operating system until a file is sealed.
	FlushNever
)

// Defaults of Options.
const (
	DefaultFileBytes          = 128 << 20
	DefaultRecycle            = 1 << 30
	DefaultFlushInterval      = 100 * time.Millisecond
	DefaultProducerExpiration = 24 * time.Hour
	DefaultUnsealedAlways     = 256 << 20
	DefaultUnsealed           = 2 << 30
	DefaultCompactRun         = 256 << 10
	DefaultCompactDead        = 1 << 20
	DefaultCompactRate        = 64 << 20
	DefaultSortedFile         = 512 << 20
	DefaultCleanInterval      = 15 * time.Second
	DefaultCleanMap           = 128 << 20
	QuarantineTime            = 7 * 24 * time.Hour
)

// Options is what an Engine is opened with. Directory and Env are required; zero stands for a default elsewhere.
type Options struct {
	Directory *Directory
	Env       env.Env

	FlushPolicy   FlushPolicy   // FlushAlways if zero
	FlushInterval time.Duration // of FlushInterval
	// FileBytes is the size at which a WAL file is sealed, at most 1 GiB.
	FileBytes int64
	// RecycleBytes is how much of WAL files that nobody needs any more is kept, to be written again (1 GiB). Negative: nothing.
	RecycleBytes int64
	// UnsealedMaxBytes bounds what has to be read at a start; appends wait beyond it.
	UnsealedMaxBytes int64
	// ReserveBytes of the disk are left free: appends fail below it. Default: see DefaultReserve. Negative: no reserve.
	ReserveBytes int64
	// ProducerExpiration forgets an idle producer, as producer.id.expiration.ms.
	ProducerExpiration time.Duration
	// MaintenanceInterval is how often retention, expiry and the disk's room are looked at (1 s).
	MaintenanceInterval time.Duration
	// RetentionInterval is how often retention runs, as log.retention.check.interval.ms (5 min).
	RetentionInterval time.Duration
	// CompactRunBytes is how long a log's records should lie side by side: compaction joins shorter runs (256 KiB).
	CompactRunBytes int64
	// CompactDeadBytes of a file have to be dead, and more than what is not, for the rest to be copied elsewhere (1 MiB).
	CompactDeadBytes int64
	// CompactBytesPerSecond is how fast compaction copies; it goes faster when much waits for it (64 MiB).
	CompactBytesPerSecond int64
	// CleanInterval is how often one looks for logs to be compacted by key (15 s), CleanMapBytes what the keys of one pass may
	// take in memory (128 MiB).
	CleanInterval time.Duration
	CleanMapBytes int64
	// SortedFileBytes is about how large the files are that it writes; one log may take more (512 MiB).
	SortedFileBytes int64
	// AcceptCorruption opens a directory in spite of frames that are damaged below what was synced. Their logs get a
	// hole at which reads fail with ErrCorrupt; a log whose damaged frames can't be told is cut where the gap shows.
	AcceptCorruption bool

	Events Events
	// OnFailed is called once, from any goroutine, when the directory has failed (a write or a sync returned an error
	// other than a full disk). The engine serves nothing from then on.
	OnFailed func(error)
}

// Events tell what happens inside. Each may be nil; none may block or call the engine.
type Events struct {
	Synced     func(took time.Duration)
	Sealed     func(file uint32, bytes int64, entries int)
	Unlinked   func(file uint32)
	Full       func(full bool, free uint64)
	Recovered  func(Recovery)
	Corruption func(*CorruptionError)
	// IndexRebuilt: the index was lost or damaged and is made anew from the files.
	IndexRebuilt func(reason error)
	Quarantined  func(id kafkaproto.TopicPartition)
	Retained     func(id kafkaproto.TopicPartition, start kafkaproto.Offset)
	// Trouble is something that is tried again later (a seal that failed, a file that can't be removed).
	Trouble func(what string, err error)
}

// Recovery is what a start found.
type Recovery struct {
	Clean       bool          // everything was sealed
	Files       int           // unsealed files read
	Bytes       int64         // bytes read in them
	Frames      int           // intact frames applied
	CutFile     uint32        // file in which the WAL ended
	CutPosition int64         // where
	Logs        int           // logs known
	Rebuilt     bool          // the index was made anew
	Took        time.Duration // by the clock of Env
}

// LogConfig is what a topic's configuration means for its logs. The zero value keeps everything forever under the
// engine's flush policy.
type LogConfig struct {
	Policy         FlushPolicy   // FlushDefault: the engine's
	FlushInterval  time.Duration // of FlushInterval; 0: the engine's
	RetentionTime  time.Duration // below or equal 0: no limit
	RetentionBytes int64         // below or equal 0: no limit
	Delete         bool          // cleanup.policy has delete
	Compact        bool          // cleanup.policy has compact
	// SegmentBytes and SegmentTime are the size and the age at which what was written to a log with Compact may be compacted by
	// key; what is younger and less stays whole, as in Kafka's active segment. Below or equal 0: no limit.
	SegmentBytes int64
	SegmentTime  time.Duration
	Internal     bool // of an internal topic: compacted first, to files of its own
	// Of Compact:
	MinDirtyRatio    float64       // share of bytes not compacted yet beyond which it is worth it
	MinCompactionLag time.Duration // younger records stay
	MaxCompactionLag time.Duration // older ones are compacted whatever the ratio; below or equal 0: no limit
	DeleteRetention  time.Duration // how long tombstones stay readable once they are compacted
}

// Ends of a log. Start <= Flushed <= Written <= Next, except right after Start was moved beyond the others.
type Ends struct {
	Start   kafkaproto.Offset // first offset that may be read
	Next    kafkaproto.Offset // next to be assigned
	Written kafkaproto.Offset // below it everything can be read
	Flushed kafkaproto.Offset // below it everything survives a power cut
}

// Origin says who appends, as Kafka's AppendOrigin.
type Origin int8

const (
	// OriginClient has its sequence numbers checked.
	OriginClient Origin = iota
	// OriginCoordinator writes its own records and markers: no sequence checks.
	OriginCoordinator
	// OriginReplication brings what a leader has accepted already.
	OriginReplication
)

// Append is one request to append whole, valid batches.
type Append struct {
	// Data is stamped in place (base offset, leader epoch, with LogAppendTime the timestamp) and is the engine's until
	// Done. The caller has checked its structure and its CRCs.
	Data  []byte
	Epoch kafkaproto.LeaderEpoch
	// LogAppendTime stamps Now on every batch.
	LogAppendTime bool
	Now           kafkaproto.Timestamp
	// Follower takes offsets and epochs from the data.
	Follower bool
	Origin   Origin
	// Hold does not wake the writer: the caller calls Log.WriteHeld or Log.LeaveHeld at once when it has let go of its locks. Until
	// then it must not wait for anything that may wait for the log to be written.
	Hold bool
	// Done is called once, without locks of the log, by who writes (the writer's goroutine, the syncer's, or any in WriteHeld),
	// when the bytes are released: written (nil) or failed. It must not block, and so waits for no sync. It is not called when
	// Append returns an error or a duplicate. May be nil.
	Done func(error)
}

// Appended is the answer to an Append.
type Appended struct {
	First, Last   kafkaproto.Offset
	LogStart      kafkaproto.Offset
	LogAppendTime kafkaproto.Timestamp // -1 unless stamped
	Duplicate     bool                 // the batch is there already, at First to Last
}

// ReadRequest asks for whole batches from From up to but not including UpTo.
type ReadRequest struct {
	From, UpTo  kafkaproto.Offset
	MaxBytes    int
	MinOneBatch bool // the first batch is returned even if it is larger than MaxBytes
	// Cursor makes reads that follow one another cheaper. It may be nil; it belongs to one reader.
	Cursor *Cursor
}

// Read is a piece of a log as spans of files, which stay as they are until Release.
type Read struct {
	Spans []env.Span
	Bytes int
	Next  kafkaproto.Offset // where the next read goes on; From if there was nothing
	files []*file
	// Most reads need one of each.
	span [1]env.Span
	file [1]*file
}

// TimestampOffset is a record found by its time.
type TimestampOffset struct {
	Timestamp   kafkaproto.Timestamp
	Offset      kafkaproto.Offset
	LeaderEpoch kafkaproto.LeaderEpoch
}

// ProducerState is what a log knows of a producer (DescribeProducers).
type ProducerState struct {
	ID               kafkaproto.ProducerID
	Epoch            kafkaproto.ProducerEpoch
	LastSequence     int32 // -1: none
	LastTimestamp    kafkaproto.Timestamp
	CoordinatorEpoch int32
	TxnStart         kafkaproto.Offset // first offset of the open transaction, -1: none
}

// AbortedTxn is an aborted transaction: offsets First to Last (its marker) of a producer are not for read_committed.
type AbortedTxn struct {
	Producer    kafkaproto.ProducerID
	First, Last kafkaproto.Offset
	// LastStable was the last stable offset when the marker was written: a search may stop behind it.
	LastStable kafkaproto.Offset
}

// Stats are counts since the engine was opened, and sizes now.
type Stats struct {
	Logs, OpenFiles, WALFiles, UnsealedFiles     int
	UnsealedBytes, QueuedBytes, LiveBytes        int64
	Appends, AppendedBytes, Frames, WrittenBytes int64
	Writes, Syncs, Seals, Unlinks                int64
	Scrubbed                                     int64 // bytes that were read again, see Engine.Scrub
	Compacted                                    int64 // bytes of batches that compaction copied
	CompactionBacklog                            int64 // bytes of batches that it would copy now
	Recycled                                     int64 // WAL files that were begun in what a dead one left
	Spares                                       int   // dead ones that are kept for that
	Cleaned                                      int64 // bytes of batches that compaction by key read
	CleanedAway                                  int64 // and of those what it left out
	SortedFiles                                  int
	MemoryEntries                                int
	Quarantined                                  []kafkaproto.TopicPartition
	Full                                         bool
}

// Add takes the counts and sizes of another engine of the same process to these.
func (s *Stats) Add(o Stats) {
	s.Logs, s.OpenFiles, s.WALFiles, s.UnsealedFiles = s.Logs+o.Logs, s.OpenFiles+o.OpenFiles, s.WALFiles+o.WALFiles, s.UnsealedFiles+o.UnsealedFiles
	s.UnsealedBytes, s.QueuedBytes, s.LiveBytes = s.UnsealedBytes+o.UnsealedBytes, s.QueuedBytes+o.QueuedBytes, s.LiveBytes+o.LiveBytes
	s.Appends, s.AppendedBytes, s.Frames, s.WrittenBytes = s.Appends+o.Appends, s.AppendedBytes+o.AppendedBytes, s.Frames+o.Frames, s.WrittenBytes+o.WrittenBytes
	s.Writes, s.Syncs, s.Seals, s.Unlinks = s.Writes+o.Writes, s.Syncs+o.Syncs, s.Seals+o.Seals, s.Unlinks+o.Unlinks
	s.Scrubbed, s.MemoryEntries = s.Scrubbed+o.Scrubbed, s.MemoryEntries+o.MemoryEntries
	s.Compacted, s.CompactionBacklog, s.SortedFiles = s.Compacted+o.Compacted, s.CompactionBacklog+o.CompactionBacklog, s.SortedFiles+o.SortedFiles
	s.Recycled, s.Spares = s.Recycled+o.Recycled, s.Spares+o.Spares
	s.Cleaned, s.CleanedAway = s.Cleaned+o.Cleaned, s.CleanedAway+o.CleanedAway
	s.Quarantined, s.Full = append(s.Quarantined, o.Quarantined...), s.Full || o.Full
}
