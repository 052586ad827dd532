package peer

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// linkID names what has a connection of its own.
type linkID struct {
	node int32
	lane int
}

// link is the connection to a node for one lane, or the attempt to make it.
type link struct {
	id   linkID
	pool *Pool

	// under Pool.mu
	conn    *conn    // nil unless one stands
	attempt *attempt // nil unless one is under way
	raw     net.Conn // the attempt's socket
	ended   error    // why nothing is made of the attempt any more
}

// attempt is a connect that callers wait for together. conn and err may be read once done is closed.
type attempt struct {
	done    chan struct{}
	waiting int // callers, under Pool.mu
	conn    *conn
	err     error
}

// backoff is what a pool remembers of a node that could not be reached.
type backoff struct {
	failures int
	until    time.Time
	last     error
}

// connection finds the connection of a lane or makes it. Errors are *Error; nothing has been sent.
func (p *Pool) connection(ctx context.Context, node int32, lane int) (*conn, error) {
	if ctx.Err() != nil {
		return nil, &Error{Node: node, Err: context.Cause(ctx)}
	}
	c, a, err := p.find(linkID{node, lane})
	if c != nil || err != nil {
		return c, err
	}
	defer func() {
		p.mu.Lock()
		a.waiting--
		p.mu.Unlock()
	}()
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, &Error{Node: node, Err: context.Cause(ctx)}
	case <-p.over:
		return nil, &Error{Node: node, Err: ErrClosed}
	}
	if a.err != nil {
		return nil, &Error{Node: node, RetryAfter: p.waitFor(node), Err: a.err}
	}
	return a.conn, nil
}

// find returns the connection, or else the attempt to make it, which it starts unless one runs.
func (p *Pool) find(id linkID) (*conn, *attempt, error) {
	now := p.o.Clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, &Error{Node: id.node, Err: ErrClosed}
	}
	l := p.links[id]
	if l != nil && l.conn != nil {
		return l.conn, nil, nil
	}
	if l == nil || l.attempt == nil {
		if b := p.backoff[id.node]; b != nil && now.Before(b.until) {
			return nil, nil, &Error{Node: id.node, RetryAfter: b.until.Sub(now), Err: because(ErrBackoff, b.last)}
		}
	}
	if l == nil {
		l = &link{id: id, pool: p}
		p.links[id] = l
	}
	if l.attempt == nil {
		l.attempt = &attempt{done: make(chan struct{})}
		p.running.Add(1)
		go l.connect(l.attempt)
	}
	if l.attempt.waiting >= p.o.MaxInFlight {
		return nil, nil, &Error{Node: id.node, Err: ErrBusy}
	}
	l.attempt.waiting++
	return nil, l.attempt, nil
}

// connect makes the connection and tells those who wait.
func (l *link) connect(a *attempt) {
	p := l.pool
	defer p.running.Done()
	c, err := l.dial()
	p.mu.Lock()
	l.attempt, l.raw = nil, nil
	if l.ended != nil {
		err = l.ended
	}
	switch {
	case err == nil:
		l.conn = c
		p.running.Add(2)
	case l.ended == nil:
		p.failedLocked(l.id.node, err)
		delete(p.links, l.id)
	}
	p.mu.Unlock()
	if err != nil && c != nil {
		c.nc.Close()
		c = nil
	}
	a.conn, a.err = c, err
	if c != nil {
		c.start()
	}
	close(a.done)
	l.tell(c != nil, err)
}

// tell fires the event of an attempt.
func (l *link) tell(connected bool, err error) {
	ev := &l.pool.o.Events
	switch {
	case connected:
		l.pool.o.Logger.Debug("connected to a node", "node", l.id.node, "lane", l.id.lane)
		if ev.Connected != nil {
			ev.Connected(l.id.node, l.id.lane)
		}
	case !errors.Is(err, ErrClosed):
		l.pool.o.Logger.Debug("cannot connect to a node", "node", l.id.node, "lane", l.id.lane, "err", err)
		if ev.Failed != nil {
			ev.Failed(l.id.node, l.id.lane, err)
		}
	}
}

// dial connects and learns what the node serves.
func (l *link) dial() (*conn, error) {
	p := l.pool
	address, ok := p.o.Address(l.id.node)
	if !ok {
		return nil, ErrUnknownNode
	}
	nc, err := p.o.Net.Dial("tcp", address, p.o.DialTimeout)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil, because(ErrRefused, err)
		}
		return nil, because(ErrUnreachable, err)
	}
	p.mu.Lock()
	ended := l.ended
	l.raw = nc // so that end can cut the handshake short
	p.mu.Unlock()
	if ended != nil {
		nc.Close()
		return nil, ended
	}
	late := p.o.Clock.AfterFunc(p.o.DialTimeout, func() { nc.Close() })
	versions, err := p.handshake(nc)
	if !late.Stop() && err == nil {
		err = ErrTimeout
	}
	if err != nil {
		nc.Close()
		return nil, because(ErrUnreachable, err)
	}
	return newConn(l, nc, versions), nil
}

// end closes the link's connection, or sees to it that nothing comes of the attempt to make one. The link is not in the
// pool any more.
func (l *link) end(why error) {
	l.pool.mu.Lock()
	l.ended = why
	c, raw := l.conn, l.raw
	l.conn = nil
	l.pool.mu.Unlock()
	if raw != nil {
		raw.Close()
	}
	if c != nil {
		c.fail(why)
	}
}

// lost takes a connection out that has failed. One that never answered anything counts as a failed connect, so that a
// node which takes connections only to drop them is not asked without end.
func (p *Pool) lost(c *conn, answered bool, err error) {
	p.mu.Lock()
	ended := c.link.ended != nil
	if c.link.conn == c {
		c.link.conn = nil
		delete(p.links, c.link.id)
	}
	if !answered && !ended {
		p.failedLocked(c.link.id.node, err)
	}
	p.mu.Unlock()
	if ended {
		return
	}
	p.o.Logger.Debug("lost the connection to a node", "node", c.link.id.node, "lane", c.link.id.lane, "err", err)
	if p.o.Events.Lost != nil {
		p.o.Events.Lost(c.link.id.node, c.link.id.lane, err)
	}
}

// failedLocked notes a failure, once for lanes that failed together. Pool.mu is held.
func (p *Pool) failedLocked(node int32, err error) {
	now := p.o.Clock.Now()
	b := p.backoff[node]
	if b == nil {
		b = &backoff{}
		p.backoff[node] = b
	}
	b.last = err
	if now.Before(b.until) {
		return
	}
	pause := p.o.BackoffMin << min(b.failures, 16)
	if pause <= 0 || pause > p.o.BackoffMax {
		pause = p.o.BackoffMax
	}
	b.failures++
	b.until = now.Add(pause)
}

// answered ends a node's back-off: it works.
func (p *Pool) answered(node int32) {
	p.mu.Lock()
	delete(p.backoff, node)
	p.mu.Unlock()
}

// waitFor is how long the node's back-off goes on.
func (p *Pool) waitFor(node int32) time.Duration {
	now := p.o.Clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.backoff[node]; b != nil && now.Before(b.until) {
		return b.until.Sub(now)
	}
	return 0
}
