package quorum

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// maxVoters is how many members vote. Further ones are observers: the leader sends them the log as well, but waits for none
// of them.
const maxVoters = 5

const (
	joinTimeout  = 10 * time.Second
	goneAfter    = 30 * time.Second
	joinPause    = 100 * time.Millisecond
	catchUpPause = 10 * time.Millisecond
)

// join asks members of a cluster, one after the other, to be taken in, until this node is what it wants to be: with its
// address as it is now, and under the ServerID that its directory gives it.
func (q *Quorum) join(addresses []string) {
	for try := 0; ; try++ {
		if q.joined() {
			return
		}
		address := addresses[try%len(addresses)]
		err := q.joinBy(address)
		if errors.Is(err, kafkaproto.ErrDuplicateBrokerRegistration) || errors.Is(err, errRefused) {
			q.options.Logger.Error("this node may not join the cluster", "member", address, "error", err)
			q.refuse(err)
			return
		} else if err != nil && try%50 == 0 {
			q.options.Logger.Info("waiting for a member to join", "member", address, "error", err)
		}
		if !q.stream.pause(joinPause) {
			return
		}
	}
}

// refuse has WaitReady fail.
func (q *Quorum) refuse(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refused = err
	close(q.changed)
	q.changed = make(chan struct{})
}

// joined says whether the log of the quorum, as far as this node has it, has this node as it is now.
func (q *Quorum) joined() bool {
	members := q.raft.Load().GetConfiguration()
	if members.Error() != nil {
		return false
	}
	for _, s := range members.Configuration().Servers {
		if s.ID == q.id {
			return string(s.Address) == q.options.Advertise
		}
	}
	return false
}

// joinBy asks one member, which passes it on to the leader. Done is done when the log says so.
func (q *Quorum) joinBy(address string) error {
	conn, _, err := q.stream.call(address, "", purposeAsk, dialTimeout)
	if err != nil {
		return err
	}
	l := newLink(conn)
	defer l.close()
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	f, err := l.ask(ctx, askJoin, q.joinRequest(), q.closing)
	if err != nil {
		return err
	}
	_, rest, ok := f.indexed()
	switch {
	case f.kind == answerNotHere:
		return errRetry
	case !ok:
		return errUnknown
	case f.kind == answerFailure:
		failure, bad := controller.DecodeError(rest)
		return errors.Join(failure, bad)
	}
	return nil
}

// joinRequest says whether to vote, who asks, and at which address.
func (q *Quorum) joinRequest() []byte {
	vote := byte(1)
	if q.options.Observer {
		vote = 0
	}
	return append([]byte{vote, byte(len(q.id))}, string(q.id)+q.options.Advertise...)
}

// serveJoin takes a node in, or asks the leader to.
func (q *Quorum) serveJoin(ctx context.Context, f frame, caller hello) frame {
	if len(f.body) < 2 || len(f.body) < 2+int(f.body[1]) {
		return answered(f, 0, nil, kafkaproto.ErrInvalidRequest)
	}
	vote, id, address := f.body[0] == 1, raft.ServerID(f.body[2:2+f.body[1]]), string(f.body[2+f.body[1]:])
	if _, ok := nodeOf(id); !ok || len(address) > maxHelloText {
		return answered(f, 0, nil, kafkaproto.ErrInvalidRequest)
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	q.mu.Lock()
	leader := q.leader
	q.mu.Unlock()
	switch {
	case leader.leading:
		if err := q.takeIn(ctx, id, raft.ServerAddress(address), vote); err != nil {
			q.options.Logger.Warn("a node was not taken into the quorum", "node", id, "address", address, "error", err)
			return answered(f, 0, nil, err)
		}
		return answered(f, 0, nil, nil)
	case leader.known && leader.server != string(q.id) && caller.serverID() == string(id): // passed on once, not in circles
		answer, err := q.askLeader(ctx, q.submits, leader, askJoin, f.body)
		if err == nil {
			answer.id = f.id
			return answer
		}
	}
	return frame{id: f.id, kind: answerNotHere}
}

// takeIn makes a node a member. A member of the same node id whose process is gone had another directory, which was lost: it
// will never come back.
func (q *Quorum) takeIn(ctx context.Context, id raft.ServerID, address raft.ServerAddress, vote bool) error {
	select {
	case q.joining <- struct{}{}:
		defer func() { <-q.joining }()
	case <-ctx.Done():
		return errTimeout(ctx.Err())
	}
	r := q.raft.Load()
	members := r.GetConfiguration()
	if err := members.Error(); err != nil {
		return kafkaproto.ErrNotController.With("%w", err)
	}
	voters, votes := 0, false
	for _, s := range members.Configuration().Servers {
		if s.ID != id && sameNode(s.ID, id) {
			if err := q.dropOld(s); err != nil {
				return err
			}
			continue
		}
		if s.Suffrage == raft.Voter {
			voters++
			votes = votes || s.ID == id
		}
	}
	switch {
	case votes:
		return notController(r.AddVoter(id, address, 0, joinTimeout).Error()) // under a new address
	case !vote || voters >= maxVoters:
		return notController(r.AddNonvoter(id, address, 0, joinTimeout).Error())
	}
	if err := r.AddNonvoter(id, address, 0, joinTimeout).Error(); err != nil {
		return notController(err)
	}
	if err := q.awaitCaughtUp(ctx, id); err != nil {
		return err
	}
	q.options.Logger.Info("a node votes in the metadata quorum now", "node", id, "address", address)
	return notController(r.AddVoter(id, address, 0, joinTimeout).Error())
}

func sameNode(a, b raft.ServerID) bool {
	x, ok := nodeOf(a)
	y, also := nodeOf(b)
	return ok && also && x == y
}

// dropOld removes a member whose node came back with another directory. That is sure when its process is gone, or another
// answers at its address; where nothing can be told, when it has been silent for long.
func (q *Quorum) dropOld(old raft.Server) error {
	c, _, err := q.stream.call(string(old.Address), string(old.ID), purposeProbe, dialTimeout)
	gone := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, errRefused) || err != nil && q.silent(old.ID)
	if err == nil {
		_ = c.Close()
	}
	if !gone {
		id, _ := nodeOf(old.ID)
		return kafkaproto.ErrDuplicateBrokerRegistration.With("node id %d is taken by %s at %s, which may be alive", id, old.ID, old.Address)
	}
	q.options.Logger.Warn("a member whose directory was lost is removed from the metadata quorum", "node", old.ID, "address", old.Address)
	return notController(q.raft.Load().RemoveServer(old.ID, 0, joinTimeout).Error())
}

// silent says whether this leader has not heard of a member for so long that it is taken for gone.
func (q *Quorum) silent(id raft.ServerID) bool {
	q.mu.Lock()
	last := q.since
	q.mu.Unlock()
	if p, ok := q.progress.of(id, q.raft.Load().CurrentTerm()); ok && p.answered.After(last) {
		last = p.answered
	}
	return q.options.Env.Clock.Now().Sub(last) > goneAfter
}

// awaitCaughtUp waits until a new member has what was committed when it was asked for, so that its vote holds up nobody.
func (q *Quorum) awaitCaughtUp(ctx context.Context, id raft.ServerID) error {
	r := q.raft.Load()
	need := r.CommitIndex()
	for {
		if p, ok := q.progress.of(id, r.CurrentTerm()); ok && p.match >= need {
			return nil
		}
		if ctx.Err() != nil || !q.stream.pause(catchUpPause) {
			return errTimeout(fmt.Errorf("%s has not caught up with the log", id))
		}
	}
}

// notController is what raft's refusals of a change of members mean: try again, with whoever leads then.
func notController(err error) error {
	if err == nil {
		return nil
	}
	return kafkaproto.ErrNotController.With("%w", err)
}
