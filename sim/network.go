package sim

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// network carries messages between hosts: nodes by their ids, and the one host of all clients, which is 0. Messages of one
// connection arrive in order, those of different ones as they please. A cut holds messages back, as TCP does, until it heals
// or the connection breaks.
type network struct {
	s     *Sim
	cut   map[[2]int32]int           // from, to: how many faults cut it
	slow  map[[2]int32]time.Duration // added at most
	drop  int                        // of ten thousand messages, how many break their connection
	conns map[conn]*pipe
	asked uint64 // counts requests
}

// clientHost is where all clients are.
const clientHost int32 = 0

// conn is one direction of a connection.
type conn struct {
	from, to int32
	lane     string
}

// pipe is what is known of a connection: when its last message arrives, and the messages that a cut holds back.
type pipe struct {
	last time.Duration
	held []*message
}

type message struct {
	c       conn
	deliver func()
	lost    func()
	event   *event
	over    bool
}

var errNet = errors.New("the connection broke")

const (
	usualHop  = 1200 * time.Microsecond
	firstHop  = 60 * time.Microsecond
	breakMin  = 1 * time.Second // until a connection over a cut link breaks
	breakMost = 9 * time.Second
)

func (n *network) init(s *Sim) {
	n.s = s
	n.cut, n.slow, n.conns = map[[2]int32]int{}, map[[2]int32]time.Duration{}, map[conn]*pipe{}
}

func (n *network) pipe(c conn) *pipe {
	p := n.conns[c]
	if p == nil {
		p = &pipe{}
		n.conns[c] = p
	}
	return p
}

// isCut says whether nothing gets from one host to another. A host always reaches itself.
func (n *network) isCut(from, to int32) bool { return from != to && n.cut[[2]int32{from, to}] > 0 }

// joined says whether two hosts can talk.
func (n *network) joined(a, b int32) bool { return !n.isCut(a, b) && !n.isCut(b, a) }

// send has deliver called when the message arrives, or lost when it is known that it will not. What runs at the destination
// is not asked: that is the receiver's. It is called on Run's goroutine.
func (n *network) send(c conn, deliver, lost func()) {
	m := &message{c: c, deliver: deliver, lost: lost}
	r := dice{n.s, streamNet, c.from}
	if n.drop > 0 && c.from != c.to && r.below(10_000) < n.drop {
		n.s.later(r.between(time.Millisecond, 300*time.Millisecond), "message lost", lost)
		return
	}
	p := n.pipe(c)
	if n.isCut(c.from, c.to) || len(p.held) > 0 {
		p.held = append(p.held, m)
		m.event = n.s.later(r.between(breakMin, breakMost), "connection broke", func() { n.giveUp(m) })
		return
	}
	n.carry(m, p, r)
}

// carry has a message arrive in its time, behind the connection's earlier ones.
func (n *network) carry(m *message, p *pipe, r dice) {
	d := r.latency(firstHop, usualHop)
	if m.c.from == m.c.to {
		d = 5 * time.Microsecond
	}
	if most := n.slow[[2]int32{m.c.from, m.c.to}]; most > 0 {
		d += r.between(0, most)
	}
	p.last = max(p.last+time.Microsecond, n.s.now()+d)
	n.s.later(p.last-n.s.now(), "message", func() {
		m.over = true
		m.deliver()
	})
}

// giveUp gives up on a message that is held back, and on those behind it.
func (n *network) giveUp(m *message) {
	p := n.pipe(m.c)
	for i, held := range p.held {
		if held != m {
			continue
		}
		gone := append([]*message(nil), p.held[i:]...)
		p.held = p.held[:i]
		for _, g := range gone {
			if g != m {
				n.s.cancel(g.event)
			}
			n.s.later(0, "message lost", g.lost)
		}
		return
	}
}

// heal lets through what was held back on links that are whole now.
func (n *network) heal() {
	for _, c := range n.order() {
		p := n.conns[c]
		if len(p.held) == 0 || n.isCut(c.from, c.to) {
			continue
		}
		held := p.held
		p.held = nil
		for _, m := range held {
			n.s.cancel(m.event)
			n.carry(m, p, dice{n.s, streamNet, c.from})
		}
	}
}

// order is all connections that hold messages, always in the same order.
func (n *network) order() (out []conn) {
	for c, p := range n.conns {
		if len(p.held) > 0 {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b conn) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.lane, b.lane))
	})
	return out
}

// setCut cuts a link in one direction, or ends one of its cuts.
func (n *network) setCut(from, to int32, cut bool) {
	if cut {
		n.cut[[2]int32{from, to}]++
	} else if k := [2]int32{from, to}; n.cut[k] > 0 {
		n.cut[k]--
	}
}

// resetHost breaks the connections of a process that died while its machine lives on: what is held back for it is lost at
// once.
func (n *network) resetHost(host int32) {
	for _, c := range n.order() {
		if c.from != host && c.to != host {
			continue
		}
		p := n.conns[c]
		for _, m := range p.held {
			n.s.cancel(m.event)
			n.s.later(0, "message lost", m.lost)
		}
		p.held = nil
	}
}

// rpc is a request to a node that is answered. done is called once, on Run's goroutine.
type rpc struct {
	s      *Sim
	id     uint64
	c      conn
	target *life // who got the request
	done   func(answer any, err error)
	over   bool
}

// ask sends a request to a node. handle runs there, on Run's goroutine, and must answer through reply, which may be called
// from any goroutine, once.
func (s *Sim) ask(from, to int32, lane string, handle func(l *life, reply func(any)), done func(any, error)) *rpc {
	s.net.asked++
	r := &rpc{s: s, id: s.net.asked, c: conn{from, to, lane}, done: done}
	lost := func() { r.finish(nil, errNet) }
	n := s.node(to)
	life := n.life
	s.net.send(r.c, func() {
		refused := n.life == nil || n.life != life || !n.life.listens(lane)
		if n.powered && refused { // nobody listens, or nobody knows this connection
			s.net.send(conn{to, from, lane}, lost, lost)
			return
		}
		if n.life == nil || r.over {
			s.later(dice{s, streamNet, to}.between(breakMin, breakMost), "no answer", lost)
			return
		}
		s.deliver(n.life, r, handle)
	}, lost)
	return r
}

// listens says whether a process takes requests: those to its part of the quorum from when its directory is open, all others
// when it serves.
func (l *life) listens(lane string) bool {
	return l.serving || l.opened && (lane == laneQuorum || lane == laneAlive)
}

// The lanes of commands to the controller.
const (
	laneQuorum = "quorum"
	laneAlive  = "alive"
)

// deliver gives a request to a node, when that is not paused.
func (s *Sim) deliver(l *life, r *rpc, handle func(l *life, reply func(any))) {
	r.target = l
	l.asked[r] = true
	s.after(0, &event{owner: l.n, life: l, what: "request", do: func() {
		handle(l, func(answer any) {
			// The node sends it when it next runs; after its death it sends nothing.
			s.after(0, &event{owner: l.n, life: l, what: "answer", do: func() {
				delete(l.asked, r)
				lost := func() { r.finish(nil, errNet) }
				s.net.send(conn{r.c.to, r.c.from, r.c.lane}, func() { r.finish(answer, nil) }, lost)
			}})
		})
	}})
}

// hangUp ends the requests that a process had when it died: at once if its machine lives on, else when the callers have lost
// patience.
func (l *life) hangUp(reset bool) {
	asked := make([]*rpc, 0, len(l.asked))
	for r := range l.asked {
		asked = append(asked, r)
	}
	slices.SortFunc(asked, func(a, b *rpc) int { return cmp.Compare(a.id, b.id) })
	clear(l.asked)
	d := dice{l.s, streamNet, l.n.id}
	for _, r := range asked {
		wait := d.between(0, 3*time.Millisecond)
		if !reset {
			wait = d.between(breakMin, breakMost)
		}
		l.s.later(wait, "hang up", func() { r.finish(nil, errNet) })
	}
}

// finish ends a request.
func (r *rpc) finish(answer any, err error) {
	if r.over {
		return
	}
	r.over = true
	if r.target != nil {
		delete(r.target.asked, r)
	}
	r.done(answer, err)
}
