package broker

import (
	"errors"
	"fmt"

	"github.com/streambus/streambus/kafkaproto"
)

// shortestHeader is what every request begins with: key, version, correlation id.
const shortestHeader = 8

// dispatch starts the request in f. It returns false when the connection is to be closed (after the answers before).
func (c *conn) dispatch(f *frame) bool {
	now := c.s.env.Clock.Now()
	c.active.Store(now.UnixNano())
	c.s.pace.note(c.s.requests.Add(1), now)
	header, body, err := kafkaproto.ParseRequestHeaderAfter(f.buf, c.clientID)
	row := c.s.api(header.Key)
	served := row != nil && row.minVersion <= header.Version && header.Version <= row.maxVersion
	// Of a version that isn't served even the header's form may be another, and the answer needs none of it.
	if err != nil && (served || len(f.buf) < shortestHeader) {
		f.release()
		c.reject(fmt.Errorf("bad request header: %w", err))
		return false
	}
	c.clientID = header.ClientID
	r := &request{header: header, headerFor: header.Version, conn: c, ctx: c.ctx, received: now, bytesIn: len(f.buf)}
	r.frame.Store(f)
	r.api = row
	if !served {
		return c.unsupported(r, body)
	}
	if r.req, err = kafkaproto.DecodeRequest(header.Key, header.Version, body); err != nil {
		r.letGo()
		c.reject(fmt.Errorf("cannot decode %s v%d: %w", r.api.name, header.Version, err))
		return false
	}
	if !r.api.pipelined {
		c.awaitWriter() // as in Kafka it sees what the requests before did, and nothing answered waits for it
	}
	c.enqueue(r)
	return c.handle(r)
}

// reject ends a connection that sent what can't be answered. It is the reader's: the answers before go out first.
func (c *conn) reject(err error) {
	c.awaitWriter()
	c.close(err)
}

// handle runs the handler. A panic in it is a bug that costs this connection, not the process.
func (c *conn) handle(r *request) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			c.s.logPanic(p, "api", r.api.name, "version", r.header.Version, "peer", c.remote)
			c.close(fmt.Errorf("a bug in the handler of %s", r.api.name))
			r.letGo()
			ok = false
		}
	}()
	defer c.keep()
	r.api.handle(c.s, r)
	return true
}

var errUnknownAPI = errors.New("unknown API key")

// unsupported answers a request for which there is no row, or none for its version. ApiVersions has its own form, which
// clients rely on (KIP-511). For the rest there is no form that a client of that version could be sure to understand, so
// it is the nearest one that exists; only a key of which not even the shape is known ends the connection, as in Kafka.
func (c *conn) unsupported(r *request, body []byte) bool {
	key, version := r.header.Key, r.header.Version
	if r.api != nil && key == keyAPIVersions {
		c.enqueue(r)
		replyUnsupportedAPIVersions(r)
		return true
	}
	resp, form := unsupportedResponse(key, version, body)
	if resp == nil {
		r.letGo()
		c.reject(fmt.Errorf("%w %d (version %d)", errUnknownAPI, key, version))
		return false
	}
	c.s.log.Debug("unsupported request", "key", key, "version", version, "peer", c.remote)
	if r.api == nil {
		r.api = &unservedAPI
	}
	c.enqueue(r)
	r.replyAs(form, resp)
	return true
}

// unservedAPI stands in where a request has no row.
var unservedAPI = api{key: -1, name: "unserved", pipelined: true}
