package broker

// ListGroups (key 16, versions 0-5): the groups whose coordinator this broker is.
//
// Filters by state (KIP-518) from version 4 and by type (KIP-848) from 5, both without regard to case; a name that no state
// or type has lets nothing through. While a shard is being loaded the answer is COORDINATOR_LOAD_IN_PROGRESS.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func handleListGroups(s *Server, r *request) {
	req := r.req.(*kmsg.ListGroupsRequest)
	resp := kmsg.NewPtrListGroupsResponse()
	if s.groups == nil {
		resp.ErrorCode = kafkaproto.ErrCoordinatorNotAvailable.Num
		r.reply(resp)
		return
	}
	if _, ok := s.groups.Partitions(); !ok { // nobody has ever made a group
		r.reply(resp)
		return
	}
	input := groups.ListGroups{}
	if req.Version >= 4 {
		input.States = req.StatesFilter
	}
	if req.Version >= 5 {
		input.Types = req.TypesFilter
	}
	s.groups.Each(input, func(values []any, err error) {
		for _, v := range values {
			listed, listErr := answerOf[[]groups.ListedGroup](v, err)
			if err = listErr; err != nil {
				break
			}
			for _, g := range listed {
				resp.Groups = append(resp.Groups, kmsg.ListGroupsResponseGroup{
					Group: g.Group, ProtocolType: g.ProtocolType, GroupState: g.State, GroupType: g.Type,
				})
			}
		}
		if err != nil {
			resp.ErrorCode, resp.Groups = kafkaproto.Code(err), nil
		}
		r.reply(resp)
	})
}
