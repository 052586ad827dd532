package broker

// DeleteGroups (key 42, versions 0-2): deletes groups without members, with their offsets (KIP-229).
//
// Every group has its own error: NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND. A group that is named twice is deleted and answered
// once.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func handleDeleteGroups(s *Server, r *request) {
	req := r.req.(*kmsg.DeleteGroupsRequest)
	names := distinct(req.Groups)
	resp := kmsg.NewPtrDeleteGroupsResponse()
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(names))
	g := gather(r, resp, len(names))
	for i, name := range names {
		out := &resp.Groups[i]
		out.Group = name
		s.askGroup(name, groups.DeleteGroup{Group: name}, func(_ any, err error) {
			out.ErrorCode = kafkaproto.Code(err)
			g.done()
		})
	}
	g.done()
}

// distinct keeps the first of each name.
func distinct(names []string) []string {
	seen := make(map[string]bool, len(names))
	var out []string
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}
