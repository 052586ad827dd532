package broker

import (
	"errors"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// elsewhere says whether an error means that another broker leads, or this one in another epoch (KIP-951).
func elsewhere(err error) bool {
	return errors.Is(err, kafkaproto.ErrNotLeaderOrFollower) || errors.Is(err, kafkaproto.ErrFencedLeaderEpoch)
}

// leaderFor is the leader to name beside such an error: what the partition said, else what the metadata says. -1 if
// there is none.
func (s *Server) leaderFor(image *controller.Image, key sessionKey, id int32, epoch kafkaproto.LeaderEpoch) (int32, kafkaproto.LeaderEpoch) {
	if id >= 0 {
		return id, epoch
	}
	topic, err := findTopic(image, key)
	if err != nil || key.partition < 0 || int(key.partition) >= len(topic.Partitions) {
		return -1, kafkaproto.NoLeaderEpoch
	}
	p := topic.Partitions[key.partition]
	return p.Leader, p.LeaderEpoch
}

// endpoint is a broker's address on the listener that the client came by.
func (s *Server) endpoint(image *controller.Image, id int32, listener string) (controller.Listener, *string, bool) {
	b, ok := image.Broker(id)
	if !ok {
		return controller.Listener{}, nil, false
	}
	for _, l := range b.Listeners {
		if l.Name == listener {
			return l, b.Rack, true
		}
	}
	return controller.Listener{}, nil, false
}
