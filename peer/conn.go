package peer

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/streambus/streambus/internal/env"
)

// readBuffer gathers small answers; larger ones go past it into their frame.
const readBuffer = 16 << 10

// What whoever submits a call writes itself, which saves two changes of goroutine: a small frame where few calls, all of them
// small, have no answer yet. The socket takes so much without blocking.
const (
	inlineBytes = 4 << 10
	inlineCalls = 4
)

// call is a request on its way. Under conn.mu until it is over, then whoever waits for it may read it.
type call struct {
	out    []byte // the whole frame; whoever writes has it once it is sent
	large  bool   // more than inlineBytes
	tagged bool   // the answer's header has tagged fields
	timer  env.Timer
	sent   bool // it is being written: from here on it may have arrived
	over   bool // answered, failed or given up
	gone   bool // given up: nobody waits for the answer any more

	answer *Frame
	err    error
	stop   func() bool // ends the watch on the caller's context; may be nil
	then   func()      // called once it is over, without a lock, from any goroutine
}

// tell is called once, after the call has become over.
func (k *call) tell() {
	if k.stop != nil {
		k.stop()
	}
	k.then()
}

// conn is a connection that stands, with a goroutine that writes and one that reads, so that its end is seen at once. A call's
// then is called by the reader: what it does holds up the answers behind it.
type conn struct {
	link     *link
	nc       net.Conn
	versions map[int16]versionRange
	wake     chan struct{} // the writer has something to do
	over     chan struct{} // closed by fail

	mu       sync.Mutex      // may be held while Pool.mu is taken, never the other way round
	pending  map[int32]*call // by correlation id: all calls without an answer
	queue    []*call         // those of them that nobody has begun to write
	large    int             // of pending
	writing  bool            // somebody writes
	next     int32
	answered bool // the node has answered something on this connection
	err      error
}

func newConn(l *link, nc net.Conn, versions map[int16]versionRange) *conn {
	return &conn{
		link: l, nc: nc, versions: versions, wake: make(chan struct{}, 1), over: make(chan struct{}),
		pending: map[int32]*call{},
	}
}

// start begins to write and read; Pool.running counts both already.
func (c *conn) start() {
	go c.write()
	go c.read()
}

// submit writes a call, or queues it. After an error nothing is sent, and the call is not told.
func (c *conn) submit(k *call, patience time.Duration) error {
	c.mu.Lock()
	switch {
	case c.err != nil:
		c.mu.Unlock()
		return c.err
	case len(c.pending) >= c.link.pool.o.MaxInFlight:
		c.mu.Unlock()
		return ErrBusy
	}
	id := c.nextID()
	binary.BigEndian.PutUint32(k.out[8:], uint32(id))
	c.pending[id] = k
	if k.large = len(k.out) > inlineBytes; k.large {
		c.large++
	}
	k.timer = c.link.pool.o.Clock.AfterFunc(patience, func() { c.expire(id, k) })
	inline := !c.writing && len(c.queue) == 0 && c.large == 0 && len(c.pending) <= inlineCalls
	if inline {
		c.writing, k.sent = true, true
	} else {
		c.queue = append(c.queue, k)
	}
	c.mu.Unlock()
	if !inline {
		c.wakeWriter()
		return nil
	}
	_, err := c.nc.Write(k.out)
	if err != nil {
		c.fail(because(ErrLost, err))
		return nil
	}
	putScratch(k.out)
	c.wrote()
	return nil
}

func (c *conn) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// wrote gives up the turn to write, to the writer if something has been queued meanwhile.
func (c *conn) wrote() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing = false; len(c.queue) > 0 {
		c.wakeWriter()
	}
}

// nextID finds a correlation id that is not in use. There are fewer calls than ids. The lock is held.
func (c *conn) nextID() int32 {
	for {
		c.next = (c.next + 1) & 0x7fffffff
		if _, used := c.pending[c.next]; !used {
			return c.next
		}
	}
}

// abandon ends the wait for a call: at once if it has not been sent, else its answer is dropped when it comes. A call
// that has just been answered stays so.
func (c *conn) abandon(k *call, why error) {
	c.mu.Lock()
	if k.over {
		c.mu.Unlock()
		return
	}
	if !k.sent {
		c.queue = slices.DeleteFunc(c.queue, func(o *call) bool { return o == k })
		c.forget(int32(binary.BigEndian.Uint32(k.out[8:])), k)
	}
	k.over, k.gone, k.err = true, true, why
	c.mu.Unlock()
	k.tell()
}

// watch gives a call up when the context ends.
func (c *conn) watch(ctx context.Context, k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !k.over {
		k.stop = context.AfterFunc(ctx, func() { c.abandon(k, context.Cause(ctx)) })
	}
}

// forget takes a call out of those that have no answer. The lock is held.
func (c *conn) forget(id int32, k *call) {
	delete(c.pending, id)
	if k.large {
		c.large--
	}
	k.timer.Stop()
}

// expire gives the connection up over a call that was not answered in time: the node hangs or can't be reached, and later
// calls would wait behind this one.
func (c *conn) expire(id int32, k *call) {
	c.mu.Lock()
	late, told := c.pending[id] == k, false
	if late {
		told = c.finish(id, k, nil, ErrTimeout)
		c.queue = slices.DeleteFunc(c.queue, func(o *call) bool { return o == k })
	}
	c.mu.Unlock()
	if late {
		c.fail(because(ErrLost, ErrTimeout))
	}
	if told {
		k.tell()
	}
}

// finish takes a call out and answers it, and says whether it is to be told of that. The lock is held.
func (c *conn) finish(id int32, k *call, answer *Frame, err error) bool {
	c.forget(id, k)
	if k.gone {
		if answer != nil {
			answer.Release()
		}
		return false
	}
	k.over, k.answer, k.err = true, answer, err
	return true
}

// fail ends the connection, once: every call is answered with why.
func (c *conn) fail(why error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = why
	close(c.over)
	var told []*call
	for id, k := range c.pending {
		if c.finish(id, k, nil, why) {
			told = append(told, k)
		}
	}
	c.queue = nil
	answered := c.answered
	c.mu.Unlock()
	c.nc.Close()
	c.link.pool.lost(c, answered, why)
	for _, k := range told {
		k.tell()
	}
}

// write sends what is queued, as much as there is with each system call. What submit writes itself never comes here.
func (c *conn) write() {
	defer c.link.pool.running.Done()
	var taken []*call
	var bufs net.Buffers
	for {
		select {
		case <-c.wake:
		case <-c.over:
			return
		}
		taken = c.take(taken[:0])
		if len(taken) == 0 {
			continue
		}
		bufs = bufs[:0]
		for _, k := range taken {
			bufs = append(bufs, k.out)
		}
		gathered := bufs // WriteTo uses it up
		if _, err := gathered.WriteTo(c.nc); err != nil {
			c.fail(because(ErrLost, err))
			return
		}
		for i, k := range taken {
			putScratch(k.out)
			taken[i] = nil
		}
		c.wrote()
	}
}

// take marks what is queued as sent, and returns it: nothing while another writes, who will wake the writer.
func (c *conn) take(dst []*call) []*call {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing {
		return dst
	}
	c.writing = len(c.queue) > 0
	for i, k := range c.queue {
		k.sent = true
		dst = append(dst, k)
		c.queue[i] = nil
	}
	c.queue = c.queue[:0]
	return dst
}

// read takes answers as they come, until the connection ends.
func (c *conn) read() {
	defer c.link.pool.running.Done()
	r := bufio.NewReaderSize(c.nc, readBuffer)
	for {
		frame, err := readFrame(r, c.link.pool.o.MaxFrameBytes)
		if err == nil && !c.deliver(frame) {
			err = ErrProtocol
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			c.fail(because(ErrLost, errors.New("closed by the other side")))
			return
		case errors.Is(err, ErrProtocol):
			c.fail(err)
			return
		default:
			c.fail(because(ErrLost, err))
			return
		}
	}
}

// deliver hands an answer to its call, and says whether there is one.
func (c *conn) deliver(frame *Frame) bool {
	id := frame.correlation()
	c.mu.Lock()
	k := c.pending[id]
	if k == nil || !k.sent || !frame.open(k.tagged) {
		c.mu.Unlock()
		frame.Release()
		return false
	}
	if !c.answered { // before the caller knows, who may rely on it
		c.answered = true
		c.link.pool.answered(c.link.id.node)
	}
	told := c.finish(id, k, frame, nil)
	c.mu.Unlock()
	if told {
		k.tell()
	}
	return true
}
