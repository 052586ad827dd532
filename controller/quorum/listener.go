package quorum

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/streambus/streambus/internal/env"
)

const (
	helloTimeout  = 5 * time.Second
	maxHandshakes = 64                    // at once; more callers wait to be accepted
	acceptPause   = 50 * time.Millisecond // after a failed accept, for example for lack of file descriptors
)

// stream is the cluster listener as raft's transport wants it: connections on which both ends have said hello.
type stream struct {
	net       env.Net
	listener  net.Listener
	advertise string
	log       *slog.Logger
	repeats   *seldom
	self      func(caller string) hello // what this node says to that ServerID
	serve     func(net.Conn, hello)     // takes connections of other purposes than raft's

	accepted  chan net.Conn
	closing   chan struct{}
	once      sync.Once
	refuseErr error // of closing the listener, once that has been done
	running   sync.WaitGroup
	refused   atomic.Pointer[error] // the last one of a node that this one called
}

// errRefused marks callers that were told why they are not welcome, or that reached somebody else.
var errRefused = errors.New("refused")

func newStream(o Options, self func(string) hello, serve func(net.Conn, hello), repeats *seldom) *stream {
	s := &stream{
		net: o.Env.Net, listener: o.Listener, advertise: o.Advertise, log: o.Logger, repeats: repeats, self: self, serve: serve,
		accepted: make(chan net.Conn), closing: make(chan struct{}),
	}
	s.running.Add(1)
	go s.listen()
	return s
}

func (s *stream) listen() {
	defer s.running.Done()
	slots := make(chan struct{}, maxHandshakes)
	for {
		select {
		case slots <- struct{}{}:
		case <-s.closing:
			return
		}
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) || s.isClosing() {
			if err == nil {
				_ = c.Close()
			}
			return
		}
		if err != nil {
			s.log.Warn("cluster listener: accept failed", "error", err)
			<-slots
			if !s.pause(acceptPause) {
				return
			}
			continue
		}
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			defer func() { <-slots }()
			s.welcome(c)
		}()
	}
}

func (s *stream) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// pause waits, and says whether to go on.
func (s *stream) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closing:
		return false
	}
}

// welcome answers a caller's hello and hands the connection on, or closes it.
func (s *stream) welcome(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(helloTimeout))
	caller, err := readHello(c)
	if err != nil {
		s.hangUp(c, "connection closed", err)
		return
	}
	answer := s.self(caller.serverID())
	answer.Purpose = caller.Purpose
	answer.Refusal = answer.refusal(caller)
	err = answer.write(c)
	if answer.Refusal != "" {
		s.complain(c, "caller refused", "node", caller.NodeID, "reason", answer.Refusal)
	}
	if err != nil || answer.Refusal != "" || caller.Purpose == purposeProbe {
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	if caller.Purpose != purposeRaft {
		s.running.Go(func() { s.serve(c, caller) })
		return
	}
	select {
	case s.accepted <- c:
	case <-s.closing:
		_ = c.Close()
	}
}

// hangUp closes a connection on which something came that can't be meant. That it ends, or that nothing comes, is not worth a
// word: those who look whether somebody listens do that.
func (s *stream) hangUp(c net.Conn, what string, err error) {
	_ = c.Close()
	var failed *net.OpError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET):
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("no hello within %v", helloTimeout)
	case errors.As(err, &failed):
		err = failed.Err // without the port, which differs each time
	}
	s.complain(c, what, "reason", err)
}

// complain is a log line about a connection; the same of one address only once in a while, because clients try again for ever.
func (s *stream) complain(c net.Conn, what string, args ...any) {
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	skipped, ok := s.repeats.say(fmt.Sprint(what, host, args))
	if !ok {
		return
	}
	args = append([]any{"remote", c.RemoteAddr().String()}, args...)
	if skipped > 0 {
		args = append(args, "repeated", skipped)
	}
	s.log.Warn("cluster listener: "+what, args...)
}

// call connects to a cluster listener and exchanges hellos.
func (s *stream) call(address, wanted string, purpose byte, timeout time.Duration) (net.Conn, hello, error) {
	c, err := s.net.Dial("tcp", address, timeout)
	if err != nil {
		return nil, hello{}, err
	}
	_ = c.SetDeadline(time.Now().Add(max(timeout, time.Second)))
	me := s.self("")
	me.Purpose, me.Wanted = purpose, wanted
	err = me.write(c)
	var answer hello
	if err == nil {
		answer, err = readHello(c)
	}
	switch {
	case err != nil:
	case answer.Refusal != "":
		err = fmt.Errorf("%w: %s said: %s", errRefused, address, answer.Refusal)
	case me.ClusterID != "" && answer.ClusterID != "" && me.ClusterID != answer.ClusterID:
		err = fmt.Errorf("%w: %s is of cluster %s, this node of %s", errRefused, address, answer.ClusterID, me.ClusterID)
	case wanted != "" && answer.serverID() != wanted:
		err = fmt.Errorf("%w: %s is %s, not %s", errRefused, address, answer.serverID(), wanted)
	}
	if err != nil {
		if errors.Is(err, errRefused) {
			s.refused.Store(&err)
		}
		return nil, answer, errors.Join(err, c.Close())
	}
	_ = c.SetDeadline(time.Time{})
	return c, answer, nil
}

// Dial is as raft.StreamLayer says; the address is "ServerID@host:port" (transport.go).
func (s *stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	wanted, hostPort, ok := strings.Cut(string(address), "@")
	if !ok {
		wanted, hostPort = "", string(address)
	}
	c, _, err := s.call(hostPort, wanted, purposeRaft, timeout)
	return c, err
}

// Accept is as net.Listener says.
func (s *stream) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.closing:
		return nil, net.ErrClosed
	}
}

// Close is as net.Listener says.
func (s *stream) Close() error {
	err := s.refuse()
	s.running.Wait()
	return err
}

// refuse has nobody find a listener here any more.
func (s *stream) refuse() error {
	s.once.Do(func() {
		close(s.closing)
		s.refuseErr = s.listener.Close()
	})
	return s.refuseErr
}

// Addr is what other nodes are told to call.
func (s *stream) Addr() net.Addr { return address(s.advertise) }

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }
