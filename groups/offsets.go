package groups

import (
	"slices"
	"strings"

	"github.com/streambus/streambus/kafkaproto"
)

// topicOffsets are the committed offsets of one topic in one group: the bulk of what a machine holds, so most of them take
// 40 bytes.
type topicOffsets struct {
	id      kafkaproto.TopicID // of most of the entries
	entries []offsetEntry      // by partition
}

type offsetEntry struct {
	partition   kafkaproto.PartitionID
	leaderEpoch kafkaproto.LeaderEpoch
	offset      kafkaproto.Offset
	record      int64
	at          kafkaproto.Timestamp
	more        *offsetDetail // what few offsets have; never changed once it is made
}

type offsetDetail struct {
	metadata string
	expire   kafkaproto.Timestamp
	topicID  kafkaproto.TopicID
}

func (t *topicOffsets) find(p kafkaproto.PartitionID) (int, bool) {
	n := len(t.entries)
	if n > 0 && t.entries[n-1].partition < p {
		return n, false // offsets often come in order
	}
	return slices.BinarySearchFunc(t.entries, p, func(e offsetEntry, p kafkaproto.PartitionID) int { return int(e.partition) - int(p) })
}

func (t *topicOffsets) get(p kafkaproto.PartitionID) (committed, bool) {
	i, ok := t.find(p)
	if !ok {
		return committed{}, false
	}
	return t.at(i), true
}

func (t *topicOffsets) at(i int) committed {
	e := &t.entries[i]
	c := committed{
		offset: e.offset, leaderEpoch: e.leaderEpoch, at: e.at, record: e.record, expire: kafkaproto.NoTimestamp, topicID: t.id,
	}
	if e.more != nil {
		c.metadata, c.expire, c.topicID = e.more.metadata, e.more.expire, e.more.topicID
	}
	return c
}

// put stores an offset. Its metadata is copied if it is kept.
func (t *topicOffsets) put(p kafkaproto.PartitionID, c *committed) {
	if len(t.entries) == 0 {
		t.id = c.topicID
	}
	i, ok := t.find(p)
	if !ok {
		t.entries = slices.Insert(t.entries, i, offsetEntry{partition: p})
	}
	e := &t.entries[i]
	e.leaderEpoch, e.offset, e.record, e.at = c.leaderEpoch, c.offset, c.record, c.at
	switch {
	case c.metadata == "" && c.expire == kafkaproto.NoTimestamp && c.topicID == t.id:
		e.more = nil
	case e.more == nil || e.more.metadata != c.metadata || e.more.expire != c.expire || e.more.topicID != c.topicID:
		e.more = &offsetDetail{metadata: strings.Clone(c.metadata), expire: c.expire, topicID: c.topicID}
	}
}

// putOffset stores an offset of a group, keeping nothing of the strings' memory.
func (g *group) putOffset(topic string, p kafkaproto.PartitionID, c *committed) {
	g.gone = false
	t := g.topics[topic]
	if t == nil {
		if g.topics == nil {
			g.topics = map[string]*topicOffsets{}
		}
		t = &topicOffsets{}
		g.topics[strings.Clone(topic)] = t
	}
	t.put(p, c)
}

func (g *group) offset(topic string, p kafkaproto.PartitionID) (committed, bool) {
	if t := g.topics[topic]; t != nil {
		return t.get(p)
	}
	return committed{}, false
}

func (g *group) removeOffset(topic string, p kafkaproto.PartitionID) {
	t := g.topics[topic]
	if t == nil {
		return
	}
	if i, ok := t.find(p); ok {
		t.entries = slices.Delete(t.entries, i, i+1)
	}
	if len(t.entries) == 0 {
		delete(g.topics, topic)
	}
}

// sortedTopics are the names of the topics with offsets.
func (g *group) sortedTopics() []string {
	out := make([]string, 0, len(g.topics))
	for name := range g.topics {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// eachOffset visits all committed offsets, by topic and partition, until visit returns false.
func (g *group) eachOffset(visit func(topic string, p kafkaproto.PartitionID, c committed) bool) {
	for _, name := range g.sortedTopics() {
		t := g.topics[name]
		for i := range t.entries {
			if !visit(name, t.entries[i].partition, t.at(i)) {
				return
			}
		}
	}
}
