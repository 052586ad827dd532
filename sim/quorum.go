package sim

import (
	"errors"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/machine"
)

// quorum is a model of raft and of package controller/quorum above it: a log of batches, a leader in a term, elections, and
// batches of deposed leaders that are committed late or not at all. The controller's machine in it is the real one.
type quorum struct {
	s      *Sim
	image  *controller.Image // committed
	index  uint64            // of the last entry of the log
	log    []committed
	term   uint64
	leader *life // nil: nobody
	ready  bool  // the leader's machine takes commands

	machine *controller.Machine
	flight  *round
	waiting []*command
	timers  map[string]*event
	running bool // an election is on its way
	forced  bool // and takes place though the leader is well
	// atFlight asks for an election when the next batch is on its way: the worst moment.
	atFlight bool
	deadFor  map[int32]int64 // brokers whose process is known to be dead: the epoch of the registration that was told
}

// committed is a batch that took effect.
type committed struct {
	index   uint64
	image   *controller.Image
	changes controller.Changes
}

// command is one that the leader has got; timer stands for one of its own timers.
type command struct {
	cmd    controller.Command
	timer  string
	answer func(outcome) // nil for timers
}

// outcome is the answer to a command.
type outcome struct {
	value any
	err   error
	index uint64 // of the batch that it rests on
}

// round is a batch of decisions on its way into the log.
type round struct {
	term    uint64
	calls   []*command
	replies []machine.Reply
	data    []byte
}

var (
	errRetry   = errors.New("it did not happen")
	errUnknown = errors.New("it may have happened")
)

const (
	quorumTick    = 50 * time.Millisecond
	sessionTime   = 3 * time.Second
	heartbeatTime = 500 * time.Millisecond
)

func (q *quorum) init(s *Sim) {
	q.s, q.image = s, controller.NewImage()
	q.timers, q.deadFor = map[string]*event{}, map[int32]int64{}
	s.later(0, "quorum", q.tick)
}

func (q *quorum) dice() dice { return dice{q.s, streamQuorum, 0} }

// up says whether a node takes part in raft now.
func up(n *node) bool { return n.life != nil && !n.paused }

// majority says whether a node reaches more than half of the voters.
func (q *quorum) majority(n *node) bool {
	if !up(n) {
		return false
	}
	votes := 0
	for _, other := range q.s.nodes[1:] {
		if up(other) && q.s.net.joined(n.id, other.id) {
			votes++
		}
	}
	return 2*votes > len(q.s.nodes)-1
}

// tick is what raft does again and again: see that there is a leader, and tell everybody what is committed.
func (q *quorum) tick() {
	if !q.s.stoppedForGood() {
		q.s.later(quorumTick, "quorum", q.tick)
	}
	if (q.leader == nil || !q.leader.alive || !q.majority(q.leader.n)) && !q.running {
		q.running = true
		q.s.later(q.dice().between(100*time.Millisecond, 900*time.Millisecond), "election", q.elect)
	}
	if q.leader == nil || !q.leader.alive {
		return
	}
	for _, n := range q.s.nodes[1:] {
		q.tell(n)
	}
	q.lookForDead()
}

// reaches says whether the leader's messages get to a node.
func (q *quorum) reaches(n *node) bool {
	return q.leader != nil && q.leader.alive && up(q.leader.n) && up(n) && q.s.net.joined(q.leader.n.id, n.id)
}

// tell lets a node know who leads, and what is committed.
func (q *quorum) tell(n *node) {
	if !q.reaches(n) {
		return
	}
	n.life.believe(q.leader.n.id, q.term)
	n.life.feed()
}

// tellAll is tell for all, each in its time.
func (q *quorum) tellAll() {
	for _, n := range q.s.nodes[1:] {
		q.s.later(q.dice().latency(100*time.Microsecond, 30*time.Millisecond), "tell", func() { q.tell(n) })
	}
}

// elect makes a leader of one of those who can be.
func (q *quorum) elect() {
	forced := q.forced
	q.running, q.forced = false, false
	if !forced && q.leader != nil && q.leader.alive && q.majority(q.leader.n) && q.dice().percent(90) {
		return // it came back in time
	}
	var able []*node
	for _, n := range q.s.nodes[1:] {
		if q.majority(n) {
			able = append(able, n)
		}
	}
	if len(able) == 0 {
		return
	}
	q.depose()
	n := able[q.dice().below(len(able))]
	q.term += 1 + uint64(q.dice().below(2))
	q.leader = n.life
	q.s.note("quorum", "node %d leads in term %d", n.id, q.term)
	q.tellAll()
	term := q.term
	q.s.later(q.dice().latency(time.Millisecond, 40*time.Millisecond), "barrier", func() {
		if q.term == term {
			q.takeOver()
		}
	})
}

// depose ends a leadership. The batch in flight is committed before the next leader begins, or lost, or turns up in its
// log later, where nobody may take it for a decision of the new term.
func (q *quorum) depose() {
	r := q.flight
	calls := q.waiting
	q.flight, q.waiting, q.ready, q.machine = nil, nil, false, nil
	for _, e := range q.timers {
		q.s.cancel(e)
	}
	clear(q.timers)
	fail(calls, errRetry)
	if r == nil {
		return
	}
	fail(r.calls, errUnknown)
	switch d := q.dice(); d.below(4) {
	case 0:
		q.s.note("quorum", "the batch in flight in term %d is committed late", r.term)
		q.apply(r.data, r.term)
	case 1, 2:
		q.s.later(d.latency(time.Millisecond, 5*time.Second), "stale entry", func() {
			if err := q.apply(r.data, q.term); err == nil {
				q.s.check.fail("a batch of the controller that was deposed after term %d took effect in term %d", r.term, q.term)
			}
		})
	}
}

func fail(calls []*command, err error) {
	for _, c := range calls {
		if c.answer != nil {
			c.answer(outcome{err: err})
		}
	}
}

// apply puts an entry into the log and carries it out, as controller/quorum's FSM does.
func (q *quorum) apply(data []byte, term uint64) error {
	q.index++
	next, changes, err := q.image.ApplyBatch(q.index, term, data)
	if errors.Is(err, controller.ErrStale) {
		return err
	}
	if err != nil {
		q.s.check.fail("a committed batch can't be applied: %v", err)
		return err
	}
	q.s.check.metadata(q.image, next, changes)
	q.image = next
	q.log = append(q.log, committed{q.index, next, changes})
	q.tellAll()
	return nil
}

// takeOver starts a machine on what is committed.
func (q *quorum) takeOver() {
	q.machine = controller.NewMachine(q.image, q.s.plan.defaults())
	q.step(controller.Input{Command: controller.TakeOver{}})
	q.ready = true
	if q.image.ClusterID() == "" {
		q.waiting = append([]*command{{cmd: controller.CreateCluster{ID: [16]byte{1}}}}, q.waiting...)
	}
	q.decide()
}

// step has the machine decide, and sets its timers on the leader's clock.
func (q *quorum) step(in controller.Input) machine.Result[controller.Event] {
	clock := q.leader.clock
	now := clock.Now()
	res := q.machine.Step(now, in)
	for _, t := range res.Timers {
		if old := q.timers[t.Key]; old != nil {
			q.s.cancel(old)
			delete(q.timers, t.Key)
		}
		if t.At.IsZero() {
			continue
		}
		key, term := t.Key, q.term
		wait := clock.wait(t.At.Sub(now))
		q.timers[key] = q.s.after(wait, &event{owner: q.leader.n, life: q.leader, what: "controller timer", do: func() {
			if q.term == term && q.machine != nil {
				delete(q.timers, key)
				q.push(&command{timer: key})
			}
		}})
	}
	return res
}

func (q *quorum) push(c *command) {
	q.waiting = append(q.waiting, c)
	q.decide()
}

// decide makes a round of what waits, if none is in flight.
func (q *quorum) decide() {
	if q.flight != nil || !q.ready || len(q.waiting) == 0 {
		return
	}
	r := &round{term: q.term, calls: q.waiting}
	q.waiting = nil
	base := q.machine.Image().LastIndex()
	var events []controller.Event
	for i, c := range r.calls {
		res := q.step(controller.Input{Ticket: machine.Ticket(i), Command: c.cmd, Timer: c.timer})
		if err := q.machine.Replay(res.Records); err != nil {
			q.s.check.fail("the controller's decision on %T does not fit its own image: %v", c.cmd, err)
			return
		}
		events = append(events, res.Records...)
		if len(res.Replies) == 0 {
			res.Replies = make([]machine.Reply, 1)
		}
		r.replies = append(r.replies, res.Replies[0])
	}
	took := q.dice().latency(300*time.Microsecond, 15*time.Millisecond)
	if len(events) == 0 {
		q.s.later(took, "verify", func() { q.verified(r, base) })
		return
	}
	r.data = controller.Batch{Epoch: q.term, Base: base, Events: events}.Encode(nil)
	q.flight = r
	q.s.later(took, "commit", func() { q.commit(r) })
	if q.atFlight {
		q.atFlight = false
		q.electNow()
	}
}

// verified answers a round that changed nothing: only a majority's word that the leader still leads makes it an answer.
func (q *quorum) verified(r *round, index uint64) {
	if q.leader == nil || !q.leader.alive || q.term != r.term || !q.majority(q.leader.n) {
		fail(r.calls, errRetry)
		return
	}
	r.answer(index)
}

func (r *round) answer(index uint64) {
	for i, c := range r.calls {
		if c.answer != nil {
			c.answer(outcome{r.replies[i].Value, r.replies[i].Err, index})
		}
	}
}

// commit ends a round, when a majority has its batch.
func (q *quorum) commit(r *round) {
	if q.flight != r {
		return
	}
	if !q.leader.alive || !q.majority(q.leader.n) {
		q.s.later(20*time.Millisecond, "commit", func() { q.commit(r) })
		return
	}
	q.flight = nil
	if err := q.apply(r.data, q.term); err != nil {
		fail(r.calls, errRetry)
		q.takeOver()
		return
	}
	q.machine.Committed(q.image)
	r.answer(q.index)
	q.decide()
}

// lookForDead fences brokers whose process is dead: its connections broke, and the machine refuses new ones.
func (q *quorum) lookForDead() {
	if !q.ready {
		return
	}
	for b := range q.image.Brokers() {
		n := q.s.node(b.ID)
		if b.Fenced || n.life != nil || !n.powered || !q.s.net.joined(q.leader.n.id, b.ID) || !up(q.leader.n) || q.deadFor[b.ID] == b.Epoch {
			continue
		}
		q.deadFor[b.ID] = b.Epoch
		q.push(&command{cmd: controller.FenceBroker{ID: b.ID, Epoch: b.Epoch}, answer: func(o outcome) {
			if o.err != nil {
				delete(q.deadFor, b.ID)
			}
		}})
	}
}
