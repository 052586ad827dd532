package groups

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// check holds a machine to what must be true of it at any time, and to the timers that its driver knows of.
func check(t *testing.T, m *Machine, timers map[string]time.Time) {
	t.Helper()
	known := map[string]bool{expireKey: true}
	expect := func(key string, at time.Time) {
		if at.IsZero() {
			return
		}
		known[key] = true
		if got := timers[key]; !got.Equal(at) {
			t.Fatalf("timer %q is set to %v, the machine means %v", key, got, at)
		}
	}
	for _, g := range m.groups {
		checkGroup(t, m, g)
		expect(joinKind+g.id, g.joinAt)
		expect(syncKind+g.id, g.syncAt)
		for _, mb := range g.order {
			expect(sessionKey(g.id, mb.id), mb.alarm.set)
		}
		for id, a := range g.pending {
			expect(sessionKey(g.id, id), a.set)
		}
	}
	for key := range timers {
		if !known[key] {
			t.Fatalf("timer %q is set, and nobody waits for it", key)
		}
	}
}

func checkGroup(t *testing.T, m *Machine, g *group) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("group %s in %v: %s", g.id, g.state, fmt.Sprintf(format, args...))
	}
	awaiting, unsynced, static := 0, 0, 0
	supported := map[string]int{}
	for _, mb := range g.order {
		if g.members[mb.id] != mb {
			fail("member %s is not found", mb.id)
		}
		if mb.instance != nil {
			static++
			if g.static[*mb.instance] != mb {
				fail("static member %s is not found", *mb.instance)
			}
		}
		if mb.join.waiting {
			awaiting++
		}
		if mb.pendingSync {
			unsynced++
		}
		for _, p := range mb.protocols {
			supported[p.Name]++
		}
		if mb.sync.waiting && g.state != completingRebalance {
			fail("%s waits for an assignment", mb.id)
		}
		if mb.alarm.set.IsZero() && !mb.alive() {
			fail("%s has no session", mb.id)
		}
	}
	if len(g.order) != len(g.members) || awaiting != g.awaiting || unsynced != g.unsynced || static != len(g.static) {
		fail("members %d/%d, awaiting %d/%d, unsynced %d/%d, static %d/%d", len(g.order), len(g.members), awaiting, g.awaiting,
			unsynced, g.unsynced, static, len(g.static))
	}
	if fmt.Sprint(supported) != fmt.Sprint(map[string]int(g.supported)) {
		fail("protocols %v, counted %v", supported, g.supported)
	}
	checkState(t, g, fail)
	for _, producer := range g.open {
		if m.txns[producer] == nil {
			fail("transaction of %d is not open", producer)
		}
	}
}

func checkState(t *testing.T, g *group, fail func(string, ...any)) {
	t.Helper()
	if (g.state == empty) != (len(g.members) == 0) && g.state != preparingRebalance {
		fail("%d members", len(g.members))
	}
	if (g.leader == "") != (len(g.members) == 0) || g.leader != "" && g.members[g.leader] == nil {
		fail("leader is %q", g.leader)
	}
	if g.awaiting > 0 && g.state != preparingRebalance {
		fail("%d wait for the end of the join phase", g.awaiting)
	}
	if g.state == preparingRebalance && g.joinAt.IsZero() {
		fail("nothing ends the join phase")
	}
	if g.unsynced > 0 && g.syncAt.IsZero() {
		fail("nothing ends the sync phase")
	}
}

// compare holds the hard state of a machine against that of one that has replayed its log: all offsets, and every group that
// is not in the middle of a rebalance.
func compare(t *testing.T, live, replayed *Machine) {
	t.Helper()
	if got, want := hardState(live, replayed), hardState(replayed, live); got != want {
		t.Fatalf("the machine:\n%s\nwhat a machine makes of its log:\n%s", got, want)
	}
}

func hardState(m, other *Machine) string {
	var out strings.Builder
	for _, g := range m.sortedGroups() {
		fmt.Fprintf(&out, "group %s\n", g.id)
		o := other.groups[g.id]
		if settled(g) && o != nil && settled(o) {
			hardGroup(&out, g)
		}
		g.eachOffset(func(topic string, p kafkaproto.PartitionID, c committed) bool {
			fmt.Fprintf(&out, "  %s/%d %+v\n", topic, p, c)
			return true
		})
		for _, name := range m.pendingOffsets(g) {
			for _, producer := range g.open {
				fmt.Fprintf(&out, "  pending %d %v %+v\n", producer, name, m.txns[producer].offsets[name])
			}
		}
	}
	return out.String()
}

func settled(g *group) bool { return g.state == stable || g.state == empty }

func hardGroup(out *strings.Builder, g *group) {
	fmt.Fprintf(out, "  %v type=%s generation=%d protocol=%s leader=%s at=%d topics=%v,%v\n", g.state, g.protocolType, g.generation,
		showString(g.protocol), g.leader, g.stateAt, g.knowsTopics, sortedKeys(g.subscribed))
	for _, mb := range g.order {
		fmt.Fprintf(out, "  %s%s %s%s %v %v %q %q\n", mb.id, showInstance(mb.instance), mb.clientID, mb.clientHost, mb.sessionTimeout,
			mb.rebalanceTimeout, mb.metadata(g.protocol), mb.assignment)
	}
}
