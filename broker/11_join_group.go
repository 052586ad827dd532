package broker

// JoinGroup (key 11, versions 0-9): become or stay a member of a classic group, and wait for the others.
//
// The answer comes when the group has assembled, which may take minutes; the connection's next request starts after it.
// Version 0 has no rebalance timeout: the session timeout counts. From version 4 a new dynamic member is first sent away
// with MEMBER_ID_REQUIRED and its id (KIP-394). Group instance ids (KIP-345) from 5; before, a client that has one joins
// without it. The protocol type and a protocol that may be null from 7 (KIP-559): errors then have null, and before that
// an empty string. Reasons (KIP-800) from 8, and from 9 a static leader that comes back may be told to leave the
// assignment as it is (KIP-814).

import (
	"bytes"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func handleJoinGroup(s *Server, r *request) {
	req := r.req.(*kmsg.JoinGroupRequest)
	if req.Group == "" {
		r.reply(joinRefused(req.MemberID, kafkaproto.ErrInvalidGroupID))
		return
	}
	input := s.joinInput(r, req)
	p, waits := park(r, func() kmsg.Response { return joinRefused(req.MemberID, kafkaproto.ErrNotCoordinator) })
	if !waits {
		return
	}
	r.letGo()
	s.askGroup(req.Group, input, func(value any, err error) {
		answer, err := answerOf[groups.JoinGroupAnswer](value, err)
		if err != nil {
			p.reply(joinRefused("", err))
			return
		}
		p.reply(joinResponse(req.Version, &answer))
	})
}

// joinInput copies what is kept beyond the request's frame: what members say to their assignors.
func (s *Server) joinInput(r *request, req *kmsg.JoinGroupRequest) groups.JoinGroup {
	clientID := textOf(r.header.ClientID)
	input := groups.JoinGroup{
		Group: req.Group, MemberID: req.MemberID, InstanceID: req.InstanceID,
		ClientID: clientID, ClientHost: memberHost(r.conn.ip),
		SessionTimeout:    time.Duration(req.SessionTimeoutMillis) * time.Millisecond,
		RebalanceTimeout:  time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond,
		ProtocolType:      req.ProtocolType,
		Protocols:         make([]groups.Protocol, len(req.Protocols)),
		Reason:            textOf(req.Reason),
		RequireKnownID:    req.Version >= 4,
		CanSkipAssignment: req.Version >= 9,
	}
	if req.Version == 0 {
		input.RebalanceTimeout = input.SessionTimeout
	}
	if req.MemberID == "" {
		input.NewMemberID = newMemberID(s.env.Rand, clientID, req.InstanceID)
	}
	for i := range req.Protocols {
		input.Protocols[i] = groups.Protocol{Name: req.Protocols[i].Name, Metadata: bytes.Clone(req.Protocols[i].Metadata)}
	}
	return input
}

func joinRefused(memberID string, err error) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.Generation, resp.MemberID = kafkaproto.Code(err), -1, memberID
	return resp
}

func joinResponse(version int16, a *groups.JoinGroupAnswer) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.Generation, resp.ProtocolType = kafkaproto.Code(a.Err), a.Generation, a.ProtocolType
	resp.Protocol, resp.LeaderID, resp.MemberID = a.Protocol, a.Leader, a.MemberID
	resp.SkipAssignment = a.SkipAssignment
	if version >= 7 && textOf(resp.Protocol) == "" {
		resp.Protocol = nil
	}
	if len(a.Members) > 0 {
		resp.Members = make([]kmsg.JoinGroupResponseMember, len(a.Members))
	}
	for i := range a.Members {
		from, to := &a.Members[i], &resp.Members[i]
		to.MemberID, to.InstanceID, to.ProtocolMetadata = from.MemberID, from.InstanceID, from.Metadata
	}
	return resp
}
