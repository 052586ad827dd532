package groups

import "github.com/streambus/streambus/kafkaproto"

// fetchOffsets tells committed offsets. A group that isn't there has none. Kafka: OffsetMetadataManager.fetchOffsets.
func (m *Machine) fetchOffsets(in *OffsetFetch) OffsetFetchAnswer {
	g := m.groups[in.Group]
	if in.All {
		return m.fetchAll(g, in.RequireStable)
	}
	out := OffsetFetchAnswer{Topics: make([]FetchedTopic, len(in.Topics))}
	for i, t := range in.Topics {
		f := FetchedTopic{Topic: t.Topic, TopicID: t.TopicID, Partitions: make([]FetchedOffset, len(t.Partitions))}
		for j, p := range t.Partitions {
			f.Partitions[j] = m.fetchOne(g, t, p, in.RequireStable)
		}
		out.Topics[i] = f
	}
	return out
}

func (m *Machine) fetchOne(g *group, t OffsetFetchTopic, p kafkaproto.PartitionID, stable bool) FetchedOffset {
	if g == nil {
		return noOffset(p, nil)
	}
	if stable && m.isPending(g, t.Topic, p) {
		return noOffset(p, kafkaproto.ErrUnstableOffsetCommit)
	}
	c, ok := g.offset(t.Topic, p)
	if !ok || otherTopic(c.topicID, t.TopicID) {
		return noOffset(p, nil)
	}
	return fetched(p, &c)
}

// otherTopic tells two ids of topics with the same name apart, if both are known: the topic was made anew.
func otherTopic(a, b kafkaproto.TopicID) bool {
	return a != b && a != kafkaproto.TopicID{} && b != kafkaproto.TopicID{}
}

func (m *Machine) fetchAll(g *group, stable bool) OffsetFetchAnswer {
	if g == nil {
		return OffsetFetchAnswer{}
	}
	out := OffsetFetchAnswer{Topics: make([]FetchedTopic, 0, len(g.topics))}
	for _, name := range g.sortedTopics() {
		t := g.topics[name]
		f := FetchedTopic{Topic: name, TopicID: t.id, Partitions: make([]FetchedOffset, len(t.entries))}
		for i := range t.entries {
			p, c := t.entries[i].partition, t.at(i)
			f.Partitions[i] = fetched(p, &c)
			if stable && m.isPending(g, name, p) {
				f.Partitions[i] = noOffset(p, kafkaproto.ErrUnstableOffsetCommit)
			}
		}
		out.Topics = append(out.Topics, f)
	}
	return out
}

func fetched(p kafkaproto.PartitionID, c *committed) FetchedOffset {
	f := FetchedOffset{Partition: p, Offset: c.offset, LeaderEpoch: c.leaderEpoch, Metadata: &noMetadata}
	if c.metadata != "" {
		metadata := c.metadata
		f.Metadata = &metadata
	}
	return f
}

func noOffset(p kafkaproto.PartitionID, err error) FetchedOffset {
	return FetchedOffset{
		Partition: p, Offset: kafkaproto.NoOffset, LeaderEpoch: kafkaproto.NoLeaderEpoch, Metadata: &noMetadata, Err: err,
	}
}

// noMetadata is what answers say where there is none; nobody writes to it.
var noMetadata = ""
