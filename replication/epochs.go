package replication

import "github.com/streambus/streambus/kafkaproto"

// EpochEnd is where a leader epoch ends in a log: the start of the next one, or the log's end for the last. Both are
// -1 where the log doesn't know (KIP-101).
type EpochEnd struct {
	Epoch kafkaproto.LeaderEpoch
	End   kafkaproto.Offset
}

// Known says whether the log knew an answer.
func (e EpochEnd) Known() bool {
	return e.Epoch != kafkaproto.NoLeaderEpoch && e.End != kafkaproto.NoOffset
}

// CheckEpoch compares the leader epoch that a request names (-1: none) with the current one (KIP-320).
func CheckEpoch(asked, current kafkaproto.LeaderEpoch) error {
	switch {
	case asked == kafkaproto.NoLeaderEpoch || asked == current:
		return nil
	case asked < current:
		return kafkaproto.ErrFencedLeaderEpoch
	default:
		return kafkaproto.ErrUnknownLeaderEpoch
	}
}

// Diverges says whether a log that a reader has read up to offset, with last as the epoch of the record before it, is
// not the leader's: mine is the largest epoch at or below last that the leader has, with its end (KIP-595). Then mine
// is what the reader must be told.
func Diverges(last kafkaproto.LeaderEpoch, offset kafkaproto.Offset, mine EpochEnd) bool {
	return mine.Epoch < last || mine.End < offset
}

// Truncation says where a follower that was told to diverge cuts its log. leader is what the leader answered, mine the
// follower's own largest epoch at or below leader.Epoch with its end, end the follower's log end and high its high
// watermark. It is done when the follower holds the leader's epoch itself; else it fetches again from to, and is told
// the next older epoch, until they meet (KIP-101, KIP-279).
func Truncation(leader, mine EpochEnd, end, high kafkaproto.Offset) (to kafkaproto.Offset, done bool) {
	switch {
	case !leader.Known():
		return min(high, end), true
	case !mine.Known():
		return min(leader.End, end), true
	case mine.Epoch == leader.Epoch:
		return min(mine.End, leader.End, end), true
	default:
		return min(mine.End, end), false
	}
}
