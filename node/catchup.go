package node

import (
	"context"
	"time"

	"github.com/streambus/streambus/controller"
)

// catchUpTime bounds how long a client waits that may be right where this node knows of nothing. Its connection stands still
// for that time.
const catchUpTime = 100 * time.Millisecond

// catchUp returns when this node knows all that was decided before it was called, or after catchUpTime. A client may hear of a
// new leader from another node earlier than that leader itself; refused there, it would back off (franz-go: 250 ms).
func (n *Node) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	n.ahead.wait(ctx)
}

// hear asks the controller for an answer, which comes after everything decided before.
func (n *Node) hear() {
	ctx, cancel := context.WithTimeout(n.ending, catchUpTime)
	defer cancel()
	_, err := n.quorum.Submit(ctx, controller.BrokerHeartbeat{ID: n.set.nodeID, Epoch: n.epoch})
	if err != nil && n.ending.Err() == nil {
		n.log.Debug("the controller did not say in time what it has decided", "error", err)
	}
}
