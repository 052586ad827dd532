package partition

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// pending is an append on its way: two things end it, in either order. The log lets go of its bytes (written), and its
// acks are kept or can't be (answer). It is used again after both.
type pending struct {
	p        *Partition
	acks     int16
	next     kafkaproto.Offset // the offset after the append's last record
	deadline time.Duration     // as Manager.elapsed counts
	release  func()
	done     func(AppendResult)
	result   AppendResult
	logDone  func(error) // p.written, bound once

	held      *log.Log // where its bytes wait to be written by who has appended them
	late      bool     // they need not be until the log is flushed: nobody asks for them before
	here      log.Publisher
	duplicate bool   // of an append that the log has; it takes no bytes and does not call back
	failures  uint32 // p.failures when it was given to the log

	left atomic.Int32 // ends that are still to come

	// p.mu guards the rest.
	prev, succ *pending
	failed     error // the log could not write it
}

var pendings sync.Pool

func newPending(p *Partition, r *AppendRequest) *pending {
	pd, ok := pendings.Get().(*pending)
	if !ok {
		pd = new(pending)
		pd.logDone = pd.written
	}
	pd.p, pd.acks, pd.release, pd.done, pd.here = p, r.Acks, r.Release, r.Done, r.Here
	pd.deadline = p.manager.elapsed() + max(r.Timeout, 0)
	pd.result = emptyResult
	pd.left.Store(2)
	return pd
}

// end is called for each of the two ends.
func (pd *pending) end() {
	if pd.left.Add(-1) > 0 {
		return
	}
	*pd = pending{logDone: pd.logDone}
	pendings.Put(pd)
}

// free lets go of the caller's bytes.
func (pd *pending) free() {
	if pd.release != nil {
		pd.release()
		pd.release = nil
	}
}

// written is the log's word that it needs the bytes no longer: they are written, or never will be.
func (pd *pending) written(err error) {
	pd.free()
	if err != nil {
		pd.p.notWritten(pd, storageError(err))
	}
	pd.end()
}

// notWritten fails an append that the log could not write, and the retries of such appends that wait for the same
// offsets: those will be given to other records. The log takes no new ones before it has told of all that failed.
func (p *Partition) notWritten(pd *pending, err error) {
	written := p.log().Ends().Written
	var failed ackChain
	p.mu.Lock()
	p.failures++
	pd.failed = err
	for i := range p.acks {
		for w := p.acks[i].last; w != nil && w.next > written; {
			prev := w.prev
			if w == pd || w.duplicate {
				p.acks[i].remove(w)
				w.result.Err = err
				failed.add(w)
			}
			w = prev
		}
	}
	p.mu.Unlock()
	failed.finish()
}

// refuse ends an append that the log has not taken.
func (pd *pending) refuse(err error) {
	pd.free()
	pd.p.mu.Lock()
	holder := pd.p.holder
	pd.p.mu.Unlock()
	pd.result = emptyResult
	pd.result.Err, pd.result.RecordErrors = err, recordErrors(err)
	pd.result.LeaderID, pd.result.LeaderEpoch = holder.id, holder.epoch
	if tellsLogStart(err) {
		pd.result.LogStart = pd.p.log().Ends().Start
	}
	pd.left.Add(-1)
	pd.answer()
}

// tellsLogStart picks the errors with which Kafka's answer has the log start offset: those of the records and their
// producer. A producer may conclude from it that what it wrote before has been deleted.
func tellsLogStart(err error) bool {
	switch kafkaproto.Code(err) {
	case kafkaproto.ErrInvalidRecord.Num, kafkaproto.ErrInvalidTimestamp.Num,
		kafkaproto.ErrOutOfOrderSequenceNumber.Num, kafkaproto.ErrInvalidProducerEpoch.Num:
		return true
	}
	return false
}

// answer tells the caller. acks=0 hears of errors only.
func (pd *pending) answer() {
	if pd.done != nil && (pd.acks != replication.AcksNone || pd.result.Err != nil) {
		pd.done(pd.result)
	}
	pd.end()
}

// await answers the append, now or when its acks are kept.
func (p *Partition) await(pd *pending) {
	p.mu.Lock()
	if !p.settle(pd) {
		p.queueFor(pd.acks).insert(pd)
		p.watch(pd.deadline)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	pd.answer()
}

// settle decides whether an append can be answered now, and how.
func (p *Partition) settle(pd *pending) bool {
	switch {
	case pd.failed != nil:
		pd.result.Err = pd.failed
	case pd.duplicate && pd.failures != p.failures:
		pd.result.Err = kafkaproto.ErrKafkaStorageError.With("what this is a retry of may not have been written")
	case pd.acks == replication.AcksNone:
	case p.gone != nil:
		pd.result.Err, pd.result.LeaderID, pd.result.LeaderEpoch = p.gone, p.holder.id, p.holder.epoch
	case pd.next <= p.leader.Target(pd.acks):
		pd.result.Err = p.leader.Outcome(pd.acks)
	default:
		return false
	}
	return true
}

func (p *Partition) queueFor(acks int16) *ackQueue {
	if acks == replication.AcksAll {
		return &p.acks[1]
	}
	return &p.acks[0]
}

// takeAnswered takes the appends out of the queues that can be answered. p.mu is held.
func (p *Partition) takeAnswered() ackChain {
	var chain ackChain
	for i := range p.acks {
		q := &p.acks[i]
		for pd := q.first; pd != nil && p.settle(pd); pd = q.first {
			q.remove(pd)
			chain.add(pd)
		}
	}
	return chain
}

// expire takes out the appends whose time is up. Their records stay in the log and may still be committed. It gives
// the next deadline, 0 if none waits. p.mu is held.
func (p *Partition) expire(now time.Duration) (chain ackChain, next time.Duration) {
	for i := range p.acks {
		for pd := p.acks[i].first; pd != nil; {
			succ := pd.succ
			if pd.deadline <= now {
				p.acks[i].remove(pd)
				pd.result.Err = kafkaproto.ErrRequestTimedOut
				chain.add(pd)
			} else if next == 0 || pd.deadline < next {
				next = pd.deadline
			}
			pd = succ
		}
	}
	return chain, next
}

// ackQueue holds the appends that wait for one kind of acks, by their next offset.
type ackQueue struct {
	first, last *pending
}

// insert keeps the order. An append nearly always belongs to the end; only a duplicate of an earlier one does not.
func (q *ackQueue) insert(pd *pending) {
	at := q.last
	for at != nil && at.next > pd.next {
		at = at.prev
	}
	pd.prev = at
	if at == nil {
		pd.succ, q.first = q.first, pd
	} else {
		pd.succ, at.succ = at.succ, pd
	}
	if pd.succ == nil {
		q.last = pd
	} else {
		pd.succ.prev = pd
	}
}

func (q *ackQueue) remove(pd *pending) {
	if pd.prev == nil {
		q.first = pd.succ
	} else {
		pd.prev.succ = pd.succ
	}
	if pd.succ == nil {
		q.last = pd.prev
	} else {
		pd.succ.prev = pd.prev
	}
	pd.prev, pd.succ = nil, nil
}

// ackChain holds appends that were taken out of a queue, until the lock is gone and they can be answered.
type ackChain struct {
	first, last *pending
}

func (c *ackChain) add(pd *pending) {
	if c.last == nil {
		c.first = pd
	} else {
		c.last.succ = pd
	}
	c.last = pd
}

func (c ackChain) finish() {
	for pd := c.first; pd != nil; {
		succ := pd.succ
		pd.succ = nil
		pd.answer()
		pd = succ
	}
}
