package quorum

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/streambus/streambus/controller"
)

// A dead process is noticed by its connection: when that breaks and a new one is refused, nobody listens there any more.
// What can't be told that way (a paused process, a cut link, a machine without power) is left to the session timeout, and
// for the leader of the quorum to raft's.

// Limits of looking whether a process is dead: its sockets may go one by one.
const (
	lookTimeout = 300 * time.Millisecond // of one connection
	lookPause   = 20 * time.Millisecond
	lookTries   = 15
	// lookAgain is the pause between two looks at a voter whose broker has not been heard of yet.
	lookAgain = 100 * time.Millisecond
)

// campaignTurn is how long each voter lets those before it stand for election, when their leader has died.
const campaignTurn = 100 * time.Millisecond

// suspect is a node whose connection broke.
type suspect struct {
	id      int32
	epoch   int64 // of its registration as a broker
	server  string
	address string // of its cluster listener
}

// dead says whether nobody listens at a node's address. False is no proof of life.
func (q *Quorum) dead(s suspect) bool {
	for range lookTries {
		c, _, err := q.stream.call(s.address, s.server, purposeProbe, lookTimeout)
		if err == nil {
			_ = c.Close()
			return false
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return true
		}
		if errors.Is(err, errRefused) || !q.stream.pause(lookPause) {
			return false
		}
	}
	return false
}

// brokerGone has a broker fenced if it is dead and this node leads.
func (q *Quorum) brokerGone(s suspect) {
	b, ok := q.fsm.image.Load().Broker(s.id)
	if s.address == "" || !ok || b.Fenced || b.Epoch != s.epoch || !q.leads() || !q.dead(s) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxForward)
	defer cancel()
	err := q.try(ctx, newCall(controller.FenceBroker{ID: s.id, Epoch: s.epoch})).err
	if err != nil {
		q.options.Logger.Warn("a broker that is dead was not fenced", "node", s.id, "error", err)
		return
	}
	q.options.Logger.Warn("broker fenced: its connection broke and nobody listens at its address", "node", s.id, "epoch", s.epoch, "address", s.address)
}

// lookAtVoters is what a new leader does: the one before it may have died with its broker, whose connection was to itself.
func (q *Quorum) lookAtVoters() {
	members := q.raft.Load().GetConfiguration()
	if members.Error() != nil {
		return
	}
	for _, server := range members.Configuration().Servers {
		id, ok := nodeOf(server.ID)
		b, known := q.fsm.image.Load().Broker(id)
		if !ok || !known || server.ID == q.id || b.Fenced {
			continue
		}
		q.spawn(func() {
			q.lookUntilHeard(suspect{id: id, epoch: b.Epoch, server: string(server.ID), address: string(server.Address)})
		})
	}
}

// lookUntilHeard looks again and again, because a voter may die after the first look and before its broker has a connection
// here that could break. When a session has gone by, that decides.
func (q *Quorum) lookUntilHeard(s suspect) {
	for range q.options.Defaults.Session()/lookAgain + 1 {
		q.brokerGone(s)
		b, ok := q.fsm.image.Load().Broker(s.id)
		if !ok || b.Fenced || b.Epoch != s.epoch || !q.leads() || q.hears(s) || !q.stream.pause(lookAgain) {
			return
		}
	}
}

// hears says whether heartbeats of a broker come over a connection that stands.
func (q *Quorum) hears(of suspect) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for s := range q.served {
		s.mu.Lock()
		found := s.beats && s.id == of.id && s.epoch == of.epoch
		s.mu.Unlock()
		if found {
			return true
		}
	}
	return false
}

// leaderGone stands for election at once when the leader is dead, instead of waiting until its silence is noticed. Voters
// take turns, so that they don't split the votes.
func (q *Quorum) leaderGone(server, address string) {
	r := q.raft.Load()
	term := r.CurrentTerm()
	turn, ok := q.turn(server)
	if !ok || !q.dead(suspect{server: server, address: address}) {
		return
	}
	if turn > 0 && !q.stream.pause(time.Duration(turn)*campaignTurn) {
		return
	}
	if _, leader := r.LeaderWithID(); r.CurrentTerm() != term || r.State() != raft.Follower || leader != "" && string(leader) != server {
		return
	}
	q.options.Logger.Info("the active controller is dead: standing for election", "dead", server)
	q.transport.campaign(q.id, q.config().ProtocolVersion)
}

// turn is this node's place among the voters without the one that died; not ok if it doesn't vote.
func (q *Quorum) turn(gone string) (int, bool) {
	members := q.raft.Load().GetConfiguration()
	if members.Error() != nil {
		return 0, false
	}
	var voters []raft.ServerID
	for _, s := range members.Configuration().Servers {
		if s.Suffrage == raft.Voter && string(s.ID) != gone {
			voters = append(voters, s.ID)
		}
	}
	slices.Sort(voters)
	i := slices.Index(voters, q.id)
	return i, i >= 0
}

// spawn runs f in a goroutine of its own, which Close waits for; not at all once that has begun.
func (q *Quorum) spawn(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	q.running.Go(f)
}

// Lease is until when this node's broker may take writes: the session timeout after the sending of its last heartbeat, or
// registration, that the controller answered. Until then no controller gives its leaderships away for silence. It counts on
// the monotonic clock; the zero time stands for none.
func (q *Quorum) Lease() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lease
}

// renew notes what an answer to a command that was sent at that time means for the lease.
func (q *Quorum) renew(c controller.Command, answer any, sent time.Time) {
	var id int32
	switch c := c.(type) {
	case controller.RegisterBroker:
		id = c.ID
	case controller.UnfenceBroker:
		id = c.ID
	case controller.BrokerHeartbeat:
		id = c.ID
		if a, ok := answer.(controller.BrokerHeartbeatAnswer); !ok || a.Fenced {
			return
		}
	default:
		return
	}
	if id != q.options.NodeID {
		return
	}
	end := sent.Add(q.options.Defaults.Session())
	q.mu.Lock()
	defer q.mu.Unlock()
	if end.After(q.lease) {
		q.lease = end
	}
}
