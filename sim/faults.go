package sim

import (
	"fmt"
	"strings"
	"time"
)

// fault is a kind of trouble.
type fault uint8

const (
	faultKill fault = iota
	faultPower
	faultPause
	faultStop
	faultIsolate
	faultCutOneWay
	faultCutPair
	faultSlowLink
	faultDrop
	faultSlowDisk
	faultFullDisk
	faultClockJump
	faultElection
	faultKillAll
	faultMemberDies
	faultKinds
)

var faultNames = [faultKinds]string{
	"kill", "power", "pause", "stop", "isolate", "cut one way", "cut pair", "slow link", "drop", "slow disk", "full disk",
	"clock jump", "election", "kill all", "member dies",
}

// faultMix says how often each kind comes, and how many come in all.
type faultMix struct {
	weight [faultKinds]int
	count  int
}

func (m faultMix) String() string {
	out := []string{fmt.Sprint(m.count)}
	for f, w := range m.weight {
		if w > 0 {
			out = append(out, fmt.Sprintf("%s*%d", faultNames[f], w))
		}
	}
	return strings.Join(out, " ")
}

func makeFaults(d *planDice, p *plan) (m faultMix) {
	m.count = 5 + d.below(12)
	for f := range m.weight {
		if d.percent(55) {
			m.weight[f] = 1 + d.below(4)
		}
	}
	if m.weight[faultKillAll] > 1 {
		m.weight[faultKillAll] = 1
	}
	if p.policy != always && d.percent(50) {
		m.weight[faultPower] = 0 // so that the promises of the other policies are checked to the end
	}
	m.weight[faultElection]++ // there is always something
	return m
}

// pick chooses a kind by the weights.
func (m *faultMix) pick(d dice) fault {
	sum := 0
	for _, w := range m.weight {
		sum += w
	}
	at := d.below(sum)
	for f, w := range m.weight {
		if at -= w; at < 0 {
			return fault(f)
		}
	}
	return faultElection
}

// scheduleFaults spreads the faults over the run.
func (s *Sim) scheduleFaults(from, until time.Duration) {
	d := dice{s, streamFault, 0}
	for range s.plan.faults.count {
		s.later(d.between(from, until)-s.now(), "fault", func() { s.strike(s.plan.faults.pick(d)) })
	}
	if s.plan.powered {
		s.later(d.between(from+(until-from)/3, until)-s.now(), "power failure", func() {
			if d.percent(30) {
				s.powerFailure()
			} else {
				s.atAck = func(*node) { s.powerFailure() }
			}
		})
	}
}

// strike lets something go wrong, and sees to it that it ends.
func (s *Sim) strike(f fault) {
	d := dice{s, streamFault, 1}
	n := s.nodes[1+d.below(len(s.nodes)-1)]
	last := d.latency(50*time.Millisecond, 12*time.Second)
	s.check.faults++
	switch f {
	case faultKill, faultPower:
		if d.percent(50) {
			s.atAck = func(n *node) { s.crash(n, f == faultPower, d) }
		} else {
			s.crash(n, f == faultPower, d)
		}
	case faultPause:
		s.pauseFor(n, last)
	case faultStop:
		s.restart(n, d)
	case faultKillAll:
		s.note("fault", "all processes are killed")
		for _, n := range s.nodes[1:] {
			s.check.crashed(false)
			n.kill(false)
			s.later(d.latency(20*time.Millisecond, 3*time.Second), "restart", n.start)
		}
	case faultIsolate, faultCutOneWay, faultCutPair:
		s.cutFor(f, n, d, last)
	case faultSlowLink, faultDrop, faultSlowDisk, faultFullDisk:
		s.hamper(f, n, d, last)
	case faultClockJump:
		n.jump = d.between(-50*time.Minute, 50*time.Minute)
		s.note("fault", "the wall clock of node %d jumps to %v", n.id, n.jump)
		if n.life != nil {
			n.life.clock.jump.Store(int64(n.jump))
		}
	case faultElection:
		s.note("fault", "the controllers elect")
		s.quorum.forceElection()
	case faultMemberDies:
		if len(s.members) > 0 {
			m := s.members[d.below(len(s.members))]
			m.die(last)
		}
	}
}

// crash kills a process, or cuts its machine's power, and starts it again later.
func (s *Sim) crash(n *node, power bool, d dice) {
	if n.life != nil && !s.tooManyDown() {
		s.check.crashed(power)
		n.kill(power)
		s.later(d.latency(20*time.Millisecond, 10*time.Second), "restart", n.start)
	}
}

// tooManyDown says whether another dead node would leave no majority: that can be had, but not all the time.
func (s *Sim) tooManyDown() bool {
	down := 0
	for _, n := range s.nodes[1:] {
		if n.life == nil {
			down++
		}
	}
	return 2*(down+1) >= len(s.nodes)-1 && !(dice{s, streamFault, 2}).percent(30)
}

func (s *Sim) pauseFor(n *node, last time.Duration) {
	if n.life == nil || n.paused {
		return
	}
	s.note("fault", "node %d is paused for %v", n.id, last)
	n.pause()
	l := n.life
	s.later(last, "resume", func() {
		if n.life == l && n.paused {
			s.note("fault", "node %d goes on", n.id)
			n.resume()
		}
	})
}

// restart stops a node cleanly and starts it again.
func (s *Sim) restart(n *node, d dice) {
	if n.life == nil || s.tooManyDown() {
		return
	}
	n.shutDown()
	var again func()
	again = func() {
		if n.life == nil {
			n.start()
			return
		}
		if n.life.closed || n.paused {
			s.later(200*time.Millisecond, "restart", again)
		}
	}
	s.later(d.between(500*time.Millisecond, 4*time.Second), "restart", again)
}

// cutFor cuts links: all of a node's, with or without those to clients; one direction; or those between two nodes.
func (s *Sim) cutFor(f fault, n *node, d dice, last time.Duration) {
	other := s.nodes[1+d.below(len(s.nodes)-1)]
	var links [][2]int32
	switch f {
	case faultIsolate:
		clients := d.percent(50)
		for _, o := range s.nodes[1:] {
			if o != n {
				links = append(links, [2]int32{n.id, o.id}, [2]int32{o.id, n.id})
			}
		}
		if clients {
			links = append(links, [2]int32{n.id, clientHost}, [2]int32{clientHost, n.id})
		}
		s.note("fault", "node %d is isolated for %v, from clients too: %v", n.id, last, clients)
	case faultCutOneWay:
		links = append(links, [2]int32{n.id, other.id})
		s.note("fault", "nothing gets from node %d to node %d for %v", n.id, other.id, last)
	default:
		links = append(links, [2]int32{n.id, other.id}, [2]int32{other.id, n.id})
		s.note("fault", "nodes %d and %d are cut for %v", n.id, other.id, last)
	}
	for _, l := range links {
		s.net.setCut(l[0], l[1], true)
	}
	s.later(last, "heal", func() {
		for _, l := range links {
			s.net.setCut(l[0], l[1], false)
		}
		s.note("fault", "healed: %v", links)
		s.net.heal()
	})
}

// hamper makes something slow, unreliable or full for a while.
func (s *Sim) hamper(f fault, n *node, d dice, last time.Duration) {
	other := int32(d.below(len(s.nodes)))
	amount := d.latency(5*time.Millisecond, 2*time.Second)
	var undo func()
	switch f {
	case faultSlowLink:
		s.note("fault", "the link from node %d to %d is slow by up to %v for %v", n.id, other, amount, last)
		s.net.slow[[2]int32{n.id, other}] = amount
		undo = func() { delete(s.net.slow, [2]int32{n.id, other}) }
	case faultDrop:
		s.net.drop = 20 + d.below(1500)
		s.note("fault", "%d of 10,000 messages break their connection for %v", s.net.drop, last)
		undo = func() { s.net.drop = 0 }
	case faultSlowDisk:
		s.note("fault", "the disk of node %d is slow by up to %v for %v", n.id, amount, last)
		n.disk.setSlow(amount)
		undo = func() { n.disk.setSlow(0) }
	default:
		s.note("fault", "the disk of node %d is full for %v", n.id, last)
		n.disk.setFull(true)
		undo = func() { n.disk.setFull(false) }
	}
	s.later(last, "hamper ends", undo)
}

func (d *disk) setSlow(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = by
}

func (d *disk) setFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// powerFailure takes the power of all nodes at once.
func (s *Sim) powerFailure() {
	s.note("fault", "the power fails everywhere")
	d := dice{s, streamFault, 3}
	for _, n := range s.nodes[1:] {
		s.check.crashed(true)
		n.kill(true)
	}
	for _, n := range s.nodes[1:] {
		s.later(d.between(100*time.Millisecond, 3*time.Second), "restart", n.start)
	}
}

// calm ends all faults: what is cut heals, who is dead starts.
func (s *Sim) calm() {
	s.note("fault", "all faults end")
	s.atAck = nil
	clear(s.net.cut)
	clear(s.net.slow)
	s.net.drop = 0
	s.net.heal()
	for _, n := range s.nodes[1:] {
		n.disk.setSlow(0)
		n.disk.setFull(false)
		if n.paused {
			n.resume()
		}
		if n.life == nil {
			n.start()
		}
	}
}

// forceElection has another term begin, perhaps under the same leader.
func (q *quorum) forceElection() {
	if q.dice().percent(60) {
		q.atFlight = true
		return
	}
	q.electNow()
}

func (q *quorum) electNow() {
	if q.running {
		return
	}
	q.running = true
	q.forced = true
	q.s.later(0, "election", q.elect)
}
