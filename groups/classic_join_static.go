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
	if g.state == stable && !m.fitsInstead(g, old, &in) {
		m.refuseJoin(t, "", kafkaproto.ErrUnknownServerError)
		return
	}
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

// fitsInstead tells whether the group's record still goes into the log when the member says in place of old what it says
// now. Kafka finds out when it writes the record, and takes the change back.
func (m *Machine) fitsInstead(g *group, old *member, in *JoinGroup) bool {
	r := groupRecord(g, nil)
	size := len(r.Key) + len(r.Value) + len(in.NewMemberID) - len(old.id) - len(old.metadata(g.protocol))
	for _, p := range in.Protocols {
		if g.protocol != nil && p.Name == *g.protocol {
			size += len(p.Metadata)
			break
		}
	}
	return size <= m.batchBytes()
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
