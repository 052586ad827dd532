package partition

import (
	"errors"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/planted"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// following is this node's part in one leader epoch of a partition that another node leads. It ends with the epoch: the next
// one has a following of its own, so that what is still under way for the old one finds that it is not p.follows any more.
type following struct {
	p      *Partition
	holder leaderHint
	lane   *lane

	// Partition.mu guards f, because others ask for its high watermark. Only the lane acts upon it.
	f     replication.Follower
	begun bool // f holds: the log is at rest, nothing of a former leadership is on its way into it

	queued bool // in lane.todo; lane.mu guards it

	// Of whoever has the lane's round:
	sent      replication.Fetch // what the leader was last asked
	sentIn    int64             // by which request
	inSession bool              // the leader's session has it
	suspect   kafkaproto.Offset // where what came from the leader was damaged, until it is told; else -1
	dirty     bool              // in round.dirty
	heldUntil time.Time         // by the throttle
}

// follow makes this node a follower of the leader that the metadata names. Without peers, or without a leader, the partition
// only stops to serve.
func (p *Partition) follow(holder leaderHint) {
	m := p.manager
	if m.peers == nil || holder.id == controller.NoLeader {
		p.retire(notLeader, holder)
		return
	}
	p.mu.Lock()
	same := p.follows != nil && p.follows.holder == holder
	p.mu.Unlock()
	if same {
		return
	}
	f := &following{p: p, holder: holder, suspect: kafkaproto.NoOffset}
	p.become(notLeader, holder, f)
	m.fetchers.add(f)
}

// stop takes the partition out of its lane. No lock but role may be held; f may be nil.
func (f *following) stop() {
	if f != nil {
		f.p.manager.fetchers.remove(f)
	}
}

// moved is told of the log's ends. p.mu is held.
func (f *following) moved(ends log.Ends) {
	if f.lane == nil {
		return // it is being added, and will be looked at
	}
	signalOne(f.lane.moved)
	if !f.begun || f.f.Flushed(ends.Flushed) && f.p.topic.Load().rules.Durable {
		f.lane.push(f)
	}
}

// begin takes the log as it is, once it is at rest. What is damaged is cut off first, and comes anew from the leader: not before
// the replica has left the ISR (RegisterBroker.Clean, ReplicasDamaged), for whoever is in it must have all that was committed.
func (f *following) begin() bool {
	p := f.p
	ends := p.log().Ends()
	if ends.Next != ends.Written {
		return false // logMoved will say more
	}
	if hole, ok := p.log().FirstHole(); ok {
		if p.manager.inISR(p.id) {
			p.manager.suspects.add(p, hole) // which ends this epoch
			return false
		}
		if err := f.change(func() error { return p.truncate(hole) }); err != nil {
			return false // the directory has failed, or the epoch is over
		}
	}
	local := p.localLog()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.follows != f {
		return false
	}
	most := p.manager.replica.backoff
	f.f = replication.Follow(f.holder.id, f.holder.epoch, local, p.remembered, replication.Backoff{Min: min(leastBackoff, most), Max: most})
	f.begun = true
	return true
}

// leastBackoff is the first pause after an error of a partition: a leader often has not heard yet that it is one.
const leastBackoff = 20 * time.Millisecond

// localLog is what a follower has to know of its log, which nobody else changes while it asks.
func (p *Partition) localLog() replication.LocalLog {
	ends := p.log().Ends()
	if planted.Is(planted.FollowerTellsEarly) {
		ends.Written, ends.Flushed = ends.Next, ends.Next
	}
	return replication.LocalLog{
		Ends:  replication.Ends{Written: ends.Written, Flushed: min(ends.Flushed, ends.Written)},
		Start: ends.Start, LastEpoch: p.log().LastRecordEpoch(),
	}
}

// still says whether f holds. With role read-locked it stays so.
func (f *following) still() bool {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	return f.p.follows == f
}

// update changes f.f under the lock, unless it is over, and passes the high watermark on.
func (f *following) update(change func(*replication.Follower)) {
	p := f.p
	p.mu.Lock()
	if p.follows != f {
		p.mu.Unlock()
		return
	}
	before := f.f.HighWatermark()
	change(&f.f)
	high := f.f.HighWatermark()
	p.mu.Unlock()
	if high != before {
		p.log().NoteHighWatermark(high)
	}
}

// failed notes that something went wrong, and where the log is now.
func (f *following) failed(now time.Time) {
	local := f.p.localLog()
	f.update(func(r *replication.Follower) {
		r.Failed(now)
		r.Restored(local)
	})
}

// append gives the records to the log. written is called once if it returns nil. Where they wait to be written by the caller
// (Log.WriteHeld), it is told.
func (f *following) append(records []byte, hold bool, written func(error)) (held *log.Log, err error) {
	p := f.p
	p.role.RLock()
	defer p.role.RUnlock()
	if !f.still() {
		return nil, errOver
	}
	l := p.log()
	_, err = l.Append(log.Append{Data: records, Follower: true, Origin: log.OriginReplication, Hold: hold, Done: written})
	if hold && err == nil {
		held = l
	}
	return held, err
}

var errOver = errors.New("the leader epoch is over")

// advanceStart moves the log's start to the leader's, as far as the high watermark allows it.
func (f *following) advanceStart() {
	p := f.p
	var to kafkaproto.Offset
	p.mu.Lock()
	if p.follows == f {
		to = f.f.LogStart()
	}
	p.mu.Unlock()
	if to <= p.log().Ends().Start {
		return
	}
	if err := f.change(func() error { return p.log().AdvanceStart(to) }); err != nil {
		return // it is tried again with the next answer
	}
	local := p.localLog()
	f.update(func(r *replication.Follower) { r.Restored(local) })
}

// change changes the log while no other epoch can begin.
func (f *following) change(do func() error) error {
	f.p.role.RLock()
	defer f.p.role.RUnlock()
	if !f.still() {
		return errOver
	}
	return do()
}

// cut carries out DoTruncate and DoReset.
func (f *following) cut(now time.Time, a replication.Action) {
	p := f.p
	if a.Do == replication.DoReset && a.To < p.log().Ends().Start {
		p.manager.beginAnew(f, a.To)
		return
	}
	err := f.change(func() error {
		if a.Do == replication.DoTruncate {
			return p.truncate(a.To)
		}
		if err := p.truncate(p.log().Ends().Start); err != nil {
			return err
		}
		return p.log().AdvanceStart(a.To)
	})
	if err != nil {
		f.failed(now)
		return
	}
	local := p.localLog()
	f.update(func(r *replication.Follower) { r.Truncated(local) })
}

// beginAnew replaces a log by an empty one that starts further down, which no log can do by itself. The partition is
// another one from then on.
func (m *Manager) beginAnew(f *following, at kafkaproto.Offset) {
	m.applying.Lock()
	defer m.applying.Unlock()
	h := m.topics[f.p.id.Topic]
	n := f.p.id.Partition
	if m.closed || h == nil || int(n) >= len(h.partitions) || h.partitions[n] != f.p || !f.still() {
		return
	}
	f.p.retire(notLeader, f.holder)
	f.p.log().SetListener(nil)
	ids := []kafkaproto.TopicPartition{f.p.id}
	if err := m.endMove(f.p); err != nil && m.events.Offline != nil {
		m.events.Offline(ids, err)
	}
	d := f.p.Dir()
	err := d.Engine.DeleteLogs(ids...)
	anew := &hosted{settings: h.settings, partitions: append([]*Partition(nil), h.partitions...)}
	anew.partitions[n] = nil
	s := newStep(m, m.image, controller.Changes{})
	s.changed[f.p.id.Topic], s.anew[f.p.id] = anew, true
	if err == nil {
		s.want(missing{f.p.id, anew})
		s.open()
		if p := anew.partitions[n]; p != nil && at > 0 {
			err = p.log().AdvanceStart(at)
		}
	}
	if err != nil {
		s.offline(ids, err)
		m.later(f.p.id, d)
	}
	if t, ok := m.image.TopicByID(f.p.id.Topic); ok {
		s.topics = append(s.topics, t)
	}
	s.publish()
	s.follow()
}
