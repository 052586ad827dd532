package groups

import (
	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// replaceStatic lets a static member in that has lost its id: it takes the place of the one with its instance id, under a new
// member id. Whoever still uses the old one is fenced. In a stable group whose protocol stays that is all (KIP-345).
func (m *Machine) replaceStatic(t machine.Ticket, g *group, in JoinGroup) {
	oldLeader := g.leader
	old := g.static[*in.InstanceID]
	mb := old.successor(in.NewMemberID)
	m.answerJoin(g, old, refusedJoin(old.id, kafkaproto.ErrFencedInstanceID))
	m.answerSync(old, SyncGroupAnswer{Err: kafkaproto.ErrFencedInstanceID})
	m.clearAlarm(&old.alarm)
	g.replace(old, mb)
	m.updateMember(t, g, mb, in)
	m.newSession(g, mb)
	switch {
	case g.state == completingRebalance:
		m.prepareRebalance(g) // the leader may be deciding for the old id right now
	case g.state == stable && g.protocol != nil && g.chooseProtocol() == *g.protocol:
		m.keepGeneration(g, mb, oldLeader, in.CanSkipAssignment)
	default:
		m.rebalanceOrCompleteJoin(g)
	}
}

// keepGeneration answers a static member that is back in an unchanged group, once the new id is durable. A leader learns the
// members but must not assign anew (KIP-814); clients that can't be told so are kept from believing that they lead.
func (m *Machine) keepGeneration(g *group, mb *member, oldLeader string, canSkip bool) {
	g.learnTopics()
	m.record(groupRecord(g, nil))
	a := g.joined(mb)
	a.SkipAssignment = canSkip && g.isLeader(mb.id)
	if !canSkip {
		a.Leader, a.Members = oldLeader, nil
	}
	m.answerJoin(g, mb, a)
}
