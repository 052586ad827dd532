package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

// group is a consumer group: all its members read all partitions of all topics.
type group struct {
	name  string
	shard int32 // partition of __consumer_offsets
	parts []kafkaproto.TopicPartition
}

// member is a consumer in a group: it joins, reads what it is assigned, commits, and joins again when it is told to.
type member struct {
	client
	g          *group
	id         string // as the coordinator knows it
	generation int32
	joins      int // counts memberships: what belongs to an earlier one is not acted upon
	dead       bool
	owned      []kafkaproto.TopicPartition
	positions  map[kafkaproto.TopicPartition]kafkaproto.Offset
	read       map[kafkaproto.TopicPartition]kafkaproto.LeaderEpoch // of the last record
	busy       bool                                                 // a request to the coordinator is on its way
}

const (
	memberSession   = 4 * time.Second
	memberRebalance = 3 * time.Second
	memberBeat      = 700 * time.Millisecond
)

func (s *Sim) addGroups() {
	var all []kafkaproto.TopicPartition
	for _, t := range s.topics {
		for n := range t.partitions {
			all = append(all, t.partition(n))
		}
	}
	for i, members := range s.plan.membersOf {
		g := &group{name: fmt.Sprintf("g%d", i), parts: all}
		g.shard = groups.PartitionFor(g.name, int32(s.plan.groupShards))
		s.groups = append(s.groups, g)
		for n := range members {
			m := &member{client: client{s: s, name: fmt.Sprintf("g%dm%d", i, n)}, g: g}
			s.members = append(s.members, m)
			s.later(m.dice().between(0, time.Second), "member joins", m.join)
		}
	}
}

// coordinator asks the group's coordinator for something.
func (m *member) coordinator(input any, patience time.Duration, done func(any, error)) {
	to, _ := m.leader(kafkaproto.TopicPartition{Topic: m.s.offsets, Partition: kafkaproto.PartitionID(m.g.shard)})
	if to == 0 {
		m.refresh(func() { done(nil, errNet) })
		return
	}
	joins, shard := m.joins, m.g.shard
	m.ask(to, "/group", patience, func(l *life, reply func(any)) { l.coordinate(shard, input, reply) }, func(v any, err error) {
		if m.joins != joins || m.dead {
			return
		}
		a, ok := v.(answered)
		if err == nil && ok {
			v, err = a.value, a.err
		}
		if err != nil {
			if lostCoordinator(err) {
				m.refresh(func() {})
			}
			v = nil
		}
		done(v, err)
	})
}

func lostCoordinator(err error) bool {
	return errors.Is(err, errNet) || errors.Is(err, kafkaproto.ErrNotCoordinator) || errors.Is(err, kafkaproto.ErrCoordinatorNotAvailable)
}

// die ends the member without a word, and begins a new one later.
func (m *member) die(again time.Duration) {
	if m.dead {
		return
	}
	m.s.note(m.name, "dies")
	m.dead = true
	m.forget()
	m.s.later(again, "member comes back", func() {
		m.dead, m.id = false, ""
		m.join()
	})
}

// forget drops what belongs to a membership.
func (m *member) forget() {
	m.joins++
	m.owned, m.generation = nil, -1
	m.positions, m.read = map[kafkaproto.TopicPartition]kafkaproto.Offset{}, map[kafkaproto.TopicPartition]kafkaproto.LeaderEpoch{}
	m.busy = false
}

// join asks to become a member, or to stay one in the next generation.
func (m *member) join() {
	if m.dead {
		return
	}
	m.forget()
	in := groups.JoinGroup{
		Group: m.g.name, MemberID: m.id, ClientID: m.name, ClientHost: "/1.1.1.1", NewMemberID: fmt.Sprintf("%s-%d", m.name, m.joins),
		SessionTimeout: memberSession, RebalanceTimeout: memberRebalance, ProtocolType: "consumer",
		Protocols: []groups.Protocol{{Name: "range", Metadata: []byte("m")}},
	}
	m.coordinator(in, memberRebalance+2*requestTimeout, func(v any, err error) {
		a, ok := v.(groups.JoinGroupAnswer)
		if ok {
			err = a.Err
		}
		if err != nil {
			if errors.Is(err, kafkaproto.ErrUnknownMemberID) {
				m.id = ""
			}
			m.joinLater()
			return
		}
		m.id, m.generation = a.MemberID, a.Generation
		m.sync(a)
	})
}

func (m *member) joinLater() {
	joins := m.joins
	m.s.later(m.dice().between(50*time.Millisecond, 400*time.Millisecond), "member joins", func() {
		if m.joins == joins {
			m.join()
		}
	})
}

// sync brings the leader's assignment, or gets one's own.
func (m *member) sync(a groups.JoinGroupAnswer) {
	in := groups.SyncGroup{Group: m.g.name, MemberID: m.id, Generation: m.generation}
	if a.Leader == m.id {
		shares := make([][]byte, len(a.Members))
		for i := range m.g.parts {
			shares[i%len(a.Members)] = append(shares[i%len(a.Members)], byte(i))
		}
		for i, other := range a.Members {
			in.Assignments = append(in.Assignments, groups.Assignment{MemberID: other.MemberID, Data: shares[i]})
		}
	}
	m.coordinator(in, memberRebalance+requestTimeout, func(v any, err error) {
		s, ok := v.(groups.SyncGroupAnswer)
		if ok {
			err = s.Err
		}
		if err != nil {
			m.troubled(err)
			return
		}
		for _, i := range s.Assignment {
			m.owned = append(m.owned, m.g.parts[i])
		}
		m.s.note(m.name, "generation %d: %d partitions", m.generation, len(m.owned))
		m.s.check.assigned(m.g, m.generation, m.id, m.owned)
		m.fetchOffsets()
	})
}

// troubled joins again, as what sort of member the error allows.
func (m *member) troubled(err error) {
	switch {
	case errors.Is(err, kafkaproto.ErrUnknownMemberID):
		m.id = ""
	case lostCoordinator(err), errors.Is(err, kafkaproto.ErrRebalanceInProgress), errors.Is(err, kafkaproto.ErrIllegalGeneration),
		errors.Is(err, kafkaproto.ErrCoordinatorLoadInProgress):
	default:
		m.s.note(m.name, "trouble: %v", err)
	}
	m.joinLater()
}

// fetchOffsets asks where to go on.
func (m *member) fetchOffsets() {
	if len(m.owned) == 0 {
		m.begin()
		return
	}
	in := groups.OffsetFetch{Group: m.g.name, RequireStable: true}
	for _, id := range m.owned {
		in.Topics = append(in.Topics, groups.OffsetFetchTopic{Topic: m.s.topicName(id), Partitions: []kafkaproto.PartitionID{id.Partition}})
	}
	before := m.s.check.commits(m.g)
	m.coordinator(in, requestTimeout, func(v any, err error) {
		a, ok := v.(groups.OffsetFetchAnswer)
		if err != nil || !ok {
			m.troubled(err)
			return
		}
		for i, t := range a.Topics {
			id := m.owned[i]
			m.s.check.committedAt(m.g, id, t.Partitions[0].Offset, before[id], m.name)
			m.positions[id] = max(t.Partitions[0].Offset, 0)
			m.read[id] = t.Partitions[0].LeaderEpoch
			m.heard(id, t.Partitions[0].LeaderEpoch)
		}
		m.begin()
	})
}

// begin starts to read, to commit, and to send heartbeats.
func (m *member) begin() {
	joins := m.joins
	for _, id := range m.owned {
		m.poll(joins, id)
	}
	m.beat(joins)
	m.commitLater(joins)
}

func (m *member) again(joins int, what string, lo, hi time.Duration, do func()) {
	m.s.later(m.dice().between(lo, hi), what, func() {
		if m.joins == joins && !m.dead {
			do()
		}
	})
}

func (m *member) beat(joins int) {
	m.again(joins, "member beats", memberBeat/2, memberBeat, func() {
		m.coordinator(groups.Heartbeat{Group: m.g.name, MemberID: m.id, Generation: m.generation}, requestTimeout, func(_ any, err error) {
			switch {
			case err == nil, errors.Is(err, kafkaproto.ErrCoordinatorLoadInProgress), lostCoordinator(err):
				m.beat(joins)
			default:
				m.commitThenJoin(err)
			}
		})
	})
}

// commitThenJoin commits what was read, as far as that is still allowed, and joins again.
func (m *member) commitThenJoin(why error) {
	if !errors.Is(why, kafkaproto.ErrRebalanceInProgress) || m.busy {
		m.troubled(why)
		return
	}
	m.commit(func() { m.troubled(why) })
}

func (m *member) commitLater(joins int) {
	m.again(joins, "member commits", 500*time.Millisecond, 2*time.Second, func() {
		if m.busy {
			m.commitLater(joins)
			return
		}
		m.commit(func() { m.commitLater(joins) })
	})
}

// lastEpoch is the leader epoch of the last record that was read of a partition, -1 if there is none.
func (m *member) lastEpoch(id kafkaproto.TopicPartition) kafkaproto.LeaderEpoch {
	if epoch, ok := m.read[id]; ok {
		return epoch
	}
	return kafkaproto.NoLeaderEpoch
}

// commit stores the positions.
func (m *member) commit(done func()) {
	in := groups.OffsetCommit{Group: m.g.name, MemberID: m.id, Generation: m.generation, Retention: -1}
	at := map[kafkaproto.TopicPartition]kafkaproto.Offset{}
	for _, id := range m.owned {
		at[id] = m.positions[id]
		in.Offsets = append(in.Offsets, groups.CommitOffset{Topic: m.s.topicName(id), Partition: id.Partition, Offset: at[id], LeaderEpoch: m.lastEpoch(id)})
	}
	if len(in.Offsets) == 0 {
		done()
		return
	}
	m.busy = true
	m.s.check.commitSent(m.g, at)
	m.coordinator(in, requestTimeout, func(v any, err error) {
		m.busy = false
		if rows, ok := v.([]groups.OffsetCommitAnswer); ok && err == nil {
			for i, row := range rows {
				if row.Err == nil {
					m.s.check.commitAcked(m.g, m.owned[i], at[m.owned[i]])
				}
			}
		}
		done()
	})
}

// poll reads a partition again and again.
func (m *member) poll(joins int, id kafkaproto.TopicPartition) {
	m.again(joins, "member polls", 30*time.Millisecond, 250*time.Millisecond, func() {
		to, epoch := m.leader(id)
		if to == 0 {
			m.refresh(func() { m.poll(joins, id) })
			return
		}
		if m.dice().percent(10) {
			m.list(id, to, epoch)
		}
		from := m.positions[id]
		m.ask(to, "/fetch", requestTimeout, func(l *life, reply func(any)) { l.consume(id, epoch, from, reply) }, func(v any, err error) {
			if m.joins != joins || m.dead {
				return
			}
			f, ok := v.(fetched)
			if err == nil && ok {
				err = f.err
			}
			m.took(id, from, f, err)
			m.poll(joins, id)
		})
	})
}

// took takes what a read brought.
func (m *member) took(id kafkaproto.TopicPartition, from kafkaproto.Offset, f fetched, err error) {
	if err != nil {
		if errors.Is(err, kafkaproto.ErrOffsetOutOfRange) {
			m.s.check.outOfRange(id, from, m.name)
			m.positions[id] = 0
			return
		}
		m.refresh(func() {})
		return
	}
	next := from
	m.s.check.shownHigh(id, f.high)
	bad := parse(f.records, func(r record) {
		if r.offset >= from {
			m.s.check.seen(id, r, m.name)
			next = max(next, r.offset+1)
			m.read[id] = r.epoch
		}
	})
	if bad != nil {
		m.s.check.fail("%s was sent records of %s from %d on that can't be read: %v", m.name, m.s.name(id), from, bad)
	}
	m.positions[id] = next
}

// list asks for the latest offset, which must never go back.
func (m *member) list(id kafkaproto.TopicPartition, to int32, epoch kafkaproto.LeaderEpoch) {
	known := m.s.check.latestKnown(id)
	m.ask(to, "/list", requestTimeout, func(l *life, reply func(any)) { l.latest(id, epoch, reply) }, func(v any, err error) {
		if a, ok := v.(listed); ok && err == nil && a.err == nil {
			m.s.check.latest(id, a, known, m.name)
		}
	})
}
