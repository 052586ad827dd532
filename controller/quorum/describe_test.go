package quorum

import (
	"testing"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

func TestDescribeTellsHowFarTheLeaderIs(t *testing.T) {
	q := ready(t, newTestNode(t, env.NewMem()).open())
	register(t, q, 1)
	before, err := q.Describe()
	if err != nil {
		t.Fatal(err)
	}
	mustCreate(t, q, "one")
	s, err := q.Describe()
	if err != nil {
		t.Fatal(err)
	}
	_, epoch, _ := q.Leader()
	if s.LeaderID != 1 || s.LeaderEpoch != epoch || s.HighWatermark != before.HighWatermark+1 || len(s.Voters) != 1 || len(s.Observers) != 0 {
		t.Fatalf("%+v, before %+v", s, before)
	}
	v := s.Voters[0]
	if v.ID != 1 || v.DirectoryID != [16]byte{1, 7} || v.Address != q.options.Listener.Addr().String() ||
		v.LogEndOffset != s.HighWatermark || v.LastCaughtUp.IsZero() || v.LastFetch.IsZero() {
		t.Errorf("%+v", v)
	}
}

func TestOnlyTheLeaderDescribesTheQuorum(t *testing.T) {
	q := ready(t, newTestNode(t, env.NewMem()).open())
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q.mu.Lock()
	q.leader.leading = false
	q.mu.Unlock()
	if _, err := q.Describe(); kafkaproto.Code(err) != kafkaproto.ErrNotLeaderOrFollower.Num {
		t.Error(err)
	}
}
