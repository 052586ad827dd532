package groups

import "github.com/streambus/streambus/kafkaproto"

// leaveGroup takes members out, in one rebalance for all. An admin names static members by their instance id alone. Kafka:
// GroupMetadataManager.classicGroupLeave.
func (m *Machine) leaveGroup(in *LeaveGroup) []LeaveAnswer {
	g := m.groups[in.Group]
	out := make([]LeaveAnswer, len(in.Members))
	left := false
	for i, who := range in.Members {
		err := error(kafkaproto.ErrUnknownMemberID)
		if g != nil {
			err = m.leave(g, who)
		}
		left = left || err == nil
		out[i] = LeaveAnswer{MemberID: who.MemberID, InstanceID: who.InstanceID, Err: err}
	}
	if left {
		m.afterLoss(g)
	}
	return out
}

func (m *Machine) leave(g *group, who LeavingMember) error {
	if g.pending[who.MemberID] != nil {
		m.dropPending(g, who.MemberID)
		return nil
	}
	if who.MemberID == "" {
		if who.InstanceID == nil || g.static[*who.InstanceID] == nil {
			return kafkaproto.ErrUnknownMemberID
		}
		m.dropMember(g, g.static[*who.InstanceID])
		return nil
	}
	mb, err := g.validate(who.MemberID, who.InstanceID)
	if err != nil {
		return err
	}
	m.dropMember(g, mb)
	return nil
}
