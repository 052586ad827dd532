package partition

import (
	"errors"
	"math"

	"github.com/streambus/streambus/internal/planted"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// ReadRequest asks for record batches.
type ReadRequest struct {
	Offset        kafkaproto.Offset
	MaxBytes      int
	MinOneBatch   bool // the first batch is returned even if it is larger than MaxBytes
	ReadCommitted bool
	// CurrentLeaderEpoch is the epoch that the reader believes in, LastFetchedEpoch that of the last record it has;
	// -1 for none.
	CurrentLeaderEpoch kafkaproto.LeaderEpoch
	LastFetchedEpoch   kafkaproto.LeaderEpoch
	// ReplicaID is the reading broker's id, negative for consumers. FlushedEnd is how far that replica is flushed, -1
	// if it doesn't say; it has written what lies below Offset.
	ReplicaID  int32
	FlushedEnd kafkaproto.Offset
	// BrokerEpoch is the registration of that broker; 0 or negative if it doesn't say.
	BrokerEpoch int64
	// Suspect says that what that replica has received at Offset had a wrong CRC.
	Suspect bool
	// Cursor remembers where the last read ended, for readers that come again; may be nil.
	Cursor *log.Cursor
}

// ReadResult is the answer. Unless Err is set, Read is not nil unless Diverging is set, may be empty, and must be
// released by the caller when its spans have been sent.
type ReadResult struct {
	Err           error
	Read          *log.Read
	HighWatermark kafkaproto.Offset // -1 with most errors (OFFSET_OUT_OF_RANGE too, as in Kafka), as are the next two
	LastStable    kafkaproto.Offset
	LogStart      kafkaproto.Offset
	Aborted       []log.AbortedTxn // of read committed only, sorted by first offset
	Diverging     *replication.EpochEnd
	LeaderID      int32 // what the metadata says, for readers that came to the wrong place
	LeaderEpoch   kafkaproto.LeaderEpoch
}

// Read finds the batches from an offset on: for consumers up to the high watermark, with ReadCommitted up to the last
// stable offset, for followers up to what is written. An offset at or past that bound but within the log gives an empty
// answer; one outside the log OFFSET_OUT_OF_RANGE. FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER,
// UNKNOWN_TOPIC_OR_PARTITION and KAFKA_STORAGE_ERROR as in Kafka.
func (p *Partition) Read(r ReadRequest) ReadResult {
	v := p.look(r.CurrentLeaderEpoch)
	res := ReadResult{
		HighWatermark: kafkaproto.NoOffset, LastStable: kafkaproto.NoOffset, LogStart: kafkaproto.NoOffset,
		LeaderID: v.holder.id, LeaderEpoch: v.holder.epoch,
	}
	if res.Err = v.err; res.Err != nil {
		return res
	}
	follower := r.ReplicaID >= 0
	if follower {
		if res.Err = p.checkFollower(&r); res.Err != nil {
			return res
		}
		if r.Suspect {
			p.manager.suspects.add(p, r.Offset)
		}
	}
	ends := p.log().Ends()
	if res.Diverging, res.Err = p.position(&r, ends); res.Err != nil {
		return res
	}
	res.HighWatermark, res.LogStart = v.high, ends.Start
	res.LastStable = p.lastStable(v.high)
	if res.Diverging != nil {
		return res
	}
	bound := v.high
	switch {
	case follower:
		bound = ends.Written
		if p.followerAt(&r, v.holder.epoch, &res); res.Err != nil {
			return res
		}
		return p.readForFollower(&r, bound, res)
	case r.ReadCommitted:
		bound = res.LastStable
	}
	p.readUpTo(&r, bound, &res)
	return res
}

// readForFollower reads for a replica, if the throttle lets it.
func (p *Partition) readForFollower(r *ReadRequest, bound kafkaproto.Offset, res ReadResult) ReadResult {
	held, counts := p.heldBack(r)
	if held {
		bound = r.Offset
	}
	p.readUpTo(r, bound, &res)
	if counts && res.Read != nil {
		p.manager.outgoing.took(res.Read.Bytes, p.manager.now())
	}
	return res
}

// readUpTo reads what lies between the request's offset and bound.
func (p *Partition) readUpTo(r *ReadRequest, bound kafkaproto.Offset, res *ReadResult) {
	if r.Offset >= bound { // nothing yet
		res.Read = &log.Read{Next: r.Offset}
		return
	}
	read, err := p.readLog(log.ReadRequest{From: r.Offset, UpTo: bound, MaxBytes: r.MaxBytes, MinOneBatch: r.MinOneBatch, Cursor: r.Cursor})
	if err != nil {
		if errors.Is(err, log.ErrCorrupt) {
			p.manager.suspects.add(p, r.Offset)
		}
		res.Err = p.readError(err)
		return
	}
	res.Read = read
	if r.ReadCommitted && r.ReplicaID < 0 && read.Bytes > 0 {
		if res.Aborted, err = p.log().Aborted(r.Offset, read.Next); err != nil {
			read.Release() // without the list the reader would take aborted records for committed ones
			res.Read, res.Err = nil, p.readError(err)
		}
	}
}

// readLog reads from the log, and where it has moved to another directory meanwhile from that.
func (p *Partition) readLog(r log.ReadRequest) (*log.Read, error) {
	for {
		l := p.log()
		read, err := l.Read(r)
		if err == nil || p.log() == l {
			return read, err
		}
	}
}

// Available is how many bytes a consumer could read from offset on now, for fetch's minimum of bytes.
func (p *Partition) Available(offset kafkaproto.Offset, committed bool) int {
	v := p.look(kafkaproto.NoLeaderEpoch)
	bound := v.high
	if v.err != nil || offset >= bound {
		return 0
	}
	if committed {
		if bound = p.lastStable(bound); offset >= bound {
			return 0
		}
	}
	read, err := p.readLog(log.ReadRequest{From: offset, UpTo: bound, MaxBytes: math.MaxInt32, MinOneBatch: true})
	if err != nil {
		return 0
	}
	defer read.Release()
	return read.Bytes
}

// lastStable is the last stable offset that belongs to a high watermark.
func (p *Partition) lastStable(high kafkaproto.Offset) kafkaproto.Offset {
	return min(p.log().LastStable(high), high)
}

// position checks where the reader wants to go on. A replica that has more than this log is told where the two part, not
// that it is out of range: it is to cut that off, not to begin anew.
func (p *Partition) position(r *ReadRequest, ends log.Ends) (*replication.EpochEnd, error) {
	if r.Offset < ends.Start {
		return nil, outOfRange(r.Offset, ends)
	}
	if parts, err := p.diverging(r); parts != nil || err != nil {
		return parts, err
	}
	if r.Offset > ends.Next {
		return nil, outOfRange(r.Offset, ends)
	}
	return nil, nil
}

// diverging compares the reader's last epoch with the log's (KIP-595).
func (p *Partition) diverging(r *ReadRequest) (*replication.EpochEnd, error) {
	if r.LastFetchedEpoch < 0 || planted.Is(planted.NoDivergence) {
		return nil, nil
	}
	mine := p.endOfEpoch(r.LastFetchedEpoch)
	if !mine.Known() {
		return nil, kafkaproto.ErrOffsetOutOfRange.With("no end is known of leader epoch %d, which was fetched last", r.LastFetchedEpoch)
	}
	if replication.Diverges(r.LastFetchedEpoch, r.Offset, mine) {
		told := mine
		return &told, nil
	}
	return nil, nil
}

// checkFollower refuses readers that call themselves a replica and are none. With an epoch that matches ours the
// metadata here may only be late, so they are told to ask again (as Kafka does).
func (p *Partition) checkFollower(r *ReadRequest) error {
	p.mu.Lock()
	follows := p.leader.Follows(r.ReplicaID)
	p.mu.Unlock()
	switch {
	case follows:
		return nil
	case r.CurrentLeaderEpoch >= 0:
		return kafkaproto.ErrUnknownLeaderEpoch.With("broker %d is no replica in this epoch", r.ReplicaID)
	default:
		return kafkaproto.ErrNotLeaderOrFollower.With("broker %d is no replica", r.ReplicaID)
	}
}

// readError names an error of the log's.
func (p *Partition) readError(err error) error {
	if errors.Is(err, kafkaproto.ErrOffsetOutOfRange) {
		return err
	}
	v := p.look(kafkaproto.NoLeaderEpoch)
	if v.err != nil {
		return v.err // deleted, or failed, while we read
	}
	return storageError(err)
}

func outOfRange(o kafkaproto.Offset, ends log.Ends) error {
	return kafkaproto.ErrOffsetOutOfRange.With("offset %d is outside the log, which holds %d to %d", o, ends.Start, ends.Next)
}
