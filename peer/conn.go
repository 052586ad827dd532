package peer

import (
	"bufio"
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

// call is a request on its way. Under conn.mu until done is closed, then whoever waits for it may read it.
type call struct {
	out    []byte // the whole frame; the writer's once sent
	tagged bool   // the answer's header has tagged fields
	timer  env.Timer
	sent   bool // the writer has taken it: from here on it may have arrived
	gone   bool // nobody waits for the answer any more

	answer *Frame
	err    error
	done   chan struct{}
}

// conn is a connection that stands, with a goroutine that writes and one that reads, so that its end is seen at once.
type conn struct {
	link     *link
	nc       net.Conn
	versions map[int16]versionRange
	wake     chan struct{} // the writer has something to do
	over     chan struct{} // closed by fail

	mu       sync.Mutex      // may be held while Pool.mu is taken, never the other way round
	pending  map[int32]*call // by correlation id: all calls without an answer
	queue    []*call         // those of them that the writer has not taken yet
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

// submit queues a call. After an error nothing is sent.
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
	c.queue = append(c.queue, k)
	k.timer = c.link.pool.o.Clock.AfterFunc(patience, func() { c.expire(id, k) })
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
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
	defer c.mu.Unlock()
	select {
	case <-k.done:
		return
	default:
	}
	if !k.sent {
		c.queue = slices.DeleteFunc(c.queue, func(o *call) bool { return o == k })
		delete(c.pending, int32(binary.BigEndian.Uint32(k.out[8:])))
		k.timer.Stop()
	}
	k.gone, k.err = true, why
	close(k.done)
}

// expire gives the connection up over a call that was not answered in time: the node hangs or can't be reached, and later
// calls would wait behind this one.
func (c *conn) expire(id int32, k *call) {
	c.mu.Lock()
	late := c.pending[id] == k
	if late {
		c.finish(id, k, nil, ErrTimeout)
		c.queue = slices.DeleteFunc(c.queue, func(o *call) bool { return o == k })
	}
	c.mu.Unlock()
	if late {
		c.fail(because(ErrLost, ErrTimeout))
	}
}

// finish takes a call out and answers it. The lock is held.
func (c *conn) finish(id int32, k *call, answer *Frame, err error) {
	delete(c.pending, id)
	k.timer.Stop()
	if k.gone {
		if answer != nil {
			answer.Release()
		}
		return
	}
	k.answer, k.err = answer, err
	close(k.done)
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
	for id, k := range c.pending {
		c.finish(id, k, nil, why)
	}
	c.queue = nil
	answered := c.answered
	c.mu.Unlock()
	c.nc.Close()
	c.link.pool.lost(c, answered, why)
}

// write sends what is queued, as much as there is with each system call.
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
	}
}

// take marks what is queued as sent, and returns it.
func (c *conn) take(dst []*call) []*call {
	c.mu.Lock()
	defer c.mu.Unlock()
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
	c.finish(id, k, frame, nil)
	c.mu.Unlock()
	return true
}
