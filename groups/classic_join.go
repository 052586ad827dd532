package groups

import (
	"strings"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// joinGroup begins or continues a membership. Kafka: GroupMetadataManager.classicGroupJoin.
func (m *Machine) joinGroup(t machine.Ticket, in JoinGroup) {
	if in.SessionTimeout < m.o.MinSessionTimeout || m.o.MaxSessionTimeout > 0 && in.SessionTimeout > m.o.MaxSessionTimeout {
		m.refuseJoin(t, in.MemberID, kafkaproto.ErrInvalidSessionTimeout)
		return
	}
	if err := fitsRecord(&in); err != nil {
		m.refuseJoin(t, in.MemberID, err)
		return
	}
	in.RebalanceTimeout = max(in.RebalanceTimeout, 0)
	g := m.groups[in.Group]
	if g != nil && !g.gone {
		m.joinExistingGroup(t, g, in)
		return
	}
	if in.MemberID != "" {
		m.refuseJoin(t, in.MemberID, kafkaproto.ErrUnknownMemberID)
		return
	}
	if g == nil {
		g = newGroup(in.Group)
	}
	if !g.supports(in.ProtocolType, in.Protocols) {
		m.refuseJoin(t, "", kafkaproto.ErrInconsistentGroupProtocol)
		return
	}
	g.stateAt, g.gone = stamp(m.now), false
	m.groups[g.id] = g
	m.joinNew(t, g, in)
	if len(m.res.Records) == 0 {
		m.record(newGroupRecord(g))
	}
}

// fitsRecord refuses what a group's record can't hold. Kafka finds that out when it writes the record.
func fitsRecord(in *JoinGroup) error {
	if len(in.Group) > longestString {
		return kafkaproto.ErrInvalidGroupID
	}
	if len(in.Protocols) > mostProtocols {
		return kafkaproto.ErrInconsistentGroupProtocol
	}
	longest := max(len(in.NewMemberID), len(in.ClientID), len(in.ClientHost), len(in.ProtocolType))
	if in.InstanceID != nil {
		longest = max(longest, len(*in.InstanceID))
	}
	for i := range in.Protocols {
		longest = max(longest, len(in.Protocols[i].Name))
	}
	if longest > longestString {
		return kafkaproto.ErrInvalidRequest
	}
	return nil
}

func (m *Machine) joinExistingGroup(t machine.Ticket, g *group, in JoinGroup) {
	switch {
	case !m.accepts(g, in.MemberID):
		m.refuseJoin(t, "", kafkaproto.ErrGroupMaxSizeReached)
		m.removeExcess(g, in.MemberID)
	case !g.supports(in.ProtocolType, in.Protocols):
		m.refuseJoin(t, in.MemberID, kafkaproto.ErrInconsistentGroupProtocol)
	case in.MemberID == "":
		m.joinNew(t, g, in)
	case g.pending[in.MemberID] != nil:
		if in.InstanceID != nil {
			m.refuseJoin(t, "", errPendingStatic) // ids of static members are never pending
			return
		}
		m.addMember(t, g, in, in.MemberID)
	default:
		m.rejoin(t, g, in)
	}
}

// accepts tells whether the group has room. In a rebalance those count that have joined: the group may be larger than it may
// be if the limit was lowered, and the last ones to rejoin are left out.
func (m *Machine) accepts(g *group, memberID string) bool {
	most := m.o.MaxSize
	if most <= 0 {
		return true
	}
	mb := g.members[memberID]
	switch g.state {
	case empty:
		return true
	case preparingRebalance:
		return mb != nil && mb.join.waiting || g.awaiting < most
	}
	return mb != nil || len(g.members) < most
}

// removeExcess forgets a member that finds no room in the group that it was in.
func (m *Machine) removeExcess(g *group, memberID string) {
	if mb := g.members[memberID]; mb != nil {
		m.dropMember(g, mb)
	}
	m.dropPending(g, memberID)
	m.maybeCompleteJoin(g)
}

// joinNew lets in whoever comes without an id.
func (m *Machine) joinNew(t machine.Ticket, g *group, in JoinGroup) {
	switch {
	case in.InstanceID != nil && g.static[*in.InstanceID] != nil:
		m.replaceStatic(t, g, in)
	case in.InstanceID != nil || !in.RequireKnownID:
		m.addMember(t, g, in, in.NewMemberID)
	case len(g.pending) >= mostPendingMembers:
		m.refuseJoin(t, "", kafkaproto.ErrGroupMaxSizeReached)
	default:
		m.addPending(g, in)
		m.refuseJoin(t, in.NewMemberID, kafkaproto.ErrMemberIDRequired)
	}
}

// addPending gives out an id, which counts as one that the rebalance waits for until its session ends (KIP-394).
func (m *Machine) addPending(g *group, in JoinGroup) {
	a := &alarm{key: sessionKey(g.id, in.NewMemberID)}
	if g.pending == nil {
		g.pending = map[string]*alarm{}
	}
	g.pending[strings.Clone(in.NewMemberID)] = a
	m.setAlarm(a, in.SessionTimeout)
}

// dropPending forgets an id that was given out.
func (m *Machine) dropPending(g *group, id string) {
	if a := g.pending[id]; a != nil {
		m.clearAlarm(a)
		delete(g.pending, id)
	}
}

// addMember makes a member of one who has an id, and a rebalance of that.
func (m *Machine) addMember(t machine.Ticket, g *group, in JoinGroup, id string) {
	m.dropPending(g, id)
	mb := newMember(in, id)
	mb.isNew = true
	if g.state == preparingRebalance && g.previous == empty {
		g.initial.joined = true
	}
	g.add(mb)
	m.parkJoin(g, mb, t)
	m.session(g, mb, newMemberJoinTimeout)
	m.rebalanceOrCompleteJoin(g)
}

// rejoin is a member's JoinGroup when it is in already.
func (m *Machine) rejoin(t machine.Ticket, g *group, in JoinGroup) {
	mb, err := g.validate(in.MemberID, in.InstanceID)
	if err != nil {
		m.refuseJoin(t, in.MemberID, err)
		return
	}
	switch g.state {
	case completingRebalance:
		if mb.says(in.Protocols) { // it did not get the answer
			m.answer(t, g.joined(mb), nil)
			return
		}
	case stable:
		// The leader may have reasons that its metadata doesn't show, such as a topic's new partitions.
		if !g.isLeader(mb.id) && mb.says(in.Protocols) {
			m.answer(t, g.joined(mb), nil)
			return
		}
	case empty:
		m.refuseJoin(t, in.MemberID, kafkaproto.ErrUnknownMemberID)
		return
	}
	m.updateMember(t, g, mb, in)
	m.rebalanceOrCompleteJoin(g)
}

// updateMember takes over what a member says of itself now, and parks its request.
func (m *Machine) updateMember(t machine.Ticket, g *group, mb *member, in JoinGroup) {
	g.count(mb, -1)
	mb.protocols = cloneProtocols(in.Protocols)
	g.count(mb, 1)
	mb.rebalanceTimeout, mb.sessionTimeout = in.RebalanceTimeout, in.SessionTimeout
	m.parkJoin(g, mb, t)
}

// parkJoin keeps the request until the join phase ends. A client asks twice only if it has given up the first time.
func (m *Machine) parkJoin(g *group, mb *member, t machine.Ticket) {
	if mb.join.waiting {
		m.refuseJoin(mb.join.ticket, mb.id, kafkaproto.ErrRebalanceInProgress)
	} else {
		g.awaiting++
	}
	mb.join = parked{ticket: t, waiting: true}
}

// answerJoin lets a parked request go, if there is one.
func (m *Machine) answerJoin(g *group, mb *member, a JoinGroupAnswer) {
	if mb.join.waiting {
		m.answer(mb.join.ticket, a, nil)
		mb.join = parked{}
		g.awaiting--
	}
}

func (m *Machine) refuseJoin(t machine.Ticket, memberID string, err error) {
	m.answer(t, refusedJoin(memberID, err), nil)
}

func refusedJoin(memberID string, err error) JoinGroupAnswer {
	return JoinGroupAnswer{Err: err, Generation: -1, MemberID: memberID}
}

// joined is the answer for a member of the current generation.
func (g *group) joined(mb *member) JoinGroupAnswer {
	a := JoinGroupAnswer{
		Generation: g.generation, ProtocolType: g.protocolTypeOrNil(), Protocol: g.protocol, Leader: g.leader, MemberID: mb.id,
	}
	if g.isLeader(mb.id) {
		a.Members = g.joinedMembers()
	}
	return a
}

func (g *group) joinedMembers() []JoinedMember {
	out := make([]JoinedMember, len(g.order))
	for i, mb := range g.order {
		out[i] = JoinedMember{MemberID: mb.id, InstanceID: mb.instance, Metadata: mb.metadata(g.protocol)}
	}
	return out
}
