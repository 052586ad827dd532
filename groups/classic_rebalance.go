package groups

import (
	"github.com/streambus/streambus/kafkaproto"
)

// rebalanceOrCompleteJoin begins a rebalance if none is under way, else looks whether it can go on.
func (m *Machine) rebalanceOrCompleteJoin(g *group) {
	if g.state == preparingRebalance {
		m.maybeCompleteJoin(g)
		return
	}
	m.prepareRebalance(g)
}

// prepareRebalance begins the join phase. That of an empty group lasts for the initial delay, others end when all have joined
// or the longest rebalance timeout is over.
func (m *Machine) prepareRebalance(g *group) {
	if g.state == completingRebalance {
		m.refuseSyncs(g, kafkaproto.ErrRebalanceInProgress)
	}
	g.clearUnsynced()
	m.disarmSync(g)
	if g.state == empty {
		g.moveTo(preparingRebalance, m.now)
		g.initial = initialRebalance{running: true, delay: m.o.InitialRebalanceDelay}
		g.initial.remaining = max(g.rebalanceTimeout()-g.initial.delay, 0)
		m.armJoin(g, g.initial.delay)
		return
	}
	g.moveTo(preparingRebalance, m.now)
	g.initial = initialRebalance{}
	if g.allJoined() {
		m.completeJoin(g)
		return
	}
	m.armJoin(g, g.rebalanceTimeout())
}

// maybeCompleteJoin ends the join phase if nobody is missing. The initial one ends by its timer alone.
func (m *Machine) maybeCompleteJoin(g *group) {
	if g.state == preparingRebalance && g.previous != empty && g.allJoined() {
		m.completeJoin(g)
	}
}

// joinTimeout ends the join phase, or waits on if it is the initial one and someone came.
func (m *Machine) joinTimeout(g *group) {
	if g.state != preparingRebalance {
		return
	}
	i := &g.initial
	if !i.running || !i.joined || i.remaining == 0 {
		m.completeJoin(g)
		return
	}
	i.joined = false
	last := i.delay
	i.delay = min(m.o.InitialRebalanceDelay, i.remaining)
	i.remaining = max(i.remaining-last, 0)
	m.armJoin(g, i.delay)
}

// completeJoin ends the join phase: dynamic members that have not joined are out, the others are told of the new generation.
// Static ones stay without having joined, until their session ends.
func (m *Machine) completeJoin(g *group) {
	m.disarmJoin(g)
	g.initial = initialRebalance{}
	for _, mb := range append([]*member(nil), g.order...) {
		if !mb.join.waiting && mb.instance == nil {
			m.dropMember(g, mb)
		}
	}
	if len(g.members) == 0 {
		g.nextGeneration(m.now)
		m.record(groupRecord(g, nil))
		return
	}
	if !g.electJoined() {
		// Only static members, none of which came: their sessions decide, and this just looks again.
		m.armJoin(g, max(g.rebalanceTimeout(), leastJoinWait))
		return
	}
	g.nextGeneration(m.now)
	for _, mb := range g.order {
		m.answerJoin(g, mb, g.joined(mb))
		m.newSession(g, mb)
		mb.isNew, mb.pendingSync = false, true
		g.unsynced++
	}
	m.armSync(g, g.rebalanceTimeout())
}

// dropMember forgets a member. What it waits for is answered so that it joins anew, should it still be there.
func (m *Machine) dropMember(g *group, mb *member) {
	m.answerJoin(g, mb, refusedJoin("", kafkaproto.ErrUnknownMemberID))
	m.answerSync(mb, SyncGroupAnswer{Err: kafkaproto.ErrUnknownMemberID})
	m.clearAlarm(&mb.alarm)
	g.remove(mb)
}

// afterLoss is what follows when members are gone.
func (m *Machine) afterLoss(g *group) {
	switch g.state {
	case stable, completingRebalance:
		m.prepareRebalance(g)
	case preparingRebalance:
		m.maybeCompleteJoin(g)
	}
}

// sessionTimeout removes a member, or an id that was given out, whose session may be over.
func (m *Machine) sessionTimeout(g *group, memberID string) {
	if a := g.pending[memberID]; a != nil {
		if m.rang(a) {
			m.dropPending(g, memberID)
			m.completeIfAllJoined(g)
		}
		return
	}
	mb := g.members[memberID]
	if mb == nil || !m.rang(&mb.alarm) || mb.alive() {
		return
	}
	m.dropMember(g, mb)
	if g.state == preparingRebalance {
		m.completeIfAllJoined(g)
		return
	}
	m.afterLoss(g)
}

// completeIfAllJoined ends even the initial join phase: whom it waited for is dead.
func (m *Machine) completeIfAllJoined(g *group) {
	if g.state == preparingRebalance && g.allJoined() {
		m.completeJoin(g)
	}
}

// syncTimeout removes those that have not sent SyncGroup within the rebalance timeout.
func (m *Machine) syncTimeout(g *group) {
	if g.state != completingRebalance && g.state != stable || g.unsynced == 0 {
		return
	}
	for _, mb := range append([]*member(nil), g.order...) {
		if mb.pendingSync {
			m.dropMember(g, mb)
		}
	}
	m.prepareRebalance(g)
}
