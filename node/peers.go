package node

import (
	"fmt"
	"net"
	"strconv"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/peer"
)

// openPeers makes the connections to other brokers, none of them yet: followers fetch over them.
func (n *Node) openPeers() {
	n.peers = peer.NewPool(peer.Options{
		Net: n.o.Env.Net, Clock: n.o.Env.Clock, ClientID: fmt.Sprintf("broker-%d", n.set.nodeID), Address: n.brokerAddress,
		Logger: n.log, Events: peer.Events{Lost: n.doubts.lost, Failed: n.doubts.lost},
	})
}

// brokerAddress is where another broker serves brokers, as the metadata has it.
func (n *Node) brokerAddress(id int32) (string, bool) {
	b, ok := n.quorum.Image().Broker(id)
	if !ok {
		return "", false
	}
	for _, l := range b.Listeners {
		if l.Name == n.set.interBroker {
			return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))), true
		}
	}
	return "", false
}

// forgetOld gives up connections to registrations that are over: nobody waits for an answer of a process that is gone, or for
// the end of a back-off from one that is back.
func (n *Node) forgetOld(last, next *controller.Image, c controller.Changes) {
	look := func(id int32) {
		was, before := last.Broker(id)
		is, now := next.Broker(id)
		if id != n.set.nodeID && before && (!now || is.Epoch != was.Epoch || is.Fenced && !was.Fenced) {
			n.peers.Forget(id)
		}
	}
	if last == nil {
		return
	}
	for _, id := range c.Brokers {
		look(id)
	}
	if c.All {
		for b := range last.Brokers() {
			look(b.ID)
		}
	}
}
