package compat

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupScenarios are sequences of requests whose answers do not depend on time or chance.
var groupScenarios = []struct {
	name string
	run  func(g *groupWire)
}{
	{"commits", commitsOfEveryVersion},
	{"fetches", fetchesOfEveryVersion},
	{"commit-edges", edgesOfCommits},
	{"one-member", oneMemberInEveryVersion},
	{"refused", refusedRequests},
	{"rebalance", rebalanceOfTwoMembers},
	{"static", staticMembers},
	{"list", listedGroups},
	{"delete", deletedGroups},
	{"protocols", protocolsOfGroups},
	{"full", fullGroup},
	{"offset-delete", deletedOffsets},
}

// Builders of requests; what a scenario needs beyond them it changes itself.

func text(s string) *string { return &s }

// commitOf commits offsets, "topic:partition" to offset, in the order given.
func commitOf(g *groupWire, group string, version int16, rows ...any) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	for i := 0; i+1 < len(rows); i += 2 {
		name, partition, _ := strings.Cut(rows[i].(string), ":")
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = int32(partition[0]-'0'), int64(rows[i+1].(int)), text("meta")
		last := len(req.Topics) - 1
		if last >= 0 && req.Topics[last].Topic == name {
			req.Topics[last].Partitions = append(req.Topics[last].Partitions, p)
			continue
		}
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic = name
		if version >= 10 {
			topic.TopicID = [16]byte{15: 77}
			for id, n := range g.ids {
				if n == name {
					topic.TopicID = id
				}
			}
		}
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// fetchOf fetches "topic:partition..." ("t:01" for two); without any all that there is.
func fetchOf(g *groupWire, group string, version int16, rows ...string) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	one := kmsg.NewOffsetFetchRequestGroup()
	req.Group, one.Group, one.MemberEpoch = group, group, -1
	for _, row := range rows {
		name, partitions, _ := strings.Cut(row, ":")
		topic, inGroup := kmsg.NewOffsetFetchRequestTopic(), kmsg.NewOffsetFetchRequestGroupTopic()
		topic.Topic, inGroup.Topic = name, name
		if version >= 10 {
			inGroup.TopicID = [16]byte{15: 77}
			for id, n := range g.ids {
				if n == name {
					inGroup.TopicID = id
				}
			}
		}
		for _, p := range partitions {
			topic.Partitions = append(topic.Partitions, int32(p-'0'))
		}
		inGroup.Partitions = topic.Partitions
		req.Topics, one.Topics = append(req.Topics, topic), append(one.Topics, inGroup)
	}
	req.Groups = []kmsg.OffsetFetchRequestGroup{one}
	return req
}

func joinOf(group, member string, protocols ...string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = group, member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 60_000, 60_000
	for _, p := range protocols {
		protocol := kmsg.NewJoinGroupRequestProtocol()
		// A subscription to t. Kafka never answers a consumer whose subscription it can't read.
		protocol.Name, protocol.Metadata = p, []byte("\x00\x00\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x04"+(p + "    ")[:4])
		req.Protocols = append(req.Protocols, protocol)
	}
	return req
}

// syncOf brings assignments: member, assignment, member, assignment...
func syncOf(group, member string, generation int32, assignments ...string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	req.ProtocolType, req.Protocol = text("consumer"), text("range")
	for i := 0; i+1 < len(assignments); i += 2 {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = assignments[i], []byte(assignments[i+1])
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return req
}

func heartbeatOf(group, member string, generation int32) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	return req
}

// leaveOf takes members out; "id/instance" names both.
func leaveOf(group string, members ...string) *kmsg.LeaveGroupRequest {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	for _, m := range members {
		id, instance, static := strings.Cut(m, "/")
		req.MemberID = id
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID = id
		if static {
			member.InstanceID = &instance
		}
		req.Members = append(req.Members, member)
	}
	return req
}

func describeOf(groups ...string) *kmsg.DescribeGroupsRequest {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = groups, true
	return req
}

func deleteOf(groups ...string) *kmsg.DeleteGroupsRequest {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = groups
	return req
}

func offsetDeleteOf(group string, rows ...string) *kmsg.OffsetDeleteRequest {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	for _, row := range rows {
		name, partitions, _ := strings.Cut(row, ":")
		topic := kmsg.NewOffsetDeleteRequestTopic()
		topic.Topic = name
		for _, p := range partitions {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: int32(p - '0')})
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// enter makes a member of a group and returns its id and generation. It is alone there and brings itself its assignment.
func (g *groupWire) enter(client, group string) (member string, generation int32) {
	join := g.ask(client, 4, joinOf(group, "", "range")).(*kmsg.JoinGroupResponse)
	join = g.ask(client, 4, joinOf(group, join.MemberID, "range")).(*kmsg.JoinGroupResponse)
	g.ask(client, 4, syncOf(group, join.MemberID, join.Generation, join.MemberID, "all of it"))
	return join.MemberID, join.Generation
}

// requestsWithoutCoordinator has nobody to answer: nobody has looked for a coordinator yet, so there is no topic for them.
func requestsWithoutCoordinator(g *groupWire) {
	for _, v := range []int16{2, 10} {
		g.ask("a", v, commitOf(g, "g", v, "t:0", 1, "nowhere:0", 1))
	}
	for _, v := range []int16{1, 2, 7, 8, 10} {
		g.ask("a", v, fetchOf(g, "g", v, "t:01"))
	}
	for _, v := range []int16{0, 5, 7, 9} {
		g.ask("a", v, joinOf("g", "", "range"))
		g.ask("a", v, joinOf("g", "me", "range"))
	}
	for _, v := range []int16{0, 5} {
		g.ask("a", v, syncOf("g", "me", 1))
		g.ask("a", v, leaveOf("g", "me"))
	}
	for _, v := range []int16{0, 4} {
		g.ask("a", v, heartbeatOf("g", "me", 1))
	}
	for _, v := range []int16{0, 6} {
		g.ask("a", v, describeOf("g", "h"))
	}
	for _, v := range []int16{0, 5} {
		g.ask("a", v, kmsg.NewPtrListGroupsRequest())
	}
	g.ask("a", 2, deleteOf("g", "h"))
	g.ask("a", 0, offsetDeleteOf("g", "t:0", "nowhere:0"))
}

func commitsOfEveryVersion(g *groupWire) {
	for v := int16(2); v <= 10; v++ {
		group := g.group("v" + string(rune('0'+v)))
		if v == 10 {
			group = g.group("v10")
		}
		g.note("version %d: partitions that exist, one too high, a topic that doesn't exist, one named twice", v)
		req := commitOf(g, group, v, "t:0", 10+int(v), "t:1", 20, "t:7", 30, "t:1", 21, "nowhere:0", 40, "other:0", 50)
		req.RetentionTimeMillis = 3_600_000
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				req.Topics[i].Partitions[j].LeaderEpoch = 5
			}
		}
		g.ask("a", v, req)
		g.ask("a", 8, fetchOf(g, group, 8))
	}
	g.note("nothing that exists, and nothing at all")
	g.ask("a", 8, commitOf(g, g.group("nothing"), 8, "nowhere:0", 1, "t:9", 1))
	g.ask("a", 8, commitOf(g, g.group("nothing"), 8))
	g.ask("a", 6, describeOf(g.group("nothing")))
	g.note("an id of zeros is unknown")
	req := commitOf(g, g.group("zero"), 10, "t:0", 1)
	req.Topics[0].TopicID = [16]byte{}
	g.ask("a", 10, req)
}

func fetchesOfEveryVersion(g *groupWire) {
	group, second := g.group("a"), g.group("b")
	g.ask("a", 8, commitOf(g, group, 8, "t:0", 10, "other:0", 11))
	g.ask("a", 8, commitOf(g, second, 8, "t:1", 12))
	for v := int16(1); v <= 10; v++ {
		g.note("version %d: committed, never committed, no such partition, no such topic", v)
		g.ask("a", v, fetchOf(g, group, v, "t:017", "nowhere:0", "other:0"))
		g.ask("a", v, fetchOf(g, g.group("absent"), v, "t:0"))
		if v >= 2 {
			g.ask("a", v, fetchOf(g, group, v))
			g.ask("a", v, fetchOf(g, g.group("absent"), v))
		}
		req := fetchOf(g, group, v)
		req.Topics, req.Groups[0].Topics = []kmsg.OffsetFetchRequestTopic{}, []kmsg.OffsetFetchRequestGroupTopic{}
		g.note("version %d: no topics", v)
		g.ask("a", v, req)
		if v >= 7 {
			req := fetchOf(g, group, v, "t:0")
			req.RequireStable = true
			g.ask("a", v, req)
		}
		if v >= 8 {
			g.note("version %d: several groups, one of them twice", v)
			req := fetchOf(g, group, v, "t:0")
			for _, name := range []string{second, g.group("absent"), second} {
				req.Groups = append(req.Groups, fetchOf(g, name, v, "t:1").Groups[0])
			}
			g.ask("a", v, req)
			g.note("version %d: no groups", v)
			g.ask("a", v, kmsg.NewPtrOffsetFetchRequest())
		}
	}
	g.note("members of the new protocol, in a group that has none")
	for _, epoch := range []int32{-1, 0, 5} {
		req := fetchOf(g, group, 9, "t:0")
		req.Groups[0].MemberID, req.Groups[0].MemberEpoch = text("somebody"), epoch
		g.ask("a", 9, req)
	}
	g.note("a partition that is named twice")
	g.ask("a", 5, fetchOf(g, group, 5, "t:00", "t:0"))
	g.note("an id of zeros is unknown")
	req := fetchOf(g, group, 10, "t:0")
	req.Groups[0].Topics[0].TopicID = [16]byte{}
	g.ask("a", 10, req)
}

func edgesOfCommits(g *groupWire) {
	group := g.group("a")
	g.note("metadata: null, empty, too long")
	req := commitOf(g, group, 6, "t:0", 1, "t:1", 2, "other:0", 3)
	req.Topics[0].Partitions[0].Metadata = nil
	req.Topics[0].Partitions[1].Metadata = text("")
	req.Topics[1].Partitions[0].Metadata = text(strings.Repeat("x", 101))
	g.ask("a", 6, req)
	g.ask("a", 8, fetchOf(g, group, 8))
	g.note("metadata as long as allowed, in characters that take two bytes")
	req = commitOf(g, group, 6, "t:0", 1)
	req.Topics[0].Partitions[0].Metadata = text(strings.Repeat("ä", 100))
	g.ask("a", 6, req)
	g.note("offsets below zero, and the largest")
	g.ask("a", 6, commitOf(g, group, 6, "t:0", -1, "t:1", -5, "other:0", 1<<63-1))
	g.ask("a", 8, fetchOf(g, group, 8, "t:01", "other:0"))
	g.ask("a", 8, fetchOf(g, group, 8))
	g.note("leader epochs")
	req = commitOf(g, group, 7, "t:0", 1, "t:1", 2)
	req.Topics[0].Partitions[0].LeaderEpoch, req.Topics[0].Partitions[1].LeaderEpoch = 0, -7
	g.ask("a", 7, req)
	g.ask("a", 8, fetchOf(g, group, 8, "t:01"))
	g.note("a member of a group that does not exist")
	member := commitOf(g, g.group("absent"), 7, "t:0", 1)
	member.MemberID, member.Generation = "somebody", 3
	g.ask("a", 7, member)
	member.Generation = -1
	g.ask("a", 7, member)
	member.MemberID, member.Generation = "", 3
	g.ask("a", 7, member)
	member.InstanceID, member.Generation = text("static"), -1
	g.ask("a", 7, member)
	g.ask("a", 9, member)
	g.note("the same of an empty group that has offsets")
	member = commitOf(g, group, 7, "t:0", 1)
	member.MemberID, member.Generation = "somebody", 3
	g.ask("a", 7, member)
	member.MemberID, member.Generation = "", 3
	g.ask("a", 7, member)
	member.MemberID, member.Generation = "somebody", -1
	g.ask("a", 7, member)
	g.note("the empty group id")
	g.ask("a", 7, commitOf(g, "", 7, "t:0", 99))
	g.ask("a", 7, fetchOf(g, "", 7, "t:0"))
	g.ask("a", 8, fetchOf(g, "", 8))
	g.ask("a", 6, describeOf(""))
	g.ask("a", 2, deleteOf(""))
}

func oneMemberInEveryVersion(g *groupWire) {
	for v := int16(0); v <= 9; v++ {
		group := g.group("v" + string(rune('0'+v)))
		g.note("JoinGroup version %d", v)
		join := g.ask("a", v, joinOf(group, "", "range", "sticky")).(*kmsg.JoinGroupResponse)
		if v >= 4 {
			again := joinOf(group, join.MemberID, "range", "sticky")
			again.Reason = text("because")
			join = g.ask("a", v, again).(*kmsg.JoinGroupResponse)
		}
		id, generation := join.MemberID, join.Generation
		g.ask("a", min(v, 6), describeOf(group))
		g.ask("a", min(v, 4), heartbeatOf(group, id, generation))
		g.ask("a", 7, memberCommit(g, group, id, generation))
		g.ask("a", min(v, 5), syncOf(group, id, generation, id, "assigned"))
		g.ask("a", min(v, 5), syncOf(group, id, generation))
		g.ask("a", min(v, 6), describeOf(group, g.group("absent")))
		g.note("heartbeats and commits: as they should be, of another generation, of another member")
		for _, who := range []struct {
			id         string
			generation int32
		}{{id, generation}, {id, generation + 1}, {id, -1}, {"somebody", generation}, {"", generation}, {"", -1}} {
			g.ask("a", min(v, 4), heartbeatOf(group, who.id, who.generation))
			commit := memberCommit(g, group, who.id, who.generation)
			g.ask("a", max(2, v), commit)
		}
		g.note("syncs of another generation, member and protocol")
		g.ask("a", min(v, 5), syncOf(group, id, generation+1))
		g.ask("a", min(v, 5), syncOf(group, "somebody", generation))
		wrong := syncOf(group, id, generation)
		wrong.Protocol = text("sticky")
		g.ask("a", min(v, 5), wrong)
		wrong.Protocol, wrong.ProtocolType = text("range"), text("connect")
		g.ask("a", min(v, 5), wrong)
		g.ask("a", min(v, 2), deleteOf(group))
		g.ask("a", 0, offsetDeleteOf(group, "t:0"))
		g.ask("a", 5, fetchOf(g, group, 5))
		g.note("leave version %d", min(v, 5))
		g.ask("a", min(v, 5), leaveOf(group, "somebody"))
		g.ask("a", min(v, 5), leaveOf(group, id))
		g.ask("a", min(v, 5), leaveOf(group, id))
		g.ask("a", min(v, 6), describeOf(group))
		g.ask("a", min(v, 4), heartbeatOf(group, id, generation))
		g.ask("a", min(v, 5), syncOf(group, id, generation))
		g.ask("a", 2, deleteOf(group, group))
		g.ask("a", min(v, 6), describeOf(group))
		g.ask("a", min(v, 5), leaveOf(group, id))
		g.ask("a", min(v, 4), heartbeatOf(group, id, generation))
		g.ask("a", min(v, 5), syncOf(group, id, generation))
	}
}

func memberCommit(g *groupWire, group, member string, generation int32) *kmsg.OffsetCommitRequest {
	req := commitOf(g, group, 7, "t:0", 5)
	req.MemberID, req.Generation = member, generation
	for i := range req.Topics {
		req.Topics[i].TopicID = g.topicID("t")
	}
	return req
}

func refusedRequests(g *groupWire) {
	group := g.group("a")
	g.note("the empty group id")
	for _, v := range []int16{0, 4, 6, 7, 9} {
		g.ask("a", v, joinOf("", "me", "range"))
	}
	for _, v := range []int16{0, 3, 5} {
		g.ask("a", v, syncOf("", "me", 1))
	}
	g.ask("a", 0, heartbeatOf("", "me", 1))
	g.ask("a", 4, heartbeatOf("", "me", 1))
	g.ask("a", 3, leaveOf("", "me"))
	g.ask("a", 5, leaveOf("", "me"))
	g.ask("a", 0, offsetDeleteOf("", "t:0"))
	g.note("session timeouts out of bounds")
	for _, timeout := range []int32{99, 100_001, -1, 0} {
		req := joinOf(group, "", "range")
		req.SessionTimeoutMillis = timeout
		g.ask("a", 5, req)
		g.ask("a", 7, req)
	}
	g.note("a member id that nobody gave")
	for _, v := range []int16{0, 4, 9} {
		g.ask("a", v, joinOf(group, "somebody", "range"))
	}
	g.note("no protocols, no protocol type") // after which Kafka has an empty group in memory, until it is restarted
	g.ask("a", 3, joinOf(g.group("none"), ""))
	none := joinOf(g.group("none"), "", "range")
	none.ProtocolType = ""
	g.ask("a", 3, none)
	g.ask("a", 9, none)
	g.note("syncs without a protocol in version 5")
	req := syncOf(group, "me", 1)
	req.Protocol = nil
	g.ask("a", 5, req)
	req.Protocol, req.ProtocolType = text("range"), nil
	g.ask("a", 5, req)
	g.ask("a", 5, syncOf("", "me", 1))
	g.note("a group that does not exist")
	g.ask("a", 5, syncOf(group, "me", 1))
	g.ask("a", 4, heartbeatOf(group, "me", 1))
	g.ask("a", 2, leaveOf(group, "me"))
	g.ask("a", 3, leaveOf(group, "me", "/static", "me/static"))
	g.ask("a", 5, leaveOf(group))
	for v := int16(0); v <= 6; v++ {
		g.ask("a", v, describeOf(group))
	}
	for v := int16(0); v <= 2; v++ {
		g.ask("a", v, deleteOf(group))
	}
	g.ask("a", 2, deleteOf())
	g.ask("a", 6, describeOf())
	g.ask("a", 6, describeOf(group, group))
	g.ask("a", 0, offsetDeleteOf(group, "t:0"))
}

func rebalanceOfTwoMembers(g *groupWire) {
	group := g.group("a")
	a, generation := g.enter("a", group)
	g.note("a second one asks to join")
	b := g.ask("b", 4, joinOf(group, "", "range")).(*kmsg.JoinGroupResponse).MemberID
	g.begin("b", 4, joinOf(group, b, "range"))
	for g.ask("a", 4, heartbeatOf(group, a, generation)).(*kmsg.HeartbeatResponse).ErrorCode == 0 {
		g.forget() // b's request may still be on its way
	}
	g.ask("a", 7, memberCommit(g, group, a, generation))
	g.ask("c", 6, describeOf(group))
	g.ask("a", 5, syncOf(group, a, generation))
	g.ask("a", 7, joinOf(group, a, "range"))
	g.end("b")
	generation++
	g.note("before the assignment is there")
	g.ask("c", 6, describeOf(group))
	g.ask("a", 4, heartbeatOf(group, a, generation))
	g.ask("a", 7, memberCommit(g, group, a, generation))
	g.ask("b", 7, memberCommit(g, group, b, generation-1))
	g.begin("b", 5, syncOf(group, b, generation))
	g.ask("a", 5, syncOf(group, a, generation, a, "a's", b, "b's", "somebody", "nobody's"))
	g.end("b")
	g.ask("c", 6, describeOf(group))
	g.ask("a", 7, memberCommit(g, group, a, generation))
	g.ask("b", 7, memberCommit(g, group, b, generation))
	g.note("a follower that joins again with the same protocols gets the generation that there is")
	g.ask("b", 7, joinOf(group, b, "range"))
	g.note("the follower leaves, the leader hears of it")
	g.ask("b", 3, leaveOf(group, b))
	g.ask("a", 4, heartbeatOf(group, a, generation))
	g.ask("b", 4, heartbeatOf(group, b, generation))
	g.ask("a", 7, joinOf(group, a, "range"))
	generation++
	g.note("an assignment that leaves the leader out")
	g.ask("a", 5, syncOf(group, a, generation))
	g.ask("c", 6, describeOf(group))
	g.note("a leader that joins again begins a new generation")
	g.ask("a", 7, joinOf(group, a, "range"))
	g.ask("a", 1, leaveOf(group, a))
	g.ask("c", 6, describeOf(group))
	g.note("an empty group remembers its generation")
	a, _ = g.enter("a", group)
	g.ask("a", 1, leaveOf(group, a))
}

// forget takes the last question and answer out of the transcript, for those that are repeated until something holds.
func (g *groupWire) forget() {
	lines := strings.Split(strings.TrimSuffix(g.out.String(), "\n"), "\n")
	g.out.Reset()
	g.out.WriteString(strings.Join(lines[:len(lines)-2], "\n") + "\n")
}

func staticMembers(g *groupWire) {
	group := g.group("a")
	join := func(client, member, instance string, v int16) *kmsg.JoinGroupResponse {
		req := joinOf(group, member, "range")
		req.InstanceID = &instance
		return g.ask(client, v, req).(*kmsg.JoinGroupResponse)
	}
	first := join("a", "", "one", 5)
	id, generation := first.MemberID, first.Generation
	sync := syncOf(group, id, generation, id, "all of it")
	sync.InstanceID = text("one")
	g.ask("a", 5, sync)
	g.ask("a", 6, describeOf(group))
	g.note("the member comes back without its id, first as the leader of before")
	second := join("b", "", "one", 5)
	g.ask("a", 4, staticHeartbeat(group, id, "one", generation))
	g.ask("b", 4, staticHeartbeat(group, second.MemberID, "one", second.Generation))
	g.ask("a", 4, heartbeatOf(group, id, generation))
	g.ask("a", 4, staticHeartbeat(group, id, "two", generation))
	commit := memberCommit(g, group, id, generation)
	commit.InstanceID = text("one")
	g.ask("a", 7, commit)
	commit.MemberID, commit.Generation = second.MemberID, second.Generation
	g.ask("b", 7, commit)
	sync.MemberID = id
	g.ask("a", 5, sync)
	g.ask("b", 6, describeOf(group))
	fenced := joinOf(group, id, "range")
	fenced.InstanceID = text("one")
	g.ask("a", 5, fenced)
	g.note("from version 9 on it is told to leave the assignment as it is")
	third := join("b", "", "one", 9)
	sync = syncOf(group, third.MemberID, third.Generation)
	sync.InstanceID = text("one")
	g.ask("b", 5, sync)
	g.note("with its id and the same protocols")
	fourth := join("b", third.MemberID, "one", 9)
	sync = syncOf(group, fourth.MemberID, fourth.Generation, fourth.MemberID, "anew")
	sync.InstanceID = text("one")
	g.ask("b", 5, sync)
	g.ask("b", 6, describeOf(group))
	g.note("leaving: an unknown instance, a wrong id beside the instance, the instance, the instance again")
	g.ask("c", 3, leaveOf(group, "/nobody"))
	g.ask("c", 3, leaveOf(group, id+"/one"))
	g.ask("c", 5, leaveOf(group, "/one", "/one", "somebody"))
	g.ask("c", 6, describeOf(group))
	g.note("an instance that nobody has, with a member id")
	join("a", "somebody", "three", 5)
	g.note("another protocol in a stable group: a new generation")
	fifth := join("a", "", "one", 5)
	sync = syncOf(group, fifth.MemberID, fifth.Generation, fifth.MemberID, "x")
	g.ask("a", 4, sync)
	changed := joinOf(group, "", "sticky", "range")
	changed.InstanceID = text("one")
	g.ask("a", 5, changed)
	g.ask("c", 6, describeOf(group))
	g.ask("c", 4, leaveOf(group, "/one"))
}

func staticHeartbeat(group, member, instance string, generation int32) *kmsg.HeartbeatRequest {
	req := heartbeatOf(group, member, generation)
	req.InstanceID = &instance
	return req
}

func listedGroups(g *groupWire) {
	a, _ := g.enter("a", g.group("stable"))
	g.ask("a", 8, commitOf(g, g.group("simple"), 8, "t:0", 1))
	b, _ := g.enter("b", g.group("left"))
	g.ask("b", 3, leaveOf(g.group("left"), b))
	connect := joinOf(g.group("completing"), "", "default")
	connect.ProtocolType = "connect"
	c := g.ask("c", 3, connect).(*kmsg.JoinGroupResponse).MemberID
	for v := int16(0); v <= 5; v++ {
		g.list(v, nil, nil)
	}
	for _, states := range [][]string{{"Stable"}, {"stable", "EMPTY"}, {"CompletingRebalance"}, {"PreparingRebalance", "Dead"}, {"nonsense"}, {""}} {
		g.list(4, states, nil)
		g.list(5, states, nil)
	}
	for _, types := range [][]string{{"classic"}, {"Classic", "CONSUMER"}, {"consumer"}, {"share"}, {"nonsense"}} {
		g.list(5, nil, types)
	}
	g.list(5, []string{"stable"}, []string{"classic"})
	g.ask("a", 3, leaveOf(g.group("stable"), a))
	g.ask("c", 3, leaveOf(g.group("completing"), c))
}

// list lists the groups of this scenario.
func (g *groupWire) list(version int16, states, types []string) {
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, types
	g.begin("lister", version, req)
	a := g.waiting["lister"]
	resp, err := g.wires["lister"].receive(a.req, a.correlation)
	if err != nil {
		g.t.Fatal(err)
	}
	listed := resp.(*kmsg.ListGroupsResponse)
	var own []kmsg.ListGroupsResponseGroup
	for _, group := range listed.Groups {
		if strings.HasPrefix(group.Group, g.scenario+"-") {
			own = append(own, group)
		}
	}
	listed.Groups = own
	g.show("lister", listed)
}

func deletedGroups(g *groupWire) {
	a, _ := g.enter("a", g.group("live"))
	g.ask("a", 8, commitOf(g, g.group("simple"), 8, "t:0", 1, "other:0", 2))
	for v := int16(0); v <= 2; v++ {
		g.ask("a", v, deleteOf(g.group("live"), g.group("simple"), g.group("absent"), g.group("simple")))
		g.ask("a", 8, fetchOf(g, g.group("simple"), 8))
		g.ask("a", 8, commitOf(g, g.group("simple"), 8, "t:0", 1))
	}
	g.ask("a", 3, leaveOf(g.group("live"), a))
	g.ask("a", 2, deleteOf(g.group("live"), g.group("simple")))
	g.ask("a", 6, describeOf(g.group("live"), g.group("simple")))
}

func protocolsOfGroups(g *groupWire) {
	group := g.group("a")
	first := g.ask("a", 3, joinOf(group, "", "range", "sticky")).(*kmsg.JoinGroupResponse)
	g.ask("a", 3, syncOf(group, first.MemberID, first.Generation, first.MemberID, "x"))
	g.note("none in common, another type")
	g.ask("b", 3, joinOf(group, "", "roundrobin"))
	g.ask("b", 9, joinOf(group, "", "roundrobin"))
	other := joinOf(group, "", "range")
	other.ProtocolType = "connect"
	g.ask("b", 3, other)
	g.note("one in common: the one that all have")
	g.begin("b", 3, joinOf(group, "", "roundrobin", "sticky"))
	for g.ask("a", 4, heartbeatOf(group, first.MemberID, first.Generation)).(*kmsg.HeartbeatResponse).ErrorCode == 0 {
		g.forget()
	}
	g.ask("a", 9, joinOf(group, first.MemberID, "range", "sticky"))
	second := g.end("b").(*kmsg.JoinGroupResponse)
	g.begin("b", 3, syncOf(group, second.MemberID, second.Generation))
	wrong := syncOf(group, first.MemberID, second.Generation, first.MemberID, "x")
	g.ask("a", 5, wrong)
	wrong.Protocol = text("sticky")
	g.ask("a", 5, wrong)
	g.end("b")
	g.ask("c", 6, describeOf(group))
	g.note("a protocol type that no consumer has")
	connect := joinOf(g.group("connect"), "", "compatible")
	connect.ProtocolType = "connect"
	join := g.ask("c", 9, connect).(*kmsg.JoinGroupResponse)
	connect.MemberID = join.MemberID
	join = g.ask("c", 9, connect).(*kmsg.JoinGroupResponse)
	sync := syncOf(g.group("connect"), join.MemberID, join.Generation, join.MemberID, "")
	sync.Protocol, sync.ProtocolType = text("compatible"), text("connect")
	g.ask("c", 5, sync)
	g.ask("c", 6, describeOf(g.group("connect")))
	g.ask("c", 8, commitOf(g, g.group("connect"), 8, "t:0", 1))
	g.ask("c", 0, offsetDeleteOf(g.group("connect"), "t:0"))
	g.ask("c", 3, leaveOf(g.group("connect"), join.MemberID))
	g.ask("c", 3, leaveOf(group, first.MemberID, second.MemberID, "somebody"))
	g.ask("c", 6, describeOf(group))
}

func fullGroup(g *groupWire) {
	group := g.group("a")
	var ids []string
	for range 3 {
		ids = append(ids, g.ask("x", 4, joinOf(group, "", "range")).(*kmsg.JoinGroupResponse).MemberID)
	}
	g.note("ids that were given away count")
	g.ask("x", 4, joinOf(group, "", "range"))
	g.ask("x", 3, joinOf(group, "", "range"))
	g.ask("x", 6, describeOf(group))
	g.ask("x", 3, leaveOf(group, ids...))
	g.ask("x", 6, describeOf(group))
}

func deletedOffsets(g *groupWire) {
	group := g.group("a")
	g.ask("a", 8, commitOf(g, group, 8, "t:0", 1, "t:1", 2, "other:0", 3))
	g.ask("a", 0, offsetDeleteOf(group, "t:09", "nowhere:0", "other:0"))
	g.ask("a", 8, fetchOf(g, group, 8))
	g.ask("a", 0, offsetDeleteOf(group))
	g.ask("a", 0, offsetDeleteOf(group, "t:0"))
	g.note("the last one takes the group with it or not")
	g.ask("a", 0, offsetDeleteOf(group, "t:1"))
	g.ask("a", 8, fetchOf(g, group, 8))
	g.ask("a", 6, describeOf(group))
	g.note("a consumer that is subscribed to t and not to other")
	live := g.group("live")
	join := joinOf(live, "", "range")
	join.Protocols[0].Metadata = []byte("\x00\x00\x00\x00\x00\x01\x00\x01t\xff\xff\xff\xff")
	member := g.ask("a", 3, join).(*kmsg.JoinGroupResponse)
	g.ask("a", 3, syncOf(live, member.MemberID, member.Generation, member.MemberID, "\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"))
	commit := commitOf(g, live, 7, "t:0", 5, "other:0", 6)
	commit.MemberID, commit.Generation = member.MemberID, member.Generation
	g.ask("a", 7, commit)
	g.ask("a", 0, offsetDeleteOf(live, "t:0", "other:0"))
	g.ask("a", 8, fetchOf(g, live, 8))
	g.ask("a", 3, leaveOf(live, member.MemberID))
	g.ask("a", 0, offsetDeleteOf(live, "t:0"))
}
