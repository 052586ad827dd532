package compat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	groupPartitions = 6
	sessionTimeout  = 5 * time.Second
	groupWithin     = 45 * time.Second // for one change of a group on a busy machine
)

// groups takes a client through the life of consumer groups.
func (s *scenario) groups() {
	if s.client.lacks("join") {
		for _, step := range []string{"group", "members leave and die", "commit and resume", "static members", "cooperative", "list and describe groups"} {
			s.run.note(step, lacking+s.client.Lacks["join"])
		}
		s.probe("join", fields{"group": "g", "topics": []string{"t"}, "session_timeout_ms": 6000, "instance_id": nil, "assignor": nil})
		return
	}
	members := []*driver{s.d, startDriver(s.t, s.sys, s.client), startDriver(s.t, s.sys, s.client)}
	group := s.topic("group")
	g := newGroupTest(s, group, members)
	var formed, done bool
	formed = s.step("group", func(t *testing.T) {
		g.in(t)
		g.threeMembers(nil)
	}, "join")
	s.step("list and describe groups", func(t *testing.T) { s.listAndDescribe(t, group) }, "list_groups", "describe_group")
	s.probe("list_groups", nil)
	s.probe("describe_group", fields{"group": group})
	if formed {
		done = s.step("members leave and die", func(t *testing.T) {
			g.in(t)
			g.oneLeaves()
			g.oneDies()
		}, "join")
	}
	if done {
		s.step("commit and resume", func(t *testing.T) {
			g.in(t)
			g.resume()
		}, "join")
	}
	s.step("cooperative", func(t *testing.T) {
		fresh := []*driver{startDriver(t, s.sys, s.client), startDriver(t, s.sys, s.client), startDriver(t, s.sys, s.client)}
		c := newGroupTest(s, s.topic("cooperative"), fresh)
		c.in(t)
		assignor := "cooperative-sticky"
		c.threeMembers(&assignor)
		c.oneLeaves()
		c.end()
	}, "join:cooperative-sticky")
	s.step("static members", func(t *testing.T) {
		fresh := []*driver{startDriver(t, s.sys, s.client), startDriver(t, s.sys, s.client)}
		c := newGroupTest(s, s.topic("static"), fresh)
		c.in(t)
		c.static()
		c.end()
	}, "join:static")
}

func (s *scenario) listAndDescribe(t *testing.T, group string) {
	if !s.client.lacks("list_groups") {
		var listed struct{ Groups []string }
		s.d.must("list_groups", nil, &listed)
		if !slices.Contains(listed.Groups, group) {
			t.Errorf("%s is not among the groups %q", group, listed.Groups)
		}
	}
	if !s.client.lacks("describe_group") {
		var described struct {
			State   string
			Members []string
		}
		s.d.must("describe_group", fields{"group": group}, &described)
		slices.Sort(described.Members)
		want := []string{"member-0", "member-1", "member-2"}
		if described.State != "Stable" && described.State != "STABLE" || !slices.Equal(described.Members, want) {
			t.Errorf("state %q and members %q, want Stable and %q", described.State, described.Members, want)
		}
	}
}

// groupTest is a group whose members read a topic of numbered records: each is seen, and none again after the commit that
// covers it was acknowledged.
type groupTest struct {
	*scenario
	t       *testing.T
	topic   string // and group
	members []*driver
	live    map[*driver]bool
	owned   map[*driver][]string // partitions by what `member` said last
	counts  map[*driver]int      // assignments so far
	sent    int
	seen    map[string]int  // deliveries of each value
	acked   map[int32]int64 // the acknowledged commits
	faults  int
}

func newGroupTest(s *scenario, topic string, members []*driver) *groupTest {
	createTopic(s.t, s.sys, topic, groupPartitions)
	return &groupTest{
		scenario: s, t: s.t, topic: topic, members: members, live: map[*driver]bool{}, owned: map[*driver][]string{},
		counts: map[*driver]int{}, seen: map[string]int{}, acked: map[int32]int64{},
	}
}

// in runs what follows in a subtest.
func (g *groupTest) in(t *testing.T) {
	g.t = t
	for _, m := range g.members {
		m.t = t
	}
	t.Cleanup(func() {
		for _, m := range g.members {
			m.t = g.scenario.t
		}
		if t.Failed() {
			t.Log(g.broker())
		}
	})
}

// broker is how the group looks to its coordinator, for the words beside a failure.
func (g *groupTest) broker() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	described, err := g.admin.DescribeGroups(ctx, g.topic)
	d, ok := described[g.topic]
	if err != nil || !ok {
		return fmt.Sprintf("the group was not described: %v", err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "group %s is %s on node %d, protocol %q, error %v", g.topic, d.State, d.Coordinator.NodeID, d.Protocol, d.Err)
	for _, m := range d.Members {
		instance := ""
		if m.InstanceID != nil {
			instance = *m.InstanceID
		}
		fmt.Fprintf(&out, "\nmember %q, instance %q, client %s", m.MemberID, instance, m.ClientID)
	}
	return out.String()
}

func (g *groupTest) join(m *driver, instance string, assignor *string) {
	g.t.Helper()
	req := fields{
		"group": g.topic, "topics": []string{g.topic}, "instance_id": nil, "assignor": assignor,
		"session_timeout_ms": sessionTimeout.Milliseconds(), "client_id": fmt.Sprintf("member-%d", slices.Index(g.members, m)),
	}
	if instance != "" {
		req["instance_id"] = instance
		req["session_timeout_ms"] = (12 * sessionTimeout).Milliseconds()
	}
	m.must("join", req, nil)
	g.live[m] = true
}

// send spreads n more records over all partitions.
func (g *groupTest) send(n int) {
	g.t.Helper()
	var records []*kgo.Record
	for range n {
		records = append(records, &kgo.Record{Topic: g.topic, Partition: int32(g.sent % groupPartitions), Value: strconv.AppendInt(nil, int64(g.sent), 10)})
		g.sent++
	}
	g.ownProduce(g.t, records...)
}

// round asks every live member what it has and got, and lets it commit that.
func (g *groupTest) round() {
	g.t.Helper()
	for m := range g.live {
		g.ask(m)
		g.commit(m)
	}
}

func (g *groupTest) ask(m *driver) {
	g.t.Helper()
	acked := maps.Clone(g.acked)
	var got struct {
		Assignment [][2]any
		Records    []sentRecord
		Rebalances int
	}
	m.must("member", nil, &got)
	g.counts[m] = got.Rebalances
	g.owned[m] = nil
	for _, tp := range got.Assignment {
		g.owned[m] = append(g.owned[m], fmt.Sprint(tp[1]))
	}
	slices.Sort(g.owned[m])
	for _, r := range got.Records {
		g.seen[string(r.Value)]++
		if r.Offset < acked[*r.Partition] {
			g.fault("%d-%d came after the commit of %d was acknowledged", *r.Partition, r.Offset, acked[*r.Partition])
		}
	}
}

func (g *groupTest) fault(format string, args ...any) {
	g.t.Helper()
	if g.faults++; g.faults <= 5 {
		g.t.Errorf(format, args...)
	}
}

// commit takes a refusal for an answer, since a rebalance may be under way; then nothing counts as committed.
func (g *groupTest) commit(m *driver) bool {
	g.t.Helper()
	var got struct{ Offsets [][3]any }
	err := m.ask("member_commit", nil, &got)
	if errors.Is(err, errUnsupported) {
		if !g.client.lacks("member_commit") {
			g.t.Fatal(err)
		}
		return true
	}
	if err != nil {
		g.t.Logf("a refused commit: %v", err)
		return false
	}
	for _, o := range got.Offsets {
		p, offset := int32(o[1].(float64)), int64(o[2].(float64))
		g.acked[p] = max(g.acked[p], offset)
	}
	return true
}

// until goes round until f holds.
func (g *groupTest) until(what string, f func() bool) {
	g.t.Helper()
	eventually(g.t, groupWithin, what, func() bool {
		g.round()
		return f()
	})
}

// shared says that all partitions are owned, each by one of the live members, and each of those has some.
func (g *groupTest) shared() bool {
	var all []string
	for m := range g.live {
		if len(g.owned[m]) == 0 {
			return false
		}
		all = append(all, g.owned[m]...)
	}
	slices.Sort(all)
	return len(all) == groupPartitions && len(slices.Compact(all)) == groupPartitions
}

func (g *groupTest) allSeen() bool { return len(g.seen) == g.sent }

func (g *groupTest) everythingArrives() {
	g.t.Helper()
	g.until("every record is seen", g.allSeen)
}

func (g *groupTest) threeMembers(assignor *string) {
	g.t.Helper()
	g.send(300)
	for i, m := range g.members {
		g.join(m, "", assignor)
		g.until(fmt.Sprintf("%d members share the partitions", i+1), g.shared)
		g.send(60)
	}
	g.everythingArrives()
}

func (g *groupTest) oneLeaves() {
	g.t.Helper()
	leaver := g.members[1]
	g.round()
	leaver.must("leave", nil, nil)
	delete(g.live, leaver)
	g.send(300)
	g.until("two members share the partitions", g.shared)
	g.everythingArrives()
}

func (g *groupTest) oneDies() {
	g.t.Helper()
	dying := g.members[2]
	dying.kill()
	delete(g.live, dying)
	g.send(300)
	g.until("the last member has all partitions", g.shared)
	g.everythingArrives()
}

// resume: the last member commits everything and leaves; another that joins later gets what is new and nothing else.
func (g *groupTest) resume() {
	g.t.Helper()
	last, next := g.members[0], g.members[1]
	eventually(g.t, groupWithin, "the last commit is taken", func() bool { return g.commit(last) })
	last.must("leave", nil, nil)
	delete(g.live, last)
	ends := endOffsets(g.t, g.sys, g.topic, groupPartitions)
	if g.client.lacks("committed") {
		g.checkCommitted(ends)
	} else {
		var got struct{ Offsets []*int64 }
		last.must("committed", fields{"group": g.topic, "topic": g.topic, "partitions": []int{0, 1, 2, 3, 4, 5}}, &got)
		for p, o := range got.Offsets {
			if o == nil || *o != ends[p] {
				g.t.Errorf("partition %d: committed %v, want %d", p, show(o), ends[p])
			}
		}
	}
	g.probe("committed", fields{"group": g.topic, "topic": g.topic, "partitions": []int{0}})
	for p, end := range ends {
		g.acked[int32(p)] = end // also of a client that commits by itself
	}
	g.send(60)
	g.join(next, "", nil)
	g.everythingArrives()
	g.round()
	next.must("leave", nil, nil)
	next.quit()
}

func (g *groupTest) checkCommitted(ends []int64) {
	g.t.Helper()
	fetched, err := g.admin.FetchOffsets(g.t.Context(), g.topic)
	if err != nil {
		g.t.Fatal(err)
	}
	for p, end := range ends {
		if o, ok := fetched.Lookup(g.topic, int32(p)); !ok || o.At != end {
			g.t.Errorf("partition %d: committed %d, want %d", p, o.At, end)
		}
	}
}

// static: a static member that dies and comes back within its session gets its partitions back, and the other member sees
// no rebalance.
func (g *groupTest) static() {
	g.t.Helper()
	first, second := g.members[0], g.members[1]
	g.send(60)
	g.join(first, "instance-0", nil)
	g.until("the first has all partitions", g.shared)
	g.join(second, "instance-1", nil)
	g.until("two members share the partitions", g.shared)
	g.everythingArrives()
	before, rebalances := g.owned[second], g.counts[first]
	second.kill()
	delete(g.live, second)
	again := startDriver(g.t, g.sys, g.client)
	g.members[1] = again
	g.send(60)
	g.join(again, "instance-1", nil)
	g.until("the one that came back has its partitions", func() bool { return slices.Equal(g.owned[again], before) })
	g.everythingArrives()
	if g.counts[first] != rebalances {
		g.t.Errorf("the other member saw %d rebalances", g.counts[first]-rebalances)
	}
}

// end closes all that is still a member.
func (g *groupTest) end() {
	g.t.Helper()
	for m := range g.live {
		m.must("leave", nil, nil)
		m.quit()
	}
}

func show(o *int64) string {
	if o == nil {
		return "nothing"
	}
	return strconv.FormatInt(*o, 10)
}
