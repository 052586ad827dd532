package partition

import (
	"container/heap"
	"sync"
	"time"

	"github.com/streambus/streambus/internal/env"
)

// deadlines looks after the appends that wait for their acks too long, for all partitions with one timer. A partition
// is in it once, for the earliest deadline it had when it came in, however many of its appends wait: at the usual
// timeout of 30 s that is one entry in 30 s for a busy partition and none for an idle one.
type deadlines struct {
	clock   env.Clock
	elapsed func() time.Duration // never 0, and no step of the clock changes its pace

	mu     sync.Mutex // taken with a partition's mu held; takes none itself
	heap   deadlineHeap
	timer  env.Timer
	armed  time.Duration // when the timer fires, 0 if it does not
	closed bool
}

type deadline struct {
	at time.Duration
	p  *Partition
}

// add has p looked at then.
func (d *deadlines) add(p *Partition, at time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	heap.Push(&d.heap, deadline{at, p})
	d.arm()
}

// arm sets the timer to the first deadline.
func (d *deadlines) arm() {
	if len(d.heap) == 0 || (d.armed != 0 && d.armed <= d.heap[0].at) {
		return
	}
	d.armed = d.heap[0].at
	wait := max(d.armed-d.elapsed(), 0)
	if d.timer == nil {
		d.timer = d.clock.AfterFunc(wait, d.run)
	} else {
		d.timer.Reset(wait)
	}
}

// run is the timer's.
func (d *deadlines) run() {
	now := d.elapsed()
	var due []deadline
	d.mu.Lock()
	d.armed = 0
	for len(d.heap) > 0 && d.heap[0].at <= now {
		due = append(due, heap.Pop(&d.heap).(deadline))
	}
	if !d.closed {
		d.arm()
	}
	d.mu.Unlock()
	for _, e := range due {
		e.p.overdue(e.at, now)
	}
}

func (d *deadlines) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed, d.heap = true, nil
	if d.timer != nil {
		d.timer.Stop()
	}
}

// watch makes sure that the manager looks at p at the latest then. p.mu is held.
func (p *Partition) watch(at time.Duration) {
	if p.watched != 0 && p.watched <= at {
		return
	}
	p.watched = at
	p.manager.deadlines.add(p, at)
}

// overdue ends the appends whose time is up. at is the deadline that p was watched for: an entry that an earlier one
// has replaced finds another there and does nothing.
func (p *Partition) overdue(at, now time.Duration) {
	p.mu.Lock()
	if p.watched != at {
		p.mu.Unlock()
		return
	}
	p.watched = 0
	chain, next := p.expire(now)
	if next != 0 {
		p.watch(next)
	}
	p.mu.Unlock()
	chain.finish()
}

// deadlineHeap is a container/heap by time.
type deadlineHeap []deadline

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h deadlineHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *deadlineHeap) Push(x any)        { *h = append(*h, x.(deadline)) }
func (h *deadlineHeap) Pop() any {
	old := *h
	last := len(old) - 1
	e := old[last]
	old[last] = deadline{}
	*h = old[:last]
	return e
}
