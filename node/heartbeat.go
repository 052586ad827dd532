package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// replaced says whether a refused heartbeat means that this process's registration is over. It was asleep for so long that its
// node id was given away, or somebody runs a copy of it: nothing that it has can be served, and nobody tells it anything.
func (n *Node) replaced(err error) bool {
	if !errors.Is(err, kafkaproto.ErrStaleBrokerEpoch) && !errors.Is(err, kafkaproto.ErrBrokerIDNotRegistered) {
		return false
	}
	b, ok := n.quorum.Image().Broker(n.set.nodeID)
	return !ok || b.Epoch != n.epoch
}

// beat tells the active controller that this broker lives, until the node ends.
func (n *Node) beat() {
	t := n.o.Env.Clock.NewTimer(n.set.beat)
	defer t.Stop()
	for {
		select {
		case <-n.ending.Done():
			return
		case <-t.C():
		}
		ctx, cancel := context.WithTimeout(n.ending, n.set.defaults.SessionTimeout)
		_, err := n.quorum.Submit(ctx, controller.BrokerHeartbeat{ID: n.set.nodeID, Epoch: n.epoch})
		cancel()
		switch {
		case err == nil || n.ending.Err() != nil:
		case n.replaced(err):
			n.fail(fmt.Errorf("the registration of this process is over: another one has node id %d, or the broker was unregistered: %w", n.set.nodeID, err))
			return
		default:
			n.log.Warn("heartbeat failed", "error", err)
		}
		t.Reset(n.set.beat)
	}
}

// registerPause is how long a registration waits that is refused because another process may have the node id.
const registerPause = 100 * time.Millisecond

// submitRegistration registers the broker. Where its disk was replaced, its former process may still count as alive, until its
// session has run out; if another one really has the id, that is the error in the end.
func (n *Node) submitRegistration(ctx context.Context, c controller.RegisterBroker) (any, error) {
	end := n.o.Env.Clock.Now().Add(n.set.defaults.Session() + time.Second)
	for {
		answer, err := n.quorum.Submit(ctx, c)
		if !errors.Is(err, kafkaproto.ErrDuplicateBrokerRegistration) || n.o.Env.Clock.Now().After(end) {
			return answer, err
		}
		t := n.o.Env.Clock.NewTimer(registerPause)
		select {
		case <-t.C():
		case <-ctx.Done():
			t.Stop()
			return nil, err
		}
	}
}
