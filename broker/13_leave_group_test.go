package broker

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func TestLeavingPutsTheErrorWhereItsVersionHasIt(t *testing.T) {
	b := startGroups(t)
	for v := range int16(6) {
		c, group := b.dial(), fmt.Sprint("g", v)
		m := b.alone(c, group)
		for _, leave := range []struct {
			group, member string
			want          *kafkaproto.Error
		}{
			{group, "nobody", kafkaproto.ErrUnknownMemberID},
			{"absent", m.id, kafkaproto.ErrUnknownMemberID},
			{group, m.id, nil},
			{group, m.id, kafkaproto.ErrUnknownMemberID},
		} {
			resp := ask[*kmsg.LeaveGroupResponse](c, leaveRequest(v, leave.group, leave.member))
			code := resp.ErrorCode
			if v >= 3 {
				mustBeCode(t, "at the top", code, nil)
				if len(resp.Members) != 1 || resp.Members[0].MemberID != leave.member {
					t.Fatalf("version %d: %+v", v, resp)
				}
				code = resp.Members[0].ErrorCode
			}
			mustBeCode(t, fmt.Sprintf("version %d %q of %q", v, leave.member, leave.group), code, leave.want)
		}
		if d := c.described(group); d.State != "Empty" {
			t.Errorf("%+v", d)
		}
		mustBeCode(t, "empty group id", ask[*kmsg.LeaveGroupResponse](c, leaveRequest(v, "", m.id)).ErrorCode, kafkaproto.ErrInvalidGroupID)
	}
}

func TestSeveralMembersLeaveAtOnceEachWithItsError(t *testing.T) {
	instance := "here"
	b, asked := captureGroups(t, []groups.LeaveAnswer{
		{MemberID: "a"}, {MemberID: "b", InstanceID: &instance, Err: kafkaproto.ErrFencedInstanceID}, {MemberID: "c", Err: kafkaproto.ErrUnknownMemberID},
	})
	for v := int16(3); v <= 5; v++ {
		req := leaveRequest(v, "g", "a", "b", "c")
		req.Members[1].InstanceID, req.Members[2].Reason = &instance, kmsg.StringPtr("bored")
		resp := ask[*kmsg.LeaveGroupResponse](b.dial(), req)
		want := groups.LeaveGroup{Group: "g", Members: []groups.LeavingMember{{MemberID: "a"}, {MemberID: "b", InstanceID: &instance}, {MemberID: "c"}}}
		if v >= 5 {
			want.Members[2].Reason = "bored"
		}
		if got := asked(); !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: %+v, want %+v", v, got, want)
		}
		if resp.ErrorCode != 0 || len(resp.Members) != 3 || resp.Members[0].ErrorCode != 0 || *resp.Members[1].InstanceID != instance ||
			resp.Members[1].ErrorCode != kafkaproto.ErrFencedInstanceID.Num || resp.Members[2].ErrorCode != kafkaproto.ErrUnknownMemberID.Num {
			t.Errorf("version %d: %+v", v, resp)
		}
	}
}
