package groups

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// commitOffsets stores offsets. Kafka: OffsetMetadataManager.commitOffset.
func (m *Machine) commitOffsets(t machine.Ticket, in *OffsetCommit) {
	if err := m.mayCommit(in); err != nil {
		m.answer(t, nil, err)
		return
	}
	expire := kafkaproto.NoTimestamp
	if in.Retention >= 0 {
		expire = stamp(m.now.Add(in.Retention))
	}
	m.writeOffsets(t, in.Group, in.Offsets, expire)
}

// mayCommit checks whose offsets these are. A group without members takes them from anyone who claims no generation. In a
// group with members a commit is a sign of life, too.
func (m *Machine) mayCommit(in *OffsetCommit) error {
	g := m.groups[in.Group]
	switch {
	case len(in.Group) > longestString:
		return kafkaproto.ErrInvalidGroupID
	case g == nil && in.Generation < 0:
		return nil
	case g == nil && in.KnowsGroupIDNotFound:
		return kafkaproto.ErrGroupIDNotFound
	case g == nil:
		return kafkaproto.ErrIllegalGeneration
	case in.Generation < 0 && g.state == empty:
		return nil
	case in.Generation < 0 && in.MemberID == "" && in.InstanceID == nil:
		return kafkaproto.ErrUnknownMemberID
	}
	mb, err := g.validate(in.MemberID, in.InstanceID)
	switch {
	case err != nil:
		return err
	case in.Generation != g.generation:
		return kafkaproto.ErrIllegalGeneration
	case g.state == completingRebalance:
		return kafkaproto.ErrRebalanceInProgress
	}
	m.newSession(g, mb)
	return nil
}

// writeOffsets makes a record of each row that is fine, all in one piece of memory, and answers for each.
func (m *Machine) writeOffsets(t machine.Ticket, group string, rows []CommitOffset, expire kafkaproto.Timestamp) {
	out := make([]OffsetCommitAnswer, len(rows))
	records, size := 0, 0
	for i := range rows {
		r := &rows[i]
		out[i] = OffsetCommitAnswer{Topic: r.Topic, Partition: r.Partition}
		if tooLong(r.Metadata, m.o.MaxMetadataBytes) || len(r.Topic) > longestString {
			out[i].Err = kafkaproto.ErrOffsetMetadataTooLarge
			continue
		}
		records++
		size += offsetOverhead + len(group) + len(r.Topic)
		if r.Metadata != nil {
			size += len(*r.Metadata)
		}
	}
	if size > m.batchBytes() {
		m.answer(t, nil, kafkaproto.ErrInvalidCommitOffsetSize)
		return
	}
	m.answer(t, out, nil)
	if records == 0 {
		return
	}
	m.res.Records = make([]machine.Record, 0, records)
	buf := make([]byte, 0, size)
	for i := range rows {
		if out[i].Err == nil {
			var r machine.Record
			r, buf = m.offsetRecord(buf, group, &rows[i], expire)
			m.record(r)
		}
	}
}

func (m *Machine) offsetRecord(buf []byte, group string, row *CommitOffset, expire kafkaproto.Timestamp) (machine.Record, []byte) {
	c := committed{offset: row.Offset, leaderEpoch: row.LeaderEpoch, at: stamp(m.now), expire: expire, topicID: row.TopicID}
	if row.Metadata != nil {
		c.metadata = *row.Metadata
	}
	if row.Timestamp != nil {
		c.at = *row.Timestamp
	}
	return appendOffset(buf, group, row.Topic, row.Partition, &c)
}

// tooLong measures metadata as Java does, in UTF-16 units, which are never more than the bytes here.
func tooLong(metadata *string, most int) bool {
	switch {
	case metadata == nil:
		return false
	case len(*metadata) > longestString:
		return true
	case len(*metadata) <= most:
		return false
	}
	units := 0
	for s := *metadata; s != ""; {
		r, n := utf8.DecodeRuneInString(s)
		units += max(utf16.RuneLen(r), 1)
		s = s[n:]
	}
	return units > most
}
