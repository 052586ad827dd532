package quorum

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// errNotSent marks requests that surely did not reach the other side.
var errNotSent = errors.New("not sent")

const (
	dialTimeout   = time.Second
	writeTimeout  = 5 * time.Second
	maxLinkFlight = 1024 // requests on one connection that wait for their answers
)

// link is a connection to another member's cluster listener with many requests in flight.
type link struct {
	conn  net.Conn
	turn  chan struct{} // holds a token for whoever may write
	slots chan struct{} // one for each request in flight
	done  chan struct{} // closed when the connection is of no more use

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan frame
}

func newLink(c net.Conn) *link {
	l := &link{
		conn: c, turn: make(chan struct{}, 1), slots: make(chan struct{}, maxLinkFlight), done: make(chan struct{}),
		waiting: map[uint64]chan frame{},
	}
	l.turn <- struct{}{}
	go l.read()
	return l
}

// read takes answers to those who wait for them, until the connection ends.
func (l *link) read() {
	defer close(l.done)
	defer l.conn.Close()
	in := bufio.NewReader(l.conn)
	for {
		f, err := readFrame(in)
		if err != nil {
			return
		}
		l.mu.Lock()
		answer := l.waiting[f.id]
		delete(l.waiting, f.id)
		l.mu.Unlock()
		if answer != nil {
			answer <- f
		}
	}
}

func (l *link) close() { _ = l.conn.Close() }

func (l *link) broken() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// ask sends a request and waits for its answer, but not past a change of give. Errors are errNotSent where the request
// surely did not arrive, else it may have.
func (l *link) ask(ctx context.Context, kind byte, body []byte, give <-chan struct{}) (frame, error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return frame{}, errNotSent
	case <-l.done:
		return frame{}, errNotSent
	}
	l.mu.Lock()
	l.next++
	id := l.next
	answer := make(chan frame, 1)
	l.waiting[id] = answer
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.waiting, id)
		l.mu.Unlock()
	}()
	if err := l.write(ctx, frame{id, kind, body}); err != nil {
		return frame{}, err
	}
	select {
	case f := <-answer:
		return f, nil
	case <-ctx.Done():
		return frame{}, ctx.Err()
	case <-give:
		return frame{}, errUnknown
	case <-l.done:
		select {
		case f := <-answer: // it came just before the end
			return f, nil
		default:
			return frame{}, errUnknown
		}
	}
}

// write fails with errNotSent only: a frame that was not written to its end is ignored by the other side.
func (l *link) write(ctx context.Context, f frame) error {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return errNotSent
	case <-l.done:
		return errNotSent
	}
	defer func() { l.turn <- struct{}{} }()
	_ = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := l.conn.Write(f.bytes()); err != nil {
		l.close()
		return errNotSent
	}
	return nil
}

// links keeps at most one connection for a purpose, to whoever leads.
type links struct {
	q       *Quorum
	purpose byte
	broken  func(server, address string) // told when a connection to a leader has ended by itself; may be nil

	mu      sync.Mutex
	current *link
	server  string
	dialing chan struct{} // closed when the dial under way has ended
	closed  bool
}

// to is the connection to a leader, made if there is none. Errors are errNotSent.
func (l *links) to(ctx context.Context, leader leadership) (*link, error) {
	for {
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return nil, errNotSent
		}
		if l.current != nil && l.server == leader.server && !l.current.broken() {
			defer l.mu.Unlock()
			return l.current, nil
		}
		wait := l.dialing
		if wait == nil {
			wait = make(chan struct{})
			l.dialing = wait
			go l.dial(leader, wait)
		}
		l.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, errNotSent
		}
		l.mu.Lock()
		current, server := l.current, l.server
		l.mu.Unlock()
		if current == nil || server != leader.server {
			return nil, errNotSent
		}
	}
}

func (l *links) dial(leader leadership, done chan struct{}) {
	defer close(done)
	conn, _, err := l.q.stream.call(leader.address, leader.server, l.purpose, dialTimeout)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dialing = nil
	if l.current != nil {
		l.current.close()
		l.current = nil
	}
	if err != nil {
		l.q.options.Logger.Debug("the active controller can't be reached", "node", leader.id, "address", leader.address, "error", err)
		return
	}
	next := newLink(conn)
	if l.closed {
		next.close()
		return
	}
	l.current, l.server = next, leader.server
	if l.purpose == purposeAlive {
		_ = next.write(context.Background(), frame{kind: tellAddress, body: []byte(l.q.options.Advertise)})
	}
	if l.broken != nil {
		go func() {
			<-next.done
			l.mu.Lock()
			byItself := l.current == next && !l.closed
			l.mu.Unlock()
			if byItself {
				l.broken(leader.server, leader.address)
			}
		}()
	}
}

func (l *links) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.current != nil {
		l.current.close()
	}
}
