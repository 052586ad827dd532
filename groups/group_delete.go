package groups

import "github.com/streambus/streambus/kafkaproto"

// deleteGroup removes a group without members, with its offsets. Kafka: GroupCoordinatorShard.deleteGroups.
// Its offsets may be more than a batch holds; the group's own record goes last.
func (m *Machine) deleteGroup(in DeleteGroup) error {
	g := m.groups[in.Group]
	if g == nil {
		return kafkaproto.ErrGroupIDNotFound
	}
	if g.state != empty {
		return kafkaproto.ErrNonEmptyGroup
	}
	g.eachOffset(func(topic string, p kafkaproto.PartitionID, _ committed) bool {
		m.record(offsetTombstone(g.id, topic, p))
		return true
	})
	for _, name := range m.pendingOffsets(g) {
		if _, ok := g.offset(name.topic, name.partition); !ok {
			m.record(offsetTombstone(g.id, name.topic, name.partition))
		}
	}
	m.record(groupTombstone(g.id))
	m.res.Loose = true
	for id := range g.pending {
		m.dropPending(g, id)
	}
	return nil
}
