package groups

import (
	"cmp"
	"slices"
	"strings"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// transaction holds the offsets that a producer has sent and whose marker has not come.
type transaction struct {
	offsets map[offsetName]committed
	groups  map[string]struct{} // that list it as open
}

// offsetName names an offset among those of all groups.
type offsetName struct {
	group, topic string
	partition    kafkaproto.PartitionID
}

// commitTxnOffsets makes offsets part of a transaction (KIP-98, KIP-447). Kafka: OffsetMetadataManager.commitTransactionalOffset.
func (m *Machine) commitTxnOffsets(t machine.Ticket, in *TxnOffsetCommit) {
	if err := m.mayCommitTxn(in); err != nil {
		m.answer(t, nil, err)
		return
	}
	m.writeOffsets(t, in.Group, in.Offsets, kafkaproto.NoTimestamp)
	if len(m.res.Records) > 0 {
		p := in.Producer
		m.res.Producer = &p
	}
}

func (m *Machine) mayCommitTxn(in *TxnOffsetCommit) error {
	g := m.groups[in.Group]
	switch {
	case len(in.Group) > longestString:
		return kafkaproto.ErrInvalidGroupID
	case in.Producer.ID < 0:
		return kafkaproto.ErrInvalidProducerIDMapping
	case g == nil && in.Generation >= 0:
		return kafkaproto.ErrIllegalGeneration
	case g == nil, in.Generation < 0 && g.state == empty:
		return nil
	case in.Generation >= 0 || in.MemberID != "" || in.InstanceID != nil:
		if _, err := g.validate(in.MemberID, in.InstanceID); err != nil {
			return err
		}
		if in.Generation != g.generation {
			return kafkaproto.ErrIllegalGeneration
		}
	}
	return nil // an old producer, which says nothing of its group
}

// putPending notes an offset of an open transaction.
func (m *Machine) putPending(producer int64, g *group, topic string, p kafkaproto.PartitionID, c *committed) {
	txn := m.txns[producer]
	if txn == nil {
		txn = &transaction{offsets: map[offsetName]committed{}, groups: map[string]struct{}{}}
		m.txns[producer] = txn
	}
	if _, ok := txn.groups[g.id]; !ok {
		txn.groups[g.id] = struct{}{}
		g.open = append(g.open, producer)
	}
	kept := *c
	kept.metadata = strings.Clone(c.metadata)
	txn.offsets[offsetName{g.id, strings.Clone(topic), p}] = kept
}

// isPending tells whether an open transaction has the offset.
func (m *Machine) isPending(g *group, topic string, p kafkaproto.PartitionID) bool {
	for _, producer := range g.open {
		if _, ok := m.txns[producer].offsets[offsetName{g.id, topic, p}]; ok {
			return true
		}
	}
	return false
}

// removePending forgets an offset in all open transactions, which stay open even if they have no other.
func (m *Machine) removePending(g *group, topic string, p kafkaproto.PartitionID) {
	for _, producer := range g.open {
		delete(m.txns[producer].offsets, offsetName{g.id, topic, p})
	}
}

// pendingOffsets are the names of a group's offsets in open transactions, each once, in order.
func (m *Machine) pendingOffsets(g *group) []offsetName {
	var out []offsetName
	for _, producer := range g.open {
		for name := range m.txns[producer].offsets {
			if name.group == g.id {
				out = append(out, name)
			}
		}
	}
	slices.SortFunc(out, func(a, b offsetName) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return slices.Compact(out)
}

// ReplayMarker takes in the end of a transaction: what it left pending counts from now on, or is forgotten. An offset that was
// committed behind the transaction's record stays, whatever order compaction has left them in.
func (m *Machine) ReplayMarker(_ int64, p machine.Producer, commit bool) {
	txn := m.txns[p.ID]
	if txn == nil {
		return
	}
	delete(m.txns, p.ID)
	if commit {
		for name, c := range txn.offsets {
			g := m.groups[name.group]
			if old, ok := g.offset(name.topic, name.partition); !ok || c.record > old.record {
				g.putOffset(name.topic, name.partition, &c)
			}
		}
	}
	for id := range txn.groups {
		g := m.groups[id] // removeGroup leaves it here
		g.open = slices.DeleteFunc(g.open, func(id int64) bool { return id == p.ID })
		if g.gone && len(g.open) == 0 {
			delete(m.groups, id)
		}
	}
}
