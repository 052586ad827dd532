package sim

import (
	"github.com/streambus/streambus/kafkaproto"
)

// groupPart is a partition as a group commits offsets of it.
type groupPart struct {
	group string
	id    kafkaproto.TopicPartition
}

// commitHistory is what a group has committed of a partition.
type commitHistory struct {
	acked kafkaproto.Offset // the highest that was acknowledged; -1: none
	sent  kafkaproto.Offset // the highest that was asked for
}

type groupGeneration struct {
	group      string
	generation int32
}

func (c *checks) commitsOf(g *group, id kafkaproto.TopicPartition) *commitHistory {
	k := groupPart{g.name, id}
	h := c.lastTold[k]
	if h == nil {
		h = &commitHistory{acked: -1, sent: -1}
		c.lastTold[k] = h
	}
	return h
}

// offsetsExcused says whether the coordinator's own log may have lost something.
func (c *checks) offsetsExcused(g *group) bool {
	return c.part(kafkaproto.TopicPartition{Topic: c.s.offsets, Partition: kafkaproto.PartitionID(g.shard)}).excused != ""
}

// commits are the offsets that are acknowledged now, for committedAt.
func (c *checks) commits(g *group) map[kafkaproto.TopicPartition]kafkaproto.Offset {
	out := map[kafkaproto.TopicPartition]kafkaproto.Offset{}
	for _, id := range g.parts {
		out[id] = c.commitsOf(g, id).acked
	}
	return out
}

func (c *checks) commitSent(g *group, at map[kafkaproto.TopicPartition]kafkaproto.Offset) {
	for id, o := range at {
		h := c.commitsOf(g, id)
		h.sent = max(h.sent, o)
	}
}

func (c *checks) commitAcked(g *group, id kafkaproto.TopicPartition, at kafkaproto.Offset) {
	h := c.commitsOf(g, id)
	if at < h.acked && !c.offsetsExcused(g) && c.part(id).excused == "" {
		c.fail("group %s: the offset committed of %s goes back from %d to %d", g.name, c.s.name(id), h.acked, at)
	}
	h.acked = max(h.acked, at)
}

// committedAt takes an answer to OffsetFetch; known is what had been acknowledged when it was asked for.
func (c *checks) committedAt(g *group, id kafkaproto.TopicPartition, at, known kafkaproto.Offset, who string) {
	if c.offsetsExcused(g) || c.part(id).excused != "" {
		return
	}
	h := c.commitsOf(g, id)
	switch {
	case at < known:
		c.fail("group %s: %s is told that offset %d of %s was committed, but %d was acknowledged", g.name, who, at, c.s.name(id), known)
	case at > h.sent:
		c.fail("group %s: %s is told that offset %d of %s was committed, which nobody did", g.name, who, at, c.s.name(id))
	}
}

// assigned takes what a member was given in a generation: no partition twice.
func (c *checks) assigned(g *group, generation int32, member string, owned []kafkaproto.TopicPartition) {
	if c.offsetsExcused(g) {
		return // a generation that was lost comes again
	}
	k := groupGeneration{g.name, generation}
	if c.shares[k] == nil {
		c.shares[k] = map[kafkaproto.TopicPartition]string{}
	}
	for _, id := range owned {
		if other, ok := c.shares[k][id]; ok && other != member {
			c.fail("group %s, generation %d: %s belongs to %s and to %s", g.name, generation, c.s.name(id), other, member)
		}
		c.shares[k][id] = member
	}
}
