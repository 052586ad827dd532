package groups

import "github.com/streambus/streambus/kafkaproto"

// deleteOffsets removes committed and pending offsets of topics that no member is subscribed to. Kafka:
// OffsetMetadataManager.deleteOffsets.
func (m *Machine) deleteOffsets(in DeleteOffsets) ([]OffsetCommitAnswer, error) {
	g := m.groups[in.Group]
	if g == nil {
		return nil, kafkaproto.ErrGroupIDNotFound
	}
	if g.state != empty && !g.isConsumer() {
		return nil, kafkaproto.ErrNonEmptyGroup
	}
	var out []OffsetCommitAnswer
	gone := map[offsetName]struct{}{}
	for _, t := range in.Topics {
		used := g.subscribes(t.Topic)
		for _, p := range t.Partitions {
			name := offsetName{g.id, t.Topic, p}
			row := OffsetCommitAnswer{Topic: t.Topic, Partition: p}
			if used {
				row.Err = kafkaproto.ErrGroupSubscribedToTopic
			} else if _, again := gone[name]; !again && m.hasOffset(g, name) {
				gone[name] = struct{}{}
				m.record(offsetTombstone(g.id, t.Topic, p))
			}
			out = append(out, row)
		}
	}
	m.res.Loose = true
	return out, nil
}

// hasOffset tells whether a group has an offset, committed or pending.
func (m *Machine) hasOffset(g *group, name offsetName) bool {
	_, ok := g.offset(name.topic, name.partition)
	return ok || m.isPending(g, name.topic, name.partition)
}

// topicsDeleted removes all groups' offsets of topics that are gone. Kafka: OffsetMetadataManager.onTopicsDeleted.
func (m *Machine) topicsDeleted(in TopicsDeleted) {
	gone := make(map[string]kafkaproto.TopicID, len(in.Topics))
	for i, name := range in.Topics {
		gone[name] = kafkaproto.TopicID{}
		if i < len(in.IDs) {
			gone[name] = in.IDs[i]
		}
	}
	var touched []*group
	for _, g := range m.groups {
		if len(g.open) > 0 || touches(g, gone) {
			touched = append(touched, g)
		}
	}
	sortGroups(touched)
	for _, g := range touched {
		m.dropTopics(g, gone)
	}
	m.res.Loose = true
}

func touches(g *group, gone map[string]kafkaproto.TopicID) bool {
	for name := range gone {
		if g.topics[name] != nil {
			return true
		}
	}
	return false
}

func (m *Machine) dropTopics(g *group, gone map[string]kafkaproto.TopicID) {
	g.eachOffset(func(topic string, p kafkaproto.PartitionID, c committed) bool {
		if id, ok := gone[topic]; ok && !otherTopic(c.topicID, id) {
			m.record(offsetTombstone(g.id, topic, p))
		}
		return true
	})
	for _, name := range m.pendingOffsets(g) {
		_, committed := g.offset(name.topic, name.partition)
		if _, ok := gone[name.topic]; ok && !committed {
			m.record(offsetTombstone(g.id, name.topic, name.partition))
		}
	}
}
