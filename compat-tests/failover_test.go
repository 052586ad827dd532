package compat

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How long stock producers wait for an acknowledgement when a node of three dies, is paused, is cut off or is restarted:
// acks=all, idempotent, replication factor 3, two in sync, 500 records a second from each of three clients. After each
// fault what was acknowledged since the last is read back, and in the end everything.

const (
	failoverRate    = 500
	failoverSession = 3 * time.Second // broker.session.timeout.ms
	// A paused or cut off node can't be told dead before its session is over. The clients' own patience with such a
	// connection is what a partition that it led waits for: theirs, and not the cluster's, so it is told beside.
	failoverTimeout = 5 * time.Second

	failoverMedian, failoverMost = time.Second, 2 * time.Second // a dead node
	restartMost                  = 300 * time.Millisecond       // a controlled restart
	silentMost                   = failoverSession + 1500*time.Millisecond
)

// failoverRounds is how often each fault is repeated: thirty times in full, or as FAILOVER_ROUNDS says.
func failoverRounds(short int) int {
	if n, err := strconv.Atoi(os.Getenv("FAILOVER_ROUNDS")); err == nil {
		return n
	}
	if full {
		return 30
	}
	return short
}

// failover is one cluster with its loads.
type failover struct {
	t       *testing.T
	c       *cluster
	topic   string
	wanted  []int32 // the preferred leaders
	loads   []*load
	seen    *timeline
	pulse   *pulse
	rest    time.Duration       // before each fault
	checked []int64             // how far every partition was held against the loads after a fault; at the end all of it is
	single  bool                // what counts is the longest time of a single partition, not of all at once
	rounds  map[string][]waited // by fault
}

// waited is what one round brought, by client.
type waited struct {
	any, one map[string]time.Duration // without an acknowledgement of any partition, and of a single one
	held     time.Duration            // how long the machine let a process wait that did nothing of this
}

// patience is what a time may be longer by on a machine that lets every process on its way wait: the client, the leader, a
// follower, the controller and its voters one after the other.
func (w waited) patience() time.Duration { return 5 * w.held }

func startFailover(t *testing.T, net *network, timeout time.Duration, leaders ...int32) *failover {
	t.Helper()
	f := &failover{t: t, topic: "failover", wanted: leaders, checked: make([]int64, len(leaders)), rounds: map[string][]waited{}}
	f.c = startCluster(t, net)
	f.c.createTopic(f.topic, leaders...)
	f.seen, f.pulse = f.c.watch(f.topic), startPulse(t)
	for _, client := range loadClientNames {
		f.loads = append(f.loads, startLoad(t, f.c, client, client, f.topic, len(leaders), failoverRate, timeout))
	}
	f.flowing()
	return f
}

// flowing waits until every load has had more acknowledgements, a second's worth.
func (f *failover) flowing() {
	f.t.Helper()
	for _, l := range f.loads {
		goal := l.acked() + failoverRate
		eventually(f.t, clusterWithin, l.name+" gets acknowledgements", func() bool { return l.acked() >= goal })
	}
}

// metadataAge is how long franz-go does not ask for metadata again by default, whatever happens. Faults an hour apart never
// meet a client that has just asked; here they come right after leaders have moved, so that time is let go by first.
const metadataAge = 5 * time.Second

// settled waits until the cluster is whole, with the preferred leaders, and the loads flow.
func (f *failover) settled() (leaders map[int32]int32, controller int32) {
	f.t.Helper()
	f.c.elect(f.topic, f.wanted...)
	f.flowing()
	return f.c.healthy(f.topic)
}

// round measures what a fault costs: from its beginning until the cluster is whole again and a second of load has gone by.
func (f *failover) round(name string, most time.Duration, fault func()) {
	f.t.Helper()
	began := time.Now()
	fault()
	f.c.healthy(f.topic)
	f.flowing()
	ended := time.Now()
	w := waited{map[string]time.Duration{}, map[string]time.Duration{}, f.pulse.held(began, ended)}
	var line []string
	var worst time.Duration
	for _, l := range f.loads {
		l.catchUp()
		w.any[l.name] = l.longest(began, ended, -1)
		w.one[l.name] = l.longestOfOne(began, ended, len(f.wanted))
		worst = max(worst, f.counts(w)[l.name])
		line = append(line, fmt.Sprintf("%s %v/%v", l.name, w.any[l.name].Round(time.Millisecond), w.one[l.name].Round(time.Millisecond)))
	}
	line = append(line, fmt.Sprintf("the machine itself %v", w.held.Round(time.Millisecond)))
	f.rounds[name] = append(f.rounds[name], w)
	f.t.Logf("%s %s %d: %s", began.Format("15:04:05.000"), name, len(f.rounds[name]), strings.Join(line, ", "))
	if worst > most/2 {
		f.t.Logf("what the nodes said meanwhile, and when acknowledgements stopped and went on\n%s%s", f.seen.since(began), f.gaps(began, ended))
	}
	f.checked = checkTopic(f.t, f.c, f.topic, f.checked, f.loads)
}

// counts are the times of a round that are held against what is promised.
func (f *failover) counts(w waited) map[string]time.Duration {
	if f.single {
		return w.one
	}
	return w.any
}

// gaps are the times without an acknowledgement that are worth telling.
func (f *failover) gaps(from, to time.Time) string {
	var out strings.Builder
	for _, l := range f.loads {
		before := from
		for _, a := range l.acks {
			if a.at.After(from) && a.at.Before(to) && a.at.Sub(before) > 200*time.Millisecond {
				fmt.Fprintf(&out, "%s: nothing from %s to %s\n", l.name, before.Format("15:04:05.000"), a.at.Format("15:04:05.000"))
			}
			if a.at.After(from) {
				before = a.at
			}
		}
	}
	return out.String()
}

// kill ends a node as a crash would, and starts it again when the clients must have got over it.
func (f *failover) kill(id int32) {
	b := f.c.node(id)
	b.kill9()
	time.Sleep(failoverMost + 500*time.Millisecond)
	b.start()
}

// table prints, and gives, what each fault cost each client.
func (f *failover) table(names ...string) {
	var out strings.Builder
	fmt.Fprintf(&out, "%-12s %-22s %4s %10s %10s %14s %14s\n", "fault", "client", "n", "median", "max", "one: median", "one: max")
	for _, name := range names {
		for _, l := range f.loads {
			all, ones := f.of(name, l.name)
			fmt.Fprintf(&out, "%-12s %-22s %4d %10v %10v %14v %14v\n", name, l.name, len(all), middle(all), last(all), middle(ones), last(ones))
		}
	}
	f.t.Logf("the longest time without an acknowledgement, of any partition and of a single one\n%s", out.String())
}

// of are a fault's times for one client, sorted.
func (f *failover) of(name, client string) (all, ones []time.Duration) {
	for _, w := range f.rounds[name] {
		all, ones = append(all, w.any[client]), append(ones, w.one[client])
	}
	slices.Sort(all)
	slices.Sort(ones)
	return all, ones
}

func middle(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[len(d)/2].Round(time.Millisecond)
}

func last(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[len(d)-1].Round(time.Millisecond)
}

// within holds the times of a fault against what is promised. A median of two says nothing, so it counts in full only.
func (f *failover) within(name string, median, most time.Duration) {
	for _, l := range f.loads {
		for _, w := range f.rounds[name] {
			if got := f.counts(w)[l.name]; got > most+w.patience() {
				f.t.Errorf("%s: %s waited %v, and %v is promised", name, l.name, got, most)
			}
		}
		all, ones := f.of(name, l.name)
		if f.single {
			all = ones
		}
		if full && middle(all) > median {
			f.t.Errorf("%s: the median of %s is %v, and %v is promised", name, l.name, middle(all), median)
		}
	}
}

// arrange makes the leader of the one partition be the active controller, or not be it. The lowest of those that are left
// when a controller ends takes over, so ending it again and again brings it to node 1.
func (f *failover) arrange(both bool) (leader, controller int32) {
	f.t.Helper()
	for range 10 {
		leaders, controller := f.settled()
		if (leaders[0] == controller) == both {
			return leaders[0], controller
		}
		f.c.restart(controller)
	}
	f.t.Fatal("the active controller does not come to, or go from, the leader")
	return 0, 0
}

// roles are the victims of a fault by what they do, found when they do it.
var roles = []string{"leader", "follower", "controller", "both"}

// victim arranges that a node has a role, and names it. The leader is not the active controller but in "both", and the
// follower neither of them.
func (f *failover) victim(role string) int32 {
	f.t.Helper()
	leader, controller := f.arrange(role == "both")
	switch role {
	case "follower":
		return 6 - leader - controller // the ids are 1, 2 and 3
	case "controller":
		return controller
	}
	return leader
}

// TestFailover runs its parts side by side, for they wait most of the time; when it measures, one after the other.
func TestFailover(t *testing.T) {
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{{"dead nodes", failoverOfDeadNodes}, {"paused nodes", failoverOfPausedNodes}, {"nodes cut off", failoverOfNodesCutOff}} {
		t.Run(part.name, func(t *testing.T) {
			if !full {
				t.Parallel()
			}
			part.run(t)
		})
	}
}

func failoverOfDeadNodes(t *testing.T) {
	f := startFailover(t, nil, 0, 1)
	f.rest = metadataAge + 500*time.Millisecond
	f.eachRole(failoverMedian, failoverMost, f.kill)
}

// TestControlledRestartsGoUnnoticed has a partition led by each node, as any cluster has: the clients then use their
// connections to all of them. With one partition alone, franz-go would find its connection to the next leader broken by that
// node's own restart before, and pause for 250 ms.
func TestControlledRestartsGoUnnoticed(t *testing.T) {
	f := startFailover(t, nil, 0, 1, 2, 3)
	f.single = true
	f.eachRole(restartMost, restartMost, f.c.restart)
}

// eachRole does to a node of each role in turn what fault does, and holds the times against what is promised.
func (f *failover) eachRole(median, most time.Duration, fault func(id int32)) {
	f.t.Helper()
	chosen := roles
	if only := os.Getenv("FAILOVER_ROLES"); only != "" {
		chosen = strings.Split(only, ",")
	}
	for range failoverRounds(1) {
		for _, role := range chosen {
			id := f.victim(role)
			time.Sleep(f.rest)
			f.round(role, most, func() { fault(id) })
		}
	}
	f.end()
	f.table(chosen...)
	for _, role := range chosen {
		f.within(role, median, most)
	}
}

// end stops the loads and looks at everything once more.
func (f *failover) end() {
	f.t.Helper()
	for _, l := range f.loads {
		l.stop()
	}
	checkTopic(f.t, f.c, f.topic, make([]int64, len(f.wanted)), f.loads)
}

// spread are six partitions led by all nodes.
var spread = []int32{1, 2, 3, 1, 2, 3}

func failoverOfPausedNodes(t *testing.T) {
	f := startFailover(t, nil, failoverTimeout, spread...)
	for i := range failoverRounds(2) {
		f.settled()
		f.round("pause", silentMost, func() {
			victim := int32(i%clusterNodes + 1)
			f.c.signal(victim, syscall.SIGSTOP)
			time.Sleep(failoverSession + 2*time.Second)
			f.c.signal(victim, syscall.SIGCONT)
		})
	}
	f.end()
	f.table("pause")
	f.within("pause", silentMost, silentMost)
}

func failoverOfNodesCutOff(t *testing.T) {
	f := startFailover(t, newNetwork(t), failoverTimeout, spread...)
	for i := range failoverRounds(2) {
		f.settled()
		f.round("cut", silentMost, func() {
			victim := i%clusterNodes + 1
			for place := outside; place <= clusterNodes; place++ {
				if place != victim {
					f.c.net.cut(victim, place)
				}
			}
			time.Sleep(failoverSession + 2*time.Second)
			f.c.net.heal()
		})
	}
	f.end()
	f.table("cut")
	f.within("cut", silentMost, silentMost)
}
