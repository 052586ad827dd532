package broker

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"time"
)

// Serve accepts connections of l until it is closed, by Drain, Close or whoever made it. It blocks. listenerName is
// Kafka's name of the listener, which decides the addresses that Metadata shows.
func (s *Server) Serve(l net.Listener, listenerName string) {
	s.mu.Lock()
	if s.closed || s.draining {
		s.mu.Unlock()
		l.Close()
		return
	}
	s.listeners[l] = struct{}{}
	s.running.Add(1)
	s.startSweeperLocked()
	s.mu.Unlock()
	defer s.running.Done()
	var failures int
	for {
		nc, err := l.Accept()
		if err == nil {
			failures = 0
			s.accept(nc, listenerName)
			continue
		}
		if errors.Is(err, net.ErrClosed) || s.ctx.Err() != nil {
			break
		}
		// Out of descriptors, most likely. Connections that end make room, so this waits and tries again.
		failures++
		if failures == 1 {
			s.log.Error("cannot accept a connection", "listener", listenerName, "err", err)
		}
		if !s.pause(min(time.Duration(failures)*10*time.Millisecond, time.Second)) {
			break
		}
	}
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
}

func (s *Server) pause(d time.Duration) bool {
	t := s.env.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return true
	case <-s.ctx.Done():
		return false
	}
}

// accept takes a connection in, unless a limit says no.
func (s *Server) accept(nc net.Conn, listenerName string) {
	ip := peerIP(nc)
	c := newConn(s, nc, listenerName, ip)
	s.mu.Lock()
	refused := s.refusalLocked(ip)
	if refused == "" {
		s.conns[c] = struct{}{}
		s.perIP[ip]++
		s.running.Add(1)
	}
	s.mu.Unlock()
	if refused != "" {
		s.log.Warn("connection refused", "peer", c.remote, "listener", listenerName, "reason", refused)
		if s.events.ConnectionRefused != nil {
			s.events.ConnectionRefused(listenerName, refused)
		}
		c.cancel()
		nc.Close()
		return
	}
	if s.events.ConnectionOpened != nil {
		s.events.ConnectionOpened(listenerName)
	}
	go c.serve()
}

func (s *Server) refusalLocked(ip string) string {
	switch {
	case s.closed || s.draining:
		return "shutting down"
	case !below(len(s.conns), s.config.Int("max.connections")):
		return "max.connections"
	case !below(s.perIP[ip], s.config.Int("max.connections.per.ip")):
		return "max.connections.per.ip"
	}
	return ""
}

// below says whether one more fits under a limit, which may change while the broker runs; none is set by 0.
func below(n, limit int) bool { return limit <= 0 || n < limit }

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if s.perIP[c.ip]--; s.perIP[c.ip] <= 0 {
		delete(s.perIP, c.ip)
	}
	if s.draining && len(s.conns) == 0 {
		select {
		case <-s.emptied:
		default:
			close(s.emptied)
		}
	}
	s.mu.Unlock()
	if s.events.ConnectionClosed != nil {
		s.events.ConnectionClosed(c.listener)
	}
	s.running.Done()
}

func peerIP(nc net.Conn) string {
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		return nc.RemoteAddr().String()
	}
	return host
}

func (s *Server) logPanic(p any, args ...any) {
	s.log.Error("a handler panicked; this is a bug", append(args, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))...)
}

// The sweeper looks at all connections from time to time, so that no connection needs a timer or a deadline of its own.
const (
	sweepInterval = time.Second
	// frameStall is how long a piece of a frame (frameStep bytes or fewer) may take to arrive once the frame has begun.
	frameStall = 30 * time.Second
)

var (
	errIdle     = errors.New("idle longer than connections.max.idle.ms")
	errStalled  = fmt.Errorf("a request stopped arriving for %v", frameStall)
	errNotTaken = errors.New("the client has taken no byte of its answer for connections.max.idle.ms")
)

func (s *Server) startSweeperLocked() {
	if s.sweeper == nil {
		s.sweeper = s.env.Clock.AfterFunc(sweepInterval, s.sweep)
	}
}

func (s *Server) sweep() {
	now := s.env.Clock.Now().UnixNano()
	type victim struct {
		c   *conn
		err error
	}
	var victims []victim
	s.mu.Lock()
	for c := range s.conns {
		if err := c.overdue(now, s.limits.idle); err != nil {
			victims = append(victims, victim{c, err})
		}
	}
	if !s.closed {
		s.sweeper.Reset(sweepInterval)
	}
	s.mu.Unlock()
	for _, v := range victims {
		v.c.close(v.err)
	}
}

// overdue says why the connection is to be closed, nil if it isn't.
func (c *conn) overdue(now int64, idle time.Duration) error {
	if since := c.reading.Load(); since != 0 && now-since > int64(frameStall) {
		return errStalled
	}
	if idle <= 0 {
		return nil
	}
	if since := c.sending.Load(); since != 0 {
		if now-since > int64(idle) {
			return errNotTaken
		}
		return nil
	}
	if now-c.active.Load() <= int64(idle) {
		return nil
	}
	c.mu.Lock()
	busy := c.head != nil
	c.mu.Unlock()
	if busy {
		return nil
	}
	return errIdle
}
