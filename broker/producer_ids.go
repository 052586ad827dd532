package broker

import (
	"context"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// producerIDs hands out ids of the block that this broker holds, and gets another block when it is used up.
type producerIDs struct {
	turn        chan struct{} // holds a token for whoever may look at what follows, also while a block is on its way
	first, left int64
}

func newProducerIDs() producerIDs {
	p := producerIDs{turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p
}

// next returns an id that nobody else ever gets. While no block can be had it is COORDINATOR_LOAD_IN_PROGRESS, which
// clients retry.
func (p *producerIDs) next(ctx context.Context, s *Server) (kafkaproto.ProducerID, error) {
	select {
	case <-p.turn:
	case <-ctx.Done():
		return 0, kafkaproto.ErrCoordinatorLoadInProgress
	}
	defer func() { p.turn <- struct{}{} }()
	if p.left == 0 {
		if err := p.refill(s); err != nil {
			s.log.Warn("no producer ids", "error", err)
			return 0, kafkaproto.ErrCoordinatorLoadInProgress
		}
	}
	id := p.first
	p.first++
	p.left--
	return kafkaproto.ProducerID(id), nil
}

// producerIDMillis bounds the wait for a block.
const producerIDMillis = 5000

func (p *producerIDs) refill(s *Server) error {
	broker, ok := s.quorum.Image().Broker(s.nodeID)
	if !ok {
		return kafkaproto.ErrBrokerIDNotRegistered
	}
	command := controller.AllocateProducerIDs{BrokerID: s.nodeID, BrokerEpoch: broker.Epoch}
	block, err := submit[controller.AllocateProducerIDsAnswer](s, command, producerIDMillis)
	if err != nil {
		return err
	}
	p.first, p.left = int64(block.First), int64(block.Count)
	return nil
}
