package node

import (
	"context"
	"errors"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

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
		if err != nil && n.ending.Err() == nil {
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
