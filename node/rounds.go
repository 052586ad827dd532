package node

import (
	"context"
	"sync"
)

// rounds share work between those who need it to begin after they asked: all who come during one round share the next.
type rounds struct {
	work func()
	run  func(func()) // in a goroutine of its own

	mu       sync.Mutex
	now      *asking // under way
	upcoming *asking // begins when that is over
}

// asking is one round.
type asking struct{ over chan struct{} }

// wait returns after a round that began after it was called, or when ctx ends.
func (r *rounds) wait(ctx context.Context) {
	r.mu.Lock()
	mine := r.upcoming
	if mine == nil {
		mine = &asking{over: make(chan struct{})}
		if r.now == nil {
			r.now = mine
			r.run(func() { r.each(mine) })
		} else {
			r.upcoming = mine
		}
	}
	r.mu.Unlock()
	select {
	case <-mine.over:
	case <-ctx.Done():
	}
}

// each does the work, and goes on as long as others wait for a round of their own.
func (r *rounds) each(a *asking) {
	for a != nil {
		r.work()
		close(a.over)
		r.mu.Lock()
		a = r.upcoming
		r.now, r.upcoming = a, nil
		r.mu.Unlock()
	}
}
