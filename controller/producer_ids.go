package controller

import (
	"math"

	"github.com/streambus/streambus/kafkaproto"
)

// producerIDBlock is how many producer ids a broker gets at once (KIP-730).
const producerIDBlock = 1000

func (d *decision) allocateProducerIDs(c AllocateProducerIDs) (AllocateProducerIDsAnswer, error) {
	if _, err := d.knownBroker(c.BrokerID, c.BrokerEpoch); err != nil {
		return AllocateProducerIDsAnswer{}, err
	}
	first := d.img.nextProducerID
	if first > math.MaxInt64-producerIDBlock {
		return AllocateProducerIDsAnswer{}, kafkaproto.ErrUnknownServerError.With("Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit")
	}
	d.emit(&ProducerIDsAllocated{BrokerID: c.BrokerID, BrokerEpoch: c.BrokerEpoch, Next: first + producerIDBlock})
	return AllocateProducerIDsAnswer{First: kafkaproto.ProducerID(first), Count: producerIDBlock}, nil
}
