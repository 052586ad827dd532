package replication

import (
	"errors"
	"slices"
	"time"

	"github.com/streambus/streambus/internal/planted"
	"github.com/streambus/streambus/kafkaproto"
)

// AnyBrokerEpoch stands for a registration that is not known, which is let pass (KIP-903).
const AnyBrokerEpoch int64 = -1

// Peer is what the metadata says of a broker that could be in the ISR.
type Peer struct {
	ID     int32
	Epoch  int64 // of its registration
	Active bool  // neither fenced nor shutting down
}

// ISRMember is a replica with the registration whose fetches were counted.
type ISRMember struct {
	ID    int32
	Epoch int64
}

// Proposal is an ISR that a leader asks the controller for (AlterPartition).
type Proposal struct {
	LeaderEpoch    kafkaproto.LeaderEpoch
	PartitionEpoch int32 // of the state that it changes
	ISR            []ISRMember
	Joins, Leaves  []int32
}

// Decided is the state of a partition as the controller has decided it.
type Decided struct {
	Assignment
	PartitionEpoch int32
}

// View is what judging the ISR needs to know at a moment.
type View struct {
	Now        time.Time
	Lag        time.Duration // replica.lag.time.max.ms
	LeaderEnd  kafkaproto.Offset
	EpochStart kafkaproto.Offset
	High       kafkaproto.Offset
	Durable    bool
	Peers      []Peer
}

// tracked is what the leader knows of a follower's progress in time.
type tracked struct {
	id          int32
	brokerEpoch int64
	ends        Ends      // of its last fetch
	caughtUp    time.Time // when its log was last known to have been as long as the leader's
	fetched     time.Time // its last fetch, and the leader's end then
	leaderEnd   kafkaproto.Offset
}

// ISR decides on the leader who is to leave the in-sync replicas and who may come back, in one leader epoch. One proposal
// is in flight at a time: until the controller's answer, or metadata that is newer, nobody knows which of the two ISRs
// holds, and what Counted names counts for the high watermark beside the ISR. The zero value judges nothing. It is not
// safe for concurrent use.
type ISR struct {
	self    int32
	now     Decided
	pending *Proposal
	tracked []tracked
}

// NewISR begins a leader epoch. Members of the ISR, and later those who join it, have the lag's time to catch up.
func NewISR(self int32, d Decided, now time.Time) ISR {
	s := ISR{self: self}
	s.take(d, now)
	return s
}

// Members is the ISR as the controller last decided it, as far as it is known here.
func (s *ISR) Members() []int32 { return s.now.ISR }

// PartitionEpoch is the epoch of that decision.
func (s *ISR) PartitionEpoch() int32 { return s.now.PartitionEpoch }

// Pending is the proposal in flight, nil if there is none.
func (s *ISR) Pending() *Proposal { return s.pending }

// take adopts a decision and keeps what is known of replicas that stay.
func (s *ISR) take(d Decided, now time.Time) {
	next := make([]tracked, 0, len(d.Replicas))
	for _, id := range d.Replicas {
		if id == s.self {
			continue
		}
		t := tracked{id: id, brokerEpoch: AnyBrokerEpoch, ends: UnknownEnds, leaderEnd: kafkaproto.NoOffset}
		if known := s.find(id); known != nil {
			t = *known
		}
		if slices.Contains(d.ISR, id) && !slices.Contains(s.now.ISR, id) && now.After(t.caughtUp) {
			t.caughtUp = now // else one that came back by reaching the high watermark alone would have to leave at once
		}
		next = append(next, t)
	}
	s.now, s.tracked, s.pending = d, next, nil
}

func (s *ISR) find(id int32) *tracked {
	for i := range s.tracked {
		if s.tracked[i].id == id {
			return &s.tracked[i]
		}
	}
	return nil
}

// Fetched takes a follower's fetch: from which registration of its broker (AnyBrokerEpoch: it didn't say), how far its log
// reaches, and where the leader's ends. fresh says that this is another registration than before: what the leader knows
// of the replica's ends is not true any more (Leader.Forget). A fetch of an older registration is refused with
// NOT_LEADER_OR_FOLLOWER and must not be counted anywhere.
func (s *ISR) Fetched(now time.Time, id int32, brokerEpoch int64, e Ends, leaderEnd kafkaproto.Offset) (fresh bool, err error) {
	t := s.find(id)
	if t == nil {
		return false, nil
	}
	if brokerEpoch != AnyBrokerEpoch && brokerEpoch < t.brokerEpoch {
		return false, kafkaproto.ErrNotLeaderOrFollower.With("broker %d fetches with epoch %d, it has %d", id, brokerEpoch, t.brokerEpoch)
	}
	if fresh = t.brokerEpoch != AnyBrokerEpoch && brokerEpoch > t.brokerEpoch; fresh {
		*t = tracked{id: id, ends: UnknownEnds, leaderEnd: kafkaproto.NoOffset}
	}
	switch {
	case e.Written >= leaderEnd:
		t.caughtUp = now
	case t.leaderEnd >= 0 && e.Written >= t.leaderEnd && t.fetched.After(t.caughtUp):
		t.caughtUp = t.fetched
	}
	t.brokerEpoch = max(t.brokerEpoch, brokerEpoch)
	t.ends = Ends{Written: e.Written, Flushed: min(e.Flushed, e.Written)}
	t.fetched, t.leaderEnd = now, max(t.leaderEnd, leaderEnd)
	return fresh, nil
}

// inTime says whether a replica is as far as the leader, or was within the lag.
func (t *tracked) inTime(v View) bool {
	return t.ends.Written == v.LeaderEnd || !t.caughtUp.IsZero() && v.Now.Sub(t.caughtUp) <= v.Lag
}

// eligible says whether a replica's broker may be in an ISR, and is the one whose fetches were counted.
func (t *tracked) eligible(v View) bool {
	i := slices.IndexFunc(v.Peers, func(p Peer) bool { return p.ID == t.id })
	return i >= 0 && v.Peers[i].Active && (t.brokerEpoch == AnyBrokerEpoch || t.brokerEpoch == v.Peers[i].Epoch)
}

// reached says whether a replica holds all that is committed: the high watermark and what earlier epochs may have
// committed. Under `always` it holds what is flushed, else joining would put the high watermark above its flushed end.
func (t *tracked) reached(v View) bool {
	if planted.Is(planted.JoinsBehind) {
		return !t.fetched.IsZero()
	}
	held := t.ends.Written
	if v.Durable {
		held = t.ends.Flushed
	}
	return held >= v.High && t.ends.Written >= v.EpochStart && !t.fetched.IsZero()
}

// Propose is the change of the ISR that is due, and false if there is none or one is in flight. The proposal is then in
// flight.
func (s *ISR) Propose(v View) (Proposal, bool) {
	if s.pending != nil {
		return Proposal{}, false
	}
	p := Proposal{LeaderEpoch: s.now.Epoch, PartitionEpoch: s.now.PartitionEpoch}
	for _, id := range s.now.Replicas {
		t, in := s.find(id), slices.Contains(s.now.ISR, id)
		switch {
		case t == nil:
			p.ISR = append(p.ISR, ISRMember{id, s.selfEpoch(v)})
		case in && !t.inTime(v):
			p.Leaves = append(p.Leaves, id)
		case in:
			p.ISR = append(p.ISR, ISRMember{id, t.brokerEpoch})
		case t.eligible(v) && t.reached(v):
			p.Joins = append(p.Joins, id)
			p.ISR = append(p.ISR, ISRMember{id, t.brokerEpoch})
		}
	}
	if len(p.Joins)+len(p.Leaves) == 0 {
		return Proposal{}, false
	}
	s.pending = &p
	return p, true
}

func (s *ISR) selfEpoch(v View) int64 {
	for _, p := range v.Peers {
		if p.ID == s.self {
			return p.Epoch
		}
	}
	return AnyBrokerEpoch
}

// Counted are the replicas that hold back the high watermark though they are not in the ISR: those of a proposal in
// flight, which may be in it already (KIP-497's maximal ISR), and those that are about to join, for the high watermark
// would else run away from them. For Leader.Hold.
func (s *ISR) Counted(v View) []int32 {
	var out []int32
	for i := range s.tracked {
		t := &s.tracked[i]
		if slices.Contains(s.now.ISR, t.id) {
			continue
		}
		joins := s.pending != nil && slices.Contains(s.pending.Joins, t.id)
		if joins || t.inTime(v) && t.eligible(v) {
			out = append(out, t.id)
		}
	}
	return out
}

// Answered takes the controller's answer to a proposal: the partition as it is now, or an error. changed says that the ISR
// must be told to the Leader, retry that the same proposal must be sent again because it is not known whether it was
// carried out. With other errors the proposal stays in flight until newer metadata ends it (Decide).
func (s *ISR) Answered(p Proposal, d Decided, err error, now time.Time) (changed, retry bool) {
	if s.pending == nil || p.LeaderEpoch != s.pending.LeaderEpoch || p.PartitionEpoch != s.pending.PartitionEpoch {
		return false, false
	}
	switch {
	case err == nil:
		if d.Epoch != s.now.Epoch || d.PartitionEpoch < s.now.PartitionEpoch {
			return false, false // of another epoch, or older than what is known
		}
		s.take(d, now)
		return true, false
	case errors.Is(err, kafkaproto.ErrIneligibleReplica), errors.Is(err, kafkaproto.ErrOperationNotAttempted):
		s.pending = nil // it says that nothing was, or ever will be, changed by it
		return true, false
	case oneOf(err, kafkaproto.ErrUnknownTopicOrPartition, kafkaproto.ErrUnknownTopicID, kafkaproto.ErrFencedLeaderEpoch,
		kafkaproto.ErrInvalidUpdateVersion, kafkaproto.ErrInvalidRequest, kafkaproto.ErrNewLeaderElected):
		return false, false
	default:
		return false, true
	}
}

func oneOf(err error, kinds ...error) bool {
	return slices.ContainsFunc(kinds, func(k error) bool { return errors.Is(err, k) })
}

// Decide takes metadata of the same leader epoch, and says whether it is newer than what is known. It ends the proposal in
// flight: whichever was decided, this is it.
func (s *ISR) Decide(d Decided, now time.Time) bool {
	if d.Epoch != s.now.Epoch || d.PartitionEpoch <= s.now.PartitionEpoch {
		return false
	}
	s.take(d, now)
	return true
}
