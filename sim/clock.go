package sim

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/streambus/streambus/internal/env"
)

// nodeClock is a node's clock. Its monotonic part runs a little fast or slow; its wall part can also jump, which must not
// disturb anybody who measures time.
type nodeClock struct {
	s     *Sim
	n     *node
	life  *life
	drift float64      // local nanoseconds in a nanosecond of the simulator
	jump  atomic.Int64 // nanoseconds by which the wall clock is off
}

// startOfTime is what clocks show when a run begins.
const startOfTime = 1_790_000_000 // seconds since 1970

// stdTime is time.Time as the standard library lays it out. There is no other way to make one whose wall clock and monotonic
// clock part; TestTheClockKeepsTwoTimes notices if the layout changes.
type stdTime struct {
	wall uint64
	ext  int64
	loc  *time.Location
}

const (
	hasMonotonic   = 1 << 63
	from1885to1970 = 2_682_288_000 // seconds
)

// makeTime makes a time of a wall clock, in nanoseconds since 1970, and a monotonic one.
func makeTime(wall, monotonic int64) time.Time {
	var t time.Time
	p := (*stdTime)(unsafe.Pointer(&t))
	sec, nsec := wall/1e9, wall%1e9
	p.wall = hasMonotonic | uint64(sec+from1885to1970)<<30 | uint64(nsec)
	p.ext = monotonic
	return t
}

// local is the simulator's time as this clock measures it.
func (c *nodeClock) local() int64 { return int64(float64(c.s.now())*c.drift) + 1 }

// Now is as env.Clock says.
func (c *nodeClock) Now() time.Time {
	at := c.local()
	return makeTime(startOfTime*1e9+at+c.jump.Load(), at)
}

// AfterFunc is as env.Clock says.
func (c *nodeClock) AfterFunc(d time.Duration, f func()) env.Timer {
	return c.start(&nodeTimer{c: c, f: f}, d)
}

// NewTimer is as env.Clock says.
func (c *nodeClock) NewTimer(d time.Duration) env.Timer {
	return c.start(&nodeTimer{c: c, ch: make(chan time.Time, 1)}, d)
}

// wait is how long the simulator has to wait for d to pass on this clock; never a nanosecond too short, or who looks at the
// clock then would wait again for nothing.
func (c *nodeClock) wait(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(float64(d)/c.drift) + 2
}

func (c *nodeClock) start(t *nodeTimer, d time.Duration) env.Timer {
	t.set(d)
	return t
}

// nodeTimer is a timer of a node's clock: an event that belongs to a life of the node.
type nodeTimer struct {
	c  *nodeClock
	e  *event
	f  func()
	ch chan time.Time
}

func (t *nodeTimer) set(d time.Duration) {
	t.e = t.c.s.after(t.c.wait(d), &event{owner: t.c.n, life: t.c.life, what: "timer", do: t.fire})
}

func (t *nodeTimer) fire() {
	if t.f != nil {
		go t.f()
		return
	}
	select {
	case t.ch <- t.c.Now():
	default:
	}
}

// C is as env.Timer says.
func (t *nodeTimer) C() <-chan time.Time { return t.ch }

// Stop is as env.Timer says. As with time.Timer, nothing is received after it.
func (t *nodeTimer) Stop() bool {
	was := t.c.s.cancel(t.e)
	t.drain()
	return was
}

// Reset is as env.Timer says.
func (t *nodeTimer) Reset(d time.Duration) bool {
	was := t.c.s.cancel(t.e)
	t.drain()
	t.set(d)
	return was
}

func (t *nodeTimer) drain() {
	if t.ch == nil {
		return
	}
	select {
	case <-t.ch:
	default:
	}
}

// nodeRand is a node's source of randomness.
type nodeRand struct{ d dice }

func (r nodeRand) Uint64() uint64 { return r.d.Uint64() }

func (r nodeRand) Read(p []byte) {
	for len(p) > 0 {
		v := r.d.Uint64()
		for i := 0; i < 8 && len(p) > 0; i++ {
			p[0] = byte(v)
			p, v = p[1:], v>>8
		}
	}
}
