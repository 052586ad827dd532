package broker

// LeaveGroup (key 13, versions 0-5): takes members out of a classic group.
//
// Versions 0-2 have one member, whose error is the answer's own. From 3 there may be several, named by id or by group
// instance id (KIP-345), and each has its error; the answer's own is left for what concerns the whole request. Reasons
// (KIP-800) from 5. A group that does not exist is UNKNOWN_MEMBER_ID for every member.

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func handleLeaveGroup(s *Server, r *request) {
	req := r.req.(*kmsg.LeaveGroupRequest)
	if req.Group == "" {
		r.reply(leaveResponse(req.Version, nil, kafkaproto.ErrInvalidGroupID))
		return
	}
	input := leaveInput(req)
	s.askGroup(req.Group, input, func(value any, err error) {
		answers, err := answerOf[[]groups.LeaveAnswer](value, err)
		if errors.Is(err, kafkaproto.ErrUnknownMemberID) {
			answers, err = nobodyKnown(input.Members), nil
		}
		r.reply(leaveResponse(req.Version, answers, err))
	})
}

func leaveInput(req *kmsg.LeaveGroupRequest) groups.LeaveGroup {
	input := groups.LeaveGroup{Group: req.Group}
	if req.Version < 3 {
		input.Members = []groups.LeavingMember{{MemberID: req.MemberID}}
		return input
	}
	input.Members = make([]groups.LeavingMember, len(req.Members))
	for i := range req.Members {
		m := &req.Members[i]
		input.Members[i] = groups.LeavingMember{MemberID: m.MemberID, InstanceID: m.InstanceID, Reason: textOf(m.Reason)}
	}
	return input
}

func nobodyKnown(members []groups.LeavingMember) []groups.LeaveAnswer {
	answers := make([]groups.LeaveAnswer, len(members))
	for i, m := range members {
		answers[i] = groups.LeaveAnswer{MemberID: m.MemberID, InstanceID: m.InstanceID, Err: kafkaproto.ErrUnknownMemberID}
	}
	return answers
}

func leaveResponse(version int16, answers []groups.LeaveAnswer, err error) *kmsg.LeaveGroupResponse {
	resp := kmsg.NewPtrLeaveGroupResponse()
	if version < 3 && err == nil && len(answers) > 0 {
		err = answers[0].Err
	}
	resp.ErrorCode = kafkaproto.Code(err)
	if version < 3 {
		return resp
	}
	resp.Members = make([]kmsg.LeaveGroupResponseMember, len(answers))
	for i := range answers {
		a := &answers[i]
		resp.Members[i] = kmsg.LeaveGroupResponseMember{
			MemberID: a.MemberID, InstanceID: a.InstanceID, ErrorCode: kafkaproto.Code(a.Err),
		}
	}
	return resp
}
