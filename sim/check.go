package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// checks is what the run knows from the outside: what clients were told, what the metadata said, what disks held. Everything
// that is promised is held against it.
type checks struct {
	s        *Sim
	findings []string
	faults   int
	crashes  int // processes that ended without having stopped
	powered  int // those of them that lost power
	acks     int // acknowledged records
	read     int // records that consumers were shown
	parts    map[kafkaproto.TopicPartition]*partHistory
	lastTold map[groupPart]*commitHistory
	shares   map[groupGeneration]map[kafkaproto.TopicPartition]string
	leaders  map[leadership]leaderOf
}

// partHistory is what is known of a partition.
type partHistory struct {
	id    kafkaproto.TopicPartition
	rules topicRules
	ours  bool // one of the clients' topics
	// excused says why promises are off for this partition; empty while they hold.
	excused string
	acked   map[kafkaproto.Offset]ackedRecord
	made    map[string]bool
	shown   map[kafkaproto.Offset]record // to consumers
	high    kafkaproto.Offset            // the highest high watermark that a client was shown
	latest  listed                       // of the latest leader epoch
	fixed   []record                     // what is committed, by offset from fixedFrom on
	probed  map[*life]kafkaproto.Offset  // up to where a replica was compared
}

type ackedRecord struct {
	value string
	acks  int16
}

type leadership struct {
	id    kafkaproto.TopicPartition
	epoch kafkaproto.LeaderEpoch
}

type leaderOf struct {
	node, life int
}

func (c *checks) init(s *Sim) {
	c.s = s
	c.parts = map[kafkaproto.TopicPartition]*partHistory{}
	c.lastTold = map[groupPart]*commitHistory{}
	c.shares = map[groupGeneration]map[kafkaproto.TopicPartition]string{}
	c.leaders = map[leadership]leaderOf{}
}

func (c *checks) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.s.note("FOUND", "%s", text)
	if len(c.findings) < 10 {
		c.findings = append(c.findings, text)
	}
}

func (c *checks) failed() bool { return len(c.findings) > 0 }

func (c *checks) part(id kafkaproto.TopicPartition) *partHistory {
	h := c.parts[id]
	if h == nil {
		h = &partHistory{
			id: id, acked: map[kafkaproto.Offset]ackedRecord{}, made: map[string]bool{}, shown: map[kafkaproto.Offset]record{},
			probed: map[*life]kafkaproto.Offset{}, rules: topicRules{policy: c.s.plan.policy, minISR: 1},
		}
		for _, t := range c.s.topics {
			if t.id == id.Topic {
				h.rules, h.ours = t.rules, true
			}
		}
		c.parts[id] = h
	}
	return h
}

// order is all partitions, always in the same order.
func (c *checks) order() []*partHistory {
	out := make([]*partHistory, 0, len(c.parts))
	for _, h := range c.parts {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b *partHistory) int { return compareIDs(a.id, b.id) })
	return out
}

func compareIDs(a, b kafkaproto.TopicPartition) int {
	for i := range a.Topic {
		if a.Topic[i] != b.Topic[i] {
			return int(a.Topic[i]) - int(b.Topic[i])
		}
	}
	return int(a.Partition) - int(b.Partition)
}

// excuse takes the promises of a partition back, for a reason that the configuration allows.
func (c *checks) excuse(h *partHistory, why string) {
	if h.excused == "" {
		h.excused = why
		c.s.note("check", "%s: %s: records may be lost from here on", c.s.name(h.id), why)
	}
}

// crashed is told of every process that ends without having stopped, and excuses the partitions whose records need not survive
// it: under `interval` and `never` a record is in the page cache of the ISR alone. Where min.insync.replicas is two, one loss
// of power is survived, unless another process has crashed too: what kill -9 has left can't be told from what a power cut has,
// so of two such brokers neither is trusted, and who led last leads (KIP-966).
func (c *checks) crashed(power bool) {
	c.crashes++
	if power {
		c.powered++
	}
	if c.powered == 0 {
		return
	}
	for _, id := range c.all() {
		h := c.part(id)
		if h.rules.policy != always && (c.crashes > 1 || h.rules.minISR < 2) {
			c.excuse(h, "power was lost without a flush")
		}
	}
}

// all are the partitions of the metadata.
func (c *checks) all() (out []kafkaproto.TopicPartition) {
	for t := range c.s.quorum.image.Topics() {
		for _, p := range t.Partitions {
			out = append(out, kafkaproto.TopicPartition{Topic: t.ID, Partition: p.ID})
		}
	}
	return out
}

// metadata looks at what a batch of the controller's changed.
func (c *checks) metadata(old, next *controller.Image, changes controller.Changes) {
	for _, id := range changes.Topics {
		t, ok := next.TopicByID(id)
		if !ok {
			continue
		}
		before, _ := old.TopicByID(id)
		for i, p := range t.Partitions {
			if before != nil && i < len(before.Partitions) {
				c.changed(kafkaproto.TopicPartition{Topic: id, Partition: p.ID}, before.Partitions[i], p)
			}
		}
	}
}

func (c *checks) changed(id kafkaproto.TopicPartition, old, p *controller.Partition) {
	if old == p {
		return
	}
	h := c.part(id)
	switch {
	case p.LeaderEpoch < old.LeaderEpoch, p.PartitionEpoch < old.PartitionEpoch:
		c.fail("%s: epochs go back: leader epoch %d to %d, partition epoch %d to %d", c.s.name(id), old.LeaderEpoch, p.LeaderEpoch, old.PartitionEpoch, p.PartitionEpoch)
	case p.Leader >= 0 && old.Leader != p.Leader && p.LeaderEpoch == old.LeaderEpoch:
		c.fail("%s: nodes %d and %d lead in epoch %d", c.s.name(id), old.Leader, p.Leader, p.LeaderEpoch)
	}
	if old.Leader != p.Leader || old.LeaderEpoch != p.LeaderEpoch || !slices.Equal(old.ISR, p.ISR) {
		c.s.note("quorum", "%s: leader %d epoch %d isr %v elr %v (%d)", c.s.name(id), p.Leader, p.LeaderEpoch, p.ISR, p.ELR, p.PartitionEpoch)
	}
	if p.Leader >= 0 && p.Leader != old.Leader && !slices.Contains(old.ISR, p.Leader) && !slices.Contains(old.ELR, p.Leader) &&
		!slices.Contains(old.LastKnownELR, p.Leader) {
		if !h.rules.unclean {
			c.fail("%s: node %d was elected, which is neither in the ISR %v nor eligible %v", c.s.name(id), p.Leader, old.ISR, old.ELR)
		}
		c.excuse(h, fmt.Sprintf("node %d was elected though it may lack records", p.Leader))
	}
}

// made notes what a producer is about to send.
func (c *checks) made(id kafkaproto.TopicPartition, values []string) {
	h := c.part(id)
	for _, v := range values {
		h.made[v] = true
	}
}

// acked notes an acknowledgement.
func (c *checks) acked(id kafkaproto.TopicPartition, p *producer, base kafkaproto.Offset, values []string) {
	h := c.part(id)
	for i, v := range values {
		at := base + kafkaproto.Offset(i)
		if was, ok := h.acked[at]; ok && was.value != v && was.acks == p.acks && p.acks != 1 && h.excused == "" {
			c.fail("%s: offset %d was acknowledged for %s and for %s", c.s.name(id), at, short(was.value), short(v))
		}
		if was, ok := h.acked[at]; !ok || was.acks == 1 {
			h.acked[at] = ackedRecord{v, p.acks}
		}
	}
	c.acks += len(values)
	if p.acks != 1 && h.excused == "" {
		for i, v := range values {
			if r, ok := h.shown[base+kafkaproto.Offset(i)]; ok && r.value != v {
				c.fail("%s: offset %d was acknowledged for %s, consumers were shown %s there", c.s.name(id), base+kafkaproto.Offset(i), short(v), short(r.value))
			}
		}
	}
}

// short is a value without its padding.
func short(v string) string {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i] == '/' {
			return v[:i]
		}
	}
	return v
}

// producerRefused is told when the first batch that an idempotent producer has not settled is refused for its sequence.
func (c *checks) producerRefused(id kafkaproto.TopicPartition, p *producer, b *outBatch, err error) {
	if h := c.part(id); h.excused == "" {
		c.fail("%s: %s, whose earlier batches are all acknowledged, is told %v for %s", c.s.name(id), p.name, err, short(b.values[0]))
	}
}

// seen notes a record that a consumer was shown.
func (c *checks) seen(id kafkaproto.TopicPartition, r record, who string) {
	h := c.part(id)
	c.read++
	if !h.made[r.value] {
		c.fail("%s: %s was shown %s at offset %d, which nobody has sent", c.s.name(id), who, short(r.value), r.offset)
		return
	}
	was, ok := h.shown[r.offset]
	if ok && was != r && h.excused == "" {
		c.fail("%s: offset %d was shown as %s of epoch %d, and %s was shown %s of epoch %d", c.s.name(id), r.offset, short(was.value), was.epoch, who, short(r.value), r.epoch)
		return
	}
	h.shown[r.offset] = r
	if a, ok := h.acked[r.offset]; ok && a.acks != 1 && a.value != r.value && h.excused == "" {
		c.fail("%s: offset %d was acknowledged for %s, %s was shown %s", c.s.name(id), r.offset, short(a.value), who, short(r.value))
	}
}

func (c *checks) shownHigh(id kafkaproto.TopicPartition, high kafkaproto.Offset) {
	h := c.part(id)
	h.high = max(h.high, high)
}

// outOfRange is told when a consumer that has read up to an offset is told that it does not exist.
func (c *checks) outOfRange(id kafkaproto.TopicPartition, from kafkaproto.Offset, who string) {
	if h := c.part(id); h.excused == "" {
		c.fail("%s: %s is told that offset %d is out of range", c.s.name(id), who, from)
	}
}

// latestKnown is the answer to ListOffsets of the latest leader epoch that anybody has got.
func (c *checks) latestKnown(id kafkaproto.TopicPartition) listed { return c.part(id).latest }

// latest takes an answer to ListOffsets; known is what the latest leader had said when the question was asked. A leader of
// an earlier epoch, which knows nothing of its successor, may be behind.
func (c *checks) latest(id kafkaproto.TopicPartition, a, known listed, who string) {
	h := c.part(id)
	if a.epoch >= known.epoch && a.offset < known.offset && h.excused == "" {
		c.fail("%s: the latest offset goes back from %d in epoch %d to %d in epoch %d, told to %s", c.s.name(id), known.offset, known.epoch, a.offset, a.epoch, who)
	}
	if a.epoch > h.latest.epoch || a.epoch == h.latest.epoch && a.offset > h.latest.offset {
		h.latest = a
	}
	h.high = max(h.high, a.offset)
}

// leads notes that a process leads in an epoch.
func (c *checks) leads(id kafkaproto.TopicPartition, epoch kafkaproto.LeaderEpoch, l *life) {
	k, now := leadership{id, epoch}, leaderOf{int(l.n.id), l.no}
	if was, ok := c.leaders[k]; ok && was != now {
		c.fail("%s: node %d in life %d and node %d in life %d lead in epoch %d", c.s.name(id), was.node, was.life, now.node, now.life, epoch)
	}
	c.leaders[k] = now
}

var errUnreadable = errors.New("the log can't be read")
