package peer

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// request is what a fake node got.
type request struct {
	kafkaproto.RequestHeader
	body []byte
}

// script is what a fake node does on one connection.
type script func(n *nodeConn)

// nodeConn is a fake node's end of a connection.
type nodeConn struct {
	net.Conn
	r *bufio.Reader
}

// next reads a request; false when the connection has ended.
func (n *nodeConn) next() (request, bool) {
	size, err := kafkaproto.ReadFrameSize(n.r, 64<<20)
	if err != nil {
		return request{}, false
	}
	frame := make([]byte, size)
	if _, err := io.ReadFull(n.r, frame); err != nil {
		return request{}, false
	}
	h, body, err := kafkaproto.ParseRequestHeader(frame)
	return request{h, body}, err == nil
}

// answer sends a response in the version of its request.
func (n *nodeConn) answer(req request, res kmsg.Response) {
	res.SetVersion(req.Version)
	_, _ = n.Write(answerFrame(req, res.AppendTo(nil)))
}

func answerFrame(req request, body []byte) []byte {
	out := kafkaproto.AppendResponseHeader(make([]byte, 4), req.Key, req.Version, req.CorrelationID)
	out = append(out, body...)
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out
}

// serves are the ranges that fake nodes tell.
var serves = []kmsg.ApiVersionsResponseApiKey{
	{ApiKey: 1, MinVersion: 4, MaxVersion: 17}, {ApiKey: 3, MinVersion: 0, MaxVersion: 9},
	{ApiKey: 18, MinVersion: 0, MaxVersion: 4}, {ApiKey: 19, MinVersion: 90, MaxVersion: 99},
}

// greet answers ApiVersions.
func (n *nodeConn) greet() bool {
	req, ok := n.next()
	if !ok || req.Key != 18 {
		return false
	}
	n.answer(req, &kmsg.ApiVersionsResponse{ApiKeys: serves})
	return true
}

// echo answers Metadata with the name of the topic asked for, and Fetch with records of the size of its MaxBytes.
func echo(n *nodeConn) {
	for n.greet() {
		for {
			req, ok := n.next()
			if !ok {
				return
			}
			n.answer(req, echoOf(req))
		}
	}
}

func echoOf(req request) kmsg.Response {
	m, err := kafkaproto.DecodeRequest(req.Key, req.Version, req.body)
	if err != nil {
		panic(err)
	}
	switch m := m.(type) {
	case *kmsg.FetchRequest:
		p := kmsg.NewFetchResponseTopicPartition()
		p.RecordBatches = make([]byte, m.MaxBytes)
		for i := range p.RecordBatches {
			p.RecordBatches[i] = byte(i)
		}
		return &kmsg.FetchResponse{Topics: []kmsg.FetchResponseTopic{{Partitions: []kmsg.FetchResponseTopicPartition{p}}}}
	default:
		return &kmsg.MetadataResponse{ClusterID: m.(*kmsg.MetadataRequest).Topics[0].Topic}
	}
}

func metadataFor(name string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	return req
}

// fakeNet dials into scripts: the n-th dial gets the n-th script, or the last.
type fakeNet struct {
	mu      sync.Mutex
	scripts []script
	dials   int
	err     error // of every dial, if set
	running sync.WaitGroup
}

func (f *fakeNet) Listen(string, string) (net.Listener, error) { return nil, errors.ErrUnsupported }

func (f *fakeNet) Dial(_, _ string, _ time.Duration) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials++
	if f.err != nil {
		return nil, f.err
	}
	s := f.scripts[min(f.dials, len(f.scripts))-1]
	here, there := net.Pipe()
	f.running.Add(1)
	go func() {
		defer f.running.Done()
		defer there.Close()
		s(&nodeConn{Conn: there, r: bufio.NewReader(there)})
	}()
	return here, nil
}

func (f *fakeNet) set(err error, s ...script) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.scripts, f.dials = err, s, 0
}

func (f *fakeNet) dialed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dials
}

var refused = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}

// rig is a pool over a fake net and clock, whose events can be waited for.
type rig struct {
	*Pool
	t      *testing.T
	net    *fakeNet
	clock  *env.FakeClock
	events chan string
}

func newRig(t *testing.T, change func(*Options), scripts ...script) *rig {
	before := runtime.NumGoroutine()
	r := &rig{t: t, net: &fakeNet{scripts: scripts}, clock: env.NewFakeClock(time.Unix(1000, 0)), events: make(chan string, 1000)}
	o := Options{
		Net: r.net, Clock: r.clock, ClientID: "test", Timeout: 10 * time.Second,
		Address: func(node int32) (string, bool) { return fmt.Sprintf("node-%d:1", node), node < 100 },
		Events: Events{
			Connected: func(node int32, lane int) { r.events <- "connected" },
			Lost:      func(node int32, lane int, err error) { r.events <- "lost" },
			Failed:    func(node int32, lane int, err error) { r.events <- "failed" },
		},
	}
	if change != nil {
		change(&o)
	}
	r.Pool = NewPool(o)
	t.Cleanup(func() {
		r.Close()
		r.net.running.Wait()
		if n := r.clock.Pending(); n != 0 {
			t.Errorf("%d timers are left", n)
		}
		noLeak(t, before)
	})
	return r
}

// noLeak waits for goroutines that are about to end, and fails if more than before stay.
func noLeak(t *testing.T, before int) {
	t.Helper()
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond) // nothing tells that a goroutine is gone
	}
	buf := make([]byte, 1<<16)
	t.Errorf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
}

func (r *rig) event(want string) {
	r.t.Helper()
	if got := <-r.events; got != want {
		r.t.Fatalf("event %s, want %s", got, want)
	}
}

func (r *rig) ask(name string) error {
	return ask(r.Pool, 2, 0, name)
}

// ask sends a request and checks that the answer belongs to it.
func ask(p *Pool, node int32, lane int, name string) error {
	res, err := p.Do(context.Background(), node, lane, metadataFor(name))
	if err != nil {
		return err
	}
	if got := res.(*kmsg.MetadataResponse).ClusterID; got == nil || *got != name {
		return fmt.Errorf("the answer to %s is for %v", name, got)
	}
	return nil
}

// want checks a failure: what it is, and whether the request may have arrived.
func want(t *testing.T, err, kind error, maybeSent bool) {
	t.Helper()
	var e *Error
	switch {
	case !errors.As(err, &e):
		t.Fatalf("got %v, want an *Error", err)
	case !errors.Is(err, kind):
		t.Fatalf("got %v, want %v", err, kind)
	case e.MaybeSent != maybeSent || NotSent(err) == maybeSent:
		t.Fatalf("%v: may have arrived: %v", err, e.MaybeSent)
	case e.MaybeSent != strings.Contains(err.Error(), "may have arrived"):
		t.Fatalf("the text does not say it: %v", err)
	}
}

// loopback serves scripts on a real socket.
func loopback(t testing.TB, s script) (env.Net, string) {
	n := env.System().Net
	l, err := n.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Add(1)
	go func() {
		defer running.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Add(1)
			go func() {
				defer running.Done()
				defer c.Close()
				s(&nodeConn{Conn: c, r: bufio.NewReader(c)})
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return n, l.Addr().String()
}

func loopbackPool(t testing.TB, s script) *Pool {
	n, addr := loopback(t, s)
	p := NewPool(Options{Net: n, Clock: env.System().Clock, Address: func(int32) (string, bool) { return addr, true }})
	t.Cleanup(p.Close)
	return p
}
