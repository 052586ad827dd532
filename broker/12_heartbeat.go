package broker

// Heartbeat (key 12, versions 0-4): a member of a classic group is alive.
//
// Group instance ids (KIP-345) from version 3. The answer tells of a rebalance: REBALANCE_IN_PROGRESS. While the group is
// being loaded a heartbeat succeeds without being looked at, as in Kafka: nobody should be thrown out by a failover.

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func handleHeartbeat(s *Server, r *request) {
	req := r.req.(*kmsg.HeartbeatRequest)
	if req.Group == "" {
		replyHeartbeat(r, kafkaproto.ErrInvalidGroupID)
		return
	}
	input := groups.Heartbeat{
		Group: req.Group, MemberID: req.MemberID, InstanceID: req.InstanceID, Generation: req.Generation,
	}
	s.askGroup(req.Group, input, func(_ any, err error) {
		if errors.Is(err, kafkaproto.ErrCoordinatorLoadInProgress) {
			err = nil
		}
		replyHeartbeat(r, err)
	})
}

func replyHeartbeat(r *request, err error) {
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.ErrorCode = kafkaproto.Code(err)
	r.reply(resp)
}
