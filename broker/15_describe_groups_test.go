package broker

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func TestDescribeGroupsTellsOfMembersInEveryVersion(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	join := joinRequest(5, "g", "", "range")
	join.InstanceID = kmsg.StringPtr("here")
	m := ask[*kmsg.JoinGroupResponse](c, join)
	if d := c.described("g"); d.State != "CompletingRebalance" || d.Protocol != "" || len(d.Members) != 1 || len(d.Members[0].ProtocolMetadata) != 0 {
		t.Errorf("before the assignment: %+v", d)
	}
	sync := syncRequest(3, "g", m.MemberID, m.Generation, m.MemberID, "all")
	mustBeCode(t, "sync", ask[*kmsg.SyncGroupResponse](c, sync).ErrorCode, nil)
	for v := range int16(7) {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Version, req.Groups, req.IncludeAuthorizedOperations = v, []string{"absent", "g"}, true
		resp := ask[*kmsg.DescribeGroupsResponse](c, req)
		absent, d := resp.Groups[0], resp.Groups[1]
		if v >= 6 {
			mustBeCode(t, "absent", absent.ErrorCode, kafkaproto.ErrGroupIDNotFound)
			if absent.ErrorMessage == nil || *absent.ErrorMessage != "Group absent not found." || absent.AuthorizedOperations != notAsked {
				t.Errorf("version %d: %+v", v, absent)
			}
		} else {
			mustBeCode(t, "absent", absent.ErrorCode, nil)
		}
		if absent.Group != "absent" || absent.State != "Dead" {
			t.Errorf("version %d: %+v", v, absent)
		}
		operations := groupOperations
		if v < 3 {
			operations = notAsked
		}
		if d.ErrorCode != 0 || d.State != "Stable" || d.ProtocolType != "consumer" || d.Protocol != "range" || d.AuthorizedOperations != operations || len(d.Members) != 1 {
			t.Fatalf("version %d: %+v", v, d)
		}
		got := d.Members[0]
		if got.MemberID != m.MemberID || got.ClientID != "test" || got.ClientHost != "/127.0.0.1" || (got.InstanceID != nil) != (v >= 4) ||
			string(got.ProtocolMetadata) != string(join.Protocols[0].Metadata) || string(got.MemberAssignment) != "all" {
			t.Errorf("version %d: %+v", v, got)
		}
		req.IncludeAuthorizedOperations = false
		if got := ask[*kmsg.DescribeGroupsResponse](c, req).Groups[1].AuthorizedOperations; got != notAsked {
			t.Errorf("version %d: operations %d", v, got)
		}
	}
}

func TestDescribeGroupsAnswersWhatIsAskedTwiceTwice(t *testing.T) {
	b := startGroups(t)
	b.alone(b.dial(), "g")
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{"g", "absent", "g", ""}
	resp := ask[*kmsg.DescribeGroupsResponse](b.dial(), req)
	states := ""
	for _, g := range resp.Groups {
		states += fmt.Sprint(g.Group, " ", g.State, ", ")
	}
	if states != "g Stable, absent Dead, g Stable,  Dead, " {
		t.Error(states)
	}
	req.Groups = nil
	if resp := ask[*kmsg.DescribeGroupsResponse](b.dial(), req); len(resp.Groups) != 0 {
		t.Errorf("%+v", resp)
	}
}
