package quorum

import (
	"context"
	"testing"
	"time"

	"github.com/streambus/streambus/controller"
)

// awaitImage waits until a node has an image that fits.
func awaitImage(t *testing.T, q *Quorum, what string, fits func(*controller.Image) bool) {
	t.Helper()
	seen := make(chan struct{}, 1)
	q.Watch(func(img *controller.Image, _ controller.Changes) {
		if fits(img) {
			select {
			case seen <- struct{}{}:
			default:
			}
		}
	})
	select {
	case <-seen:
	case <-testContext(t).Done():
		t.Fatalf("node %d never saw %s", q.options.NodeID, what)
	}
}

func fenced(id int32) func(*controller.Image) bool {
	return func(img *controller.Image) bool {
		b, ok := img.Broker(id)
		return ok && b.Fenced
	}
}

// beat sends a heartbeat of a node's broker, over the connection that says it lives.
func beat(t *testing.T, q *Quorum, epoch int64) controller.BrokerHeartbeatAnswer {
	t.Helper()
	return submit[controller.BrokerHeartbeatAnswer](t, q, controller.BrokerHeartbeat{ID: q.options.NodeID, Epoch: epoch})
}

func TestDeadBrokerIsFencedLongBeforeItsSessionRunsOut(t *testing.T) {
	_, quorums := openThreeNodes(t)
	leader, follower := leaderOf(t, quorums), followerOf(t, quorums)
	beat(t, leader, register(t, leader, 1))
	beat(t, follower, register(t, follower, 1))
	if err := follower.Close(); err != nil {
		t.Fatal(err)
	}
	awaitImage(t, leader, "the dead broker fenced", fenced(follower.options.NodeID))
	if fenced(leader.options.NodeID)(leader.Image()) {
		t.Error("the other broker was fenced too")
	}
}

func TestBrokerThatDiesWithTheActiveControllerIsFencedByTheNext(t *testing.T) {
	_, quorums := openThreeNodes(t)
	first := leaderOf(t, quorums)
	var rest []*Quorum
	for _, q := range quorums {
		beat(t, q, register(t, q, 1))
		if q != first {
			rest = append(rest, q)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for _, q := range rest {
		awaitImage(t, q, "the dead controller's broker fenced", fenced(first.options.NodeID))
	}
	img := rest[0].Image()
	if fenced(rest[0].options.NodeID)(img) || fenced(rest[1].options.NodeID)(img) {
		t.Error("a broker that lives was fenced")
	}
}

// A connection that breaks proves nothing while the process still listens.
func TestBrokerWhoseConnectionBreaksButWhoListensStays(t *testing.T) {
	_, quorums := openThreeNodes(t)
	leader, follower := leaderOf(t, quorums), followerOf(t, quorums)
	epoch := register(t, follower, 1)
	beat(t, follower, epoch)
	follower.alive.mu.Lock()
	l := follower.alive.current
	follower.alive.mu.Unlock()
	if l == nil {
		t.Skip("the leader moved meanwhile")
	}
	l.close()
	if leader.dead(suspect{server: string(follower.id), address: follower.options.Advertise}) {
		t.Error("a node that listens was taken for dead")
	}
	if a := beat(t, follower, epoch); a.Fenced {
		t.Error("fenced")
	}
}

// While there is no majority, a heartbeat must not be answered by whoever believes to lead: the answer is a lease.
func TestHeartbeatIsNotAnsweredWithoutAMajority(t *testing.T) {
	_, quorums := openThreeNodes(t)
	leader := leaderOf(t, quorums)
	epoch := register(t, leader, 1)
	beat(t, leader, epoch)
	for _, q := range quorums {
		if q != leader {
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := leader.Lease()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := leader.Submit(ctx, controller.BrokerHeartbeat{ID: leader.options.NodeID, Epoch: epoch})
	if err == nil || !leader.Lease().Equal(before) {
		t.Errorf("answered %v, and the lease moved by %v", err, leader.Lease().Sub(before))
	}
}

func TestLeaseCountsFromTheSendingOfTheHeartbeat(t *testing.T) {
	_, quorums := openThreeNodes(t)
	for _, q := range []*Quorum{leaderOf(t, quorums), followerOf(t, quorums)} {
		if !q.Lease().IsZero() {
			t.Error("a lease before the first registration")
		}
		epoch := register(t, q, 1)
		before := time.Now()
		beat(t, q, epoch)
		end := q.Lease()
		if end.Before(before.Add(time.Hour)) || end.After(time.Now().Add(time.Hour)) {
			t.Errorf("lease until %v from now", time.Until(end))
		}
		if a := submit[controller.BrokerHeartbeatAnswer](t, q, controller.BrokerHeartbeat{ID: q.options.NodeID, Epoch: epoch, WantFenced: true}); !a.Fenced || !q.Lease().Equal(end) {
			t.Errorf("a fenced broker's lease moved")
		}
	}
}
