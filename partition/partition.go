package partition

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/replication"
)

// Partition is a replica of a partition on this node.
//
// Locks, in this order; none is held while the caller's functions are called:
//
//	txnMu  one after another: the check of a transaction and the append that relies on it
//	role   read by an append until the log has taken it, written by whoever changes the leader epoch, so that no
//	       append lands under an epoch that is over. An append may wait in it for the engine (back-pressure), so
//	       nothing that the engine waits for may take it.
//	mu     everything else, for moments only. The engine's writer and syncer take it through logMoved, so the engine is
//	       never called with it held.
type Partition struct {
	id      kafkaproto.TopicPartition
	manager *Manager
	at      atomic.Pointer[stored]
	topic   atomic.Pointer[topic]

	txnMu sync.Mutex
	txns  map[kafkaproto.ProducerID]*unverified // nil until a transaction needs verification

	role sync.RWMutex

	mu      sync.Mutex
	gone    error // why nothing is served here, nil while the partition is this node's to lead
	holder  leaderHint
	leader  replication.Leader
	leading bool       // in the leader's epoch, though the directory may have failed
	insync  *inSync    // nil where there are no other replicas
	follows *following // nil unless another node is followed
	move    *move      // nil unless the partition is on its way to another directory
	// remembered is the last high watermark that was known, while this node neither leads nor follows.
	remembered kafkaproto.Offset
	written    kafkaproto.Offset // end of the log as last seen
	start      kafkaproto.Offset // log start offset as last seen
	acks       [2]ackQueue       // waiting appends: acks=1, acks=all
	waiters    []*Waiter
	replicas   int           // of the waiters, how many are replicas'
	failures   uint32        // appends that the log has taken and then could not write
	watched    time.Duration // when the manager looks for appends that have waited too long; 0: it does not
}

// leaderHint is what the metadata says about who leads.
type leaderHint struct {
	id    int32
	epoch kafkaproto.LeaderEpoch
}

// ID names the partition.
func (p *Partition) ID() kafkaproto.TopicPartition { return p.id }

// TopicName is the name of the partition's topic.
func (p *Partition) TopicName() string { return p.topic.Load().name }

// Leads says whether this node leads the partition, as far as it knows.
func (p *Partition) Leads() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone == nil
}

// notLeader is why a partition does not serve that this node has a replica of but does not lead.
var notLeader error = kafkaproto.ErrNotLeaderOrFollower

// lead makes this node the leader for an assignment. A new epoch begins at the end of the log, which is told first: no
// append gets in between.
func (p *Partition) lead(a replication.Decided) {
	if p.reassign(a) {
		return
	}
	self := p.manager.nodeID
	p.role.Lock()
	ends := p.log().Ends()
	if latest, _ := p.log().LatestEpoch(); latest < a.Epoch {
		p.log().AssignEpoch(a.Epoch, ends.Next)
	}
	failed := p.Dir().Failed()
	p.mu.Lock()
	known := p.high()
	old := p.leave()
	p.track(a)
	p.leader, p.leading, p.written = replication.Lead(replication.Start{
		Self: self, Assignment: a.Assignment, Rules: p.topic.Load().rules,
		Own: replication.Ends{Written: ends.Written, Flushed: ends.Flushed}, Next: ends.Next,
		LogStart: ends.Start, KnownHighWatermark: known,
	}), true, ends.Written
	p.gone = failed
	p.holder, p.start = leaderHint{self, a.Epoch}, ends.Start
	news := p.collect(true, true)
	p.mu.Unlock()
	p.role.Unlock()
	old.stop()
	news.tell()
	p.logMoved() // what moved between our look at the ends and the new epoch has been reported to the old one
}

// reassign takes a change within the epoch that this node leads already, and says whether it is one. It takes no turn
// behind appends that wait for the engine.
func (p *Partition) reassign(a replication.Decided) bool {
	p.mu.Lock()
	if p.gone != nil || p.leader.Epoch() != a.Epoch {
		p.mu.Unlock()
		return false
	}
	p.unlockAndTell(p.assign(a))
	return true
}

// high is the high watermark as far as it is known here. p.mu is held.
func (p *Partition) high() kafkaproto.Offset {
	switch {
	case p.leading:
		return p.leader.HighWatermark()
	case p.follows != nil && p.follows.begun:
		return p.follows.f.HighWatermark()
	default:
		return p.remembered
	}
}

// leave ends leading or following, and returns what is to be stopped without locks. role and mu are held.
func (p *Partition) leave() *following {
	p.remembered = p.high()
	old := p.follows
	p.leading, p.insync, p.follows = false, nil, nil
	return old
}

// retire ends serving: another node leads, the topic is gone, the log can't be opened. Everyone who waits learns why.
func (p *Partition) retire(why error, holder leaderHint) { p.become(why, holder, nil) }

// become ends leading, or following someone else, for following f, if that is not nil.
func (p *Partition) become(why error, holder leaderHint, f *following) {
	p.role.Lock()
	p.mu.Lock()
	old := p.leave()
	p.gone, p.holder, p.follows = why, holder, f
	news := p.collect(true, true)
	p.mu.Unlock()
	p.role.Unlock()
	old.stop()
	news.tell()
	p.dropUnverified(why)
}

// configure takes the topic's settings anew.
func (p *Partition) configure(t *topic) {
	p.topic.Store(t)
	p.mu.Lock()
	moved := p.gone == nil && p.leader.Configure(t.rules)
	p.unlockAndTell(moved)
}

// logMoved is the engine's callback: the log was written, flushed, cut at its start, or has failed.
func (p *Partition) logMoved() {
	ends, failed := p.log().Ends(), p.Dir().Failed()
	p.mu.Lock()
	moved, grown := false, ends.Written > p.written
	p.written = ends.Written
	if p.move != nil {
		signalOne(p.move.moved)
	}
	if p.follows != nil {
		p.follows.moved(ends)
	}
	if p.gone == nil {
		if failed != nil {
			p.gone, moved = failed, true
		} else {
			moved = p.leader.Report(p.manager.nodeID, replication.Ends{Written: ends.Written, Flushed: ends.Flushed})
		}
	}
	if ends.Start > p.start {
		p.start, moved = ends.Start, true
	}
	n := p.collect(moved, grown || failed != nil)
	p.mu.Unlock()
	n.tell()
}

// news is what others have to be told once no lock is held any more.
type news struct {
	p        *Partition
	moved    bool
	high     kafkaproto.Offset
	answered ackChain
	wake     []*Waiter
}

// collect takes out the appends that have what they waited for and the waiters to fire: those of consumers if the partition
// moved, those of replicas if there are new bytes or another leader. p.mu is held.
func (p *Partition) collect(moved, grown bool) news {
	n := news{p: p, moved: moved, high: p.high(), answered: p.takeAnswered()}
	if moved || grown && p.replicas > 0 {
		n.wake = p.armed(moved, grown)
	}
	return n
}

// tell answers and fires. No lock is held.
func (n news) tell() {
	if n.moved {
		n.p.log().NoteHighWatermark(n.high)
	}
	n.answered.finish()
	for _, w := range n.wake {
		w.fire()
	}
}

// unlockAndTell lets go of p.mu, which is the only lock held.
func (p *Partition) unlockAndTell(moved bool) {
	n := p.collect(moved, false)
	p.mu.Unlock()
	n.tell()
}

// view is what one request sees of the partition's state.
type view struct {
	err      error
	holder   leaderHint
	high     kafkaproto.Offset
	caughtUp bool
}

// look takes a view for a request that names a leader epoch (-1: none).
func (p *Partition) look(asked kafkaproto.LeaderEpoch) view {
	p.mu.Lock()
	v := view{err: p.gone, holder: p.holder, high: p.high(), caughtUp: p.leader.CaughtUp()}
	p.mu.Unlock()
	if v.err == nil {
		v.err = replication.CheckEpoch(asked, v.holder.epoch)
	}
	return v
}

// storageError says to clients that the log directory has failed.
func storageError(cause error) error {
	return kafkaproto.ErrKafkaStorageError.With("%w", cause)
}
