package log

import (
	"sync"
	"sync/atomic"
)

// maxInFlight bounds the bytes that are admitted but not yet written, and under FlushAlways those not yet synced.
const maxInFlight = 64 << 20

// flow is the engine's back-pressure: appends wait here, before they take any lock.
type flow struct {
	maxUnsealed int64
	inFlight    atomic.Int64 // admitted, not yet written
	unsynced    atomic.Int64 // written under FlushAlways, not yet synced
	unsealed    atomic.Int64 // in files that are not sealed, the active one included
	waiters     atomic.Int32
	mu          sync.Mutex
	cond        sync.Cond
}

func (f *flow) init(maxUnsealed int64) {
	f.maxUnsealed = maxUnsealed
	f.cond.L = &f.mu
}

// open tells whether there is room. A request larger than a limit passes when nothing else is on its way.
func (f *flow) open() bool {
	return f.inFlight.Load()+f.unsynced.Load() < maxInFlight && f.unsealed.Load() < f.maxUnsealed
}

// admit takes n bytes in, waiting for room as long as usable returns nil.
func (f *flow) admit(n int, usable func() error) error {
	if !f.open() {
		if err := f.wait(usable); err != nil {
			return err
		}
	}
	f.inFlight.Add(int64(n))
	return nil
}

func (f *flow) wait(usable func() error) error {
	f.waiters.Add(1)
	defer f.waiters.Add(-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.open() {
		if err := usable(); err != nil {
			return err
		}
		f.cond.Wait()
	}
	return nil
}

func (f *flow) wake() {
	if f.waiters.Load() > 0 {
		f.wakeAll()
	}
}

func (f *flow) wakeAll() {
	f.mu.Lock()
	f.cond.Broadcast()
	f.mu.Unlock()
}

func (f *flow) written(n int64) {
	f.inFlight.Add(-n)
	f.wake()
}

func (f *flow) addUnsealed(n int64) { f.unsealed.Add(n) }

func (f *flow) sealed(n int64) {
	f.unsealed.Add(-n)
	f.wake()
}

// setUnsynced notes what a sync has still to cover.
func (f *flow) setUnsynced(n int64) {
	f.unsynced.Store(n)
	f.wake()
}
