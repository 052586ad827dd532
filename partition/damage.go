package partition

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// checkedBytes is how much a leader checks of its log from where a follower found damage: what it may have been sent at once.
const checkedBytes = 4 << 20

// mostSuspects bounds the places that wait to be checked; a follower asks again.
const mostSuspects = 1000

// suspects are places where a log may be damaged, because a follower has received something whose CRC is wrong, a read met a
// hole, or the scrubber has found one. One goroutine checks them, while there are any. Who finds damage asks the controller to
// take the replica out of the ISR, and to have another lead if it leads. That begins a leader epoch, in which it cuts the log there
// as a follower and fetches the rest anew (following.begin).
type suspects struct {
	m *Manager

	mu      sync.Mutex
	waiting map[*Partition]kafkaproto.Offset
	lost    []kafkaproto.TopicPartition // of directories that are offline
	running bool
	closed  bool
	ended   sync.WaitGroup
}

// add has a place checked, from any goroutine. It does nothing without other nodes.
func (s *suspects) add(p *Partition, at kafkaproto.Offset) {
	if s.m.quorum == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.waiting) >= mostSuspects {
		return
	}
	if s.waiting == nil {
		s.waiting = make(map[*Partition]kafkaproto.Offset)
	}
	if first, ok := s.waiting[p]; !ok || at < first {
		s.waiting[p] = at
	}
	s.begin()
}

// begin sees to it that somebody runs. s.mu is held.
func (s *suspects) begin() {
	if !s.running {
		s.running = true
		s.ended.Go(s.run)
	}
}

// lose has the controller elect others for replicas that are in a directory that is offline: all that it may and has not yet.
func (s *suspects) lose(ids []kafkaproto.TopicPartition) {
	if s.m.quorum == nil {
		return
	}
	ids = s.m.replaceable(ids)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(ids) == 0 {
		return
	}
	s.lost = append(s.lost, ids...)
	s.begin()
}

// replaceable picks the partitions that count on this node, though another one could lead.
func (m *Manager) replaceable(ids []kafkaproto.TopicPartition) (out []kafkaproto.TopicPartition) {
	m.mu.RLock()
	image := m.image
	m.mu.RUnlock()
	other := func(id int32) bool {
		b, ok := image.Broker(id)
		return ok && b.Active() && id != m.nodeID
	}
	for _, id := range ids {
		if p, ok := image.Partition(id); ok && (p.Leader == m.nodeID || slices.Contains(p.ISR, m.nodeID)) &&
			(slices.ContainsFunc(p.ISR, other) || slices.ContainsFunc(p.ELR, other)) {
			out = append(out, id)
		}
	}
	return out
}

func (s *suspects) run() {
	for {
		s.mu.Lock()
		places, lost := s.waiting, s.lost
		s.waiting, s.lost = nil, nil
		if len(places)+len(lost) == 0 || s.closed {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		var damaged []kafkaproto.TopicPartition
		for p, at := range places {
			if p.damagedAt(at) {
				damaged = append(damaged, p.id)
			}
		}
		if len(damaged) > 0 {
			s.giveUp(damaged)
		}
		if len(lost) > 0 && s.ask(lost) != nil {
			s.m.env.Clock.AfterFunc(s.m.replica.backoff, func() { s.lose(lost) })
		}
	}
}

// damagedAt checks the log, if others have it too.
func (p *Partition) damagedAt(at kafkaproto.Offset) bool {
	p.mu.Lock()
	leads := p.leading && p.gone == nil && p.insync != nil
	follows := p.follows != nil
	p.mu.Unlock()
	if !leads && !follows {
		return false
	}
	if _, known := p.log().FirstHole(); known {
		return true
	}
	return errors.Is(p.log().CheckAt(at, checkedBytes), log.ErrCorrupt)
}

// giveUp has the controller elect others. Where nobody else is in sync this node goes on, and what is damaged can't be read.
func (s *suspects) giveUp(ids []kafkaproto.TopicPartition) {
	err := s.ask(ids)
	if f := s.m.events.Damaged; f != nil {
		f(ids, err)
	}
	if err != nil {
		s.m.env.Clock.AfterFunc(s.m.replica.backoff, func() {
			for _, id := range ids {
				s.m.Suspect(id, 0)
			}
		})
	}
}

func (s *suspects) ask(ids []kafkaproto.TopicPartition) error {
	self, _ := s.m.broker(s.m.nodeID)
	ctx, cancel := context.WithTimeout(s.m.ctx, s.m.replica.lag)
	defer cancel()
	_, err := s.m.quorum.Submit(ctx, controller.ReplicasDamaged{BrokerID: s.m.nodeID, BrokerEpoch: self.Epoch, Partitions: ids})
	return err
}

// Suspect has the Manager see to a log whose records are damaged from an offset on, as the scrubber or a read has found. It may be
// called from any goroutine, and for a log that is not here any more.
func (m *Manager) Suspect(id kafkaproto.TopicPartition, from kafkaproto.Offset) {
	if p, err := m.Partition(id); err == nil {
		m.suspects.add(p, from)
	}
}

// inISR says whether the metadata counts this node's replica among those that are in sync.
func (m *Manager) inISR(id kafkaproto.TopicPartition) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p, ok := m.image.Partition(id)
	return ok && slices.Contains(p.ISR, m.nodeID)
}

func (s *suspects) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.ended.Wait()
}
