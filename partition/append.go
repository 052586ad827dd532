package partition

import (
	"errors"
	"time"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// AppendRequest asks for record batches to be appended.
type AppendRequest struct {
	// Records are whole batches of format v2. They are stamped in place, and belong to the partition until Release.
	Records []byte
	Acks    int16         // 0, 1 or -1
	Timeout time.Duration // of acks 1 and -1
	// CurrentLeaderEpoch is the epoch that the caller believes in, -1 for none.
	CurrentLeaderEpoch kafkaproto.LeaderEpoch

	// Client is set for what a producer sent, with the Version of its Produce request: from 3 on exactly one batch is
	// allowed, below 7 zstd is not, from 12 on the broker adds the partition to the transaction.
	Client          bool
	Version         int16
	TransactionalID string

	// Here says that the caller's goroutine has time to write the records to the log itself, if they are few. It is told before
	// anyone hears of them. nil: it has not.
	Here log.Publisher

	// Release is called once, when Records is no longer needed. May be nil.
	Release func()
	// Done is called once with the answer; for acks=0 only if there is an error. It may come before Append returns or
	// later from any goroutine, the storage engine's too, so it must not block. May be nil.
	Done func(AppendResult)
}

// AppendResult is the answer to an append.
type AppendResult struct {
	Err           error
	BaseOffset    kafkaproto.Offset    // of the first record; of the first attempt for a duplicate; -1 with an error
	LogAppendTime kafkaproto.Timestamp // -1 if the topic keeps the producer's timestamps
	LogStart      kafkaproto.Offset    // -1 with errors, but for those of the records and their producer
	RecordErrors  []kafkaproto.RecordError
	LeaderID      int32 // with an error, who leads as far as this node knows; else -1
	LeaderEpoch   kafkaproto.LeaderEpoch
}

var emptyResult = AppendResult{
	BaseOffset: kafkaproto.NoOffset, LogAppendTime: kafkaproto.NoTimestamp, LogStart: kafkaproto.NoOffset,
	LeaderID: -1, LeaderEpoch: kafkaproto.NoLeaderEpoch,
}

// Append validates the batches and appends them, and answers when its acks are kept: at once for acks=0, when the
// leader holds them for acks=1, when the high watermark has passed them for acks=all. A batch that is the duplicate of
// an earlier one is answered with the earlier one's offset, at the time at which that one is. If the time runs out
// first the answer is REQUEST_TIMED_OUT, and the records stay. Append may block while the engine is behind.
func (p *Partition) Append(r AppendRequest) {
	pd := newPending(p, &r)
	now := p.manager.now()
	if err := p.admit(r.Acks, r.CurrentLeaderEpoch); err != nil {
		if r.Client && errors.Is(err, kafkaproto.ErrNotEnoughReplicas) {
			p.log().Refused(r.Records)
		}
		pd.refuse(err)
		return
	}
	t := p.topic.Load()
	data, err := t.validate(&r, kafkaproto.Timestamp(now.UnixMilli()))
	if err != nil {
		pd.refuse(err)
		return
	}
	if len(data) > 0 && &data[0] != &r.Records[0] {
		pd.free() // compressed anew, into memory of its own
	}
	a := log.Append{
		Data: data, Now: kafkaproto.Timestamp(now.UnixMilli()), LogAppendTime: t.logAppendTime,
		Origin: log.OriginClient, Hold: r.Here != nil, Done: pd.logDone,
	}
	if !r.Client {
		a.Origin = log.OriginCoordinator
	}
	if batch := kafkaproto.Batch(data); r.Client && batch.IsTransactional() {
		p.appendVerified(pd, a, &r)
		return
	}
	p.submit(pd, a)
}

// admit is what can be refused before the batches are looked at.
func (p *Partition) admit(acks int16, asked kafkaproto.LeaderEpoch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if acks < replication.AcksAll || acks > replication.AcksLeader {
		return p.leader.Admit(acks)
	}
	if p.gone != nil {
		return p.gone
	}
	if err := replication.CheckEpoch(asked, p.holder.epoch); err != nil {
		return err
	}
	if p.insync != nil && !p.manager.holds() {
		return errLeaseOver
	}
	return p.leader.Admit(acks)
}

// errLeaseOver is told to those who write to a leader that the controller has not answered for a session's time: another
// replica may lead by now.
var errLeaseOver error = kafkaproto.ErrNotLeaderOrFollower.With("this broker has not been heard by the controller for the time of its session")

// holds says whether no other node can have been given this one's leaderships.
func (m *Manager) holds() bool { return m.lease == nil || m.now().Before(m.lease()) }

// submit appends and sees to the answer.
func (p *Partition) submit(pd *pending, a log.Append) {
	p.taken(pd, p.take(pd, a))
}

// taken sees to the answer of an append that take has tried. No lock is held.
func (p *Partition) taken(pd *pending, err error) {
	if held := pd.held; held != nil {
		pd.held = nil
		if pd.late {
			held.LeaveHeld(pd.here)
		} else {
			held.WriteHeld(pd.here)
		}
	}
	if err != nil {
		pd.refuse(err)
		return
	}
	if pd.duplicate {
		pd.free() // the log keeps nothing of it and will not call back
		pd.left.Add(-1)
	}
	p.await(pd)
}

// take gives the batches to the log, under the current leader epoch; taken must follow. After an error the log has not
// taken them.
func (p *Partition) take(pd *pending, a log.Append) error {
	p.role.RLock()
	defer p.role.RUnlock()
	p.mu.Lock()
	gone := p.gone
	a.Epoch, pd.failures = p.holder.epoch, p.failures
	pd.late = p.insync == nil && pd.acks != replication.AcksNone && p.leader.Durable()
	p.mu.Unlock()
	if gone != nil {
		return gone
	}
	l := p.log()
	done, err := l.Append(a)
	if err != nil {
		return p.appendError(err)
	}
	if a.Hold {
		pd.held = l
	}
	pd.next = done.Last + 1
	pd.result.BaseOffset, pd.result.LogAppendTime, pd.result.LogStart = done.First, done.LogAppendTime, done.LogStart
	pd.duplicate = done.Duplicate
	return nil
}

// appendError names an error of the log's: its sequence checks have Kafka's codes already.
func (p *Partition) appendError(err error) error {
	if kafkaproto.Code(err) != kafkaproto.ErrUnknownServerError.Num {
		return err
	}
	return storageError(err)
}
