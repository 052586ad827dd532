package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"syscall"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

const (
	// writeBatchBytes is how much is gathered before a system call, where several answers are ready at once.
	writeBatchBytes = 64 << 10
	// gatherBytes bounds the buffer that pieces of files are read into.
	gatherBytes = 256 << 10
)

// write sends answers from the head of the queue for as long as they are ready. Only one goroutine does so at a time,
// the one that set c.writing.
func (c *conn) write() { c.writeWhile(func() bool { return true }, (*request).batches) }

// writeReady is write as an errand: it writes what surely does not wait, and leaves the rest to another goroutine.
func (c *conn) writeReady() { c.writeWhile(c.writesAtOnce, (*request).batchesHere) }

const (
	// hereBytes is how much is written without waiting to a socket that holds nothing: the least that one takes.
	hereBytes = 4 << 10
	// hereWrites is in how many writes: each takes a kilobyte or two of the socket's room beside its bytes.
	hereWrites = 4
)

// unseen is what has been written since the socket was last seen to hold nothing. It is the writer's own.
type unseen struct{ bytes, writes int }

func (u *unseen) add(bytes int) {
	u.bytes += bytes
	u.writes++
}

// takes says whether the socket has room for bytes more, without a look at it.
func (u *unseen) takes(bytes int) bool { return u.writes < hereWrites && bytes <= hereBytes-u.bytes }

// writesAtOnce says whether the next answer is small, and the socket has room for it. It is true where there is none.
func (c *conn) writesAtOnce() bool {
	c.mu.Lock()
	r := c.head
	none := c.closed || r == nil || !r.done
	bytes := math.MaxInt
	if !none && r.err == nil {
		bytes = r.bound()
	}
	c.mu.Unlock()
	if none || c.unseen.takes(bytes) {
		return true
	}
	if bytes > hereBytes || !c.socketEmpty() {
		return false
	}
	c.unseen = unseen{}
	return true
}

// bound is how large an answer is at most, as far as that is known without encoding it.
func (r *request) bound() int {
	if r.chunks != nil || r.resp == nil {
		return r.size
	}
	// Produce's are the ones that others than the connection's own goroutine make in great numbers.
	if p, ok := r.resp.(*kafkaproto.ProduceResponse); ok && len(p.Topics) == 1 && len(p.Topics[0].Partitions) == 1 {
		if row := &p.Topics[0].Partitions[0]; row.ErrorCode == 0 {
			return smallProduce + len(p.Topics[0].Topic)
		}
	}
	return math.MaxInt32
}

// weight is what counts of an answer towards those that go together: what is not encoded yet is small.
func (r *request) weight() int { return max(r.size, smallProduce) }

// smallProduce is more than the answer to an append takes.
const smallProduce = 128

// batches says whether an answer goes out with the bytes of those before it.
func (r *request) batches(bytes int) bool { return bytes < writeBatchBytes }

func (r *request) batchesHere(bytes int) bool {
	return r.err == nil && r.conn.unseen.takes(bytes+r.bound())
}

// writeWhile sends answers, each time as many as go together, for as long as may says so; another goroutine goes on then.
func (c *conn) writeWhile(may func() bool, together func(r *request, bytes int) bool) {
	defer func() {
		if p := recover(); p != nil {
			c.s.logPanic(p, "peer", c.remote)
			c.close(fmt.Errorf("a bug while writing an answer: %v", p))
			c.stopWriting()
		}
	}()
	w := responseWriter{c: c}
	defer w.free()
	for {
		if !may() {
			go c.write()
			return
		}
		batch := c.takeReady(together)
		if batch == nil {
			return
		}
		err := w.send(batch)
		c.sent(batch)
		if err != nil {
			c.close(err)
			c.stopWriting()
			return
		}
	}
}

// takeReady takes the answered requests off the head that go together, and ends the writer's turn if there are none.
func (c *conn) takeReady(together func(r *request, bytes int) bool) *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.head == nil || !c.head.done {
		c.writing = false
		c.changed.Broadcast()
		return nil
	}
	first, last, bytes := c.head, c.head, c.head.weight()
	for n := last.next; n != nil && n.done && last.err == nil && together(n, bytes); n = n.next {
		last = n
		bytes += n.weight()
	}
	c.head = last.next
	if c.head == nil {
		c.tail = nil
	}
	last.next = nil
	// Whatever is being sent has left the order but not the bounds: sent counts it off.
	return first
}

// sent accounts for a batch that was written, or given up.
func (c *conn) sent(batch *request) {
	now := c.s.env.Clock.Now()
	c.active.Store(now.UnixNano())
	count, pending, bytes := 0, 0, 0
	for r := batch; r != nil; r = r.next {
		count++
		pending += r.size
		bytes += r.sent
		if event := c.s.events.Request; event != nil {
			event(RequestEvent{
				Listener: c.listener, Key: r.api.key, Version: r.header.Version, BytesIn: r.bytesIn, BytesOut: r.sent,
				Handling: r.answered.Sub(r.received), Total: now.Sub(r.received),
			})
		}
	}
	c.s.bytesOut.Add(int64(bytes))
	c.mu.Lock()
	c.queued -= count
	c.pending -= pending
	c.changed.Broadcast()
	c.mu.Unlock()
}

// stopWriting ends the writer's turn on a connection that was closed.
func (c *conn) stopWriting() {
	c.mu.Lock()
	c.writing = false
	c.changed.Broadcast()
	c.mu.Unlock()
}

// discard frees what an answer holds that will not be sent.
func (r *request) discard() {
	if r.released != nil {
		r.released()
		r.released = nil
	}
	r.chunks, r.resp = nil, nil
}

// responseWriter gathers answers and sends them. buf is pooled, and taken only when there is something to write.
type responseWriter struct {
	c     *conn
	buf   []byte
	ahead []kafkaproto.Chunk // of the answer that is being sent, from the current one on; nil if they have been asked for
}

// foundBytes is how far behind a piece that was found others are taken to be there too: what the kernel gives up first is old, and
// neighbours are of one age.
const foundBytes = 8 << 20

// lost says whether a piece that is about to be sent is not in the page cache. It does not look each time.
func (w *responseWriter) lost(span env.Span) bool {
	found := &w.c.found
	behind := span.Pos + int64(span.Len) - found.Pos
	if span.File == found.File && span.Pos >= found.Pos && behind <= foundBytes {
		return false
	}
	if !w.c.cached(span) {
		return true
	}
	*found = span
	return false
}

// missed is called when a piece of an answer is not in the page cache: then the disk is asked for all that is left.
func (w *responseWriter) missed() {
	w.c.prefetch(w.ahead)
	w.ahead = nil
}

func (w *responseWriter) free() {
	if w.buf != nil {
		putBuffer(w.buf)
		w.buf = nil
	}
}

// send writes a list of answers. An answer with an error ends it, after what came before.
func (w *responseWriter) send(batch *request) error {
	w.c.sending.Store(w.c.s.env.Clock.Now().UnixNano())
	defer w.c.sending.Store(0)
	var failed error
	for r := batch; r != nil; r = r.next {
		if failed == nil {
			failed = w.add(r)
		}
		r.discard()
	}
	if err := w.flush(); err != nil && failed == nil {
		failed = err
	}
	w.c.cork(false)
	return failed
}

func (w *responseWriter) add(r *request) error {
	switch {
	case r.err != nil:
		return r.err
	case r.chunks != nil:
		r.sent = r.size
		return w.addChunks(r.chunks)
	case r.resp != nil:
		return w.addResponse(r)
	}
	return nil
}

func (w *responseWriter) addResponse(r *request) error {
	if w.buf == nil {
		w.buf = getBuffer(1 << minBufferBits)[:0]
	}
	start := len(w.buf)
	b := append(w.buf, 0, 0, 0, 0)
	b = kafkaproto.AppendResponseHeader(b, r.header.Key, r.headerFor, r.header.CorrelationID)
	b = r.resp.AppendTo(b)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	w.buf = b
	r.sent = len(b) - start
	if len(b) >= writeBatchBytes {
		return w.flush()
	}
	return nil
}

// addChunks sends a fetch's answer. Small pieces are gathered into one write; large pieces of files go from the page
// cache to the socket.
func (w *responseWriter) addChunks(chunks []kafkaproto.Chunk) error {
	w.ahead = chunks
	defer func() { w.ahead = nil }()
	for i, chunk := range chunks {
		if w.ahead != nil {
			w.ahead = chunks[i:]
		}
		var err error
		switch {
		case chunk.Span.File == nil && len(chunk.Bytes) < writeBatchBytes:
			err = w.gather(chunk.Bytes)
		case chunk.Span.File == nil:
			if err = w.flush(); err == nil {
				err = w.write(chunk.Bytes)
			}
		case w.c.sendsFile(chunk.Span):
			if w.ahead != nil && w.lost(chunk.Span) {
				w.missed()
			}
			w.c.cork(true)
			if err = w.flush(); err == nil {
				err = w.c.sendfile(chunk.Span)
			}
		default:
			err = w.gatherSpan(chunk.Span)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *responseWriter) gather(b []byte) error {
	if err := w.room(len(b)); err != nil {
		return err
	}
	w.buf = append(w.buf, b...)
	return nil
}

// gatherSpan reads a span behind what was gathered before, so that it goes out with the same write.
func (w *responseWriter) gatherSpan(span env.Span) error {
	for span.Len > 0 {
		n := min(span.Len, gatherBytes)
		if err := w.room(n); err != nil {
			return err
		}
		at := len(w.buf)
		w.buf = w.buf[:at+n]
		if err := w.read(w.buf[at:], span); err != nil {
			w.buf = w.buf[:at]
			return err
		}
		span.Pos += int64(n)
		span.Len -= n
	}
	return nil
}

// read reads a span's beginning.
func (w *responseWriter) read(p []byte, span env.Span) error {
	n, known := w.c.readCached(span, p)
	if n == len(p) {
		return nil
	}
	if known && w.ahead != nil {
		w.missed()
	}
	if n, err := span.File.ReadAt(p, span.Pos); n < len(p) {
		return fmt.Errorf("cannot read %s at %d: %w", span.File.Name(), span.Pos, err)
	}
	return nil
}

// room makes sure that n bytes more fit, by sending what there is or by taking a larger buffer.
func (w *responseWriter) room(n int) error {
	if len(w.buf)+n > gatherBytes {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if cap(w.buf)-len(w.buf) < n {
		bigger := getBuffer(len(w.buf) + n)
		w.buf, bigger = bigger[:copy(bigger, w.buf)], w.buf
		if bigger != nil {
			putBuffer(bigger)
		}
	}
	return nil
}

// flush writes what was gathered.
func (w *responseWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	err := w.write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// write sends b in pieces, so that the sweeper sees a client that takes a large answer slowly but does take it.
func (w *responseWriter) write(b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), 1<<20)]
		if _, err := w.c.nc.Write(piece); err != nil {
			return peerError(err)
		}
		w.c.unseen.add(len(piece))
		b = b[len(piece):]
		w.c.progress()
	}
	return nil
}

func (c *conn) progress() { c.sending.Store(c.s.env.Clock.Now().UnixNano()) }

// peerError tells a client that has gone from a failure worth a log line.
func peerError(err error) error {
	for _, gone := range []error{net.ErrClosed, syscall.EPIPE, syscall.ECONNRESET, os.ErrDeadlineExceeded} {
		if errors.Is(err, gone) {
			return errPeerClosed
		}
	}
	return err
}
