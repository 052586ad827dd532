package broker

import (
	"slices"
	"sync"
	"sync/atomic"
)

// memory bounds the bytes of all requests that are being read or handled. A new frame waits while there is none left. A
// frame that has begun may grow beyond the limit, but only one at a time, the one whose connection has the turn: so
// half-read frames can't block one another for ever, and the excess is at most one frame.
type memory struct {
	limit   int64
	used    atomic.Int64
	waiters atomic.Int32 // len(growing) + len(fresh)

	mu      sync.Mutex
	turn    *conn // may exceed the limit
	growing []*memoryWaiter
	fresh   []*memoryWaiter
}

type memoryWaiter struct {
	n       int64
	conn    *conn
	granted chan struct{}
}

// acquire takes n bytes, waiting for them if it must; growing says that they are for a frame that holds some already. It
// returns false when the connection has ended meanwhile.
func (m *memory) acquire(c *conn, n int64, growing bool) bool {
	if m.waiters.Load() == 0 {
		if used := m.used.Add(n); used <= m.limit || used == n {
			return true
		}
		m.used.Add(-n)
	}
	w := &memoryWaiter{n: n, conn: c, granted: make(chan struct{})}
	m.mu.Lock()
	if growing {
		m.growing = append(m.growing, w)
	} else {
		m.fresh = append(m.fresh, w)
	}
	m.grant()
	m.mu.Unlock()
	select {
	case <-w.granted:
		return true
	case <-c.ctx.Done():
		m.abandon(w)
		return false
	}
}

// abandon takes a waiter out, or gives back what it was granted too late.
func (m *memory) abandon(w *memoryWaiter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	same := func(x *memoryWaiter) bool { return x == w }
	before := len(m.growing) + len(m.fresh)
	m.growing = slices.DeleteFunc(m.growing, same)
	m.fresh = slices.DeleteFunc(m.fresh, same)
	if len(m.growing)+len(m.fresh) == before {
		m.used.Add(-w.n)
	}
	m.grant()
}

func (m *memory) release(n int64) {
	m.used.Add(-n)
	if m.waiters.Load() > 0 {
		m.mu.Lock()
		m.grant()
		m.mu.Unlock()
	}
}

// endTurn is called when a connection that has the turn has its frame whole, or has gone.
func (m *memory) endTurn(c *conn) {
	m.mu.Lock()
	if m.turn == c {
		m.turn = nil
		c.turn.Store(false)
		m.grant()
	}
	m.mu.Unlock()
}

// grant lets waiters go in order of arrival, frames that have begun before new ones. Callers hold mu.
func (m *memory) grant() {
	// Stored before used is read: a release that doesn't see a waiter here has been counted below.
	m.waiters.Store(int32(len(m.growing) + len(m.fresh)))
	m.growing = slices.DeleteFunc(m.growing, func(w *memoryWaiter) bool {
		if !m.fits(w) {
			if m.turn != nil && m.turn != w.conn {
				return false
			}
			m.turn = w.conn
			w.conn.turn.Store(true)
		}
		m.give(w)
		return true
	})
	n := 0
	for len(m.growing) == 0 && n < len(m.fresh) && m.fits(m.fresh[n]) {
		m.give(m.fresh[n])
		n++
	}
	m.fresh = slices.Delete(m.fresh, 0, n)
	m.waiters.Store(int32(len(m.growing) + len(m.fresh)))
}

func (m *memory) fits(w *memoryWaiter) bool {
	used := m.used.Load()
	return used+w.n <= m.limit || used == 0
}

func (m *memory) give(w *memoryWaiter) {
	m.used.Add(w.n)
	close(w.granted)
}
