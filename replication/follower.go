package replication

import (
	"errors"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// LocalLog is what a follower's own log looks like.
type LocalLog struct {
	Ends
	Start kafkaproto.Offset
	// LastEpoch is the leader epoch of the last record, -1 if there is none. An epoch that began at the log's end has no
	// record, and is not it.
	LastEpoch kafkaproto.LeaderEpoch
}

// Fetch is what a follower asks its leader for.
type Fetch struct {
	Leader       int32
	CurrentEpoch kafkaproto.LeaderEpoch // that the follower believes in (KIP-320)
	Offset       kafkaproto.Offset      // its written end
	LastEpoch    kafkaproto.LeaderEpoch // of its last record (KIP-595)
	FlushedEnd   kafkaproto.Offset
	LogStart     kafkaproto.Offset
}

// FetchAnswer is the leader's answer for the partition, without the records.
type FetchAnswer struct {
	Err error
	// Diverging is set if the logs part: the largest epoch at or below the follower's last that the leader has, with its
	// end. Mine is then the follower's own largest epoch at or below Diverging.Epoch with its end.
	Diverging *EpochEnd
	Mine      EpochEnd
	Records   bool // there are some
	// HighWatermark and LogStart are the leader's.
	HighWatermark kafkaproto.Offset
	LogStart      kafkaproto.Offset
}

// Do says what a follower's driver has to do with an answer.
type Do uint8

const (
	// DoNothing: the answer is late, or it told nothing to act upon. Ask Next what to fetch.
	DoNothing Do = iota
	// DoAppend: append the records, then call Appended.
	DoAppend
	// DoTruncate: cut the log at Action.To, together with the epochs that begin there or behind, then call Truncated.
	DoTruncate
	// DoReset: drop everything, begin an empty log at Action.To, then call Truncated.
	DoReset
	// DoAskOffsets: ask the leader for its log start and end (ListOffsets), then call LeaderOffsets.
	DoAskOffsets
	// DoStop: the leader is of a later epoch. Nothing is fetched until the metadata says more.
	DoStop
)

// Action is a decision for the driver.
type Action struct {
	Do Do
	To kafkaproto.Offset // of DoTruncate and DoReset
}

// Backoff is how long a follower pauses after errors: Min, doubled with each one in a row, up to Max.
type Backoff struct{ Min, Max time.Duration }

// Follower is what a follower knows of one partition in one leader epoch. The zero value follows nobody. One thing at a
// time: while an action is carried out, Next has nothing to fetch. It is not safe for concurrent use.
type Follower struct {
	leader   int32
	epoch    kafkaproto.LeaderEpoch
	log      LocalLog
	high     kafkaproto.Offset
	told     kafkaproto.Offset // the leader's high watermark as of the answer whose records are being appended
	start    kafkaproto.Offset // the leader's log start, likewise
	doing    Do
	backoff  Backoff
	failures int
	retryAt  time.Time
}

// Follow begins to follow a leader in an epoch. high is the last high watermark that the replica knows, or -1.
func Follow(leader int32, epoch kafkaproto.LeaderEpoch, log LocalLog, high kafkaproto.Offset, b Backoff) Follower {
	return Follower{
		leader: leader, epoch: epoch, log: log, backoff: b,
		high: max(min(high, log.Written), log.Start),
		told: kafkaproto.NoOffset, start: kafkaproto.NoOffset,
	}
}

// Epoch is the leader epoch that is followed.
func (f *Follower) Epoch() kafkaproto.LeaderEpoch { return f.epoch }

// HighWatermark is the lower one of the leader's and the own end. It falls only when the log is cut below it, which an
// unclean election alone brings about.
func (f *Follower) HighWatermark() kafkaproto.Offset { return f.high }

// Behind says whether the log lacks what is committed, as far as is known: it is no member of the ISR that keeps up.
func (f *Follower) Behind() bool { return f.told > f.log.Written }

// LogStart is where the log should begin: the leader's log start as far as the high watermark has reached it. The driver
// moves the own log start there.
func (f *Follower) LogStart() kafkaproto.Offset { return max(f.log.Start, min(f.start, f.high)) }

// RetryAt is until when Next has nothing because of an error; in the past if there was none.
func (f *Follower) RetryAt() time.Time { return f.retryAt }

// Next is what to fetch now, and false while an action is being carried out, after an error, and once fenced.
func (f *Follower) Next(now time.Time) (Fetch, bool) {
	if f.doing != DoNothing || now.Before(f.retryAt) || f.epoch == kafkaproto.NoLeaderEpoch {
		return Fetch{}, false
	}
	return f.fetch(), true
}

func (f *Follower) fetch() Fetch {
	return Fetch{
		Leader: f.leader, CurrentEpoch: f.epoch, Offset: f.log.Written, LastEpoch: f.log.LastEpoch,
		FlushedEnd: f.log.Flushed, LogStart: f.log.Start,
	}
}

// Flushed takes a new flushed end, and says whether the leader should hear of it: nothing else will tell it if no new
// bytes come.
func (f *Follower) Flushed(end kafkaproto.Offset) bool {
	end = min(end, f.log.Written)
	if end <= f.log.Flushed {
		return false
	}
	f.log.Flushed = end
	return true
}

// Answered takes the answer to a fetch. One that was asked in another epoch or from another place says nothing about the
// log as it is now.
func (f *Follower) Answered(now time.Time, asked Fetch, a FetchAnswer) Action {
	if f.doing != DoNothing || asked.Leader != f.leader || asked.CurrentEpoch != f.epoch ||
		asked.Offset != f.log.Written || asked.LastEpoch != f.log.LastEpoch {
		return Action{}
	}
	if a.Err != nil {
		return f.refused(now, a.Err)
	}
	f.failures, f.retryAt = 0, time.Time{}
	if a.Diverging != nil {
		return f.diverged(*a.Diverging, a.Mine)
	}
	f.told, f.start = a.HighWatermark, max(f.start, a.LogStart)
	if a.Records {
		return f.begin(Action{Do: DoAppend})
	}
	f.raise()
	return Action{}
}

// refused decides on an error.
func (f *Follower) refused(now time.Time, err error) Action {
	switch {
	case errors.Is(err, kafkaproto.ErrFencedLeaderEpoch):
		return f.begin(Action{Do: DoStop})
	case errors.Is(err, kafkaproto.ErrOffsetOutOfRange):
		return f.begin(Action{Do: DoAskOffsets})
	default: // it doesn't lead yet or any more, its disk fails, the batch was corrupt, nothing came at all
		f.Failed(now)
		return Action{}
	}
}

// Failed notes that the fetch, or what was to be done, has failed. Next has nothing until RetryAt; then the fetch is
// made anew, from where the log then is (Restored).
func (f *Follower) Failed(now time.Time) {
	pause := f.backoff.Min << min(f.failures, 16)
	if pause <= 0 || pause > f.backoff.Max {
		pause = f.backoff.Max
	}
	f.failures++
	f.retryAt = now.Add(pause)
	if f.doing != DoStop {
		f.doing = DoNothing
	}
}

// diverged cuts the log where it parts from the leader's. What is cut may turn out not to be all of it: the next fetch
// says so, with an older epoch, until the logs meet.
func (f *Follower) diverged(leader, mine EpochEnd) Action {
	to, _ := Truncation(leader, mine, f.log.Written, f.high)
	if leader.Known() && !mine.Known() && leader.Epoch < f.log.LastEpoch {
		to = f.log.Start // all there is was written in epochs that the leader has not
	}
	if to < f.log.Start {
		return f.begin(Action{Do: DoReset, To: to})
	}
	return f.begin(Action{Do: DoTruncate, To: to})
}

// LeaderOffsets takes the leader's log start and end, for a follower whose fetch was out of range. A leader that ends
// before it has lost what the follower has (an unclean election); one that starts behind it has deleted what the follower
// lacks.
func (f *Follower) LeaderOffsets(now time.Time, epoch kafkaproto.LeaderEpoch, start, end kafkaproto.Offset) Action {
	if f.doing != DoAskOffsets || epoch != f.epoch {
		return Action{}
	}
	f.doing = DoNothing
	switch {
	case start > f.log.Written:
		f.start = max(f.start, start)
		return f.begin(Action{Do: DoReset, To: start})
	case end < f.log.Start:
		return f.begin(Action{Do: DoReset, To: end})
	case end < f.log.Written:
		return f.begin(Action{Do: DoTruncate, To: end})
	default: // it was out of range a moment ago and is not any more
		f.Failed(now)
		return Action{}
	}
}

func (f *Follower) begin(a Action) Action {
	f.doing = a.Do
	return a
}

// Appended takes the log as it is after DoAppend. The high watermark that came with the records holds now.
func (f *Follower) Appended(log LocalLog) {
	if f.doing == DoAppend {
		f.doing, f.log = DoNothing, log
		f.raise()
	}
}

// Truncated takes the log as it is after DoTruncate or DoReset. Its last epoch must be that of the record that is last now:
// a wrong one would let the next fetch go on where the logs still differ.
func (f *Follower) Truncated(log LocalLog) {
	if f.doing != DoTruncate && f.doing != DoReset {
		return
	}
	f.doing = DoNothing
	f.Restored(log)
}

// Restored takes a log that has changed by itself: a part that could not be read was cut off, its start was moved.
func (f *Follower) Restored(log LocalLog) {
	log.Flushed = max(log.Flushed, log.Start) // there is nothing below to flush
	f.log = log
	f.high = max(min(f.high, log.Written), log.Start)
}

// raise moves the high watermark to the leader's as far as the log reaches.
func (f *Follower) raise() { f.high = max(f.high, min(f.told, f.log.Written)) }
