package partition

import (
	"sort"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// The timestamps of ListOffsets that are not times (KIP-79, KIP-734, KIP-405, KIP-1005, KIP-1023).
const (
	LatestTimestamp                int64 = -1
	EarliestTimestamp              int64 = -2
	MaxTimestamp                   int64 = -3
	EarliestLocalTimestamp         int64 = -4
	LatestTieredTimestamp          int64 = -5
	EarliestPendingUploadTimestamp int64 = -6
)

// ListRequest asks for the offset that belongs to a time in milliseconds, or to one of the special timestamps.
type ListRequest struct {
	Timestamp          int64
	ReadCommitted      bool
	Replica            bool                   // a follower asks: latest is the log's end, whatever is committed
	CurrentLeaderEpoch kafkaproto.LeaderEpoch // -1: none
}

// ListResult is an offset with the timestamp of its record and the leader epoch it was written in. All are -1 where
// there is no such record; the timestamp also for the special ones other than MaxTimestamp.
type ListResult struct {
	Offset      kafkaproto.Offset
	Timestamp   kafkaproto.Timestamp
	LeaderEpoch kafkaproto.LeaderEpoch
}

var noListResult = ListResult{Offset: kafkaproto.NoOffset, Timestamp: kafkaproto.NoTimestamp, LeaderEpoch: kafkaproto.NoLeaderEpoch}

// ListOffset answers ListOffsets for one partition. A time finds the first record at or after it, and only what a
// consumer could fetch: below the high watermark, or the last stable offset. While an earlier leader may have shown a
// higher watermark than this one has reached, the answer is OFFSET_NOT_AVAILABLE (KIP-207).
func (p *Partition) ListOffset(r ListRequest) (ListResult, error) {
	v := p.look(r.CurrentLeaderEpoch)
	if v.err != nil {
		return noListResult, v.err
	}
	bound := v.high
	if r.ReadCommitted {
		bound = p.lastStable(bound)
	}
	switch r.Timestamp {
	case LatestTimestamp:
		if r.Replica {
			return ListResult{Offset: p.log().Ends().Written, Timestamp: kafkaproto.NoTimestamp, LeaderEpoch: v.holder.epoch}, nil
		}
		if !v.caughtUp {
			return noListResult, offsetNotAvailable
		}
		return ListResult{Offset: bound, Timestamp: kafkaproto.NoTimestamp, LeaderEpoch: v.holder.epoch}, nil
	case EarliestTimestamp, EarliestLocalTimestamp:
		start := p.log().Ends().Start
		return ListResult{Offset: start, Timestamp: kafkaproto.NoTimestamp, LeaderEpoch: p.epochAt(start)}, nil
	case LatestTieredTimestamp, EarliestPendingUploadTimestamp:
		return noListResult, nil // nothing is tiered
	case MaxTimestamp:
		at, ok, err := p.log().FindMaxTimestamp(bound)
		return p.found(v, at, ok, err)
	default:
		if r.Timestamp < 0 {
			return noListResult, kafkaproto.ErrInvalidRequest.With("timestamp %d has no meaning", r.Timestamp)
		}
		at, ok, err := p.log().FindTimestamp(kafkaproto.Timestamp(r.Timestamp), bound)
		return p.found(v, at, ok, err)
	}
}

// found answers a search. That there is nothing below the bound says nothing while the bound is behind what an earlier
// leader may have shown.
func (p *Partition) found(v view, at log.TimestampOffset, ok bool, err error) (ListResult, error) {
	switch {
	case err != nil:
		return noListResult, p.readError(err)
	case ok:
		return ListResult{Offset: at.Offset, Timestamp: at.Timestamp, LeaderEpoch: at.LeaderEpoch}, nil
	case !v.caughtUp:
		return noListResult, offsetNotAvailable
	default:
		return noListResult, nil
	}
}

var offsetNotAvailable error = kafkaproto.ErrOffsetNotAvailable

// epochAt is the leader epoch that an offset was, or would be, written in; -1 if the log doesn't know.
func (p *Partition) epochAt(o kafkaproto.Offset) kafkaproto.LeaderEpoch {
	latest, start := p.log().LatestEpoch()
	if latest < 0 || o >= start {
		return latest
	}
	first := sort.Search(int(latest), func(e int) bool {
		_, end := p.log().EndOfEpoch(kafkaproto.LeaderEpoch(e))
		return end > o
	})
	epoch, end := p.log().EndOfEpoch(kafkaproto.LeaderEpoch(first))
	if end <= o {
		return kafkaproto.NoLeaderEpoch
	}
	return epoch
}

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch at or below asked with its end, both -1 if the log knows no
// such epoch. The last epoch ends where the log does, whatever the high watermark. current is the epoch that the caller
// believes in, -1 for none.
func (p *Partition) EpochEnd(current, asked kafkaproto.LeaderEpoch) (replication.EpochEnd, error) {
	if v := p.look(current); v.err != nil {
		return noEpochEnd, v.err
	}
	return p.endOfEpoch(asked), nil
}

var noEpochEnd = replication.EpochEnd{Epoch: kafkaproto.NoLeaderEpoch, End: kafkaproto.NoOffset}

// endOfEpoch knows nothing of epochs that this log has not seen (KIP-320).
func (p *Partition) endOfEpoch(asked kafkaproto.LeaderEpoch) replication.EpochEnd {
	if latest, _ := p.log().LatestEpoch(); asked < 0 || asked > latest {
		return noEpochEnd
	}
	epoch, end := p.log().EndOfEpoch(asked)
	return replication.EpochEnd{Epoch: epoch, End: end}
}

// DeleteRecords moves the log start offset up to upTo, -1 for the high watermark, and returns the low watermark: the
// lowest log start offset. OFFSET_OUT_OF_RANGE beyond the high watermark, POLICY_VIOLATION for a topic that is only
// compacted. An offset that is deleted already changes nothing.
func (p *Partition) DeleteRecords(upTo kafkaproto.Offset) (kafkaproto.Offset, error) {
	v := p.look(kafkaproto.NoLeaderEpoch)
	if v.err != nil {
		return kafkaproto.NoOffset, v.err
	}
	if c := &p.topic.Load().config; c.CleanupCompact && !c.CleanupDelete {
		return kafkaproto.NoOffset, kafkaproto.ErrPolicyViolation.With("records of a compacted topic are not deleted by offset")
	}
	if upTo == kafkaproto.NoOffset {
		upTo = v.high
	}
	if upTo < 0 || upTo > v.high {
		return kafkaproto.NoOffset, kafkaproto.ErrOffsetOutOfRange.With("offset %d is beyond the high watermark %d", upTo, v.high)
	}
	p.role.RLock() // the log is not another one meanwhile
	defer p.role.RUnlock()
	if upTo > p.log().Ends().Start {
		if err := p.log().AdvanceStart(upTo); err != nil {
			return kafkaproto.NoOffset, p.readError(err)
		}
	}
	return p.log().Ends().Start, nil
}
