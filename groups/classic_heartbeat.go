package groups

import "github.com/streambus/streambus/kafkaproto"

// heartbeat prolongs a member's session, and tells it that a rebalance is under way. Kafka: GroupMetadataManager.classicGroupHeartbeat.
func (m *Machine) heartbeat(in *Heartbeat) error {
	g := m.groups[in.Group]
	if g == nil {
		return kafkaproto.ErrUnknownMemberID
	}
	mb, err := g.validate(in.MemberID, in.InstanceID)
	if err != nil {
		return err
	}
	if in.Generation != g.generation {
		return kafkaproto.ErrIllegalGeneration
	}
	m.newSession(g, mb)
	if g.state == preparingRebalance {
		return kafkaproto.ErrRebalanceInProgress
	}
	return nil
}
