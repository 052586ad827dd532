package broker

// InitProducerId (key 22, versions 0-5): an id for an idempotent producer (KIP-98).
//
// Without a transactional id every request gets a new id with epoch 0, also one that comes with the id and epoch that
// the producer has (KIP-360): so does Kafka; a producer that only wants a new epoch raises it by itself. Ids come out of
// blocks that the controller hands out (KIP-730), so none is ever given twice; what is left of a block at a restart is
// lost.
//
// Not done: transactions. A transactional id is answered with UNSUPPORTED_VERSION, which every client takes as final and
// reports; COORDINATOR_NOT_AVAILABLE would have it try for as long as it is allowed to. (Most clients ask FindCoordinator
// before, which knows no coordinator of transactions either.) An empty transactional id is INVALID_REQUEST.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func handleInitProducerID(s *Server, r *request) {
	req := r.req.(*kmsg.InitProducerIDRequest)
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = int64(kafkaproto.NoProducerID), int16(kafkaproto.NoProducerEpoch)
	id, err := s.initProducerID(r, req)
	resp.ErrorCode = kafkaproto.Code(err)
	if err == nil {
		resp.ProducerID, resp.ProducerEpoch = int64(id), 0
	}
	r.reply(resp)
}

func (s *Server) initProducerID(r *request, req *kmsg.InitProducerIDRequest) (kafkaproto.ProducerID, error) {
	switch {
	case req.Version >= 3 && (req.ProducerID < 0) != (req.ProducerEpoch < 0):
		return 0, kafkaproto.ErrInvalidRequest
	case req.TransactionalID == nil:
		return s.producerIDs.next(r.ctx, s)
	case *req.TransactionalID == "":
		return 0, kafkaproto.ErrInvalidRequest
	default:
		return 0, kafkaproto.ErrUnsupportedVersion
	}
}
