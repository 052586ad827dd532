package broker

// DescribeGroups (key 15, versions 0-6): the state and the members of classic groups.
//
// A group that does not exist is in state Dead without an error, from version 6 with GROUP_ID_NOT_FOUND and a message
// (KIP-1043). Authorized operations (KIP-430) from 3, group instance ids (KIP-345) from 4. Every group has its own error,
// and the answer keeps the request's order.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

// groupOperations are all that Kafka knows for groups (KIP-430): read, delete, describe, and their configs.
const groupOperations int32 = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// deadGroup is the state of a group that does not exist.
const deadGroup = "Dead"

func handleDescribeGroups(s *Server, r *request) {
	req := r.req.(*kmsg.DescribeGroupsRequest)
	resp := kmsg.NewPtrDescribeGroupsResponse()
	resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(req.Groups))
	asked := req.Version >= 3 && req.IncludeAuthorizedOperations
	g := gather(r, resp, len(req.Groups))
	for i, group := range req.Groups {
		out := &resp.Groups[i]
		out.Default()
		out.Group, out.AuthorizedOperations = group, operations(false, groupOperations)
		s.askGroup(group, groups.DescribeGroup{Group: group}, func(value any, err error) {
			describe(out, req.Version, value, err)
			if out.ErrorCode == 0 {
				out.AuthorizedOperations = operations(asked, groupOperations)
			}
			g.done()
		})
	}
	g.done()
}

func describe(out *kmsg.DescribeGroupsResponseGroup, version int16, value any, err error) {
	d, err := answerOf[groups.DescribedGroup](value, err)
	if err == nil && d.State == deadGroup && version >= 6 {
		err = kafkaproto.ErrGroupIDNotFound.With("Group %s not found.", out.Group)
	}
	out.State, out.ProtocolType, out.Protocol = d.State, d.ProtocolType, d.Protocol
	if err != nil {
		out.ErrorCode, out.ErrorMessage = kafkaproto.Code(err), kafkaproto.Message(err)
		return
	}
	out.Members = make([]kmsg.DescribeGroupsResponseGroupMember, len(d.Members))
	for i := range d.Members {
		m := &d.Members[i]
		out.Members[i] = kmsg.DescribeGroupsResponseGroupMember{
			MemberID: m.MemberID, InstanceID: m.InstanceID, ClientID: m.ClientID, ClientHost: m.ClientHost,
			ProtocolMetadata: m.Metadata, MemberAssignment: m.Assignment,
		}
	}
}
