package broker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

func TestJoinGroupSaysWhatItsVersionCan(t *testing.T) {
	instance, protocol := "here", "range"
	for v := range int16(10) {
		b, asked := captureGroups(t, groups.JoinGroupAnswer{
			Generation: 3, ProtocolType: kmsg.StringPtr("consumer"), Protocol: &protocol, Leader: "m", MemberID: "m", SkipAssignment: true,
			Members: []groups.JoinedMember{{MemberID: "m", InstanceID: &instance, Metadata: []byte("data")}},
		})
		req := joinRequest(v, "g", "m", "range", "sticky")
		req.InstanceID, req.Reason = &instance, kmsg.StringPtr("why not")
		resp := ask[*kmsg.JoinGroupResponse](b.dial(), req)

		metadata := req.Protocols[0].Metadata
		want := groups.JoinGroup{
			Group: "g", MemberID: "m", ClientID: "test", ClientHost: "/127.0.0.1", SessionTimeout: 10 * time.Second,
			RebalanceTimeout: time.Minute, ProtocolType: "consumer", RequireKnownID: v >= 4, CanSkipAssignment: v >= 9,
			Protocols: []groups.Protocol{{Name: "range", Metadata: metadata}, {Name: "sticky", Metadata: metadata}},
		}
		if v == 0 {
			want.RebalanceTimeout = want.SessionTimeout
		}
		if v >= 5 {
			want.InstanceID = &instance
		}
		if v >= 8 {
			want.Reason = "why not"
		}
		if got := asked(); !reflect.DeepEqual(got, want) {
			t.Errorf("version %d:\ngot  %+v\nwant %+v", v, got, want)
		}
		if resp.ErrorCode != 0 || resp.Generation != 3 || *resp.Protocol != "range" || resp.LeaderID != "m" || resp.MemberID != "m" ||
			(resp.ProtocolType != nil) != (v >= 7) || resp.SkipAssignment != (v >= 9) ||
			len(resp.Members) != 1 || (resp.Members[0].InstanceID != nil) != (v >= 5) || string(resp.Members[0].ProtocolMetadata) != "data" {
			t.Errorf("version %d: %+v", v, resp)
		}
	}
}

func TestJoinGroupErrorsHaveNoProtocolFromVersion7On(t *testing.T) {
	b, _ := captureGroups(t, groups.JoinGroupAnswer{Err: kafkaproto.ErrInconsistentGroupProtocol, Generation: -1, MemberID: "m"})
	c := b.dial()
	for v := range int16(10) {
		for _, group := range []string{"g", ""} {
			b.server.groups.(*fakeGroups).submit = func(_ int32, _ any, done func(any, error)) {
				done(groups.JoinGroupAnswer{Err: kafkaproto.ErrInconsistentGroupProtocol, Generation: -1, MemberID: "m"}, nil)
			}
			resp := ask[*kmsg.JoinGroupResponse](c, joinRequest(v, group, "m", "range"))
			want := kafkaproto.ErrInconsistentGroupProtocol
			if group == "" {
				want = kafkaproto.ErrInvalidGroupID
			}
			mustBeCode(t, "join", resp.ErrorCode, want)
			if (resp.Protocol == nil) != (v >= 7) || textOf(resp.Protocol) != "" || resp.ProtocolType != nil || resp.Generation != -1 || resp.MemberID != "m" {
				t.Errorf("version %d: %+v", v, resp)
			}
		}
	}
}

func TestNewMembersOfVersion4OnMustComeBackWithTheirID(t *testing.T) {
	b := startGroups(t)
	for v := range int16(10) {
		c, group := b.dial(), fmt.Sprint("g", v)
		resp := ask[*kmsg.JoinGroupResponse](c, joinRequest(v, group, "", "range"))
		if v >= 4 {
			mustBeCode(t, group, resp.ErrorCode, kafkaproto.ErrMemberIDRequired)
			resp = ask[*kmsg.JoinGroupResponse](c, joinRequest(v, group, resp.MemberID, "range"))
		}
		mustBeCode(t, group, resp.ErrorCode, nil)
		if !strings.HasPrefix(resp.MemberID, "test-") || resp.LeaderID != resp.MemberID || len(resp.Members) != 1 {
			t.Errorf("version %d: %+v", v, resp)
		}
	}
	for v := int16(5); v <= 9; v++ { // a static member needs none
		req := joinRequest(v, fmt.Sprint("static", v), "", "range")
		req.InstanceID = kmsg.StringPtr("here")
		resp := ask[*kmsg.JoinGroupResponse](b.dial(), req)
		mustBeCode(t, "static", resp.ErrorCode, nil)
		if !strings.HasPrefix(resp.MemberID, "here-") {
			t.Errorf("version %d: %+v", v, resp)
		}
	}
}

func TestAnInstanceIDBelowVersion5JoinsAsADynamicMember(t *testing.T) {
	b := startGroups(t)
	for v := range int16(5) {
		c, group := b.dial(), fmt.Sprint("g", v)
		req := joinRequest(v, group, "", "range")
		req.InstanceID = kmsg.StringPtr("here") // not written in this version
		resp := ask[*kmsg.JoinGroupResponse](c, req)
		if v == 4 {
			req.MemberID = resp.MemberID
			resp = ask[*kmsg.JoinGroupResponse](c, req)
		}
		mustBeCode(t, group, resp.ErrorCode, nil)
		sync := syncRequest(2, group, resp.MemberID, resp.Generation, resp.MemberID, "all")
		sync.InstanceID = kmsg.StringPtr("here")
		mustBeCode(t, "sync", ask[*kmsg.SyncGroupResponse](c, sync).ErrorCode, nil)
		if d := c.described(group); d.Members[0].InstanceID != nil || d.State != "Stable" {
			t.Errorf("version %d: %+v", v, d)
		}
	}
}

func TestStaticMembersComeBackAndFenceTheOld(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	join := joinRequest(5, "g", "", "range")
	join.InstanceID = kmsg.StringPtr("here")
	first := ask[*kmsg.JoinGroupResponse](c, join)
	sync := syncRequest(5, "g", first.MemberID, first.Generation, first.MemberID, "all")
	sync.InstanceID = join.InstanceID
	mustBeCode(t, "sync", ask[*kmsg.SyncGroupResponse](c, sync).ErrorCode, nil)

	second := ask[*kmsg.JoinGroupResponse](c, join) // as after a restart: without its id
	mustBeCode(t, "again", second.ErrorCode, nil)
	if second.MemberID == first.MemberID || second.Generation != first.Generation {
		t.Errorf("%+v after %+v", second, first)
	}
	fenced := kafkaproto.ErrFencedInstanceID
	beat := heartbeatRequest(4, "g", first.MemberID, first.Generation)
	beat.InstanceID = join.InstanceID
	mustBeCode(t, "heartbeat of the old", ask[*kmsg.HeartbeatResponse](c, beat).ErrorCode, fenced)
	beat.MemberID = second.MemberID
	mustBeCode(t, "heartbeat of the new", ask[*kmsg.HeartbeatResponse](c, beat).ErrorCode, nil)
	mustBeCode(t, "sync of the old", ask[*kmsg.SyncGroupResponse](c, sync).ErrorCode, fenced)
	commit := b.commitRequest(7, "g", "t", 0, 1)
	commit.MemberID, commit.Generation, commit.InstanceID = first.MemberID, first.Generation, join.InstanceID
	mustBeCode(t, "commit of the old", ask[*kmsg.OffsetCommitResponse](c, commit).Topics[0].Partitions[0].ErrorCode, fenced)
	old := joinRequest(5, "g", first.MemberID, "range")
	old.InstanceID = join.InstanceID
	mustBeCode(t, "join of the old", ask[*kmsg.JoinGroupResponse](c, old).ErrorCode, fenced)

	leave := leaveRequest(3, "g", "")
	leave.Members[0].InstanceID = join.InstanceID
	mustBeCode(t, "leave", ask[*kmsg.LeaveGroupResponse](c, leave).Members[0].ErrorCode, nil)
	if d := c.described("g"); d.State != "Empty" {
		t.Errorf("%+v", d)
	}
}

// groupOf is a group of members on connections of their own, in a test with a fake clock.
type groupOf struct {
	t       *testing.T
	b       *testBroker
	name    string
	clients []*client
	joins   []*kmsg.JoinGroupResponse
}

// rejoin has members join (those without an id as new ones) and waits for all of them.
func (g *groupOf) rejoin(members ...int) {
	g.t.Helper()
	g.join(members...)()
}

// join has members join, without waiting for what they are told: that is for the function that it returns.
func (g *groupOf) join(order ...int) (wait func()) {
	g.t.Helper()
	reqs, ids := make([]*kmsg.JoinGroupRequest, len(order)), make([]int32, len(order))
	for i, m := range order {
		member := ""
		if g.joins[m] != nil {
			member = g.joins[m].MemberID
		}
		reqs[i] = joinRequest(3, g.name, member, "range")
		ids[i] = g.clients[m].send(reqs[i])
	}
	return func() {
		g.t.Helper()
		for i, m := range order {
			g.joins[m] = g.clients[m].receive(ids[i], reqs[i]).(*kmsg.JoinGroupResponse)
			mustBeCode(g.t, fmt.Sprint("join of ", m), g.joins[m].ErrorCode, nil)
		}
	}
}

// sync has the members get their assignments, which the leader (the one that was told of all) makes: "part-<id>".
func (g *groupOf) sync(members ...int) {
	g.t.Helper()
	ids, reqs := map[int]int32{}, map[int]*kmsg.SyncGroupRequest{}
	for _, m := range members {
		var assignments []string
		for _, other := range g.joins[m].Members {
			assignments = append(assignments, other.MemberID, "part-"+other.MemberID)
		}
		if (g.joins[m].LeaderID == g.joins[m].MemberID) != (len(assignments) > 0) || len(assignments) != 0 && len(assignments) != 2*len(members) {
			g.t.Errorf("member %d, leader %v, was told of %d members, want %d", m, len(assignments) > 0, len(assignments)/2, len(members))
		}
		reqs[m] = syncRequest(3, g.name, g.joins[m].MemberID, g.joins[m].Generation, assignments...)
		ids[m] = g.clients[m].send(reqs[m])
	}
	for _, m := range members {
		resp := g.clients[m].receive(ids[m], reqs[m]).(*kmsg.SyncGroupResponse)
		mustBeCode(g.t, fmt.Sprint("sync of ", m), resp.ErrorCode, nil)
		if string(resp.MemberAssignment) != "part-"+g.joins[m].MemberID {
			g.t.Errorf("member %d was given %q", m, resp.MemberAssignment)
		}
	}
}

// heartbeats checks what each member is told.
func (g *groupOf) heartbeats(want *kafkaproto.Error, members ...int) {
	g.t.Helper()
	for _, m := range members {
		resp := ask[*kmsg.HeartbeatResponse](g.clients[m], heartbeatRequest(3, g.name, g.joins[m].MemberID, g.joins[m].Generation))
		mustBeCode(g.t, fmt.Sprint("heartbeat of ", m), resp.ErrorCode, want)
	}
}

func TestThreeMembersJoinLeaveAndDie(t *testing.T) {
	clock := env.NewFakeClock(time.UnixMilli(1_700_000_000_000))
	b := startGroups(t, withClock(clock), withConfig("group.initial.rebalance.delay.ms=3000"))
	g := &groupOf{t: t, b: b, name: "g", clients: []*client{b.dial(), b.dial(), b.dial()}, joins: make([]*kmsg.JoinGroupResponse, 3)}
	watcher := b.dial()

	// All three arrive within the initial delay, and begin as one generation.
	arrived := g.join(0, 1, 2)
	watcher.awaitState("g", "PreparingRebalance", 3)
	preparing := func() bool { return watcher.described("g").State == "PreparingRebalance" }
	for preparing() { // who comes late puts the end off
		clock.Advance(3 * time.Second)
		for until := time.Now().Add(200 * time.Millisecond); preparing() && time.Now().Before(until); { // and sessions are 10 s long
		}
	}
	arrived()
	g.sync(2, 0, 1)
	g.heartbeats(nil, 0, 1, 2)
	generation := g.joins[0].Generation
	for _, j := range g.joins {
		if j.Generation != generation {
			t.Errorf("generations %d and %d", generation, j.Generation)
		}
	}
	// Sessions are 10 s long, and heartbeats renew them.
	for range 4 {
		clock.Advance(8 * time.Second)
		g.heartbeats(nil, 0, 1, 2)
	}
	// One leaves: the others hear of it, and join again.
	mustBeCode(t, "leave", ask[*kmsg.LeaveGroupResponse](g.clients[1], leaveRequest(2, "g", g.joins[1].MemberID)).ErrorCode, nil)
	g.heartbeats(kafkaproto.ErrRebalanceInProgress, 0, 2)
	g.heartbeats(kafkaproto.ErrUnknownMemberID, 1)
	g.rejoin(0, 2)
	g.sync(0, 2)
	// One dies: its session ends, the other hears of it.
	clock.Advance(8 * time.Second)
	g.heartbeats(nil, 0)
	clock.Advance(8 * time.Second)
	watcher.awaitState("g", "PreparingRebalance", 1)
	g.heartbeats(kafkaproto.ErrRebalanceInProgress, 0)
	g.heartbeats(kafkaproto.ErrUnknownMemberID, 2)
	g.rejoin(0)
	g.sync(0)
	if got := g.joins[0].Generation; got != generation+2 {
		t.Errorf("generation %d, want %d", got, generation+2)
	}
	// The last one dies too, and nobody is left.
	clock.Advance(11 * time.Second)
	watcher.awaitState("g", "Empty", 0)
}

func TestASecondMemberJoinsAGroupThatIsStable(t *testing.T) {
	b := startGroups(t)
	g := &groupOf{t: t, b: b, name: "g", clients: []*client{b.dial(), b.dial()}, joins: make([]*kmsg.JoinGroupResponse, 2)}
	g.rejoin(0)
	g.sync(0)
	second := joinRequest(3, "g", "", "range")
	id := g.clients[1].send(second)
	b.dial().awaitState("g", "PreparingRebalance", 2)
	g.heartbeats(kafkaproto.ErrRebalanceInProgress, 0)
	g.rejoin(0)
	g.joins[1] = g.clients[1].receive(id, second).(*kmsg.JoinGroupResponse)
	mustBeCode(t, "second", g.joins[1].ErrorCode, nil)
	g.sync(1, 0)
	g.heartbeats(nil, 0, 1)
}

func TestAMemberThatDoesNotJoinAgainIsLeftBehind(t *testing.T) {
	clock := env.NewFakeClock(time.UnixMilli(1_700_000_000_000))
	b := startGroups(t, withClock(clock))
	g := &groupOf{t: t, b: b, name: "g", clients: []*client{b.dial(), b.dial()}, joins: make([]*kmsg.JoinGroupResponse, 2)}
	g.rejoin(0)
	g.sync(0)
	join := joinRequest(3, "g", "", "range")
	id := g.clients[1].send(join)
	watcher := b.dial()
	watcher.awaitState("g", "PreparingRebalance", 2)
	for range 7 { // alive, but not joining within the rebalance timeout of 60 s
		g.heartbeats(kafkaproto.ErrRebalanceInProgress, 0)
		clock.Advance(9 * time.Second)
	}
	g.joins[1] = g.clients[1].receive(id, join).(*kmsg.JoinGroupResponse)
	mustBeCode(t, "second", g.joins[1].ErrorCode, nil)
	g.sync(1)
	g.heartbeats(kafkaproto.ErrUnknownMemberID, 0)
}
