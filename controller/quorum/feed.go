package quorum

import (
	"context"
	"slices"
	"sync"

	"github.com/streambus/streambus/controller"
)

// maxBacklog is how many changes wait for slow watchers one by one; from there on they are merged.
const maxBacklog = 256

// feed hands images to watchers, in order, from one goroutine, and lets others wait until they have seen one.
type feed struct {
	mu        sync.Mutex
	wake      sync.Cond
	ready     bool
	closed    bool
	pending   []change
	current   *controller.Image // the newest that watchers have seen
	watchers  []watcher
	joining   []watcher
	delivered chan struct{} // closed and made anew whenever current moves
	done      chan struct{}
}

type watcher func(*controller.Image, controller.Changes)

type change struct {
	image   *controller.Image
	changes controller.Changes
}

func newFeed() *feed {
	f := &feed{current: controller.NewImage(), delivered: make(chan struct{}), done: make(chan struct{})}
	f.wake.L = &f.mu
	go f.run()
	return f
}

func (f *feed) publish(img *controller.Image, c controller.Changes) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.pending); n >= maxBacklog {
		last := &f.pending[n-1]
		*last = change{img, merge(last.changes, c)}
	} else {
		f.pending = append(f.pending, change{img, c})
	}
	f.wake.Signal()
}

func merge(a, b controller.Changes) controller.Changes {
	return controller.Changes{
		All:      a.All || b.All,
		Topics:   append(slices.Clip(a.Topics), b.Topics...),
		Brokers:  append(slices.Clip(a.Brokers), b.Brokers...),
		Configs:  append(slices.Clip(a.Configs), b.Configs...),
		Features: a.Features || b.Features,
	}
}

func (f *feed) watch(w watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joining = append(f.joining, w)
	f.wake.Signal()
}

// open starts deliveries. What came before, of which some may still be pending, is one first look for every watcher: nobody
// ever sees an image of the past, which would look as if everything had been deleted.
func (f *feed) open() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = true
	if n := len(f.pending); n > 0 {
		f.current, f.pending = f.pending[n-1].image, nil
		f.moved()
	}
	f.wake.Signal()
}

func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.wake.Signal()
	f.mu.Unlock()
	<-f.done
}

func (f *feed) run() {
	defer close(f.done)
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for !f.closed && len(f.pending) == 0 && !(f.ready && len(f.joining) > 0) {
			f.wake.Wait()
		}
		if f.closed {
			return
		}
		f.step()
	}
}

// step delivers one change, or a first look to those who join. It is called, and returns, with the lock held.
func (f *feed) step() {
	if f.ready && len(f.joining) > 0 {
		joining, img := f.joining, f.current
		f.joining = nil
		f.watchers = append(f.watchers, joining...)
		f.call(joining, img, controller.Changes{All: true})
		f.moved()
		return
	}
	next := f.pending[0]
	f.pending = f.pending[1:]
	if f.ready {
		f.call(f.watchers, next.image, next.changes)
	}
	f.current = next.image
	f.moved()
}

func (f *feed) moved() {
	close(f.delivered)
	f.delivered = make(chan struct{})
}

func (f *feed) call(watchers []watcher, img *controller.Image, c controller.Changes) {
	f.mu.Unlock()
	defer f.mu.Lock()
	for _, w := range watchers {
		w(img, c)
	}
}

func (f *feed) image() *controller.Image {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current
}

// wait returns when all watchers have seen the batch of that index.
func (f *feed) wait(ctx context.Context, index uint64) error {
	for {
		f.mu.Lock()
		seen, moved := f.current.LastIndex() >= index && len(f.joining) == 0, f.delivered
		closed := f.closed
		f.mu.Unlock()
		if seen {
			return nil
		}
		if closed {
			return errClosed
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-f.done:
			return errClosed
		}
	}
}
