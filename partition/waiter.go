package partition

import (
	"slices"
	"sync/atomic"
)

// Waiter is told when a partition it waits for may have something new: its high watermark, last stable offset, log
// start offset or leadership has moved. One Waiter may wait for many partitions. The order that loses no news: Wait on
// all, then look; when fired, Arm, then look again; in the end Unwait on all.
type Waiter struct {
	idle    atomic.Bool // fired and not armed again
	replica bool
	call    func()
}

// NewWaiter makes an armed waiter. fire is called at most once until Arm is called, from any goroutine (the storage
// engine's too), so it must not block; it may be called for the last time shortly after Unwait has returned.
func NewWaiter(fire func()) *Waiter { return &Waiter{call: fire} }

// NewReplicaWaiter makes a waiter for a follower's fetch: it fires when new bytes are written or the leadership has moved, not
// when the high watermark has.
func NewReplicaWaiter(fire func()) *Waiter { return &Waiter{call: fire, replica: true} }

// Arm lets the waiter fire again.
func (w *Waiter) Arm() { w.idle.Store(false) }

func (w *Waiter) fire() { w.call() }

// Wait registers w until Unwait. It fires w at once if nothing is served here any more, as no news would follow.
func (p *Partition) Wait(w *Waiter) {
	p.mu.Lock()
	p.waiters = append(p.waiters, w)
	if w.replica {
		p.replicas++
	}
	gone := p.gone != nil
	p.mu.Unlock()
	if gone && w.idle.CompareAndSwap(false, true) {
		w.fire()
	}
}

// Unwait takes back one Wait. It is harmless if there was none.
func (p *Partition) Unwait(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.waiters, w)
	if i < 0 {
		return
	}
	if w.replica {
		p.replicas--
	}
	last := len(p.waiters) - 1
	p.waiters[i], p.waiters[last] = p.waiters[last], nil
	p.waiters = p.waiters[:last]
	if last == 0 {
		p.waiters = nil // an idle partition keeps no memory
	}
}

// armed collects the waiters to fire, consumers' or replicas' or both. p.mu is held.
func (p *Partition) armed(consumers, replicas bool) (wake []*Waiter) {
	for _, w := range p.waiters {
		if (w.replica && replicas || !w.replica && consumers) && w.idle.CompareAndSwap(false, true) {
			wake = append(wake, w)
		}
	}
	return wake
}
