package quorum

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// Pauses before a command that surely did not happen is tried again. A change of leadership ends them.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 80 * time.Millisecond
)

// maxForward bounds how long a controller works for a caller elsewhere who named no sooner end.
const maxForward = 60 * time.Second

// forward passes a command on to the active controller. errRetry: it surely did not happen; errUnknown: it may have.
func (q *Quorum) forward(ctx context.Context, leader leadership, c controller.Command) (any, error) {
	body := binary.BigEndian.AppendUint32(nil, millisLeft(ctx))
	body, err := controller.EncodeCommand(body, c)
	if err != nil {
		return nil, kafkaproto.ErrUnknownServerError.With("%w", err)
	}
	if len(body) > maxFrame-frameHeader {
		return nil, errTooLarge
	}
	links := q.submits
	if _, beat := c.(controller.BrokerHeartbeat); beat {
		links = q.alive
	}
	f, err := q.askLeader(ctx, links, leader, askCommand, body)
	if err != nil {
		return nil, err
	}
	index, rest, ok := f.indexed()
	if !ok || f.kind != answerValue && f.kind != answerFailure {
		return nil, errUnknown
	}
	if err := q.feed.wait(ctx, index); err != nil {
		return nil, errTimeout(err)
	}
	if f.kind == answerFailure {
		failure, bad := controller.DecodeError(rest)
		if bad != nil || failure == nil {
			return nil, errUnknown
		}
		return nil, failure
	}
	value, err := controller.DecodeAnswer(c, rest)
	if err != nil {
		return nil, errUnknown
	}
	return value, nil
}

// askLeader sends one request to a leader. Errors are as those of forward, and REQUEST_TIMED_OUT.
func (q *Quorum) askLeader(ctx context.Context, links *links, leader leadership, kind byte, body []byte) (frame, error) {
	l, err := links.to(ctx, leader)
	if err != nil {
		return frame{}, errRetry
	}
	lost := make(chan struct{})
	over := make(chan struct{})
	defer close(over)
	go q.whenLost(leader, lost, over)
	f, err := l.ask(ctx, kind, body, lost)
	switch {
	case err == errNotSent, err == nil && f.kind == answerNotHere:
		return frame{}, errRetry
	case ctx.Err() != nil && err != nil:
		return frame{}, errTimeout(ctx.Err())
	case err != nil, f.kind == answerUnknown:
		return frame{}, errUnknown
	}
	return f, nil
}

// whenLost closes lost when somebody else leads, so that nobody waits for the answer of a leader that hangs.
func (q *Quorum) whenLost(leader leadership, lost, over chan struct{}) {
	for {
		q.mu.Lock()
		now, changed := q.leader, q.changed
		q.mu.Unlock()
		if now.known && now.server != leader.server {
			close(lost)
			return
		}
		select {
		case <-changed:
		case <-over:
			return
		case <-q.closing:
			close(lost)
			return
		}
	}
}

// millisLeft is how long a caller waits, for the other side to know; at least one.
func millisLeft(ctx context.Context) uint32 {
	left := maxForward
	if end, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(end))
	}
	return uint32(max(left.Milliseconds(), 1))
}

// backOff waits before the next try, less when another leader turns up.
func (q *Quorum) backOff(ctx context.Context, leader leadership, try int) error {
	wait := min(firstRetry<<min(try, 10), lastRetry)
	t := q.options.Env.Clock.NewTimer(wait)
	defer t.Stop()
	q.mu.Lock()
	now, changed := q.leader, q.changed
	q.mu.Unlock()
	if now != leader {
		return nil
	}
	select {
	case <-t.C():
		return nil
	case <-changed:
		return nil
	case <-ctx.Done():
		return errTimeout(ctx.Err())
	case <-q.closing:
		return errClosed
	case <-q.fatal.done:
		return errFailed
	}
}
