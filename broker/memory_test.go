package broker

import (
	"context"
	"sync"
	"testing"
)

// memoryConn is a connection that only asks for memory.
func memoryConn(t *testing.T) *conn {
	c := &conn{}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	t.Cleanup(c.cancel)
	return c
}

// waitingFor asks for n bytes on a goroutine that is known to wait when it returns.
func waitingFor(t *testing.T, m *memory, c *conn, n int64, growing bool) chan bool {
	t.Helper()
	got := make(chan bool, 1)
	before := m.waiters.Load()
	go func() { got <- m.acquire(c, n, growing) }()
	eventually(t, "it waits", func() bool { return m.waiters.Load() > before })
	return got
}

func (m *memory) mustHold(t *testing.T, want int64) {
	t.Helper()
	if got := m.used.Load(); got != want {
		t.Errorf("%d bytes are taken, want %d", got, want)
	}
}

func TestMemoryIsGivenInOrder(t *testing.T) {
	m := &memory{limit: 100}
	a, b, c := memoryConn(t), memoryConn(t), memoryConn(t)
	if !m.acquire(a, 90, false) {
		t.Fatal("there was room")
	}
	large := waitingFor(t, m, b, 50, false)
	small := waitingFor(t, m, c, 5, false) // would fit, but has come later
	m.release(40)
	if !<-large {
		t.Error("the first was not served")
	}
	m.mustHold(t, 100)
	m.release(50)
	if !<-small {
		t.Error("the second was not served")
	}
	m.mustHold(t, 55)
}

func TestAFrameLargerThanTheLimitIsTakenWhenNothingElseIsHeld(t *testing.T) {
	m := &memory{limit: 100}
	a, b := memoryConn(t), memoryConn(t)
	m.acquire(a, 60, false)
	got := waitingFor(t, m, b, 500, false)
	m.release(60)
	if !<-got {
		t.Error("it waits for ever")
	}
	m.mustHold(t, 500)
}

func TestHalfReadFramesDoNotBlockOneAnother(t *testing.T) {
	m := &memory{limit: 100}
	a, b := memoryConn(t), memoryConn(t)
	m.acquire(a, 50, false)
	m.acquire(b, 50, false)
	if !m.acquire(a, 50, true) { // has the turn to exceed the limit
		t.Fatal("the first to grow must not wait")
	}
	other := waitingFor(t, m, b, 50, true)
	if !m.acquire(a, 100, true) { // goes on with it, past who waits
		t.Fatal("who has the turn must not wait")
	}
	m.mustHold(t, 250)
	m.endTurn(a) // whole: now the other may exceed it
	if !<-other {
		t.Error("the turn was not passed on")
	}
	m.mustHold(t, 300)
	m.release(200)
	m.release(100)
	m.endTurn(b)
	m.mustHold(t, 0)
}

func TestAConnectionThatEndsGivesUpItsPlace(t *testing.T) {
	m := &memory{limit: 100}
	a, b, c := memoryConn(t), memoryConn(t), memoryConn(t)
	m.acquire(a, 100, false)
	gone := waitingFor(t, m, b, 80, false)
	next := waitingFor(t, m, c, 30, false)
	b.cancel()
	if <-gone {
		t.Error("memory for a connection that has gone")
	}
	m.release(100)
	if !<-next {
		t.Error("who came behind it was forgotten")
	}
	m.mustHold(t, 30)
}

func TestMemoryIsExactUnderContention(t *testing.T) {
	m := &memory{limit: 1000}
	var wg sync.WaitGroup
	for i := range 20 {
		c := memoryConn(t)
		wg.Go(func() {
			for n := range int64(500) {
				size := (n*37+int64(i)*11)%300 + 1
				m.acquire(c, size, false)
				m.acquire(c, size, true)
				if c.turn.Load() {
					m.endTurn(c)
				}
				m.release(2 * size)
			}
		})
	}
	wg.Wait()
	m.mustHold(t, 0)
	if m.waiters.Load() != 0 || m.turn != nil {
		t.Error("somebody still waits")
	}
}
