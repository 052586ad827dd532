package groups

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// Replay takes in a record of the partition at its offset: one that Step made, or at load what the log holds. Nothing of its
// memory is kept. Records of newer kinds of groups (KIP-848, share, streams) are passed over, as Kafka passes over kinds that
// it doesn't know; what can't be decoded is an error.
func (m *Machine) Replay(offset int64, p machine.Producer, r machine.Record) error {
	if len(r.Key) < 2 {
		return fmt.Errorf("groups: record %d has a key of %d bytes", offset, len(r.Key))
	}
	switch version := int16(binary.BigEndian.Uint16(r.Key)); {
	case version < 0:
		return fmt.Errorf("groups: record %d has a key of version %d", offset, version)
	case version <= offsetKeyVersion:
		return m.replayOffset(offset, p, r)
	case version == groupKeyVersion:
		return m.replayGroup(offset, r)
	}
	return nil
}

func (m *Machine) replayOffset(offset int64, p machine.Producer, r machine.Record) error {
	var key kmsg.OffsetCommitKey
	if err := key.UnsafeReadFrom(r.Key); err != nil {
		return fmt.Errorf("groups: key of record %d: %w", offset, err)
	}
	partition := kafkaproto.PartitionID(key.Partition)
	g := m.groups[key.Group]
	if r.Value == nil {
		if g != nil {
			g.removeOffset(key.Topic, partition)
			m.removePending(g, key.Topic, partition)
		}
		return nil
	}
	c, err := readOffset(offset, r.Value)
	if err != nil {
		return err
	}
	if g == nil {
		g = m.makeGroup(key.Group)
	}
	if p.ID < 0 {
		g.putOffset(key.Topic, partition, &c)
	} else {
		m.putPending(p.ID, g, key.Topic, partition, &c)
	}
	return nil
}

// makeGroup makes the simple group that offsets without a group's record belong to.
func (m *Machine) makeGroup(id string) *group {
	g := newGroup(id)
	m.groups[g.id] = g
	return g
}

// readOffset reads the value of an offset's record, whose metadata stays part of value.
func readOffset(offset int64, value []byte) (committed, error) {
	if err := knownVersion(offset, value); err != nil {
		return committed{}, err
	}
	var v kmsg.OffsetCommitValue
	if err := v.UnsafeReadFrom(value); err != nil {
		return committed{}, fmt.Errorf("groups: value of record %d: %w", offset, err)
	}
	c := committed{
		offset: kafkaproto.Offset(v.Offset), leaderEpoch: kafkaproto.NoLeaderEpoch, metadata: v.Metadata,
		at: kafkaproto.Timestamp(v.CommitTimestamp), expire: kafkaproto.NoTimestamp, topicID: v.TopicID, record: offset,
	}
	if v.Version >= 3 {
		c.leaderEpoch = kafkaproto.LeaderEpoch(v.LeaderEpoch)
	}
	if v.Version == offsetExpireValueVersion {
		c.expire = kafkaproto.Timestamp(v.ExpireTimestamp)
	}
	return c, nil
}

func knownVersion(offset int64, value []byte) error {
	if len(value) < 2 {
		return fmt.Errorf("groups: record %d has a value of %d bytes", offset, len(value))
	}
	if v := int16(binary.BigEndian.Uint16(value)); v < 0 || v > latestValueVersion {
		return fmt.Errorf("groups: record %d has a value of version %d, later than %d", offset, v, latestValueVersion)
	}
	return nil
}

func (m *Machine) replayGroup(offset int64, r machine.Record) error {
	var key kmsg.GroupMetadataKey
	if err := key.UnsafeReadFrom(r.Key); err != nil {
		return fmt.Errorf("groups: key of record %d: %w", offset, err)
	}
	g := m.groups[key.Group]
	if r.Value == nil {
		if g != nil {
			m.removeGroup(g)
		}
		return nil
	}
	if err := knownVersion(offset, r.Value); err != nil {
		return err
	}
	v := kmsg.NewGroupMetadataValue()
	if err := v.UnsafeReadFrom(r.Value); err != nil {
		return fmt.Errorf("groups: value of record %d: %w", offset, err)
	}
	if g == nil {
		g = m.makeGroup(key.Group)
	}
	if m.live && len(g.members) > 0 {
		g.confirm(&v)
	} else {
		g.load(&v)
	}
	return nil
}

// removeGroup forgets a group. Offsets that it still has in open transactions come back with it if their marker says so.
func (m *Machine) removeGroup(g *group) {
	if len(g.topics) == 0 && len(g.open) == 0 {
		delete(m.groups, g.id)
		return
	}
	// A group that lost its record but not its offsets is a simple one.
	simple := newGroup(g.id)
	simple.topics, simple.open, simple.gone = g.topics, g.open, len(g.topics) == 0
	m.groups[g.id] = simple
}

// confirm takes in the record of a group with members, which Step has just made of it: from now on its assignments hold. The
// record that only says that a new group exists changes nothing.
func (g *group) confirm(v *kmsg.GroupMetadataValue) {
	if len(v.Members) == 0 {
		return
	}
	for i := range v.Members {
		w := &v.Members[i]
		if mb := g.members[w.MemberID]; mb != nil && !bytes.Equal(mb.assignment, w.Assignment) {
			mb.assignment = bytes.Clone(w.Assignment)
		}
	}
	if g.state == completingRebalance {
		g.previous, g.state = completingRebalance, stable
	}
}

// load makes the group what its record says. Its offsets and pending ids stay.
func (g *group) load(v *kmsg.GroupMetadataValue) {
	g.members, g.order, g.static, g.supported = nil, nil, nil, nil
	g.generation, g.stateAt = v.Generation, kafkaproto.Timestamp(v.CurrentStateTimestamp)
	g.protocolType, g.protocol, g.leader = strings.Clone(v.ProtocolType), cloneString(v.Protocol), ""
	g.previous, g.state, g.gone = empty, empty, false
	for i := range v.Members {
		if mb := loadMember(&v.Members[i], v); g.members[mb.id] == nil {
			g.add(mb)
			g.state = stable
		}
	}
	if v.Leader != nil && g.members[*v.Leader] != nil {
		g.leader = strings.Clone(*v.Leader)
	}
	g.learnTopics()
}

func loadMember(w *kmsg.GroupMetadataValueMember, v *kmsg.GroupMetadataValue) *member {
	mb := &member{
		id: strings.Clone(w.MemberID), instance: cloneString(w.InstanceID), clientID: strings.Clone(w.ClientID),
		clientHost: strings.Clone(w.ClientHost), sessionTimeout: time.Duration(w.SessionTimeoutMillis) * time.Millisecond,
		rebalanceTimeout: time.Duration(w.RebalanceTimeoutMillis) * time.Millisecond,
		protocolType:     strings.Clone(v.ProtocolType), assignment: bytes.Clone(w.Assignment),
	}
	if w.RebalanceTimeoutMillis == -1 {
		mb.rebalanceTimeout = mb.sessionTimeout
	}
	if v.Protocol != nil {
		mb.protocols = []Protocol{{Name: strings.Clone(*v.Protocol), Metadata: bytes.Clone(w.Subscription)}}
	}
	return mb
}
