package broker

// SyncGroup (key 14, versions 0-5): the leader brings the assignments, the others wait for theirs.
//
// Group instance ids (KIP-345) from version 3. From 5 the request says the protocol that it belongs to (KIP-559), which
// must not be null: INCONSISTENT_GROUP_PROTOCOL. Like JoinGroup it may be answered much later.

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func handleSyncGroup(s *Server, r *request) {
	req := r.req.(*kmsg.SyncGroupRequest)
	switch {
	case req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		r.reply(syncRefused(kafkaproto.ErrInconsistentGroupProtocol))
		return
	case req.Group == "":
		r.reply(syncRefused(kafkaproto.ErrInvalidGroupID))
		return
	}
	input := syncInput(req)
	p, waits := park(r, func() kmsg.Response { return syncRefused(kafkaproto.ErrNotCoordinator) })
	if !waits {
		return
	}
	r.letGo()
	s.askGroup(req.Group, input, func(value any, err error) {
		answer, err := answerOf[groups.SyncGroupAnswer](value, err)
		if err != nil {
			p.reply(syncRefused(err))
			return
		}
		resp := syncRefused(answer.Err)
		resp.ProtocolType, resp.Protocol, resp.MemberAssignment = answer.ProtocolType, answer.Protocol, answer.Assignment
		p.reply(resp)
	})
}

// syncInput copies what is kept beyond the request's frame: the assignments.
func syncInput(req *kmsg.SyncGroupRequest) groups.SyncGroup {
	input := groups.SyncGroup{
		Group: req.Group, MemberID: req.MemberID, InstanceID: req.InstanceID, Generation: req.Generation,
		Assignments: make([]groups.Assignment, len(req.GroupAssignment)),
	}
	if req.Version >= 5 {
		input.ProtocolType, input.Protocol = req.ProtocolType, req.Protocol
	}
	for i := range req.GroupAssignment {
		a := &req.GroupAssignment[i]
		input.Assignments[i] = groups.Assignment{MemberID: a.MemberID, Data: bytes.Clone(a.MemberAssignment)}
	}
	return input
}

// syncRefused has no protocol and no assignment.
func syncRefused(err error) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode = kafkaproto.Code(err)
	return resp
}
