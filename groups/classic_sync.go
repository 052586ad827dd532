package groups

import (
	"bytes"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// syncGroup gives members their assignments once the leader has brought them. Kafka: GroupMetadataManager.classicGroupSync.
func (m *Machine) syncGroup(t machine.Ticket, in SyncGroup) {
	g := m.groups[in.Group]
	mb, err := validateSync(g, &in)
	if err == nil && g.state == preparingRebalance {
		err = kafkaproto.ErrRebalanceInProgress
	}
	if err != nil {
		m.answer(t, SyncGroupAnswer{Err: err}, nil)
		return
	}
	g.synced(mb)
	if g.unsynced == 0 {
		m.disarmSync(g)
	}
	if g.state == stable {
		m.answer(t, g.assigned(mb.assignment), nil)
		return
	}
	m.parkSync(mb, t)
	if g.isLeader(mb.id) {
		m.assign(g, in.Assignments)
	}
}

func validateSync(g *group, in *SyncGroup) (*member, error) {
	if g == nil || g.state == empty {
		return nil, kafkaproto.ErrUnknownMemberID
	}
	mb, err := g.validate(in.MemberID, in.InstanceID)
	switch {
	case err != nil:
		return nil, err
	case in.Generation != g.generation:
		return nil, kafkaproto.ErrIllegalGeneration
	case differ(in.ProtocolType, g.protocolTypeOrNil()), differ(in.Protocol, g.protocol):
		return nil, kafkaproto.ErrInconsistentGroupProtocol
	}
	return mb, nil
}

// differ compares what a request claims, if it claims something, with what the group has, if it has something.
func differ(claimed, actual *string) bool {
	return claimed != nil && actual != nil && *claimed != *actual
}

// assign makes the leader's decision durable and tells it to all that wait; who comes later finds it when Replay has stored it.
func (m *Machine) assign(g *group, as []Assignment) {
	given := make(map[string][]byte, len(as))
	for _, a := range as {
		given[a.MemberID] = a.Data
	}
	of := func(mb *member) []byte { return given[mb.id] }
	r := groupRecord(g, of)
	if len(r.Key)+len(r.Value) > m.batchBytes() {
		// It would not fit into the log. Kafka finds that out there, and does the same.
		m.refuseSyncs(g, kafkaproto.ErrUnknownServerError)
		m.prepareRebalance(g)
		return
	}
	m.record(r)
	for _, mb := range g.order {
		if mb.sync.waiting {
			m.answerSync(mb, g.assigned(bytes.Clone(of(mb))))
			m.newSession(g, mb) // it may have ended unnoticed while the request waited
		}
	}
}

// assigned is the answer for a member of a stable group.
func (g *group) assigned(data []byte) SyncGroupAnswer {
	return SyncGroupAnswer{ProtocolType: g.protocolTypeOrNil(), Protocol: g.protocol, Assignment: data}
}

// refuseSyncs takes back the assignments of the generation and answers all that wait for them.
func (m *Machine) refuseSyncs(g *group, err error) {
	for _, mb := range g.order {
		mb.assignment = nil
		if mb.sync.waiting {
			m.answerSync(mb, SyncGroupAnswer{Err: err})
			m.newSession(g, mb)
		}
	}
}

// parkSync keeps the request until the leader has brought the assignments.
func (m *Machine) parkSync(mb *member, t machine.Ticket) {
	m.answerSync(mb, SyncGroupAnswer{Err: kafkaproto.ErrRebalanceInProgress}) // an earlier one, which the client has given up
	mb.sync = parked{ticket: t, waiting: true}
}

// answerSync lets a parked request go, if there is one.
func (m *Machine) answerSync(mb *member, a SyncGroupAnswer) {
	if mb.sync.waiting {
		m.answer(mb.sync.ticket, a, nil)
		mb.sync = parked{}
	}
}

// batchBytes is how large the records of one step that belong together may be.
func (m *Machine) batchBytes() int {
	if m.o.MaxBatchBytes > 0 {
		return m.o.MaxBatchBytes - batchOverhead
	}
	return defaultBatchBytes
}
