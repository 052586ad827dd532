package partition

import (
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// What a coordinator asks of the partition that holds its records. It names the leader epoch in which it was loaded
// each time, so that nothing it decided lands behind what another leader wrote, and no answer relies on a high watermark
// of another epoch.

// CoordinatorAppend asks for a coordinator's batches to be appended.
type CoordinatorAppend struct {
	// Records are whole batches of format v2, made by this process: they are not validated. They are stamped in place,
	// and belong to the partition until Written.
	Records []byte
	Epoch   kafkaproto.LeaderEpoch
	// Written is called once if there was no error, when the bytes are no longer needed: nil, or why they were not
	// written (a full disk, a failed directory). It may come before AppendRecords returns, from the engine's writer,
	// so it must not block.
	Written func(error)
}

// AppendRecords appends batches and returns at once which offsets they have got: base to next, without next. They count
// when the high watermark reaches next (Committed). The errors are those of an append with acks=all:
// NOT_LEADER_OR_FOLLOWER and the errors of other epochs, NOT_ENOUGH_REPLICAS, RECORD_LIST_TOO_LARGE,
// KAFKA_STORAGE_ERROR. It may block while the engine is behind.
func (p *Partition) AppendRecords(r CoordinatorAppend) (base, next kafkaproto.Offset, err error) {
	t := p.topic.Load()
	if n := len(r.Records); n > t.segmentBytes() {
		return kafkaproto.NoOffset, kafkaproto.NoOffset, kafkaproto.ErrRecordListTooLarge.With("%d bytes are more than segment.bytes, %d", n, t.config.SegmentBytes)
	}
	p.role.RLock()
	defer p.role.RUnlock()
	if err := p.admit(replication.AcksAll, r.Epoch); err != nil {
		return kafkaproto.NoOffset, kafkaproto.NoOffset, err
	}
	done, err := p.log().Append(log.Append{
		Data: r.Records, Epoch: r.Epoch, LogAppendTime: t.logAppendTime, Now: kafkaproto.Timestamp(p.manager.now().UnixMilli()),
		Origin: log.OriginCoordinator,
		Done: func(err error) {
			if err != nil {
				err = storageError(err)
			}
			r.Written(err)
		},
	})
	if err != nil {
		return kafkaproto.NoOffset, kafkaproto.NoOffset, p.appendError(err)
	}
	return done.First, done.Last + 1, nil
}

// Full tells that the disk is full up to the reserve, so that appends fail.
func (p *Partition) Full() bool {
	e := p.Dir().Engine
	return e != nil && e.Full()
}

// Committed is the high watermark, while this node leads in that epoch.
func (p *Partition) Committed(epoch kafkaproto.LeaderEpoch) (kafkaproto.Offset, error) {
	v := p.look(epoch)
	return v.high, v.err
}

// LogEnds are the ends of the log, while this node leads in that epoch.
func (p *Partition) LogEnds(epoch kafkaproto.LeaderEpoch) (log.Ends, error) {
	v := p.look(epoch)
	return p.log().Ends(), v.err
}

// ReadLog finds whole batches from an offset on, committed or not, up to what is written: what a coordinator is loaded
// from. At the end it is an empty read; the caller releases it. Cursor may be nil.
func (p *Partition) ReadLog(epoch kafkaproto.LeaderEpoch, from kafkaproto.Offset, maxBytes int, cursor *log.Cursor) (*log.Read, error) {
	if v := p.look(epoch); v.err != nil {
		return nil, v.err
	}
	read, err := p.readLog(log.ReadRequest{
		From: from, UpTo: p.log().Ends().Written, MaxBytes: maxBytes, MinOneBatch: true, Cursor: cursor,
	})
	if err != nil {
		return nil, p.readError(err)
	}
	return read, nil
}
