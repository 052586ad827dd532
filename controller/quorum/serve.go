package quorum

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

const (
	maxServed    = 2048 // connections of other members, besides raft's
	maxServedAsk = 256  // requests of one connection that are worked on; more are not read yet
)

// served is another member's connection to this node.
type served struct {
	q       *Quorum
	conn    net.Conn
	caller  hello
	address string // of its cluster listener, as it says

	writing sync.Mutex

	mu    sync.Mutex
	id    int32 // the broker whose heartbeats came last; with its epoch, once there was one
	epoch int64
	beats bool
}

// serve works for another member until its connection ends.
func (q *Quorum) serve(conn net.Conn, caller hello) {
	s := &served{q: q, conn: conn, caller: caller}
	q.mu.Lock()
	if len(q.served) >= maxServed || q.ended {
		q.mu.Unlock()
		_ = conn.Close()
		return
	}
	q.served[s] = true
	q.mu.Unlock()
	s.read()
	_ = conn.Close()
	q.mu.Lock()
	delete(q.served, s)
	q.mu.Unlock()
	if s.beats {
		q.brokerGone(suspect{id: s.id, epoch: s.epoch, server: caller.serverID(), address: s.address})
	}
}

func (s *served) read() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	slots := make(chan struct{}, maxServedAsk)
	in := bufio.NewReader(s.conn)
	for {
		f, err := readFrame(in)
		if err != nil {
			s.q.stream.hangUp(s.conn, "connection of a member closed", err)
			return
		}
		if f.kind == tellAddress {
			s.address = string(f.body)
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-s.q.closing:
			return
		}
		working.Go(func() {
			defer func() { <-slots }()
			s.answer(s.handle(ctx, f))
		})
	}
}

func (s *served) answer(f frame) {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := s.conn.Write(f.bytes()); err != nil {
		_ = s.conn.Close() // ends read
	}
}

func (s *served) handle(ctx context.Context, f frame) frame {
	switch f.kind {
	case askCommand:
		return s.command(ctx, f)
	case askDescribe:
		state, err := s.q.describe()
		if err != nil {
			return frame{id: f.id, kind: answerNotHere}
		}
		return answered(f, 0, controller.EncodeQuorumState(nil, state), nil)
	case askJoin:
		return s.q.serveJoin(ctx, f, s.caller)
	}
	return answered(f, 0, nil, kafkaproto.ErrUnsupportedVersion.With("node %d does not know request %d", s.q.options.NodeID, f.kind))
}

// command has this node's own machine decide. It is not passed on again: the caller finds the leader.
func (s *served) command(ctx context.Context, f frame) frame {
	if len(f.body) < 4 {
		return answered(f, 0, nil, kafkaproto.ErrInvalidRequest)
	}
	c, err := controller.DecodeCommand(f.body[4:])
	if err != nil {
		return answered(f, 0, nil, err)
	}
	if !s.q.leads() {
		return frame{id: f.id, kind: answerNotHere}
	}
	wait := min(time.Duration(binary.BigEndian.Uint32(f.body))*time.Millisecond, maxForward)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	call := newCall(c)
	call.remote = true
	o := s.q.try(ctx, call)
	switch {
	case o.err == errRetry:
		return frame{id: f.id, kind: answerNotHere}
	case o.err == errUnknown, o.err == errClosed:
		return frame{id: f.id, kind: answerUnknown}
	case o.err != nil:
		return answered(f, o.index, nil, o.err)
	}
	if beat, ok := c.(controller.BrokerHeartbeat); ok && s.caller.Purpose == purposeAlive {
		s.mu.Lock()
		s.id, s.epoch, s.beats = beat.ID, beat.Epoch, true
		s.mu.Unlock()
	}
	return answered(f, o.index, controller.EncodeAnswer(nil, c, o.value), nil)
}

func answered(to frame, index uint64, value []byte, err error) frame {
	body := binary.BigEndian.AppendUint64(nil, index)
	if err != nil {
		return frame{to.id, answerFailure, controller.EncodeError(body, err)}
	}
	return frame{to.id, answerValue, append(body, value...)}
}

// hangUp ends the connections of other members.
func (q *Quorum) hangUp() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	for s := range q.served {
		_ = s.conn.Close()
	}
	q.submits.close()
	q.alive.close()
}
