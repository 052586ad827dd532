package partition

import (
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/planted"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/replication"
)

// inSync is what a leader has beside replication.Leader where there are other replicas: who keeps up with it, and since
// when. Partition.mu guards it.
type inSync struct {
	isr      replication.ISR
	replicas []int32
	queued   bool // the proposal in flight waits for the manager to send it
}

func decidedOf(p *controller.Partition) replication.Decided {
	return replication.Decided{
		Assignment:     replication.Assignment{Epoch: p.LeaderEpoch, Replicas: p.Replicas, ISR: p.ISR},
		PartitionEpoch: p.PartitionEpoch,
	}
}

// track begins to judge the ISR, if there can be anyone to judge. p.mu is held.
func (p *Partition) track(d replication.Decided) {
	if p.manager.quorum == nil || len(d.Replicas) < 2 {
		p.insync = nil
		return
	}
	p.insync = &inSync{isr: replication.NewISR(p.manager.nodeID, d, p.manager.now()), replicas: d.Replicas}
}

// assign takes the replicas and the ISR that were decided within the epoch, and says whether the high watermark rose. What
// is older than what is known changes nothing. p.mu is held.
func (p *Partition) assign(d replication.Decided) bool {
	if p.insync == nil {
		p.track(d)
		return p.leader.Assign(d.Assignment)
	}
	if !p.insync.isr.Decide(d, p.manager.now()) {
		return false
	}
	p.insync.replicas = d.Replicas
	return p.settled()
}

// settled tells the leader of the ISR as it is known now: first who is in it, then who counts beside. A replica that has
// just joined would else count neither here nor there for a moment. p.mu is held.
func (p *Partition) settled() bool {
	s := p.insync
	moved := p.leader.Assign(replication.Assignment{Epoch: p.leader.Epoch(), Replicas: s.replicas, ISR: s.isr.Members()})
	return p.leader.Hold(s.isr.Counted(p.judgement(p.manager.now()))) || moved
}

// judgement is what judging the ISR needs to know. p.mu is held.
func (p *Partition) judgement(now time.Time) replication.View {
	return replication.View{
		Now: now, Lag: p.manager.replica.lag, LeaderEnd: p.written, EpochStart: p.leader.EpochStart(),
		High: p.leader.HighWatermark(), Durable: p.topic.Load().rules.Durable, Peers: p.manager.peersOf(p.insync.replicas),
	}
}

// peersOf says what the metadata has of brokers.
func (m *Manager) peersOf(ids []int32) []replication.Peer {
	m.mu.RLock()
	image := m.image
	m.mu.RUnlock()
	peers := make([]replication.Peer, 0, len(ids))
	for _, id := range ids {
		if b, ok := image.Broker(id); ok {
			peers = append(peers, replication.Peer{ID: id, Epoch: b.Epoch, Active: b.Active()})
		}
	}
	return peers
}

// unsettled says whether a fetch can change who counts: someone is out of the ISR, or a proposal is in flight.
func (s *inSync) unsettled() bool {
	return len(s.isr.Members()) < len(s.replicas) || s.isr.Pending() != nil
}

// followerAt takes a follower's fetch as word of how far it is. epoch is the one in which its place in the log was checked.
func (p *Partition) followerAt(r *ReadRequest, epoch kafkaproto.LeaderEpoch, res *ReadResult) {
	ends := replication.Ends{Written: r.Offset, Flushed: r.FlushedEnd}
	p.mu.Lock()
	moved := false
	if p.gone == nil && p.leader.Epoch() == epoch {
		if moved, res.Err = p.fetched(r.ReplicaID, r.BrokerEpoch, ends); res.Err == nil {
			moved = p.leader.Report(r.ReplicaID, ends) || moved
			moved = p.propose() || moved
		}
	}
	res.HighWatermark = p.leader.HighWatermark()
	p.unlockAndTell(moved)
}

// fetched tells the ISR of a fetch. On an error nothing of the fetch may be counted. p.mu is held.
func (p *Partition) fetched(id int32, brokerEpoch int64, e replication.Ends) (moved bool, err error) {
	s := p.insync
	if s == nil {
		return false, nil
	}
	now := p.manager.now()
	if brokerEpoch <= 0 {
		brokerEpoch = replication.AnyBrokerEpoch
	}
	fresh, err := s.isr.Fetched(now, id, brokerEpoch, e, p.written)
	if err != nil {
		return false, err
	}
	if fresh {
		p.leader.Forget(id)
	}
	if s.unsettled() {
		moved = p.leader.Hold(s.isr.Counted(p.judgement(now)))
	}
	return moved, nil
}

// propose asks for a change of the ISR if one is due after a fetch. p.mu is held.
func (p *Partition) propose() bool {
	if s := p.insync; s == nil || !s.unsettled() || s.isr.Pending() != nil {
		return false
	}
	return p.proposeNow(p.manager.now())
}

func (p *Partition) proposeNow(now time.Time) bool {
	s, v := p.insync, p.judgement(now)
	if _, due := s.isr.Propose(v); !due {
		return false
	}
	if planted.Is(planted.ShrinksAlone) {
		p.leader.Assign(replication.Assignment{Epoch: p.leader.Epoch(), Replicas: s.replicas, ISR: ids(s.isr.Pending().ISR)})
	}
	moved := p.leader.Hold(s.isr.Counted(v))
	p.enqueueProposal()
	return moved
}

func (p *Partition) enqueueProposal() {
	if !p.insync.queued {
		p.insync.queued = true
		p.manager.proposals.add(p)
	}
}

// judge looks for replicas that have fallen behind.
func (p *Partition) judge(now time.Time) {
	p.mu.Lock()
	if p.gone != nil || p.insync == nil {
		p.mu.Unlock()
		return
	}
	moved := p.leader.Hold(p.insync.isr.Counted(p.judgement(now)))
	moved = p.proposeNow(now) || moved
	p.unlockAndTell(moved)
}

// proposal is what the controller is to be asked for now, and false if that has become pointless.
func (p *Partition) proposal() (replication.Proposal, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone != nil || p.insync == nil {
		return replication.Proposal{}, false
	}
	p.insync.queued = false
	pending := p.insync.isr.Pending()
	if pending == nil {
		return replication.Proposal{}, false
	}
	return *pending, true
}

// decided takes the controller's answer to a proposal.
func (p *Partition) decided(asked replication.Proposal, d replication.Decided, err error) {
	p.mu.Lock()
	if p.gone != nil || p.insync == nil || p.leader.Epoch() != asked.LeaderEpoch {
		p.mu.Unlock()
		return
	}
	changed, retry := p.insync.isr.Answered(asked, d, err, p.manager.now())
	moved := false
	if changed {
		if err == nil {
			p.insync.replicas = d.Replicas
		}
		moved = p.settled()
	}
	if retry {
		p.enqueueProposal()
	}
	p.unlockAndTell(moved)
}

// ids is of planted.ShrinksAlone.
func ids(members []replication.ISRMember) (out []int32) {
	for _, m := range members {
		out = append(out, m.ID)
	}
	return out
}
