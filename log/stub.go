package log

import (
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

type (
	tp     = kafkaproto.TopicPartition
	offset = kafkaproto.Offset
	file   struct{}
)

// Directory is a data directory.
type Directory struct{}

func OpenDirectory(e env.Env, path string, nodeID int32) (*Directory, error) { return nil, nil }
func (d *Directory) ID() [16]byte                                            { return [16]byte{} }
func (d *Directory) ClusterID() string                                       { return "" }
func (d *Directory) SetClusterID(id string) error                            { return nil }
func (d *Directory) Path() string                                            { return "" }
func (d *Directory) Close() error                                            { return nil }

// Engine is the storage engine of a directory.
type Engine struct{}

func Open(o Options) (*Engine, error)                                { return nil, nil }
func (e *Engine) Close() error                                       { return nil }
func (e *Engine) Failed() error                                      { return nil }
func (e *Engine) Full() bool                                         { return false }
func (e *Engine) Stats() Stats                                       { return Stats{} }
func (e *Engine) Recovery() Recovery                                 { return Recovery{} }
func (e *Engine) CreateLog(id tp, cfg LogConfig) (*Log, error)       { return nil, nil }
func (e *Engine) CreateLogs(ids []tp, cfg LogConfig) ([]*Log, error) { return nil, nil }
func (e *Engine) Log(id tp) (*Log, bool)                             { return nil, false }
func (e *Engine) Logs() []tp                                         { return nil }
func (e *Engine) DeleteLogs(ids ...tp) error                         { return nil }
func (e *Engine) Quarantine(id tp) error                             { return nil }
func (e *Engine) HasData() bool                                      { return false }

// Log is the log of a partition.
type Log struct{}

func (l *Log) ID() tp                                                 { return tp{} }
func (l *Log) SetConfig(c LogConfig)                                  {}
func (l *Log) SetListener(f func())                                   {}
func (l *Log) Ends() Ends                                             { return Ends{} }
func (l *Log) Append(a Append) (Appended, error)                      { return Appended{}, nil }
func (l *Log) Read(r ReadRequest) (*Read, error)                      { return nil, nil }
func (l *Log) Truncate(to offset) error                               { return nil }
func (l *Log) AdvanceStart(to offset) error                           { return nil }
func (l *Log) AssignEpoch(epoch kafkaproto.LeaderEpoch, start offset) {}
func (l *Log) LatestEpoch() (kafkaproto.LeaderEpoch, offset)          { return 0, 0 }
func (l *Log) EndOfEpoch(epoch kafkaproto.LeaderEpoch) (kafkaproto.LeaderEpoch, offset) {
	return 0, 0
}
func (l *Log) FindTimestamp(ts kafkaproto.Timestamp, upTo offset) (TimestampOffset, bool, error) {
	return TimestampOffset{}, false, nil
}
func (l *Log) FindMaxTimestamp(upTo offset) (TimestampOffset, bool, error) {
	return TimestampOffset{}, false, nil
}
func (l *Log) Producers() []ProducerState                              { return nil }
func (l *Log) Producer(id kafkaproto.ProducerID) (ProducerState, bool) { return ProducerState{}, false }
func (l *Log) FirstUnstable() (offset, bool)                           { return 0, false }
func (l *Log) Aborted(from, to offset) ([]AbortedTxn, error)           { return nil, nil }
func (l *Log) LastStable(hw offset) offset                             { return hw }
func (l *Log) HighWatermark() offset                                   { return 0 }
func (l *Log) NoteHighWatermark(hw offset)                             {}
func (l *Log) Size() int64                                             { return 0 }
func (l *Log) TransactionOpen(id kafkaproto.ProducerID, epoch kafkaproto.ProducerEpoch) bool {
	return false
}

// Cursor remembers where a reader was.
type Cursor struct{}

// Release gives the files back.
func (r *Read) Release() {}

// Report is what Verify found.
type Report struct {
	Files, Frames, Batches, Entries, Logs int
	Bytes                                 int64
	Problems                              []error
}

func Verify(fs env.FS, dir string) (Report, error) { return Report{}, nil }
