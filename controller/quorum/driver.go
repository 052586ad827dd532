package quorum

import (
	"context"
	"encoding/base64"
	"errors"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// Limits of one round of decisions, and of commands that wait for theirs.
const (
	maxWaiting    = 1024
	maxRoundCalls = 256
	maxRoundEvent = 10_000 // no further command once a round has so many events
)

// call is a command on its way through the driver; timer stands for a timer that fired, which nobody waits for.
type call struct {
	command controller.Command
	timer   string
	remote  bool         // asked by another node, whose watchers matter and not ours
	done    chan outcome // holds one
}

type outcome struct {
	value any
	err   error
	index uint64 // of the batch that the answer rests on
}

func (c *call) answer(reply machine.Reply, index uint64) {
	if c.done != nil {
		c.done <- outcome{reply.Value, reply.Err, index}
	}
}

func newCall(c controller.Command) *call { return &call{command: c, done: make(chan outcome, 1)} }

func (c *call) finish(value any, err error) {
	if c.done != nil {
		c.done <- outcome{value: value, err: err}
	}
}

// round is one batch of decisions: one raft entry. There is never more than one in flight.
type round struct {
	calls   []*call
	replies []machine.Reply
	events  []controller.Event
	future  raft.ApplyFuture
	started time.Time
	bytes   int
}

// driver runs the machine while this node leads. All its fields belong to the goroutine of run.
type driver struct {
	q       *Quorum
	machine *controller.Machine // nil while this node doesn't lead
	term    uint64
	leading bool // the machine takes commands
	fresh   bool // it has just begun to: nobody has looked yet who died with the leader before
	flight  *round
	untold  bool     // nothing has told the followers yet that the last round is committed
	fired   []string // timers that fired while a round was in flight
	timers  map[string]env.Timer

	leadership chan bool             // from raft
	barrier    chan uint64           // term of a leadership whose log is applied here; 0 if it was lost
	landed     chan *round           // a round whose fate is known
	ticks      chan string           // timers
	calls      chan *call            // commands
	observed   chan raft.Observation // somebody else may lead now
}

// readyPoll is how often a follower that has just started looks whether it has caught up.
const readyPoll = 5 * time.Millisecond

func newDriver(q *Quorum) *driver {
	return &driver{
		q:          q,
		timers:     map[string]env.Timer{},
		leadership: make(chan bool, 16),
		barrier:    make(chan uint64, 16),
		landed:     make(chan *round, 1),
		ticks:      make(chan string, 16),
		calls:      make(chan *call, maxWaiting),
		observed:   make(chan raft.Observation, 16),
	}
}

func (d *driver) run() {
	defer d.q.running.Done()
	defer d.stop()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		if d.q.isReady() {
			poll.Stop()
		}
		calls := d.calls
		if d.flight != nil {
			calls = nil
		}
		select {
		case leads := <-d.leadership:
			d.leadershipChanged(leads)
		case term := <-d.barrier:
			d.takeOver(term)
		case r := <-d.landed:
			d.land(r)
		case key := <-d.ticks:
			d.fired = append(d.fired, key)
		case c := <-calls:
			d.decide(c)
		case <-d.observed:
		case <-poll.C:
		case <-d.q.closing:
			return
		}
		if d.flight == nil && d.leading && len(d.fired) > 0 {
			d.decideTimer()
		}
		if d.flight == nil && len(d.calls) == 0 {
			d.nudge()
		}
		d.q.leaderMoved(d.leading, d.term)
		if d.fresh && d.leading {
			d.fresh = false
			d.q.spawn(d.q.lookAtVoters) // not before it is known that this node leads: it acts only then
		}
	}
}

// stop fails all who wait.
func (d *driver) stop() {
	d.depose()
	if d.flight != nil {
		d.fail(d.flight, errClosed)
	}
	for {
		select {
		case c := <-d.calls:
			c.finish(nil, errClosed)
		default:
			return
		}
	}
}

func (d *driver) leadershipChanged(leads bool) {
	d.depose()
	if leads {
		go d.awaitBarrier()
	}
}

// awaitBarrier returns when everything that earlier leaders committed is applied here: before, no decision may be made.
func (d *driver) awaitBarrier() {
	var term uint64
	if d.q.raft.Load().Barrier(0).Error() == nil && d.q.raft.Load().State() == raft.Leader {
		term = d.q.raft.Load().CurrentTerm()
	}
	select {
	case d.barrier <- term:
	case <-d.q.closing:
	}
}

// depose forgets the machine and its timers. A round in flight comes back with its own fate.
func (d *driver) depose() {
	d.machine, d.leading, d.fresh, d.fired = nil, false, false, nil
	for key, t := range d.timers {
		t.Stop()
		delete(d.timers, key)
	}
}

// takeOver starts a machine on the image that is applied here. If a term was lost again meanwhile, what it decides is
// ignored by every node.
func (d *driver) takeOver(term uint64) {
	if term == 0 || d.flight != nil {
		return // a round in flight takes over when it has landed
	}
	d.term = term
	d.machine = controller.NewMachine(d.q.fsm.image.Load(), d.q.options.Defaults)
	d.step(controller.Input{Command: controller.TakeOver{}})
	d.fresh = true
	if d.machine.Image().ClusterID() != "" {
		d.leading = true
		return
	}
	d.start([]*call{{command: d.q.createCluster()}}, false)
}

// createCluster makes a cluster, under the id that the node's data directory knows already if it has one.
func (q *Quorum) createCluster() controller.Command {
	var create controller.CreateCluster
	if id, err := base64.RawURLEncoding.DecodeString(q.options.ClusterID); err == nil && len(id) == len(create.ID) {
		copy(create.ID[:], id)
	}
	return create.Randomize(q.options.Env.Rand.Read)
}

// decide takes a command and whatever else waits, as one round.
func (d *driver) decide(first *call) {
	if !d.leading {
		first.finish(nil, errRetry)
		return
	}
	room := d.q.room()
	if !room && !d.changesNothing(first.command) {
		first.finish(nil, errFull)
		return
	}
	d.start([]*call{first}, room)
}

// changesNothing says whether a command is the heartbeat of a broker that serves. It is heard on a full disk too: a broker
// whose data can be read must not lose its leaderships because nothing can be written.
func (d *driver) changesNothing(c controller.Command) bool {
	h, ok := c.(controller.BrokerHeartbeat)
	if !ok || h.WantFenced || h.WantShutdown {
		return false
	}
	b, known := d.machine.Image().Broker(h.ID)
	return known && !b.Fenced
}

func (d *driver) decideTimer() {
	calls := make([]*call, len(d.fired))
	for i, key := range d.fired {
		delete(d.timers, key)
		calls[i] = &call{timer: key}
	}
	d.fired = nil
	d.start(calls, d.leading)
}

// start decides a round and proposes it; more lets others that wait join. Commands see what those before them in the round
// decided.
func (d *driver) start(calls []*call, more bool) {
	r := &round{started: d.q.options.Env.Clock.Now()}
	base := d.machine.Image().LastIndex()
	for _, c := range calls {
		d.add(r, c)
	}
	for more && len(r.calls) < maxRoundCalls && len(r.events) < maxRoundEvent {
		select {
		case c := <-d.calls:
			d.add(r, c)
		default:
			more = false
		}
	}
	if len(r.events) == 0 {
		d.nudge()
		d.answer(r, base)
		return
	}
	d.untold = false
	data := controller.Batch{Epoch: d.term, Base: base, Events: r.events}.Encode(nil)
	r.bytes = len(data)
	r.future = d.q.raft.Load().Apply(data, 0)
	d.flight = r
	go func() {
		_ = r.future.Error() // land asks again
		select {
		case d.landed <- r:
		case <-d.q.closing:
		}
	}()
}

func (d *driver) add(r *round, c *call) {
	result := d.step(controller.Input{Ticket: machine.Ticket(len(r.calls)), Command: c.command, Timer: c.timer})
	if err := d.machine.Replay(result.Records); err != nil {
		c.finish(nil, err) // a decision that doesn't fit its own image is a bug, and nothing of it is kept
		d.q.options.Logger.Error("controller: impossible decision", "error", err)
		return
	}
	r.calls = append(r.calls, c)
	r.events = append(r.events, result.Records...)
	if len(result.Replies) == 0 {
		result.Replies = make([]machine.Reply, 1)
	}
	r.replies = append(r.replies, result.Replies[0])
}

func (d *driver) step(in controller.Input) machine.Result[controller.Event] {
	now := d.q.options.Env.Clock.Now()
	result := d.machine.Step(now, in)
	for _, t := range result.Timers {
		d.setTimer(t, now)
	}
	return result
}

func (d *driver) setTimer(t machine.Timer, now time.Time) {
	if old := d.timers[t.Key]; old != nil {
		old.Stop()
		delete(d.timers, t.Key)
	}
	if t.At.IsZero() {
		return
	}
	d.timers[t.Key] = d.q.options.Env.Clock.AfterFunc(t.At.Sub(now), func() {
		select {
		case d.ticks <- t.Key:
		case <-d.q.closing:
		}
	})
}

// land is told the fate of the round in flight.
func (d *driver) land(r *round) {
	d.flight = nil
	err := r.future.Error()
	if err == nil {
		if stale, ok := r.future.Response().(error); ok {
			err = stale
		}
	}
	if err != nil {
		d.crash(r, err)
		return
	}
	d.q.committed(r)
	d.untold = true
	if d.machine == nil {
		d.answer(r, r.future.Index())
		d.reconsider()
		return
	}
	d.machine.Committed(d.q.fsm.image.Load())
	d.leading = true
	d.answer(r, r.future.Index())
}

// nudge lets followers know at once what is committed: raft tells them with the next entry, or up to twice commitTimeout
// later. Where nothing else is about to be decided, or what was decided changes nothing, an empty entry is that next one.
func (d *driver) nudge() {
	if !d.untold {
		return
	}
	d.untold = false
	members := d.q.raft.Load().GetConfiguration()
	if members.Error() == nil && len(members.Configuration().Servers) > 1 {
		d.q.raft.Load().Barrier(0)
	}
}

// crash ends a round that failed. What the machine believed is void, so it starts anew if this node still leads.
func (d *driver) crash(r *round, err error) {
	if f := d.q.options.Events.BatchFailed; f != nil {
		f(err)
	}
	d.fail(r, fate(err))
	d.depose()
	d.reconsider()
}

// reconsider starts over if raft says that this node leads.
func (d *driver) reconsider() {
	if d.q.raft.Load().State() == raft.Leader {
		go d.awaitBarrier()
	}
}

// fate is what a failed batch means for those who wait for it: an error, or errRetry if it surely did not happen.
func fate(err error) error {
	switch {
	case errors.Is(err, controller.ErrStale), errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout),
		errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return errRetry
	case errors.Is(err, raft.ErrRaftShutdown):
		return errClosed
	case errors.Is(err, syscall.ENOSPC):
		return errFull
	}
	return errUnknown
}

func (d *driver) fail(r *round, err error) {
	for _, c := range r.calls {
		c.finish(nil, err)
	}
}

// answer lets a round's answers go once the watchers have seen what they are based on. A round that changed nothing went
// through no log, so that this node still leads has to be made sure of: a heartbeat that was answered is a lease.
func (d *driver) answer(r *round, index uint64) {
	d.q.spawn(func() {
		if len(r.events) == 0 && !d.q.verified() {
			d.fail(r, errRetry)
			return
		}
		for i, c := range r.calls {
			if c.remote {
				c.answer(r.replies[i], index)
			}
		}
		err := d.q.feed.wait(context.Background(), index)
		for i, c := range r.calls {
			switch {
			case c.remote:
			case err != nil:
				c.finish(nil, err)
			default:
				c.answer(r.replies[i], index)
			}
		}
	})
}

// errTimeout is what a caller gets whose time ran out; what it asked for may happen yet.
func errTimeout(cause error) error {
	return kafkaproto.ErrRequestTimedOut.With("the controller did not answer in time: %w", cause)
}
