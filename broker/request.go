package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// request is one request from its frame to its answer, and the place that its answer has in the connection's order.
// req points into frame: what a handler keeps beyond its own return must be copied or held by frame.retain.
type request struct {
	header   kafkaproto.RequestHeader
	api      *api
	req      kmsg.Request
	conn     *conn
	ctx      context.Context // ends when the connection does
	received time.Time
	frame    atomic.Pointer[frame] // nil once it was let go
	bytesIn  int

	// All below belongs to conn.mu until done is set, and to the writer after that.
	next      *request
	done      bool
	answered  time.Time
	resp      appender
	chunks    []kafkaproto.Chunk
	size      int // bytes of chunks
	released  func()
	err       error  // the connection is closed in place of an answer
	wake      func() // set while the request waits: answer now, for the connection drains or is gone
	sent      int
	headerFor int16 // version in which the response header is written
}

// appender is a response's body, which is encoded when its turn to be written comes.
type appender interface {
	AppendTo(dst []byte) []byte
}

// reply answers with resp, whose version is set to the request's. resp belongs to the connection from here on.
func (r *request) reply(resp kmsg.Response) {
	resp.SetVersion(r.header.Version)
	r.replyAppended(resp)
}

// replyAppended is reply with a body that knows its version.
func (r *request) replyAppended(resp appender) {
	r.resp = resp
	r.conn.complete(r)
}

// replyAs is reply with a body in another version than the request's.
func (r *request) replyAs(version int16, resp kmsg.Response) {
	resp.SetVersion(version)
	r.headerFor = version
	r.replyAppended(resp)
}

// replyChunks answers with a frame that is encoded already, its length first. release is called once when the bytes have
// been sent or never will be; it may be nil.
func (r *request) replyChunks(chunks []kafkaproto.Chunk, size int, release func()) {
	r.chunks, r.size, r.released = chunks, size, release
	r.conn.complete(r)
}

// replyChunksHere is replyChunks for a goroutine that has nothing else to do, and so may write the answer itself.
func (r *request) replyChunksHere(chunks []kafkaproto.Chunk, size int, release func()) {
	r.chunks, r.size, r.released = chunks, size, release
	if r.conn.completed(r) {
		r.conn.write()
	}
}

// noReply ends a request that gets no answer (Produce with acks=0).
func (r *request) noReply() { r.conn.complete(r) }

// fail answers with err in every place where the response can carry an error: at its top if it has one, else in each
// topic, partition or resource that the request named.
func (r *request) fail(err error) {
	r.reply(errorResponse(r.req, err))
}

// hangUp closes the connection when the answers before this request have been written.
func (r *request) hangUp(err error) {
	r.err = err
	r.conn.complete(r)
}

// letGo gives the request's frame back early, for a handler that waits and needs its bytes no longer.
func (r *request) letGo() {
	if f := r.frame.Swap(nil); f != nil {
		f.release()
	}
}

// wait registers what to call when the request must be answered now, because the connection drains or has gone. It
// returns false if that is so already.
func (r *request) wait(wake func()) bool {
	c := r.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.draining {
		return false
	}
	r.wake = wake
	return true
}
