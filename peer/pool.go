package peer

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
)

// Defaults of Options.
const (
	DefaultMaxInFlight   = 128
	DefaultMaxFrameBytes = 100 << 20
	DefaultTimeout       = 30 * time.Second
	DefaultDialTimeout   = time.Second
	DefaultBackoffMin    = 20 * time.Millisecond
	DefaultBackoffMax    = 500 * time.Millisecond
)

// Options are what a pool needs. Zero values stand for the defaults above, but Net, Clock and Address must be given.
type Options struct {
	Net   env.Net
	Clock env.Clock
	// ClientID is sent with every request.
	ClientID string
	// Address is where a node serves clients, as host:port, and false if that is not known. It is asked before each
	// connect, from several goroutines, and must not block.
	Address func(node int32) (string, bool)
	// MaxInFlight limits the requests on a connection that have no answer yet; more fail with ErrBusy.
	MaxInFlight int
	// MaxFrameBytes limits requests and answers.
	MaxFrameBytes int32
	// Timeout is how long an answer may take, in addition to what the request itself asks the node to wait (a Fetch's
	// max wait, a Produce's timeout).
	Timeout time.Duration
	// DialTimeout limits connecting, and after it the first exchange.
	DialTimeout time.Duration
	// After a failed connect, requests to the node fail for BackoffMin, which doubles with each failure up to BackoffMax.
	BackoffMin, BackoffMax time.Duration
	Events                 Events
	Logger                 *slog.Logger // nil: no log
}

// Events tell of connections. Each may be nil; they are called from any goroutine, with no lock held, and must not block
// or call the pool's Close.
type Events struct {
	// Connected: a connection stands, the node has said what it serves.
	Connected func(node int32, lane int)
	// Lost: a connection that stood has ended, not by Close or Forget.
	Lost func(node int32, lane int, err error)
	// Failed: connecting failed. errors.Is(err, ErrRefused) tells a dead process from an unreachable one.
	Failed func(node int32, lane int, err error)
}

// Pool holds connections to other nodes, one for each node and lane that was used. Lanes keep purposes apart that must
// not hold up each other: a node answers the requests of one connection in order. A Pool is safe for concurrent use.
type Pool struct {
	o         Options
	formatter *kmsg.RequestFormatter
	over      chan struct{} // closed by Close

	mu      sync.Mutex // never held while calling the network, Address or Events
	links   map[linkID]*link
	backoff map[int32]*backoff
	closed  bool
	running sync.WaitGroup
}

// NewPool makes a pool without connections. They are made when they are first needed.
func NewPool(o Options) *Pool {
	setDefault(&o.MaxInFlight, DefaultMaxInFlight)
	setDefault(&o.MaxFrameBytes, DefaultMaxFrameBytes)
	setDefault(&o.Timeout, DefaultTimeout)
	setDefault(&o.DialTimeout, DefaultDialTimeout)
	setDefault(&o.BackoffMin, DefaultBackoffMin)
	setDefault(&o.BackoffMax, max(DefaultBackoffMax, o.BackoffMin))
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Pool{
		o: o, formatter: kmsg.NewRequestFormatter(kmsg.FormatterClientID(o.ClientID)), over: make(chan struct{}),
		links: map[linkID]*link{}, backoff: map[int32]*backoff{},
	}
}

func setDefault[T int | int32 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Do asks a node and waits for its answer. The request is sent in the newest version that both sides know, which is set
// in it; it is encoded before Do waits, and not touched after Do has returned. The answer is the caller's. A failure is
// always an *Error. Kafka's error codes inside of an answer are not looked at.
func (p *Pool) Do(ctx context.Context, node int32, lane int, req kmsg.Request) (kmsg.Response, error) {
	frame, err := p.exchange(ctx, node, lane, req)
	if err != nil {
		return nil, err
	}
	body := append([]byte(nil), frame.Body()...) // small; byte fields of the answer point into it
	frame.Release()
	return p.decode(node, req, body)
}

// DoPooled is Do for large answers: the byte fields of the answer (a Fetch's records) lie in the frame, and are valid
// until its Release, which the caller owes.
func (p *Pool) DoPooled(ctx context.Context, node int32, lane int, req kmsg.Request) (kmsg.Response, *Frame, error) {
	frame, err := p.exchange(ctx, node, lane, req)
	if err != nil {
		return nil, nil, err
	}
	res, err := p.decode(node, req, frame.Body())
	if err != nil {
		frame.Release()
		return nil, nil, err
	}
	return res, frame, nil
}

// Fetch is DoPooled for the request that it is made for.
func (p *Pool) Fetch(ctx context.Context, node int32, lane int, req *kmsg.FetchRequest) (*kmsg.FetchResponse, *Frame, error) {
	res, frame, err := p.DoPooled(ctx, node, lane, req)
	if err != nil {
		return nil, nil, err
	}
	return res.(*kmsg.FetchResponse), frame, nil
}

// FetchThen is Fetch without a goroutine that waits: then is called once with what Fetch would return, from any goroutine, also
// before FetchThen returns. The connection's reader calls it mostly, so that it must not block for long.
func (p *Pool) FetchThen(ctx context.Context, node int32, lane int, req *kmsg.FetchRequest, then func(*kmsg.FetchResponse, *Frame, error)) {
	c := p.standing(linkID{node, lane})
	if c == nil || ctx.Err() != nil {
		go func() { then(p.Fetch(ctx, node, lane, req)) }()
		return
	}
	k := &call{}
	k.then = func() {
		frame, err := p.outcome(node, k)
		if err != nil {
			then(nil, nil, err)
			return
		}
		res, err := p.decode(node, req, frame.Body())
		if err != nil {
			frame.Release()
			then(nil, nil, err)
			return
		}
		then(res.(*kmsg.FetchResponse), frame, nil)
	}
	if err := p.send(c, k, req); err != nil {
		then(nil, nil, err)
		return
	}
	c.watch(ctx, k)
}

// DoRaw sends a body that is encoded already, in exactly that version, and gives back the answer's body as it came. A
// version that the node does not serve is ErrVersion. The pool's Timeout holds: what the body asks for is not looked at.
// The body is copied before DoRaw waits; the frame's Release is the caller's to call.
func (p *Pool) DoRaw(ctx context.Context, node int32, lane int, key, version int16, body []byte) (*Frame, error) {
	req := newRawRequest(key, version, body)
	if req == nil {
		return nil, &Error{Node: node, Err: ErrVersion}
	}
	return p.exchange(ctx, node, lane, req)
}

// Versions is the range of an API that a node serves, for callers that must know before they can ask. It connects if
// there is no connection.
func (p *Pool) Versions(ctx context.Context, node int32, lane int, key int16) (lowest, highest int16, err error) {
	c, err := p.connection(ctx, node, lane)
	if err != nil {
		return 0, 0, err
	}
	r, ok := c.versions[key]
	if !ok {
		return 0, 0, &Error{Node: node, Err: ErrVersion}
	}
	return r.lowest, r.highest, nil
}

// Connected are the nodes to which a connection stands.
func (p *Pool) Connected() []int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var nodes []int32
	for id, l := range p.links {
		if l.conn != nil && !slices.Contains(nodes, id.node) {
			nodes = append(nodes, id.node)
		}
	}
	return nodes
}

// Forget closes the connections to a node, whose requests fail with ErrClosed, and ends its back-off: it has moved, come
// back or left.
func (p *Pool) Forget(node int32) {
	p.mu.Lock()
	delete(p.backoff, node)
	var gone []*link
	for id, l := range p.links {
		if id.node == node {
			gone = append(gone, l)
			delete(p.links, id)
		}
	}
	p.mu.Unlock()
	for _, l := range gone {
		l.end(ErrClosed)
	}
}

// Close answers every request with ErrClosed, closes all connections and waits until nothing of the pool runs any more. A
// connect that is under way is waited for: at most DialTimeout.
func (p *Pool) Close() {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	links := p.links
	p.links = map[linkID]*link{}
	p.mu.Unlock()
	if first {
		close(p.over)
	}
	for _, l := range links {
		l.end(ErrClosed)
	}
	p.running.Wait()
}

// exchange sends a request and waits for the frame of its answer.
func (p *Pool) exchange(ctx context.Context, node int32, lane int, req kmsg.Request) (*Frame, error) {
	c, err := p.connection(ctx, node, lane)
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	k := &call{then: func() { close(done) }}
	if err := p.send(c, k, req); err != nil {
		return nil, err
	}
	select {
	case <-done:
	case <-ctx.Done():
		c.abandon(k, context.Cause(ctx))
	}
	return p.outcome(node, k)
}

// send encodes a request and submits it. After an error nothing is sent, and the call is not told.
func (p *Pool) send(c *conn, k *call, req kmsg.Request) error {
	node := c.link.id.node
	if !c.choose(req) {
		return &Error{Node: node, Err: ErrVersion}
	}
	k.out, k.tagged = p.formatter.AppendRequest(takeScratch(), req, 0), taggedHeader(req)
	if int64(len(k.out)-4) > int64(p.o.MaxFrameBytes) {
		return &Error{Node: node, Err: ErrTooLarge}
	}
	if err := c.submit(k, p.patience(req)); err != nil {
		return &Error{Node: node, Err: err}
	}
	return nil
}

// outcome is what came of a call that is over.
func (p *Pool) outcome(node int32, k *call) (*Frame, error) {
	if k.err != nil {
		return nil, &Error{Node: node, MaybeSent: k.sent, RetryAfter: p.waitFor(node), Err: k.err}
	}
	return k.answer, nil
}

// standing is the connection that stands for a lane, or nil.
func (p *Pool) standing(id linkID) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.links[id]; l != nil && !p.closed {
		return l.conn
	}
	return nil
}

// patience is how long the answer to a request may take.
func (p *Pool) patience(req kmsg.Request) time.Duration {
	var asked int32
	switch r := req.(type) {
	case *kmsg.FetchRequest:
		asked = r.MaxWaitMillis
	case kmsg.TimeoutRequest:
		asked = r.Timeout()
	}
	return p.o.Timeout + time.Duration(min(max(asked, 0), math.MaxInt32))*time.Millisecond
}

func (p *Pool) decode(node int32, req kmsg.Request, body []byte) (kmsg.Response, error) {
	res := req.ResponseKind()
	res.SetVersion(req.GetVersion())
	if err := res.ReadFrom(body); err != nil {
		return nil, &Error{Node: node, MaybeSent: true, Err: because(ErrProtocol, err)}
	}
	return res, nil
}
