package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// What a node has of the quorum: who leads as far as it knows, the images that it has seen, commands on their way, and the
// lease.

// believe takes word of a leader. Commands that wait for the answer of an earlier one learn that none may come.
func (l *life) believe(leader int32, term uint64) {
	if term <= l.term {
		return
	}
	l.leader, l.term = leader, term
	sent := l.submits
	l.submits = nil
	for _, c := range sent {
		if c.term < term {
			c.finish(outcome{err: errUnknown})
		} else if !c.over {
			l.submits = append(l.submits, c)
		}
	}
}

// feed gives the node the batches that it has not got yet, or after a long gap what they led to.
func (l *life) feed() {
	q := &l.s.quorum
	from := len(q.log)
	for from > 0 && q.log[from-1].index > l.fed {
		from--
	}
	news := q.log[from:]
	if len(news) == 0 && (l.fed > 0 || q.image.ClusterID() == "") {
		return
	}
	if l.fed == 0 || len(news) > l.s.plan.snapshotGap {
		if len(q.log) == 0 {
			return
		}
		last := q.log[len(q.log)-1]
		news = []committed{{last.index, last.image, controller.Changes{All: true}}}
	}
	l.fed = news[len(news)-1].index
	l.release(&l.waitFed, l.fed)
	l.queueMu.Lock()
	l.images = append(l.images, news...)
	l.queueMu.Unlock()
	select {
	case l.imagesCame <- struct{}{}:
	default:
	}
}

// follow has the node see its images, one after another, on a goroutine of the life's.
func (l *life) follow() {
	for {
		select {
		case <-l.imagesCame:
		case <-l.ended:
			return
		}
		for {
			l.queueMu.Lock()
			if len(l.images) == 0 || !l.watching {
				l.queueMu.Unlock()
				break
			}
			next := l.images[0]
			if l.first { // what came before the first look is one look
				next = l.images[len(l.images)-1]
				next.changes = controller.Changes{All: true}
				l.images, l.first = nil, false
			} else {
				l.images = l.images[1:]
			}
			l.queueMu.Unlock()
			l.manager.Apply(next.image, next.changes)
			l.host.Apply(next.image, next.changes)
			l.s.after(0, &event{owner: l.n, life: l, what: "image seen", do: func() { l.sawImage(next) }})
		}
	}
}

// sawImage lets go of the answers that rest on an image.
func (l *life) sawImage(c committed) {
	l.image, l.seen = c.image, c.index
	l.release(&l.waitSeen, l.seen)
}

// indexWait is something to do once a batch has come.
type indexWait struct {
	index uint64
	do    func()
}

func (l *life) release(waits *[]indexWait, index uint64) {
	list := *waits
	*waits = nil
	for _, w := range list {
		if w.index <= index {
			w.do()
		} else {
			*waits = append(*waits, w)
		}
	}
}

// whenSeen does something once the node has seen the batch of that index; before it watches, once it has got it.
func (l *life) whenSeen(index uint64, do func()) {
	switch {
	case l.watching && l.seen >= index, !l.watching && l.fed >= index:
		do()
	case l.watching:
		l.waitSeen = append(l.waitSeen, indexWait{index, do})
	default:
		l.waitFed = append(l.waitFed, indexWait{index, do})
	}
}

// submitted is a command that was sent to a leader.
type submitted struct {
	term   uint64
	over   bool
	finish func(outcome)
}

// submit has the active controller carry out a command, as quorum.Submit does. done is called on Run's goroutine.
func (l *life) submit(cmd controller.Command, done func(any, error)) { l.try(cmd, 0, done) }

func (l *life) try(cmd controller.Command, tries int, done func(any, error)) {
	again := func() {
		wait := min(5*time.Millisecond<<min(tries, 5), 80*time.Millisecond)
		l.s.after(wait, &event{owner: l.n, life: l, what: "submit again", do: func() { l.try(cmd, tries+1, done) }})
	}
	if l.leader == 0 {
		again()
		return
	}
	sent, c := l.clock.Now(), &submitted{term: l.term}
	c.finish = func(o outcome) {
		if c.over || !l.alive {
			return
		}
		c.over = true
		switch {
		case errors.Is(o.err, errRetry), errors.Is(o.err, errUnknown) && controller.Repeatable(cmd):
			again()
		case errors.Is(o.err, errUnknown):
			done(nil, kafkaproto.ErrNotController.With("%w", o.err))
		default:
			l.whenSeen(o.index, func() {
				l.renew(cmd, o, sent)
				done(o.value, o.err)
			})
		}
	}
	lane := laneQuorum
	if _, ok := cmd.(controller.BrokerHeartbeat); ok {
		lane = laneAlive
	}
	l.submits = append(slices.DeleteFunc(l.submits, func(c *submitted) bool { return c.over }), c)
	l.s.ask(l.n.id, l.leader, lane, func(at *life, reply func(any)) { l.s.quorum.receive(at, cmd, reply) }, func(answer any, err error) {
		if err != nil {
			c.finish(outcome{err: errUnknown})
			return
		}
		c.finish(answer.(outcome))
	})
}

// receive is a command's arrival at a node that is thought to lead. One that does and can't know that it was deposed never
// answers.
func (q *quorum) receive(at *life, cmd controller.Command, reply func(any)) {
	switch {
	case q.leader == at && q.ready:
		q.push(&command{cmd: cmd, answer: func(o outcome) { reply(o) }})
	case q.leader == at, q.reaches(at.n):
		reply(outcome{err: errRetry})
	}
}

// renew moves the lease, as quorum.renew does.
func (l *life) renew(cmd controller.Command, o outcome, sent time.Time) {
	if o.err != nil {
		return
	}
	switch cmd.(type) {
	case controller.RegisterBroker, controller.UnfenceBroker:
	case controller.BrokerHeartbeat:
		if a, ok := o.value.(controller.BrokerHeartbeatAnswer); !ok || a.Fenced {
			return
		}
	default:
		return
	}
	if end := sent.Add(sessionTime); end.After(*l.lease.Load()) {
		l.lease.Store(&end)
	}
}

// Submit is as partition.Quorum says.
func (l *life) Submit(ctx context.Context, cmd controller.Command) (any, error) {
	answer := make(chan outcome, 1)
	l.s.after(0, &event{owner: l.n, life: l, what: "submit", do: func() {
		l.submit(cmd, func(v any, err error) { answer <- outcome{value: v, err: err} })
	}})
	select {
	case o := <-answer:
		return o.value, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
