package bench

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kerr"
)

// produceLane is one connection under load: one goroutine writes, one reads. They share sent, answered and due.
type produceLane struct {
	load    *produceLoad
	conn    *conn
	version int16
	frames  []produceFrame // one a partition, taken in turn
	errorAt int

	interval time.Duration // between two requests when there is a rate; 0: none
	offset   time.Duration // of the first, so that connections don't fire together

	sent     atomic.Int64   // requests written, by the writer
	answered atomic.Int64   // by the reader
	good     atomic.Int64   // acknowledged; with acks 0: written
	due      []atomic.Int64 // since load.start, when request i was (to be) sent, at i mod len
	wake     chan struct{}  // the reader has made room
	done     atomic.Bool    // the writer has ended

	histogram *hdrhistogram.Histogram // the reader's; read when the lane has ended

	// The writer's buffers: heads and small batches are copied into buf, large batches are named in iov.
	buf []byte
	iov net.Buffers
}

// copyBelow is the size of a batch that is cheaper to copy than to name in a writev.
const copyBelow = 8 << 10

func (l *produceLane) pace(o ProduceOptions, i, of int) {
	if o.Rate <= 0 {
		return
	}
	perLane := o.Rate / float64(o.BatchRecords) / float64(of)
	l.interval = time.Duration(float64(time.Second) / perLane)
	l.offset = l.interval * time.Duration(i) / time.Duration(of)
}

func (l *produceLane) run() {
	var reader sync.WaitGroup
	if l.load.o.Acks != 0 {
		reader.Go(l.readAll)
	}
	l.writeAll()
	l.done.Store(true)
	if l.sent.Load() == l.answered.Load() || l.load.o.Acks == 0 {
		// Nothing more can come: the reader is let go by a deadline that has passed.
		_ = l.conn.nc.SetReadDeadline(time.Now())
	}
	reader.Wait()
}

func (l *produceLane) writeAll() {
	for !l.load.stopped() {
		n := l.room()
		if n == 0 {
			return
		}
		if n = l.load.claim(n); n == 0 {
			return
		}
		if err := l.write(n); err != nil {
			l.fail(err)
			return
		}
	}
}

// room waits until requests may be sent and says how many; 0 at the end.
func (l *produceLane) room() int {
	for {
		free := l.load.o.InFlight
		if l.load.o.Acks != 0 {
			free -= int(l.sent.Load() - l.answered.Load())
		}
		if free > 0 && l.interval > 0 {
			if free = min(free, l.waitDue()); free == 0 {
				return 0
			}
		}
		if free > 0 {
			return free
		}
		select {
		case <-l.wake:
		case <-l.load.stop:
			return 0
		}
	}
}

// waitDue waits until the next request is due and says how many are.
func (l *produceLane) waitDue() int {
	next := l.dueTime(l.sent.Load())
	if !newPacer(l.load.start, l.interval, l.load.stop).until(next) {
		return 0
	}
	return 1 + int((time.Since(l.load.start)-next)/l.interval)
}

func (l *produceLane) dueTime(i int64) time.Duration {
	return l.offset + time.Duration(i)*l.interval
}

// write sends n requests with one system call.
func (l *produceLane) write(n int) error {
	now := int64(time.Since(l.load.start))
	sent := l.sent.Load()
	small := len(l.frames[0].batch) < copyBelow
	l.reserve(n, small)
	for i := range int64(n) {
		at := now
		if l.interval > 0 {
			at = int64(l.dueTime(sent + i)) // not when it was sent: waiting for room is latency too
		}
		l.due[(sent+i)%int64(len(l.due))].Store(at)
		l.add(l.frames[(sent+i)%int64(len(l.frames))], int32(sent+i), small)
	}
	// Before the bytes leave: the answer may be there before the write returns.
	l.sent.Add(int64(n))
	err := l.flush(small)
	if err == nil && l.load.o.Acks == 0 {
		l.good.Add(int64(n))
	}
	return err
}

// reserve makes buf large enough for n requests, because iov points into it while it is filled.
func (l *produceLane) reserve(n int, small bool) {
	need := 0
	for _, f := range l.frames {
		size := len(f.head)
		if small {
			size = f.size()
		}
		need = max(need, size)
	}
	if need *= n; cap(l.buf) < need {
		l.buf = make([]byte, 0, need)
	}
	l.buf = l.buf[:0]
}

func (l *produceLane) add(f produceFrame, correlation int32, small bool) {
	at := len(l.buf)
	l.buf = f.appendHead(l.buf, correlation)
	if small {
		l.buf = append(append(l.buf, f.batch...), f.tail...)
		return
	}
	l.iov = append(l.iov, l.buf[at:], f.batch)
	if len(f.tail) > 0 {
		l.iov = append(l.iov, f.tail)
	}
}

func (l *produceLane) flush(small bool) error {
	if small {
		_, err := l.conn.nc.Write(l.buf)
		return err
	}
	iov := l.iov // WriteTo eats the slice it is given
	_, err := iov.WriteTo(l.conn.nc)
	clear(l.iov)
	l.iov = l.iov[:0]
	return err
}

// fail ends the whole run, unless it is ending anyway.
func (l *produceLane) fail(err error) {
	if l.load.stopped() && l.sent.Load() == l.answered.Load() {
		return
	}
	l.load.errors.note(fmt.Errorf("produce: %w", noEOF(err)), true)
	l.load.halt()
	_ = l.conn.nc.Close() // lets the other goroutine of the lane go
}

func (l *produceLane) readAll() {
	for {
		body, err := l.peekAnswer()
		if err != nil {
			if !l.idle() {
				l.fail(err)
			}
			return
		}
		l.take(body)
		if _, err := l.conn.rd.Discard(4 + len(body)); err != nil {
			l.fail(err)
			return
		}
		if l.idle() {
			return
		}
		if l.conn.rd.Buffered() == 0 { // more answers are here already: one wake for all
			select {
			case l.wake <- struct{}{}:
			default:
			}
		}
	}
}

// idle says that every request is answered and no other will be sent.
func (l *produceLane) idle() bool {
	return l.done.Load() && l.sent.Load() == l.answered.Load()
}

// peekAnswer returns the next answer from its correlation id on, inside the reader's buffer.
func (l *produceLane) peekAnswer() ([]byte, error) {
	size, err := l.conn.rd.Peek(4)
	if err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(size)))
	if n < 4 || 4+n > l.conn.rd.Size() {
		return nil, fmt.Errorf("answer to Produce of %d bytes", n)
	}
	frame, err := l.conn.rd.Peek(4 + n)
	if err != nil {
		return nil, err
	}
	return frame[4:], nil
}

// take notes one answer.
func (l *produceLane) take(body []byte) {
	i := l.answered.Load()
	due := l.due[i%int64(len(l.due))].Load()
	if id := int32(binary.BigEndian.Uint32(body)); id != int32(i) {
		l.fail(fmt.Errorf("answer to request %d instead of %d: out of order", id, int32(i)))
	}
	err := l.check(body)
	l.answered.Add(1)
	if err != nil {
		if !l.load.errors.note(fmt.Errorf("produce: %w", err), !kerr.IsRetriable(err)) {
			l.load.halt()
		}
		return
	}
	l.good.Add(1)
	if due >= l.load.measured.Load() {
		record(l.histogram, time.Since(l.load.start)-time.Duration(due))
	}
}

func (l *produceLane) check(body []byte) error {
	if at := l.errorAt; len(body) >= at+2 && body[at] == 0 && body[at+1] == 0 {
		return nil
	}
	return produceError(l.version, body)
}
