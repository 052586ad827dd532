package broker

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func TestSyncGroupSaysWhatItsVersionCan(t *testing.T) {
	instance, kind, protocol := "here", "consumer", "range"
	for v := range int16(6) {
		b, asked := captureGroups(t, groups.SyncGroupAnswer{ProtocolType: &kind, Protocol: &protocol, Assignment: []byte("mine")})
		req := syncRequest(v, "g", "m", 3, "m", "mine", "other", "theirs")
		req.InstanceID = &instance
		resp := ask[*kmsg.SyncGroupResponse](b.dial(), req)
		want := groups.SyncGroup{Group: "g", MemberID: "m", Generation: 3, Assignments: []groups.Assignment{
			{MemberID: "m", Data: []byte("mine")}, {MemberID: "other", Data: []byte("theirs")},
		}}
		if v >= 3 {
			want.InstanceID = &instance
		}
		if v >= 5 {
			want.ProtocolType, want.Protocol = &kind, &protocol
		}
		if got := asked(); !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: %+v, want %+v", v, got, want)
		}
		if resp.ErrorCode != 0 || string(resp.MemberAssignment) != "mine" || (resp.Protocol != nil) != (v >= 5) || (resp.ProtocolType != nil) != (v >= 5) {
			t.Errorf("version %d: %+v", v, resp)
		}
	}
}

func TestSyncGroupOfVersion5NeedsItsProtocol(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	m := b.alone(c, "g")
	for name, change := range map[string]func(*kmsg.SyncGroupRequest){
		"no protocol":      func(r *kmsg.SyncGroupRequest) { r.Protocol = nil },
		"no type":          func(r *kmsg.SyncGroupRequest) { r.ProtocolType = nil },
		"another protocol": func(r *kmsg.SyncGroupRequest) { r.Protocol = kmsg.StringPtr("sticky") },
		"another type":     func(r *kmsg.SyncGroupRequest) { r.ProtocolType = kmsg.StringPtr("connect") },
	} {
		req := syncRequest(5, "g", m.id, m.generation)
		change(req)
		resp := ask[*kmsg.SyncGroupResponse](c, req)
		mustBeCode(t, name, resp.ErrorCode, kafkaproto.ErrInconsistentGroupProtocol)
		if resp.Protocol != nil || resp.ProtocolType != nil || len(resp.MemberAssignment) != 0 {
			t.Errorf("%s: %+v", name, resp)
		}
	}
	for v := range int16(6) {
		resp := ask[*kmsg.SyncGroupResponse](c, syncRequest(v, "g", m.id, m.generation))
		mustBeCode(t, fmt.Sprint("version ", v), resp.ErrorCode, nil)
		if string(resp.MemberAssignment) != "all" {
			t.Errorf("version %d: %q", v, resp.MemberAssignment)
		}
		mustBeCode(t, "empty group id", ask[*kmsg.SyncGroupResponse](c, syncRequest(v, "", m.id, 1)).ErrorCode, kafkaproto.ErrInvalidGroupID)
	}
}

func TestFollowersWaitForTheLeadersAssignment(t *testing.T) {
	b := startGroups(t)
	g := &groupOf{t: t, b: b, name: "g", clients: []*client{b.dial(), b.dial()}, joins: make([]*kmsg.JoinGroupResponse, 2)}
	g.rejoin(0)
	g.sync(0)
	second := g.join(1)
	b.dial().awaitState("g", "PreparingRebalance", 2)
	g.rejoin(0)
	second()
	// Large assignments come back whole, each to its member.
	big := make([]byte, 300_000)
	for i := range big {
		big[i] = byte(i * 7)
	}
	follower := syncRequest(3, "g", g.joins[1].MemberID, g.joins[1].Generation)
	id := g.clients[1].send(follower)
	leader := syncRequest(3, "g", g.joins[0].MemberID, g.joins[0].Generation, g.joins[0].MemberID, "small", g.joins[1].MemberID, string(big))
	first := ask[*kmsg.SyncGroupResponse](g.clients[0], leader)
	got := g.clients[1].receive(id, follower).(*kmsg.SyncGroupResponse)
	mustBeCode(t, "leader", first.ErrorCode, nil)
	mustBeCode(t, "follower", got.ErrorCode, nil)
	if string(first.MemberAssignment) != "small" || string(got.MemberAssignment) != string(big) {
		t.Errorf("%d and %d bytes", len(first.MemberAssignment), len(got.MemberAssignment))
	}
}
