package groups

import (
	"slices"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// expireOffsets removes what nobody has used for offsets.retention.minutes, and empty groups without offsets (KIP-211). Kafka:
// GroupCoordinatorShard.cleanupGroupMetadata.
func (m *Machine) expireOffsets() {
	var found []*group
	for _, g := range m.groups {
		if m.hasExpired(g) {
			found = append(found, g)
		}
	}
	sortGroups(found)
	m.res.Loose = true
	for _, g := range found {
		if !m.expireGroup(g) {
			m.armExpiry(time.Millisecond) // there is more
			return
		}
	}
	m.armExpiry(m.o.RetentionCheck)
}

// hasExpired looks for an offset that has expired, or for a group that may go.
func (m *Machine) hasExpired(g *group) bool {
	for name, t := range g.topics {
		for i := range t.entries {
			if m.isExpired(g, name, t.entries[i].partition, t.at(i)) {
				return true
			}
		}
	}
	return m.mayGo(g) && len(g.topics) == 0
}

// mayGo tells whether nothing but offsets keeps a group.
func (m *Machine) mayGo(g *group) bool {
	return g.state == empty && len(g.pending) == 0 && len(g.open) == 0
}

// expireGroup writes tombstones for expired offsets, and for the group if none is left. False if the step is full.
func (m *Machine) expireGroup(g *group) bool {
	kept, full := false, false
	g.eachOffset(func(topic string, p kafkaproto.PartitionID, c committed) bool {
		if !m.isExpired(g, topic, p, c) {
			kept = true
			return true
		}
		if full = m.fullOfTombstones(g, topic); full {
			return false
		}
		m.record(offsetTombstone(g.id, topic, p))
		return true
	})
	if full {
		return false
	}
	if !kept && m.mayGo(g) {
		if m.fullOfTombstones(g, "") {
			return false
		}
		m.record(groupTombstone(g.id))
	}
	return true
}

// fullOfTombstones tells whether a step had better leave more of such to the next one.
func (m *Machine) fullOfTombstones(g *group, topic string) bool {
	fit := m.batchBytes() / (offsetOverhead + len(g.id) + len(topic))
	return len(m.res.Records) >= max(min(mostTombstones, fit), 1)
}

// isExpired tells whether an offset may go. One in an open transaction may not, nor one that a live member may read.
func (m *Machine) isExpired(g *group, topic string, p kafkaproto.PartitionID, c committed) bool {
	since := c.at
	switch {
	case g.protocolType == "": // a simple consumer's, which has no other sign of life than its commits
	case g.state == empty:
		if g.stateAt != kafkaproto.NoTimestamp {
			since = g.stateAt
		}
	case g.state == stable && g.isConsumer() && g.knowsTopics:
	default:
		return false
	}
	now := stamp(m.now)
	over := int64(now-since) >= m.o.OffsetRetention.Milliseconds()
	if c.expire != kafkaproto.NoTimestamp {
		over = now >= c.expire
	}
	return over && !g.subscribes(topic) && !m.isPending(g, topic, p)
}

func sortGroups(gs []*group) {
	slices.SortFunc(gs, func(a, b *group) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
}

// sortedGroups are all groups by id.
func (m *Machine) sortedGroups() []*group {
	out := make([]*group, 0, len(m.groups))
	for _, g := range m.groups {
		out = append(out, g)
	}
	sortGroups(out)
	return out
}
