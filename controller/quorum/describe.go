package quorum

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// describeTimeout bounds how long another node is asked.
const describeTimeout = 3 * time.Second

// Describe tells how the quorum stands, which its leader is asked for. Errors: NOT_LEADER_OR_FOLLOWER if none could be asked.
func (q *Quorum) Describe() (controller.QuorumState, error) {
	ctx, cancel := context.WithTimeout(context.Background(), describeTimeout)
	defer cancel()
	for try := 0; ; try++ {
		leader, err := q.awaitLeader(ctx)
		if err != nil {
			return controller.QuorumState{}, kafkaproto.ErrNotLeaderOrFollower.With("%w", err)
		}
		state, err := q.describeBy(ctx, leader)
		if err == nil {
			return state, nil
		}
		if err := q.backOff(ctx, leader, try); err != nil {
			return controller.QuorumState{}, kafkaproto.ErrNotLeaderOrFollower.With("%w", err)
		}
	}
}

func (q *Quorum) describeBy(ctx context.Context, leader leadership) (controller.QuorumState, error) {
	if leader.leading {
		return q.describe()
	}
	f, err := q.askLeader(ctx, q.submits, leader, askDescribe, nil)
	if err != nil {
		return controller.QuorumState{}, err
	}
	_, rest, ok := f.indexed()
	if !ok || f.kind != answerValue {
		return controller.QuorumState{}, errUnknown
	}
	return controller.DecodeQuorumState(rest)
}

// describe tells what this node knows as the leader. Error: NOT_LEADER_OR_FOLLOWER.
func (q *Quorum) describe() (controller.QuorumState, error) {
	q.mu.Lock()
	leader := q.leader
	q.mu.Unlock()
	r := q.raft.Load()
	if !leader.leading || r == nil {
		return controller.QuorumState{}, kafkaproto.ErrNotLeaderOrFollower
	}
	members := r.GetConfiguration()
	if err := members.Error(); err != nil {
		return controller.QuorumState{}, kafkaproto.ErrNotLeaderOrFollower.With("%w", err)
	}
	q.progress.keep(members.Configuration().Servers)
	s := controller.QuorumState{LeaderID: leader.id, LeaderEpoch: int32(leader.term), HighWatermark: int64(r.CommitIndex()) + 1}
	for _, server := range members.Configuration().Servers {
		m := controller.QuorumMember{Address: string(server.Address), LogEndOffset: -1}
		m.ID, _ = nodeOf(server.ID)
		m.DirectoryID = directoryOf(server.ID)
		if p, ok := q.progress.of(server.ID, leader.term); ok {
			m.LastFetch, m.LastCaughtUp = p.answered, p.caughtUp
			if p.match > 0 {
				m.LogEndOffset = int64(p.match) + 1
			}
		}
		if server.ID == q.id {
			now := q.options.Env.Clock.Now()
			m.LogEndOffset, m.LastFetch, m.LastCaughtUp = int64(r.LastIndex())+1, now, now
		}
		if server.Suffrage == raft.Voter {
			s.Voters = append(s.Voters, m)
		} else {
			s.Observers = append(s.Observers, m)
		}
	}
	return s, nil
}

// directoryOf is the directory id in a ServerID; zeros if it has none.
func directoryOf(id raft.ServerID) (directory [16]byte) {
	_, text, _ := strings.Cut(string(id), ".")
	if b, err := base64.RawURLEncoding.DecodeString(text); err == nil && len(b) == len(directory) {
		copy(directory[:], b)
	}
	return directory
}
