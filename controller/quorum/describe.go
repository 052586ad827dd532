package quorum

import (
	"encoding/base64"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// Describe tells how the quorum stands. Only the leader knows: NOT_LEADER_OR_FOLLOWER from others. Of other members' logs
// raft tells nothing, so only the leader's own is told.
func (q *Quorum) Describe() (controller.QuorumState, error) {
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
	s := controller.QuorumState{LeaderID: leader.id, LeaderEpoch: int32(leader.term), HighWatermark: int64(r.CommitIndex()) + 1}
	for _, server := range members.Configuration().Servers {
		m := controller.QuorumMember{Address: string(server.Address), LogEndOffset: -1}
		m.ID, _ = nodeOf(server.ID)
		m.DirectoryID = directoryOf(server.ID)
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
