package quorum

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// joiner opens a node with an empty disk that asks another to be taken in.
func joiner(t *testing.T, id int32, via *Quorum, change func(*Options)) *Quorum {
	t.Helper()
	n := newTestNode(t, env.NewMem())
	n.id = id
	n.change = func(o *Options) {
		o.Join = []string{via.options.Advertise}
		if change != nil {
			change(o)
		}
	}
	return n.open()
}

// awaitMembers waits until the leader counts so many voters and observers.
func awaitMembers(t *testing.T, q *Quorum, voters, observers int) controller.QuorumState {
	t.Helper()
	ctx := testContext(t)
	for {
		s, err := q.Describe()
		if err == nil && len(s.Voters) == voters && len(s.Observers) == observers {
			return s
		}
		if !q.stream.pause(10*time.Millisecond) || ctx.Err() != nil {
			t.Fatalf("not %d voters and %d observers: %+v, %v", voters, observers, s, err)
		}
	}
}

func TestNodesJoinAQuorumOfOneAndTheSixthOnlyFollows(t *testing.T) {
	first := ready(t, newTestNode(t, env.NewMem()).open())
	register(t, first, 1)
	mustCreate(t, first, "before")
	for id := int32(2); id <= 6; id++ {
		q := ready(t, joiner(t, id, first, nil))
		awaitTopic(t, q, "before")
		register(t, q, 1)
		awaitMembers(t, q, min(int(id), maxVoters), max(0, int(id)-maxVoters))
	}
}

func TestObserverFollowsAndPassesCommandsOn(t *testing.T) {
	first := ready(t, newTestNode(t, env.NewMem()).open())
	register(t, first, 1)
	observer := ready(t, joiner(t, 2, first, func(o *Options) { o.Observer = true }))
	if s := awaitMembers(t, observer, 1, 1); s.Observers[0].ID != 2 {
		t.Errorf("%+v", s)
	}
	mustCreate(t, observer, "from-the-observer")
	if _, ok := first.Image().Topic("from-the-observer"); !ok {
		awaitTopic(t, first, "from-the-observer")
	}
}

func TestVoterWithAWipedDiskComesBackAsANewMember(t *testing.T) {
	nodes, quorums := openThreeNodes(t)
	register(t, leaderOf(t, quorums), 1)
	mustCreate(t, leaderOf(t, quorums), "kept")
	lost := followerOf(t, quorums)
	if err := lost.Close(); err != nil {
		t.Fatal(err)
	}
	n := nodes[lost.options.NodeID-1]
	n.fs = env.NewMem()
	n.change = func(o *Options) { o.DirectoryID[2] = 99 }
	back, err := Open(n.options(listenAt(t, lost.options.Advertise)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = back.Close() })
	awaitTopic(t, back, "kept")
	for _, v := range awaitMembers(t, back, 3, 0).Voters {
		if v.ID == n.id && v.DirectoryID[2] != 99 {
			t.Errorf("the old member is still there: %+v", v)
		}
	}
}

func TestNodeIDOfALivingMemberIsNotGivenAway(t *testing.T) {
	_, quorums := openThreeNodes(t)
	leader, member := leaderOf(t, quorums), followerOf(t, quorums)
	twin := serverID(member.options.NodeID, [16]byte{99})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := leader.takeIn(ctx, raft.ServerID(twin), "127.0.0.1:1", true)
	if !errors.Is(err, kafkaproto.ErrDuplicateBrokerRegistration) {
		t.Errorf("%v", err)
	}
	awaitMembers(t, leader, 3, 0)
	twins := joiner(t, member.options.NodeID, leader, func(o *Options) { o.DirectoryID[2] = 99 })
	if err := twins.WaitReady(testContext(t)); !errors.Is(err, kafkaproto.ErrDuplicateBrokerRegistration) {
		t.Errorf("the twin was told %v", err)
	}
}

func TestNodeOfAnotherClusterDoesNotJoin(t *testing.T) {
	first := ready(t, newTestNode(t, env.NewMem()).open())
	n := newTestNode(t, env.NewMem())
	n.id = 2
	n.change = func(o *Options) { o.ClusterID, o.Join = "AQIDAAAAAAAAAAAAAAAAAA", []string{first.options.Advertise} }
	if _, err := Open(n.options(listen(t))); !errors.Is(err, errRefused) {
		t.Errorf("%v", err)
	}
	awaitMembers(t, first, 1, 0)
}

func TestMemberIsFoundUnderItsNewAddress(t *testing.T) {
	nodes, quorums := openThreeNodes(t)
	register(t, leaderOf(t, quorums), 1)
	moved := followerOf(t, quorums)
	if err := moved.Close(); err != nil {
		t.Fatal(err)
	}
	n := nodes[moved.options.NodeID-1]
	voters := n.voters
	n.voters = nil
	n.change = func(o *Options) {
		for _, v := range voters {
			if v.NodeID != n.id {
				o.Join = append(o.Join, v.Address)
			}
		}
	}
	back := n.open()
	mustCreate(t, leaderOf(t, quorums), "after-the-move")
	awaitTopic(t, back, "after-the-move")
	for _, v := range awaitMembers(t, back, 3, 0).Voters {
		if v.ID == n.id && v.Address != back.options.Advertise {
			t.Errorf("still at %s", v.Address)
		}
	}
}
