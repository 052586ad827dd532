package partition

import (
	"fmt"
	"sync"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/replication"
)

// mostProposed bounds the partitions of one AlterPartition; the rest go with the next.
const mostProposed = 2000

// proposalPause is how long the manager waits after an AlterPartition that failed or has to be sent again.
const proposalPause = 50 * time.Millisecond

// proposals are changes of ISRs on their way to the controller, those of many partitions with one command. One command is
// in flight at a time; a goroutine runs while there is any.
type proposals struct {
	m *Manager

	mu      sync.Mutex // taken with a partition's mu held; takes none itself
	waiting []*Partition
	running bool
	closed  bool
	ended   sync.WaitGroup
}

// proposed is a partition with what was asked for it.
type proposed struct {
	p *Partition
	replication.Proposal
}

// add has a partition's proposal sent.
func (q *proposals) add(p *Partition) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.waiting = append(q.waiting, p)
	if !q.running {
		q.running = true
		q.ended.Go(q.run)
	}
}

// take gives nil when there is nothing more, or the manager's time is over: what is refused for that comes back at once.
func (q *proposals) take() []*Partition {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), mostProposed)
	taken := q.waiting[:n:n]
	if q.waiting = q.waiting[n:]; n == 0 || q.closed || q.m.ctx.Err() != nil {
		q.waiting, q.running = nil, false
		return nil
	}
	return taken
}

func (q *proposals) run() {
	for {
		partitions := q.take()
		if partitions == nil {
			return
		}
		var rows []proposed
		for _, p := range partitions {
			if want, ok := p.proposal(); ok {
				rows = append(rows, proposed{p, want})
			}
		}
		if len(rows) > 0 && !q.send(rows) {
			q.m.pause(proposalPause)
		}
	}
}

// send asks the controller and hands out its answers. It says whether all is well.
func (q *proposals) send(rows []proposed) bool {
	self, _ := q.m.broker(q.m.nodeID)
	c := controller.AlterPartition{BrokerID: q.m.nodeID, BrokerEpoch: self.Epoch, Partitions: make([]controller.AlterPartitionRow, len(rows))}
	for i, r := range rows {
		c.Partitions[i] = controller.AlterPartitionRow{ID: r.p.id, LeaderEpoch: r.LeaderEpoch, PartitionEpoch: r.PartitionEpoch}
		for _, m := range r.ISR {
			c.Partitions[i].ISR = append(c.Partitions[i].ISR, controller.ISRMember{ID: m.ID, Epoch: m.Epoch})
		}
	}
	value, err := q.m.quorum.Submit(q.m.ctx, c)
	answers, ok := value.([]controller.AlterPartitionAnswer)
	if err == nil && (!ok || len(answers) != len(rows)) {
		err = fmt.Errorf("%w: %d answers to %d proposals", kafkaproto.ErrUnknownServerError, len(answers), len(rows))
	}
	well := err == nil
	for i, r := range rows {
		if err != nil {
			// It is not known whether it was carried out, whatever the error says of the command as a whole.
			r.p.decided(r.Proposal, replication.Decided{}, kafkaproto.ErrNotController.With("%w", err))
			continue
		}
		if answers[i].Err != nil || answers[i].Partition == nil {
			well = false
			r.p.decided(r.Proposal, replication.Decided{}, answers[i].Err)
			continue
		}
		r.p.decided(r.Proposal, decidedOf(answers[i].Partition), nil)
	}
	return well
}

func (q *proposals) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.ended.Wait()
}

// pause waits, or less if the manager is closed.
func (m *Manager) pause(d time.Duration) {
	t := m.env.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
	case <-m.ctx.Done():
	}
}

// broker finds a broker in the metadata; the zero value and false if it is not there.
func (m *Manager) broker(id int32) (controller.Broker, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if b, ok := m.image.Broker(id); ok {
		return *b, true
	}
	return controller.Broker{}, false
}

// judgeLater looks after all ISRs again in half of the lag that replicas are allowed, as Kafka does.
func (m *Manager) judgeLater() {
	m.judging = m.env.Clock.AfterFunc(max(m.replica.lag/2, time.Millisecond), func() {
		now := m.now()
		for _, p := range m.Partitions() {
			p.judge(now)
		}
		m.applying.Lock()
		defer m.applying.Unlock()
		if !m.closed {
			m.retell()
			m.judgeLater()
		}
	})
}
