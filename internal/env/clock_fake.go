package env

import (
	"slices"
	"sync"
	"time"
)

// FakeClock is a clock that stands still until a test moves it. Timers fire inside Advance, in the order of their
// times; an AfterFunc runs in a goroutine of its own, as on the real clock.
type FakeClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*fakeTimer
}

// NewFakeClock makes a clock that shows t.
func NewFakeClock(t time.Time) *FakeClock { return &FakeClock{now: t} }

// Now is the time that the test has set.
func (c *FakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc is as Clock says.
func (c *FakeClock) AfterFunc(d time.Duration, f func()) Timer {
	return c.start(&fakeTimer{clock: c, f: f}, d)
}

// NewTimer is as Clock says.
func (c *FakeClock) NewTimer(d time.Duration) Timer {
	return c.start(&fakeTimer{clock: c, c: make(chan time.Time, 1)}, d)
}

// Advance moves the clock by d and fires what became due on the way.
func (c *FakeClock) Advance(d time.Duration) {
	c.mu.Lock()
	end := c.now.Add(d)
	for {
		i := c.earliest()
		if i < 0 || c.timers[i].at.After(end) {
			break
		}
		t := c.timers[i]
		c.timers = slices.Delete(c.timers, i, i+1)
		if t.at.After(c.now) {
			c.now = t.at
		}
		t.fire(c.now)
	}
	c.now = end
	c.mu.Unlock()
}

// Pending counts the timers that have not fired yet.
func (c *FakeClock) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

func (c *FakeClock) earliest() int {
	best := -1
	for i, t := range c.timers {
		if best < 0 || t.at.Before(c.timers[best].at) {
			best = i
		}
	}
	return best
}

func (c *FakeClock) start(t *fakeTimer, d time.Duration) Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arm(t, d)
	return t
}

func (c *FakeClock) arm(t *fakeTimer, d time.Duration) {
	t.at = c.now.Add(d)
	if d <= 0 {
		t.fire(c.now)
		return
	}
	c.timers = append(c.timers, t)
}

// disarm reports whether the timer was still pending; the lock is held.
func (c *FakeClock) disarm(t *fakeTimer) bool {
	i := slices.Index(c.timers, t)
	if i < 0 {
		return false
	}
	c.timers = slices.Delete(c.timers, i, i+1)
	return true
}

type fakeTimer struct {
	clock *FakeClock
	at    time.Time
	c     chan time.Time
	f     func()
}

func (t *fakeTimer) fire(now time.Time) {
	if t.f != nil {
		go t.f()
		return
	}
	select {
	case t.c <- now:
	default:
	}
}

func (t *fakeTimer) C() <-chan time.Time { return t.c }

func (t *fakeTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.clock.disarm(t)
}

func (t *fakeTimer) Reset(d time.Duration) bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	was := t.clock.disarm(t)
	t.clock.arm(t, d)
	return was
}
