package node

import (
	"context"

	"github.com/streambus/streambus/controller"
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
