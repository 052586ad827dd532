package broker

import (
	"github.com/streambus/streambus/controller"
)

// topology answers what a client that came in by one listener may know of brokers and partitions.
type topology struct {
	image    *controller.Image
	listener string
}

// address is a broker's address on the client's listener. False if the broker isn't registered or doesn't have it.
func (t topology) address(b *controller.Broker) (controller.Listener, bool) {
	for _, l := range b.Listeners {
		if l.Name == t.listener {
			return l, true
		}
	}
	return controller.Listener{}, false
}

// alive says whether a broker is unfenced and has the client's listener.
func (t topology) alive(id int32) bool {
	b, ok := t.image.Broker(id)
	if !ok || b.Fenced {
		return false
	}
	_, ok = t.address(b)
	return ok
}

// offline picks the replicas that the client can't reach.
func (t topology) offline(replicas []int32) []int32 {
	var out []int32
	for _, id := range replicas {
		if !t.alive(id) {
			out = append(out, id)
		}
	}
	return out
}

// online picks the others.
func (t topology) online(replicas []int32) []int32 {
	out := make([]int32, 0, len(replicas))
	for _, id := range replicas {
		if t.alive(id) {
			out = append(out, id)
		}
	}
	return out
}

// leader is a partition's leader if the client can reach it, else -1. A leader that is registered but lacks the
// listener is told apart, because that is a mistake in the configuration.
func (t topology) leader(p *controller.Partition) (id int32, noListener bool) {
	b, ok := t.image.Broker(p.Leader)
	if !ok {
		return controller.NoLeader, false
	}
	if _, ok := t.address(b); !ok {
		return controller.NoLeader, true
	}
	return p.Leader, false
}

// controllerID is the broker to send admin requests to. Any broker takes them, so it is the active controller if the
// client can reach it, else this broker, else any other; -1 if there is none. One that is about to go is the last choice.
func (s *Server) controllerID(t topology) int32 {
	if id, _, ok := s.quorum.Leader(); ok && t.stays(id) {
		return id
	}
	if t.stays(s.nodeID) {
		return s.nodeID
	}
	found := int32(-1)
	for b := range t.image.Brokers() {
		if t.stays(b.ID) || found < 0 && t.alive(b.ID) {
			found = b.ID
		}
	}
	return found
}

// stays says whether a broker is alive and has not said that it stops.
func (t topology) stays(id int32) bool {
	b, ok := t.image.Broker(id)
	return ok && !b.ShuttingDown && t.alive(id)
}
