package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/streambus/streambus/internal/env"
)

// conn is one client connection. Its reader goroutine reads frames, starts requests and, when an answer is ready as soon
// as the handler returns, writes it too; small answers that come later are errands of other goroutines, and for large ones, or
// where the client does not take what it gets, there is one that lives as long as there is something to write. So an idle connection
// costs one goroutine.
//
// The queue from head to tail holds the requests in the order of their arrival, and the writer takes them from its head
// only: that is what keeps answers in order behind a fetch that waits.
type conn struct {
	s        *Server
	nc       net.Conn
	raw      syscall.RawConn // nil where there is no descriptor
	listener string
	remote   string
	ip       string
	in       frameReader
	ctx      context.Context
	cancel   context.CancelFunc

	software, softwareVersion string  // what ApiVersions named; the reader's own
	clientID                  *string // of the last request; the reader's own
	promised                  bool    // to run errands; the reader's own
	ready                     errand  // writeReady
	probe                     [1]byte // the writer's own
	unseen                    unseen
	found                     env.Span // the last piece that was looked for in the page cache, and found
	corked                    bool     // see cork
	corkBy                    func(socket uintptr)

	mu       sync.Mutex
	changed  sync.Cond // on mu: an answer became ready or was written, or the connection ended
	head     *request
	tail     *request
	queued   int
	pending  int      // bytes of answers that are ready and not written
	current  *request // whose handler is running: the reader will look at it when that returns
	writing  bool
	closed   bool
	draining bool
	reason   error

	spare     atomic.Pointer[fetchSession]
	active    atomic.Int64 // unix nanoseconds of the last frame or write: for the sweeper
	reading   atomic.Int64 // when the piece of a frame that is being read began, 0 between frames
	sending   atomic.Int64 // when the write that is going on made progress last, 0 if none is
	turn      atomic.Bool  // may exceed the memory limit to finish its frame
	requested bool         // a frame was whole already, so the peer speaks Kafka
}

// Bounds of a connection's queue. A client that pipelines more than this, or doesn't read its answers, is not read from
// until they have gone.
const (
	maxQueuedRequests = 256
	maxPendingBytes   = 8 << 20
)

func newConn(s *Server, nc net.Conn, listener, ip string) *conn {
	c := &conn{s: s, nc: nc, listener: listener, remote: nc.RemoteAddr().String(), ip: ip}
	c.changed.L = &c.mu
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.in.init(c)
	c.ready = c.writeReady
	c.active.Store(s.env.Clock.Now().UnixNano())
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	return c
}

// serve is the reader goroutine.
func (c *conn) serve() {
	defer c.finish()
	for {
		f, err := c.in.next()
		if err != nil {
			c.readEnded(err)
			return
		}
		c.requested = true
		if !c.dispatch(f) {
			c.awaitWriter()
			return
		}
		if !c.in.hasFrame() {
			c.flush()
		}
		if !c.awaitRoom() {
			return
		}
	}
}

// readEnded decides what the end of reading means: a client that hung up, a bad frame, or our own drain.
func (c *conn) readEnded(err error) {
	c.mu.Lock()
	draining, closed := c.draining, c.closed
	c.mu.Unlock()
	switch {
	case closed:
	case draining:
		c.hangUp()
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		c.close(errPeerClosed)
	default:
		c.close(err)
	}
}

var errPeerClosed = errors.New("closed by the client")

// enqueue gives a request its place in the order of answers.
func (c *conn) enqueue(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tail == nil {
		c.head = r
	} else {
		c.tail.next = r
	}
	c.tail = r
	c.queued++
	c.current = r
}

// complete marks a request as answered and has the answer written when its turn has come. It never blocks.
func (c *conn) complete(r *request) {
	if c.completed(r) {
		c.s.errands.run(c.ready)
	}
}

// Publishing is what log.Publisher says: a small append is about to move a partition.
func (c *conn) Publishing() { c.promise() }

// promise has this connection's goroutine, whose handler calls it, run what the handler gives rise to: see errands.
func (c *conn) promise() {
	if !c.promised && c.s.pace.quiet.Load() {
		c.promised = true
		c.s.errands.promise()
	}
}

// keep ends what promise began, when the handler has returned.
func (c *conn) keep() {
	if c.promised {
		c.promised = false
		c.s.errands.keep()
	}
}

// completed marks a request as answered. If it returns true the caller has the writer's turn, and must see to c.write.
func (c *conn) completed(r *request) bool {
	r.letGo()
	now := c.s.env.Clock.Now()
	c.mu.Lock()
	if r.done {
		c.mu.Unlock()
		panic("broker: a request was answered twice: " + r.api.name)
	}
	r.done, r.answered, r.wake = true, now, nil
	if c.closed {
		c.mu.Unlock()
		r.discard()
		return false
	}
	c.pending += r.size
	start := c.head.done && !c.writing && c.current != r
	if start {
		c.writing = true
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	return start
}

// flush writes, on the reader's goroutine, what is ready.
func (c *conn) flush() {
	c.mu.Lock()
	c.current = nil
	start := c.head != nil && c.head.done && !c.writing && !c.closed
	if start {
		c.writing = true
	}
	c.mu.Unlock()
	if start {
		c.write()
	}
}

// awaitRoom holds the reader back while the queue is at its bounds, or while the last request is one behind which none
// may start. It returns false when the connection is to end.
func (c *conn) awaitRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && !c.draining {
		serial := c.tail != nil && !c.tail.done && !c.tail.api.pipelined
		if !serial && c.queued < maxQueuedRequests && c.pending < maxPendingBytes {
			return true
		}
		c.startWriterLocked()
		c.changed.Wait()
	}
	if c.closed {
		return false
	}
	c.mu.Unlock()
	c.hangUp()
	c.mu.Lock()
	return false
}

// awaitWriter waits until every answer has been written, or the connection has been closed.
func (c *conn) awaitWriter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && c.queued > 0 {
		c.startWriterLocked()
		c.changed.Wait()
	}
}

// startWriterLocked is for a reader that is going to wait: nothing else would write what its last handler answered.
func (c *conn) startWriterLocked() {
	c.current = nil
	if c.head != nil && c.head.done && !c.writing {
		c.writing = true
		go c.write()
	}
}

// drain lets the connection end after the answers to what has been read.
func (c *conn) drain() {
	c.mu.Lock()
	c.draining = true
	var wakes []func()
	for r := c.head; r != nil; r = r.next {
		if !r.done && r.wake != nil {
			wakes = append(wakes, r.wake)
		}
	}
	c.changed.Broadcast()
	c.stopReading() // before the reader can see that it drains, and reads on in hangUp
	c.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

// stopReading has the reader come back, and see that it is to end.
func (c *conn) stopReading() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) }

// hangUpTime is how long a client that drains may take to hang up too. Most do as soon as they see the end of the stream; others look
// at a connection only when they want something of it.
const hangUpTime = 200 * time.Millisecond

// hangUp ends a connection that drains, on the reader's goroutine, when every answer is written: behind the last the client sees the end of the stream.
// Requests that come meanwhile are read and dropped, because a socket that is closed with something unread in it, or gets more,
// is reset: clients take that for another kind of failure, and their systems may throw away answers that they have not read.
func (c *conn) hangUp() {
	c.awaitWriter()
	defer c.close(errServerClosed)
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Time{})
	end := c.s.env.Clock.AfterFunc(hangUpTime, c.stopReading)
	defer end.Stop()
	for {
		if _, err := c.nc.Read(c.in.buf); err != nil {
			return
		}
	}
}

// close ends the connection now. Answers that were not written are dropped.
func (c *conn) close(reason error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed, c.reason = true, reason
	// The queue is taken apart under the lock: what is answered from now on sees that the connection has ended, and
	// frees itself.
	var wakes []func()
	var answered []*request
	for r := c.head; r != nil; r = r.next {
		switch {
		case r.done:
			answered = append(answered, r)
		case r.wake != nil:
			wakes = append(wakes, r.wake)
		}
	}
	c.head, c.tail = nil, nil
	c.changed.Broadcast()
	c.mu.Unlock()
	c.logClose(reason)
	c.cancel()
	c.nc.Close()
	for _, wake := range wakes {
		wake()
	}
	for _, r := range answered {
		r.discard()
	}
}

func (c *conn) logClose(reason error) {
	if reason == errPeerClosed || reason == errServerClosed || reason == errIdle {
		c.s.log.Debug("connection closed", "peer", c.remote, "listener", c.listener, "reason", reason.Error())
		return
	}
	if c.s.events.ConnectionFailed != nil {
		c.s.events.ConnectionFailed(c.listener, reason)
	}
	c.s.log.Warn("connection closed", "peer", c.remote, "listener", c.listener, "client", c.software,
		"reason", reason.Error())
}

// finish takes the connection out of the server's books when its reader ends.
func (c *conn) finish() {
	if p := recover(); p != nil {
		c.s.logPanic(p, "peer", c.remote)
		c.close(fmt.Errorf("a bug in the broker: %v", p))
	}
	c.close(errPeerClosed)
	c.s.memory.endTurn(c)
	c.s.forget(c)
}
