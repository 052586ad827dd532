package broker

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// startGroups starts a broker with coordinators at work and the topics t (2 partitions) and other (1).
func startGroups(t testing.TB, options ...brokerOption) *testBroker {
	t.Helper()
	b := startBroker(t, append([]brokerOption{withConfig("offsets.topic.num.partitions=3", "group.initial.rebalance.delay.ms=0")}, options...)...)
	b.createTopic("t", 2)
	b.createTopic("other", 1)
	mustBeCode(t, "find", ask[*kmsg.FindCoordinatorResponse](b.dial(), findCoordinator(3, groupCoordinator, "g")).ErrorCode, nil)
	b.awaitGroups()
	return b
}

// awaitGroups waits until every coordinator is loaded.
func (b *testBroker) awaitGroups() {
	b.t.Helper()
	c := b.dial()
	eventually(b.t, "the coordinators are loaded", func() bool {
		return ask[*kmsg.ListGroupsResponse](c, kmsg.NewPtrListGroupsRequest()).ErrorCode == 0
	})
}

// fakeGroups stands in for the coordinators where a test decides what they answer. It runs on the asker's goroutine.
type fakeGroups struct {
	submit func(partition int32, input any, done func(any, error))
	none   bool // there is no topic for them yet
}

func (f *fakeGroups) Submit(partition int32, input any, done func(any, error)) {
	f.submit(partition, input, done)
}

func (f *fakeGroups) Each(input any, done func([]any, error)) {
	f.submit(-1, input, func(value any, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done([]any{value}, nil)
	})
}

func (f *fakeGroups) Partitions() (int32, bool) { return 3, !f.none }

// startFakeGroups starts a broker whose coordinators do as f says.
func startFakeGroups(t testing.TB, f *fakeGroups) *testBroker {
	t.Helper()
	b := startBroker(t)
	b.createTopic("t", 2)
	b.server.groups = f
	return b
}

// at sets a request's version.
func at[R kmsg.Request](version int16, req R) R {
	req.SetVersion(version)
	return req
}

// joinRequest is JoinGroup of a consumer that is subscribed to t.
func joinRequest(version int16, group, member string, protocols ...string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.ProtocolType = version, group, member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 60_000
	for _, p := range protocols {
		protocol := kmsg.NewJoinGroupRequestProtocol()
		protocol.Name, protocol.Metadata = p, []byte("\x00\x00\x00\x00\x00\x01\x00\x01t\xff\xff\xff\xff")
		req.Protocols = append(req.Protocols, protocol)
	}
	return req
}

// syncRequest brings assignments, member after assignment.
func syncRequest(version int16, group, member string, generation int32, assignments ...string) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation = version, group, member, generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	for i := 0; i+1 < len(assignments); i += 2 {
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{
			MemberID: assignments[i], MemberAssignment: []byte(assignments[i+1]),
		})
	}
	return req
}

func heartbeatRequest(version int16, group, member string, generation int32) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.Generation = version, group, member, generation
	return req
}

func leaveRequest(version int16, group string, members ...string) *kmsg.LeaveGroupRequest {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.MemberID = version, group, members[0]
	for _, m := range members {
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID = m
		req.Members = append(req.Members, member)
	}
	return req
}

// commitRequest commits one offset of a topic's partition, as a simple consumer.
func (b *testBroker) commitRequest(version int16, group, topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group = version, group
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata = partition, offset, kmsg.StringPtr("note")
	row := kmsg.NewOffsetCommitRequestTopic()
	row.Topic = topic
	if found, ok := b.quorum.Image().Topic(topic); ok {
		row.TopicID = found.ID
	}
	row.Partitions = append(row.Partitions, p)
	req.Topics = append(req.Topics, row)
	return req
}

// mustCommit commits an offset with version 8.
func (b *testBroker) mustCommit(c *client, group, topic string, partition int32, offset int64) {
	b.t.Helper()
	resp := ask[*kmsg.OffsetCommitResponse](c, b.commitRequest(8, group, topic, partition, offset))
	mustBeCode(b.t, "commit", resp.Topics[0].Partitions[0].ErrorCode, nil)
}

// fetchOffsetsRequest asks for one topic's partitions; without a topic for all that there is.
func (b *testBroker) fetchOffsetsRequest(version int16, group, topic string, partitions ...int32) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	one := kmsg.NewOffsetFetchRequestGroup()
	req.Version, req.Group, one.Group = version, group, group
	if topic != "" {
		old, row := kmsg.NewOffsetFetchRequestTopic(), kmsg.NewOffsetFetchRequestGroupTopic()
		old.Topic, old.Partitions, row.Topic, row.Partitions = topic, partitions, topic, partitions
		if found, ok := b.quorum.Image().Topic(topic); ok {
			row.TopicID = found.ID
		}
		req.Topics, one.Topics = append(req.Topics, old), append(one.Topics, row)
	}
	req.Groups = append(req.Groups, one)
	return req
}

// offsetsIn are the rows of an answer with one group, as "topic:partition offset epoch metadata error".
func (b *testBroker) offsetsIn(resp *kmsg.OffsetFetchResponse) []string {
	rows := []string{}
	row := func(topic string, p kmsg.OffsetFetchResponseTopicPartition) {
		rows = append(rows, fmt.Sprintf("%s:%d %d epoch %d %q %d", topic, p.Partition, p.Offset, p.LeaderEpoch, textOf(p.Metadata), p.ErrorCode))
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			row(t.Topic, p)
		}
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			if found, ok := b.quorum.Image().TopicByID(t.TopicID); ok && resp.Version >= 10 {
				t.Topic = found.Name
			}
			for _, p := range t.Partitions {
				row(t.Topic, kmsg.OffsetFetchResponseTopicPartition(p))
			}
		}
	}
	return rows
}

// committed is one committed offset, -1 if there is none.
func (b *testBroker) committed(c *client, group, topic string, partition int32) int64 {
	b.t.Helper()
	resp := ask[*kmsg.OffsetFetchResponse](c, b.fetchOffsetsRequest(5, group, topic, partition))
	mustBeCode(b.t, "fetch offsets", resp.ErrorCode, nil)
	mustBeCode(b.t, "fetch offsets", resp.Topics[0].Partitions[0].ErrorCode, nil)
	return resp.Topics[0].Partitions[0].Offset
}

// described is a group as DescribeGroups version 5 tells of it.
func (c *client) described(group string) kmsg.DescribeGroupsResponseGroup {
	c.t.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version, req.Groups = 5, []string{group}
	return ask[*kmsg.DescribeGroupsResponse](c, req).Groups[0]
}

// awaitState waits until a group has a state and so many members: until a request of another connection has come in.
func (c *client) awaitState(group, state string, members int) kmsg.DescribeGroupsResponseGroup {
	c.t.Helper()
	var d kmsg.DescribeGroupsResponseGroup
	eventually(c.t, fmt.Sprintf("%s is %s with %d members", group, state, members), func() bool {
		d = c.described(group)
		return d.State == state && len(d.Members) == members
	})
	return d
}

// groupRequests are one request of every key of groups, in all versions.
func groupRequests(b *testBroker) []kmsg.Request {
	var all []kmsg.Request
	each := func(highest int16, make func(version int16) kmsg.Request) {
		for v := int16(0); v <= highest; v++ {
			all = append(all, at(v, make(v)))
		}
	}
	each(10, func(v int16) kmsg.Request { return b.commitRequest(v, "g", "t", 0, 1) })
	each(10, func(v int16) kmsg.Request { return b.fetchOffsetsRequest(v, "g", "t", 0) })
	each(9, func(v int16) kmsg.Request { return joinRequest(v, "g", "m", "range") })
	each(4, func(v int16) kmsg.Request { return heartbeatRequest(v, "g", "m", 1) })
	each(5, func(v int16) kmsg.Request { return leaveRequest(v, "g", "m") })
	each(5, func(v int16) kmsg.Request { return syncRequest(v, "g", "m", 1) })
	each(6, func(int16) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{"g"}
		return req
	})
	each(5, func(int16) kmsg.Request { return kmsg.NewPtrListGroupsRequest() })
	each(2, func(int16) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{"g"}
		return req
	})
	each(0, func(int16) kmsg.Request {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = "g"
		req.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}
		return req
	})
	return all
}

// errorPlaces are the paths of all error fields of a response with what stands in them.
func errorPlaces(v reflect.Value, path string, into map[string]int16) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if name == "ErrorCode" {
				into[path] = int16(v.Field(i).Int())
			}
			errorPlaces(v.Field(i), path+"/"+name, into)
		}
	case reflect.Slice:
		for i := range v.Len() {
			errorPlaces(v.Index(i), path, into)
		}
	}
}

// errorPlace is where each key says that this broker is not the coordinator; what else has an error code must be 0.
func errorPlace(req kmsg.Request) string {
	switch version := req.GetVersion(); req.(type) {
	case *kmsg.OffsetCommitRequest:
		return "/Topics/Partitions"
	case *kmsg.OffsetFetchRequest:
		switch {
		case version < 2:
			return "/Topics/Partitions"
		case version >= 8:
			return "/Groups"
		}
	case *kmsg.DescribeGroupsRequest, *kmsg.DeleteGroupsRequest:
		return "/Groups"
	}
	return ""
}

func TestErrorsOfCoordinatorsStandWhereEachVersionHasThem(t *testing.T) {
	var answer error
	b := startFakeGroups(t, &fakeGroups{submit: func(_ int32, _ any, done func(any, error)) { done(nil, answer) }})
	c := b.dial()
	for _, err := range []*kafkaproto.Error{
		kafkaproto.ErrNotCoordinator, kafkaproto.ErrCoordinatorLoadInProgress, kafkaproto.ErrCoordinatorNotAvailable,
	} {
		answer = err
		for _, req := range groupRequests(b) {
			want := err.Num
			if _, ok := req.(*kmsg.HeartbeatRequest); ok && err == kafkaproto.ErrCoordinatorLoadInProgress {
				want = 0
			}
			resp := ask[kmsg.Response](c, req)
			places := map[string]int16{}
			errorPlaces(reflect.ValueOf(resp).Elem(), "", places)
			for place, code := range places {
				if place == errorPlace(req) && code != want || place != errorPlace(req) && code != 0 {
					t.Errorf("%s: key %d version %d has %d at %q", err.Name, req.Key(), req.GetVersion(), code, place)
				}
			}
			if _, ok := places[errorPlace(req)]; !ok {
				t.Errorf("key %d version %d has no error at %q: %+v", req.Key(), req.GetVersion(), errorPlace(req), resp)
			}
		}
	}
}

func TestWithoutATopicForThemThereAreNoGroups(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 2)
	c := b.dial()
	list := ask[*kmsg.ListGroupsResponse](c, kmsg.NewPtrListGroupsRequest())
	if list.ErrorCode != 0 || len(list.Groups) != 0 {
		t.Errorf("ListGroups: %+v", list)
	}
	mustBeCode(t, "heartbeat", ask[*kmsg.HeartbeatResponse](c, heartbeatRequest(4, "g", "m", 1)).ErrorCode, kafkaproto.ErrNotCoordinator)
	mustBeCode(t, "join", ask[*kmsg.JoinGroupResponse](c, joinRequest(5, "g", "", "range")).ErrorCode, kafkaproto.ErrNotCoordinator)
}

func TestGroupsAreAskedOfTheirPartition(t *testing.T) {
	asked := map[string]int32{}
	b := startFakeGroups(t, &fakeGroups{submit: func(partition int32, input any, done func(any, error)) {
		asked[input.(groups.DescribeGroup).Group] = partition
		done(groups.DescribedGroup{State: "Empty"}, nil)
	}})
	req := kmsg.NewPtrDescribeGroupsRequest()
	for i := range 20 {
		req.Groups = append(req.Groups, fmt.Sprint("group-", i))
	}
	resp := ask[*kmsg.DescribeGroupsResponse](b.dial(), req)
	for i, g := range resp.Groups {
		if g.Group != req.Groups[i] || asked[g.Group] != groups.PartitionFor(g.Group, 3) {
			t.Errorf("row %d: %s was asked of partition %d", i, g.Group, asked[g.Group])
		}
	}
}

func TestAnswersOfTheWrongKindAreAnErrorNotAPanic(t *testing.T) {
	b := startFakeGroups(t, &fakeGroups{submit: func(_ int32, _ any, done func(any, error)) { done(42, nil) }})
	c := b.dial()
	for _, req := range groupRequests(b) {
		switch req.(type) {
		case *kmsg.HeartbeatRequest, *kmsg.DeleteGroupsRequest: // have no answer but success
			continue
		}
		places := map[string]int16{}
		errorPlaces(reflect.ValueOf(ask[kmsg.Response](c, req)).Elem(), "", places)
		if places[errorPlace(req)] != kafkaproto.ErrUnknownServerError.Num {
			t.Errorf("key %d version %d: %v", req.Key(), req.GetVersion(), places)
		}
	}
	if lines := b.logged.lines(); len(lines) > 0 {
		t.Errorf("logged: %v", lines)
	}
}

func TestAParkedJoinIsAnsweredWhenTheBrokerDrains(t *testing.T) {
	later := make(chan func(any, error), 2)
	b := startFakeGroups(t, &fakeGroups{submit: func(_ int32, _ any, done func(any, error)) { later <- done }})
	joins, syncs := b.dial(), b.dial()
	join := joinRequest(5, "g", "m", "range")
	joined := joins.send(join)
	first := <-later
	sync := syncRequest(5, "g", "m", 1)
	synced := syncs.send(sync)
	second := <-later
	drained := make(chan error, 1)
	go func() { drained <- b.server.Drain(t.Context()) }()
	resp := joins.receive(joined, join).(*kmsg.JoinGroupResponse)
	mustBeCode(t, "join", resp.ErrorCode, kafkaproto.ErrNotCoordinator)
	if resp.MemberID != "m" || resp.Generation != -1 {
		t.Errorf("join: %+v", resp)
	}
	mustBeCode(t, "sync", syncs.receive(synced, sync).(*kmsg.SyncGroupResponse).ErrorCode, kafkaproto.ErrNotCoordinator)
	must(t, <-drained)
	first(groups.JoinGroupAnswer{}, nil) // nobody's any more
	second(groups.SyncGroupAnswer{}, nil)
}

func TestAParkedJoinOutlivesItsConnection(t *testing.T) {
	later := make(chan func(any, error), 1)
	b := startFakeGroups(t, &fakeGroups{submit: func(_ int32, _ any, done func(any, error)) { later <- done }})
	c := b.dial()
	c.send(joinRequest(5, "g", "m", "range"))
	done := <-later
	c.nc.Close()
	done(groups.JoinGroupAnswer{MemberID: "m"}, nil)
	eventually(t, "the connection is forgotten", func() bool { return b.server.Stats().Connections == 0 })
	if held := b.server.Stats().HeldBytes; held != 0 {
		t.Errorf("%d bytes of requests are held", held)
	}
}

func TestManyGroupsAreAnsweredOnceWhenAllCoordinatorsHave(t *testing.T) {
	const count = 5000
	var waiting []func(any, error)
	asked := make(chan struct{})
	b := startFakeGroups(t, &fakeGroups{submit: func(_ int32, _ any, done func(any, error)) {
		if waiting = append(waiting, done); len(waiting) == count {
			close(asked)
		}
	}})
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version = 6
	for i := range count {
		req.Groups = append(req.Groups, fmt.Sprint(i))
	}
	c := b.dial()
	id := c.send(req)
	<-asked
	for i, done := range waiting {
		if i%2 == 0 {
			go done(groups.DescribedGroup{State: "Empty"}, nil)
		} else {
			done(nil, kafkaproto.ErrNotCoordinator)
		}
	}
	resp := c.receive(id, req).(*kmsg.DescribeGroupsResponse)
	for i, g := range resp.Groups {
		want := int16(0)
		if i%2 == 1 {
			want = kafkaproto.ErrNotCoordinator.Num
		}
		if g.Group != fmt.Sprint(i) || g.ErrorCode != want {
			t.Fatalf("row %d: %+v", i, g)
		}
	}
}

func TestNewMemberIDsAreRandomUUIDsAfterTheClientOrInstance(t *testing.T) {
	instance := "here"
	pattern := regexp.MustCompile(`^[a-z]*-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for want, id := range map[string]string{
		"client-": newMemberID(env.System().Rand, "client", nil),
		"here-":   newMemberID(env.System().Rand, "client", &instance),
		"-":       newMemberID(env.System().Rand, "", nil),
	} {
		if !strings.HasPrefix(id, want) || !pattern.MatchString(id) {
			t.Errorf("%q after %q", id, want)
		}
	}
}

func TestHostsOfMembersAreWrittenAsJavaDoes(t *testing.T) {
	for ip, want := range map[string]string{
		"1.2.3.4": "/1.2.3.4", "::1": "/0:0:0:0:0:0:0:1", "2001:db8::a:0:1": "/2001:db8:0:0:0:a:0:1",
		"::ffff:1.2.3.4": "/1.2.3.4", "fe80::1%eth0": "/fe80:0:0:0:0:0:0:1%eth0", "pipe": "/pipe",
	} {
		if got := memberHost(ip); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}

func TestGroupsAndTheirOffsetsOutliveAChangeOfLeaders(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	member := b.alone(c, "g")
	for i := range 20 {
		b.mustCommit(c, fmt.Sprint("simple-", i), "t", 1, int64(i))
	}
	before := c.described("g")
	b.registerAnew()
	b.awaitGroups()
	after := c.described("g")
	if !reflect.DeepEqual(before, after) || after.State != "Stable" || string(after.Members[0].MemberAssignment) != "all" {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	mustBeCode(t, "heartbeat", ask[*kmsg.HeartbeatResponse](c, heartbeatRequest(4, "g", member.id, member.generation)).ErrorCode, nil)
	for i := range 20 {
		if got := b.committed(c, fmt.Sprint("simple-", i), "t", 1); got != int64(i) {
			t.Errorf("simple-%d: %d", i, got)
		}
	}
}

func TestAHeartbeatSucceedsWhileItsGroupIsBeingLoaded(t *testing.T) {
	b := startFakeGroups(t, &fakeGroups{submit: func(_ int32, _ any, done func(any, error)) {
		done(nil, kafkaproto.ErrCoordinatorLoadInProgress)
	}})
	for v := range int16(5) {
		mustBeCode(t, "heartbeat", ask[*kmsg.HeartbeatResponse](b.dial(), heartbeatRequest(v, "g", "m", 1)).ErrorCode, nil)
	}
}

// joined is a member of a group as its client knows it.
type joined struct {
	id         string
	generation int32
}

// alone makes a member, by JoinGroup version 3, of a group that has no other. Its assignment is "all".
func (b *testBroker) alone(c *client, group string) joined {
	b.t.Helper()
	resp := ask[*kmsg.JoinGroupResponse](c, joinRequest(3, group, "", "range"))
	mustBeCode(b.t, "join", resp.ErrorCode, nil)
	sync := ask[*kmsg.SyncGroupResponse](c, syncRequest(3, group, resp.MemberID, resp.Generation, resp.MemberID, "all"))
	mustBeCode(b.t, "sync", sync.ErrorCode, nil)
	return joined{resp.MemberID, resp.Generation}
}

var _ GroupCoordinator = (*fakeGroups)(nil)

func TestOffsetsOfADeletedTopicGoToo(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	b.mustCommit(c, "g", "t", 0, 5)
	b.mustCommit(c, "g", "other", 0, 6)
	b.deleteTopic("t")
	b.createTopic("t", 2)
	if got := b.offsetsIn(ask[*kmsg.OffsetFetchResponse](c, b.fetchOffsetsRequest(5, "g", ""))); len(got) != 1 || !strings.HasPrefix(got[0], "other:0 6") {
		t.Errorf("offsets %v", got)
	}
	_, err := b.quorum.Submit(t.Context(), controller.DeleteTopics{Topics: []controller.DeleteTopic{{Name: "other"}}})
	must(t, err)
	if got := b.committed(c, "g", "other", 0); got != -1 {
		t.Errorf("committed %d", got)
	}
}

// drainingRand has the broker drain while a handler asks for randomness, and writes over the memory that this gave back.
type drainingRand struct {
	env.Rand
	drain func()
}

func (r drainingRand) Read(p []byte) {
	r.drain()
	r.Rand.Read(p)
}

// A drain may answer a request while its handler still reads the frame.
func TestWhatAMemberSaysIsReadBeforeADrainCanGiveItsFrameBack(t *testing.T) {
	said := make(chan string, 1)
	b := startFakeGroups(t, &fakeGroups{submit: func(_ int32, in any, _ func(any, error)) {
		said <- string(in.(groups.JoinGroup).Protocols[0].Metadata)
	}})
	b.server.env.Rand = drainingRand{b.env.Rand, func() {
		for c := range b.server.conns {
			c.drain()
		}
		for range 10 {
			copy(getBuffer(1<<minBufferBits), bytes.Repeat([]byte("X"), 1<<minBufferBits))
		}
	}}
	req := joinRequest(5, "g", "", "range")
	req.Protocols[0].Metadata = []byte("mine")
	c := b.dial()
	resp := c.receive(c.send(req), req).(*kmsg.JoinGroupResponse)
	mustBeCode(t, "join", resp.ErrorCode, kafkaproto.ErrNotCoordinator)
	must(t, b.server.Drain(t.Context())) // the handler has ended
	select {
	case got := <-said:
		if got != "mine" {
			t.Errorf("the member says %q", got)
		}
	default: // it was answered, and so it isn't asked for
	}
}

// More partitions would give groups other coordinators, which know nothing of them.
func TestCoordinatorsTopicsDoNotGrow(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	for i := range 10 {
		b.mustCommit(c, fmt.Sprint("g", i), "t", 0, int64(i))
	}
	resp := ask[*kmsg.CreatePartitionsResponse](c, growRequest(3, grow(offsetsTopic, 5)))
	mustBeCode(t, "grow", resp.Topics[0].ErrorCode, kafkaproto.ErrInvalidPartitions)
	b.awaitGroups()
	for i := range 10 {
		if got := b.committed(c, fmt.Sprint("g", i), "t", 0); got != int64(i) {
			t.Errorf("g%d has committed %d", i, got)
		}
	}
}
